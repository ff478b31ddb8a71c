"""What is known of the device that a graph is traced for."""

import sys
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf

import tfspec
from tests import lanes
from tfspec.ops.engines import blockwise, devices
from tfspec.ops.engines import kernel as kernel_lib


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


MODULES = [
  "tensorflow.python.ops.control_flow_util",
  "tensorflow.python.ops.control_flow_v2_func_graphs",
  "tensorflow.python.eager.forwardprop_util",
  "tensorflow.compiler.tf2xla.python.xla",
  "tensorflow.compiler.xla.xla_data_pb2",
]
OPERATIONS = ["MapDefun", "DeviceIndex"]


def values_and_gradient(spectrogram, signals):
  with tf.GradientTape() as tape:
    tape.watch(signals)
    values = spectrogram(signals)
    loss = tf.reduce_sum(tf.math.atan(values))
  return values, tape.gradient(loss, signals)


@pytest.mark.parametrize(
  "hidden, engine, precision",
  lanes.some(
    [
      *((name, "fft", "default") for name in [*MODULES[:2], *OPERATIONS]),
      (MODULES[2], "kernel", "default"),
      (MODULES[3], "fft", "default"),
      *((name, "kernel", "highest") for name in MODULES[3:]),
      ("all", "fft", "default"),
      ("all", "kernel", "default"),
    ],
    lambda case: case[:2] == ("all", "fft"),
  ),
)
def test_values_without_what_is_not_published(
  monkeypatch, hidden, engine, precision
):
  config = tfspec.SpectrogramConfig(
    "log", 50, 20, 64, engine=engine, precision=precision, floor=0.1
  )
  spectrogram = tfspec.Spectrogram(config)
  signals = tf.random.stateless_normal([2, 500, 1], [0, 0])
  expected = values_and_gradient(spectrogram, signals)
  monkeypatch.setattr(blockwise, "_BLOCK_SIZE", 7 * 64)
  monkeypatch.setattr(kernel_lib, "_CONVOLVED_FRAMES", 7)
  for name in MODULES:
    if hidden in (name, "all"):
      monkeypatch.setitem(sys.modules, name, None)
  for name in OPERATIONS:
    if hidden in (name, "all"):
      monkeypatch.delattr(tf.raw_ops, name)

  def run(signals):
    return values_and_gradient(spectrogram, signals)

  dataset = tf.data.Dataset.from_tensors(signals)
  found = [
    run(signals),
    tf.function(run)(signals),
    tf.function(run, jit_compile=True)(signals),
    next(iter(dataset.map(run))),
  ]
  for values, gradient in found:
    np.testing.assert_allclose(values, expected[0], atol=1e-5)
    np.testing.assert_allclose(gradient, expected[1], atol=1e-5)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_update_without_the_operation_of_xla(monkeypatch, jit_compile):
  monkeypatch.setitem(sys.modules, MODULES[3], None)
  assert devices.xla() is None
  update = tf.function(devices.dynamic_update_slice, jit_compile=jit_compile)
  expected = np.zeros([3, 5, 4], np.float32)
  expected[1:3, 3:5] = 7.0
  actual = update(
    tf.zeros([3, 5, 4]), tf.fill([2, 2, 4], 7.0), tf.constant([1, 3, 0])
  )
  np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("shape", [(30, 50), (2, 30, 50)])
def test_precise_product_without_the_operation_of_xla(monkeypatch, shape):
  monkeypatch.setitem(sys.modules, MODULES[3], None)
  a = tf.random.stateless_normal(shape, [0, 0])
  b = tf.random.stateless_normal([50, 2, 40], [1, 0])
  weights = tf.random.stateless_normal([*shape[:-1], 2, 40], [2, 0])
  with tf.GradientTape() as tape:
    tape.watch([a, b])
    values = kernel_lib.precise_product(a, b, "highest")
    loss = tf.reduce_sum(values * weights)
  wide = [np.asarray(x, np.float64) for x in (a, b, weights)]
  assert np.max(np.abs(values - np.tensordot(wide[0], wide[1], 1))) < 1e-5
  to_a, to_b = tape.gradient(loss, [a, b])
  axes = [-2, -1], [-2, -1]
  expected = np.tensordot(wide[2], wide[1], axes)
  np.testing.assert_allclose(to_a, expected, atol=5e-5)
  axes = list(range(len(shape) - 1))
  expected = np.tensordot(wide[0], wide[2], [axes, axes])
  np.testing.assert_allclose(to_b, expected, atol=1e-4)


def test_terms_are_those_that_no_device_rounds():
  values = tf.random.stateless_normal([1000], [0, 0])
  terms = kernel_lib._terms(values)
  np.testing.assert_array_equal(tf.add_n(terms), values)
  for term in terms:
    short = tf.cast(tf.cast(term, tf.bfloat16), tf.float32)
    np.testing.assert_array_equal(short, term)


def test_autograph_has_nothing_to_say(caplog):
  spectrogram = tfspec.Spectrogram(tfspec.SpectrogramConfig())
  # A lambda is converted, and so is what it calls.
  run = tf.function(lambda s: spectrogram(s), jit_compile=True)
  run.get_concrete_function(tf.zeros([1000]))
  assert "AutoGraph" not in caplog.text
