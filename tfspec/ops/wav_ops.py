"""Decoding of WAV files in the graph.

`tf.audio.decode_wav` reads 16-bit PCM behind one plain header only. The op here
reads what audio tools write, with stock TensorFlow ops, so that it also runs in
`tf.data` workers and in a SavedModel that is loaded without tfspec.

References:
  [1] Microsoft and IBM, "Multimedia Programming Interface and Data
      Specifications 1.0", 1991: RIFF, the chunks `fmt ` and `data`.
  [2] Microsoft, "Multiple channel audio data and WAVE files", 2007:
      WAVE_FORMAT_EXTENSIBLE and its sub-format GUIDs.
  [3] EBU Tech 3306, "RF64: An extended file format for audio data", 2018.
  [4] ITU-T G.711, "Pulse code modulation (PCM) of voice frequencies", 1988:
      A-law and mu-law.
"""

import functools
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfspec import errors
from tfspec.ops import wav_header_ops


def decode_wav(
  contents: tf.Tensor,
  channels: int | None = None,
  sample_rate_hz: int | None = None,
  name: str | None = None,
  *,
  return_missing: bool = False,
) -> tuple[tf.Tensor, ...]:
  r"""Decodes a WAV file into signals and their sample rate.

  `signals[i, c]` is the sample of channel `c` at `i / sample_rate_hz` seconds,
  equal to the last bit to what libsndfile reads as float32.

  | encoding (bits)           | range of `signals`                             |
  |---------------------------|------------------------------------------------|
  | PCM (8, 16, 24)           | [-1, 1)                                        |
  | PCM (32)                  | [-1, 1]: the top 64 values round to 1          |
  | A-law (8), mu-law (8) [4] | (-1, 1)                                        |
  | IEEE float (32, 64)       | as stored, infinities and NaN included; from   |
  |                           | 64 bits, what is below 1.2e-38 reads as 0      |

  The file may be RIFF [1] or RF64 [3], its format plain or extensible [2], its
  chunks in any order; the first `fmt ` and the first `data` chunk count, and
  both must be among the first 1024 chunks. A data chunk that states more bytes
  than there are, as in a cut file or a stream of unknown size (0xFFFFFFFF),
  reaches to the end of `contents`; so does a data size of 0, unless the RIFF
  size accounts for every byte of `contents` and so confirms it. Bytes after the
  data and an incomplete last sample frame are dropped. The number of valid bits
  in an extensible format changes nothing: such samples are left-justified.

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
    name: Name of the scope of the ops. Defaults to "decode_wav".
    return_missing: Whether to return what is missing too.

  Returns:
    `(signals, sample_rate_hz)`: a float32 `[samples, channels]` tensor, and an
    int32 scalar in Hz. With `return_missing` also an int64 scalar: the samples
    of each channel that the header promises beyond those that are there.

  Raises:
    ValueError: If `contents` is known to be no scalar.
    tf.errors.InvalidArgumentError: When run, if `contents` is no WAV file, or a
      malformed one, or one of another encoding, or has other channels or
      another sample rate. The message is a sentence that starts with "wav:" and
      names the rule, the value and its byte.
  """
  with tf.name_scope(name or "decode_wav"):
    contents = tf.convert_to_tensor(contents, tf.string, name="contents")
    if contents.shape.rank not in (0, None):
      raise ValueError(
        f"contents must be a scalar. Got: shape={contents.shape}."
      )
    signals, rate, missing = _decode_anywhere(contents)
    if channels is not None:
      found = tf.shape(signals)[1]
      signals = errors.require(
        signals,
        tf.equal(found, channels),
        f"wav: there must be {channels} channels. Got: ",
        found,
        " in the file.",
      )
      signals = tf.ensure_shape(signals, [None, channels])
    if sample_rate_hz is not None:
      signals = errors.require(
        signals,
        tf.equal(rate, sample_rate_hz),
        f"wav: the sample rate must be {sample_rate_hz} Hz. Got: ",
        rate,
        " Hz in the file.",
      )
    return (signals, rate, missing) if return_missing else (signals, rate)


def num_samples(contents: tf.Tensor, name: str | None = None) -> tf.Tensor:
  """Returns how many samples a channel of a WAV file has, decoding none.

  Args:
    contents: Scalar string, the bytes of a file, fewer than 2 GiB.
    name: Name of the scope of the ops. Defaults to "num_samples".

  Returns:
    Int64 scalar: the length of what `decode_wav` returns.

  Raises:
    tf.errors.InvalidArgumentError: When run, if `contents` is no WAV file, or a
      malformed one, or one of another encoding, as in `decode_wav`.
  """
  with tf.name_scope(name or "num_samples"):
    contents = tf.ensure_shape(contents, [])
    header = wav_header_ops.read_header(contents)
    block_align = wav_header_ops.require_valid(contents, header)
    return header.data_size // block_align


def _decode_anywhere(contents: tf.Tensor) -> tuple[tf.Tensor, ...]:
  if not tf.executing_eagerly():
    return _decode(contents)
  # Eagerly, the many small ops would cost ten times what one function does.
  try:
    return _decode_as_function(contents)
  except tf.errors.InvalidArgumentError as e:
    sentence = errors.sentence(e)  # Without the graph that nobody asked for.
    raise tf.errors.InvalidArgumentError(None, None, sentence) from None


def _decode(contents: tf.Tensor) -> tuple[tf.Tensor, ...]:
  contents = tf.ensure_shape(contents, [])
  header = wav_header_ops.read_header(contents)
  block_align = wav_header_ops.require_valid(contents, header)
  num_frames = header.data_size // block_align
  raw = tf.strings.substr(contents, header.data_at, num_frames * block_align)
  signals = tf.switch_case(
    tf.argmax(tf.cast(header.is_encoding, tf.int32), output_type=tf.int32),
    [
      functools.partial(_DECODERS[encoding], raw)
      for encoding in wav_header_ops.ENCODINGS
    ],
  )
  signals = tf.reshape(signals, tf.stack([num_frames, header.channels]))
  with tf.control_dependencies([block_align]):
    sample_rate = tf.cast(header.sample_rate, tf.int32)
  return signals, sample_rate, header.missing_size // block_align


_decode_as_function = tf.function(
  _decode,
  input_signature=[tf.TensorSpec([], tf.string)],
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
  (wav_header_ops.PCM, 8): lambda raw: _decode_table(
    raw, np.arange(-128, 128) * 256
  ),
  (wav_header_ops.PCM, 16): lambda raw: _decode_integers(raw, tf.int16),
  (wav_header_ops.PCM, 24): _decode_24_bits,
  (wav_header_ops.PCM, 32): lambda raw: _decode_integers(raw, tf.int32),
  (wav_header_ops.FLOAT, 32): lambda raw: _decode_floats(raw, tf.float32),
  (wav_header_ops.FLOAT, 64): lambda raw: _decode_floats(raw, tf.float64),
  (wav_header_ops.A_LAW, 8): lambda raw: _decode_table(raw, _a_law_table()),
  (wav_header_ops.MU_LAW, 8): lambda raw: _decode_table(raw, _mu_law_table()),
}
