"""Tests of `tfspec.ops.wav`."""

import collections
import io
import pathlib
import re
import struct
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from tests import wav_files
from tests.paths import SPEECH
from tfspec import errors
from tfspec.data import audio
from tfspec.ops.wav import decoding

_SUBTYPES = (
  "PCM_U8",
  "PCM_16",
  "PCM_24",
  "PCM_32",
  "FLOAT",
  "DOUBLE",
  "ALAW",
  "ULAW",
)
_UNKNOWN = wav_files.UNKNOWN_SIZE
_FMT = wav_files.fmt()
_PCM16 = np.arange(1, 9, dtype="<i2")
_DATA = wav_files.chunk(b"data", _PCM16.tobytes())

_decode_graph = tf.function(
  decoding.decode_wav, input_signature=[tf.TensorSpec([], tf.string)]
)


@tf.function(input_signature=[tf.TensorSpec([], tf.string)])
def _sizes_graph(contents):
  samples = decoding.find_samples(contents)
  return samples.count, samples.missing


def _write(
  subtype: str, channels: int, num_frames: int = 301, form: str = "WAV"
) -> bytes:
  """Returns a file by libsndfile whose samples all differ."""
  rng = np.random.default_rng([_SUBTYPES.index(subtype), channels])
  signals = rng.uniform(-1.0, 1.0, [num_frames, channels])
  signals[:2] = [[-1.0], [1.0]]
  file = io.BytesIO()
  soundfile.write(file, signals, 22050, format=form, subtype=subtype)
  return file.getvalue()


def _read(contents: bytes) -> tuple[np.ndarray, int]:
  return soundfile.read(io.BytesIO(contents), dtype="float32", always_2d=True)


def _assert_decodes(
  contents: bytes,
  expected: np.ndarray,
  sample_rate: int = 16000,
  missing: int = 0,
) -> None:
  """Checks eager and graph results bit for bit."""
  for decode in (decoding.decode_wav, _decode_graph):
    signals, rate = decode(tf.constant(contents))
    assert signals.dtype == tf.float32 and rate.dtype == tf.int32
    assert rate.shape == []
    assert rate.numpy() == sample_rate
    assert signals.shape == expected.shape
    np.testing.assert_array_equal(
      signals.numpy().view(np.uint32), expected.astype("<f4").view(np.uint32)
    )
  sizes = [size.numpy() for size in _sizes_graph(tf.constant(contents))]
  assert sizes == [len(expected), missing]


def _pcm16(num_samples: int = 8) -> np.ndarray:
  return _PCM16[:num_samples, np.newaxis] / 32768


@pytest.mark.parametrize("channels", [1, 2, 5])
@pytest.mark.parametrize("form", ["WAV", "WAVEX", "RF64"])
@pytest.mark.parametrize("subtype", _SUBTYPES)
def test_equals_libsndfile(subtype: str, form: str, channels: int) -> None:
  contents = _write(subtype, channels, form=form)
  assert contents.startswith(b"RF64" if form == "RF64" else b"RIFF")
  if form == "WAVEX":
    (code,) = struct.unpack_from("<H", contents, contents.index(b"fmt ") + 8)
    assert code == wav_files.EXTENSIBLE
  expected, sample_rate = _read(contents)
  assert expected.shape == (301, channels)
  _assert_decodes(contents, expected, sample_rate)


