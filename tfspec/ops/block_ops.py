"""Work on signals in blocks of frames, each small enough for the cache."""

from collections.abc import Callable

import tensorflow as tf

# TensorFlow has no public name for it.
from tensorflow.python.ops import control_flow_util

Results = tuple[tf.Tensor, ...]


def in_blocks(
  transform: Callable[[tf.Tensor], Results],
  signals: tf.Tensor,
  num_frames: int,
  frame_length: int,
  frame_step: int,
  block_frames: int,
) -> Results:
  """Returns `transform(signals)`, computed in blocks of frames.

  A block is a number of whole clips, or a part of one clip. The gradient is
  that of `transform`, of all signals at once.

  Args:
    transform: Turns `[clips, samples]` into a tuple of
      `[clips, num_frames, features]` of the dtype of the signals. Each frame
      depends on its own samples only.
    signals: `[batch, samples]`, of static shape, with at least the
      `(num_frames - 1) * frame_step + frame_length` samples of the frames.
    num_frames: How many frames there are, at least one.
    frame_length: Samples in a frame.
    frame_step: Samples between the starts of two frames.
    block_frames: How many frames a block may have; it has at least one.

  Returns:
    The tuple, each `[batch, num_frames, features]`.
  """
  batch, samples = signals.shape
  covered = (num_frames - 1) * frame_step + frame_length

  def transform_all(signals: tf.Tensor) -> Results:
    return transform(signals[:, :covered])

  block_frames = max(1, block_frames)
  if batch * num_frames <= block_frames:
    return transform_all(signals)
  # Blocks of one size. A whole clip is better than parts, which must be joined;
  # more clips than one are worth it only while they are short.
  most = max(1, block_frames // 4 // num_frames)
  clips = max(n for n in range(1, most + 1) if batch % n == 0)
  parts = -(-num_frames // block_frames)
  frames = -(-num_frames // parts)
  span = (frames - 1) * frame_step + frame_length

  def transform_block(
    signals: tf.Tensor, clip: tf.Tensor, frame: tf.Tensor
  ) -> Results:
    start = [clip, frame * frame_step]
    block = tf.slice(signals, start, [clips, span])
    return tuple(
      tf.reshape(r, [clips * frames, r.shape[-1]]) for r in transform(block)
    )

  # In a graph the blocks are written in place. XLA has another operation for
  # that, and eager tensors cannot be written to: there they are stacked.
  in_place = not (tf.executing_eagerly() or _in_xla())

  def stack(signals: tf.Tensor) -> Results:
    behind = covered + (parts * frames - num_frames) * frame_step - samples
    signals = tf.pad(signals, [[0, 0], [0, max(behind, 0)]])
    results = tf.map_fn(
      lambda i: transform_block(
        signals, i // parts * clips, i % parts * frames
      ),
      tf.range(batch // clips * parts),
      fn_output_signature=tuple(
        tf.TensorSpec([clips * frames, size], signals.dtype)
        for size in features
      ),
    )
    return tuple(
      tf.reshape(r, [batch, parts * frames, r.shape[-1]])[:, :num_frames]
      for r in results
    )

  def fill(signals: tf.Tensor) -> Results:
    def body(i: tf.Tensor, *results: tf.Tensor) -> tuple:
      clip = i // parts * clips
      # The last part overlaps the one before.
      frame = tf.minimum(i % parts * frames, num_frames - frames)
      rows = clip * num_frames + frame + tf.range(clips * frames)
      values = transform_block(signals, clip, frame)
      return i + 1, *(
        tf.raw_ops.InplaceUpdate(x=r, i=rows, v=v)
        for r, v in zip(results, values, strict=True)
      )

    results = [
      tf.raw_ops.Empty(shape=[batch * num_frames, size], dtype=signals.dtype)
      for size in features
    ]
    _, *results = tf.while_loop(
      lambda i, *_: i < batch // clips * parts, body, [0, *results]
    )
    return tuple(
      tf.reshape(r, [batch, num_frames, r.shape[-1]]) for r in results
    )

  # Nothing else is taken from this frame.
  frame = transform(tf.zeros([1, frame_length], signals.dtype))
  features = [result.shape[-1] for result in frame]

  @tf.custom_gradient
  def compute(signals: tf.Tensor) -> tuple[Results, Callable]:
    def gradient(*upstream: tf.Tensor) -> tf.Tensor:
      with tf.GradientTape() as tape:
        tape.watch(signals)
        results = transform_all(signals)
      return tape.gradient(results, signals, upstream)

    return fill(signals) if in_place else stack(signals), gradient

  return compute(signals)


def _in_xla() -> bool:
  """Returns whether the graph that is being made is one for XLA."""
  graph = tf.compat.v1.get_default_graph()
  return control_flow_util.GraphOrParentsInXlaContext(graph)
