"""The headers of WAV files, read and checked in the graph.

`chunks` finds the chunks; the `fmt ` chunk is read, and every rule is
checked at once. Until that check each op is total: it takes any bytes, reads
zeros past the end and may yield nonsense, which the check then refuses. Of the
beginning of a file alone, an op fails if it needs more.

The numbers in brackets are those of the references in `decoding`.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfspec.ops.wav import chunks as chunks_lib
from tfspec.ops.wav.chunks import read, tag

# Format codes.
PCM, FLOAT, A_LAW, MU_LAW = 1, 3, 6, 7
# The format code and the bits that a sample takes of each known encoding.
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

# What `require_valid` takes for "any", in Python or as a tensor.
ANY = -1

_EXTENSIBLE = 0xFFFE
# What follows the format code in a sub-format GUID: in general [2], and of
# Ambisonic B-format [5].
_GUID_TAILS = (
  bytes.fromhex("000000001000800000aa00389b71"),
  bytes.fromhex("00002107d3118644c8c1ca000000"),
)
# How bytes stand in messages: as in a URL.
_SPELLING = [chr(i) if 32 <= i < 127 else f"%{i:02X}" for i in range(256)]


class Header(NamedTuple):
  """All but the samples: int64 scalars unless noted, bytes where apt."""

  length: tf.Tensor  # Of the file.
  tag: tf.Tensor  # "RIFF" or "RF64", as a word.
  form: tf.Tensor  # "WAVE", as a word.
  chunks: chunks_lib.Chunks
  data_at: tf.Tensor  # The first sample.
  data_size: tf.Tensor  # Of the samples that the header promises.
  available: tf.Tensor  # From the first sample to the end of the file.
  fmt_at: tf.Tensor  # The first field of `fmt `; from here on, its fields.
  fmt_size: tf.Tensor
  is_extensible: tf.Tensor  # Bool.
  code: tf.Tensor  # Of the sub-format, if extensible.
  channels: tf.Tensor
  sample_rate: tf.Tensor
  block_align: tf.Tensor
  bits: tf.Tensor
  guid_tail: tf.Tensor  # Seven 16-bit words.
  is_encoding: tf.Tensor  # Which of `ENCODINGS`: bool, [len(ENCODINGS)].
  frame_size: tf.Tensor  # Of a sample of all channels, by bits and channels.


def read_header(contents: tf.Tensor, length: tf.Tensor | None = None) -> Header:
  """Reads what stands around the samples, whatever it is.

  Args:
    contents: Bytes of the file, a scalar string, or the first of them.
    length: How many bytes the file has, an int64 scalar. None: these.

  Returns:
    The header; it means something only if `require_valid` finds it valid.
  """
  if length is None:
    length = tf.cast(tf.strings.length(contents), tf.int64)
  first_words = read(contents, _int64(0), 11, tf.int32)
  first, _, form, *_ = tf.unstack(first_words)
  chunks = chunks_lib.walk(contents, length, first_words)
  fmt = tf.unstack(read(contents, chunks.fmt, 24, tf.uint16))
  code, channels, rate_low, rate_high, _, _, block_align, bits = fmt[4:12]
  is_extensible = tf.equal(code, _EXTENSIBLE)
  code = tf.where(is_extensible, fmt[16], code)
  # What the bits of A-law and mu-law say does not count: many such headers were
  # made of those of 16-bit files. PCM of any bits takes whole bytes.
  sample_size = tf.where(code >= A_LAW, _int64(1), (bits + 7) // 8)
  fmt_at, data_at = chunks.fmt + 8, chunks.data + 8
  available = length - data_at
  return Header(
    length=length,
    tag=first,
    form=form,
    chunks=chunks,
    data_at=data_at,
    data_size=_promised(chunks, length, available),
    available=available,
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
      code * 65536 + sample_size,
      [code * 65536 + bits // 8 for code, bits in ENCODINGS],
    ),
    frame_size=channels * sample_size,
  )


def _int64(value: int | list[int]) -> tf.Tensor:
  return tf.constant(value, tf.int64)


def _promised(
  chunks: chunks_lib.Chunks, length: tf.Tensor, available: tf.Tensor
) -> tf.Tensor:
  """Returns the size of the data; where the header has none, what there is."""
  size = chunks.data_size
  # An empty chunk is meant so if chunks follow, `fmt ` among them or up to the
  # end, or if the RIFF size fits, save for a pad byte.
  is_whole = tf.abs(chunks.riff_size + 8 - length) <= 1
  is_meant = (chunks.num_behind > 0) | is_whole | (chunks.fmt > chunks.data)
  # Streams have their sizes written before their end is known: 0, the largest
  # number of 32 bits or, by SoX, espeak and arecord, some below that of 31.
  is_largest = tf.reduce_any(tf.abs(size - [2**31, 2**32]) <= 2**16)
  is_stream = is_largest | (tf.equal(size, 0) & ~is_meant)
  return tf.where(is_stream, available, size)


class Rule(NamedTuple):
  """What must hold, and what to say if it does not."""

  is_met: tf.Tensor
  sentence: str  # Up to the value; {} stands for `wanted`.
  got: tf.Tensor | None = None
  byte: int = -1  # Where `got` stands, if there is one place.
  num_quoted: int = 0  # If set, so many bytes from there are the value.
  is_field: bool = False  # Whether `byte` counts from the fields of `fmt `.
  wanted: tf.Tensor | int = 0
  unit: str = ""  # What follows the value.


def _chunk_rules(contents: tf.Tensor, header: Header) -> list[Rule]:
  """Returns the rules on the file as a list of chunks."""
  length, chunks = header.length, header.chunks
  # An int32, which wraps around.
  end = tf.maximum(tf.strings.length(contents), 0)
  beyond = tf.strings.substr(contents, end, 1)
  is_tag = tf.equal(header.tag, [tag(b"RIFF"), tag(b"RF64")])
  is_end = chunks.walked_to + 8 > length
  has_fmt, has_data = chunks.fmt < length, chunks.data < length
  return [
    Rule(
      tf.equal(beyond, ""),
      "contents must have fewer than 2147483648 bytes. Got: at least ",
      _int64(2**31),
    ),
    Rule(length >= 12, "contents must have at least 12 bytes. Got: ", length),
    Rule(
      tf.reduce_any(is_tag),
      "contents must start with RIFF or RF64. Got: ",
      byte=0,
      num_quoted=4,
    ),
    Rule(
      tf.equal(header.form, tag(b"WAVE")),
      "RIFF form must be WAVE. Got: ",
      byte=8,
      num_quoted=4,
    ),
    Rule(
      (has_fmt & has_data) | is_end,
      f"fmt and data must be among the first {chunks_lib.MAX_CHUNKS} chunks."
      " Got: another chunk at byte ",
      chunks.walked_to,
    ),
    Rule(has_fmt, "a fmt chunk must exist. Got: none up to byte ", length),
    Rule(has_data, "a data chunk must exist. Got: none up to byte ", length),
    Rule(
      tf.equal(chunks.other_fmt, length),
      "fmt chunks before the data must be the same. Got: another at byte ",
      chunks.other_fmt,
    ),
  ]


def _format_rules(header: Header) -> list[Rule]:
  """Returns the rules on the fields of the `fmt ` chunk."""
  rate, bits, channels = header.sample_rate, header.bits, header.channels
  is_plain = ~header.is_extensible
  is_code = tf.equal(header.code, [PCM, FLOAT, A_LAW, MU_LAW])
  has_code = tf.reduce_any(is_code)
  is_pcm, is_float, *_ = tf.unstack(is_code)
  tails = np.stack([np.frombuffer(tail, "<u2") for tail in _GUID_TAILS])
  is_tail = tf.reduce_all(tf.equal(header.guid_tail, tails), axis=1)
  spelled_tails = " or ".join(
    "".join(_SPELLING[byte] for byte in tail) for tail in _GUID_TAILS
  )
  codes = "1 (PCM), 3 (IEEE float), 6 (A-law) or 7 (mu-law)"

  def field(
    is_met: tf.Tensor,
    rule: str,
    got: tf.Tensor | None,
    byte: int,
    quoted: int = 0,
  ) -> Rule:
    return Rule(is_met, f"{rule}. Got: ", got, byte, quoted, is_field=True)

  return [
    field(
      header.fmt_size >= tf.where(is_plain, _int64(16), 40),
      "fmt chunk must have at least 16 bytes, or 40 if extensible",
      header.fmt_size,
      0,
    ),
    field(
      is_plain | tf.reduce_any(is_tail),
      f"sub-format GUID must end in {spelled_tails}",
      None,
      26,
      len(_GUID_TAILS[0]),
    ),
    field(has_code | ~is_plain, f"format must be {codes}", header.code, 0),
    field(has_code, f"sub-format must be {codes}", header.code, 24),
    field(
      ~is_pcm | tf.reduce_any(header.is_encoding),
      "bits per sample must be in [1, 32] for PCM",
      bits,
      14,
    ),
    field(
      ~is_float | tf.reduce_any(tf.equal(bits, [32, 64])),
      "bits per sample must be 32 or 64 for IEEE float",
      bits,
      14,
    ),
    field(channels >= 1, "channels must be at least 1", channels, 2),
    field(
      (rate >= 1) & (rate < 2**31),
      "sample rate must be in [1, 2147483647]",
      rate,
      4,
    ),
    field(
      # A smaller one is a slip, a larger one might mean larger samples.
      (header.code >= A_LAW) | (header.block_align <= header.frame_size),
      "block align must be at most channels * bytes per sample",
      header.block_align,
      12,
    ),
  ]


def _given_rule(
  given: tf.Tensor | int, found: tf.Tensor, sentence: str, unit: str
) -> list[Rule]:
  """Returns the rule that a value is what the caller says, if he says it."""
  if isinstance(given, int) and given == ANY:
    return []
  given = tf.convert_to_tensor(given, tf.int64)
  is_met = tf.equal(given, ANY) | tf.equal(given, found)
  return [Rule(is_met, sentence, found, wanted=given, unit=unit)]


def given_rules(
  found_channels: tf.Tensor,
  found_rate: tf.Tensor,
  channels: tf.Tensor | int,
  sample_rate_hz: tf.Tensor | int,
) -> list[Rule]:
  """Returns the rules on what the caller says of a file, `ANY` for nothing."""
  sentence = "there must be {} channels. Got: "
  rules = _given_rule(channels, found_channels, sentence, " in the file")
  sentence = "the sample rate must be {} Hz. Got: "
  rate = _given_rule(sample_rate_hz, found_rate, sentence, " Hz in the file")
  return rules + rate


def require_valid(
  contents: tf.Tensor,
  header: Header,
  channels: tf.Tensor | int = ANY,
  sample_rate_hz: tf.Tensor | int = ANY,
  source: tf.Tensor | str = "",
) -> tf.Tensor:
  """Checks every rule.

  Args:
    contents: Bytes of the file, a scalar string.
    header: What `read_header` read from them.
    channels: How many channels there must be, an int64 scalar, or `ANY`.
    sample_rate_hz: What the sample rate must be, an int64 scalar, or `ANY`.
    source: Name of the file for messages, a scalar string, or "".

  Returns:
    The size of a sample frame in bytes, at least 1. What could fail on nonsense
    must depend on it, and so on the check.

  Raises:
    tf.errors.InvalidArgumentError: When run, with the sentence of the first
      rule that is not met.
  """
  rules = [
    *_chunk_rules(contents, header),
    *_format_rules(header),
    *given_rules(header.channels, header.sample_rate, channels, sample_rate_hz),
  ]
  return require(header.frame_size, rules, contents, header.fmt_at, source)


def require(
  value: tf.Tensor,
  rules: list[Rule],
  contents: tf.Tensor | str = "",
  fmt_at: tf.Tensor | int = 0,
  source: tf.Tensor | str = "",
) -> tf.Tensor:
  """Returns a value if all rules are met.

  Args:
    value: What is computed from the result waits for the check.
    rules: The rules, at least one.
    contents: Bytes of the file, which rules may quote.
    fmt_at: The byte that rules on fields count from.
    source: Name of the file for messages, or "".

  Raises:
    tf.errors.InvalidArgumentError: When run, with the sentence of the first
      rule that is not met.
  """
  is_met = tf.stack([rule.is_met for rule in rules])
  gots = tf.stack(
    [_int64(0) if rule.got is None else rule.got for rule in rules]
  )

  def message() -> tf.Tensor:
    first = tf.where(~is_met)[0, 0]

    def pick(name: str) -> tf.Tensor:
      return tf.gather([getattr(rule, name) for rule in rules], first)

    byte = tf.cast(pick("byte"), tf.int64)
    byte += tf.where(pick("is_field"), tf.cast(fmt_at, tf.int64), 0)
    num_quoted = tf.cast(pick("num_quoted"), tf.int64)
    quoted = tf.strings.substr(contents, tf.maximum(byte, 0), num_quoted)
    got = tf.strings.as_string(tf.gather(gots, first))
    place = tf.strings.join([" at byte ", tf.strings.as_string(byte)])
    wanted = tf.strings.as_string(pick("wanted"))
    return tf.strings.join(
      [
        _named(source),
        "wav: ",
        tf.strings.regex_replace(pick("sentence"), r"\{\}", wanted),
        tf.where(num_quoted > 0, _spell(quoted), got),
        tf.where(byte < 0, pick("unit"), place),
        ".",
      ]
    )

  def fail() -> tf.Tensor:
    text = chunks_lib.outlined(message)()
    with tf.control_dependencies([tf.debugging.Assert(False, [text])]):
      return tf.identity(value)

  return tf.cond(tf.reduce_all(is_met), lambda: tf.identity(value), fail)


def _spell(text: tf.Tensor) -> tf.Tensor:
  """Returns any bytes as ASCII."""
  codes = tf.cast(tf.io.decode_raw(text, tf.uint8), tf.int32)
  return tf.strings.reduce_join(tf.gather(_SPELLING, codes))


def _named(source: tf.Tensor | str) -> tf.Tensor | str:
  """Returns what a message starts with."""
  if isinstance(source, str) and not source:
    return ""
  # A message that is not UTF-8 cannot become a Python exception.
  text = tf.strings.unicode_transcode(source, "UTF-8", "UTF-8", "ignore")
  text = tf.where(tf.equal(text, source), source, _spell(source))
  # `errors.sentence` takes these for the end of a word.
  text = tf.strings.regex_replace(text, r"\] \[", "]%20[")
  return tf.where(tf.equal(source, ""), "", tf.strings.join([text, ": "]))
