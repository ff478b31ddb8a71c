"""Work on frames in blocks, each small enough for the processor's cache."""

import dataclasses
import functools
from collections.abc import Callable

import tensorflow as tf

from tfspec.ops import device_ops, shape_ops

Results = tuple[tf.Tensor, ...]

# Samples of the frames of a block, with their padding: of one that is computed
# beside others, each with all of its operations on one thread, and of one that
# XLA computes in its turn.
_BLOCK_SIZE = 1 << 20
_TURN_SIZE = 1 << 18


def in_blocks(
  transform: Callable[[tf.Tensor], Results],
  signals: tf.Tensor,
  window: tf.Tensor,
  frame_step: int,
  fft_length: int,
  num_frames: int,
) -> Results:
  """Returns what `transform` makes of all frames, computed in blocks of them.

  A block is a number of whole clips, or a part of one clip. A graph computes
  blocks side by side if it runs on a CPU, each on one thread; XLA computes them
  one after the other. Other devices, and graphs that XLA compiles after they
  were traced without it, take all frames at once. So does the gradient.

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

  Returns:
    The tuple, each `[batch, num_frames, features]`.
  """
  batch = signals.shape[0]
  covered = (num_frames - 1) * frame_step + window.shape[0]

  def transform_all(signals: tf.Tensor) -> Results:
    # The rows of a matrix are cut out without a copy.
    signals = signals[0, :covered] if batch == 1 else signals[:, :covered]
    results = transform(
      shape_ops.windowed_frames(signals, window, frame_step, fft_length)
    )
    return tuple(r[tf.newaxis] for r in results) if batch == 1 else results

  compiled = device_ops.is_compiled_for_cpu()
  block_frames = (_TURN_SIZE if compiled else _BLOCK_SIZE) // fft_length
  # What is compiled is faster in blocks even if there is but one.
  if batch * num_frames <= (0 if compiled else block_frames):
    return transform_all(signals)
  # More clips than one in a block are worth it only while they are short.
  most = max(1, block_frames // 4 // num_frames)
  parts = -(-num_frames // max(1, block_frames))
  blocks = _Blocks(
    transform,
    window,
    frame_step,
    fft_length,
    batch,
    num_frames,
    clips=max(n for n in range(1, most + 1) if batch % n == 0),
    parts=parts,
    frames=-(-num_frames // parts),
  )

  @tf.custom_gradient
  def compute(signals: tf.Tensor) -> tuple[Results, Callable]:
    def gradient(*upstream: tf.Tensor) -> tf.Tensor:
      with tf.GradientTape() as tape:
        tape.watch(signals)
        results = transform_all(signals)
      return tape.gradient(results, signals, upstream)

    if compiled:
      return blocks.in_turn(signals), gradient
    if tf.executing_eagerly():
      return blocks.one_by_one(signals), gradient
    # 0 for a graph on a CPU. For other devices and XLA 1; of the two branches
    # XLA then compiles the second alone.
    other = tf.raw_ops.DeviceIndex(device_names=["CPU"])
    branches = [
      functools.partial(blocks.side_by_side, signals),
      functools.partial(transform_all, signals),
    ]
    return tf.switch_case(other, branches), gradient

  return compute(signals)


@dataclasses.dataclass(frozen=True)
class _Blocks:
  """The frames of a batch, parted into blocks of one size."""

  transform: Callable[[tf.Tensor], Results]
  window: tf.Tensor
  frame_step: int
  fft_length: int
  batch: int
  num_frames: int
  clips: int  # In a block: one, if it is only a part of a clip.
  parts: int  # Of a clip.
  frames: int  # Of each clip in a block.

  def one_by_one(self, signals: tf.Tensor) -> Results:
    """Computes the blocks eagerly."""
    signals = self._extend(signals)
    results = [self._transform(signals, i) for i in tf.range(self._count)]
    return tuple(self._join(tf.stack(r)) for r in zip(*results, strict=True))

  def side_by_side(self, signals: tf.Tensor) -> Results:
    """Computes blocks on several threads, each of them on one.

    By what `tf.data` is built on: the calls of a function run at the same time,
    but each of them on one thread from the first operation to the last. What
    one leaves in the cache is there for the next.
    """
    signals = self._extend(signals)
    function = tf.function(
      functools.partial(self._transform, signals), autograph=False
    )
    call = function.get_concrete_function(tf.TensorSpec([], tf.int32))
    return tuple(map(self._join, calls(call, tf.range(self._count))))

  def in_turn(self, signals: tf.Tensor) -> Results:
    """Computes block after block in a loop of XLA, all in the same memory."""
    # An operation that only XLA has, imported where it is needed: the one that
    # writes to its operand, at a place that is not known before.
    from tensorflow.compiler.tf2xla.python import xla

    frames = tf.zeros([self.clips, self.frames, self.fft_length], signals.dtype)
    results = [
      tf.zeros([self.batch, self.num_frames, values.shape[-1]], values.dtype)
      for values in self.transform(frames)
    ]

    def transform_block(
      i: tf.Tensor, frames: tf.Tensor, results: list[tf.Tensor]
    ) -> tuple:
      clip, frame = self._place(i)
      # The last part of a clip ends where the clip does.
      frame = tf.minimum(frame, self.num_frames - self.frames)
      block = self._cut(signals, clip, frame)
      frames = shape_ops.write_windowed_frames(
        frames, block, self.window, self.frame_step
      )
      place = tf.stack([clip, frame, 0])
      results = [
        xla.dynamic_update_slice(result, values, place)
        for result, values in zip(results, self.transform(frames), strict=True)
      ]
      return i + 1, frames, results

    _, _, results = tf.while_loop(
      lambda i, *_: i < self._count, transform_block, [0, frames, results]
    )
    return tuple(results)

  @property
  def _count(self) -> int:
    return self.batch // self.clips * self.parts

  def _place(self, i: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the first clip of a block, and its first frame there."""
    return i // self.parts * self.clips, i % self.parts * self.frames

  def _samples(self, frames: int) -> int:
    return (frames - 1) * self.frame_step + self.window.shape[0]

  def _cut(
    self, signals: tf.Tensor, clip: tf.Tensor, frame: tf.Tensor, spare: int = 0
  ) -> tf.Tensor:
    """Returns the samples of the block at a place, `[clips, samples]`."""
    start = [clip, frame * self.frame_step]
    size = [self.clips, self._samples(self.frames) + spare]
    return tf.slice(signals, start, size)

  def _extend(self, signals: tf.Tensor) -> tf.Tensor:
    """Returns signals that have samples for all frames of the last part."""
    missing = self._samples(self.parts * self.frames) - signals.shape[1]
    return tf.pad(signals, [[0, 0], [0, missing]]) if missing > 0 else signals

  def _transform(self, signals: tf.Tensor, i: tf.Tensor) -> Results:
    """Returns the results of a block of signals that are extended."""
    behind = signals.shape[1] - self._samples(self.parts * self.frames)
    to_hop = shape_ops.to_whole_hop(self.window.shape[0], self.frame_step)
    spare = min(to_hop, behind)
    block = self._cut(signals, *self._place(i), spare)
    if self.clips == 1:  # The rows of a matrix are cut out without a copy.
      block = tf.reshape(block, [-1])
    frames = shape_ops.windowed_frames(
      block, self.window, self.frame_step, self.fft_length, spare
    )
    return self.transform(frames)

  def _join(self, blocks: tf.Tensor) -> tf.Tensor:
    """Returns `[batch, num_frames, features]`."""
    features = blocks.shape[-1]
    if self.batch == 1:  # The rows of a matrix are cut out without a copy.
      rows = tf.reshape(blocks, [-1, features])
      return rows[: self.num_frames][tf.newaxis]
    values = tf.reshape(blocks, [self.batch, -1, features])
    return values[:, : self.num_frames]


def calls(
  function: tf.types.experimental.ConcreteFunction, i: tf.Tensor
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
  return tf.raw_ops.MapDefun(
    arguments=[i],
    captured_inputs=function.captured_inputs,
    output_types=[r.dtype for r in function.outputs],
    output_shapes=[r.shape for r in function.outputs],
    f=tf.compat.v1.NameAttrList(
      name=function.name, attr={"executor": executor}
    ),
    max_intra_op_parallelism=1,
  )
