"""The stage that puts the slopes of features beside them."""

import dataclasses
from typing import Any, ClassVar

import numpy as np

from tfspec.config import fields
from tfspec.config.fields import Integer, declare


@dataclasses.dataclass(frozen=True)
class Deltas(fields.ValueStage):
  """Slopes over time, beside the features: first all features, then slopes.

  The slope at a frame is that of the straight line through the frames around
  it, by least squares: `sum(k * x[m + k]) / sum(k**2)` for `k` in
  `[-width, width]` [1]. The first and the last frame of a clip stand for those
  beyond its ends.

  Attributes:
    order: 1 for slopes, 2 for slopes and the slopes of slopes.
    width: How many frames on each side, in `[1, 100]`.

  Raises:
    ValueError: If a value breaks a rule.
    TypeError: If a value is of the wrong type.

  Example:
    >>> ramp = np.arange(5.0)[:, np.newaxis]
    >>> Deltas(width=1).apply(ramp, None)[:, 1].tolist()
    [0.5, 1.0, 1.0, 1.0, 0.5]

  References:
    [1]: S. Young et al., "The HTK Book", version 3.4, 2006, section 5.9.
  """

  PATH: ClassVar[str] = "deltas"

  order: int = declare(2, Integer(1, 2), "There are more or fewer features.")
  width: int = declare(2, Integer(1, 100), "Slopes change.")

  @property
  def is_of_frames(self) -> bool:
    """Whether a frame is alone: it never is."""
    return False

  def num_features(self, features: int) -> int:
    """Returns the number of features and slopes."""
    return features * (1 + self.order)

  def apply(self, values: np.ndarray, config: Any) -> np.ndarray:
    """Returns the features with their slopes, `[num_frames, features]`."""
    del config
    found = [values]
    for _ in range(self.order):
      found.append(self._sum(found[-1], np.arange(-self.width, self.width + 1)))
    return np.concatenate(found, axis=-1)

  def _sum(self, values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    if not len(values):
      return values
    ends = [[self.width, self.width], [0, 0]]
    wide = np.pad(values, ends, "edge")
    total = sum(
      weight * wide[k : k + len(values)] for k, weight in enumerate(weights)
    )
    return total / np.sum(np.square(np.arange(-self.width, self.width + 1)))

  def bound(
    self, values: np.ndarray, bound: np.ndarray, unit: float, config: Any
  ) -> np.ndarray:
    """Magnitudes of the weights add the bounds up."""
    del config
    weights = np.abs(np.arange(-self.width, self.width + 1))
    terms = (len(weights) + 2) * unit
    found, sizes = [bound], [np.abs(values)]
    for _ in range(self.order):
      sizes.append(self._sum(sizes[-1], weights))
      found.append(self._sum(found[-1], weights) + terms * sizes[-1])
    return np.concatenate(found, axis=-1)
