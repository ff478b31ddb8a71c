"""Work on frames in blocks, each of a few megabytes."""

import dataclasses
import math
from collections.abc import Callable

import tensorflow as tf

from tfspec.ops import gradient_ops, shape_ops
from tfspec.ops.engines import devices

Results = tuple[tf.Tensor, ...]

# Samples of the frames of a block, with their padding: a few megabytes.
_BLOCK_SIZE = 1 << 20

# How many parts of a long clip are computed before they are written to their
# place: few enough to take little room. No more threads than that have work.
_PARTS_AT_A_TIME = 8


def in_blocks(
  transform: Callable[[tf.Tensor], Results],
  signals: tf.Tensor,
  window: tf.Tensor,
  frame_step: int,
  fft_length: int,
  num_frames: int,
  condition: shape_ops.Condition | None = None,
) -> Results:
  """Returns what `transform` makes of all frames, computed in blocks of them.

  A block is a number of whole clips, or a part of one clip. A graph computes
  blocks side by side if it runs on a CPU, each on one thread; XLA, and eager
  code, compute them one after the other. Other devices, and graphs that XLA
  compiles after they were traced without it, take all frames at once. So do
  forward mode, `tf.vectorized_map`, and the gradient, which transforms them
  again.

  Args:
    transform: Turns frames `[..., fft_length]` into a tuple of tensors
      `[..., features]` of the same dtype, each frame by itself.
    signals: `[batch, samples]`, of static shape, with at least the
      `(num_frames - 1) * frame_step + frame_length` samples of the frames.
    window: `[frame_length]`: the frames are multiplied with it, and filled up
      with zeros.
    frame_step: Samples between the starts of two frames.
    fft_length: Samples in a frame that is filled up.
    num_frames: How many frames there are, at least one.
    condition: See `shape_ops.windowed_frames`.

  Returns:
    The tuple, each `[batch, num_frames, features]`.
  """
  batch = signals.shape[0]
  frame_length = window.shape[0]
  covered = (num_frames - 1) * frame_step + frame_length

  def transform_all(signals: tf.Tensor, spare: int = 0) -> Results:
    single = signals.shape[0] == 1
    if single:  # The rows of a matrix are cut out without a copy.
      signals = tf.reshape(signals, [-1])
    results = transform(
      shape_ops.windowed_frames(
        signals, window, frame_step, fft_length, spare, condition
      )
    )
    return tuple(r[tf.newaxis] for r in results) if single else results

  def at_once(signals: tf.Tensor) -> Results:
    return transform_all(signals[:, :covered])

  compiled = devices.is_compiled_for_cpu()
  most = _BLOCK_SIZE // fft_length
  # What is compiled is faster in blocks even if there is but one.
  if batch * num_frames <= (0 if compiled else most):
    return at_once(signals)
  blocks = Blocks.of(batch, num_frames, frame_length, frame_step, most)

  def in_turn(signals: tf.Tensor) -> Results:
    def transform_block(block: tf.Tensor, frames: tf.Tensor) -> tuple:
      frames = shape_ops.write_windowed_frames(
        frames, block, window, frame_step, condition
      )
      return transform(frames), frames

    return blocks.in_turn(
      transform_block, signals, (blocks.clips, blocks.frames, fft_length)
    )

  @gradient_ops.custom_gradient(at_once)
  def compute(signals: tf.Tensor) -> tuple[Results, Callable]:
    def gradient(*upstream: tf.Tensor) -> list[tf.Tensor]:
      return gradient_ops.pullback(at_once, [signals], upstream)

    # Loops and calls have no gradient of their own, and two tapes ask for one.
    constant = tf.stop_gradient(signals)
    if compiled:
      return in_turn(constant), gradient
    if tf.executing_eagerly():
      if devices.sees_only_cpus():
        return blocks.one_by_one(transform_all, constant), gradient
      return at_once(constant), gradient
    device_index = devices.operation("DeviceIndex")
    if devices.operation("MapDefun") is None:
      return at_once(constant), gradient
    if devices.is_traced_for_dataset():
      return blocks.side_by_side(transform_all, constant), gradient
    if device_index is None:
      return at_once(constant), gradient
    # 0 for a graph on a CPU. For other devices and XLA 1; of the two branches
    # XLA then compiles the second alone.
    other = device_index(device_names=["CPU"])
    branches = [
      lambda: blocks.side_by_side(transform_all, constant),
      lambda: at_once(constant),
    ]
    return tf.switch_case(other, branches), gradient

  return compute(signals)


