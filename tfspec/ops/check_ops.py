"""Checks of data, of their dtype and of their values in a graph."""

import tensorflow as tf

FLOATS = (tf.float16, tf.bfloat16, tf.float32, tf.float64)


def floating(signals: tf.Tensor) -> tf.Tensor:
  """Returns the signals as a tensor, which must be of a dtype of `FLOATS`."""
  if isinstance(signals, tf.RaggedTensor | tf.SparseTensor):
    raise TypeError(
      f"signals must be a dense tensor. Got: {type(signals).__name__}."
    )
  signals = tf.convert_to_tensor(signals)
  if signals.dtype not in FLOATS:
    hint = ""
    if signals.dtype.is_integer and signals.dtype.min < 0:
      hint = (
        " Cast integer samples first, and divide them by the scale of the "
        "recording, which their dtype does not tell: tf.cast(signals, "
        "tf.float32) / 2.0**15 if it had 16 bits, / 2.0**31 if it had 32."
      )
    raise TypeError(
      "signals must be float16, bfloat16, float32 or float64. Got: "
      f"{signals.dtype.name}.{hint}"
    )
  return signals


def shape_text(shape: tf.TensorShape) -> str:
  """Returns a shape as the errors show it."""
  return "unknown" if shape.rank is None else str(shape.as_list())


def require(
  value: tf.Tensor,
  condition: tf.Tensor,
  *words: str | tf.Tensor,
  compiled: bool = False,
) -> tf.Tensor:
  """Returns the value if the condition holds.

  Args:
    value: Any tensor; what is computed from the result waits for the check.
    condition: Boolean scalar.
    *words: Strings and integer scalars, which make up the sentence.
    compiled: Whether XLA may compile the check, which it then leaves out. It
      has no strings, so that in a graph the words are not joined before
      `sentence` does it.

  Returns:
    `value`.

  Raises:
    tf.errors.InvalidArgumentError: When run, with the sentence, if the
      condition does not hold.
  """
  is_eager = tf.executing_eagerly()
  if compiled and not is_eager:
    data = list(words)
  else:
    words = [
      w if isinstance(w, str) else tf.strings.as_string(w) for w in words
    ]
    text = tf.strings.join(words)
    data = [text]
  if not is_eager:
    with tf.control_dependencies([tf.debugging.Assert(condition, data)]):
      return tf.identity(value)
  if not condition:  # An eager Assert would hide the sentence in a listing.
    raise tf.errors.InvalidArgumentError(None, None, text.numpy().decode())
  return value
