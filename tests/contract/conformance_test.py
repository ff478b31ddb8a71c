"""Every golden through every route, against the float64 oracle."""

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
  return _in_small_blocks(golden, signals)


def blocks_of_any_shape(golden, signals):
  spec = tf.TensorSpec([None, None, None], signals.dtype)
  return _in_small_blocks(golden, signals, input_signature=[spec])


def xla(golden, signals):
  return _in_small_blocks(golden, signals, jit_compile=True)


def _in_small_blocks(golden, signals, **options):
  """Runs a function in blocks of three frames."""
  config = golden.config()
  block_size = 3 * config.resolved().fft_length
  function = tf.function(tfspec.Spectrogram(config), **options)
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


FAST = (graph, xla)
ROUTES = (*FAST, eager, blocks, blocks_of_any_shape, dataset_map, keras_layer)


@pytest.mark.parametrize(
  "route",
  [
    pytest.param(r, marks=[] if r in FAST else pytest.mark.slow, id=r.__name__)
    for r in ROUTES
  ],
)
@pytest.mark.parametrize("golden", GOLDENS, ids=lambda golden: golden.name)
def test_route_agrees_with_oracle(golden, route):
  signals = tf.cast(golden.signals(), golden.dtype)
  expected, bound = golden.expected()
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
