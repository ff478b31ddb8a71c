"""The stages that may follow the transform, in their order.

Each is an optional field of `SpectrogramConfig`. What it means is written here
in NumPy float64; `spectrogram.chain` has the operation of each.
"""

import dataclasses
import math
import warnings
from typing import Any, ClassVar

import numpy as np

from tfspec.coefficients import filter_banks, rules
from tfspec.config import fields
from tfspec.config.fields import Choice, Integer, Number, declare

_NON_NEGATIVE = ("magnitude", "psd", "power")


@dataclasses.dataclass(frozen=True)
class Table:
  """Filters that are given, a matrix or pairs of a first bin and weights."""

  words = "a matrix [num_bins, num_bands]"

  def check(self, name: str, value: Any, config: Any) -> tuple[Any, ...]:
    """Returns pairs of a first bin and of weights."""
    del config
    if hasattr(value, "dtype"):
      if value.dtype.kind not in "fiu":
        raise TypeError(
          f"{name} must be a matrix of real numbers. Got: {value.dtype}."
        )
      matrix = np.asarray(value, np.float64)
      if matrix.ndim != 2 or matrix.shape[0] < matrix.shape[1]:
        raise ValueError(
          f"{name} must be a matrix [num_bins, num_bands], of no more bands "
          f"than bins. Got: shape={matrix.shape}."
        )
      value = filter_banks.to_table(matrix)
    pairs = []
    try:
      for first, weights in value:
        first = rules.check_integer(f"{name}.first_bin", first)
        found = tuple(rules.check_number(f"{name}.weight", w) for w in weights)
        pairs.append((first, found))
    except (TypeError, ValueError) as e:
      raise TypeError(
        f"{name} must be a matrix, or a first bin and weights for each band. "
        f"Got: {str(e).rstrip('.')}."
      ) from e
    if not pairs:
      raise ValueError(f"{name} must have at least one band. Got: none.")
    for first, weights in pairs:
      rules.check_range(f"{name}.first_bin", first, 0, rules.MAX_FFT_LENGTH)
      if not all(0.0 <= weight <= 1e18 for weight in weights):
        raise ValueError(
          f"{name}.weight must be in [0, 1e18]. Got: "
          f"{next(w for w in weights if not 0.0 <= w <= 1e18)}."
        )
    return tuple(pairs)

  def parse(self, text: str) -> object:
    """Refuses any text: a table has too many numbers."""
    raise ValueError(f"must come from a file. Got: {text}.")


def _of_formula(*arguments: Any, **others: Any) -> Any:
  """Declares a field of a filter bank that a table makes needless."""
  return declare(
    *arguments, is_inert=lambda bank: bank.table is not None, **others
  )


