"""Every golden through every route, against the float64 oracle."""

import functools
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf

import tfspec
from tfspec.contract import bounds
from tfspec.contract.registry import GOLDENS, xla_lacks
from tfspec.ops.engines import blockwise, kernel


def eager(golden, signals):
  return tfspec.Spectrogram(golden.config())(signals)


def graph(golden, signals):
  # Nothing known but the rank: the harder case for shapes.
  spec = tf.TensorSpec([None, None, None], signals.dtype)
  function = tf.function(
    tfspec.Spectrogram(golden.config()), input_signature=[spec]
  )
  return function(signals)


def blocks(golden, signals):
  return _in_small_blocks(golden, signals, jit_compile=False)


def xla(golden, signals):
  return _in_small_blocks(golden, signals, jit_compile=True)


def _in_small_blocks(golden, signals, jit_compile):
  """Runs a function of static shape, in blocks of three frames."""
  config = golden.config()
  block_size = 3 * config.resolved().fft_length
  function = tf.function(tfspec.Spectrogram(config), jit_compile=jit_compile)
  with (
    mock.patch.object(blockwise, "_BLOCK_SIZE", block_size),
    mock.patch.object(kernel, "_CONVOLVED_FRAMES", 3),
  ):
    return function(signals)


def dataset_map(golden, signals):
  map_fn = tfspec.spectrogram_fn(tfspec.Spectrogram(golden.config()))
  if not signals.shape[0]:
    dataset = tf.data.Dataset.from_tensors(signals)
    mapped = dataset.map(map_fn)
    return next(iter(mapped))
  dataset = tf.data.Dataset.from_tensor_slices(signals)
  mapped = dataset.map(map_fn)
  return next(iter(mapped.batch(signals.shape[0])))


def keras_layer(golden, signals):
  # A pure short policy would round the kernels, as it does in Keras.
  mixed = "mixed_" if golden.dtype in ("float16", "bfloat16") else ""
  layer = tfspec.layers.STFTSpectrogram.from_spectrogram_config(
    golden.config(), dtype=mixed + golden.dtype
  )
  return layer(signals)


ROUTES = (eager, graph, blocks, xla, dataset_map, keras_layer)
_expected = functools.lru_cache(1)(lambda golden: golden.expected())


def _cases():
  """Returns each golden on each route; on two of them, in turn, it is fast."""
  for i, golden in enumerate(GOLDENS):
    fast = {ROUTES[(2 * i + j) % len(ROUTES)] for j in range(2)}
    for route in ROUTES:
      yield pytest.param(
        golden,
        route,
        marks=[] if route in fast else pytest.mark.slow,
        id=f"{golden.name}-{route.__name__}",
      )


@pytest.mark.parametrize(("golden", "route"), _cases())
def test_route_agrees_with_oracle(golden, route):
  signals = tf.cast(golden.signals(), golden.dtype)
  expected, bound = _expected(golden)
  engine = golden.config().resolved().engine
  if route is xla and xla_lacks(engine, golden.dtype):
    with pytest.raises(tf.errors.InvalidArgumentError, match="RFFT"):
      route(golden, signals)
    return
  actual = route(golden, signals)
  assert actual.dtype == golden.dtype
  assert actual.shape == expected.shape
  deviation = bounds.deviation(
    golden.config(),
    np.asarray(tf.cast(actual, tf.float64)),
    expected,
    bound,
  )
  assert deviation.ok, deviation
