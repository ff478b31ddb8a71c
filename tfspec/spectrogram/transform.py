"""The transform of a config: where its fields meet the operations."""

import numpy as np
import tensorflow as tf

from tfspec.coefficients import fourier, framing
from tfspec.config import ResolvedConfig, SpectrogramConfig
from tfspec.ops import padding_ops, stages, stft_ops
from tfspec.spectrogram import chain


def apply(
  signals: tf.Tensor,
  config: SpectrogramConfig,
  kernels: list[tf.Tensor],
  lengths: tf.Tensor | None = None,
) -> tf.Tensor:
  """Returns the values of a config, `[..., num_frames, num_features]`.

  Args:
    signals: `[..., samples]`, with lengths `[batch, channels, samples]`.
    config: The config.
    kernels: Kernels `[frame_length, 1, num_bins]`, one for each of
      `kernel_parts(config.mode)`, or none for the Fourier kernels.
    lengths: Valid samples of each clip, int32 `[batch]`, or None: all.
  """
  config = config.resolved()
  signals = chain.condition_clip(signals, config.conditioning)

  def energy() -> tf.Tensor:
    padded = padding_ops.pad(
      signals,
      config.frame_length,
      config.frame_step,
      config.padding,
      config.pad_mode,
      config.pad_value,
      lengths,
      config.drop_last_frame,
    )
    return chain.log_energy(padded, config)

  of_frames, of_clip = chain.of(config, energy)
  (values,) = stft_ops.transform(
    signals,
    of_frames,
    config.window_values(),
    config.frame_step,
    config.fft_length,
    padding=config.padding,
    pad_mode=config.pad_mode,
    pad_value=config.pad_value,
    drop_last_frame=config.drop_last_frame,
    engine=config.engine,
    precision=config.precision,
    kernels=[kernel[:, 0, :] for kernel in kernels],
    bins=chain.bins(config),
    lengths=lengths,
    condition=chain.condition_frames(config.conditioning),
  )
  if of_clip:
    counts = None if lengths is None else _num_transformed(lengths, config)
    for operation in of_clip:
      values = operation(values, counts)
  return values


def num_frames(lengths: tf.Tensor, config: SpectrogramConfig) -> tf.Tensor:
  """Returns the number of frames of clips of such lengths, int32."""
  frames = _num_transformed(lengths, config.resolved())
  if config.stacking is None:
    return frames
  return config.stacking.num_frames(frames, tf.maximum)


def _num_transformed(lengths: tf.Tensor, config: ResolvedConfig) -> tf.Tensor:
  """Returns how many frames of clips are transformed, int32."""
  return framing.num_frames(
    lengths,
    config.frame_length,
    config.frame_step,
    config.padding,
    tf.maximum,
    config.drop_last_frame,
  )


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
