"""The stage that makes the range of non-negative values smaller."""

import dataclasses
import math
from typing import Any, ClassVar

import numpy as np

from tfspec.config import fields
from tfspec.config.fields import Choice, Number, declare


@dataclasses.dataclass(frozen=True)
class Compression(fields.ValueStage):
  """A function of each value, and a limit for quiet ones.

  The mode must be "power", "magnitude" or "psd", and "magnitude" then has no
  floor. The function is of `m = max(value + offset, floor)`.

  Attributes:
    kind: "log" for `ln(m) / ln(base)`, "decibel" for
      `10 log10(m / reference)`, or 20 in mode "magnitude", "power" for
      `m ** exponent`.
    floor: The smallest `m`, in `[1e-36, 1e18]`, in mode "magnitude" at least
      1e-18.
    offset: What is added to a value, in `[0, 1e18]`.
    base: The base of "log", in `[1.001, 1e6]`.
    reference: The value of 0 dB for "decibel", in `[1e-36, 1e18]`.
    exponent: The exponent of "power", in `[1e-3, 10]`.
    dynamic_range: How far below the peak a result may be, in its own unit, say
      80 for "decibel": lower ones are raised to that. None: no limit.
    peak: What `dynamic_range` is counted from. None: the largest result of the
      own frames of a clip, each channel for itself. A NaN in a clip then
      spoils all of it.

  Raises:
    ValueError: If a value breaks a rule.
    TypeError: If a value is of the wrong type.

  Example:
    >>> config = tfspec.SpectrogramConfig(
    ...   mode="power", compression=Compression(kind="decibel", floor=1e-8)
    ... )
    >>> config.silence
    -80.0
  """

  PATH: ClassVar[str] = "compression"
  OF_POWER: ClassVar[bool] = True

  kind: str = declare(
    "log",
    Choice(("log", "decibel", "power")),
    "A value is another function of the power.",
  )
  floor: float = declare(
    1e-10,
    Number(1e-36, 1e18),
    "Quiet values are raised to another level.",
    is_inert=lambda stage: stage.floor <= stage.offset,
  )
  offset: float = declare(
    0.0, Number(0.0, 1e18), "Quiet values change, loud ones hardly."
  )
  base: float = declare(
    math.e,
    Number(1.001, 1e6),
    "Every value changes by one factor.",
    is_inert=lambda stage: stage.kind != "log",
  )
  reference: float = declare(
    1.0,
    Number(1e-36, 1e18),
    "Every value changes by one constant.",
    is_inert=lambda stage: stage.kind != "decibel",
  )
  exponent: float = declare(
    0.5,
    Number(1e-3, 10.0),
    "Every value changes.",
    is_inert=lambda stage: stage.kind != "power",
  )
  dynamic_range: float | None = declare(
    None, Number(0.0, 1e18), "Quiet values are raised to another level."
  )
  peak: float | None = declare(
    None, Number(-1e18, 1e18), "Quiet values are raised to another level."
  )

  def check(self, config: Any) -> None:
    """Checks the fields beside those of the config."""
    super().check(config)
    if config.mode == "magnitude" and self.floor < 1e-18:
      raise ValueError(
        "compression.floor must be at least 1e-18 in mode 'magnitude': the "
        "square of a smaller one is 0 in float32. Got: "
        f"compression.floor={self.floor:g}."
      )
    if self.kind == "power":
      least = max(self.floor, self.offset)
      if not -30 <= self.exponent * math.log10(least) <= 18:
        raise ValueError(
          "compression.floor ** compression.exponent must be in [1e-30, 1e18]. "
          f"Got: compression.floor={self.floor:g}, "
          f"compression.offset={self.offset:g}, "
          f"compression.exponent={self.exponent:g}."
        )
    if self.peak is not None and self.dynamic_range is None:
      raise ValueError(
        "compression.peak must be None without compression.dynamic_range. Got: "
        f"compression.peak={self.peak}."
      )

  @property
  def is_of_frames(self) -> bool:
    """Whether the limit is none, or below a constant."""
    return self.dynamic_range is None or self.peak is not None

  def function(self, config: Any) -> tuple[float, float]:
    """Returns the factor and the constant of `factor * ln(m) + constant`.

    The kind "power" has no such form.
    """
    if self.kind == "log":
      return 1.0 / math.log(self.base), 0.0
    factor = (20.0 if config.mode == "magnitude" else 10.0) / math.log(10.0)
    return factor, -factor * math.log(self.reference)

  def apply(self, values: np.ndarray, config: Any) -> np.ndarray:
    """Returns the function of each value, limited."""
    return self._limited(self.compress(values, config))

  def bound(
    self, values: np.ndarray, bound: np.ndarray, unit: float, config: Any
  ) -> np.ndarray:
    """The function rises: it maps the ends of an interval to its ends."""
    exact = self.compress(values, config)
    low, high = (
      self.compress(np.maximum(v, 0.0), config)
      for v in (values - bound, values + bound)
    )
    # The argument of a logarithm is rounded, the logarithm, and the factor.
    off = np.maximum(high - exact, exact - low)
    if self.kind == "power":
      turns = self.exponent * np.abs(np.log(np.maximum(high, 1e-300)))
      off += 8 * unit * (1.0 + self.exponent + turns) * np.abs(high)
    else:
      factor, constant = self.function(config)
      off += 4 * unit * (abs(factor) + abs(constant) + np.abs(exact))
    result = self._limited(exact)
    low, high = (self._limited(v) for v in (exact - off, exact + off))
    return np.maximum(high - result, result - low)

  def compress(self, values: np.ndarray, config: Any) -> np.ndarray:
    """Returns the function of each value, without the limit."""
    values = np.maximum(values + self.offset, self.floor)
    if self.kind == "power":
      return values**self.exponent
    if self.kind == "decibel":
      decibels = 20.0 if config.mode == "magnitude" else 10.0
      return decibels * (np.log10(values) - math.log10(self.reference))
    if self.base == 10.0:
      return np.log10(values)
    return np.log(values) / math.log(self.base)

  def _limited(self, values: np.ndarray) -> np.ndarray:
    if self.dynamic_range is None:
      return values
    peak = self.peak
    if peak is None:
      peak = np.max(values, initial=-np.inf)
    return np.maximum(values, peak - self.dynamic_range)
