"""The chunks of WAV files, walked in the graph.

The numbers in brackets are those of the references in `decoding`.
"""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

# Bounds the time that a hostile file made of empty chunks can take.
MAX_CHUNKS = 1024

_UNKNOWN_SIZE = 0xFFFFFFFF


class Chunks(NamedTuple):
  """Where chunks start, and what they state: int64 scalars.

  A chunk that there is not starts where the file ends.
  """

  walked_to: tf.Tensor  # Where the next chunk would start.
  fmt: tf.Tensor  # The first `fmt `.
  other_fmt: tf.Tensor  # A second one ahead of the data that is not the same.
  data: tf.Tensor  # The first `data`.
  data_size: tf.Tensor  # As stated.
  num_behind: tf.Tensor  # Chunks behind an empty `data`, or -1 if not all is.
  riff_size: tf.Tensor  # As stated.
  data_size64: tf.Tensor  # As an RF64 file states it, or -1.


def read(
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


def tag(text: bytes) -> int:
  """Returns the word that `read` makes of four bytes."""
  return int.from_bytes(text, "little")


def outlined(run: Callable) -> Callable:
  """Returns a function as one node: inlined, it costs where it does not run."""
  attributes = {"_noinline": True}
  return tf.function(run, autograph=False, experimental_attributes=attributes)


def walk(
  contents: tf.Tensor, length: tf.Tensor, first_words: tf.Tensor
) -> Chunks:
  """Walks the chunks until `fmt ` and `data` are found.

  A data size of 0 may be a promise or a blank that nobody came back to fill in.
  What is behind the chunk tells: if that is chunks up to the end, there is no
  sound. So the walk goes on to the end then.

  Args:
    contents: The bytes of the file, or the first of them.
    length: How many the file has.
    first_words: The first 11 32-bit words of them.

  Returns:
    The chunks.
  """
  first_word, riff_size, *_, data_size = tf.unstack(first_words)
  is_rf64 = tf.equal(first_word, tag(b"RF64"))

  def is_unfinished(packed: tf.Tensor) -> tf.Tensor:
    chunks = Chunks(*tf.unstack(packed))
    is_found = tf.maximum(chunks.fmt, chunks.data) < length
    is_doubtful = tf.equal(chunks.data_size, 0) & (chunks.num_behind >= 0)
    return (chunks.walked_to + 8 <= length) & (~is_found | is_doubtful)

  def step(packed: tf.Tensor) -> tf.Tensor:
    chunks = Chunks(*tf.unstack(packed))
    position = chunks.walked_to
    word, size, *sizes64 = tf.unstack(read(contents, position, 6, tf.int32))
    is_fmt, is_data = tf.unstack(tf.equal(word, [tag(b"fmt "), tag(b"data")]))
    is_behind_data = chunks.data < length
    is_ds64 = is_rf64 & tf.equal(word, tag(b"ds64"))
    riff_size64 = tf.where(is_ds64, _join(*sizes64[:2]), chunks.riff_size)
    data_size64 = tf.where(is_ds64, _join(*sizes64[2:]), chunks.data_size64)
    # RF64 [3] states the size of the data in `ds64`, as -1 or for good measure
    # again in the chunk. A `ds64` of zeros was never filled in.
    least = tf.where(tf.equal(size, _UNKNOWN_SIZE), _int64(0), 1)
    size = tf.where(is_data & (data_size64 >= least), data_size64, size)

    def same(start: tf.Tensor) -> tf.Tensor:
      # It may be the end of a file of which only the beginning is here.
      end = tf.cast(tf.strings.length(contents), tf.int64)
      return tf.strings.substr(contents, tf.minimum(start, end), 8 + size)

    is_other = is_fmt & (chunks.fmt < length) & ~is_behind_data
    is_other &= tf.not_equal(same(position), same(chunks.fmt))
    letters = read(contents, position, 4, tf.uint8)
    is_chunk = tf.reduce_all((letters >= 32) & (letters < 127))
    is_chunk &= position + 8 + size <= length
    num_behind = chunks.num_behind + tf.cast(is_behind_data, tf.int64)
    stepped = Chunks(
      # A pad byte follows a chunk of odd size.
      walked_to=position + 8 + size + size % 2,
      fmt=tf.minimum(chunks.fmt, tf.where(is_fmt, position, length)),
      other_fmt=tf.where(is_other, position, chunks.other_fmt),
      data=tf.minimum(chunks.data, tf.where(is_data, position, length)),
      data_size=tf.where(is_data & ~is_behind_data, size, chunks.data_size),
      num_behind=tf.where(is_chunk | ~is_behind_data, num_behind, -1),
      riff_size=riff_size64,
      data_size64=data_size64,
    )
    return tf.stack(stepped)

  # Most files start with the same 44 bytes of headers: they need no walk.
  is_usual = (length >= 44) & tf.reduce_all(
    tf.equal(
      tf.gather(first_words, [3, 4, 9]), [tag(b"fmt "), 16, tag(b"data")]
    )
  )
  usual = Chunks(44, 12, length, 36, data_size, 0, riff_size, -1)
  other = Chunks(12, length, length, length, 0, 0, riff_size, -1)
  # One vector: each variable of a loop has its cost even if it never runs.
  (packed,) = tf.while_loop(
    is_unfinished,
    outlined(step),
    [tf.where(is_usual, tf.stack(usual), tf.stack(other))],
    maximum_iterations=MAX_CHUNKS,
  )
  return Chunks(*tf.unstack(packed))


def _int64(value: int) -> tf.Tensor:
  return tf.constant(value, tf.int64)


def _join(low: tf.Tensor, high: tf.Tensor) -> tf.Tensor:
  """Returns a size of 64 bits; one that no disk could hold is unknown."""
  return tf.where(high < 2**16, low + high * 2**32, _int64(_UNKNOWN_SIZE))