@pytest.mark.parametrize(
  ("code", "bits", "payload"),
  [
    (wav_files.PCM, 8, bytes(range(256))),
    (wav_files.PCM, 16, np.arange(65536, dtype="<u2").tobytes()),
    (wav_files.PCM, 24, None),
    (wav_files.PCM, 32, None),
    (wav_files.FLOAT, 32, None),
    (wav_files.FLOAT, 64, None),
    (wav_files.ALAW, 8, bytes(range(256))),
    (wav_files.MULAW, 8, bytes(range(256))),
  ],
)
def test_every_value_equals_libsndfile(
  code: int, bits: int, payload: bytes | None
) -> None:
  if payload is None:
    rng = np.random.default_rng(bits + code)
    payload = rng.bytes(bits // 8 * 20000)
    # The ends and the smallest steps around zero.
    for value in (0, 1, 2**31 - 1, 2**31 - 64, 2**31 - 65, 2**31, 2**32 - 1):
      payload += (value << 32 >> (64 - bits)).to_bytes(bits // 8, "little")
  chunks = [
    wav_files.fmt(code, bits=bits),
    wav_files.chunk(b"data", payload),
  ]
  contents = wav_files.riff(chunks)
  expected, _ = _read(contents)
  signals = decoding.decode_wav(tf.constant(contents))[0].numpy()
  assert signals.shape == expected.shape
  is_nan = np.isnan(expected)
  np.testing.assert_array_equal(np.isnan(signals), is_nan)
  # TensorFlow flushes what a cast to float32 makes subnormal.
  is_tiny = (np.abs(expected) < np.finfo(np.float32).tiny) & (bits == 64)
  np.testing.assert_array_less(np.abs(signals[is_tiny]), 1.2e-38)
  is_compared = ~is_nan & ~is_tiny
  np.testing.assert_array_equal(
    signals[is_compared].view(np.uint32), expected[is_compared].view(np.uint32)
  )


def test_values_by_construction() -> None:
  def decode(code: int, bits: int, payload: bytes) -> list[float]:
    chunks = [wav_files.fmt(code, bits=bits), wav_files.chunk(b"data", payload)]
    contents = tf.constant(wav_files.riff(chunks))
    return decoding.decode_wav(contents)[0].numpy().ravel().tolist()

  assert decode(wav_files.PCM, 8, b"\x00\x80\xff") == [-1, 0, 127 / 128]
  assert decode(wav_files.PCM, 16, b"\x00\x80\xff\x7f\x01\x00") == [
    -1,
    1 - 2**-15,
    2**-15,
  ]
  assert decode(
    wav_files.PCM, 24, b"\x00\x00\x80\xff\xff\x7f\x01\x00\x00\x03\x02\x01"
  ) == [-1, 1 - 2**-23, 2**-23, 0x010203 / 2**23]
  assert decode(wav_files.PCM, 32, b"\x00\x00\x00\x80\x00\x00\x00\x40") == [
    -1,
    0.5,
  ]
  assert decode(wav_files.FLOAT, 32, struct.pack("<2f", 2.5, -np.inf)) == [
    2.5,
    -np.inf,
  ]
  assert decode(wav_files.FLOAT, 64, struct.pack("<2d", 0.25, 1e300)) == [
    0.25,
    np.inf,
  ]
  assert decode(wav_files.MULAW, 8, b"\x00\x80\xff\x7f") == [
    -32124 / 32768,
    32124 / 32768,
    0,
    0,
  ]
  assert decode(wav_files.ALAW, 8, b"\x2a\xaa\xd5\x55") == [
    -32256 / 32768,
    32256 / 32768,
    8 / 32768,
    -8 / 32768,
  ]


_LAYOUTS = {
  "plain": ([_FMT, _DATA], {}, 8),
  "data before fmt": ([_DATA, _FMT], {}, 8),
  "chunk before fmt": (
    [wav_files.chunk(b"bext", b"x" * 10), _FMT, _DATA],
    {},
    8,
  ),
  "odd chunk before": ([wav_files.chunk(b"LIST", b"abc"), _FMT, _DATA], {}, 8),
  "odd chunk between": ([_FMT, wav_files.chunk(b"LIST", b"abc"), _DATA], {}, 8),
  "chunk after": ([_FMT, _DATA, wav_files.chunk(b"LIST", b"abcd")], {}, 8),
  "chunk of no tag": ([_FMT, wav_files.chunk(bytes(4), b""), _DATA], {}, 8),
  "many chunks": (
    [*[wav_files.chunk(b"junk", b"")] * 1022, _FMT, _DATA],
    {},
    8,
  ),
  "tags in other chunks": (
    [wav_files.chunk(b"LIST", b"fmt \x10\0\0\0data"), _FMT, _DATA],
    {},
    8,
  ),
  "fmt of 18 bytes": ([wav_files.fmt(extra=bytes(2)), _DATA], {}, 8),
  "fmt of 19 bytes": ([wav_files.fmt(extra=bytes(3)), _DATA], {}, 8),
  "fmt of 116 bytes": ([wav_files.fmt(extra=bytes(100)), _DATA], {}, 8),
  "extensible": ([wav_files.extensible_fmt(), _DATA], {}, 8),
  "12 valid bits": ([wav_files.extensible_fmt(valid_bits=12), _DATA], {}, 8),
  "0 valid bits": ([wav_files.extensible_fmt(valid_bits=0), _DATA], {}, 8),
  "99 valid bits": ([wav_files.extensible_fmt(valid_bits=99), _DATA], {}, 8),
  "two fmt": ([_FMT, _FMT, _DATA], {}, 8),
  "other fmt behind": ([_FMT, _DATA, wav_files.fmt(bits=8)], {}, 8),
  "first data": ([_FMT, _DATA, wav_files.chunk(b"data", b"abcd")], {}, 8),
  "wrong RIFF size": ([_FMT, _DATA], {"size": 40}, 8),
  "RIFF size 0": ([_FMT, _DATA], {"size": 0}, 8),
  "RIFF size unknown": ([_FMT, _DATA], {"size": _UNKNOWN}, 8),
  "empty": ([_FMT, wav_files.chunk(b"data", b"")], {}, 0),
  "empty, then a chunk": (
    [_FMT, wav_files.chunk(b"data", b""), wav_files.chunk(b"LIST", b"abcd")],
    {},
    0,
  ),
  "RF64": (
    [
      wav_files.ds64(92, 16),
      _FMT,
      wav_files.chunk(b"data", _PCM16.tobytes(), _UNKNOWN),
      wav_files.chunk(b"LIST", b"abcd"),
    ],
    {"tag": b"RF64", "size": _UNKNOWN},
    8,
  ),
  "RF64, data before fmt": (
    [
      wav_files.ds64(80, 16),
      wav_files.chunk(b"data", _PCM16.tobytes(), _UNKNOWN),
      _FMT,
    ],
    {"tag": b"RF64", "size": _UNKNOWN},
    8,
  ),
  "RF64, another 32-bit data size": (
    [wav_files.ds64(80, 4), _FMT, _DATA],
    {"tag": b"RF64", "size": _UNKNOWN},
    2,
  ),
  "RF64, no 32-bit data size": (
    [
      wav_files.ds64(100, 16),
      _FMT,
      wav_files.chunk(b"data", _PCM16.tobytes(), 0),
      wav_files.chunk(b"LIST", b"abcd"),
    ],
    {"tag": b"RF64", "size": _UNKNOWN},
    8,
  ),
  "RF64, no 64-bit data size": (
    [wav_files.ds64(0, 0), _FMT, _DATA, wav_files.chunk(b"LIST", b"abcd")],
    {"tag": b"RF64", "size": _UNKNOWN},
    8,
  ),
  "RF64, ds64 behind a chunk": (
    [
      wav_files.chunk(b"JUNK", bytes(28)),
      wav_files.ds64(128, 16),
      _FMT,
      wav_files.chunk(b"data", _PCM16.tobytes(), _UNKNOWN),
      wav_files.chunk(b"LIST", b"abcd"),
    ],
    {"tag": b"RF64", "size": _UNKNOWN},
    8,
  ),
  "RF64, ds64 behind fmt": (
    [
      _FMT,
      wav_files.ds64(92, 16),
      wav_files.chunk(b"data", _PCM16.tobytes(), _UNKNOWN),
      wav_files.chunk(b"LIST", b"abcd"),
    ],
    {"tag": b"RF64", "size": _UNKNOWN},
    8,
  ),
  "ds64 in RIFF": (
    [
      wav_files.ds64(80, 4),
      _FMT,
      wav_files.chunk(b"data", _PCM16.tobytes(), _UNKNOWN),
    ],
    {},
    8,
  ),
  "RF64, empty, then a chunk": (
    [
      wav_files.ds64(88, 0),
      _FMT,
      wav_files.chunk(b"data", b"", _UNKNOWN),
      wav_files.chunk(b"LIST", b"abcdefgh"),
    ],
    {"tag": b"RF64", "size": _UNKNOWN},
    0,
  ),
  "RF64 without ds64": (
    [_FMT, wav_files.chunk(b"data", _PCM16.tobytes(), _UNKNOWN)],
    {"tag": b"RF64", "size": _UNKNOWN},
    8,
  ),
  "RF64 of absurd size": (
    [
      wav_files.ds64(2**64 - 1, 2**64 - 1),
      _FMT,
      wav_files.chunk(b"data", _PCM16.tobytes(), _UNKNOWN),
    ],
    {"tag": b"RF64", "size": _UNKNOWN},
    8,
  ),
}
# A stream is written before its sizes are known, and not touched again.
for _riff_size in (0, 8, 36, _UNKNOWN):
  for _data_size in (0, _UNKNOWN):
    _LAYOUTS[f"stream of sizes {_riff_size} and {_data_size}"] = (
      [_FMT, wav_files.chunk(b"data", _PCM16.tobytes(), _data_size)],
      {"size": _riff_size},
      8,
    )


for _data_size in (0x7FFFF000, 0x7FFFFF00, 2**31 - 1, 2**31, _UNKNOWN - 36):
  _LAYOUTS[f"stream of size {_data_size}"] = (
    [_FMT, wav_files.chunk(b"data", _PCM16.tobytes(), _data_size)],
    {"size": _data_size + 36 & _UNKNOWN},
    8,
  )
# Zeros and a quiet tone look like chunks of size 0 or of no tag.
for _name, _payload in {
  "silence": bytes(16),
  "tag of no chunk": b"LIST\xff\xff\0\0" + bytes(8),
  "chunks up to a cut one": b"LIST\4\0\0\0abcdLIST\4\0\0\0",
  "less than a chunk": b"LIST",
}.items():
  _LAYOUTS[f"stream: {_name}"] = (
    [_FMT, wav_files.chunk(b"data", _payload, 0)],
    {"size": 0},
    np.frombuffer(_payload, "<i2"),
  )
_LIST = wav_files.chunk(b"LIST", b"INFOISFT\4\0\0\0abcd")
for _riff_size in (0, 8, 36, _UNKNOWN):
  for _name, _chunks in {
    "a chunk": [_LIST],
    "an odd chunk and bytes": [wav_files.chunk(b"id3 ", b"abc"), b"1234567"],
    "an odd chunk without pad": [wav_files.chunk(b"x y ", b"abc", pad=False)],
    "1100 chunks": [wav_files.chunk(b"junk", b"")] * 1100,
    "a data chunk": [_DATA],
  }.items():
    _LAYOUTS[f"empty, RIFF size {_riff_size}, then {_name}"] = (
      [_FMT, wav_files.chunk(b"data", b""), *_chunks],
      {"size": _riff_size},
      0,
    )
  _LAYOUTS[f"empty before fmt, RIFF size {_riff_size}"] = (
    [wav_files.chunk(b"data", b""), _FMT, b"\0\1\2\3\4\5\6\7\x08"],
    {"size": _riff_size},
    0,
  )
_LAYOUTS["empty RF64, then a chunk"] = (
  [
    wav_files.ds64(0, 0),
    _FMT,
    wav_files.chunk(b"data", b"", _UNKNOWN),
    _LIST,
  ],
  {"tag": b"RF64", "size": _UNKNOWN},
  0,
)
# libsndfile refuses what is not in the usual order or there twice, and tags and
# RF64 sizes without sense; it reads no sound behind a data size of 0.
_NOT_AS_LIBSNDFILE = re.compile(
  "(data|empty) before fmt|two fmt|first data|then a data|RF64, data before"
  "|RF64, no 64|RF64 (without|of absurd)|no tag|stream(: | of sizes .* 0$)"
  "|RIFF size 8, then|many"
)


@pytest.mark.parametrize("layout", _LAYOUTS)
def test_layout(layout: str) -> None:
  chunks, header, expected = _LAYOUTS[layout]
  if isinstance(expected, int):
    expected = _PCM16[:expected]
  contents = wav_files.riff(chunks, **header)
  expected = expected[:, np.newaxis] / 32768
  _assert_decodes(contents, expected)
  if not _NOT_AS_LIBSNDFILE.search(layout):
    np.testing.assert_array_equal(_read(contents)[0], expected)


@pytest.mark.parametrize(
  ("stated", "there", "missing"),
  [(16, 16, 0), (15, 16, 0), (17, 16, 1), (18, 17, 1), (40, 16, 12)],
)
def test_missing_samples(stated: int, there: int, missing: int) -> None:
  chunks = [_FMT, wav_files.chunk(b"data", bytes(there), stated, pad=False)]
  contents = tf.constant(wav_files.riff(chunks))
  signals, _, found = decoding.decode_wav(contents, return_missing=True)
  assert len(signals) == min(stated, there) // 2
  assert found.dtype == tf.int64 and found.shape == [] and found == missing
  samples = decoding.find_samples(contents)
  assert samples.missing == missing
  assert samples.count == len(signals)


def test_missing_samples_of_rf64_beyond_4_gib() -> None:
  chunks = [
    wav_files.ds64(5 * 2**30 + 72, 5 * 2**30),
    _FMT,
    wav_files.chunk(b"data", _PCM16.tobytes(), _UNKNOWN),
  ]
  contents = wav_files.riff(chunks, tag=b"RF64", size=_UNKNOWN)
  _assert_decodes(contents, _pcm16(), missing=5 * 2**29 - 8)


_ENCODINGS = {
  f"PCM of {bits} bits": wav_files.fmt(bits=bits, block_align=(bits + 7) // 8)
  for bits in (1, 7, 9, 12, 15, 17, 20, 23, 25, 31)
}
for _align in (0, 1, 2, 3):
  _ENCODINGS[f"PCM, block align {_align}"] = wav_files.fmt(
    channels=2, block_align=_align
  )
for _code in (wav_files.ALAW, wav_files.MULAW):
  for _bits, _align in ((0, 0), (16, 1), (16, 2), (13, 65535)):
    _ENCODINGS[f"code {_code}, {_bits} bits, block align {_align}"] = (
      wav_files.fmt(_code, bits=_bits, block_align=_align)
    )
for _code, _bits in ((wav_files.PCM, 24), (wav_files.FLOAT, 32)):
  _ENCODINGS[f"Ambisonic, code {_code}"] = wav_files.extensible_fmt(
    _code, 4, bits=_bits, guid_tail=wav_files.AMBISONIC_TAIL
  )
_ENCODINGS["float, block align 1"] = wav_files.fmt(3, bits=32, block_align=1)


@pytest.mark.parametrize("encoding", _ENCODINGS)
def test_odd_encoding_equals_libsndfile(encoding: str) -> None:
  payload = np.random.default_rng(3).integers(-(2**13), 2**13, 96)
  payload = (payload / 2**14).astype("<f4").tobytes()  # Of no float a NaN.
  data = wav_files.chunk(b"data", payload)
  contents = wav_files.riff([_ENCODINGS[encoding], data])
  expected, _ = _read(contents)
  assert len(expected) >= 24
  _assert_decodes(contents, expected)


@pytest.mark.parametrize("tail", [b"x", b"xy", b"xyz", b"data\4\0\0\0abcd"])
def test_trailing_bytes_are_dropped(tail: bytes) -> None:
  _assert_decodes(wav_files.riff([_FMT, _DATA]) + tail, _pcm16())


def test_empty_file_has_44_bytes() -> None:
  chunks = [wav_files.fmt(channels=3), wav_files.chunk(b"data", b"")]
  contents = wav_files.riff(chunks)
  assert len(contents) == 44
  _assert_decodes(contents, np.zeros([0, 3]))


def test_every_truncation() -> None:
  chunks = [
    wav_files.fmt(channels=2, bits=24),
    wav_files.chunk(b"data", bytes(range(60))),
  ]
  contents = wav_files.riff(chunks)
  whole = _read(contents)[0]
  for length in range(len(contents)):
    if length < 44:
      with pytest.raises(tf.errors.InvalidArgumentError, match="wav: "):
        _decode_graph(tf.constant(contents[:length]))
    else:
      num_frames = (length - 44) // 6
      missing = 10 - num_frames
      _assert_decodes(contents[:length], whole[:num_frames], missing=missing)


def test_ambiguous_bytes_in_the_last_frame_are_dropped() -> None:
  chunks = [wav_files.fmt(channels=3), _DATA]
  expected = _PCM16[:6].reshape([2, 3]) / 32768
  _assert_decodes(wav_files.riff(chunks), expected)


def test_many_channels() -> None:
  chunks = [
    wav_files.fmt(channels=65535, bits=8),
    wav_files.chunk(b"data", bytes(2 * 65535 + 9)),
  ]
  _assert_decodes(wav_files.riff(chunks), np.full([2, 65535], -1.0))


_GUID = b"\x01" * 14
_MALFORMED = [
  (b"", "contents must have at least 12 bytes. Got: 0."),
  (b"RIFF\0\0\0\0WAV", "contents must have at least 12 bytes. Got: 11."),
  (
    b"OggS" + bytes(40),
    "contents must start with RIFF or RF64. Got: OggS at byte 0.",
  ),
  (
    b"\xff\xfb\x90\x00" + bytes(40),
    "contents must start with RIFF or RF64. Got: %FF%FB%90%00 at byte 0.",
  ),
  (
    wav_files.riff([_FMT, _DATA], tag=b"RIFX"),
    "contents must start with RIFF or RF64. Got: RIFX at byte 0.",
  ),
  (
    wav_files.riff([_FMT, _DATA], form=b"AVI "),
    "RIFF form must be WAVE. Got: AVI  at byte 8.",
  ),
  (wav_files.riff([]), "a fmt chunk must exist. Got: none up to byte 12."),
  (
    wav_files.riff([_DATA]),
    "a fmt chunk must exist. Got: none up to byte 36.",
  ),
  (
    wav_files.riff([_FMT]),
    "a data chunk must exist. Got: none up to byte 36.",
  ),
  (
    wav_files.riff([_FMT]) + b"data\0\0",
    "a data chunk must exist. Got: none up to byte 42.",
  ),
  (
    wav_files.riff([_FMT, wav_files.chunk(b"junk", b"", _UNKNOWN), _DATA]),
    "a data chunk must exist. Got: none up to byte 68.",
  ),
  (
    wav_files.riff([wav_files.chunk(b"junk", b"")] * 1023 + [_FMT, _DATA]),
    "fmt and data must be among the first 1024 chunks."
    " Got: another chunk at byte 8220.",
  ),
  (
    wav_files.riff([wav_files.chunk(b"fmt ", _FMT[8:22]), _DATA]),
    "fmt chunk must have at least 16 bytes, or 40 if extensible."
    " Got: 14 at byte 20.",
  ),
  (
    wav_files.riff([_DATA, wav_files.chunk(b"fmt ", _FMT[8:20], 16)]),
    "fmt chunk must have at least 16 bytes, or 40 if extensible."
    " Got: 12 at byte 44.",
  ),
  (
    wav_files.riff(
      [wav_files.chunk(b"fmt ", wav_files.extensible_fmt()[8:46]), _DATA]
    ),
    "fmt chunk must have at least 16 bytes, or 40 if extensible."
    " Got: 38 at byte 20.",
  ),
  (
    wav_files.riff([wav_files.extensible_fmt(guid_tail=_GUID), _DATA]),
    "sub-format GUID must end in %00%00%00%00%10%00%80%00%00%AA%008%9Bq or"
    f" %00%00!%07%D3%11%86D%C8%C1%CA%00%00%00. Got: {'%01' * 14} at byte 46.",
  ),
  (
    wav_files.riff([wav_files.fmt(2, bits=4), _DATA]),  # ADPCM.
    "format must be 1 (PCM), 3 (IEEE float), 6 (A-law) or 7 (mu-law)."
    " Got: 2 at byte 20.",
  ),
  (
    wav_files.riff([wav_files.extensible_fmt(2, bits=4), _DATA]),
    "sub-format must be 1 (PCM), 3 (IEEE float), 6 (A-law) or 7 (mu-law)."
    " Got: 2 at byte 44.",
  ),
  *(
    (
      wav_files.riff([wav_files.fmt(code, bits=bits), _DATA]),
      f"bits per sample must be {allowed}. Got: {bits} at byte 34.",
    )
    for code, allowed, refused in (
      (wav_files.PCM, "in [1, 32] for PCM", (0, 33, 64, 65535)),
      (wav_files.FLOAT, "32 or 64 for IEEE float", (0, 16, 24, 31, 80)),
    )
    for bits in refused
  ),
  (
    wav_files.riff([_FMT, wav_files.fmt(bits=8), _DATA]),
    "fmt chunks before the data must be the same. Got: another at byte 36.",
  ),
  (
    wav_files.riff([wav_files.fmt(channels=0), _DATA]),
    "channels must be at least 1. Got: 0 at byte 22.",
  ),
  (
    wav_files.riff([wav_files.fmt(sample_rate=0), _DATA]),
    "sample rate must be in [1, 2147483647]. Got: 0 at byte 24.",
  ),
  (
    wav_files.riff([wav_files.fmt(sample_rate=2**31), _DATA]),
    "sample rate must be in [1, 2147483647]. Got: 2147483648 at byte 24.",
  ),
  *(
    (
      wav_files.riff([wav_files.fmt(bits=24, block_align=block_align), _DATA]),
      "block align must be at most channels * bytes per sample."
      f" Got: {block_align} at byte 32.",
    )
    for block_align in (4, 65535)
  ),
]


@pytest.mark.parametrize(("contents", "sentence"), _MALFORMED)
def test_malformed(contents: bytes, sentence: str) -> None:
  match = re.escape(f"wav: {sentence}")
  with pytest.raises(tf.errors.InvalidArgumentError, match=match):
    decoding.decode_wav(tf.constant(contents))
  for function in (_decode_graph, _sizes_graph):
    with pytest.raises(tf.errors.InvalidArgumentError, match=match):
      function(tf.constant(contents))


def test_malformed_in_a_dataset() -> None:
  contents = [contents for contents, _ in _MALFORMED]
  dataset = tf.data.Dataset.from_tensor_slices(contents)
  iterator = iter(dataset.map(decoding.decode_wav))
  for _, sentence in _MALFORMED:
    match = re.escape(f"wav: {sentence}")
    with pytest.raises(tf.errors.InvalidArgumentError, match=match):
      next(iterator)


def test_sample_rate_alone_is_checked_too() -> None:
  # A graph of its own runs only what is fetched, unlike a `tf.function`.
  contents = wav_files.riff([wav_files.fmt(channels=0), _DATA])
  with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    _, sample_rate = decoding.decode_wav(tf.constant(contents))
    with pytest.raises(tf.errors.InvalidArgumentError, match="channels must"):
      session.run(sample_rate)


def test_highest_sample_rate() -> None:
  chunks = [wav_files.fmt(sample_rate=2**31 - 1), _DATA]
  _assert_decodes(wav_files.riff(chunks), _pcm16(), 2**31 - 1)


def test_static_shapes() -> None:
  signals, sample_rate = _decode_graph.get_concrete_function().outputs
  assert signals.shape.as_list() == [None, None]
  assert sample_rate.shape.as_list() == []


def test_not_a_scalar() -> None:
  with pytest.raises(ValueError, match=r"must be a scalar.*shape=\(2,\)"):
    decoding.decode_wav(tf.constant(["a", "b"]))
  signature = [tf.TensorSpec(None, tf.string)]
  decode = tf.function(decoding.decode_wav, input_signature=signature)
  with pytest.raises(tf.errors.InvalidArgumentError, match="shape"):
    decode(tf.constant(["a", "b"]))
  with pytest.raises((TypeError, ValueError)):
    decoding.decode_wav(tf.constant(3))


def test_dataset_map_in_parallel() -> None:
  files = [
    _write(subtype, channels, num_frames=50 + channels)
    for subtype in _SUBTYPES
    for channels in (1, 2)
  ]
  dataset = tf.data.Dataset.from_tensor_slices(files).map(
    decoding.decode_wav, num_parallel_calls=4
  )
  results = list(dataset.as_numpy_iterator())
  assert len(results) == len(files)
  for contents, (signals, sample_rate) in zip(files, results, strict=True):
    np.testing.assert_array_equal(signals, _read(contents)[0])
    assert sample_rate == 22050


def test_dataset_stays_stateless(tmp_path) -> None:
  # tf.data refuses to distribute or to checkpoint a map of stateful functions.
  options = tf.data.Options()
  options.experimental_external_state_policy = (
    tf.data.experimental.ExternalStatePolicy.FAIL
  )
  contents = wav_files.riff([_FMT, _DATA])
  dataset = tf.data.Dataset.from_tensors(contents).repeat(3)
  iterator = iter(dataset.map(decoding.decode_wav).with_options(options))
  next(iterator)
  tf.train.Checkpoint(iterator=iterator).save(str(tmp_path / "checkpoint"))


_LOADER = """
import sys
import numpy as np
import tensorflow as tf
decode = tf.saved_model.load(sys.argv[1]).decode
signals, sample_rate = decode(tf.io.read_file(sys.argv[2]))
np.save(sys.argv[3], signals.numpy())
print("rate", int(sample_rate))
try:
  decode(tf.constant(b"RIFX"))
except tf.errors.InvalidArgumentError as error:
  print("refused", "wav: contents must have at least 12 bytes." in str(error))
assert not any(name.startswith("tfspec") for name in sys.modules)
"""


@pytest.mark.slow
def test_saved_model_in_a_process_without_tfspec(tmp_path) -> None:
  contents = _write("PCM_24", 2)
  (tmp_path / "clip.wav").write_bytes(contents)
  module = tf.Module()
  module.decode = _decode_graph
  tf.saved_model.save(module, str(tmp_path / "model"))

  reloaded = tf.saved_model.load(str(tmp_path / "model")).decode
  expected = _read(contents)[0]
  np.testing.assert_array_equal(reloaded(tf.constant(contents))[0], expected)

  completed = subprocess.run(
    [sys.executable, "-c", _LOADER, "model", "clip.wav", "signals.npy"],
    cwd=tmp_path,
    capture_output=True,
    text=True,
    check=True,
  )
  signals = np.load(tmp_path / "signals.npy")
  np.testing.assert_array_equal(signals, expected)
  assert "rate 22050" in completed.stdout
  assert "refused True" in completed.stdout


def _mutate(contents: bytes, rng: np.random.Generator) -> bytes:
  """Returns a damaged copy: most damage goes to the headers."""
  data = bytearray(contents)
  for _ in range(rng.integers(1, 4)):
    span = len(data) if rng.random() < 0.2 else min(len(data), 100)
    if not span:
      break
    at = int(rng.integers(span))
    kind = rng.integers(5)
    if kind == 0:
      data[at] = rng.integers(256)
    elif kind == 1:
      data[at] ^= 1 << rng.integers(8)
    elif kind == 2:
      del data[int(rng.integers(len(data))) :]
    elif kind == 3:
      data[at:at] = rng.bytes(rng.integers(1, 9))
    else:
      # The sizes and the fields of `fmt ` stand at even bytes.
      at -= at % 2
      values = (0, 1, 2, 3, 7, 16, 40, 2**15, 2**16 - 1, 2**31 - 1, 2**31)
      value = int(rng.choice([*values, 2**32 - 1, len(data), len(data) - 8]))
      width = int(rng.choice([2, 4]))
      field = (value % 2 ** (8 * width)).to_bytes(width, "little")
      data[at : at + width] = field
  return bytes(data)


def _mutations(count: int) -> list[bytes]:
  """Returns damaged files, the same at each run."""
  rng = np.random.default_rng(7)
  files = [
    _write(subtype, channels, num_frames=40, form=form)
    for subtype in _SUBTYPES
    for channels, form in ((1, "WAV"), (2, "WAVEX"), (3, "RF64"))
  ]
  files.append(wav_files.riff([_DATA, wav_files.chunk(b"odd ", b"abc"), _FMT]))
  return [_mutate(files[i % len(files)], rng) for i in range(count)]


@pytest.mark.slow
def test_mutations_decode_or_are_refused(
  record_property: Callable[[str, object], None],
) -> None:
  outcomes = collections.Counter()
  for contents in _mutations(5000):
    try:
      signals, sample_rate = _decode_graph(tf.constant(contents))
    except tf.errors.InvalidArgumentError as error:
      sentence = re.search(r"\[wav: ([a-zA-Z-]+ [a-zA-Z-]+).*?\.\]", str(error))
      assert sentence, (contents, str(error))
      outcomes[f"refused: {sentence[1]} ..."] += 1
      continue
    outcomes["decoded"] += 1
    assert signals.dtype == tf.float32 and signals.shape.rank == 2
    # No sample has less than one byte.
    assert tf.size(signals) <= len(contents)
    assert signals.shape[1] >= 1 and sample_rate >= 1
  listed = "; ".join(f"{n} {name}" for name, n in outcomes.most_common())
  record_property("mutated WAV files", f"{outcomes.total()}: {listed}")
  assert outcomes.total() >= 4000
  assert outcomes["decoded"] > 500
  assert len(outcomes) > 8


@pytest.mark.slow
def test_channels_and_sample_rate_are_checked() -> None:
  contents = SPEECH.joinpath("en/conf-locked.wav").read_bytes()
  signals, rate = decoding.decode_wav(contents, 1, 8000)
  assert signals.shape == (14018, 1) and rate == 8000
  for decode in (decoding.decode_wav, tf.function(decoding.decode_wav)):
    with pytest.raises(
      tf.errors.InvalidArgumentError, match="2 channels. Got: 1"
    ):
      decode(tf.constant(contents), channels=2)
    with pytest.raises(
      tf.errors.InvalidArgumentError, match="16000 Hz. Got: 8000 Hz"
    ):
      decode(tf.constant(contents), sample_rate_hz=16000)
  graph = tf.function(lambda c: decoding.decode_wav(c, channels=1))
  spec = tf.TensorSpec([], tf.string)
  shape = graph.get_concrete_function(spec).output_shapes[0]
  assert shape.as_list() == [None, 1]


def test_eager_error_is_one_sentence() -> None:
  with pytest.raises(tf.errors.InvalidArgumentError) as error:
    decoding.decode_wav(b"RIFFxxxxWAVE")
  assert str(error.value).startswith("wav: a fmt chunk must exist.")
  assert "\n" not in str(error.value)


def _load_errors(route: str, paths: list, *given: int | None) -> list[str]:
  """Returns what is said of each file."""

  def load(path: tf.Tensor) -> tuple[tf.Tensor, ...]:
    return audio.load_wav(path, *given)

  if route == "graph":
    load = tf.function(load, input_signature=[tf.TensorSpec([], tf.string)])
  elif route == "map":
    iterator = iter(tf.data.Dataset.from_tensor_slices(paths).map(load))
    load = lambda _: next(iterator)  # noqa: E731
  found = []
  for path in paths:
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
      load(tf.constant(path))
    found.append(errors.sentence(error.value))
    if route == "eager":
      assert str(error.value) == found[-1]
  return found


@pytest.mark.parametrize("route", ["eager", "graph", "map"])
def test_errors_name_the_file(route: str) -> None:
  spelled = {
    b"a b.wav": "a b.wav",
    "é.wav".encode(): "é.wav",
    b"\xff\xc3.wav": "%FF%C3.wav",
    b"a] [[1].wav": "a]%20[[1].wav",
  }
  paths = [f"ram://{route}/".encode() + name for name in spelled]
  for path in paths:
    tf.io.write_file(path, wav_files.riff([_FMT, _DATA]))
  no_wav = f"ram://{route}/text"
  tf.io.write_file(no_wav, b"no wave")
  assert _load_errors(route, paths, None, 8000) == [
    f"ram://{route}/{name}: wav: the sample rate must be 8000 Hz. "
    "Got: 16000 Hz in the file."
    for name in spelled.values()
  ]
  assert _load_errors(route, paths[:1], 2) == [
    f"ram://{route}/a b.wav: wav: there must be 2 channels. Got: 1 in the file."
  ]
  assert _load_errors(route, [no_wav], 1) == [
    f"{no_wav}: wav: contents must have at least 12 bytes. Got: 7."
  ]


def test_load_wav_takes_any_path(tmp_path: pathlib.Path) -> None:
  path = tmp_path / "a.wav"
  path.write_bytes(wav_files.riff([_FMT, _DATA])[:-1])
  for given in (path, str(path), bytes(path), tf.constant(str(path))):
    signals, rate, missing = audio.load_wav(given, return_missing=True)
    assert signals.shape == [7, 1] and rate == 16000 and missing == 1
  with pytest.raises(tf.errors.NotFoundError, match="b.wav"):
    audio.load_wav(tmp_path / "b.wav")


def test_wrong_arguments() -> None:
  for given in ({"channels": 0}, {"sample_rate_hz": -1}):
    (name,) = given
    with pytest.raises(ValueError, match=f"{name} must be at least 1. Got: "):
      decoding.decode_wav(b"", **given)
