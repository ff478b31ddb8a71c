"""Lengths and framing of signals `[..., samples]`."""

from collections.abc import Callable

import tensorflow as tf

from tfspec.coefficients import framing

# Changes frames `[..., frame_length]`, each by itself, between the cut and the
# window.
Condition = Callable[[tf.Tensor], tf.Tensor]

# Up to so many hop-sized blocks make a frame by concatenation, which XLA fuses
# with the window; beyond, the graph would grow with the overlap.
MAX_BLOCKS = 32


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


def sizes(tensor: tf.Tensor) -> list[int | tf.Tensor]:
  """Returns what `dims` does, for `tf.reshape`: one unknown size may be -1."""
  static = tensor.shape.as_list()
  if static.count(None) == 1:
    return [-1 if size is None else size for size in static]
  return dims(tensor)


def fit(
  signals: tf.Tensor,
  frame_length: int,
  frame_step: int,
  spare: int = 0,
  crop: bool = True,
) -> tuple[tf.Tensor, int | tf.Tensor]:
  """Crops signals to exactly the samples that their frames cover.

  There is always room for one frame, even if the clip has none. Later
  operations may then compute on zeros, and drop the result.

  Args:
    signals: `[..., samples]`.
    frame_length: Samples in a frame.
    frame_step: Samples between the starts of two frames.
    spare: How many samples to have behind the last frame, whatever they are.
    crop: False leaves more samples at the end, if there are.

  Returns:
    `[..., (max(num_frames, 1) - 1) * frame_step + frame_length + spare]`, or
    more if it is not cropped, and the number of frames.
  """
  samples = dims(signals)[-1]
  maximum = max if isinstance(samples, int) else tf.maximum
  frames = framing.num_frames(
    samples, frame_length, frame_step, "valid", maximum
  )
  covered = maximum(frames, 1) * frame_step + (frame_length - frame_step)
  covered += spare
  missing = maximum(covered - samples, 0)
  if not (isinstance(missing, int) and missing == 0):
    leading = [[0, 0]] * (signals.shape.rank - 1)
    signals = tf.pad(signals, [*leading, [0, missing]])
  return signals[..., :covered] if crop else signals, frames


def frame(
  signals: tf.Tensor,
  frame_length: int,
  frame_step: int,
  padded_length: int | None = None,
  spare: int = 0,
) -> tf.Tensor:
  """Cuts fitted signals into frames.

  Args:
    signals: `[..., (num_frames - 1) * frame_step + frame_length + spare]`, as
      `fit` returns them.
    frame_length: Samples in a frame.
    frame_step: Samples between the starts of two frames.
    padded_length: To how many samples frames are filled up with zeros; None:
      they are not.
    spare: How many samples there are behind the last frame, at most
      `to_whole_hop(frame_length, frame_step)`: so many save a copy.

  Returns:
    `[..., num_frames, padded_length]`; row `m` starts at sample
    `m * frame_step`.
  """
  none = [[0, 0]] * (signals.shape.rank - 1)
  blocks = -(-frame_length // frame_step)
  if blocks > MAX_BLOCKS:
    frames = (dims(signals)[-1] - frame_length) // frame_step + 1
    starts = tf.range(frames)[:, tf.newaxis] * frame_step
    parts = [tf.gather(signals, starts + tf.range(frame_length), axis=-1)]
  else:
    behind = to_whole_hop(frame_length, frame_step) - spare
    if behind:
      signals = tf.pad(signals, [*none, [0, behind]])
    *leading, samples = sizes(signals)
    # If the size is unknown, -1, the quotient is -1 too.
    hops = tf.reshape(signals, [*leading, samples // frame_step, frame_step])
    # Counted from the end, the slices are the same for any number of frames.
    ends = [*range(1 - blocks, 0), None]
    parts = [hops[..., i:end, :] for i, end in enumerate(ends)]
    rest = frame_length - (blocks - 1) * frame_step
    parts[-1] = parts[-1][..., :rest]
  if padded_length not in (None, frame_length):
    missing = padded_length - frame_length
    parts[-1] = tf.pad(parts[-1], [*none, [0, 0], [0, missing]])
  return tf.concat(parts, axis=-1)


def to_whole_hop(frame_length: int, frame_step: int) -> int:
  """Returns how many samples a frame is short of a whole number of hops."""
  return -frame_length % frame_step


def windowed_frames(
  signals: tf.Tensor,
  window: tf.Tensor,
  frame_step: int,
  padded_length: int,
  spare: int = 0,
  condition: Condition | None = None,
) -> tf.Tensor:
  """Cuts fitted signals into frames, and multiplies them with a window.

  Args:
    signals: See `frame`.
    window: `[frame_length]`, of the dtype of `signals`.
    frame_step: Samples between the starts of two frames.
    padded_length: The number of samples to which frames are padded with zeros.
    spare: See `frame`.
    condition: What to do with frames `[..., frame_length]` between the two.

  Returns:
    `[..., num_frames, padded_length]`.
  """
  length = window.shape[0]
  behind = [0, padded_length - length]
  if condition is not None:
    frames = condition(frame(signals, length, frame_step, spare=spare))
    return tf.pad(frames * window, [*[[0, 0]] * signals.shape.rank, behind])
  frames = frame(signals, length, frame_step, padded_length, spare)
  if padded_length > length:
    window = tf.pad(window, [behind])
  return frames * window


def write_windowed_frames(
  frames: tf.Tensor,
  signals: tf.Tensor,
  window: tf.Tensor,
  frame_step: int,
  condition: Condition | None = None,
) -> tf.Tensor:
  """Computes `windowed_frames` in memory that exists already.

  XLA does it in one pass, and `windowed_frames` in several. Outside XLA it is
  slow.

  Args:
    frames: `[..., num_frames, padded_length]`, of static shape. It keeps the
      zeros behind the frames.
    signals: See `frame`.
    window: `[frame_length]`, of the dtype of `signals`.
    frame_step: Samples between the starts of two frames.
    condition: See `windowed_frames`.

  Returns:
    `[..., num_frames, padded_length]`.
  """
  frame_length = window.shape[0]
  *leading, num_frames, _ = frames.shape

  def write(frames: tf.Tensor, start: int, values: tf.Tensor) -> tf.Tensor:
    values *= window[start : start + values.shape[-1]]
    first = [0] * (len(leading) + 1) + [start]
    end = [*leading, num_frames, start + values.shape[-1]]
    strides = [1] * len(end)
    return tf.raw_ops.TensorStridedSliceUpdate(
      input=frames, begin=first, end=end, strides=strides, value=values
    )

  if condition is not None or frame_length > MAX_BLOCKS * frame_step:
    cut = frame(signals, frame_length, frame_step)
    return write(frames, 0, cut if condition is None else condition(cut))
  # The last column of hops overlaps the one before, to end with a frame.
  last = frame_length - frame_step
  for start in [*range(0, last, frame_step), last]:
    hops = signals[..., start : start + num_frames * frame_step]
    hops = tf.reshape(hops, [*leading, num_frames, frame_step])
    frames = write(frames, start, hops)
  return frames
