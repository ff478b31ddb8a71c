"""The form of the kernel engine for TPU computes what the other form does."""

import functools

import numpy as np
import pytest
import tensorflow as tf

import tfspec
from tests import lanes


def on_tpu(function, jit_compile=False):
  """Traces a function for a TPU; without one, the graph runs on the CPU."""

  def run(*args):
    with tf.device("/device:TPU:0"):
      return function(*args)

  return tf.function(run, jit_compile=jit_compile, autograph=False)


def noise(*shape):
  return tf.constant(np.random.default_rng(0).standard_normal(shape))


def results_and_gradients(spectrogram, signals):
  """Returns values, and the gradients to the signals and the kernels."""
  with tf.GradientTape() as tape:
    tape.watch(signals)
    values = spectrogram(signals)
    # Every value has another weight.
    weights = tf.cos(tf.range(tf.size(values), dtype=values.dtype))
    loss = tf.reduce_sum(values * tf.reshape(weights, tf.shape(values)))
  return values, *tape.gradient(
    loss, [signals, *spectrogram.trainable_variables]
  )


@pytest.mark.parametrize("precision", lanes.every(2, ["default", "highest"]))
@pytest.mark.parametrize(
  "mode", lanes.some(tfspec.config.MODES, lambda mode: mode == "log")
)
@pytest.mark.parametrize(
  "sizes, padding, shape",
  [
    ((64, 24, 64), "valid", (3, 500, 2)),
    ((64, 24, 100), "same", (3, 501, 1)),
    ((64, 64, 64), "valid", (2, 330, 1)),  # No overlap.
    ((70, 2, 70), "valid", (2, 200, 1)),  # More hops than are joined.
    ((63, 20, 63), "center", (2, 300, 1)),
    ((64, 24, 64), "valid", (2, 63, 1)),  # No frame.
    ((64, 24, 64), "same", (2, 0, 1)),
    ((64, 24, 64), "valid", (0, 500, 1)),
  ],
)
def test_it_equals_the_other_form(mode, sizes, padding, shape, precision):
  config = tfspec.SpectrogramConfig(
    mode, *sizes, padding=padding, trainable=True, precision=precision
  )
  spectrogram = tfspec.Spectrogram(config, dtype=tf.float64)
  run = functools.partial(results_and_gradients, spectrogram)
  signals = noise(*shape)
  for actual, expected in zip(on_tpu(run)(signals), run(signals), strict=True):
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-9)


def test_it_is_one_product():
  config = tfspec.SpectrogramConfig(frame_length=400, engine="kernel")
  run = on_tpu(tfspec.Spectrogram(config), jit_compile=True)
  signals = tf.cast(noise(2, 3000, 1), tf.float32)
  expected = tfspec.Spectrogram(config)(signals)
  np.testing.assert_allclose(run(signals), expected, atol=1e-4)
  program = run.experimental_get_compiler_ir(signals)(stage="hlo")
  assert program.count(" dot(") + program.count(" convolution(") == 1


@pytest.mark.parametrize("mode", ["log", "stft"])
def test_bad_samples_behind_the_last_frame_do_not_matter(mode):
  config = tfspec.SpectrogramConfig(mode, 64, 24, trainable=True)
  spectrogram = tfspec.Spectrogram(config, dtype=tf.float64)
  clean = np.array(noise(2, 64 + 24 * 9 + 5, 1))
  bad = clean.copy()
  bad[:, -5:] = np.nan
  run = on_tpu(functools.partial(results_and_gradients, spectrogram))
  for actual, expected in zip(
    run(tf.constant(bad)), run(tf.constant(clean)), strict=True
  ):
    np.testing.assert_array_equal(actual, expected)
  # It can fail: a sample that is in the last frame does matter.
  bad[:, -6] = np.nan
  assert np.any(np.isnan(run(tf.constant(bad))[0]))


@pytest.mark.parametrize("mode", ["log", "magnitude", "psd"])
def test_second_derivatives(mode):
  config = tfspec.SpectrogramConfig(mode, 16, 6, engine="kernel")
  spectrogram = tfspec.Spectrogram(config)

  def run(signals):
    with tf.GradientTape() as outer:
      outer.watch(signals)
      with tf.GradientTape() as inner:
        inner.watch(signals)
        values = tf.reduce_sum(tf.square(spectrogram(signals)))
      slopes = tf.reduce_sum(tf.square(inner.gradient(values, signals)))
    return outer.gradient(slopes, signals)

  signals = noise(2, 60, 1)
  np.testing.assert_allclose(on_tpu(run)(signals), run(signals), rtol=1e-9)
