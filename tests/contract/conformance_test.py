"""Every golden through every route, against the float64 oracle.

Goldens that differ in their signals alone share a graph of unknown shape, and a
SavedModel.
"""

import contextlib
import functools
import tempfile
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf

import tfspec
from tfspec.contract import bounds
from tfspec.contract.registry import GOLDENS, xla_lacks
from tfspec.ops.engines import blockwise, kernel
from tfspec.spectrogram import layouts


def eager(golden, signals):
  return tfspec.Spectrogram(golden.config())(signals)


def graph(golden, signals):
  return _open_graph(golden.config(), signals.dtype)(signals)


def blocks(golden, signals):
  config = golden.config()
  with _small_blocks(config):
    return tf.function(tfspec.Spectrogram(config))(signals)


def blocks_of_any_shape(golden, signals):
  config = golden.config()
  with _small_blocks(config):
    return _open_graph(config, signals.dtype, "in blocks")(signals)


def xla(golden, signals):
  config = golden.config()
  with _small_blocks(config):
    return tf.function(tfspec.Spectrogram(config), jit_compile=True)(signals)


@functools.lru_cache(8)
def _open_graph(config, dtype, _=None):
  # Nothing known but the rank: the harder case for shapes.
  spec = tf.TensorSpec([None, None, None], dtype)
  function = tf.function(tfspec.Spectrogram(config), input_signature=[spec])
  return function.get_concrete_function()


@contextlib.contextmanager
def _small_blocks(config):
  """Lets functions be traced in blocks of three frames."""
  block_size = 3 * config.resolved().fft_length
  with (
    mock.patch.object(blockwise, "_BLOCK_SIZE", block_size),
    mock.patch.object(kernel, "_CONVOLVED_FRAMES", 3),
  ):
    yield


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


ROUTES = (
  eager,
  graph,
  blocks,
  blocks_of_any_shape,
  xla,
  dataset_map,
  keras_layer,
)
_LONG = (blocks, blocks_of_any_shape, xla)
_expected = functools.lru_cache(1)(lambda golden: golden.expected())


def _cases():
  """Returns each golden on each route; on two of them it is fast.

  Each fourth golden is also compiled or cut into blocks there, in turn: that
  takes several times as long.
  """
  short, long = (eager, keras_layer, dataset_map), (graph, *_LONG)
  for i, golden in enumerate(GOLDENS):
    second = short[(i + 1) % 3] if i % 4 else long[i // 4 % len(long)]
    fast = {short[i % 3], second}
    for route in ROUTES:
      yield pytest.param(
        golden,
        route,
        marks=[] if route in fast else pytest.mark.slow,
        id=f"{golden.name}-{route.__name__}",
      )


@pytest.mark.parametrize(("golden", "route"), list(_cases()))
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


@functools.lru_cache(8)
def _served(config, channels):
  with tempfile.TemporaryDirectory() as folder:
    tfspec.export_saved_model(config, f"{folder}/1", channels=channels)
    return tf.saved_model.load(f"{folder}/1")


@pytest.mark.slow
@pytest.mark.parametrize(
  "golden",
  [golden for golden in GOLDENS if golden.dtype == "float32"],
  ids=lambda golden: golden.name,
)
def test_saved_model_agrees_with_oracle(golden):
  config = golden.config()
  model = _served(config, golden.shape[2])
  signals = golden.signals()

  def serve(name, signals, lengths=()):
    return model.signatures[name](
      signals=tf.constant(signals), lengths=tf.constant(lengths, tf.int32)
    )

  actual = serve("serving_default", signals)["spectrogram"].numpy()
  expected, bound = golden.expected()
  assert actual.dtype == np.float32 and actual.shape == expected.shape
  deviation = bounds.deviation(config, actual, expected, bound)
  assert deviation.ok, deviation

  # The same with rubbish behind the ends of the clips.
  time = 1 if config.data_format == "channels_last" else 2
  paddings = [[0, 0]] * 3
  paddings[time] = [0, 77]
  padded = np.pad(signals, paddings, constant_values=np.nan)
  lengths = np.full(len(signals), signals.shape[time], np.int32)
  outputs = serve("serving_default", padded, lengths)
  count = config.num_frames(signals.shape[time])
  assert np.all(outputs["num_frames"].numpy() == count)
  axis = layouts.time_axis(config)
  own, rest = np.split(outputs["spectrogram"].numpy(), [count], axis)
  silence = layouts.silence(config, rest.shape[layouts.feature_axis(config)])
  assert np.all(rest == np.float32(silence))
  if len(signals):  # Without a clip there is no length, so no end either.
    deviation = bounds.deviation(config, own, expected, bound)
    assert deviation.ok, deviation

  # And of 16 bits: what the same values give as floats.
  pcm = np.clip(np.round(signals * 2**15), -(2**15), 2**15 - 1)
  from_pcm = serve("pcm16", pcm.astype(np.int16))["spectrogram"]
  from_floats = serve("serving_default", (pcm / 2**15).astype(np.float32))
  np.testing.assert_array_equal(from_pcm, from_floats["spectrogram"])
