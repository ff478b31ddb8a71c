"""Golden vectors: signals, and their exact results in NumPy float64."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfspec.coefficients import framing
from tfspec.config import ResolvedConfig, SpectrogramConfig
from tfspec.contract import bounds
from tfspec.spectrogram import layouts, transform
from tfspec.spectrogram import module as spectrogram_lib


@dataclasses.dataclass(frozen=True, eq=False)
class GoldenVector:
  """One clip and its transform, computed in NumPy float64.

  Attributes:
    name: What the clip is.
    signals: Float32 `[samples]`.
    parts: "real" and "imag" parts, float64 `[num_frames, num_bins]`; modes
      "real" and "imag" have one of them. With energy also "energy",
      `[num_frames, 2]`.
  """

  name: str
  signals: np.ndarray
  parts: dict[str, np.ndarray]

  def values(self, config: SpectrogramConfig) -> np.ndarray:
    """Returns the exact values, float64 `[num_frames, num_features]`."""
    return bounds.values(self.parts, config.resolved())

  def expected(self, config: SpectrogramConfig) -> np.ndarray:
    """Returns the output in the config's layout, float64."""
    return layouts.arrange_mono(self.values(config), config)

  def tolerance(self, config: SpectrogramConfig) -> np.ndarray:
    """Returns the largest allowed error of each value of `expected`."""
    bound = bounds.tolerance(
      config.resolved(), self.parts, cancelled=cancelled(self.signals, config)
    )
    return layouts.arrange_mono(bound, config)


def clips(config: SpectrogramConfig) -> dict[str, np.ndarray]:
  """Returns the clips of the golden vectors by name, float32 `[samples]`.

  Every sample differs from its neighbours, except in silence and the impulse.
  The bits are the same on every machine.
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


def make(spectrogram: spectrogram_lib.Spectrogram) -> list[GoldenVector]:
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
) -> GoldenVector:
  """Returns one clip with its transform, computed without any engine.

  Args:
    name: What the clip is.
    signals: Float32 `[samples]`.
    config: The config.
    kernels: Trained kernels `[frame_length, 1, num_bins]` by part, or none for
      NumPy's Fourier transform.
  """
  config = config.resolved()
  signals = signals.astype(np.float64)
  if config.conditioning is None:
    frames = _frames(signals, config)
  else:
    frames = _frames(config.conditioning.of_clip(signals), config)
  energies = energy(frames, config)
  if config.conditioning is not None:
    frames = config.conditioning.of_frames(frames)
  if kernels:
    parts = {
      part: frames @ kernel[:, 0, :].astype(np.float64)
      for part, kernel in kernels.items()
    }
  else:
    spectra = np.fft.rfft(frames * config.window_values(), config.fft_length)
    both = {"real": spectra.real, "imag": spectra.imag}
    parts = {part: both[part] for part in transform.kernel_parts(config.mode)}
  if config.has_energy:
    parts["energy"] = energies
  return GoldenVector(name, signals.astype(np.float32), parts)


def energy(frames: np.ndarray, config: ResolvedConfig) -> np.ndarray:
  """Returns the energies of frames that are cut; see `cepstrum.log_energy`."""
  own = frames
  if config.conditioning is not None and config.conditioning.remove_dc:
    own = frames - np.mean(frames, axis=-1, keepdims=True)
  sums = [np.sum(np.square(f), axis=-1) for f in (own, frames)]
  return np.stack(sums, axis=-1)


def cancelled(
  signals: np.ndarray, config: SpectrogramConfig
) -> np.ndarray | None:
  """Returns `Conditioning.size` of the frames of a clip, if there is any.

  Args:
    signals: `[samples]`.
    config: The config.
  """
  config = config.resolved()
  stage = config.conditioning
  if stage is None:
    return None
  frames = _frames(stage.gain * signals.astype(np.float64), config)
  return stage.size(frames, config.window_values())


def _frames(signals: np.ndarray, config: ResolvedConfig) -> np.ndarray:
  """Returns the frames of `[samples]`, `[num_frames, frame_length]`."""
  # Padding does not know of a last frame that is left out.
  count = framing.num_frames(
    len(signals), config.frame_length, config.frame_step, config.padding
  )
  if config.pad_mode and len(signals):
    margins = framing.margins(
      len(signals), config.frame_length, config.frame_step, config.padding
    )
    if config.pad_mode == "constant":
      value = config.pad_value or 0.0
      signals = np.pad(signals, margins, constant_values=value)
    else:
      mode: Any = config.pad_mode
      signals = np.pad(signals, margins, mode)
  covered = max(count - 1, 0) * config.frame_step + config.frame_length
  missing = max(covered - len(signals), 0)
  before = missing // 2 if config.padding == "same" else 0
  signals = np.pad(signals, [before, missing - before])
  starts = config.frame_step * np.arange(count)[:, np.newaxis]
  frames = signals[starts + np.arange(config.frame_length)]
  return frames[:-1] if config.drop_last_frame else frames
