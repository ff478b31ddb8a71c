"""How far each value may be off.

The numeric contract is one number a dtype, `STFT_BOUNDS`: the largest relative
L2 error of the transform of a frame, `||computed - exact|| / ||exact||` over
the bins, where `exact` is the transform of the samples as they are given. Both
engines keep it, for frames of 16 to 4096 samples, lengths odd and even, and
windows tapered and flat. `stft_bound` adds the rounding of results, and
`tolerance` gives the bound of each mode. docs/accuracy.md has the errors as
measured.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from tfspec.config import ResolvedConfig, SpectrogramConfig, cepstrum

# Relative L2 error of the real and imaginary parts of a frame, at most, before
# they are rounded to the dtype. The short dtypes are computed in float32.
STFT_BOUNDS = {
  "float16": 5e-7,
  "bfloat16": 5e-7,
  "float32": 5e-7,
  "float64": 1e-14,
}


# Relative rounding of a result: half a unit in the last place of the short
# dtypes, four units for the few operations of a mode in the long ones.
_ROUNDING = {
  "float16": 2.0**-11,
  "bfloat16": 2.0**-8,
  "float32": 2.0**-21,
  "float64": 2.0**-50,
}


# Half the smallest step near zero, for results that are subnormal there.
_SMALLEST = {
  "float16": 2.0**-25,
  "bfloat16": 1e-38,
  "float32": 1e-38,
  "float64": 1e-300,
}


@dataclasses.dataclass(frozen=True)
class Deviation:
  """The error of an output where it is largest relative to its bound.

  Attributes:
    error: Absolute error; infinite if a value is not finite or shapes differ.
    bound: Largest allowed error there.
  """

  error: float
  bound: float

  @property
  def ok(self) -> bool:
    """Whether the error is within the bound."""
    return self.error <= self.bound


def stft_bound(dtype: str, signals_are_rounded: bool = False) -> float:
  """Returns the largest relative L2 error of a frame as it is returned.

  Float32 and float64 are computed in the dtype: the bound is `STFT_BOUNDS`. The
  short dtypes are computed in float32 with an error `e`, and rounded once at
  the end. With `u` half a unit in the last place, 2^-11 in float16 and 2^-8 in
  bfloat16, that moves each part by at most `u` times its size, and so the frame
  `X` by at most `u ||X||`: together `e + u + e u`.

  If the exact transform is that of signals which were themselves rounded to the
  dtype, their windowed frame `f` is off by at most `u ||f||`. Over all bins,
  the mirrored ones too, the squares of a transform sum up to `fft_length` times
  those of the frame [1]. The `num_bins` bins hold at least half of that sum,
  for the error at most all of it: so `X` moves by at most `sqrt(2) u ||X||`,
  and the bound `b` above becomes `b + sqrt(2) u (1 + b)`.

  Parts below the smallest normal number of float16, 6.1e-5, are rounded to a
  multiple of 6e-8 instead: each adds at most 3e-8, absolutely. Parts above
  65504 are infinite.

  Args:
    dtype: Dtype of the signals.
    signals_are_rounded: Whether the exact transform is that of the signals
      before they were rounded to a short dtype.

  Returns:
    The bound.

  References:
    [1]: Parseval's theorem; A. V. Oppenheim and R. W. Schafer, "Discrete-Time
      Signal Processing", 3rd edition, 2010, chapter 8.
  """
  bound = STFT_BOUNDS[dtype]
  if dtype not in ("float16", "bfloat16"):
    return bound
  unit = _ROUNDING[dtype]
  bound += unit * (1.0 + bound)
  if signals_are_rounded:
    bound += math.sqrt(2.0) * unit * (1.0 + bound)
  return bound


def values(parts: dict[str, np.ndarray], config: ResolvedConfig) -> np.ndarray:
  """Returns the exact values of a config, `[num_frames, num_features]`.

  Args:
    parts: Exact "real" and "imag" parts, `[num_frames, num_bins]`; modes "real"
      and "imag" may leave out the other. With energy also "energy"; see
      `cepstrum.log_energy`.
    config: The config.
  """
  found = mode_values(parts, config)
  for stage in config.stages:
    if stage is config.cepstrum and config.has_energy:
      energy, _ = cepstrum.log_energy(parts["energy"], 0.0)
      found = np.concatenate([found, energy], axis=1)
    found = stage.apply(found, config)
  return found


def mode_values(
  parts: dict[str, np.ndarray], config: ResolvedConfig
) -> np.ndarray:
  """Returns the exact values of the mode, before any stage."""
  if config.mode in ("real", "imag"):
    return parts[config.mode]
  real, imag = parts["real"], parts["imag"]
  if config.mode == "stft":
    return np.concatenate([real, imag], axis=-1)
  if config.mode == "angle":
    return np.arctan2(imag, real)
  power = np.square(real) + np.square(imag)
  if config.mode == "power":
    return power
  if config.mode == "psd":
    bins = np.arange(config.num_bins)
    is_single = (bins == 0) | (2 * bins == config.fft_length)
    return np.where(is_single, 1, 2) * power
  size = np.maximum(np.hypot(real, imag), config.least)
  if config.mode == "log":
    return np.log(size)
  assert config.mode == "magnitude", config.mode
  return size


def tolerance(
  config: ResolvedConfig,
  parts: dict[str, np.ndarray],
  dtype: str = "float32",
  cancelled: np.ndarray | None = None,
) -> np.ndarray:
  """Returns how far each value of a spectrogram may be off.

  With `e = STFT_BOUNDS[dtype]` a frame `X` may be off by `d = e * ||X||`, and
  so may each of its values. Conditioning that subtracts adds `e` times the
  size of what it subtracts. From this follow, with `m = max(|X|, floor)`,

  | mode | bound |
  |---|---|
  | real, imag, stft | `d`; `||X||` is the largest of all frames |
  | magnitude | `d` |
  | power | `2 |X| d + d^2` |
  | psd | twice that of power |
  | log | the larger of `log(1 + d / m)` and `log(m / max(m - d, floor))` |
  | angle | `asin(d / |X|)`, or pi where `d >= |X|` |

  and, in all of them, some units in the last place of the result. Each stage
  says how far its results may be off if its input is; see `Stage.bound`.

  Args:
    config: The config.
    parts: Exact "real" and "imag" parts, `[num_frames, num_bins]`; modes "real"
      and "imag" may leave out the other.
    dtype: Dtype of the signals.
    cancelled: `Conditioning.size` of the frames, where there is conditioning.

  Returns:
    Float64 `[num_frames, num_features]`.
  """
  wide = "float64" if dtype == "float64" else "float32"
  found = mode_values(parts, config)
  bound = _mode_tolerance(config, found, parts, dtype, cancelled)
  unit = _ROUNDING[wide] / 8
  for stage in config.stages:
    if stage is config.cepstrum and config.has_energy:
      energy, off = cepstrum.log_energy(parts["energy"], unit)
      found = np.concatenate([found, energy], axis=1)
      bound = np.concatenate([bound, off], axis=1)
    bound = stage.bound(found, bound, unit, config)
    found = stage.apply(found, config)
  rounding = _ROUNDING[dtype] * np.abs(found)
  return bound + rounding + _SMALLEST[dtype]


def _mode_tolerance(
  config: ResolvedConfig,
  expected: np.ndarray,
  parts: dict[str, np.ndarray],
  dtype: str,
  cancelled: np.ndarray | None,
) -> np.ndarray:
  """Returns how far the values of the mode may be off before the rounding."""
  power = sum(np.square(v) for k, v in parts.items() if k != "energy")
  norm = np.sqrt(np.sum(power, axis=-1, keepdims=True))
  if cancelled is not None:
    norm = norm + np.sqrt(config.fft_length / 2.0) * cancelled
  if config.mode in ("real", "imag", "stft"):
    norm = np.max(norm, initial=0.0)
  off = STFT_BOUNDS[dtype] * norm
  size, floor = np.sqrt(power), config.least
  clipped = np.maximum(size, floor)
  if config.mode in ("power", "psd"):
    bound = 2 * size * off + np.square(off)
    if config.mode == "psd":
      bound = 2 * bound
  elif config.mode == "log":
    below = np.maximum(clipped - off, floor)
    bound = np.maximum(np.log1p(off / clipped), np.log(clipped / below))
    # Rounding of the argument shifts a logarithm by an absolute amount.
    bound = bound + _ROUNDING["float64" if dtype == "float64" else "float32"]
  elif config.mode == "angle":
    # Where the phase is undefined, any value in [-pi, pi] is right.
    sure = size > off
    ratio = np.divide(off, size, out=np.ones_like(size), where=sure)
    bound = np.where(sure, np.arcsin(ratio), np.pi)
  elif config.mode in ("real", "imag", "stft", "magnitude"):
    bound = off
  else:
    raise ValueError(f"mode must have a bound. Got: mode={config.mode!r}.")
  # What a stage gets is rounded in the dtype of the computation.
  if config.stages:
    wide = "float64" if dtype == "float64" else "float32"
    bound = bound + _ROUNDING[wide] * np.abs(expected) + _SMALLEST[wide]
  return bound


def deviation(
  config: SpectrogramConfig,
  actual: np.ndarray,
  expected: np.ndarray,
  bound: np.ndarray,
) -> Deviation:
  """Returns where `actual` is off by most, relative to its bound."""
  if actual.shape != expected.shape:
    return Deviation(np.inf, 0.0)
  if not actual.size:
    return Deviation(0.0, 0.0)
  error = errors(config, actual, expected)
  worst = np.unravel_index(np.argmax(error / bound), error.shape)
  return Deviation(float(error[worst]), float(bound[worst]))


def errors(
  config: SpectrogramConfig, actual: np.ndarray, expected: np.ndarray
) -> np.ndarray:
  """Returns the absolute error of each value, infinite if it is not finite."""
  error = np.abs(np.asarray(actual, np.float64) - expected)
  if config.mode == "angle":  # -pi and pi are the same phase.
    error = np.minimum(error, np.abs(2 * np.pi - error))
  return np.where(np.isfinite(error), error, np.inf)


def size_of(values: Sequence[np.ndarray]) -> float:
  """Returns the largest absolute value of an output of some clips, not 0."""
  sizes = [
    float(np.max(np.abs(value), initial=0.0))
    for value in values
    if value.dtype.kind == "f"
  ]
  return max(sizes, default=0.0) or 1.0
