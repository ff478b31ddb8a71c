"""What is known of the device that a graph is traced for."""

from unittest import mock

import pytest
import tensorflow as tf

from tfspec.ops.engines import devices


def on_tpu(value):
  with tf.device("/device:TPU:0"):
    return probe(value)


def replicated(value):
  """Does what `TPUStrategy.run` does; it needs no TPU until it runs."""
  return tf.compat.v1.tpu.rewrite(probe, [value])


def probe(value):
  FOUND.append((devices.is_tpu(), devices.is_compiled_for_cpu()))
  return value


FOUND = []


def traced(function, **options):
  """Returns what is known inside a function while it is traced."""
  graph = tf.function(function, autograph=False, **options)
  graph.get_concrete_function(tf.constant(1.0))
  return FOUND[-1]


def test_eager():
  probe(tf.constant(1.0))
  assert FOUND[-1] == (False, False)


def test_graph():
  assert traced(probe) == (False, False)


def test_compiled():
  assert traced(probe, jit_compile=True) == (False, True)


def test_called_by_what_is_compiled():
  inner = tf.function(probe)
  assert traced(inner, jit_compile=True) == (False, True)


@pytest.mark.parametrize("function", [on_tpu, replicated])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_tpu(function, jit_compile):
  assert traced(function, jit_compile=jit_compile) == (True, False)


@pytest.mark.parametrize("on_host", [False, True])
def test_strategy_for_tpu(monkeypatch, on_host):
  strategy = mock.create_autospec(tf.distribute.TPUStrategy, instance=True)
  monkeypatch.setattr(tf.distribute, "get_strategy", lambda: strategy)
  monkeypatch.setattr(
    tf.distribute, "in_cross_replica_context", lambda: on_host
  )
  assert devices.is_tpu() == (not on_host)


def test_compiled_where_there_is_a_gpu(monkeypatch):
  gpu = tf.config.PhysicalDevice("/physical_device:GPU:0", "GPU")
  monkeypatch.setattr(tf.config, "get_visible_devices", lambda: [gpu])
  assert traced(probe, jit_compile=True) == (False, False)
