"""What a process has switched on must not decide what an export computes."""

import contextlib
import threading
from collections.abc import Iterator

import tensorflow as tf

# Of options of the process, which threads share.
_LOCK = threading.RLock()


@contextlib.contextmanager
def graphs_run() -> Iterator[None]:
  """Lets functions run as graphs, and by XLA only where they ask for it.

  So it is also where `tf.config.run_functions_eagerly` or
  `tf.config.optimizer.set_jit` is on.
  """
  eagerly = tf.config.functions_run_eagerly()
  jit = tf.config.optimizer.get_jit()
  tf.config.run_functions_eagerly(False)
  if jit:
    tf.config.optimizer.set_jit(False)
  try:
    yield
  finally:
    tf.config.run_functions_eagerly(eagerly)
    if jit:
      tf.config.optimizer.set_jit(jit)


@contextlib.contextmanager
def unfused() -> Iterator[None]:
  """Keeps functions from fusing operations, if they are called inside.

  The function that is called must be `_noinline`. Operations that are fused
  round once where code that runs eagerly rounds twice: in float32 that is
  nothing, in bfloat16 half a percent.
  """
  with _LOCK:
    options = tf.config.optimizer.get_experimental_options()
    tf.config.optimizer.set_experimental_options({"remapping": False})
    try:
      yield
    finally:
      before = options.get("remapping", True)
      tf.config.optimizer.set_experimental_options({"remapping": before})
