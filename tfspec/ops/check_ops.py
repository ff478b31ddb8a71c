"""Checks of data in a graph."""

import tensorflow as tf


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
