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


def frame(
  signals: tf.Tensor,
  frame_length: int,
  frame_step: int,
  padded_length: int | None = None,
) -> tf.Tensor:
  """Cuts fitted signals into frames.

  Args:
    signals: `[..., (num_frames - 1) * frame_step + frame_length]`, as `fit`
      returns them. If their shape is static, up to `frame_step - 1` samples
      more do not matter, and may save a copy.
    frame_length: Samples in a frame.
    frame_step: Samples between the starts of two frames.
    padded_length: To how many samples frames are filled up with zeros; None:
      they are not.

  Returns:
    `[..., num_frames, padded_length]`; row `m` starts at sample
    `m * frame_step`.
  """
  missing = 0 if padded_length is None else padded_length - frame_length
  none = [[0, 0]] * (signals.shape.rank - 1)
  *leading, samples = dims(signals)
  frames = (samples - frame_length) // frame_step + 1
  blocks = -(-frame_length // frame_step)
  if blocks > _MAX_BLOCKS:
    starts = tf.range(frames)[:, tf.newaxis] * frame_step
    parts = [tf.gather(signals, starts + tf.range(frame_length), axis=-1)]
  else:
    behind = blocks * frame_step - frame_length
    if isinstance(samples, int):  # Some of it may be there already.
      behind -= (samples - frame_length) % frame_step
    if behind:
      signals = tf.pad(signals, [*none, [0, behind]])
    hops = tf.reshape(signals, [*leading, frames + blocks - 1, frame_step])
    parts = [hops[..., i : i + frames, :] for i in range(blocks)]
    rest = frame_length - (blocks - 1) * frame_step
    parts[-1] = parts[-1][..., :rest]
  if missing:
    parts[-1] = tf.pad(parts[-1], [*none, [0, 0], [0, missing]])
  return tf.concat(parts, axis=-1)


def windowed_frames(
  signals: tf.Tensor, window: tf.Tensor, frame_step: int, padded_length: int
) -> tf.Tensor:
  """Cuts fitted signals into frames, and multiplies them with a window.

  Args:
    signals: See `frame`.
    window: `[frame_length]`, of the dtype of `signals`.
    frame_step: Samples between the starts of two frames.
    padded_length: To how many samples frames are filled up with zeros.

  Returns:
    `[..., num_frames, padded_length]`.
  """
  frame_length = window.shape[0]
  frames = frame(signals, frame_length, frame_step, padded_length)
  return frames * tf.pad(window, [[0, padded_length - frame_length]])


def write_windowed_frames(
  frames: tf.Tensor, signals: tf.Tensor, window: tf.Tensor, frame_step: int
) -> tf.Tensor:
  """Does what `windowed_frames` does, in memory that is there already.

  XLA does it in one pass, and `windowed_frames` in three. Outside XLA it is
  slow.

  Args:
    frames: `[..., num_frames, padded_length]`, of static shape. What stands
      behind the frames there is kept: the zeros.
    signals: See `frame`.
    window: `[frame_length]`, of the dtype of `signals`.
    frame_step: Samples between the starts of two frames.

  Returns:
    `[..., num_frames, padded_length]`.
  """
  frame_length = window.shape[0]
  *leading, num_frames, _ = frames.shape

  def write(start: int, values: tf.Tensor) -> tf.Tensor:
    values *= window[start : start + values.shape[-1]]
    first = [0] * (len(leading) + 1) + [start]
    end = [*leading, num_frames, start + values.shape[-1]]
    strides = [1] * len(end)
    return tf.raw_ops.TensorStridedSliceUpdate(
      input=frames, begin=first, end=end, strides=strides, value=values
    )

  if frame_length > _MAX_BLOCKS * frame_step:
    return write(0, frame(signals, frame_length, frame_step))
  # The last column of hops overlaps the one before, so as to end with a frame.
  size = min(frame_length, frame_step)
  last = frame_length - size
  if size < frame_step:
    none = [[0, 0]] * len(leading)
    signals = tf.pad(signals, [*none, [0, frame_step - size]])
  for start in [*range(0, last, frame_step), last]:
    hops = signals[..., start : start + num_frames * frame_step]
    hops = tf.reshape(hops, [*leading, num_frames, frame_step])
    frames = write(start, hops[..., :size])
  return frames
