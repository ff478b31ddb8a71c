"""The padding of clips at their ends. Start at `pad`.

Signals are `[..., samples]`, or with lengths `[batch, channels, samples]`. What
these functions return is cut into frames with "valid" padding.
"""

import tensorflow as tf

from tfspec.coefficients import framing, rules
from tfspec.ops import length_ops, shape_ops


def pad(
  signals: tf.Tensor,
  frame_length: int,
  frame_step: int,
  padding: str,
  pad_mode: str | None = None,
  pad_value: float | None = None,
  lengths: tf.Tensor | None = None,
  drop_last_frame: bool = False,
  name: str | None = None,
) -> tf.Tensor:
  """Returns signals whose "valid" frames are those of a padding.

  Args:
    signals: `[..., samples]`, with lengths `[batch, channels, samples]`.
    frame_length: Samples in a frame.
    frame_step: Samples between the starts of two frames.
    padding: "valid", "same", "center" or "hop_center".
    pad_mode: What the last two add: "reflect", "symmetric" or "constant". None:
      "reflect" for "center", "symmetric" for "hop_center".
    pad_value: The sample that "constant" adds; None: 0.0.
    lengths: Valid samples of each clip, int32 `[batch]`, in `[0, samples]`, or
      None: all.
    drop_last_frame: Whether the last frame of the longest clip is left out.
    name: Name scope of the operation.

  Returns:
    The padded signals. With lengths, they hold nothing of what was behind the
    end of a clip.
  """
  with tf.name_scope(name or "pad"):
    if drop_last_frame:
      signals = pad(
        signals, frame_length, frame_step, padding, pad_mode, pad_value, lengths
      )
      return signals[..., :-frame_step]
    pad_mode = pad_mode or rules.DEFAULT_PAD_MODES.get(padding)
    if lengths is not None:
      if padding == "same" or pad_mode in ("reflect", "symmetric"):
        return place(
          signals, lengths, frame_length, frame_step, padding, pad_mode
        )
      signals = fill(signals, lengths, pad_value or 0.0)
    if padding == "same":
      return same(signals, frame_length, frame_step)
    if pad_mode is not None:
      return around(
        signals, frame_length, frame_step, padding, pad_mode, pad_value
      )
    return signals


def same(
  signals: tf.Tensor,
  frame_length: int,
  frame_step: int,
  name: str | None = None,
) -> tf.Tensor:
  """Adds zeros for a frame at each `frame_step` samples.

  Args:
    signals: `[..., samples]`.
    frame_length: Samples in a frame.
    frame_step: Samples between the starts of two frames.
    name: Name scope of the operation.

  Returns:
    `[..., (num_frames - 1) * frame_step + frame_length]`, with as many zeros
    before the clip as behind it, or one more behind.
  """
  with tf.name_scope(name or "same"):
    samples = shape_ops.dims(signals)[-1]
    missing = _missing(samples, frame_length, frame_step)
    before = missing // 2
    none = [[0, 0]] * (signals.shape.rank - 1)
    return tf.pad(signals, [*none, [before, missing - before]])


def around(
  signals: tf.Tensor,
  frame_length: int,
  frame_step: int,
  padding: str,
  pad_mode: str,
  pad_value: float | None = None,
  name: str | None = None,
) -> tf.Tensor:
  """Adds samples at both ends of each clip, as `numpy.pad` does.

  Args:
    signals: `[..., samples]`; `samples` may be anything, also less than what is
      added. Clips without samples stay as they are: they have no frames.
    frame_length: Samples in a frame.
    frame_step: Samples between the starts of two frames.
    padding: "center" (half a frame at both ends) or "hop_center" (so that the
      middle of a frame is that of its hop).
    pad_mode: "reflect", "symmetric" or "constant".
    pad_value: The sample that "constant" adds; None: 0.0.
    name: Name scope of the operation.

  Returns:
    The padded signals, or `[..., 0]` where `samples` is 0.
  """
  with tf.name_scope(name or padding):
    samples = shape_ops.dims(signals)[-1]
    maximum = max if isinstance(samples, int) else tf.maximum
    before, behind = (
      # 0 for clips without samples.
      margin * (1 - maximum(1 - samples, 0))
      for margin in framing.margins(
        samples, frame_length, frame_step, padding, maximum
      )
    )
    if pad_mode == "constant":
      none = [[0, 0]] * (signals.shape.rank - 1)
      paddings = [*none, [before, behind]]
      return tf.pad(signals, paddings, constant_values=pad_value or 0.0)
    ends = (tf.range(-before, 0), samples + tf.range(behind))
    first, last = (
      tf.gather(signals, _reflect(index, samples, pad_mode), axis=-1)
      for index in ends
    )
    return tf.concat([first, signals, last], axis=-1)


