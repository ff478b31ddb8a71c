"""Work on signals in blocks of frames, each small enough for the cache."""

from collections.abc import Callable

import tensorflow as tf

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
  batch = signals.shape[0]
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

  overlap = parts * frames - num_frames  # Of the last part with the one before.

  def transform_block(signals: tf.Tensor, i: tf.Tensor) -> Results:
    clip = i // parts * clips
    frame = tf.minimum(i % parts * frames, num_frames - frames)
    start = [clip, frame * frame_step]
    return transform(tf.slice(signals, start, [clips, span]))

  def join(blocks: tf.Tensor) -> tf.Tensor:
    values = tf.reshape(blocks, [batch, parts * frames, blocks.shape[-1]])
    if not overlap:
      return values
    last = (parts - 1) * frames
    return tf.concat([values[:, :last], values[:, last + overlap :]], axis=1)

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

    blocks = tf.map_fn(
      lambda i: transform_block(signals, i),
      tf.range(batch // clips * parts),
      fn_output_signature=tuple(
        tf.TensorSpec([clips, frames, size], signals.dtype) for size in features
      ),
    )
    return tuple(join(b) for b in blocks), gradient

  return compute(signals)
