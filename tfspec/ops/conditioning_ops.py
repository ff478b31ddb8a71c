"""What is done to samples before they meet the window."""

import tensorflow as tf


def remove_dc(frames: tf.Tensor, name: str | None = None) -> tf.Tensor:
  """Subtracts the mean of each frame, so that a constant becomes exactly 0.

  Args:
    frames: `[..., frame_length]`, float32 or float64.
    name: Name scope of the operation.

  Returns:
    The shape of `frames`.
  """
  with tf.name_scope(name or "remove_dc"):
    # The first mean is rounded. What it leaves of a large constant would be far
    # above the floor of a logarithm; the second one takes that away.
    for _ in range(2):
      frames -= tf.reduce_mean(frames, axis=-1, keepdims=True)
    return frames


def preemphasis(
  signals: tf.Tensor,
  coefficient: float = 0.97,
  first_sample: str = "scaled",
  name: str | None = None,
) -> tf.Tensor:
  """Returns `x[n] - coefficient * x[n - 1]`.

  Args:
    signals: `[..., samples]`, float32 or float64: clips, or frames.
    coefficient: In `[0, 1]`.
    first_sample: What stands before the first sample: that itself ("scaled",
      as in Kaldi) or 0 ("kept", as in NeMo).
    name: Name scope of the operation.

  Returns:
    The shape of `signals`.
  """
  with tf.name_scope(name or "preemphasis"):
    none = [[0, 0]] * (signals.shape.rank - 1)
    if first_sample == "scaled":
      before = tf.concat([signals[..., :1], signals[..., :-1]], axis=-1)
    else:
      before = tf.pad(signals, [*none, [1, 0]])[..., :-1]
    return signals - coefficient * before
