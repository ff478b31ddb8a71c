"""Shifts and scales of features."""

import numpy as np
import tensorflow as tf

from tfspec.ops import length_ops, shape_ops


def of_clip(
  values: tf.Tensor,
  num_frames: tf.Tensor | None = None,
  unit_variance: bool = True,
  ddof: int = 0,
  epsilon: float = 1e-5,
  epsilon_of: str = "std",
  name: str | None = None,
) -> tf.Tensor:
  """Normalises each feature of a clip by its mean and standard deviation.

  Args:
    values: `[..., frames, features]`, with `num_frames`
      `[batch, channels, frames, features]`; float32 or float64.
    num_frames: How many frames of each clip are its own, int32 `[batch]`; None:
      all. Others do not enter the statistics.
    unit_variance: Whether to divide by the standard deviation.
    ddof: The variance is a sum over `frames - ddof` frames, 0 or 1, but at
      least over one.
    epsilon: What keeps the divisor from 0.
    epsilon_of: What it is added to, "std" or "variance".
    name: Name scope of the operation.

  Returns:
    The shape of `values`. Frames that are not a clip's own hold anything.
  """
  with tf.name_scope(name or "normalization"):
    if num_frames is None:
      count = shape_ops.dims(values)[-2]
    else:
      count = num_frames[:, tf.newaxis, tf.newaxis, tf.newaxis]

    def mean(terms: tf.Tensor, less: int) -> tf.Tensor:
      if num_frames is not None:
        terms = length_ops.mask_frames(terms, num_frames, 0.0)
      total = tf.reduce_sum(terms, axis=-2, keepdims=True)
      return total / tf.cast(tf.maximum(count - less, 1), values.dtype)

    # The first mean is rounded. Of a clip that hardly varies, the divisor would
    # make that large; the second one takes it away.
    for _ in range(2):
      values -= mean(values, 0)
    if not unit_variance:
      return values
    variance = mean(tf.square(values), ddof)
    if epsilon_of == "variance":
      return values / tf.sqrt(variance + epsilon)
    # A root has no gradient at 0. Where the variance is, the gradient is 0.
    tiny = np.finfo(values.dtype.as_numpy_dtype).tiny
    return values / (tf.sqrt(tf.maximum(variance, tiny)) + epsilon)
