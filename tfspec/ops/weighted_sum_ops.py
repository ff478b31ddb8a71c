"""Weighted sums of the values of a frame: filter banks and cepstra."""

import numpy as np
import tensorflow as tf

from tfspec.coefficients import filter_banks
from tfspec.ops.engines import kernel

# Values are cut to those with a weight if these are so few: a cut is a copy,
# which takes a third of the time of the product of all.
_SHARE = 0.7


def weighted_sums(
  values: tf.Tensor,
  weights: np.ndarray,
  precision: str = "default",
  name: str | None = None,
) -> tf.Tensor:
  """Returns weighted sums of the values of each frame.

  Where few values have a weight, those before the first and behind the last one
  are not read.

  Args:
    values: `[..., num_values]`, float32 or float64.
    weights: Float64 `[num_values, num_sums]`, as `tfspec.mel_filter_bank` and
      `tfspec.dct_matrix` make them.
    precision: "default", "high" or "highest": what is asked of devices that
      round the operands of products.
    name: Name scope of the operation.

  Returns:
    `[..., num_sums]`.
  """
  with tf.name_scope(name or "weighted_sums"):
    first, last = filter_banks.used_bins(weights)
    if last - first <= _SHARE * len(weights):
      weights = weights[first:last]
      values = values[..., first:last]
    matrix = tf.constant(weights, values.dtype)
    if precision != "default":
      return kernel.precise_product(values, matrix, precision)
    return tf.tensordot(values, matrix, 1)
