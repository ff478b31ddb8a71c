"""A WAV file whose samples are decoded when they are asked for."""

import tensorflow as tf

from tfspec.ops.wav import decoding, headers
from tfspec.storage import files

# A file of more bytes is not read at once.
_MOST_BYTES = 16 << 20


class WavFile:
  """A WAV file, of which a long one is never in memory as a whole.

  Attributes:
    samples: Samples of each channel.
    channels: Channels.
    sample_rate_hz: The sample rate.
    missing: How many samples a cut file misses; see `tfspec.decode_wav`.
  """

  def __init__(self, path: str, sample_rate_hz: int | None = None) -> None:
    """Reads the header.

    Args:
      path: Path of the file, from `files.as_path`.
      sample_rate_hz: The sample rate that the file must have, or None for any.

    Raises:
      OSError: If the file cannot be read.
      tf.errors.InvalidArgumentError: See `tfspec.decode_wav`.
    """
    rate = headers.ANY if sample_rate_hz is None else sample_rate_hz
    contents = files.read_bytes(path, _MOST_BYTES + 1)
    found = None
    if len(contents) > _MOST_BYTES:
      found = _find_in_beginning(contents, files.size(path), rate)
      contents = files.read_bytes(path) if found is None else b""
    self._path = path
    self._contents = contents
    self._found = found or _find(contents, len(contents), rate)
    self.samples = int(self._found.count)
    self.channels = int(self._found.channels)
    self.sample_rate_hz = int(self._found.sample_rate_hz)
    self.missing = int(self._found.missing)

  def read(self, start: int, stop: int) -> tf.Tensor:
    """Returns samples from one to before another, float32 `[..., channels]`."""
    size = int(self._found.frame_size)
    data_at = int(self._found.data_at) + start * size
    contents = self._contents
    if not contents:
      contents = files.read_bytes(self._path, (stop - start) * size, data_at)
      data_at = 0
    found = self._found._replace(data_at=data_at, count=stop - start)
    return _decode_function(contents, tf.constant(found, tf.int64))


def _find_in_beginning(
  contents: bytes, size: int, rate: int
) -> decoding.Samples | None:
  """Returns the samples of a file, None where its beginning does not tell."""
  try:
    found = _find(contents, size, rate)
  except tf.errors.InvalidArgumentError:
    return None
  data_at = int(found.data_at)
  stated = contents[data_at - 4 : data_at]
  # Where no size is stated, the rest of the file tells.
  is_stated = len(stated) == 4 and stated not in (b"\0" * 4, b"\xff" * 4)
  return found if is_stated else None


def _find(contents: bytes, size: int, rate: int) -> decoding.Samples:
  return decoding.Samples(*_find_function(contents, size, rate).numpy())


# Eager code would take ten times as long as these.
_STRING = tf.TensorSpec([], tf.string)
_NUMBER = tf.TensorSpec([], tf.int64)
_find_function = tf.function(
  lambda contents, size, rate: tf.stack(
    decoding.find_samples(contents, sample_rate_hz=rate, length=size)
  ),
  input_signature=[_STRING, _NUMBER, _NUMBER],
  autograph=False,
)
_decode_function = tf.function(
  lambda contents, found: decoding.decode_samples(
    contents, decoding.Samples(*tf.unstack(found))
  ),
  input_signature=[
    _STRING,
    tf.TensorSpec([len(decoding.Samples._fields)], tf.int64),
  ],
  autograph=False,
)
