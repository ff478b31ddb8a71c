"""The ends of clips: what is added to them, and clips shorter than the batch.

Signals are `[..., samples]`, or with lengths `[batch, channels, samples]`. What
these functions return is cut into frames with "valid" padding.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfspec.coefficients import framing
from tfspec.ops import check_ops, shape_ops
from tfspec.ops.engines import devices


def center(
  signals: tf.Tensor,
  frame_length: int,
  pad_mode: str,
  pad_value: float | None = None,
  name: str | None = None,
) -> tf.Tensor:
  """Adds half a frame at both ends of each clip, as `numpy.pad` does.

  Args:
    signals: `[..., samples]`; `samples` may be anything, also less than half a
      frame. Clips without samples stay as they are: they have no frames.
    frame_length: Samples in a frame.
    pad_mode: "reflect" or "constant".
    pad_value: The sample that "constant" adds.
    name: Name scope of the operation.

  Returns:
    `[..., samples + frame_length // 2 * 2]`, or `[..., 0]` where `samples` is
    0.
  """
  with tf.name_scope(name or "center"):
    samples = shape_ops.dims(signals)[-1]
    margin = frame_length // 2
    if isinstance(samples, int):
      margin = margin if samples else 0
    else:
      margin = tf.where(samples > 0, margin, 0)
    if pad_mode == "constant":
      none = [[0, 0]] * (signals.shape.rank - 1)
      paddings = [*none, [margin, margin]]
      return tf.pad(signals, paddings, constant_values=pad_value)
    ends = (tf.range(-margin, 0), samples + tf.range(margin))
    before, behind = (
      tf.gather(signals, _reflect(index, samples), axis=-1) for index in ends
    )
    return tf.concat([before, signals, behind], axis=-1)


def check_lengths(
  lengths: tf.Tensor,
  batch: int | tf.Tensor,
  samples: int | tf.Tensor,
  is_batch: bool = True,
) -> tf.Tensor:
  """Returns the lengths of the clips of a batch, checked.

  Args:
    lengths: Integers, `[batch]`, or a scalar where a single clip was given.
    batch: How many clips there are.
    samples: Samples of each clip, its padding among them.
    is_batch: Whether a batch was given.

  Returns:
    Int32 `[batch]`.

  Raises:
    TypeError: If they are not integers.
    ValueError: If their shape is another, or one of them is known not to be in
      `[0, samples]`.
    tf.errors.InvalidArgumentError: The same, when a graph is run. XLA leaves
      such checks out.
  """
  lengths = tf.convert_to_tensor(lengths)
  if not lengths.dtype.is_integer:
    raise TypeError(f"lengths must be integers. Got: {lengths.dtype.name}.")
  known_batch = batch if isinstance(batch, int) else None
  shape = [known_batch] if is_batch else []
  if not lengths.shape.is_compatible_with(shape):
    raise ValueError(
      "lengths must be [batch], or a scalar for one clip. Got: "
      f"shape={lengths.shape.as_list()}, {shape} expected."
    )
  lengths = tf.reshape(tf.ensure_shape(lengths, shape), [-1])
  known = tf.get_static_value(lengths)
  if known is not None and isinstance(samples, int):
    wrong = known[(known < 0) | (known > samples)]
    if wrong.size:
      raise ValueError(
        "lengths must be in [0, samples]. Got: "
        f"lengths={np.unique(wrong)[0]}, samples={samples}."
      )
    return tf.cast(lengths, tf.int32)
  wide = tf.cast(lengths, tf.int64)
  low, high = tf.reduce_min(wide), tf.reduce_max(wide)
  size = tf.size(lengths)
  lengths = check_ops.require(
    tf.cast(lengths, tf.int32),
    tf.equal(size, batch),
    "lengths must be one a clip. Got: ",
    size,
    " lengths, ",
    tf.convert_to_tensor(batch),
    " clips.",
    compiled=True,
  )
  is_inside = (low >= 0) & (high <= tf.cast(samples, tf.int64))
  return check_ops.require(
    lengths,
    tf.equal(size, 0) | is_inside,
    "lengths must be in [0, samples]. Got: lengths from ",
    low,
    " to ",
    high,
    ", samples=",
    tf.convert_to_tensor(samples),
    ".",
    compiled=True,
  )


def mask_lengths(mask: tf.Tensor) -> tf.Tensor:
  """Returns the lengths that a mask of samples stands for.

  Args:
    mask: Booleans `[batch, samples]`, of each clip first True, then False.

  Returns:
    Int32 `[batch]`.

  Raises:
    tf.errors.InvalidArgumentError: When run, if a True stands behind a False.
      XLA leaves the check out: all up to the last True then counts.
  """
  mask = tf.cast(mask, tf.bool)
  ends = tf.range(1, shape_ops.dims(mask)[-1] + 1) * tf.cast(mask, tf.int32)
  lengths = tf.maximum(tf.reduce_max(ends, axis=-1), 0)
  counts = tf.math.count_nonzero(mask, axis=-1, dtype=tf.int32)
  return check_ops.require(
    lengths,
    tf.reduce_all(tf.equal(lengths, counts)),
    "mask must be True up to the end of each clip, and False behind it. Got: ",
    tf.reduce_sum(lengths - counts),
    " False before the last True of their clip.",
    compiled=True,
  )


def fill(
  signals: tf.Tensor,
  lengths: tf.Tensor,
  value: float,
  name: str | None = None,
) -> tf.Tensor:
  """Replaces what lies behind the end of each clip, whatever it is.

  Args:
    signals: `[batch, channels, samples]`.
    lengths: Valid samples of each clip, int32 `[batch]`, in `[0, samples]`.
    value: What stands behind them.
    name: Name scope of the operation.

  Returns:
    `[batch, channels, samples]`.
  """
  with tf.name_scope(name or "fill"):
    samples = shape_ops.dims(signals)[-1]

    def replace() -> tf.Tensor:
      inside = tf.range(samples) < tf.expand_dims(lengths, 1)
      fill_value = tf.constant(value, signals.dtype)
      return tf.where(tf.expand_dims(inside, 1), signals, fill_value)

    return _unless(tf.reduce_min(lengths) >= samples, signals, replace)


def place(
  signals: tf.Tensor,
  lengths: tf.Tensor,
  frame_length: int,
  frame_step: int,
  padding: str,
  name: str | None = None,
) -> tf.Tensor:
  """Pads each clip where it ends, and where it would begin alone.

  "same" padding moves each clip by its own number of samples, and reflection
  happens at its own end, so that every sample is looked up.

  Args:
    signals: `[batch, channels, samples]`.
    lengths: Valid samples of each clip, int32 `[batch]`, in `[0, samples]`.
    frame_length: Samples in a frame.
    frame_step: Samples between the starts of two frames.
    padding: "same", or "center" for reflection.
    name: Name scope of the operation.

  Returns:
    `[batch, channels, (num_frames - 1) * frame_step + frame_length]` with the
    `num_frames` of a clip of `samples` samples. What its frames do not cover is
    left out, and what lies behind those of a shorter clip is finite.
  """
  with tf.name_scope(name or "place"):
    lengths = tf.expand_dims(lengths, 1)
    samples = shape_ops.dims(signals)[-1]
    maximum = max if isinstance(samples, int) else tf.maximum
    layout = (frame_length, frame_step, padding)
    frames = framing.num_frames(samples, *layout, maximum)
    covered = (frames - 1) * frame_step + frame_length
    if padding == "same":
      own_frames = framing.num_frames(lengths, *layout, tf.maximum)
      own_covered = (own_frames - 1) * frame_step + frame_length
      index = tf.range(covered) - tf.maximum(own_covered - lengths, 0) // 2
      is_sample = (index >= 0) & (index < lengths)
    else:
      margin = frame_length // 2
      index = tf.range(covered) - margin
      is_sample = (lengths > 0) & (index < lengths + margin)
      index = _reflect(index, lengths)
    # One sample more, since there may be none to take.
    signals = tf.pad(signals, [[0, 0], [0, 0], [0, 1]])
    index = tf.clip_by_value(index, 0, samples)
    found = tf.gather(signals, index, axis=2, batch_dims=1)
    return tf.where(tf.expand_dims(is_sample, 1), found, tf.zeros_like(found))


def mask_frames(
  values: tf.Tensor,
  num_frames: tf.Tensor,
  value: float,
  name: str | None = None,
) -> tf.Tensor:
  """Replaces the frames behind the last one of each clip.

  Args:
    values: `[batch, channels, frames, features]`.
    num_frames: Frames of each clip, int32 `[batch]`.
    value: What stands behind them.
    name: Name scope of the operation.

  Returns:
    `[batch, channels, frames, features]`.
  """
  with tf.name_scope(name or "mask_frames"):
    frames = shape_ops.dims(values)[-2]

    def replace() -> tf.Tensor:
      inside = tf.range(frames) < tf.expand_dims(num_frames, 1)
      inside = tf.expand_dims(tf.expand_dims(inside, 1), 3)
      return tf.where(inside, values, tf.constant(value, values.dtype))

    return _unless(tf.reduce_min(num_frames) >= frames, values, replace)


def _unless(
  is_whole: tf.Tensor, values: tf.Tensor, replace: Callable[[], tf.Tensor]
) -> tf.Tensor:
  """Returns replaced values, which a graph copies only if it must."""
  # XLA fuses it, and derivatives of derivatives want no branches.
  if (
    tf.executing_eagerly()
    or devices.is_compiled()
    or devices.is_tpu()
    or devices.is_vectorized()
    or devices.has_tangents([values])
  ):
    return replace()
  return tf.cond(is_whole, lambda: values, replace)


def _reflect(index: tf.Tensor, samples: int | tf.Tensor) -> tf.Tensor:
  """Returns where a clip is reflected to, again and again, at each index."""
  period = 2 * tf.maximum(samples - 1, 0)
  # A clip of one sample repeats it.
  phase = tf.math.floormod(index, tf.maximum(period, 1))
  return tf.minimum(phase, period - phase)
