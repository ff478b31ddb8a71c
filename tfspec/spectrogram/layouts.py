"""Layouts: where the channels are, in signals and in spectrograms."""

import tensorflow as tf

from tfspec.config import SpectrogramConfig
from tfspec.ops import check_ops, shape_ops

# Of more channels than libsndfile knows, samples and channels were swapped.
_MAX_CHANNELS = 1024


# Clips of up to so many channels may be shorter than they are wide: no batch of
# mono clips holds clips of so few samples.
_MAX_CHANNELS_OF_ANY_CLIP = 32


def check_channels(signals: tf.Tensor, data_format: str) -> tf.Tensor:
  """Returns signals, unless their channels must be the samples of a batch.

  Args:
    signals: One clip or a batch, each with a channels axis.
    data_format: "channels_last" or "channels_first".

  Returns:
    The signals.

  Raises:
    ValueError: If there are too many channels; see `Spectrogram.__call__`.
    tf.errors.InvalidArgumentError: The same, when a graph is run.
  """
  clip, mono = "[samples, channels]", "[batch, samples, 1]"
  samples, channels = shape_ops.dims(signals)[-2:]
  if data_format == "channels_first":
    clip, mono = "[channels, samples]", "[batch, 1, samples]"
    samples, channels = channels, samples
  if isinstance(channels, int) and channels <= _MAX_CHANNELS_OF_ANY_CLIP:
    return signals
  is_wrong = channels > _MAX_CHANNELS
  if signals.shape.rank == 2 and is_wrong is not True:
    is_wide = (channels > _MAX_CHANNELS_OF_ANY_CLIP) & (channels > samples)
    is_wrong |= is_wide & (samples > 0)
  rule = (
    f"signals must have at most {_MAX_CHANNELS} channels, and one clip, "
    f"{clip}, at most max(samples, {_MAX_CHANNELS_OF_ANY_CLIP}); a batch of "
    f"mono clips is {mono}. Got: "
  )
  layout = f", data_format={data_format}."  # A graph would escape quotes.
  if tf.is_tensor(is_wrong):
    words = rule + "samples=", samples, ", channels=", channels, layout
    return check_ops.require(signals, ~is_wrong, *words, compiled=True)
  if is_wrong:
    shape = check_ops.shape_text(signals.shape)
    raise ValueError(f"{rule}shape={shape}{layout}")
  return signals


def time_axis(config: SpectrogramConfig) -> int:
  """Returns which axis of a batch of spectrograms counts the frames."""
  return 1 if config.data_format == "channels_last" else 2


def arrange(values: tf.Tensor, config: SpectrogramConfig) -> tf.Tensor:
  """Brings `[batch, channels, num_frames, num_features]` into the layout."""
  if config.expand_dims:
    if config.data_format == "channels_last":
      return tf.transpose(values, [0, 2, 3, 1])
    return values
  sizes = shape_ops.dims if values.shape[1] is None else shape_ops.sizes
  batch, channels, frames, features = sizes(values)
  if config.data_format == "channels_first":
    values = tf.transpose(values, [0, 1, 3, 2])
    return tf.reshape(values, [batch, channels * features, frames])
  if values.shape[1] != 1:
    values = tf.transpose(values, [0, 2, 1, 3])
  return tf.reshape(values, [batch, frames, channels * features])


def swap_last_axes(signals: tf.Tensor) -> tf.Tensor:
  """Turns `[..., samples, channels]` into `[..., channels, samples]`."""
  *leading, samples, channels = shape_ops.sizes(signals)
  if signals.shape[-1] == 1:  # A reshape moves no data.
    return tf.reshape(signals, [*leading, channels, samples])
  return tf.linalg.matrix_transpose(signals)
