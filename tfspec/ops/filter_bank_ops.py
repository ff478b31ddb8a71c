"""Filter banks, which add up the bins of a frame to bands."""

import numpy as np
import tensorflow as tf

from tfspec.coefficients import filter_banks
from tfspec.ops.engines import kernel


def apply_filter_bank(
  values: tf.Tensor,
  weights: np.ndarray,
  precision: str = "default",
  name: str | None = None,
) -> tf.Tensor:
  """Returns the weighted sums of the bins.

  Bins that no filter uses are not read.

  Args:
    values: `[..., num_bins]`, float32 or float64.
    weights: Float64 `[num_bins, num_bands]`, as `tfspec.mel_filter_bank` makes
      it.
    precision: "default", "high" or "highest": what is asked of devices that
      round the operands of products.
    name: Name scope of the operation.

  Returns:
    `[..., num_bands]`.
  """
  with tf.name_scope(name or "filter_bank"):
    first, last = filter_banks.used_bins(weights)
    matrix = tf.constant(weights[first:last], values.dtype)
    values = values[..., first:last]
    if precision != "default":
      return kernel.precise_product(values, matrix, precision)
    return tf.tensordot(values, matrix, 1)
