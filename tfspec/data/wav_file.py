"""A WAV file whose samples are decoded when they are asked for."""

import tensorflow as tf

from tfspec import errors
from tfspec.ops.wav import decoding, headers
from tfspec.storage import files

# More bytes of a file are read only if they are needed.
_MOST_BYTES = 16 << 20


class WavFile:
  """A WAV file, read in pieces if its beginning tells where its samples are.

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
      contents = _read_whole(path) if found is None else b""
    self._path = path
    self._contents = contents
    self._found = found or _find(contents, len(contents), rate)
    self.samples = int(self._found.count)
    self.channels = int(self._found.channels)
    self.sample_rate_hz = int(self._found.sample_rate_hz)
    self.missing = int(self._found.missing)

  def read(self, start: int, stop: int) -> tf.Tensor:
    """Decodes some of the samples.

    Args:
      start: The first one.
      stop: The one behind the last one.

    Returns:
      Signals, float32 `[stop - start, channels]`.

    Raises:
      OSError: If the file cannot be read, or has become shorter.
    """
    size = int(self._found.frame_size)
    data_at = int(self._found.data_at) + start * size
    contents = self._contents
    if not contents:
      contents = files.read_bytes(self._path, (stop - start) * size, data_at)
      data_at = 0
      if len(contents) < (stop - start) * size:
        raise OSError("it became shorter while it was read")
    found = self._found._replace(data_at=data_at, count=stop - start)
    return _decode_function(contents, tf.constant(found, tf.int64))


def _find_in_beginning(
  contents: bytes, size: int, rate: int
) -> decoding.Samples | None:
  """Returns the samples of a file, None where its beginning does not tell.

  It tells if the samples begin in there and do not end: so all is there that
  stands before them. Behind an empty chunk the reader looks on, up to the end.

  Raises:
    tf.errors.InvalidArgumentError: If it tells that the file must be refused.
  """
  try:
    found = _find(contents, size, rate)
  except tf.errors.InvalidArgumentError as e:
    if errors.sentence(e).startswith("wav: "):
      raise
    return None  # The header goes on.
  data_at = int(found.data_at)
  end = data_at + int(found.count * found.frame_size)
  return found if data_at <= len(contents) <= end else None


def _read_whole(path: str) -> bytes:
  size = files.size(path)
  if size >= 2**31:
    raise tf.errors.InvalidArgumentError(
      None,
      None,
      "wav: contents must have fewer than 2147483648 bytes if their beginning "
      f"does not tell where the samples are. Got: {size}.",
    )
  return files.read_bytes(path)


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
