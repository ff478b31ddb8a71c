"""Where the blocks of a batch are: arithmetic of integers or of tensors."""

import dataclasses

import tensorflow as tf

Count = int | tf.Tensor


@dataclasses.dataclass(frozen=True)
class Partition:
  """The frames of a batch in blocks of one size; see `of`.

  A block is a number of whole clips, or a part of one clip. The last part of a
  clip may have frames past the end of the clip, and the last block clips past
  the end of the batch.

  The frames of all clips, one clip after the other, are rows. Blocks whose rows
  follow each other, without any that are past an end between them, are a run:
  all parts of a clip, or all blocks of whole clips.

  Attributes:
    batch: Clips.
    num_frames: Frames of a clip.
    clips: Clips in a block: one, if it is only a part of a clip.
    frames: Frames of each clip in a block.
  """

  batch: Count
  num_frames: Count
  clips: Count
  frames: Count

  @classmethod
  def of(cls, batch: Count, num_frames: Count, most: int) -> "Partition":
    """Parts the frames of a batch.

    Args:
      batch: Clips, at least one: an integer, or an int32 scalar of a graph.
      num_frames: Frames of a clip, at least one.
      most: How many frames a block may have; it has at least one.
    """
    # More clips than one are worth it only while they are short.
    clips = _larger(1, most // 4 // num_frames)
    parts = _quotient(num_frames, max(1, most))
    # As many frames in each part, and as many clips in each block.
    return cls(
      batch,
      num_frames,
      clips=_quotient(batch, _quotient(batch, clips)),
      frames=_quotient(num_frames, parts),
    )

  @property
  def parts(self) -> Count:
    """Blocks of a clip."""
    return _quotient(self.num_frames, self.frames)

  @property
  def count(self) -> Count:
    """Blocks of the batch."""
    return _quotient(self.batch, self.clips) * self.parts

  @property
  def size(self) -> Count:
    """Rows of a block."""
    return self.clips * self.frames

  @property
  def run(self) -> Count:
    """Blocks of a run."""
    return _choose(self.parts > 1, self.parts, self.count)

  @property
  def run_rows(self) -> Count:
    """Rows of a run, without those past its end."""
    clips = _choose(self.parts > 1, 1, self.batch)
    return clips * self.num_frames

  def start(self, block: Count) -> tuple[Count, Count]:
    """Returns the first clip of a block, and its first frame there."""
    return block // self.parts * self.clips, block % self.parts * self.frames

  def rows(self, block: Count, blocks: Count = 1) -> tuple[Count, Count]:
    """Returns the first row of blocks of a run, and how many they have."""
    before = block % self.run * self.size
    start = block // self.run * self.run_rows + before
    return start, _smaller(blocks * self.size, self.run_rows - before)


def _quotient(count: Count, size: Count) -> Count:
  """Returns how many groups of a size there are, the last one not full."""
  return -(-count // size)


def _larger(a: Count, b: Count) -> Count:
  return max(a, b) if isinstance(b, int) else tf.maximum(a, b)


def _smaller(a: Count, b: Count) -> Count:
  both = isinstance(a, int) and isinstance(b, int)
  return min(a, b) if both else tf.minimum(a, b)


def _choose(condition: bool | tf.Tensor, a: Count, b: Count) -> Count:
  if tf.is_tensor(condition):
    return tf.where(condition, a, b)
  return a if condition else b