def fill(
  signals: tf.Tensor,
  lengths: tf.Tensor,
  value: float,
  name: str | None = None,
) -> tf.Tensor:
  """Replaces the padding of each clip, whatever it holds.

  Args:
    signals: `[batch, channels, samples]`.
    lengths: Valid samples of each clip, int32 `[batch]`, in `[0, samples]`.
    value: The new padding.
    name: Name scope of the operation.

  Returns:
    `[batch, channels, samples]`.
  """
  with tf.name_scope(name or "fill"):
    samples = shape_ops.dims(signals)[-1]

    def replace() -> tf.Tensor:
      inside = tf.range(samples) < tf.expand_dims(lengths, 1)
      fill_value = tf.constant(value, signals.dtype)
      return tf.where(tf.expand_dims(inside, 1), signals, fill_value)

    return length_ops.unless(
      tf.reduce_min(lengths) >= samples, signals, replace
    )


def place(
  signals: tf.Tensor,
  lengths: tf.Tensor,
  frame_length: int,
  frame_step: int,
  padding: str,
  pad_mode: str | None = None,
  name: str | None = None,
) -> tf.Tensor:
  """Pads each clip at its own ends, as if it were alone.

  "same" padding moves each clip by its own number of samples, and reflection
  happens at its own end, so that every sample is looked up.

  Args:
    signals: `[batch, channels, samples]`.
    lengths: Valid samples of each clip, int32 `[batch]`, in `[0, samples]`.
    frame_length: Samples in a frame.
    frame_step: Samples between the starts of two frames.
    padding: "same", "center" or "hop_center".
    pad_mode: "reflect" or "symmetric" for the last two.
    name: Name scope of the operation.

  Returns:
    `[batch, channels, (num_frames - 1) * frame_step + frame_length]` with the
    `num_frames` of a clip of `samples` samples. It leaves out what the frames
    do not cover. The values behind the frames of a shorter clip are finite.
  """
  with tf.name_scope(name or "place"):
    lengths = tf.expand_dims(lengths, 1)
    samples = shape_ops.dims(signals)[-1]
    maximum = max if isinstance(samples, int) else tf.maximum
    frames = framing.num_frames(
      samples, frame_length, frame_step, padding, maximum
    )
    covered = (frames - 1) * frame_step + frame_length
    if padding == "same":
      before = _missing(lengths, frame_length, frame_step) // 2
      index = tf.range(covered) - before
      is_sample = (index >= 0) & (index < lengths)
    else:
      before, _ = framing.margins(1, frame_length, frame_step, padding)
      index = tf.range(covered) - before
      is_sample = (lengths > 0) & (index < lengths + frame_length)
      index = _reflect(index, lengths, pad_mode)
    # One sample more, since there may be none to take.
    signals = tf.pad(signals, [[0, 0], [0, 0], [0, 1]])
    index = tf.clip_by_value(index, 0, samples)
    found = tf.gather(signals, index, axis=2, batch_dims=1)
    return tf.where(tf.expand_dims(is_sample, 1), found, tf.zeros_like(found))


def _missing(
  samples: int | tf.Tensor, frame_length: int, frame_step: int
) -> int | tf.Tensor:
  """Returns how many samples "same" padding adds."""
  # A last frame starts less than a step before the end of the clip.
  return -samples % frame_step + (frame_length - frame_step)


def _reflect(
  index: tf.Tensor, samples: int | tf.Tensor, pad_mode: str | None
) -> tf.Tensor:
  """Returns where a clip is reflected to, again and again, at each index."""
  # What is reflected twice is the clip again: without its ends, or with them.
  ends = 0 if pad_mode == "reflect" else 1
  period = 2 * tf.maximum(samples - 1 + ends, 0)
  # A clip of one sample repeats it.
  phase = tf.math.floormod(index, tf.maximum(period, 1))
  return tf.minimum(phase, period - phase - ends)
