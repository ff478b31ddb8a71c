"""Work on frames in blocks, each small enough for the processor's cache."""

import dataclasses
import functools
import math
from collections.abc import Callable

import tensorflow as tf
from tensorflow.python.ops import control_flow_util

from tfspec.ops import shape_ops

Results = tuple[tf.Tensor, ...]

# Samples of the frames of a block, with their padding: of one that is computed
# beside others, each with all of its operations on one thread, and of one that
# XLA computes in its turn.
_BLOCK_SIZE = 1 << 20
_TURN_SIZE = 1 << 18

# How many parts of long clips are computed before they are written to where
# they belong: enough to keep some threads busy, few enough to take little room.
_PARTS_AT_A_TIME = 8


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
  in_turn = _is_compiled()
  size = _TURN_SIZE if in_turn else _BLOCK_SIZE
  block_frames = max(1, size // fft_length)

  def transform_all(signals: tf.Tensor) -> Results:
    # The rows of a matrix are cut out without a copy.
    signals = signals[0, :covered] if batch == 1 else signals[:, :covered]
    results = transform(
      shape_ops.windowed_frames(signals, window, frame_step, fft_length)
    )
    return tuple(r[tf.newaxis] for r in results) if batch == 1 else results

  if batch * num_frames <= block_frames or (in_turn and _has_accelerator()):
    return transform_all(signals)
  # Blocks of one size. A whole clip is better than parts, which must be joined;
  # more clips than one are worth it only while they are short.
  most = max(1, block_frames // 4 // num_frames)
  clips = max(n for n in range(1, most + 1) if batch % n == 0)
  parts = -(-num_frames // block_frames)
  blocks = _Blocks(
    transform,
    window,
    frame_step,
    fft_length,
    batch,
    num_frames,
    clips,
    parts,
    frames=-(-num_frames // parts),
  )

  @tf.custom_gradient
  def compute(signals: tf.Tensor) -> tuple[Results, Callable]:
    def gradient(*upstream: tf.Tensor) -> tf.Tensor:
      with tf.GradientTape() as tape:
        tape.watch(signals)
        results = transform_all(signals)
      return tape.gradient(results, signals, upstream)

    if tf.executing_eagerly():
      return blocks.one_by_one(signals), gradient
    if in_turn:
      return blocks.in_turn(signals), gradient
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
    results = [self._transform(signals, i) for i in tf.range(self._count)]
    return tuple(self._join(tf.stack(r)) for r in zip(*results, strict=True))

  def side_by_side(self, signals: tf.Tensor) -> Results:
    """Computes blocks on several threads, each of them on one."""
    function = tf.function(
      functools.partial(self._transform, signals), autograph=False
    )
    call = function.get_concrete_function(tf.TensorSpec([], tf.int32))
    run = functools.partial(_map, call)
    if self.parts == 1:
      return tuple(self._join(r) for r in run(tf.range(self._count)))
    together = min(self._count, _PARTS_AT_A_TIME)

    def write(i: tf.Tensor, results: list[tf.Tensor]) -> tuple:
      numbers = tf.minimum(i + tf.range(together), self._count - 1)
      for j, values in enumerate(run(numbers)):
        features = values.shape[-1]
        for k in range(together):
          clip, frame = self._place(numbers[k])
          row = tf.cast(clip * self.num_frames + frame, tf.int64)
          start = row * features
          results[j] = tf.raw_ops.TensorStridedSliceUpdate(
            input=results[j],
            begin=[start],
            end=[start + self.frames * features],
            strides=tf.constant([1], tf.int64),
            value=tf.reshape(values[k], [-1]),
          )
      return i + together, results

    # In one row, which is written faster than a matrix; not `tf.zeros`, which
    # may become a constant, and is then copied before it is written to.
    shapes = [[self.batch, self.num_frames, r.shape[-1]] for r in call.outputs]
    results = [
      tf.raw_ops.Empty(shape=[math.prod(s)], dtype=signals.dtype, init=True)
      for s in shapes
    ]
    _, results = tf.while_loop(
      lambda i, _: i < self._count, write, [0, results], parallel_iterations=1
    )
    return tuple(map(tf.reshape, results, shapes))

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
      frames = shape_ops.write_windowed_frames(
        frames, self._cut(signals, i), self.window, self.frame_step
      )
      place = tf.stack([*self._place(i), 0])
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
    # The last part of a clip ends where the clip does.
    last = self.num_frames - self.frames
    frame = tf.minimum(i % self.parts * self.frames, last)
    return i // self.parts * self.clips, frame

  def _cut(self, signals: tf.Tensor, i: tf.Tensor, spare: int = 0) -> tf.Tensor:
    """Returns the samples of a block, `[clips, samples]`."""
    clip, frame = self._place(i)
    samples = (self.frames - 1) * self.frame_step + self.window.shape[0]
    start = [clip, frame * self.frame_step]
    return tf.slice(signals, start, [self.clips, samples + spare])

  def _transform(self, signals: tf.Tensor, i: tf.Tensor) -> Results:
    length = self.window.shape[0]
    covered = (self.num_frames - 1) * self.frame_step + length
    behind = signals.shape[1] - covered
    spare = min(shape_ops.to_whole_hop(length, self.frame_step), behind)
    block = self._cut(signals, i, spare)
    if self.clips == 1:  # The rows of a matrix are cut out without a copy.
      block = tf.reshape(block, [-1])
    frames = shape_ops.windowed_frames(
      block, self.window, self.frame_step, self.fft_length, spare
    )
    return self.transform(frames)

  def _join(self, blocks: tf.Tensor) -> tf.Tensor:
    """Returns `[batch, num_frames, features]`."""
    computed = self.parts * self.frames
    values = tf.reshape(blocks, [self.batch, computed, blocks.shape[-1]])
    if computed == self.num_frames:
      return values
    last = computed - self.frames
    new = last + computed - self.num_frames
    return tf.concat([values[:, :last], values[:, new:]], axis=1)


def _map(call: tf.types.experimental.ConcreteFunction, i: tf.Tensor) -> list:
  """Returns the results of a function of each number, stacked.

  It is what `tf.data` is built on. The calls run at the same time, but each of
  them on one thread from the first operation to the last: what one leaves in
  the cache is there for the next.
  """
  call.add_to_graph()
  executor = tf.compat.v1.AttrValue(s=b"SINGLE_THREADED_EXECUTOR")
  return tf.raw_ops.MapDefun(
    arguments=[i],
    captured_inputs=call.captured_inputs,
    output_types=[r.dtype for r in call.outputs],
    output_shapes=[r.shape for r in call.outputs],
    f=tf.compat.v1.NameAttrList(name=call.name, attr={"executor": executor}),
    max_intra_op_parallelism=1,
  )


def _is_compiled() -> bool:
  """Returns whether XLA surely compiles what is being traced."""
  graph = tf.compat.v1.get_default_graph()
  return control_flow_util.GraphOrParentsInXlaContext(graph)


def _has_accelerator() -> bool:
  """Returns whether the process sees a device that blocks are too small for."""
  devices = tf.config.get_visible_devices()
  return any("CPU" not in device.device_type for device in devices)
