"""Frames beside the transform: energies, slopes and stacks."""

import math

import tensorflow as tf

from tfspec.ops import shape_ops
from tfspec.ops.engines import fft


def log_energy(
  signals: tf.Tensor,
  frame_length: int,
  frame_step: int,
  least: float = 2.0**-23,
  condition: shape_ops.Condition | None = None,
  name: str | None = None,
) -> tf.Tensor:
  """Returns the logarithm of the sum of the squares of each frame.

  Args:
    signals: `[..., samples]`, padded; float32 or float64.
    frame_length: Samples in a frame.
    frame_step: Samples between the starts of two frames.
    least: The smallest sum.
    condition: What to do with frames before; see `shape_ops.windowed_frames`.
    name: Name scope of the operation.

  Returns:
    `[..., num_frames, 1]`.
  """

  def of_frames(frames: tf.Tensor) -> tuple[tf.Tensor]:
    energy = tf.reduce_sum(tf.square(frames), axis=-1, keepdims=True)
    # To the bit what a config calls silence.
    silence = tf.constant(math.log(least), energy.dtype)
    logs = tf.math.log(tf.maximum(energy, 0.5 * least))
    return (tf.maximum(logs, silence),)

  with tf.name_scope(name or "log_energy"):
    (values,) = fft.of_frames(
      of_frames,
      signals,
      tf.ones([frame_length], signals.dtype),
      frame_step,
      frame_length,
      condition,
    )
    return values


def deltas(
  values: tf.Tensor,
  width: int = 2,
  num_frames: tf.Tensor | None = None,
  name: str | None = None,
) -> tf.Tensor:
  """Returns the slopes of features over time; see `tfspec.Deltas`.

  Args:
    values: `[..., frames, features]`, with `num_frames`
      `[batch, channels, frames, features]`; float32 or float64.
    width: How many frames on each side.
    num_frames: How many frames of each clip are its own, int32 `[batch]`; None:
      all. The last one stands for those behind it.
    name: Name scope of the operation.

  Returns:
    The shape of `values`. Frames that are not a clip's own hold anything.
  """
  with tf.name_scope(name or "deltas"):
    frames = shape_ops.dims(values)[-2]
    if num_frames is not None:
      last = tf.maximum(num_frames - 1, 0)[:, tf.newaxis]
      index = tf.minimum(tf.range(frames), last)
      values = tf.gather(values, index, axis=2, batch_dims=1)
    ends = [values[..., :1, :]] * width, [values[..., -1:, :]] * width
    wide = tf.concat([*ends[0], values, *ends[1]], axis=-2)

    def shifted(by: int) -> tf.Tensor:
      return wide[..., width + by : width + by + frames, :]

    terms = [k * (shifted(k) - shifted(-k)) for k in range(1, width + 1)]
    norm = 2 * sum(k * k for k in range(1, width + 1))
    return tf.add_n(terms) / norm


def stack(
  values: tf.Tensor, size: int, step: int, name: str | None = None
) -> tf.Tensor:
  """Puts frames side by side; see `tfspec.Stacking`.

  Args:
    values: `[..., frames, features]`.
    size: Frames in a stack.
    step: Frames between the starts of two stacks.
    name: Name scope of the operation.

  Returns:
    `[..., max((frames - size) // step + 1, 0), size * features]`.
  """
  with tf.name_scope(name or "stack"):
    frames = shape_ops.dims(values)[-2]
    maximum = max if isinstance(frames, int) else tf.maximum
    count = maximum((frames - size) // step + 1, 0)
    if step == size:  # A TPU may make a rounded product of slices.
      *leading, _, features = shape_ops.dims(values)
      own = values[..., : count * size, :]
      return tf.reshape(own, [*leading, count, size * features])
    # XLA differentiates a slice wrongly that starts behind the end.
    none = [[0, 0]] * (values.shape.rank - 2)
    wide = tf.pad(values, [*none, [0, size], [0, 0]])
    parts = [wide[..., i::step, :][..., :count, :] for i in range(size)]
    return tf.concat(parts, axis=-1)
