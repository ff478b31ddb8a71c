"""Presets held against what their libraries computed.

`tools/preset_references.py` writes the files that are read here.
"""

import dataclasses
import math
import pathlib
from collections.abc import Callable

import numpy as np

from tfspec.config import SpectrogramConfig
from tfspec.config.preset_list import Preset

# The largest difference in natural logarithms, of all values and of 99.9 % of
# those of speech: so far apart are float32 libraries from exact values.
LARGEST, MOST = 5e-3, 5e-4

# Where the values of a preset have no logarithm, it is taken of no less.
_FLOOR = 1e-10


@dataclasses.dataclass(frozen=True)
class Parity:
  """How far a preset is from a library.

  Attributes:
    library: The library and its version.
    shapes: The shape of the result for each clip.
    largest: The largest difference of all clips, in natural logarithms.
    most: 99.9 % of those of the clip "speech" are at most that.
  """

  library: str
  shapes: dict[str, tuple[int, ...]]
  largest: float
  most: float

  @property
  def ok(self) -> bool:
    """Whether both are within the bounds."""
    return self.largest <= LARGEST and self.most <= MOST


def clips(folder: pathlib.Path, sample_rate_hz: int) -> dict[str, np.ndarray]:
  """Returns the clips of a sample rate by name, float32 `[samples]`."""
  with np.load(folder / "signals.npz") as stored:
    prefix = f"{sample_rate_hz}/"
    return {
      name.removeprefix(prefix): (stored[name] / 2.0**15).astype(np.float32)
      for name in stored.files
      if name.startswith(prefix)
    }


def references(
  folder: pathlib.Path, name: str
) -> tuple[str, dict[str, np.ndarray]]:
  """Returns a library, and what it computed for each clip of a preset.

  Results that are not finite are left out: the library has no answer.
  """
  with np.load(folder / f"{name}.npz") as stored:
    library = str(stored["library"])
    found = {n: stored[n] for n in stored.files if n != "library"}
  return library, {n: v for n, v in found.items() if np.all(np.isfinite(v))}


def measure(
  preset: Preset,
  library: str,
  expected: dict[str, np.ndarray],
  signals: dict[str, np.ndarray],
  run: Callable[[np.ndarray], np.ndarray],
) -> Parity:
  """Compares a preset with a library.

  Args:
    preset: The preset.
    library: The library and its version.
    expected: What it computed, `[num_frames, num_features]` by clip, of which
      one is "speech".
    signals: The clips, `[samples]`.
    run: Computes the preset for a clip.

  Raises:
    ValueError: If shapes differ.
  """
  found = {}
  for name, values in expected.items():
    if name in preset.unlike:
      continue
    actual = np.asarray(run(signals[name]))
    if actual.shape != values.shape:
      raise ValueError(
        f"{preset.name} must have the shape of {library} for {name}. Got: "
        f"{actual.shape}, there {values.shape}."
      )
    off = in_logarithms(actual, preset.config) - in_logarithms(
      values, preset.config
    )
    found[name] = np.abs(off)
  shapes = {name: values.shape for name, values in expected.items()}
  largest = max(float(np.max(off, initial=0.0)) for off in found.values())
  most = float(np.quantile(found["speech"], 0.999))
  return Parity(library, shapes, largest, most)


def in_logarithms(values: np.ndarray, config: SpectrogramConfig) -> np.ndarray:
  """Returns values in natural logarithms, as far as their steps go.

  A constant normalization is taken back. Of a cepstrum, which an orthogonal
  matrix makes, they are those of its bands.
  """
  values = values.astype(np.float64)
  stage = config.compression
  if stage is None:
    return np.log(np.maximum(values, _FLOOR))
  if stage.kind == "decibel":
    steps = math.log(10.0) / (20.0 if config.mode == "magnitude" else 10.0)
  else:
    steps = math.log(stage.base)
  normalization = config.normalization
  if normalization is not None and normalization.source == "constants":
    values = values * np.array(normalization.std)
  return values * steps
