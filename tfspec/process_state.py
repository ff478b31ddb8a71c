"""What a process has switched on must not decide what an export computes."""

import contextlib
from collections.abc import Iterator

import tensorflow as tf


@contextlib.contextmanager
def graphs_run() -> Iterator[None]:
  """Lets functions run as graphs, also where `run_functions_eagerly` is on."""
  eagerly = tf.config.functions_run_eagerly()
  tf.config.run_functions_eagerly(False)
  try:
    yield
  finally:
    tf.config.run_functions_eagerly(eagerly)


@contextlib.contextmanager
def unfused() -> Iterator[None]:
  """Keeps functions from fusing operations, if they are called inside.

  The function that is called must be `_noinline`. Operations that are fused
  round once where code that runs eagerly rounds twice: in float32 that is
  nothing, in bfloat16 half a percent.
  """
  options = tf.config.optimizer.get_experimental_options()
  tf.config.optimizer.set_experimental_options({"remapping": False})
  try:
    yield
  finally:
    before = options.get("remapping", True)
    tf.config.optimizer.set_experimental_options({"remapping": before})
