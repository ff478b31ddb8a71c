"""Golden vectors: signals, what they must give, and how exactly.

The numeric contract is one number a dtype, `STFT_BOUNDS`: the largest relative
L2 error of the transform of a frame, `||computed - exact|| / ||exact||` over
the bins, `exact` being the transform of the samples as they are given. Both
engines keep it, for frames of 16 to 4096 samples, lengths odd and even, and
windows tapered and flat. What the rounding of results adds is in `stft_bound`,
what each mode may be off by in `tolerance`; docs/accuracy.md has the errors as
measured.
"""

import dataclasses
import io
import math
import os
from collections.abc import Mapping
from typing import BinaryIO

import numpy as np
import tensorflow as tf
from google.protobuf import text_format

from tfspec import config_proto, files, transform
from tfspec import spectrogram as spectrogram_lib
from tfspec.config import SpectrogramConfig
from tfspec.config_rules import listed

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

# Of the archive. Exports with the first one pad spectrograms with zeros.
_FORMAT = 2


@dataclasses.dataclass(frozen=True, eq=False)
class Golden:
  """One clip and its transform, computed in NumPy float64.

  Attributes:
    name: What the clip is.
    signals: Float32 `[samples]`.
    parts: "real" and "imag" parts, float64 `[num_frames, num_bins]`; modes
      "real" and "imag" have one of them.
  """

  name: str
  signals: np.ndarray
  parts: dict[str, np.ndarray]

  def values(self, config: SpectrogramConfig) -> np.ndarray:
    """Returns the values of the mode, float64 `[num_frames, num_features]`."""
    return _mode(self.parts, config)

  def expected(self, config: SpectrogramConfig) -> np.ndarray:
    """Returns the output in the config's layout, float64."""
    return arrange(self.values(config), config)

  def tolerance(self, config: SpectrogramConfig) -> np.ndarray:
    """Returns the largest allowed error of each value of `expected`."""
    values = self.values(config)
    return arrange(tolerance(config, values, self.parts), config)


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