@dataclasses.dataclass(frozen=True)
class Blocks:
  """The frames of a batch, in blocks of one size; see `of`."""

  frame_length: int
  frame_step: int
  batch: int
  num_frames: int
  clips: int  # In a block: one, if it is only a part of a clip.
  groups: int  # Of the parts of a clip.
  parts: int  # Of a clip.
  frames: int  # Of each clip in a block.

  @classmethod
  def of(
    cls,
    batch: int,
    num_frames: int,
    frame_length: int,
    frame_step: int,
    most: int,
  ) -> "Blocks":
    """Parts the frames of a batch.

    Args:
      batch: Clips, at least one.
      num_frames: Frames of a clip, at least one.
      frame_length: Samples in a frame.
      frame_step: Samples between the starts of two frames.
      most: How many frames a block may have; it has at least one.

    Returns:
      The blocks.
    """
    # More clips than one are worth it only while they are short.
    clips = max(1, most // 4 // num_frames)
    parts = -(-num_frames // max(1, most))
    groups = -(-parts // _PARTS_AT_A_TIME)
    # As many parts in each group, all of one size; as many clips in each block.
    frames = -(-num_frames // (groups * -(-parts // groups)))
    return cls(
      frame_length,
      frame_step,
      batch,
      num_frames,
      clips=-(-batch // -(-batch // clips)),
      groups=groups,
      parts=-(-num_frames // frames),
      frames=frames,
    )

  def one_by_one(
    self, transform: Callable[[tf.Tensor, int], Results], signals: tf.Tensor
  ) -> Results:
    """Computes the blocks eagerly; see `side_by_side`."""
    results = [
      self._transform(transform, signals, start, past_end=True)
      for start in self._starts
    ]
    return tuple(self._join(tf.stack(r)) for r in zip(*results, strict=True))

  def side_by_side(
    self, transform: Callable[[tf.Tensor, int], Results], signals: tf.Tensor
  ) -> Results:
    """Computes blocks on several threads, each of them on one.

    By what `tf.data` is built on: the calls of a function run at the same time,
    but each of them on one thread from the first operation to the last. What
    one leaves in the cache is there for the next.

    Args:
      transform: Makes results `[clips, frames, features]` of the samples of a
        block, `[clips, samples]`, behind which there are so many more as its
        second argument says.
      signals: `[batch, samples]`.

    Returns:
      What it makes of all blocks, each `[batch, num_frames, features]`.
    """
    past_end = self.groups == 1
    function = tf.function(
      lambda start: self._transform(transform, signals, start, past_end),
      autograph=False,
    )
    call = function.get_concrete_function(tf.TensorSpec([], tf.int32))
    if past_end:
      return tuple(map(self._join, calls(call, tf.constant(self._starts))))
    together = -(-self.parts // self.groups)
    size = together * self.frames

    def write(i: tf.Tensor, results: list[tf.Tensor]) -> tuple:
      # The last group of a clip ends where the clip does.
      frame = tf.minimum(i % self.groups * size, self.num_frames - size)
      start = i // self.groups * self.num_frames + frame
      values = calls(call, start + tf.range(together) * self.frames)
      for j, value in enumerate(values):
        in_rows = results[j].shape.rank == 2
        scale = tf.constant(1 if in_rows else value.shape[-1], tf.int64)
        first = tf.cast(start, tf.int64) * scale
        results[j] = tf.raw_ops.TensorStridedSliceUpdate(
          input=results[j],
          begin=[first],
          end=[first + size * scale],
          strides=tf.constant([1], tf.int64),
          value=tf.reshape(value, [size, -1] if in_rows else [-1]),
        )
      return i + 1, results

    # One row is written faster than a matrix, but has less than 2^31 values.
    # Not `tf.zeros`, which may become a constant, and is then copied before it
    # is written to; not `Empty`, which is stateful.
    shapes = [[self.batch, self.num_frames, r.shape[-1]] for r in call.outputs]
    zero = _unknown_zero(signals)
    results = [
      tf.fill(
        [math.prod(s)] if math.prod(s) < 1 << 31 else [s[0] * s[1], s[2]],
        tf.cast(zero, r.dtype),
      )
      for s, r in zip(shapes, call.outputs, strict=True)
    ]
    _, results = tf.while_loop(
      lambda i, _: i < self.batch * self.groups,
      write,
      [0, results],
      parallel_iterations=1,
    )
    return tuple(map(tf.reshape, results, shapes))

  def in_turn(
    self,
    transform: Callable[[tf.Tensor, tf.Tensor], tuple[Results, tf.Tensor]],
    signals: tf.Tensor,
    scratch: tuple[int, ...] = (),
  ) -> Results:
    """Computes block after block in a loop of XLA.

    It has no gradient: what comes in must have passed `tf.stop_gradient`, as
    two tapes would ask for one.

    Args:
      transform: Makes results `[clips, frames, features]` of the samples of a
        block, `[clips, samples]`, and of a tensor to write to, which it gives
        back for the next block.
      signals: `[batch, samples]`.
      scratch: The shape of that tensor: zeros, of the dtype of the signals.

    Returns:
      What it makes of all blocks, each `[batch, num_frames, features]`.
    """
    size = self._samples(self.frames)
    some, _ = transform(
      tf.zeros([self.clips, size], signals.dtype),
      tf.zeros(scratch, signals.dtype),
    )
    starts = tf.constant(self._starts)

    def transform_block(
      i: tf.Tensor, results: list, scratch: tf.Tensor
    ) -> tuple:
      clip, frame = self._place(starts[i])
      # The last part of a clip ends where the clip does.
      frame = tf.minimum(frame, self.num_frames - self.frames)
      block = self._cut(signals, clip, frame, size)
      values, scratch = transform(block, scratch)
      place = tf.stack([clip, frame, 0])
      results = [
        devices.dynamic_update_slice(r, v, place)
        for r, v in zip(results, values, strict=True)
      ]
      return i + 1, results, scratch

    # Memory that XLA fills with a constant takes longer to write to afterwards,
    # as if that had gone past the cache.
    zero = _unknown_zero(signals)
    results = [
      tf.fill(
        [self.batch, self.num_frames, values.shape[-1]],
        tf.cast(zero, values.dtype),
      )
      for values in some
    ]
    zeros = tf.fill(scratch, tf.cast(zero, signals.dtype))
    _, results, _ = tf.while_loop(
      lambda i, *_: i < len(self._starts), transform_block, [0, results, zeros]
    )
    return tuple(results)

  @property
  def _starts(self) -> list[int]:
    """The first frame of each block, counted through all clips.

    The last clips of a block may be those of the block before.
    """
    return [
      min(clip, self.batch - self.clips) * self.num_frames + part * self.frames
      for clip in range(0, self.batch, self.clips)
      for part in range(self.parts)
    ]

  def _place(self, start: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the clip of a frame, and which of its frames it is."""
    return start // self.num_frames, start % self.num_frames

  def _samples(self, frames: int) -> int:
    return (frames - 1) * self.frame_step + self.frame_length

  def _cut(
    self, signals: tf.Tensor, clip: tf.Tensor, frame: tf.Tensor, size: int
  ) -> tf.Tensor:
    """Returns so many samples of a block's clips, from a frame on."""
    start = [clip, frame * self.frame_step]
    return tf.slice(signals, start, [self.clips, size])

  def _transform(
    self,
    transform: Callable[[tf.Tensor, int], Results],
    signals: tf.Tensor,
    start: tf.Tensor,
    past_end: bool,
  ) -> Results:
    """Returns the results of a block, of as many frames as all others."""
    clip, frame = self._place(start)
    frames = self.parts * self.frames if past_end else self.num_frames
    behind = signals.shape[1] - self._samples(frames)
    to_hop = shape_ops.to_whole_hop(self.frame_length, self.frame_step)
    spare = max(0, min(to_hop, behind))
    size = self._samples(self.frames) + spare
    if behind >= 0:
      return transform(self._cut(signals, clip, frame, size), spare)
    # The last part of a clip has frames past its end, which are dropped.
    there = tf.minimum(size, signals.shape[1] - frame * self.frame_step)
    block = self._cut(signals, clip, frame, there)
    block = tf.pad(block, [[0, 0], [0, size - there]])
    return transform(tf.ensure_shape(block, [self.clips, size]), spare)

  def _join(self, blocks: tf.Tensor) -> tf.Tensor:
    """Returns `[batch, num_frames, features]`."""
    features = blocks.shape[-1]
    clips = len(self._starts) // self.parts * self.clips
    values = tf.reshape(blocks, [clips, -1, features])[:, : self.num_frames]
    if clips == self.batch:
      return values
    # The last block ends where the batch does.
    before = clips - self.clips
    return tf.concat([values[:before], values[before - self.batch :]], axis=0)


def _unknown_zero(signals: tf.Tensor) -> tf.Tensor:
  """Returns False, which no compiler can know."""
  first, last = signals[0, 0], signals[-1, -1]
  return (first < last) & (last < first)


def calls(
  function: "tf.types.experimental.ConcreteFunction", i: tf.Tensor
) -> list[tf.Tensor]:
  """Returns the results of calls with each number, stacked.

  Args:
    function: Takes a scalar, and returns tensors of static shape.
    i: The numbers, `[count]`.

  Returns:
    For each tensor of the function one, with a leading axis `count`.
  """
  function.add_to_graph()
  executor = tf.compat.v1.AttrValue(s=b"SINGLE_THREADED_EXECUTOR")
  map_defun = devices.operation("MapDefun")
  assert map_defun is not None  # Else blocks are computed one by one.
  return map_defun(
    arguments=[i],
    captured_inputs=function.captured_inputs,
    output_types=[r.dtype for r in function.outputs],
    output_shapes=[r.shape for r in function.outputs],
    f=tf.compat.v1.NameAttrList(
      name=function.name, attr={"executor": executor}
    ),
    max_intra_op_parallelism=1,
  )
