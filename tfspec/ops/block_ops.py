"""Work on frames in blocks, each small enough for the processor's cache."""

import dataclasses
import functools
from collections.abc import Callable

import tensorflow as tf

from tfspec.ops import shape_ops

Results = tuple[tf.Tensor, ...]


def in_blocks(
  transform: Callable[[tf.Tensor], Results],
  signals: tf.Tensor,
  window: tf.Tensor,
  frame_step: int,
  fft_length: int,
  num_frames: int,
  block_frames: int,
) -> Results:
  """Returns what `transform` makes of all frames, computed in blocks of them.

  A block is a number of whole clips, or a part of one clip. On a CPU a graph
  computes blocks side by side, each on one thread. XLA and other devices
  compute them one after the other. The gradient is that of `transform`, of all
  frames at once.

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
    block_frames: How many frames a block may have; it has at least one.

  Returns:
    The tuple, each `[batch, num_frames, features]`.
  """
  batch = signals.shape[0]
  covered = (num_frames - 1) * frame_step + window.shape[0]

  def transform_all(signals: tf.Tensor) -> Results:
    signals = signals[:, :covered]
    return transform(
      shape_ops.windowed_frames(signals, window, frame_step, fft_length)
    )

  if batch * num_frames <= block_frames:
    return transform_all(signals)
  # Blocks of one size. A whole clip is better than parts, which must be joined;
  # more clips than one are worth it only while they are short.
  most = max(1, block_frames // 4 // num_frames)
  clips = max(n for n in range(1, most + 1) if batch % n == 0)
  parts = -(-num_frames // max(1, block_frames))
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
      return blocks.side_by_side(signals), gradient
    # 0 for a graph on a CPU. For XLA and other devices 1; of the two branches
    # XLA then compiles the second alone.
    other = tf.raw_ops.DeviceIndex(device_names=["CPU"])
    branches = [
      functools.partial(blocks.side_by_side, signals),
      functools.partial(blocks.in_turn, signals),
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

  def side_by_side(self, signals: tf.Tensor) -> Results:
    """Computes blocks by calls of a function, some at the same time."""
    samples = self._samples + shape_ops.to_whole_hop(
      self.window.shape[0], self.frame_step
    )
    if self.parts == 1:
      samples = min(samples, signals.shape[1])

    def transform_block(i: tf.Tensor) -> Results:
      clip = i // self.parts * self.clips
      start = i % self.parts * self.frames * self.frame_step
      end = start + samples
      if self.clips == 1:  # The rows of a matrix are cut out without a copy.
        block = signals[clip, start:end]
        if self.parts > 1:  # The last part may reach behind the end.
          block = tf.pad(block, [[0, samples - tf.size(block)]])
        block = tf.ensure_shape(block, [samples])
      else:
        block = signals[clip : clip + self.clips, :samples]
        block = tf.ensure_shape(block, [self.clips, samples])
      return self.transform(
        shape_ops.windowed_frames(
          block,
          self.window,
          self.frame_step,
          self.fft_length,
          samples - self._samples,
        )
      )

    numbers = tf.range(self._count)
    if tf.executing_eagerly():
      values = zip(*[transform_block(i) for i in numbers], strict=True)
      results = [tf.stack(v) for v in values]
    else:
      signature = [tf.TensorSpec([], numbers.dtype)]
      function = tf.function(transform_block, input_signature=signature)
      call = function.get_concrete_function()
      # What tf.data is built on: it makes one result, of which each call fills
      # its part.
      results = tf.raw_ops.MapDefun(
        arguments=[numbers],
        captured_inputs=call.captured_inputs,
        output_types=[r.dtype for r in call.outputs],
        output_shapes=[r.shape for r in call.outputs],
        f=call,
        max_intra_op_parallelism=1,
      )

    def join(values: tf.Tensor) -> tf.Tensor:
      computed = self.parts * self.frames
      features = values.shape[-1]
      if self.batch == 1:  # The first rows of a matrix are no copy.
        rows = tf.reshape(values, [computed, features])[: self.num_frames]
        return rows[tf.newaxis]
      values = tf.reshape(values, [self.batch, computed, features])
      return values[:, : self.num_frames]

    return tuple(join(values) for values in results)

  def in_turn(self, signals: tf.Tensor) -> Results:
    """Computes block after block in a loop, all in the same memory."""
    frames = tf.zeros([self.clips, self.frames, self.fft_length], signals.dtype)
    arrays = [
      tf.TensorArray(values.dtype, self._count, element_shape=values.shape)
      for values in self.transform(frames)
    ]

    def transform_block(
      i: tf.Tensor, frames: tf.Tensor, arrays: list[tf.TensorArray]
    ) -> tuple:
      # The last part of a clip ends with the clip.
      frame = tf.minimum(
        i % self.parts * self.frames, self.num_frames - self.frames
      )
      start = [i // self.parts * self.clips, frame * self.frame_step]
      frames = shape_ops.write_windowed_frames(
        frames,
        tf.slice(signals, start, [self.clips, self._samples]),
        self.window,
        self.frame_step,
      )
      values = self.transform(frames)
      arrays = [a.write(i, v) for a, v in zip(arrays, values, strict=True)]
      return i + 1, frames, arrays

    def join(blocks: tf.Tensor) -> tf.Tensor:
      computed = self.parts * self.frames
      values = tf.reshape(blocks, [self.batch, computed, blocks.shape[-1]])
      if computed == self.num_frames:
        return values
      last = computed - self.frames
      new = last + computed - self.num_frames
      return tf.concat([values[:, :last], values[:, new:]], axis=1)

    _, _, arrays = tf.while_loop(
      lambda i, *_: i < self._count, transform_block, [0, frames, arrays]
    )
    return tuple(join(a.stack()) for a in arrays)

  @property
  def _count(self) -> int:
    return self.batch // self.clips * self.parts

  @property
  def _samples(self) -> int:
    """How many samples of a clip are in a block."""
    return (self.frames - 1) * self.frame_step + self.window.shape[0]
