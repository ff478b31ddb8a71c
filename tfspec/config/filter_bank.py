"""The stage that adds the bins of a frame up to bands."""

import dataclasses
import functools
import warnings
from typing import Any, ClassVar

import numpy as np

from tfspec.coefficients import filter_banks, framing, rules
from tfspec.config import fields
from tfspec.config.fields import Choice, Integer, Number, declare


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


@functools.lru_cache(64)  # Eager code asks for them at each call.
def _weights(
  bank: "FilterBank", fft_length: int, sample_rate_hz: float
) -> np.ndarray:
  if bank.table is not None:
    num_bins = framing.num_bins(fft_length)
    weights = filter_banks.of_table(bank.table, num_bins)
  else:
    weights = filter_banks.mel_filter_bank(
      fft_length,
      sample_rate_hz,
      bank.num_bands,
      bank.scale,
      bank.slopes,
      bank.norm,
      bank.low_hz,
      bank.high_hz,
      bank.first_bin,
    )
  weights.setflags(write=False)
  return weights


@dataclasses.dataclass(frozen=True)
class FilterBank(fields.ValueStage):
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
  OF_POWER: ClassVar[bool] = True

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
    super().check(config)
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
    """Returns the filters, float64 `[num_bins, num_bands]`, read-only."""
    return _weights(self, config.resolved().fft_length, config.sample_rate_hz)

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
