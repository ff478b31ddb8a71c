"""Cosines: the matrix that turns the bands of a frame into its cepstrum."""

import numpy as np

from tfspec.coefficients import rules

CHOICES = {"dct_norm": ("ortho", "htk")}


def dct_matrix(
  num_features: int,
  num_coefficients: int,
  dct_norm: str = "ortho",
  lifter: float = 0.0,
  lifter_start: int = 0,
) -> np.ndarray:
  """Returns the discrete cosine transform of type II, weighted.

  Entry `[j, k]` is `scale[k] * weight[k] * cos(pi * k * (j + 1/2) / N)`. Angles
  are reduced as integers, so that they are exact.

  Args:
    num_features: `N`, the number of values, in `[1, 8192]`.
    num_coefficients: How many coefficients, in `[1, num_features]`.
    dct_norm: "ortho" scales by `sqrt(2 / N)`, and coefficient 0 by
      `sqrt(1 / N)`; "htk" scales all by `sqrt(2 / N)`, as HTK [1] and
      `tf.signal.mfccs_from_log_mel_spectrograms` do.
    lifter: `L` in the weights `1 + L / 2 * sin(pi * n / L)` [1], in
      `[0, 1e6]`; 0 for none.
    lifter_start: The `n` of coefficient 0: 0, as HTK and Kaldi have it, or 1,
      as librosa has it.

  Returns:
    Float64 `[num_features, num_coefficients]`.

  Raises:
    ValueError: If a value breaks a rule.
    TypeError: If a value is of the wrong type.

  Example:
    >>> np.round(dct_matrix(2, 2), 4).tolist()
    [[0.7071, 0.7071], [0.7071, -0.7071]]

  References:
    [1]: S. Young et al., "The HTK Book", version 3.4, 2006, sections 5.3 and
      5.6.2.
  """
  num_features = rules.check_integer("num_features", num_features)
  rules.check_range("num_features", num_features, 1, 8192)
  num_coefficients = rules.check_integer("num_coefficients", num_coefficients)
  rules.check_range(
    "num_coefficients", num_coefficients, 1, num_features, "num_features"
  )
  rules.check_choice("dct_norm", dct_norm, CHOICES["dct_norm"])
  lifter = rules.check_number("lifter", lifter)
  rules.check_range("lifter", lifter, 0.0, 1e6)
  lifter_start = rules.check_integer("lifter_start", lifter_start)
  rules.check_range("lifter_start", lifter_start, 0, 1)
  k = np.arange(num_coefficients)
  turns = np.outer(2 * np.arange(num_features) + 1, k) % (4 * num_features)
  scale = np.full(num_coefficients, np.sqrt(2.0 / num_features))
  if dct_norm == "ortho":
    scale[0] = np.sqrt(1.0 / num_features)
  if lifter:
    scale *= 1.0 + lifter / 2.0 * np.sin(np.pi * (k + lifter_start) / lifter)
  return np.cos(np.pi * turns / (2 * num_features)) * scale
