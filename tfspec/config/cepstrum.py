"""The stage that turns the values of a frame into cepstral coefficients."""

import dataclasses
from typing import Any, ClassVar

import numpy as np

from tfspec.coefficients import cosines
from tfspec.config import fields
from tfspec.config.fields import Choice, Integer, Number, declare


@dataclasses.dataclass(frozen=True)
class Cepstrum(fields.ValueStage):
  """The first coefficients of the discrete cosine transform (DCT-II).

  Of the logarithms of the bands of a mel filter bank they are called MFCCs.
  `tfspec.dct_matrix` has the formula and its sources.

  Attributes:
    num_coefficients: How many, in `[1, 8192]`, at most the number of values.
    dct_norm: "ortho" (an orthogonal matrix) or "htk" (coefficient 0 is
      `sqrt(2)` times as large).
    lifter: `L` in the weights `1 + L / 2 * sin(pi * n / L)`, in `[0, 1e6]`; 0
      for none.
    lifter_start: The `n` of coefficient 0: 0 (Kaldi) or 1 (librosa).

  Raises:
    ValueError: If a value breaks a rule. `SpectrogramConfig` checks the number
      of values.
    TypeError: If a value is of the wrong type.

  Example:
    >>> config = tfspec.SpectrogramConfig(
    ...   mode="power", compression=tfspec.Compression(), cepstrum=Cepstrum(20)
    ... )
    >>> config.num_features
    20
  """

  PATH: ClassVar[str] = "cepstrum"

  num_coefficients: int = declare(
    13, Integer(1, 8192), "There are more or fewer coefficients."
  )
  dct_norm: str = declare(
    "ortho",
    Choice(cosines.CHOICES["dct_norm"]),
    "Coefficient 0 changes by one factor.",
  )
  lifter: float = declare(
    0.0, Number(0.0, 1e6), "Each coefficient changes by a factor of its own."
  )
  lifter_start: int = declare(
    0,
    Integer(0, 1),
    "Each coefficient changes by a factor of its own.",
    is_inert=lambda stage: stage.lifter == 0.0,
  )

  def check(self, config: Any) -> None:
    """Checks the fields beside those of the config."""
    super().check(config)
    features = self._inputs(config)
    if self.num_coefficients > features:
      raise ValueError(
        f"{self.PATH}.num_coefficients must be at most the number of values of "
        f"a frame. Got: {self.PATH}.num_coefficients={self.num_coefficients}, "
        f"{features} values."
      )
    if features > 8192:
      raise ValueError(
        f"{self.PATH} must have at most 8192 values of a frame. Got: "
        f"{features}."
      )

  def weights(self, config: Any) -> np.ndarray:
    """Returns the matrix, float64 `[num_features, num_coefficients]`."""
    return cosines.dct_matrix(
      self._inputs(config),
      self.num_coefficients,
      self.dct_norm,
      self.lifter,
      self.lifter_start,
    )

  def _inputs(self, config: Any) -> int:
    return config.features_before(self)

  def num_features(self, features: int) -> int:
    """Returns the number of coefficients."""
    del features
    return self.num_coefficients

  def apply(self, values: np.ndarray, config: Any) -> np.ndarray:
    """Returns the coefficients, `[num_frames, num_coefficients]`."""
    return values @ self.weights(config)

  def bound(
    self, values: np.ndarray, bound: np.ndarray, unit: float, config: Any
  ) -> np.ndarray:
    """Magnitudes of the weights add the bounds up.

    The terms cancel out, so that rounding is relative to their magnitudes.
    """
    weights = np.abs(self.weights(config))
    terms = len(weights) + 2
    return bound @ weights + terms * unit * (np.abs(values) @ weights)
