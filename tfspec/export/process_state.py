"""Keeps the settings of a process out of what an export computes."""

import contextlib
import threading
from collections.abc import Iterator

import tensorflow as tf

# Guards the options of the process, which all threads share.
_LOCK = threading.RLock()


@contextlib.contextmanager
def graphs_run() -> Iterator[None]:
  """Lets functions run as graphs, and by XLA only where they ask for it.

  This holds where `tf.config.run_functions_eagerly` or
  `tf.config.optimizer.set_jit` is on, too.
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

  The function that is called must be `_noinline`. A fused operation rounds once
  where eager code rounds twice. The difference is nothing in float32, and half
  a percent in bfloat16.
  """
  with _LOCK:
    options = tf.config.optimizer.get_experimental_options()
    tf.config.optimizer.set_experimental_options({"remapping": False})
    try:
      yield
    finally:
      before = options.get("remapping", True)
      tf.config.optimizer.set_experimental_options({"remapping": before})
