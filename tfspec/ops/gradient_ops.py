"""Custom gradients that hold in every kind of differentiation."""

import contextlib
import contextvars
from collections.abc import Callable, Iterator, Sequence

import tensorflow as tf

from tfspec.ops.engines import devices

# What stands in the place of custom gradients: "values" or "plain".
_INSTEAD = contextvars.ContextVar("instead", default="")


def custom_gradient(plain: Callable) -> Callable[[Callable], Callable]:
  """Works like `tf.custom_gradient`, and where TensorFlow ignores that, too.

  `tf.autodiff.ForwardAccumulator` ignores a custom gradient: it differentiates
  the operations inside, and takes those without a derivative for constants.
  `tf.vectorized_map` loses it. Another function is called in both.

  Args:
    plain: That function. It computes the same with operations whose own
      derivatives, of any order, are those of the custom gradient.

  Returns:
    A decorator. The decorated function takes tensors, as for
    `tf.custom_gradient`. The gradient consists of operations that have
    gradients themselves.
  """

  def decorate(function: Callable) -> Callable:
    custom = tf.custom_gradient(function)

    def compute(*args: tf.Tensor) -> tf.Tensor | Sequence[tf.Tensor]:
      if _INSTEAD.get() == "values":
        return function(*args)[0]
      ignored = (
        _INSTEAD.get() == "plain"
        or devices.has_tangents(args)
        or devices.is_vectorized()
      )
      return (plain if ignored else custom)(*args)

    return compute

  return decorate


@contextlib.contextmanager
def without_custom(instead: str) -> Iterator[None]:
  """Leaves out custom gradients inside of another custom gradient.

  TensorFlow cannot save a loaded model again that has such ones.

  Args:
    instead: "values" where nothing is differentiated, "plain" where the
      operations' own derivatives are to be taken.
  """
  token = _INSTEAD.set(instead)
  try:
    yield
  finally:
    _INSTEAD.reset(token)


def pullback(
  function: Callable,
  sources: Sequence[tf.Tensor],
  upstream: Sequence[tf.Tensor],
) -> list[tf.Tensor]:
  """Returns the gradients of a function, which is computed once more.

  Args:
    function: Takes the sources; returns a tensor or a sequence of tensors.
    sources: What to differentiate with respect to.
    upstream: The gradient with respect to each result of the function.

  Returns:
    The gradient with respect to each source.
  """
  if tf.executing_eagerly():
    with tf.GradientTape() as tape:
      tape.watch(sources)
      results = function(*sources)
    return tape.gradient(results, sources, upstream)
  # An accumulator that transposes a called graph does not see what a tape
  # computes. And only tensors of this graph have gradients in it.
  sources = [tf.identity(source) for source in sources]
  return tf.gradients(function(*sources), sources, upstream)


def register(op_type: str) -> Callable[[Callable], Callable]:
  """Registers the gradient of an operation, unless TensorFlow has one itself.

  Args:
    op_type: The operation.

  Returns:
    A decorator of the gradient.
  """

  def decorate(function: Callable) -> Callable:
    with contextlib.suppress(KeyError):
      tf.RegisterGradient(op_type)(function)
    return function

  return decorate


@register("XlaDynamicUpdateSlice")
def _update_gradient(
  op: tf.Operation, upstream: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, None]:
  """Returns the gradient of the operation that `tf.slice` becomes under XLA.

  Without it, forward mode fails there for the gradient of each `tf.concat`.
  """
  _, update, start = op.inputs
  return (
    devices.dynamic_update_slice(upstream, tf.zeros_like(update), start),
    tf.slice(upstream, start, update.shape),
    None,
  )
