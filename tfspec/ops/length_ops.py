"""The lengths of clips that are shorter than their batch."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfspec.ops import check_ops, shape_ops
from tfspec.ops.engines import devices


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
    ValueError: If they have another shape, or one of them is known not to be in
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
    mask: Booleans `[batch, samples]`, first True, then False in each clip.

  Returns:
    Int32 `[batch]`.

  Raises:
    tf.errors.InvalidArgumentError: When run, if a True stands behind a False.
      XLA leaves the check out, and counts all samples up to the last True.
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


def mask_frames(
  values: tf.Tensor,
  num_frames: tf.Tensor,
  value: float | tuple[float, ...],
  name: str | None = None,
) -> tf.Tensor:
  """Replaces the frames behind the last one of each clip.

  Args:
    values: `[batch, channels, frames, features]`.
    num_frames: Frames of each clip, int32 `[batch]`.
    value: The new padding, one number or one a feature.
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

    return unless(tf.reduce_min(num_frames) >= frames, values, replace)


def unless(
  is_whole: tf.Tensor, values: tf.Tensor, replace: Callable[[], tf.Tensor]
) -> tf.Tensor:
  """Returns replaced values, which a graph copies only if it must.

  Args:
    is_whole: Whether nothing is to be replaced.
    values: The values.
    replace: Returns the values with some of them replaced.
  """
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
