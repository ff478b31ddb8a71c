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
