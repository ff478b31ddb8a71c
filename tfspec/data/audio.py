"""Audio files."""

import tensorflow as tf

from tfspec import files
from tfspec.ops import wav_ops


def load_wav(
  path: files.Path | tf.Tensor,
  channels: int | None = None,
  sample_rate_hz: int | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
  """Reads a WAV file; works in `tf.data.Dataset.map`.

  Args:
    path: Path of the file, or a scalar string tensor.
    channels: How many channels the file must have, or None for any. With it
      the number of channels, and so the shape of spectrograms, is static, as
      most Keras models want it.
    sample_rate_hz: The sample rate that the file must have, or None for any.

  Returns:
    Signals, float32 `[samples, channels]`, to be transposed for a config with
    channels first, and the sample rate in hertz, an int32 scalar; see
    `tfspec.decode_wav`.

  Raises:
    tf.errors.NotFoundError: If there is no such file.
    tf.errors.InvalidArgumentError: If it is not a WAV file that can be read, or
      has other channels or another sample rate.

  Example:
    >>> signals, sample_rate_hz = load_wav("speech/en/queue-thankyou.wav", 1)
    >>> signals.shape, int(sample_rate_hz)
    (TensorShape([12736, 1]), 8000)
  """
  if isinstance(path, files.Path):
    path = files.encoded(files.as_path(path))
  return wav_ops.decode_wav(tf.io.read_file(path), channels, sample_rate_hz)
