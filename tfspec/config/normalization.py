"""The stage that shifts and scales each feature."""

import dataclasses
import math
from typing import Any, ClassVar

import numpy as np

from tfspec.coefficients import rules
from tfspec.config import fields
from tfspec.config.fields import (
  Choice,
  Flag,
  Integer,
  Number,
  Numbers,
  declare,
)


def _has_constants(stage: Any) -> bool:
  return stage.source == "constants"


def _has_no_divisor(stage: Any) -> bool:
  return _has_constants(stage) or not stage.unit_variance


@dataclasses.dataclass(frozen=True)
class Normalization(fields.ValueStage):
  """`(value - mean) / std`, with constants or with those of the clip itself.

  The statistics of a clip are those of its own frames, for each feature and
  each channel by itself. They do not depend on the rest of a batch.

  Attributes:
    source: "constants" or "clip".
    mean: What is subtracted with "constants", in `[-1e9, 1e9]`: one number, or
      one a feature.
    std: What the difference is divided by with "constants", in `[1e-9, 1e9]`:
      one number, or one a feature.
    unit_variance: Whether "clip" divides. False: it subtracts the mean alone.
    ddof: The variance of a clip is a sum over `num_frames - ddof` frames, 0 or
      1, but at least over one.
    epsilon: What keeps the divisor from 0, in `[1e-12, 1e6]`.
    epsilon_of: What `epsilon` is added to: "std" or "variance".

  Raises:
    ValueError: If a value breaks a rule. `SpectrogramConfig` checks the number
      of constants.
    TypeError: If a value is of the wrong type.

  Example:
    >>> stage = Normalization("clip", epsilon=1e-12)
    >>> stage.apply(np.array([[1.0], [3.0]]), None).round(6).tolist()
    [[-1.0], [1.0]]
  """

  PATH: ClassVar[str] = "normalization"

  source: str = declare(
    "constants",
    Choice(("constants", "clip")),
    "Every value changes.",
  )
  mean: float | tuple[float, ...] = declare(
    0.0,
    Numbers(-1e9, 1e9),
    "Values change by a constant.",
    is_inert=lambda stage: not _has_constants(stage),
  )
  std: float | tuple[float, ...] = declare(
    1.0,
    Numbers(1e-9, 1e9),
    "Values change by a factor.",
    is_inert=lambda stage: not _has_constants(stage),
  )
  unit_variance: bool = declare(
    True,
    Flag(),
    "Values of each clip change by a factor.",
    is_inert=_has_constants,
  )
  ddof: int = declare(
    0,
    Integer(0, 1),
    "Values of short clips change by a factor.",
    is_inert=_has_no_divisor,
  )
  epsilon: float = declare(
    1e-5,
    Number(1e-12, 1e6),
    "Features that hardly vary change.",
    is_inert=_has_no_divisor,
  )
  epsilon_of: str = declare(
    "std",
    Choice(("std", "variance")),
    "Features that hardly vary change.",
    is_inert=_has_no_divisor,
  )

  def check(self, config: Any) -> None:
    """Checks the fields beside those of the config."""
    super().check(config)
    if self.source == "clip" and (self.mean, self.std) != (0.0, 1.0):
      raise ValueError(
        f"{self.PATH}.mean and {self.PATH}.std must be left out where "
        f"{self.PATH}.source is 'clip'. Got: {self.PATH}.mean="
        f"{rules.brief(self.mean)}, {self.PATH}.std={rules.brief(self.std)}."
      )
    features = config.features_before(self)
    for name, value in (("mean", self.mean), ("std", self.std)):
      if isinstance(value, tuple) and len(value) != features:
        raise ValueError(
          f"{self.PATH}.{name} must be one number, or one for each of the "
          f"{features} features. Got: {len(value)} numbers."
        )

  @property
  def is_of_frames(self) -> bool:
    """Whether the statistics are constants."""
    return _has_constants(self)

  def apply(self, values: np.ndarray, config: Any) -> np.ndarray:
    """Returns the shifted and scaled values, in the same shape."""
    del config
    if _has_constants(self):
      return (values - np.array(self.mean)) / np.array(self.std)
    if not len(values):
      return values
    values = values - np.mean(values, axis=0)
    return values / self._divisor(self._std(values))

  def _std(self, centred: np.ndarray) -> np.ndarray:
    count = max(len(centred) - self.ddof, 1)
    return np.sqrt(np.sum(np.square(centred), axis=0) / count)

  def _divisor(self, std: np.ndarray) -> np.ndarray | float:
    if not self.unit_variance:
      return 1.0
    if self.epsilon_of == "std":
      return std + self.epsilon
    return np.sqrt(np.square(std) + self.epsilon)

  def bound(
    self, values: np.ndarray, bound: np.ndarray, unit: float, config: Any
  ) -> np.ndarray:
    """A mean is off by the mean of the bounds, a deviation by their root.

    The deviation of a sum of two is at most the sum of their deviations.
    """
    if _has_constants(self):
      std, mean = np.array(self.std), np.array(self.mean)
      return (bound + 4 * unit * (np.abs(values) + np.abs(mean))) / std
    if not len(values):
      return bound
    # Each of the sums rounds once a frame. The rounding of a first mean, which
    # is relative to the values, is taken away by a second one.
    terms = (len(values) + 4) * unit
    centred = values - np.mean(values, axis=0)
    off = bound + np.mean(bound, axis=0) + 2 * unit * np.abs(centred)
    off = off + terms * np.mean(np.abs(centred), axis=0)
    off = off + terms**2 * np.mean(np.abs(values), axis=0)
    result = self.apply(values, config)
    std = self._std(centred)
    std_off = self._std(off) + terms * std if self.unit_variance else 0.0
    low = self._divisor(np.maximum(std - std_off, 0.0))
    bound = (off + np.abs(result) * std_off) / low + 4 * unit * np.abs(result)
    if not self.unit_variance:
      return bound
    # No value is further from the mean than all deviations together.
    most = math.sqrt(len(values)) * (1.0 + 1e-6)
    return np.minimum(bound, np.abs(result) + most)
