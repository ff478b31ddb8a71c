"""Where the blocks of a batch are: arithmetic of integers or of tensors.

Its callers, `blockwise` and `kernel`, say how large a block may be.
"""

import dataclasses
from typing import TypeAlias

import tensorflow as tf

Count: TypeAlias = int | tf.Tensor


@dataclasses.dataclass(frozen=True)
class Partition:
  """The frames of a batch in blocks of one size; see `of`.

  A block is a number of whole clips, or a part of one clip. The last part of a
  clip may have frames past the end of the clip, and the last block clips past
  the end of the batch.

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

  def start(self, block: Count) -> tuple[Count, Count]:
    """Returns the first clip of a block, and its first frame there."""
    return block // self.parts * self.clips, block % self.parts * self.frames


def _quotient(count: Count, size: Count) -> Count:
  """Returns how many groups of a size there are, the last one not full."""
  return -(-count // size)


def _larger(a: Count, b: Count) -> Count:
  return max(a, b) if isinstance(b, int) else tf.maximum(a, b)
