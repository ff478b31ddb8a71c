"""The effect on the numbers of a field in which two configs differ."""

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from tfspec.coefficients import framing
from tfspec.config import PATHS, ResolvedConfig
from tfspec.contract import bounds
from tfspec.export.model_card import FORMULAS
from tfspec.spectrogram import layouts

# Returns the sentences on a field, with numbers, for two resolved configs.
# None: the declared sentence says all.
_Effect = Callable[[ResolvedConfig, ResolvedConfig], str | None]

# Numbers in a sentence need a clip: ten seconds at 16 kHz.
_SAMPLES = 160000


def effect(field: str, a: ResolvedConfig, b: ResolvedConfig) -> str:
  """Returns what a field in which two configs differ does to the numbers.

  Args:
    field: The path of the field.
    a: The one config.
    b: The other one.
  """
  with_numbers = _WITH_NUMBERS.get(field)
  return (with_numbers and with_numbers(a, b)) or _DECLARED[field]


def _mode(a: ResolvedConfig, b: ResolvedConfig) -> str:
  return f"A value is {FORMULAS[a.mode]}, against {FORMULAS[b.mode]}."


def _frame_length(a: ResolvedConfig, b: ResolvedConfig) -> str:
  ratio = b.frame_length / a.frame_length
  return (
    f"Every value changes: a frame of B covers {ratio:.4g} times the time of "
    f"one of A, and its spectral lines are {1 / ratio:.4g} times as wide."
  )


def _frame_step(a: ResolvedConfig, b: ResolvedConfig) -> str:
  ratio = a.frame_step / b.frame_step
  return f"B has {ratio:.4g} times as many frames as A."


def _fft_length(a: ResolvedConfig, b: ResolvedConfig) -> str:
  return (
    f"{a.num_bins} against {b.num_bins} bins: bin k stands for "
    f"k / {a.fft_length} against k / {b.fft_length} cycles per sample."
  )


def _weights(field: str) -> _Effect:
  """Returns the effect of a field that gives a frame other weights."""

  def weights(a: ResolvedConfig, b: ResolvedConfig) -> str | None:
    windows = _windows(a, b, field)
    if windows is None:
      return None
    off = np.linalg.norm(windows[1] - windows[0]) / np.linalg.norm(windows[0])
    if not off:
      return "The windows are equal: nothing changes."
    return (
      "The samples of a frame have other weights: with this field alone the "
      f"window is {off:.2g} from that of A (relative L2)."
    )

  return weights


def _windows(
  a: ResolvedConfig, b: ResolvedConfig, field: str
) -> tuple[np.ndarray, np.ndarray] | None:
  """Returns the window of A, and with a field of B; None if there is none."""
  try:
    changed = dataclasses.replace(a, **{field: getattr(b, field)})
  except ValueError:  # The field of B goes with others of B.
    return None
  return a.window_values(), changed.window_values()


def _scaling(a: ResolvedConfig, b: ResolvedConfig) -> str | None:
  windows = _windows(a, b, "scaling")
  if windows is None:
    return None
  ratio = np.max(np.abs(windows[1])) / np.max(np.abs(windows[0]))
  return (
    f"With this field alone magnitudes in B are {ratio:.4g} times those in A, "
    f"{20 * math.log10(ratio):+.2f} dB; phases stay."
  )


def _padding(a: ResolvedConfig, b: ResolvedConfig) -> str:
  counts = [
    framing.num_frames(_SAMPLES, a.frame_length, a.frame_step, padding)
    for padding in (a.padding, b.padding)
  ]
  return (
    f"Frames lie elsewhere in the clip: {_START[a.padding]}, against "
    f"{_START[b.padding]}. With this field alone {_SAMPLES} samples have "
    f"{counts[0]} against {counts[1]} frames."
  )


def _layout(a: ResolvedConfig, b: ResolvedConfig) -> str:
  both = f"{layouts.text(a)} against {layouts.text(b)}"
  return f"The same values in another layout: {both}."


def _trainable(a: ResolvedConfig, b: ResolvedConfig) -> str:
  which = "A" if a.trainable else "B"
  return f"Training moves the kernels of {which} alone."


def _sample_rate_hz(a: ResolvedConfig, b: ResolvedConfig) -> str:
  meanings = [
    "sound may have any rate"
    if c.sample_rate_hz is None
    else f"bin k stands for k * {c.sample_rate_hz / c.fft_length:g} Hz"
    for c in (a, b)
  ]
  return f"In A {meanings[0]}, in B {meanings[1]}."


def _engine(a: ResolvedConfig, b: ResolvedConfig) -> str:
  del a, b
  return (
    "Speed and rounding only, each within "
    f"{bounds.STFT_BOUNDS['float32']:g} of the exact transform (relative L2)."
  )


def _floor(a: ResolvedConfig, b: ResolvedConfig) -> str | None:
  if not (a.least and b.least):  # Beside a stage there is none.
    return None
  low = [f"{20 * math.log10(c.least):.1f}" for c in (a, b)]
  return f"Quiet values are raised to {low[0]} against {low[1]} dB."


_DECLARED = {path: field.effect for path, field in PATHS.items()}
_WITH_NUMBERS: dict[str, _Effect] = {
  "mode": _mode,
  "frame_length": _frame_length,
  "frame_step": _frame_step,
  "fft_length": _fft_length,
  "window": _weights("window"),
  "periodic": _weights("periodic"),
  "scaling": _scaling,
  "padding": _padding,
  "expand_dims": _layout,
  "data_format": _layout,
  "trainable": _trainable,
  "sample_rate_hz": _sample_rate_hz,
  "engine": _engine,
  "floor": _floor,
  "window_length": _weights("window_length"),
}
_START = {
  "valid": "the first starts at sample 0 and all lie inside",
  "same": "zeros on both sides make ceil(samples / frame_step) of them",
  "center": "the middle of frame m is sample m * frame_step",
  "hop_center": "the middle of frame m is that of hop m",
}
