"""What a field in which two configs differ does to the numbers."""

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from tfspec.coefficients import framing
from tfspec.config import SpectrogramConfig
from tfspec.contract import bounds
from tfspec.export.model_card import FORMULAS
from tfspec.spectrogram import layouts, transform

# The sentences on a field, of two configs in which nothing is left to defaults.
_Effect = Callable[[SpectrogramConfig, SpectrogramConfig], str]

# Numbers in a sentence need a clip: ten seconds at 16 kHz.
_SAMPLES = 160000


def _mode(a: SpectrogramConfig, b: SpectrogramConfig) -> str:
  return f"A value is {FORMULAS[a.mode]}, against {FORMULAS[b.mode]}."


def _frame_length(a: SpectrogramConfig, b: SpectrogramConfig) -> str:
  ratio = b.frame_length / a.frame_length
  return (
    f"Every value changes: a frame of B covers {ratio:.4g} times the time of "
    f"one of A, and its spectral lines are {1 / ratio:.4g} times as wide."
  )


def _frame_step(a: SpectrogramConfig, b: SpectrogramConfig) -> str:
  ratio = a.frame_step / b.frame_step
  return f"B has {ratio:.4g} times as many frames as A."


def _fft_length(a: SpectrogramConfig, b: SpectrogramConfig) -> str:
  return (
    f"{a.num_bins} against {b.num_bins} bins: bin k stands for "
    f"k / {a.fft_length} against k / {b.fft_length} cycles per sample."
  )


def _weights(field: str) -> _Effect:
  """Returns the effect of a field that gives a frame other weights."""

  def effect(a: SpectrogramConfig, b: SpectrogramConfig) -> str:
    text = "The samples of a frame have other weights"
    windows = _windows(a, b, field)
    if windows is None:
      return f"{text}: every value changes."
    off = np.linalg.norm(windows[1] - windows[0]) / np.linalg.norm(windows[0])
    if not off:
      return "The windows are equal: nothing changes."
    return (
      f"{text}: with this field alone the window is {off:.2g} from that of A "
      "(relative L2)."
    )

  return effect


def _windows(
  a: SpectrogramConfig, b: SpectrogramConfig, field: str
) -> tuple[np.ndarray, np.ndarray] | None:
  """Returns the window of A, and with a field of B; None if there is none."""
  try:
    changed = dataclasses.replace(a, **{field: getattr(b, field)})
  except ValueError:  # The field of B goes with others of B.
    return None
  return transform.window(a), transform.window(changed)


def _scaling(a: SpectrogramConfig, b: SpectrogramConfig) -> str:
  windows = _windows(a, b, "scaling")
  if windows is None:
    return "Every magnitude changes by one factor; phases stay."
  ratio = np.max(np.abs(windows[1])) / np.max(np.abs(windows[0]))
  return (
    f"With this field alone magnitudes in B are {ratio:.4g} times those in A, "
    f"{20 * math.log10(ratio):+.2f} dB; phases stay."
  )


def _padding(a: SpectrogramConfig, b: SpectrogramConfig) -> str:
  counts = [
    framing.num_frames(_SAMPLES, a.frame_length, a.frame_step, padding)
    for padding in (a.padding, b.padding)
  ]
  return (
    f"Frames lie elsewhere in the clip: {_START[a.padding]}, against "
    f"{_START[b.padding]}. With this field alone {_SAMPLES} samples have "
    f"{counts[0]} against {counts[1]} frames."
  )


def _layout(a: SpectrogramConfig, b: SpectrogramConfig) -> str:
  both = f"{layouts.text(a)} against {layouts.text(b)}"
  return f"The same values in another layout: {both}."


def _trainable(a: SpectrogramConfig, b: SpectrogramConfig) -> str:
  which = "A" if a.trainable else "B"
  return f"Training moves the kernels of {which} alone."


def _sample_rate_hz(a: SpectrogramConfig, b: SpectrogramConfig) -> str:
  meanings = [
    "sound may have any rate"
    if c.sample_rate_hz is None
    else f"bin k stands for k * {c.sample_rate_hz / c.fft_length:g} Hz"
    for c in (a, b)
  ]
  return f"In A {meanings[0]}, in B {meanings[1]}."


def _engine(a: SpectrogramConfig, b: SpectrogramConfig) -> str:
  del a, b
  return (
    "Speed and rounding only, each within "
    f"{bounds.STFT_BOUNDS['float32']:g} of the exact transform (relative L2)."
  )


def _precision(a: SpectrogramConfig, b: SpectrogramConfig) -> str:
  del a, b
  return (
    "Speed and rounding only, on devices that round operands (TPU, TF32 GPUs)."
  )


def _floor(a: SpectrogramConfig, b: SpectrogramConfig) -> str:
  low = [f"{20 * math.log10(c.floor):.1f}" for c in (a, b)]
  return f"Quiet values are raised to {low[0]} against {low[1]} dB."


def _pad(a: SpectrogramConfig, b: SpectrogramConfig) -> str:
  del a, b
  return "Only frames that reach beyond the ends of a clip change."


EFFECTS: dict[str, _Effect] = {
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
  "precision": _precision,
  "floor": _floor,
  "pad_mode": _pad,
  "pad_value": _pad,
}
_START = {
  "valid": "the first starts at sample 0 and all lie inside",
  "same": "zeros on both sides make ceil(samples / frame_step) of them",
  "center": "the middle of frame m is sample m * frame_step",
}
