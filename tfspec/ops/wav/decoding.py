"""Decoding of WAV files in the graph.

`tf.audio.decode_wav` reads 16-bit PCM behind one plain header only. The op here
reads what audio tools write, with stock TensorFlow ops, so that it also runs in
`tf.data` workers and in a SavedModel that is loaded without tfspec.
`decode_wav` decodes a file at once; a served model (`export.signatures`) and
`data.wav_file` call `find_samples`, and then `decode_samples`.

References:
  [1] Microsoft and IBM, "Multimedia Programming Interface and Data
      Specifications 1.0", 1991: RIFF, the chunks `fmt ` and `data`.
  [2] Microsoft, "Multiple channel audio data and WAVE files", 2007:
      WAVE_FORMAT_EXTENSIBLE and its sub-format GUIDs.
  [3] EBU Tech 3306, "RF64: An extended file format for audio data", 2018.
  [4] ITU-T G.711, "Pulse code modulation (PCM) of voice frequencies", 1988:
      A-law and mu-law.
  [5] R. W. Dobson, "AMB Ambisonic file format", 2001: the sub-format GUIDs of
      B-format.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfspec import errors
from tfspec.ops import tracing
from tfspec.ops.wav import headers


@tracing.as_written
def decode_wav(
  contents: tf.Tensor,
  channels: int | None = None,
  sample_rate_hz: int | None = None,
  *,
  return_missing: bool = False,
  name: str | None = None,
) -> tuple[tf.Tensor, ...]:
  r"""Decodes a WAV file into signals and their sample rate.

  `signals[i, c]` is the sample of channel `c` at `i / sample_rate_hz` seconds,
  equal to the last bit to what libsndfile reads as float32.

  | encoding (bits)           | range of `signals`                             |
  |---------------------------|------------------------------------------------|
  | PCM (1 to 24)             | [-1, 1)                                        |
  | PCM (25 to 32)            | [-1, 1]: the top 64 values round to 1          |
  | A-law, mu-law [4]         | (-1, 1)                                        |
  | IEEE float (32, 64)       | as stored, infinities and NaN included; from   |
  |                           | 64 bits, what is below 1.2e-38 reads as 0      |

  PCM samples fill the next whole number of bytes, left-justified: 12 bits stand
  at the top of 16, 20 at the top of 24. The number of valid bits in an
  extensible format changes nothing. A-law and mu-law samples have 8 bits,
  whatever the header says of bits and block align. In other encodings a block
  align that is too small, such as 0 or 1, is taken for a slip; one that is too
  large is refused.

  The file may be RIFF [1] or RF64 [3], its format plain, extensible [2] or that
  of Ambisonic B-format [5], its chunks in any order. The first `fmt ` and the
  first `data` chunk count, and both must be among the first 1024 chunks. Two
  `fmt ` chunks ahead of the data must be the same. Bytes after the data and an
  incomplete last sample frame are dropped.

  The stated size of the data holds. If there are fewer bytes, the file was cut:
  it is read up to its end, and `missing_samples` says what is not there. Two
  kinds of size say nothing, so that the data reaches to the end: one within
  64 KiB of 2 or 4 GiB, as programs write ahead of a stream; and 0, unless
  chunks follow, up to the end of `contents`, or the RIFF size accounts for
  every byte: then the file is empty.

  >>> header = b"RIFF\x28\0\0\0WAVEfmt \x10\0\0\0"
  >>> header += b"\x01\0\x02\0\x80\x3e\0\0\0\xfa\0\0\x04\0\x10\0"
  >>> contents = header + b"data\x04\0\0\0" + b"\0\x40\0\x80"
  >>> signals, sample_rate_hz = decode_wav(contents)
  >>> signals.numpy().tolist(), int(sample_rate_hz)
  ([[0.5, -1.0]], 16000)

  Args:
    contents: Scalar string, the bytes of a file, fewer than 2 GiB.
    channels: How many channels the file must have, or None for any. With it
      the result has a static number of channels.
    sample_rate_hz: The sample rate that the file must have, or None for any.
    return_missing: Whether to return `missing_samples` too.
    name: Name of the scope of the ops. Defaults to "decode_wav".

  Returns:
    `(signals, sample_rate_hz)`: a float32 `[samples, channels]` tensor, and an
    int32 scalar in Hz. With `return_missing` a third, `missing_samples`, an
    int64 scalar: how many samples of each channel the header promises beyond
    those that are there. It is 0 for a whole file and for a stream. A sample
    frame that is cut counts as missing.

  Raises:
    ValueError: If `contents` is known to be no scalar, or `channels` or
      `sample_rate_hz` is less than 1.
    tf.errors.InvalidArgumentError: When run, if `contents` is no WAV file, or a
      malformed one, or one of another encoding, or has other channels or
      another sample rate. The message is a sentence that starts with "wav:" and
      names the rule, the value and its byte.
  """
  with tf.name_scope(name or "decode_wav"):
    *results, missing = decode(contents, channels, sample_rate_hz)
    return (*results, missing) if return_missing else tuple(results)


def decode(
  contents: tf.Tensor,
  channels: int | None = None,
  sample_rate_hz: int | None = None,
  source: tf.Tensor | str = "",
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
  """Decodes as `decode_wav` does, for a source that messages name.

  Args:
    contents: See `decode_wav`, as for the rest.
    channels: How many channels the file must have, or None for any.
    sample_rate_hz: The sample rate that the file must have, or None for any.
    source: What messages start with, such as the path: a scalar string, or ""
      for nothing. Bytes that are not UTF-8 are spelled as in a URL.

  Returns:
    `(signals, sample_rate_hz, missing_samples)`.
  """
  given = {"channels": channels, "sample_rate_hz": sample_rate_hz}
  for name, value in given.items():
    if value is not None and value < 1:
      raise ValueError(f"{name} must be at least 1. Got: {name}={value}.")
  contents = tf.convert_to_tensor(contents, tf.string, name="contents")
  if contents.shape.rank not in (0, None):
    raise ValueError(f"contents must be a scalar. Got: shape={contents.shape}.")
  numbers = [
    headers.ANY if value is None else value for value in given.values()
  ]
  signals, *others = _decode_anywhere(contents, numbers, source)
  if channels is not None:
    signals = tf.ensure_shape(signals, [None, channels])
  return signals, *others


class Samples(NamedTuple):
  """Where the samples of a valid file are, and what: int64 scalars."""

  data_at: tf.Tensor  # The byte of the first one.
  frame_size: tf.Tensor  # Bytes of a sample of all channels.
  count: tf.Tensor  # Of each channel.
  missing: tf.Tensor  # Of each channel, as `decode_wav` says.
  encoding: tf.Tensor  # Which of `headers.ENCODINGS`.
  channels: tf.Tensor
  sample_rate_hz: tf.Tensor


def find_samples(
  contents: tf.Tensor,
  channels: tf.Tensor | int = headers.ANY,
  sample_rate_hz: tf.Tensor | int = headers.ANY,
  source: tf.Tensor | str = "",
  length: tf.Tensor | None = None,
) -> Samples:
  """Reads and checks the header of a WAV file, and decodes nothing.

  Args:
    contents: Scalar string, the bytes of a file, fewer than 2 GiB, or the first
      of them: it fails if the header needs more.
    channels: How many channels there must be, an int64 scalar, or
      `headers.ANY`.
    sample_rate_hz: What the sample rate must be, an int64 scalar, or
      `headers.ANY`.
    source: What messages start with; see `decode`.
    length: How many bytes the file has, an int64 scalar. None: `contents`.

  Returns:
    What `decode_samples` takes.

  Raises:
    tf.errors.InvalidArgumentError: When run; see `decode_wav`.
  """
  contents = tf.ensure_shape(contents, [])
  header = headers.read_header(contents, length)
  frame_size = headers.require_valid(
    contents, header, channels, sample_rate_hz, source
  )
  promised, available = header.data_size, header.available
  count = tf.minimum(promised, available) // frame_size
  # Rounded up: a cut frame is missing.
  missing = -(-promised // frame_size) - count
  with tf.control_dependencies([frame_size]):
    return Samples(
      data_at=header.data_at,
      frame_size=frame_size,
      count=count,
      missing=tf.where(promised > available, missing, 0),
      encoding=tf.argmax(tf.cast(header.is_encoding, tf.int32)),
      channels=header.channels,
      sample_rate_hz=tf.identity(header.sample_rate),
    )


def require_given(
  value: tf.Tensor,
  samples: Samples,
  channels: int | None,
  sample_rate_hz: int | None,
) -> tf.Tensor:
  """Returns a value if a file has these channels and this rate.

  Args:
    value: What is computed from the result waits for the check.
    samples: What was found in the file.
    channels: How many channels there must be, or None for any.
    sample_rate_hz: What the sample rate must be, or None for any.

  Raises:
    tf.errors.InvalidArgumentError: When run, with the sentence of `decode_wav`.
  """
  rules = headers.given_rules(
    samples.channels,
    samples.sample_rate_hz,
    *(headers.ANY if n is None else n for n in (channels, sample_rate_hz)),
  )
  return headers.require(value, rules) if rules else value


def decode_samples(contents: tf.Tensor, samples: Samples) -> tf.Tensor:
  """Returns the samples that were found in a file, `[samples, channels]`."""
  num_bytes = samples.count * samples.frame_size
  raw = tf.strings.substr(contents, samples.data_at, num_bytes)
  signals = tf.switch_case(
    tf.cast(samples.encoding, tf.int32),
    [
      functools.partial(_DECODERS[encoding], raw)
      for encoding in headers.ENCODINGS
    ],
  )
  return tf.reshape(signals, tf.stack([samples.count, samples.channels]))


def _decode_anywhere(
  contents: tf.Tensor, numbers: list[int], source: tf.Tensor | str
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
  if not tf.executing_eagerly():
    return _decode(contents, *numbers, source)
  # Eagerly, the many small ops would cost ten times what one function does.
  is_any = (
    isinstance(source, str) and not source and numbers == [headers.ANY] * 2
  )
  try:
    if is_any:
      return _decode_as_function(contents)
    return _decode_given_as_function(contents, *numbers, source)
  except tf.errors.InvalidArgumentError as e:
    sentence = errors.sentence(e)  # Without the graph that nobody asked for.
    raise tf.errors.InvalidArgumentError(None, None, sentence) from None


def _decode(
  contents: tf.Tensor,
  channels: tf.Tensor | int,
  sample_rate_hz: tf.Tensor | int,
  source: tf.Tensor | str,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
  samples = find_samples(contents, channels, sample_rate_hz, source)
  return (
    decode_samples(contents, samples),
    tf.cast(samples.sample_rate_hz, tf.int32),
    samples.missing,
  )


_STRING = tf.TensorSpec([], tf.string)
_NUMBER = tf.TensorSpec([], tf.int64)
# Default arguments of a function would cost at each call.
_decode_as_function = tf.function(
  lambda contents: _decode(contents, headers.ANY, headers.ANY, ""),
  input_signature=[_STRING],
  autograph=False,
)
_decode_given_as_function = tf.function(
  _decode,
  input_signature=[_STRING, _NUMBER, _NUMBER, _STRING],
  autograph=False,
)


def _decode_integers(raw: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
  """Returns 16- or 32-bit PCM samples over their full scale."""
  samples = tf.cast(tf.io.decode_raw(raw, dtype), tf.float32)
  return samples * 2.0 ** (1 - 8 * dtype.size)


def _decode_24_bits(raw: tf.Tensor) -> tf.Tensor:
  """Returns 24-bit PCM samples over their full scale."""
  low, middle, high = tf.unstack(
    tf.cast(tf.reshape(tf.io.decode_raw(raw, tf.uint8), [-1, 3]), tf.int32),
    axis=-1,
  )
  # In the upper bytes of an int32, whose sign is then theirs.
  samples = (
    tf.bitwise.left_shift(low, 8)
    + tf.bitwise.left_shift(middle, 16)
    + tf.bitwise.left_shift(high, 24)
  )
  return tf.cast(samples, tf.float32) * 2.0**-31


def _decode_floats(raw: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
  """Returns floats as stored."""
  return tf.cast(tf.io.decode_raw(raw, dtype), tf.float32)


def _decode_table(raw: tf.Tensor, table: np.ndarray) -> tf.Tensor:
  """Returns the values of 8-bit samples."""
  indices = tf.cast(tf.io.decode_raw(raw, tf.uint8), tf.int32)
  return tf.gather(tf.constant(table / 32768, tf.float32), indices)


def _a_law_table() -> np.ndarray:
  """Returns the 16-bit values of the A-law bytes [4]."""
  byte = np.arange(256) ^ 0x55
  exponent, mantissa = byte >> 4 & 7, byte & 15
  magnitude = mantissa * 16 + 8 + 256 * (exponent > 0)
  magnitude <<= np.maximum(exponent - 1, 0)
  return np.where(byte & 128, magnitude, -magnitude)


def _mu_law_table() -> np.ndarray:
  """Returns the 16-bit values of the mu-law bytes [4]."""
  byte = np.arange(256) ^ 0xFF
  exponent, mantissa = byte >> 4 & 7, byte & 15
  magnitude = ((mantissa * 8 + 132) << exponent) - 132
  return np.where(byte & 128, -magnitude, magnitude)


# By format code and bits per sample.
_DECODERS: dict[tuple[int, int], Callable[[tf.Tensor], tf.Tensor]] = {
  (headers.PCM, 8): lambda raw: _decode_table(raw, np.arange(-128, 128) * 256),
  (headers.PCM, 16): lambda raw: _decode_integers(raw, tf.int16),
  (headers.PCM, 24): _decode_24_bits,
  (headers.PCM, 32): lambda raw: _decode_integers(raw, tf.int32),
  (headers.FLOAT, 32): lambda raw: _decode_floats(raw, tf.float32),
  (headers.FLOAT, 64): lambda raw: _decode_floats(raw, tf.float64),
  (headers.A_LAW, 8): lambda raw: _decode_table(raw, _a_law_table()),
  (headers.MU_LAW, 8): lambda raw: _decode_table(raw, _mu_law_table()),
}
