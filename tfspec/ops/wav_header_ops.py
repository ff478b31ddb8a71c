"""The headers of WAV files, read and checked in the graph.

A file is a list of chunks. Their headers are walked in a loop, the `fmt ` chunk
is read, and every rule is checked at once. Until that check each op is total:
it takes any bytes, reads zeros past the end and may yield nonsense, which the
check then refuses.

The numbers in brackets are those of the references in `wav_ops`.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

# Format codes.
PCM, FLOAT, A_LAW, MU_LAW = 1, 3, 6, 7
# The format code and the bits per sample of each encoding that is known.
ENCODINGS = (
  (PCM, 8),
  (PCM, 16),
  (PCM, 24),
  (PCM, 32),
  (FLOAT, 32),
  (FLOAT, 64),
  (A_LAW, 8),
  (MU_LAW, 8),
)

# Bounds the time that a hostile file made of empty chunks can take.
_MAX_CHUNKS = 1024

_UNKNOWN_SIZE = 0xFFFFFFFF
_EXTENSIBLE = 0xFFFE
# What follows the format code in a sub-format GUID.
_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")
# How bytes stand in messages: as in a URL.
_SPELLING = [chr(i) if 32 <= i < 127 else f"%{i:02X}" for i in range(256)]


class Header(NamedTuple):
  """All but the samples: int64 scalars unless noted, bytes where apt."""

  length: tf.Tensor  # Of the contents.
  tag: tf.Tensor  # "RIFF" or "RF64", as a word.
  form: tf.Tensor  # "WAVE", as a word.
  walked_to: tf.Tensor  # Where the next chunk would start.
  is_found: tf.Tensor  # Of the chunks `fmt ` and `data`: bool, [2].
  data_at: tf.Tensor  # The first sample.
  data_size: tf.Tensor  # Of the samples that are there.
  fmt_at: tf.Tensor  # The first field of `fmt `; from here on, its fields.
  fmt_size: tf.Tensor
  is_extensible: tf.Tensor  # Bool.
  code: tf.Tensor  # Of the sub-format, if extensible.
  channels: tf.Tensor
  sample_rate: tf.Tensor
  block_align: tf.Tensor
  bits: tf.Tensor
  guid_tail: tf.Tensor  # Seven 16-bit words.
  missing_size: tf.Tensor  # Bytes of samples that are stated but not there.
  is_encoding: tf.Tensor  # Which of `ENCODINGS`: bool, [len(ENCODINGS)].


def _int64(value: int | list[int]) -> tf.Tensor:
  return tf.constant(value, tf.int64)


def _tag(text: bytes) -> int:
  """Returns the word that `_read` makes of four bytes."""
  return int.from_bytes(text, "little")


def _read(
  contents: tf.Tensor, position: tf.Tensor, num_words: int, dtype: tf.DType
) -> tf.Tensor:
  """Returns little-endian unsigned words as int64; past the end, zeros."""
  num_bytes = num_words * dtype.size
  raw = tf.strings.substr(contents, position, _int64(num_bytes))
  words = tf.io.decode_raw(raw, dtype, fixed_length=num_bytes)
  # The mask undoes the sign of int32: `decode_raw` knows no uint32.
  return tf.bitwise.bitwise_and(
    tf.cast(words, tf.int64), 2 ** (8 * dtype.size) - 1
  )


def _find_chunks(
  contents: tf.Tensor,
  length: tf.Tensor,
  first_words: tf.Tensor,
  unknown_size: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
  """Walks the chunk headers until `fmt ` and `data` are found.

  Args:
    contents: The bytes of the file.
    length: Their number.
    first_words: The first ten 32-bit words of them.
    unknown_size: What a size of 0xFFFFFFFF stands for.

  Returns:
    The byte walked to and the bytes of the two chunks, `length` for none.
  """

  def is_unfinished(position: tf.Tensor, found: tf.Tensor) -> tf.Tensor:
    return (position + 8 <= length) & tf.equal(tf.reduce_max(found), length)

  def step(
    position: tf.Tensor, found: tf.Tensor
  ) -> tuple[tf.Tensor, tf.Tensor]:
    tag, size = tf.unstack(_read(contents, position, 2, tf.int32))
    is_tag = tf.equal(tag, [_tag(b"fmt "), _tag(b"data")])
    found = tf.minimum(found, tf.where(is_tag, position, length))
    size = tf.where(tf.equal(size, _UNKNOWN_SIZE), unknown_size, size)
    # A pad byte follows a chunk of odd size.
    return position + 8 + size + size % 2, found

  # Most files start with the same 44 bytes of headers: they need no walk.
  is_usual = (length >= 44) & tf.reduce_all(
    tf.equal(
      tf.gather(first_words, [3, 4, 9]), [_tag(b"fmt "), 16, _tag(b"data")]
    )
  )
  start = (_int64(12), tf.where(is_usual, _int64([12, 36]), length))
  return tf.while_loop(
    is_unfinished, step, start, maximum_iterations=_MAX_CHUNKS
  )


def read_header(contents: tf.Tensor) -> Header:
  """Reads what stands around the samples, whatever it is.

  Args:
    contents: Bytes of the file, a scalar string.

  Returns:
    The header; it means something only if `require_valid` finds it valid.
  """
  length = tf.cast(tf.strings.length(contents), tf.int64)
  first_words = _read(contents, _int64(0), 10, tf.int32)
  tag, riff_size, form, ds64_tag, _, *sizes64, _ = tf.unstack(first_words)
  # RF64 [3] has sizes of 64 bits, of which no string needs the upper 32.
  has_ds64 = tf.equal(tag, _tag(b"RF64")) & tf.equal(ds64_tag, _tag(b"ds64"))
  riff_size64, data_size64 = (
    tf.where(tf.equal(high, 0), low, _UNKNOWN_SIZE)
    for low, high in (sizes64[:2], sizes64[2:])
  )
  riff_size = tf.where(has_ds64, riff_size64, riff_size)
  unknown_size = tf.where(has_ds64, data_size64, _UNKNOWN_SIZE)

  walked_to, found = _find_chunks(contents, length, first_words, unknown_size)
  fmt_chunk, data_chunk = tf.unstack(found)
  _, data_size = tf.unstack(_read(contents, data_chunk, 2, tf.int32))
  fmt = tf.unstack(_read(contents, fmt_chunk, 24, tf.uint16))
  code, channels, rate_low, rate_high, _, _, block_align, bits = fmt[4:12]
  is_extensible = tf.equal(code, _EXTENSIBLE)
  code = tf.where(is_extensible, fmt[16], code)

  data_size = tf.where(
    tf.equal(data_size, _UNKNOWN_SIZE), unknown_size, data_size
  )
  # A writer that never came back to fill in the sizes leaves zeros. One that
  # had no samples to write states a RIFF size that fits, save for a pad byte.
  is_stream = tf.equal(data_size, 0) & (tf.abs(riff_size + 8 - length) > 1)
  fmt_at, data_at = fmt_chunk + 8, data_chunk + 8
  available = length - data_at
  return Header(
    length=length,
    tag=tag,
    form=form,
    walked_to=walked_to,
    is_found=found < length,
    data_at=data_at,
    data_size=tf.where(is_stream, available, tf.minimum(data_size, available)),
    missing_size=tf.where(
      is_stream | tf.equal(data_size, _UNKNOWN_SIZE),
      _int64(0),
      tf.maximum(data_size - available, 0),
    ),
    fmt_at=fmt_at,
    fmt_size=tf.minimum(fmt[2] + fmt[3] * 65536, length - fmt_at),
    is_extensible=is_extensible,
    code=code,
    channels=channels,
    sample_rate=rate_low + rate_high * 65536,
    block_align=block_align,
    bits=bits,
    guid_tail=tf.stack(fmt[17:]),
    is_encoding=tf.equal(
      code * 65536 + bits, [code * 65536 + bits for code, bits in ENCODINGS]
    ),
  )


class _Rule(NamedTuple):
  """What must hold, and what to say if it does not."""

  is_met: tf.Tensor
  sentence: str  # Up to the value.
  got: tf.Tensor | int = 0
  byte: int = -1  # Where `got` stands, if there is one place.
  num_quoted: int = 0  # If set, so many bytes from there are the value.
  is_field: bool = False  # Whether `byte` counts from the fields of `fmt `.


def _chunk_rules(contents: tf.Tensor, header: Header) -> list[_Rule]:
  """Returns the rules on the file as a list of chunks."""
  length = header.length
  # `length` comes from an int32 that wraps around.
  beyond = tf.strings.substr(contents, tf.maximum(length, 0), _int64(1))
  is_tag = tf.equal(header.tag, [_tag(b"RIFF"), _tag(b"RF64")])
  is_end = header.walked_to + 8 > length
  has_fmt, has_data = tf.unstack(header.is_found)
  return [
    _Rule(
      tf.equal(beyond, ""),
      "contents must have fewer than 2147483648 bytes. Got: at least ",
      2**31,
    ),
    _Rule(length >= 12, "contents must have at least 12 bytes. Got: ", length),
    _Rule(
      tf.reduce_any(is_tag),
      "contents must start with RIFF or RF64. Got: ",
      byte=0,
      num_quoted=4,
    ),
    _Rule(
      tf.equal(header.form, _tag(b"WAVE")),
      "RIFF form must be WAVE. Got: ",
      byte=8,
      num_quoted=4,
    ),
    _Rule(
      (has_fmt & has_data) | is_end,
      f"fmt and data must be among the first {_MAX_CHUNKS} chunks."
      " Got: another chunk at byte ",
      header.walked_to,
    ),
    _Rule(has_fmt, "a fmt chunk must exist. Got: none up to byte ", length),
    _Rule(has_data, "a data chunk must exist. Got: none up to byte ", length),
  ]


def _format_rules(header: Header) -> list[_Rule]:
  """Returns the rules on the fields of the `fmt ` chunk."""
  rate, bits, channels = header.sample_rate, header.bits, header.channels
  is_plain = ~header.is_extensible
  is_code = tf.equal(header.code, [PCM, FLOAT, A_LAW, MU_LAW])
  has_code = tf.reduce_any(is_code)
  is_pcm, is_float, is_a_law, is_mu_law = tf.unstack(
    ~is_code | tf.reduce_any(header.is_encoding)
  )
  tail = np.frombuffer(_GUID_TAIL, "<u2")
  spelled_tail = "".join(_SPELLING[byte] for byte in _GUID_TAIL)
  codes = "1 (PCM), 3 (IEEE float), 6 (A-law) or 7 (mu-law)"

  def field(
    is_met: tf.Tensor,
    rule: str,
    got: tf.Tensor | int,
    byte: int,
    quoted: int = 0,
  ) -> _Rule:
    return _Rule(is_met, f"{rule}. Got: ", got, byte, quoted, is_field=True)

  return [
    field(
      header.fmt_size >= tf.where(is_plain, _int64(16), 40),
      "fmt chunk must have at least 16 bytes, or 40 if extensible",
      header.fmt_size,
      0,
    ),
    field(
      is_plain | tf.reduce_all(tf.equal(header.guid_tail, tail)),
      f"sub-format GUID must end in {spelled_tail}",
      0,
      26,
      len(_GUID_TAIL),
    ),
    field(has_code | ~is_plain, f"format must be {codes}", header.code, 0),
    field(has_code, f"sub-format must be {codes}", header.code, 24),
    field(is_pcm, "bits per sample must be 8, 16, 24 or 32 for PCM", bits, 14),
    field(
      is_float, "bits per sample must be 32 or 64 for IEEE float", bits, 14
    ),
    field(is_a_law, "bits per sample must be 8 for A-law", bits, 14),
    field(is_mu_law, "bits per sample must be 8 for mu-law", bits, 14),
    field(channels >= 1, "channels must be at least 1", channels, 2),
    field(
      (rate >= 1) & (rate < 2**31),
      "sample rate must be in [1, 2147483647]",
      rate,
      4,
    ),
    field(
      tf.equal(header.block_align * 8, channels * bits),
      "block align must be channels * bits per sample / 8",
      header.block_align,
      12,
    ),
  ]


def require_valid(contents: tf.Tensor, header: Header) -> tf.Tensor:
  """Checks every rule.

  Args:
    contents: Bytes of the file, a scalar string.
    header: What `read_header` read from them.

  Returns:
    The block align, at least 1. What could fail on nonsense must depend on it,
    and so on the check.

  Raises:
    tf.errors.InvalidArgumentError: When run, with the sentence of the first
      rule that is not met.
  """
  rules = [*_chunk_rules(contents, header), *_format_rules(header)]
  is_met = tf.stack([rule.is_met for rule in rules])
  gots = tf.stack([rule.got for rule in rules])

  def fail() -> tf.Tensor:
    first = tf.where(~is_met)[0, 0]
    is_field = tf.gather([rule.is_field for rule in rules], first)
    byte = tf.gather(_int64([rule.byte for rule in rules]), first)
    byte += tf.where(is_field, header.fmt_at, 0)
    num_quoted = tf.gather(_int64([rule.num_quoted for rule in rules]), first)
    quoted = tf.strings.substr(contents, tf.maximum(byte, 0), num_quoted)
    quoted = tf.cast(tf.io.decode_raw(quoted, tf.uint8), tf.int32)
    # A message that is not UTF-8 cannot become a Python exception.
    quoted = tf.strings.reduce_join(tf.gather(_SPELLING, quoted))
    got = tf.strings.as_string(tf.gather(gots, first))
    place = tf.strings.join([" at byte ", tf.strings.as_string(byte)])
    message = tf.strings.join(
      [
        "wav: ",
        tf.gather([rule.sentence for rule in rules], first),
        tf.where(num_quoted > 0, quoted, got),
        tf.where(byte < 0, "", place),
        ".",
      ]
    )
    with tf.control_dependencies([tf.debugging.Assert(False, [message])]):
      return tf.identity(header.block_align)

  return tf.cond(
    tf.reduce_all(is_met), lambda: tf.identity(header.block_align), fail
  )
