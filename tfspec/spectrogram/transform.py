"""The transform of a config: where its fields meet the operations."""

import numpy as np
import tensorflow as tf

from tfspec.coefficients import fourier
from tfspec.config import SpectrogramConfig
from tfspec.ops import stages, stft_ops


def apply(
  signals: tf.Tensor,
  config: SpectrogramConfig,
  kernels: list[tf.Tensor],
  lengths: tf.Tensor | None = None,
) -> tf.Tensor:
  """Returns the values of the config's mode, `[..., num_frames, num_features]`.

  Args:
    signals: `[..., samples]`, with lengths `[batch, channels, samples]`.
    config: The config.
    kernels: Kernels `[frame_length, 1, num_bins]`, one for each of
      `kernel_parts(config.mode)`, or none for the Fourier kernels.
    lengths: Valid samples of each clip, int32 `[batch]`, or None: all.
  """
  config = config.resolved()
  (values,) = stft_ops.transform(
    signals,
    stages.Mode(config.mode, config.fft_length, config.floor),
    config.window_values(),
    config.frame_step,
    config.fft_length,
    padding=config.padding,
    pad_mode=config.pad_mode,
    pad_value=config.pad_value,
    engine=config.engine,
    precision=config.precision,
    kernels=[kernel[:, 0, :] for kernel in kernels],
    lengths=lengths,
  )
  return values


def kernel_parts(mode: str) -> tuple[str, ...]:
  """Returns which kernels a mode needs: "real", "imag" or both."""
  return stages.kernel_parts(mode)


def initial_kernel(config: SpectrogramConfig, part: str) -> np.ndarray:
  """Returns the Fourier kernel of a config in the layout of Keras.

  Args:
    config: The config.
    part: "real" or "imag".

  Returns:
    Float64 `[frame_length, 1, num_bins]`.
  """
  both = fourier.fourier_kernels(
    config.window_values(), config.resolved().fft_length
  )
  return both[stages.PARTS.index(part)][:, np.newaxis, :]
