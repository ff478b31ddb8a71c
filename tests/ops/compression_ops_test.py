"""Compression: its formulas, silence to the bit, and peaks of a clip alone."""

import math

import numpy as np
import pytest
import tensorflow as tf

import tfspec
from tfspec.ops import compression_ops

_VALUES = [0.0, 1e-30, 1e-12, 3e-5, 0.1, 1.0, 7.5, 1e12]


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
  ("floor", "offset"), [(1e-10, 0.0), (1e-10, 1e-3), (0.5, 1e-3)]
)
def test_formulas(dtype, floor, offset, jit_compile):
  values = tf.constant(_VALUES, dtype)

  @tf.function(jit_compile=jit_compile)
  def run(values):
    return (
      compression_ops.log(values, floor, offset),
      compression_ops.log(values, floor, offset, factor=10.0, constant=-3.0),
      compression_ops.power_law(values, 0.3, floor, offset),
    )

  m = np.array([max(value + offset, floor) for value in _VALUES])
  expected = np.log(m), 10.0 * np.log(m) - 3.0, m**0.3
  least = float(m[0])
  least = math.log(least), 10.0 * math.log(least) - 3.0, least**0.3
  rtol = 1e-13 if dtype == "float64" else 2e-6
  results = run(values)
  for actual, exact, low in zip(results, expected, least, strict=True):
    np.testing.assert_allclose(actual, exact, rtol=rtol, atol=rtol)
    assert actual[0] == tf.cast(tf.constant(low, tf.float64), dtype)


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("offset", [0.0, 1e-3])
def test_what_is_not_finite_stays_so(offset, jit_compile):
  @tf.function(jit_compile=jit_compile)
  def run(values):
    return (
      compression_ops.log(values, offset=offset),
      compression_ops.power_law(values, 0.3, offset=offset),
    )

  for actual in run(tf.constant([np.nan, np.inf, 1.0])):
    assert np.isnan(actual[0]) and np.isposinf(actual[1])
    assert np.isfinite(actual[2])


@pytest.mark.parametrize("offset", [0.0, 1e-3])
def test_gradients_are_finite_at_zero(offset):
  values = tf.constant(_VALUES)
  for run in (
    lambda v: compression_ops.log(v, offset=offset),
    lambda v: compression_ops.power_law(v, 0.2, offset=offset),
  ):
    with tf.GradientTape() as tape:
      tape.watch(values)
      results = run(values)
    gradient = tape.gradient(results, values)
    assert np.all(np.isfinite(gradient)) and np.all(gradient[4:] > 0)


def test_peak_is_that_of_own_frames_in_each_channel():
  values = np.arange(24, dtype=np.float32).reshape(2, 2, 3, 2)
  limited = compression_ops.limit_range(
    tf.constant(values), 2.0, num_frames=tf.constant([3, 1])
  )
  expected = values.copy()
  for clip, frames in ((0, 3), (1, 1)):
    for channel in range(2):
      peak = values[clip, channel, :frames].max()
      values_of = np.maximum(expected[clip, channel], peak - 2.0)
      expected[clip, channel] = values_of
  np.testing.assert_array_equal(limited, expected)
  np.testing.assert_array_equal(
    compression_ops.limit_range(tf.constant(values), 2.0, peak=20.0),
    np.maximum(values, 18.0),
  )


@pytest.mark.parametrize("route", ["eager", "graph", "xla", "wrapped"])
def test_a_quiet_clip_does_not_depend_on_a_loud_one(route):
  config = tfspec.SpectrogramConfig(
    "power",
    400,
    160,
    512,
    sample_rate_hz=16000,
    filter_bank=tfspec.FilterBank(),
    compression=tfspec.Compression(kind="decibel", dynamic_range=80.0),
  )
  spectrogram = tfspec.Spectrogram(config)
  random = np.random.default_rng(0)
  batch = random.standard_normal([2, 6000, 1]).astype(np.float32)
  batch[0] *= 1e-4
  batch[0, 4000:] = np.nan  # Behind its end.
  alone = spectrogram(batch[:1, :4000])[0].numpy()
  runs = {
    "eager": spectrogram,
    "graph": tf.function(spectrogram),
    "xla": tf.function(spectrogram, jit_compile=True),
    "wrapped": tfspec.layers.STFTSpectrogram.from_spectrogram_config(config),
  }
  values, num_frames = runs[route](batch, lengths=tf.constant([4000, 6000]))
  assert num_frames.numpy().tolist() == [23, 36]
  np.testing.assert_allclose(values[0, :23], alone, atol=1e-3)
  assert np.all(values[0, 23:] == np.float32(config.silence))
  # The peak of the whole batch would have raised it.
  assert np.max(alone) < np.max(values[1]) - 75.0
