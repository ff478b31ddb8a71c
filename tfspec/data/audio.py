"""Audio files."""

import tensorflow as tf

from tfspec.ops import wav_ops


def load_wav(path: str | tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
  """Reads a WAV file; works in `tf.data.Dataset.map`.

  Args:
    path: Path of the file, a string or a scalar string tensor.

  Returns:
    Signals, float32 `[samples, channels]`, to be transposed for a config with
    channels first, and the sample rate in hertz, an int32 scalar; see
    `tfspec.decode_wav`.

  Raises:
    tf.errors.NotFoundError: If there is no such file.
    tf.errors.InvalidArgumentError: If it is not a WAV file that can be read.

  Example:
    >>> signals, sample_rate_hz = load_wav("speech/en/queue-thankyou.wav")
    >>> signals.shape, int(sample_rate_hz)
    (TensorShape([12736, 1]), 8000)
  """
  return wav_ops.decode_wav(tf.io.read_file(path))
