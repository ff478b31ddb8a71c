"""Frames and their neighbours: slopes and stacks."""

import tensorflow as tf

from tfspec.ops import shape_ops


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

    def shifted(by: int) -> tf.Tensor:
      index = tf.range(frames) + by
      if num_frames is None:
        return tf.gather(
          values, tf.clip_by_value(index, 0, frames - 1), axis=-2
        )
      last = tf.maximum(num_frames - 1, 0)[:, tf.newaxis]
      index = tf.maximum(tf.minimum(index, last), 0)
      return tf.gather(values, index, axis=2, batch_dims=1)

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
    parts = [values[..., i::step, :][..., :count, :] for i in range(size)]
    return tf.concat(parts, axis=-1)
