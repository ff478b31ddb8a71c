"""Audio files."""

import tensorflow as tf

from tfspec.ops import tracing
from tfspec.ops.wav import decoding
from tfspec.storage import files


@tracing.as_written
def load_wav(
  path: files.Path | tf.Tensor,
  channels: int | None = None,
  sample_rate_hz: int | None = None,
  *,
  return_missing: bool = False,
) -> tuple[tf.Tensor, ...]:
  """Reads a WAV file; works in `tf.data.Dataset.map`.

  Args:
    path: Path of the file on any file system that TensorFlow reads: a string,
      bytes, a path or a scalar string tensor.
    channels: How many channels the file must have, or None for any. A number
      makes the number of channels static, and so the shape of spectrograms, as
      most Keras models need it.
    sample_rate_hz: The sample rate that the file must have, or None for any.
    return_missing: Whether to return how many samples a cut file misses.

  Returns:
    The signals, float32 `[samples, channels]`, and the sample rate in hertz, an
    int32 scalar. With `return_missing` a third value, the number of missing
    samples; see `tfspec.decode_wav`. For a config with channels first,
    transpose the signals.

  Raises:
    tf.errors.NotFoundError: If there is no such file.
    tf.errors.InvalidArgumentError: If it is not a WAV file that can be read, or
      has other channels or another sample rate. The message starts with the
      path: `a.wav: wav: the sample rate must be 8000 Hz. Got: 16000 Hz in the
      file.` Bytes of the path that are not UTF-8 are spelled as in a URL.

  Example:
    >>> signals, sample_rate_hz = load_wav("speech/en/queue-thankyou.wav", 1)
    >>> signals.shape, int(sample_rate_hz)
    (TensorShape([12736, 1]), 8000)
  """
  if not tf.is_tensor(path):
    path = tf.constant(files.encoded(files.as_path(path)))
  *results, missing = decoding.decode(
    tf.io.read_file(path), channels, sample_rate_hz, path
  )
  return (*results, missing) if return_missing else tuple(results)
