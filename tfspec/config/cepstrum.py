"""The stage that turns the values of a frame into cepstral coefficients."""

import dataclasses
from typing import Any, ClassVar

import numpy as np

from tfspec.coefficients import cosines
from tfspec.config import fields
from tfspec.config.fields import Choice, Flag, Integer, Number, declare

# The least energy: the epsilon of float32, as Kaldi has it.
LEAST_ENERGY = 2.0**-23


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
    energy: Whether the logarithm of the energy of a frame takes the place of
      coefficient 0, as in Kaldi: of `max(sum(x**2), 2**-23)`, `x` being the
      samples after the removal of DC, and before pre-emphasis of the frame and
      the window.

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
  energy: bool = declare(False, Flag(), "Coefficient 0 is another value.")

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
    """Returns the coefficients, `[num_frames, num_coefficients]`.

    With `energy` the values have a column more, `log_energy`.
    """
    if not self.energy:
      return values @ self.weights(config)
    result = values[:, :-1] @ self.weights(config)
    result[:, 0] = values[:, -1]
    return result

  def bound(
    self, values: np.ndarray, bound: np.ndarray, unit: float, config: Any
  ) -> np.ndarray:
    """Magnitudes of the weights add the bounds up.

    The terms cancel out, so that rounding is relative to their magnitudes.
    """
    weights = np.abs(self.weights(config))
    inputs = slice(None, len(weights))
    terms = len(weights) + 2
    size = np.abs(values[:, inputs]) @ weights
    result = bound[:, inputs] @ weights + terms * unit * size
    if self.energy:
      result[:, 0] = bound[:, -1]
    return result


def log_energy(
  energies: np.ndarray, unit: float
) -> tuple[np.ndarray, np.ndarray]:
  """Returns the logarithms of energies, and how far they may be off.

  Args:
    energies: `[num_frames, 2]`: the sum of the squares of a frame, and that
      before the removal of DC, whose rounding is relative to it.
    unit: See `ValueStage.bound`.

  Returns:
    Two arrays `[num_frames, 1]`.
  """
  exact, before = energies[:, :1], energies[:, 1:]
  # Each sample is off by some units of what it was, as is each square.
  off = 8 * unit * np.sqrt(before)
  off = 2 * np.sqrt(exact) * off + np.square(off) + 512 * unit * exact
  low, middle, high = (
    np.log(np.maximum(value, LEAST_ENERGY))
    for value in (exact - off, exact, exact + off)
  )
  rounding = 8 * unit * (1.0 + np.abs(middle))
  return middle, np.maximum(high - middle, middle - low) + rounding