def clips(config: SpectrogramConfig) -> dict[str, np.ndarray]:
  """Returns the clips of the golden vectors by name, float32 `[samples]`.

  In each every sample differs from its neighbours, but for silence and the
  impulse; the same bits on every machine.
  """
  config = config.resolved()
  length = config.frame_length + 5 * config.frame_step + 3
  random = np.random.Generator(np.random.PCG64(20240229))
  noise = random.standard_normal(length) * 0.1
  time = np.arange(length) / length
  chirp = 0.5 * np.sin(np.pi * 0.4 * length * time**2)
  chirp[length // 3 : length // 2] = 0.0
  impulse = np.zeros(length)
  impulse[config.frame_length // 2] = 1.0
  values = {
    "noise": noise,
    "chirp": chirp,
    "impulse": impulse,
    "silence": np.zeros(length),
    # Samples that 16 bits can hold.
    "pcm16": np.round(noise * 2**15) / 2**15,
    "one_frame": noise[: config.frame_length],
    "short": noise[: config.frame_length - 1],
  }
  return {name: clip.astype(np.float32) for name, clip in values.items()}


def make(spectrogram: spectrogram_lib.Spectrogram) -> list[Golden]:
  """Returns the golden vectors of a spectrogram."""
  config = spectrogram.config
  values = [np.asarray(tf.cast(k, tf.float64)) for k in spectrogram.kernels]
  names = transform.kernel_parts(config.mode)
  kernels = dict(zip(names, values, strict=True)) if values else {}
  return [
    golden(name, signals, config, kernels)
    for name, signals in clips(config).items()
  ]


def golden(
  name: str,
  signals: np.ndarray,
  config: SpectrogramConfig,
  kernels: Mapping[str, np.ndarray],
) -> Golden:
  """Returns one clip with its transform, computed by none of the engines.

  Args:
    name: What the clip is.
    signals: Float32 `[samples]`.
    config: The config.
    kernels: Trained kernels `[frame_length, 1, num_bins]` by part, or none for
      NumPy's Fourier transform.
  """
  config = config.resolved()
  frames = _frames(signals.astype(np.float64), config)
  if kernels:
    parts = {
      part: frames @ kernel[:, 0, :].astype(np.float64)
      for part, kernel in kernels.items()
    }
  else:
    spectra = np.fft.rfft(frames * transform.window(config), config.fft_length)
    both = {"real": spectra.real, "imag": spectra.imag}
    parts = {part: both[part] for part in transform.kernel_parts(config.mode)}
  return Golden(name, signals, parts)


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


def _frames(signals: np.ndarray, config: SpectrogramConfig) -> np.ndarray:
  """Returns the frames of `[samples]`, `[num_frames, frame_length]`."""
  count = config.num_frames(len(signals))
  if config.padding == "center" and len(signals):
    margin = config.frame_length // 2
    values = {}
    if config.pad_mode == "constant":
      values["constant_values"] = config.pad_value
    signals = np.pad(signals, margin, config.pad_mode, **values)
  covered = max(count - 1, 0) * config.frame_step + config.frame_length
  missing = max(covered - len(signals), 0)
  before = missing // 2 if config.padding == "same" else 0
  signals = np.pad(signals, [before, missing - before])
  starts = config.frame_step * np.arange(count)[:, np.newaxis]
  return signals[starts + np.arange(config.frame_length)]


def _mode(
  parts: dict[str, np.ndarray], config: SpectrogramConfig
) -> np.ndarray:
  """Returns the values of the mode, `[num_frames, num_features]`."""
  config = config.resolved()
  if config.mode in ("real", "imag"):
    return parts[config.mode]
  real, imag = parts["real"], parts["imag"]
  if config.mode == "stft":
    return np.concatenate([real, imag], axis=-1)
  if config.mode == "angle":
    return np.arctan2(imag, real)
  if config.mode == "psd":
    bins = np.arange(config.num_bins)
    is_single = (bins == 0) | (2 * bins == config.fft_length)
    return np.where(is_single, 1, 2) * (np.square(real) + np.square(imag))
  size = np.maximum(np.hypot(real, imag), config.floor)
  return np.log(size) if config.mode == "log" else size


def tolerance(
  config: SpectrogramConfig,
  expected: np.ndarray,
  parts: dict[str, np.ndarray],
  dtype: str = "float32",
) -> np.ndarray:
  """Returns how far each value of a spectrogram may be off.

  With `e = STFT_BOUNDS[dtype]` a frame `X` may be off by `d = e * ||X||`, and
  so may each of its values. From this follow, with `m = max(|X|, floor)`,

  | mode | bound |
  |---|---|
  | real, imag, stft | `d`; `||X||` is the largest of all frames |
  | magnitude | `d` |
  | psd | `2 (2 |X| d + d^2)` |
  | log | the larger of `log(1 + d / m)` and `log(m / max(m - d, floor))` |
  | angle | `asin(d / |X|)`, or pi where `d >= |X|` |

  and, in all of them, some units in the last place of the result.

  Args:
    config: The config.
    expected: Exact values of the mode, `[..., num_frames, num_features]`.
    parts: Exact "real" and "imag" parts, `[..., num_frames, num_bins]`; modes
      "real" and "imag" may leave out the other.
    dtype: Dtype of the signals.

  Returns:
    Float64 of the shape of `expected`.
  """
  power = sum(np.square(values) for values in parts.values())
  norm = np.sqrt(np.sum(power, axis=-1, keepdims=True))
  if config.mode in ("real", "imag", "stft"):
    norm = np.max(norm, initial=0.0)
  off = STFT_BOUNDS[dtype] * norm
  size, floor = np.sqrt(power), config.resolved().floor
  clipped = np.maximum(size, floor)
  if config.mode == "psd":
    bound = 2 * (2 * size * off + np.square(off))
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
  else:
    bound = off
  rounding = _ROUNDING[dtype] * np.abs(expected)
  return bound + rounding + _SMALLEST[dtype]


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


def arrange(values: np.ndarray, config: SpectrogramConfig) -> np.ndarray:
  """Brings the values of a mono clip, `[frames, features]`, into the layout."""
  if config.data_format == "channels_last":
    return values[:, :, np.newaxis] if config.expand_dims else values
  return values[np.newaxis] if config.expand_dims else values.T


def save(
  goldens: list[Golden],
  config: SpectrogramConfig,
  file: files.Path | BinaryIO,
) -> None:
  """Writes golden vectors, and their config, into a NumPy archive."""
  text = text_format.MessageToString(config.to_proto())
  arrays = {"format": np.array(_FORMAT), "config": np.array(text)}
  for golden in goldens:
    arrays[f"{golden.name}/signals"] = golden.signals
    for part, values in golden.parts.items():
      arrays[f"{golden.name}/{part}"] = values
  np.savez_compressed(file, **arrays)


def read_archive(
  file: files.Path | BinaryIO,
) -> dict[str, np.ndarray]:
  """Returns the arrays of a NumPy archive by name.

  Args:
    file: A path in any file system that TensorFlow reads, or an open file.
  """
  if isinstance(file, files.Path):
    file = io.BytesIO(files.read_bytes(files.as_path(file)))
  with np.load(file, allow_pickle=False) as arrays:
    return dict(arrays)


def load(
  file: files.Path | BinaryIO,
  config: SpectrogramConfig,
  name: str | None = None,
) -> list[Golden]:
  """Reads the golden vectors of a config.

  Args:
    file: A path, or an open file.
    config: The config.
    name: What errors call an open file.

  Raises:
    ValueError: If they are those of another config, or the file does not hold
      exactly the clips of the config, with finite transforms.
  """
  name = name or os.fspath(file)
  try:
    arrays = read_archive(file)
    version = int(arrays.pop("format", 1))
    text = str(arrays.pop("config")).encode()
    proto = config_proto.parse(text, "config.textproto")
    stored = SpectrogramConfig.from_proto(proto)
  except Exception as e:  # Whatever a damaged archive makes NumPy raise.
    raise ValueError(
      f"{name}: the file must hold golden vectors. Got: {e!r}."
    ) from e
  # Fields of the execution too: an export is as it was written, or damaged.
  if version != _FORMAT:
    raise ValueError(
      f"{name}: the export must be of this version of tfspec. Got: format "
      f"{version}, this is {_FORMAT}. Older exports have zeros behind the end "
      "of a clip: export again."
    )
  differences = {
    **config.differences(stored),
    **config.execution_differences(stored),
  }
  if differences:
    raise ValueError(
      "The config must be the one that was exported. Got: "
      f"{listed(differences, os.path.basename(name))}."
    )
  goldens = []
  names = transform.kernel_parts(config.mode)
  for clip, signals in clips(config).items():
    shape = (config.num_frames(len(signals)), config.num_bins)
    parts = {part: arrays.get(f"{clip}/{part}") for part in names}
    samples = arrays.get(f"{clip}/signals")
    if (
      samples is None
      or not np.array_equal(samples, signals)
      or any(values is None for values in parts.values())
      or any(values.shape != shape for values in parts.values())
      or not all(np.all(np.isfinite(values)) for values in parts.values())
    ):
      raise ValueError(
        f"{name}: the file must hold every clip of the config, as "
        f"it was made, with a finite transform. Got: {clip!r}, which is not."
      )
    goldens.append(Golden(clip, signals, parts))
  return goldens
