"""Builds WAV files byte by byte, odd and broken ones included."""

import struct
from collections.abc import Sequence

PCM, FLOAT, ALAW, MULAW, EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
UNKNOWN_SIZE = 0xFFFFFFFF
GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")
AMBISONIC_TAIL = bytes.fromhex("00002107d3118644c8c1ca000000")


def chunk(
  tag: bytes, payload: bytes, size: int | None = None, pad: bool = True
) -> bytes:
  """Returns one chunk; `size` overrides the size that its header states."""
  header = struct.pack("<4sI", tag, len(payload) if size is None else size)
  return header + payload + b"\0" * (pad and len(payload) % 2)


def fmt(
  code: int = PCM,
  channels: int = 1,
  sample_rate: int = 16000,
  bits: int = 16,
  block_align: int | None = None,
  extra: bytes = b"",
) -> bytes:
  """Returns a `fmt ` chunk of 16 bytes and then `extra`."""
  if block_align is None:
    block_align = channels * bits // 8
  fields = struct.pack(
    "<HHIIHH",
    code,
    channels,
    sample_rate,
    sample_rate * block_align & 0xFFFFFFFF,
    block_align & 0xFFFF,
    bits,
  )
  return chunk(b"fmt ", fields + extra)


def extensible_fmt(
  code: int = PCM,
  channels: int = 1,
  sample_rate: int = 16000,
  bits: int = 16,
  valid_bits: int | None = None,
  guid_tail: bytes = GUID_TAIL,
) -> bytes:
  """Returns a 40-byte `fmt ` chunk with `code` as its sub-format."""
  extra = struct.pack(
    "<HHIH", 22, bits if valid_bits is None else valid_bits, 0, code
  )
  return fmt(EXTENSIBLE, channels, sample_rate, bits, extra=extra + guid_tail)


def ds64(riff_size: int, data_size: int, num_frames: int = 0) -> bytes:
  """Returns the chunk that holds the 64-bit sizes of an RF64 file."""
  payload = struct.pack("<QQQI", riff_size, data_size, num_frames, 0)
  return chunk(b"ds64", payload)


def riff(
  chunks: Sequence[bytes],
  size: int | None = None,
  tag: bytes = b"RIFF",
  form: bytes = b"WAVE",
) -> bytes:
  """Returns a file; `size` overrides the size that its header states."""
  body = form + b"".join(chunks)
  return struct.pack("<4sI", tag, len(body) if size is None else size) + body
