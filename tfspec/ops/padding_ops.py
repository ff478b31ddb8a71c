"""The padding of clips at their ends. Start at `pad`.

Signals are `[..., samples]`, or with lengths `[batch, channels, samples]`. What
these functions return is cut into frames with "valid" padding.
"""

import tensorflow as tf

from tfspec.coefficients import framing
from tfspec.ops import length_ops, shape_ops


def pad(
  signals: tf.Tensor,
  frame_length: int,
  frame_step: int,
  padding: str,
  pad_mode: str | None = None,
  pad_value: float | None = None,
  lengths: tf.Tensor | None = None,
  name: str | None = None,
) -> tf.Tensor:
  """Returns signals whose "valid" frames are those of a padding.

  Args:
    signals: `[..., samples]`, with lengths `[batch, channels, samples]`.
    frame_length: Samples in a frame.
    frame_step: Samples between the starts of two frames.
    padding: "valid", "same" or "center".
    pad_mode: What "center" adds: "reflect" (as None) or "constant".
    pad_value: The sample that "constant" adds; None: 0.0.
    lengths: Valid samples of each clip, int32 `[batch]`, in `[0, samples]`, or
      None: all.
    name: Name scope of the operation.

  Returns:
    The padded signals. With lengths, they hold nothing of what was behind the
    end of a clip.
  """
  with tf.name_scope(name or "pad"):
    reflects = padding == "center" and pad_mode != "constant"
    if lengths is not None:
      if padding == "same" or reflects:
        return place(signals, lengths, frame_length, frame_step, padding)
      signals = fill(signals, lengths, pad_value or 0.0)
    if padding == "same":
      return same(signals, frame_length, frame_step)
    if padding == "center":
      return center(signals, frame_length, pad_mode, pad_value)
    return signals


def same(
  signals: tf.Tensor,
  frame_length: int,
  frame_step: int,
  name: str | None = None,
) -> tf.Tensor:
  """Adds zeros for a frame at each `frame_step` samples.

  Args:
    signals: `[..., samples]`.
    frame_length: Samples in a frame.
    frame_step: Samples between the starts of two frames.
    name: Name scope of the operation.

  Returns:
    `[..., (num_frames - 1) * frame_step + frame_length]`, with as many zeros
    before the clip as behind it, or one more behind.
  """
  with tf.name_scope(name or "same"):
    samples = shape_ops.dims(signals)[-1]
    missing = _missing(samples, frame_length, frame_step)
    before = missing // 2
    none = [[0, 0]] * (signals.shape.rank - 1)
    return tf.pad(signals, [*none, [before, missing - before]])


def center(
  signals: tf.Tensor,
  frame_length: int,
  pad_mode: str | None = None,
  pad_value: float | None = None,
  name: str | None = None,
) -> tf.Tensor:
  """Adds half a frame at both ends of each clip, as `numpy.pad` does.

  Args:
    signals: `[..., samples]`; `samples` may be anything, also less than half a
      frame. Clips without samples stay as they are: they have no frames.
    frame_length: Samples in a frame.
    pad_mode: "reflect" (as None) or "constant".
    pad_value: The sample that "constant" adds; None: 0.0.
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
      return tf.pad(signals, paddings, constant_values=pad_value or 0.0)
    ends = (tf.range(-margin, 0), samples + tf.range(margin))
    before, behind = (
      tf.gather(signals, _reflect(index, samples), axis=-1) for index in ends
    )
    return tf.concat([before, signals, behind], axis=-1)


def fill(
  signals: tf.Tensor,
  lengths: tf.Tensor,
  value: float,
  name: str | None = None,
) -> tf.Tensor:
  """Replaces the padding of each clip, whatever it holds.

  Args:
    signals: `[batch, channels, samples]`.
    lengths: Valid samples of each clip, int32 `[batch]`, in `[0, samples]`.
    value: The new padding.
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

    return length_ops.unless(
      tf.reduce_min(lengths) >= samples, signals, replace
    )


def place(
  signals: tf.Tensor,
  lengths: tf.Tensor,
  frame_length: int,
  frame_step: int,
  padding: str,
  name: str | None = None,
) -> tf.Tensor:
  """Pads each clip at its own ends, as if it were alone.

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
    `num_frames` of a clip of `samples` samples. It leaves out what the frames
    do not cover. The values behind the frames of a shorter clip are finite.
  """
  with tf.name_scope(name or "place"):
    lengths = tf.expand_dims(lengths, 1)
    samples = shape_ops.dims(signals)[-1]
    maximum = max if isinstance(samples, int) else tf.maximum
    frames = framing.num_frames(
      samples, frame_length, frame_step, padding, maximum
    )
    covered = (frames - 1) * frame_step + frame_length
    if padding == "same":
      before = _missing(lengths, frame_length, frame_step) // 2
      index = tf.range(covered) - before
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


def _missing(
  samples: int | tf.Tensor, frame_length: int, frame_step: int
) -> int | tf.Tensor:
  """Returns how many samples "same" padding adds."""
  # A last frame starts less than a step before the end of the clip.
  return -samples % frame_step + (frame_length - frame_step)


def _reflect(index: tf.Tensor, samples: int | tf.Tensor) -> tf.Tensor:
  """Returns where a clip is reflected to, again and again, at each index."""
  period = 2 * tf.maximum(samples - 1, 0)
  # A clip of one sample repeats it.
  phase = tf.math.floormod(index, tf.maximum(period, 1))
  return tf.minimum(phase, period - phase)
