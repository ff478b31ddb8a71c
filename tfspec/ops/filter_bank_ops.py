"""Filter banks, which add up the bins of a frame to bands."""

import numpy as np
import tensorflow as tf

from tfspec.coefficients import filter_banks


def apply_filter_bank(
  values: tf.Tensor, weights: np.ndarray, name: str | None = None
) -> tf.Tensor:
  """Returns the weighted sums of the bins.

  Bins that no filter uses are not read.

  Args:
    values: `[..., num_bins]`, float32 or float64.
    weights: Float64 `[num_bins, num_bands]`, as `tfspec.mel_filter_bank` makes
      it.
    name: Name scope of the operation.

  Returns:
    `[..., num_bands]`.
  """
  with tf.name_scope(name or "filter_bank"):
    first, last = filter_banks.used_bins(weights)
    matrix = tf.constant(weights[first:last], values.dtype)
    return tf.tensordot(values[..., first:last], matrix, 1)
