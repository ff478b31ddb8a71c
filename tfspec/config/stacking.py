"""The stage that puts frames side by side."""

import dataclasses
from typing import Any, ClassVar

import numpy as np

from tfspec.config import fields
from tfspec.config.fields import Integer, declare


@dataclasses.dataclass(frozen=True)
class Stacking(fields.ValueStage):
  """Some frames side by side make one: fewer frames of more features.

  Stack `m` holds the frames `m * step` to `m * step + size - 1`, one behind the
  other. Frames at the end of a clip that fill no stack are left out.

  Attributes:
    size: Frames in a stack, in `[1, 100]`.
    step: Frames between the starts of two stacks, in `[1, 100]`.

  Raises:
    ValueError: If a value breaks a rule.
    TypeError: If a value is of the wrong type.

  Example:
    >>> values = np.arange(5)[:, np.newaxis]
    >>> Stacking(size=2, step=2).apply(values, None).tolist()
    [[0, 1], [2, 3]]
  """

  PATH: ClassVar[str] = "stacking"

  size: int = declare(2, Integer(1, 100), "There are more or fewer features.")
  step: int = declare(2, Integer(1, 100), "A clip has more or fewer frames.")

  def check(self, config: Any) -> None:
    """Checks the fields beside those of the config."""
    super().check(config)
    if self.size == self.step == 1:
      raise ValueError(
        f"{self.PATH} must put frames together or leave some out. Got: "
        f"{self.PATH}.size=1, {self.PATH}.step=1."
      )

  @property
  def is_of_frames(self) -> bool:
    """Whether a frame is alone: it never is."""
    return False

  def num_features(self, features: int) -> int:
    """Returns the number of features of a stack."""
    return features * self.size

  def num_frames(self, frames: Any, maximum: Any = max) -> Any:
    """Returns how many stacks so many frames make, of the type of `frames`."""
    return maximum((frames - self.size) // self.step + 1, 0)

  def apply(self, values: np.ndarray, config: Any) -> np.ndarray:
    """Returns the stacks, `[num_stacks, size * features]`."""
    del config
    count = self.num_frames(len(values))
    rows = self.step * np.arange(count)[:, np.newaxis] + np.arange(self.size)
    return values[rows].reshape(count, self.size * values.shape[1])

  def bound(
    self, values: np.ndarray, bound: np.ndarray, unit: float, config: Any
  ) -> np.ndarray:
    """Bounds move with their values."""
    return self.apply(bound, config)
