"""How TensorFlow traces functions of tfspec."""

from collections.abc import Callable
from typing import TypeVar

import tensorflow as tf

_F = TypeVar("_F", bound=Callable)


def as_written(function: _F) -> _F:
  """Keeps AutoGraph from rewriting a function, and all that it calls.

  A `tf.function` and `tf.data` have AutoGraph rewrite the Python they trace,
  which takes seconds the first time. No code of tfspec needs it, so all that a
  user's function may call is marked.
  """
  return tf.autograph.experimental.do_not_convert(function)
