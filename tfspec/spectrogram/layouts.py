"""Layouts: where the channels are, in signals and in spectrograms.

No other module asks a config for its `data_format`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfspec.config import SpectrogramConfig
from tfspec.ops import check_ops, shape_ops

# For a layer whose bands come before its frames.
CHANNELS_FIRST = "channels_first"

# With more channels than libsndfile knows, samples and channels are swapped.
_MAX_CHANNELS = 1024
# Clips with up to this many channels may have fewer samples than channels: no
# batch of mono clips has clips that short.
_MAX_CHANNELS_OF_ANY_CLIP = 32


def is_channels_last(config: SpectrogramConfig) -> bool:
  """Returns whether the samples of a clip come before its channels."""
  return config.data_format == "channels_last"


def time_axis(config: SpectrogramConfig) -> int:
  """Returns which axis of a batch counts its samples, or its frames."""
  return 1 if is_channels_last(config) else 2


def channel_axis(config: SpectrogramConfig) -> int:
  """Returns which axis of a batch of signals counts its channels."""
  return 3 - time_axis(config)


def samples_and_channels(
  shape: Sequence[Any], config: SpectrogramConfig
) -> tuple[Any, Any]:
  """Returns the last two sizes of signals of a shape, in this order."""
  first, second = shape[-2:]
  return (first, second) if is_channels_last(config) else (second, first)


def output_shape(
  batch: int | None,
  frames: int | None,
  channels: int | None,
  config: SpectrogramConfig,
) -> tuple[int | None, ...]:
  """Returns the shape of a batch of spectrograms."""
  features = config.num_features
  if config.expand_dims:
    if is_channels_last(config):
      return batch, frames, features, channels
    return batch, channels, frames, features
  flat = None if channels is None else channels * features
  if is_channels_last(config):
    return batch, frames, flat
  return batch, flat, frames


def text(config: SpectrogramConfig) -> str:
  """Returns what the axes of the spectrogram of a clip are."""
  axes = ["frames", "features", "channels"]
  if not config.expand_dims:
    axes = ["frames", "channels * features"]
  if not is_channels_last(config):
    axes = [axes[-1], *axes[:-1]]
  return f"[{', '.join(axes)}]"


def check_channels_last(config: SpectrogramConfig, shape: str) -> None:
  """Refuses a config that cannot have a RaggedTensor of a shape."""
  if not is_channels_last(config):
    raise ValueError(
      "data_format must be 'channels_last' for a RaggedTensor. Got: "
      f"data_format={config.data_format!r}, shape={shape}."
    )


def check_channels(signals: tf.Tensor, last: bool = True) -> tf.Tensor:
  """Returns signals, unless their channels must be the samples of a batch.

  Args:
    signals: One clip or a batch, each with a channels axis.
    last: Whether their layout is that of channels last.

  Returns:
    The signals.

  Raises:
    ValueError: If there are too many channels; see `Spectrogram.__call__`.
    tf.errors.InvalidArgumentError: The same, when a graph is run.
  """
  clip, mono = "[samples, channels]", "[batch, samples, 1]"
  samples, channels = shape_ops.dims(signals)[-2:]
  if not last:
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
  # A graph would escape quotes.
  layout = f", data_format=channels_{'last' if last else 'first'}."
  if tf.is_tensor(is_wrong):
    words = rule + "samples=", samples, ", channels=", channels, layout
    return check_ops.require(signals, ~is_wrong, *words, compiled=True)
  if is_wrong:
    shape = check_ops.shape_text(signals.shape)
    raise ValueError(f"{rule}shape={shape}{layout}")
  return signals


def arrange(values: tf.Tensor, config: SpectrogramConfig) -> tf.Tensor:
  """Brings `[batch, channels, num_frames, num_features]` into the layout."""
  if config.expand_dims:
    if is_channels_last(config):
      return tf.transpose(values, [0, 2, 3, 1])
    return values
  sizes = shape_ops.dims if values.shape[1] is None else shape_ops.sizes
  batch, channels, frames, features = sizes(values)
  if not is_channels_last(config):
    values = tf.transpose(values, [0, 1, 3, 2])
    return tf.reshape(values, [batch, channels * features, frames])
  if values.shape[1] != 1:
    values = tf.transpose(values, [0, 2, 1, 3])
  return tf.reshape(values, [batch, frames, channels * features])


def silence_behind(
  values: tf.Tensor, num_frames: tf.Tensor, config: SpectrogramConfig
) -> tf.Tensor:
  """Returns a batch in the layout with silence behind the frames of each clip.

  Args:
    values: `[batch, ...]` in the layout.
    num_frames: How many frames of each clip are its own, int32 `[batch]`.
    config: The config.
  """
  axis = time_axis(config)
  shape = tf.shape(values)
  own = tf.sequence_mask(num_frames, shape[axis])
  ones = [1] * (values.shape.rank - 1 - axis)
  own = tf.reshape(own, [shape[0], *[1] * (axis - 1), shape[axis], *ones])
  # The short dtypes are rounded from float32, as spectrograms are.
  wide = tf.float64 if values.dtype == tf.float64 else tf.float32
  fill = tf.constant(silence(config, values.shape[feature_axis(config)]), wide)
  return tf.where(own, values, tf.cast(fill, values.dtype))


def feature_axis(config: SpectrogramConfig) -> int:
  """Returns which axis of a batch of spectrograms counts the features.

  Without `expand_dims` it counts those of all channels.
  """
  if config.expand_dims:
    return 2 if is_channels_last(config) else 3
  return channel_axis(config)


def silence(
  config: SpectrogramConfig, features: int | None
) -> float | np.ndarray:
  """Returns the value of silence, which is to be broadcast in the layout.

  Args:
    config: The config.
    features: The size of `feature_axis`; it must be known where silence differs
      by feature.
  """
  value = config.silence
  if not isinstance(value, tuple):
    return value
  if features is None:
    raise ValueError(
      "spectrograms must have a known number of features where silence differs "
      "by feature. Got: None."
    )
  values = np.tile(value, features // len(value))
  behind = (3 if config.expand_dims else 2) - feature_axis(config)
  return values.reshape([-1] + [1] * behind)


def arrange_mono(values: np.ndarray, config: SpectrogramConfig) -> np.ndarray:
  """Brings the values of a mono clip, `[frames, features]`, into the layout."""
  if config.expand_dims:
    return np.expand_dims(values, 2 if is_channels_last(config) else 0)
  return values if is_channels_last(config) else values.T


def frames_of(
  values: np.ndarray, channel: int, config: SpectrogramConfig
) -> np.ndarray:
  """Returns the values of one channel of a clip, `[frames, features]`."""
  if config.expand_dims:
    return np.take(values, channel, 2 if is_channels_last(config) else 0)
  flat = values if is_channels_last(config) else values.T
  start = channel * config.num_features
  return flat[:, start : start + config.num_features]


def to_layout(signals: tf.Tensor, config: SpectrogramConfig) -> tf.Tensor:
  """Brings `[..., samples, channels]` into the layout of signals."""
  return signals if is_channels_last(config) else swap_last_axes(signals)


def to_rows(signals: tf.Tensor, config: SpectrogramConfig) -> tf.Tensor:
  """Turns signals in the layout into `[..., channels, samples]`."""
  return swap_last_axes(signals) if is_channels_last(config) else signals


def swap_last_axes(signals: tf.Tensor) -> tf.Tensor:
  """Turns `[..., samples, channels]` into `[..., channels, samples]`."""
  *leading, samples, channels = shape_ops.sizes(signals)
  if signals.shape[-1] == 1:  # A reshape moves no data.
    return tf.reshape(signals, [*leading, channels, samples])
  return tf.linalg.matrix_transpose(signals)
