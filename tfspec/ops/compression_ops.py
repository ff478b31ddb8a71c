"""Functions that make the range of non-negative values smaller.

They are of `m = max(values + offset, floor)`. What they give for values of 0 is
the same on all devices: it is computed before, and not by the device.
"""

import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfspec.ops import shape_ops


def log(
  values: tf.Tensor,
  floor: float = 1e-10,
  offset: float = 0.0,
  factor: float = 1.0,
  constant: float = 0.0,
  least: float | None = None,
  name: str | None = None,
) -> tf.Tensor:
  """Returns `factor * ln(m) + constant`.

  The gradient is 0 where a value is below the floor.

  Args:
    values: A tensor of values of at least 0, float32 or float64.
    floor: The smallest `m`, in `[1e-36, 1e18]`.
    offset: What is added to the values, at least 0.
    factor: A positive factor: `10 / ln(10)` for decibels of power.
    constant: What is added to the result.
    least: The result for values of 0; None: computed here.
    name: Name scope of the operation.

  Returns:
    The shape of `values`.
  """

  def function(m: tf.Tensor) -> tf.Tensor:
    result = tf.math.log(m)
    if factor != 1.0:
      result *= factor
    return result + constant if constant else result

  with tf.name_scope(name or "log"):
    if least is None:
      least = factor * math.log(max(floor, offset)) + constant
    return _above(function, values, floor, offset, least)


def power_law(
  values: tf.Tensor,
  exponent: float,
  floor: float = 1e-10,
  offset: float = 0.0,
  least: float | None = None,
  name: str | None = None,
) -> tf.Tensor:
  """Returns `m ** exponent`.

  Args:
    values: A tensor of values of at least 0, float32 or float64.
    exponent: A positive number.
    floor: The smallest `m`, in `[1e-36, 1e18]`.
    offset: What is added to the values, at least 0.
    least: The result for values of 0; None: computed here.
    name: Name scope of the operation.

  Returns:
    The shape of `values`.
  """
  with tf.name_scope(name or "power_law"):
    if least is None:
      least = max(floor, offset) ** exponent
    return _above(
      lambda m: tf.pow(m, tf.constant(exponent, m.dtype)),
      values,
      floor,
      offset,
      least,
    )


def limit_range(
  values: tf.Tensor,
  dynamic_range: float,
  peak: float | None = None,
  num_frames: tf.Tensor | None = None,
  name: str | None = None,
) -> tf.Tensor:
  """Raises what is further below the peak than a limit.

  Args:
    values: `[..., frames, features]`, with `num_frames`
      `[batch, channels, frames, features]`.
    dynamic_range: How far below the peak a value may be.
    peak: The peak. None: the largest value of the frames of each clip and
      channel.
    num_frames: How many frames of each clip are its own, int32 `[batch]`; None:
      all. Others do not enter the peak.
    name: Name scope of the operation.

  Returns:
    The shape of `values`.
  """
  with tf.name_scope(name or "limit_range"):
    if peak is not None:
      return tf.maximum(values, peak - dynamic_range)
    own = values
    if num_frames is not None:
      frames = shape_ops.dims(values)[-2]
      inside = tf.range(frames) < tf.expand_dims(num_frames, 1)
      inside = inside[:, tf.newaxis, :, tf.newaxis]
      lowest = np.finfo(values.dtype.as_numpy_dtype).min
      own = tf.where(inside, values, tf.constant(lowest, values.dtype))
    highest = tf.reduce_max(own, axis=[-2, -1], keepdims=True)
    return tf.maximum(values, highest - dynamic_range)


def _above(
  function: Callable[[tf.Tensor], tf.Tensor],
  values: tf.Tensor,
  floor: float,
  offset: float,
  least: float,
) -> tf.Tensor:
  """Returns a rising function of `m`, exactly `least` where `m` is least."""
  if offset >= floor:  # It is the floor of values of 0.
    # A NaN is not equal to 0, and stays.
    silence = tf.constant(least, values.dtype)
    return tf.where(tf.equal(values, 0.0), silence, function(values + offset))
  if offset:
    values += offset
  # Half of it, so that the second maximum decides; the first one only keeps out
  # what the function is not defined for.
  return tf.maximum(function(tf.maximum(values, 0.5 * floor)), least)
