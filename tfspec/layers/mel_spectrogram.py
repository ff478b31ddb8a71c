"""The Keras layer of mel spectrograms."""

import math
from typing import Any

import keras
import tensorflow as tf

from tfspec.config import (
  Compression,
  FilterBank,
  Normalization,
  SpectrogramConfig,
)
from tfspec.layers.spectrogram import Spectrogram
from tfspec.spectrogram import layouts


@keras.saving.register_keras_serializable(package="tfspec")
class MelSpectrogram(Spectrogram):
  """A drop-in for `keras.layers.MelSpectrogram` [1] on TensorFlow.

  It has the arguments, the shapes and the results of that layer, and no weights
  either. What differs: the limit `top_db` is below the peak of each clip by
  itself, where Keras' layer takes the peak of the whole batch, so that a quiet
  clip changes beside a loud one; clips may be shorter than half a frame;
  `mag_exp` is 1 or 2; and a band without a bin is warned of.

  Attributes:
    spectrogram_config: The `tfspec.SpectrogramConfig` of the layer, channels
      first.

  Args:
    fft_length: Samples in a frame and in the Fourier transform.
    sequence_stride: Samples between the starts of two frames.
    sequence_length: Samples in the window; None: `fft_length`.
    window: A name or tuple, values, or None; see `tfspec.SpectrogramConfig`.
    sampling_rate: In hertz.
    num_mel_bins: Number of bands.
    min_freq: The lower edge of the first band, in hertz.
    max_freq: The upper edge of the last band; None: half of `sampling_rate`.
    power_to_db: Whether to return decibels.
    top_db: How far below the peak of its clip a value may be, in decibels;
      None: no limit.
    mag_exp: 2 for bands of power, 1 for bands of magnitudes.
    min_power: The smallest value of a band in decibels.
    ref_power: The value of 0 dB.
    **kwargs: `name` and `dtype` of `keras.layers.Layer`.

  Raises:
    ValueError: If an argument breaks a rule of `tfspec.SpectrogramConfig`.
    TypeError: If an argument is of the wrong type.

  Example:
    >>> layer = tfspec.layers.MelSpectrogram(num_mel_bins=64)
    >>> layer(tf.zeros([3, 16000])).shape
    TensorShape([3, 64, 32])

  References:
    [1] https://keras.io/api/layers/preprocessing_layers/audio_preprocessing/
  """

  def __init__(
    self,
    fft_length: int = 2048,
    sequence_stride: int = 512,
    sequence_length: int | None = None,
    window: str | tuple[Any, ...] | None = "hann",
    sampling_rate: int = 16000,
    num_mel_bins: int = 128,
    min_freq: float = 20.0,
    max_freq: float | None = None,
    power_to_db: bool = True,
    top_db: float | None = 80.0,
    mag_exp: float = 2.0,
    min_power: float = 1e-10,
    ref_power: float = 1.0,
    **kwargs: Any,
  ) -> None:
    """Creates the layer."""
    if mag_exp not in (1, 2):
      raise ValueError(f"mag_exp must be 1 or 2. Got: mag_exp={mag_exp}.")
    self._arguments = {
      "fft_length": fft_length,
      "sequence_stride": sequence_stride,
      "sequence_length": sequence_length,
      "window": window,
      "sampling_rate": sampling_rate,
      "num_mel_bins": num_mel_bins,
      "min_freq": min_freq,
      "max_freq": max_freq,
      "power_to_db": power_to_db,
      "top_db": top_db,
      "mag_exp": mag_exp,
      "min_power": min_power,
      "ref_power": ref_power,
    }
    decibels = 10.0 * math.log10(max(abs(ref_power), min_power))
    config = SpectrogramConfig(
      mode="power" if mag_exp == 2 else "magnitude",
      frame_length=fft_length,
      frame_step=sequence_stride,
      fft_length=fft_length,
      window=window,
      # Without a window Keras takes the whole frame.
      window_length=None if window is None else sequence_length,
      periodic=True,
      scaling=None,
      padding="center",
      data_format=layouts.CHANNELS_FIRST,
      sample_rate_hz=sampling_rate,
      filter_bank=FilterBank(
        num_bands=num_mel_bins,
        slopes="scale",
        low_hz=min_freq,
        high_hz=max_freq,
        first_bin=1,
        empty="allow",
      ),
      # The same 10 log10(x) for bands of magnitudes, as Keras has it.
      compression=Compression(
        base=10.0**0.1, floor=min_power, dynamic_range=top_db
      )
      if power_to_db
      else None,
      normalization=Normalization(mean=decibels)
      if power_to_db and decibels
      else None,
    )
    kwargs.pop("trainable", None)  # There is nothing to train.
    super().__init__(config, **kwargs)
    self.input_spec = None

  def call(
    self,
    inputs: tf.Tensor,
    lengths: tf.Tensor | None = None,
    mask: tf.Tensor | None = None,
    padding_value: float | None = None,
  ) -> tf.Tensor | tuple[tf.Tensor, tf.Tensor]:
    """Returns the mel spectrogram, `[..., num_mel_bins, frames]`.

    Args:
      inputs: `[samples]`, `[batch, samples]` or `[batch, 1, samples]`.
      lengths: As `STFTSpectrogram` takes them, with a batch, as the others.
      mask: As there. It is not passed on: frames are the last axis.
      padding_value: As there.

    Returns:
      The spectrogram, and with `lengths` the number of frames of each clip.
    """
    rank = inputs.shape.rank
    if rank not in (1, 2, 3):
      raise ValueError(
        "inputs must be [samples], [batch, samples] or [batch, 1, samples]. "
        f"Got: shape={inputs.shape}."
      )
    if rank == 1:
      inputs = inputs[tf.newaxis, :]
    if rank < 3:
      inputs = inputs[:, tf.newaxis, :]
    result = super().call(inputs, lengths, mask, padding_value)
    return result[0] if rank == 1 else result

  def compute_mask(
    self, inputs: tf.Tensor, previous_mask: tf.Tensor | None = None
  ) -> None:
    """Returns None: the next layer would take it for a mask of bands."""

  def compute_output_shape(
    self, input_shape: tuple[int | None, ...]
  ) -> tuple[int | None, ...]:
    """Returns the shape of the output; None where the input has None."""
    if len(input_shape) == 3:
      return super().compute_output_shape(input_shape)
    batch, samples = (None, *input_shape)[-2:]
    shape = super().compute_output_shape((batch, 1, samples))
    return shape[1:] if len(input_shape) == 1 else shape

  def get_config(self) -> dict[str, Any]:
    """Returns the arguments of the layer."""
    found = super().get_config()
    del found["config"]
    return {**found, "trainable": self.trainable, **self._arguments}