@dataclasses.dataclass(frozen=True)
class FilterBank(fields.Stage):
  """Triangular filters, whose sums replace the bins of a frame.

  The mode must be "power", "magnitude" or "psd", and "magnitude" then has no
  floor. `tfspec.mel_filter_bank` has the formulas and their sources. The sums
  are a product: a GPU rounds its operands where
  `tf.config.experimental.tensor_float_32_execution_enabled()` is true, as it is
  by default.

  Attributes:
    num_bands: Number of filters, in `[1, 8192]`.
    scale: Where the edges of the filters are equally far apart: "htk" (and
      Kaldi's, which has the same edges), "slaney" or "linear".
    slopes: What the sides are: straight lines in "hertz", on the "scale", or
      "lower", in hertz with the upper side as wide as the lower one.
    norm: None for peaks of 1, or "slaney" for weights divided by half the width
      of their filter in hertz.
    low_hz: The lower edge of the first filter, in hertz, at least 0.
    high_hz: The upper edge of the last filter, in hertz, at most
      `sample_rate_hz / 2`, which None stands for.
    first_bin: The first bin that counts; those below it have no weight.
    empty: "error" refuses a filter that has no bin between its edges, "allow"
      warns of it: its band is that of silence.
    table: The filters themselves in the place of all of these: a matrix
      `[num_bins, num_bands]`, or for each band the first bin and the weights
      from there on, in `[0, 1e18]`.

  Raises:
    ValueError: If a value breaks a rule. `SpectrogramConfig` checks what
      depends on its other fields, such as filters without a bin.
    TypeError: If a value is of the wrong type.

  Example:
    >>> bank = FilterBank(num_bands=40, scale="slaney", norm="slaney")
    >>> config = tfspec.SpectrogramConfig(
    ...   mode="power", frame_length=400, sample_rate_hz=16000, filter_bank=bank
    ... )
    >>> config.num_features
    40
  """

  PATH: ClassVar[str] = "filter_bank"

  num_bands: int = _of_formula(
    80, Integer(1, 8192), "There are other bands: every value changes."
  )
  scale: str = _of_formula(
    "htk",
    Choice(filter_banks.CHOICES["scale"]),
    "The bands lie elsewhere: every value changes.",
  )
  slopes: str = _of_formula(
    "hertz",
    Choice(filter_banks.CHOICES["slopes"]),
    "The bins of a band have other weights.",
  )
  norm: str | None = _of_formula(
    None,
    Choice(filter_banks.CHOICES["norm"]),
    "Every band changes by a factor of its own.",
  )
  low_hz: float = _of_formula(
    0.0, Number(0, 2.0**30), "The bands lie elsewhere: every value changes."
  )
  high_hz: float | None = _of_formula(
    None,
    Number(0, 2.0**30),
    "The bands lie elsewhere: every value changes.",
    unset="half of sample_rate_hz",
    derive=lambda config: config.sample_rate_hz and config.sample_rate_hz / 2,
  )
  first_bin: int = _of_formula(
    0,
    Integer(0, rules.MAX_FFT_LENGTH),
    "The lowest bands lose or gain bins.",
  )
  empty: str = declare(
    "error",
    Choice(("error", "allow")),
    "Nothing changes but what is refused.",
    is_inert=lambda bank: True,
  )
  table: tuple[tuple[int, tuple[float, ...]], ...] | None = declare(
    None, Table(), "The bins of a band have other weights."
  )

  def check(self, config: Any) -> None:
    """Checks the fields beside those of the config."""
    _check_mode(self, config)
    bands = self.num_features(0)
    if config.num_bins * bands > rules.MAX_KERNEL_SIZE:
      raise ValueError(
        "num_bins times the bands of filter_bank must be at most 2**24. Got: "
        f"num_bins={config.num_bins}, {bands} bands."
      )
    if self.table is not None:
      self._check_table(config)
    elif config.sample_rate_hz is None:
      raise ValueError(
        "sample_rate_hz must be given for filter_bank, whose edges are in "
        "hertz. Got: sample_rate_hz=None."
      )
    else:
      self._check_edges(config)

  def resolved(self, config: Any) -> "FilterBank":
    """Returns the bank with its upper edge; a table has none."""
    return self if self.table is not None else super().resolved(config)

  def _check_table(self, config: Any) -> None:
    others = [
      field.path
      for field in fields.of(type(self))
      if field.name != "table" and getattr(self, field.name) != field.default
    ]
    if others:
      raise ValueError(
        "filter_bank.table must stand without the other fields. Got: "
        f"filter_bank.table, {', '.join(others)}."
      )
    last = max(first + len(weights) for first, weights in self.table or ())
    if last > config.num_bins:
      raise ValueError(
        "filter_bank.table must have no weights behind the last bin. Got: "
        f"bin {last - 1}, num_bins={config.num_bins}."
      )

  def _check_edges(self, config: Any) -> None:
    high_hz, rate = self.high_hz, config.sample_rate_hz
    if high_hz is not None and high_hz > rate / 2:
      raise ValueError(
        f"{self.PATH}.high_hz must be at most sample_rate_hz / 2. Got: "
        f"{self.PATH}.high_hz={high_hz:g}, sample_rate_hz={rate}."
      )
    high_hz = rate / 2 if high_hz is None else high_hz
    if not self.low_hz < high_hz:
      raise ValueError(
        f"{self.PATH}.low_hz must be less than {self.PATH}.high_hz. Got: "
        f"{self.PATH}.low_hz={self.low_hz:g}, "
        f"{self.PATH}.high_hz={high_hz:g}, sample_rate_hz={rate}."
      )
    (empty,) = np.nonzero(~np.any(self.weights(config), axis=0))
    if not empty.size:
      return
    bands = ", ".join(map(str, empty[:8])) + (", ..." if empty.size > 8 else "")
    sentence = (
      f"{self.PATH} must have a bin between the edges of each filter: have "
      "fewer bands, a larger fft_length, or another low_hz. Got: none in "
      f"band {bands}, {self.PATH}.num_bands={self.num_bands}, "
      f"{self.PATH}.low_hz={self.low_hz:g}, {self.PATH}.high_hz={high_hz:g}, "
      f"fft_length={config.resolved().fft_length}, sample_rate_hz={rate}."
    )
    if self.empty == "error":
      raise ValueError(sentence)
    warnings.warn(sentence, stacklevel=2)

  def weights(self, config: Any) -> np.ndarray:
    """Returns the filters, float64 `[num_bins, num_bands]`."""
    if self.table is not None:
      return filter_banks.of_table(self.table, config.num_bins)
    return filter_banks.mel_filter_bank(
      config.resolved().fft_length,
      config.sample_rate_hz,
      self.num_bands,
      self.scale,
      self.slopes,
      self.norm,
      self.low_hz,
      self.high_hz,
      self.first_bin,
    )

  def num_features(self, features: int) -> int:
    """Returns the number of bands."""
    del features
    return self.num_bands if self.table is None else len(self.table)

  def apply(self, values: np.ndarray, config: Any) -> np.ndarray:
    """Returns the sums, `[num_frames, num_bands]`."""
    return values @ self.weights(config)

  def bound(
    self, values: np.ndarray, bound: np.ndarray, unit: float, config: Any
  ) -> np.ndarray:
    """Weights add the bounds up; no term is negative, so rounding is relative.

    Each of the at most `n` additions and products rounds once, and each weight.
    """
    weights = self.weights(config)
    terms = np.count_nonzero(weights, axis=0) + 2
    return bound @ weights + terms * unit * (values @ weights)


@dataclasses.dataclass(frozen=True)
class Compression(fields.Stage):
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

  kind: str = declare(
    "log",
    Choice(("log", "decibel", "power")),
    "A value is another function of the power.",
  )
  floor: float = declare(
    1e-10, Number(1e-36, 1e18), "Quiet values are raised to another level."
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
    _check_mode(self, config)
    if config.mode == "magnitude" and self.floor < 1e-18:
      raise ValueError(
        "compression.floor must be at least 1e-18 in mode 'magnitude': the "
        "square of a smaller one is 0 in float32. Got: "
        f"compression.floor={self.floor:g}."
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


def _check_mode(stage: fields.Stage, config: Any) -> None:
  if config.floor is not None:
    raise ValueError(
      f"floor must be None beside {stage.PATH}: compression has its own. Got: "
      f"floor={config.floor:g}."
    )
  if config.mode not in _NON_NEGATIVE:
    raise ValueError(
      f"mode must be one of {', '.join(map(repr, _NON_NEGATIVE))} for "
      f"{stage.PATH}. Got: mode={config.mode!r}."
    )
