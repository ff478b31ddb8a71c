"""Lengths, padding and framing of signals `[..., samples]`."""

import tensorflow as tf

from tfspec.ops import length_ops

# Up to so many hop-sized blocks make a frame by concatenation, which XLA fuses
# with the window; beyond, the graph would grow with the overlap.
_MAX_BLOCKS = 32


def dims(tensor: tf.Tensor) -> list[int | tf.Tensor]:
  """Returns the size of each axis: an integer if it is static, else a tensor.

  Args:
    tensor: A tensor of known rank.

  Returns:
    One item an axis.
  """
  static = tensor.shape.as_list()
  if None not in static:
    return static
  dynamic = tf.shape(tensor)
  return [dynamic[i] if size is None else size for i, size in enumerate(static)]


def fit(
  signals: tf.Tensor,
  frame_length: int,
  frame_step: int,
  padding: str,
  crop: bool = True,
) -> tuple[tf.Tensor, int | tf.Tensor]:
  """Pads and crops signals to exactly the samples that their frames cover.

  There is always room for one frame, also where there is no frame at all: what
  comes after may then compute on zeros, and drop the result. Convolutions
  return uninitialised memory for signals that are shorter than the kernel.

  Args:
    signals: `[..., samples]`.
    frame_length: Samples in a frame.
    frame_step: Samples between the starts of two frames.
    padding: "valid" or "same".
    crop: False leaves samples at the end that no frame covers.

  Returns:
    `[..., (max(num_frames, 1) - 1) * frame_step + frame_length]`, or more if it
    is not cropped, and the number of frames.
  """
  samples = dims(signals)[-1]
  maximum = max if isinstance(samples, int) else tf.maximum
  frames = length_ops.num_frames(
    samples, frame_length, frame_step, padding, maximum
  )
  covered = (maximum(frames, 1) - 1) * frame_step + frame_length
  missing = maximum(covered - samples, 0)
  before = missing // 2 if padding == "same" else 0
  if not (isinstance(missing, int) and missing == 0):
    leading = [[0, 0]] * (signals.shape.rank - 1)
    signals = tf.pad(signals, [*leading, [before, missing - before]])
  return signals[..., :covered] if crop else signals, frames


def frame(signals: tf.Tensor, frame_length: int, frame_step: int) -> tf.Tensor:
  """Cuts fitted signals into frames.

  Args:
    signals: `[..., (num_frames - 1) * frame_step + frame_length]`, as `fit`
      returns them.
    frame_length: Samples in a frame.
    frame_step: Samples between the starts of two frames.

  Returns:
    `[..., num_frames, frame_length]`; row `m` starts at sample
    `m * frame_step`.
  """
  *leading, samples = dims(signals)
  frames = (samples - frame_length) // frame_step + 1
  blocks = -(-frame_length // frame_step)
  if blocks > _MAX_BLOCKS:
    starts = tf.range(frames)[:, tf.newaxis] * frame_step
    return tf.gather(signals, starts + tf.range(frame_length), axis=-1)
  none = [[0, 0]] * (signals.shape.rank - 1)
  signals = tf.pad(signals, [*none, [0, blocks * frame_step - frame_length]])
  hops = tf.reshape(signals, [*leading, frames + blocks - 1, frame_step])
  parts = [hops[..., i : i + frames, :] for i in range(blocks)]
  rest = frame_length - (blocks - 1) * frame_step
  parts[-1] = parts[-1][..., :rest]
  return tf.concat(parts, axis=-1)
