"""The modes: values at the edges, and gradients that stay finite."""

import numpy as np
import pytest
import tensorflow as tf

import tfspec
from tfspec.ops import spectrum_ops

FLOOR = 1e-3


def test_magnitude_and_log_end_at_the_floor():
  real = tf.constant([0.0, 3.0, 1e-4, -1e-3])
  imag = tf.constant([0.0, -4.0, 0.0, 0.0])
  size = spectrum_ops.magnitude(real, imag, FLOOR)
  np.testing.assert_allclose(size, [1e-3, 5.0, 1e-3, 1e-3], rtol=1e-6)
  values = spectrum_ops.log(real, imag, FLOOR)
  np.testing.assert_allclose(values, np.log([1e-3, 5, 1e-3, 1e-3]), rtol=1e-6)


@pytest.mark.parametrize(
  "fft_length, sides",
  [(1, [1]), (2, [1, 1]), (3, [1, 2]), (4, [1, 2, 1]), (5, [1, 2, 2])],
)
def test_psd_counts_each_frequency(fft_length, sides):
  ones = tf.ones([2, len(sides)])
  actual = spectrum_ops.psd(ones, 2 * ones, fft_length)
  np.testing.assert_array_equal(actual, [np.multiply(5, sides)] * 2)


def test_angle_of_the_axes():
  real = tf.constant([1.0, 0.0, -1.0, 0.0, 0.0])
  imag = tf.constant([0.0, 1.0, 0.0, -1.0, 0.0])
  np.testing.assert_allclose(
    spectrum_ops.angle(real, imag), np.pi * np.array([0, 0.5, 1, -0.5, 0])
  )


def test_angle_gradient():
  real, imag = tf.constant([3.0, 0.0, 1e-30]), tf.constant([-4.0, 0.0, 1e-30])
  with tf.GradientTape() as tape:
    tape.watch([real, imag])
    phase = spectrum_ops.angle(real, imag)
  to_real, to_imag = tape.gradient(phase, [real, imag])
  np.testing.assert_allclose(to_real[:2], [4 / 25, 0.0], rtol=1e-6)
  np.testing.assert_allclose(to_imag[:2], [3 / 25, 0.0], rtol=1e-6)
  assert np.all(np.isfinite(to_real)) and np.all(np.isfinite(to_imag))


def test_stft_puts_real_before_imag():
  values = spectrum_ops.stft(tf.constant([[1.0, 2.0]]), tf.constant([[3.0, 4]]))
  np.testing.assert_array_equal(values, [[1, 2, 3, 4]])


def _signals():
  random = np.random.default_rng(0)
  impulse = np.zeros(100)
  impulse[37] = 1.0
  return {
    "silence": np.zeros(100),
    "impulse": impulse,
    "dc": np.ones(100),
    "nyquist": np.cos(np.pi * np.arange(100)),
    "denormal": np.full(100, 1e-40),
    "full_scale": random.choice([-1.0, 1.0], 100),
    "loud": 1e4 * random.standard_normal(100),
  }


@pytest.mark.parametrize("mode", tfspec.config.MODES)
@pytest.mark.parametrize("name", _signals())
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16", "float64"])
def test_gradients_are_finite(mode, name, dtype):
  config = tfspec.SpectrogramConfig(
    mode=mode, frame_length=16, frame_step=6, trainable=True
  )
  spectrogram = tfspec.Spectrogram(config)
  signals = tf.cast(_signals()[name], dtype)
  with tf.GradientTape() as tape:
    tape.watch(signals)
    values = spectrogram(signals)
    loss = tf.reduce_mean(tf.cast(values, tf.float64))
  variables = spectrogram.trainable_variables
  for gradient in tape.gradient(loss, [signals, *variables]):
    assert gradient is not None
    assert np.all(np.isfinite(tf.cast(gradient, tf.float64)))
  if dtype != "float16" or name != "loud" or mode != "psd":
    assert np.all(np.isfinite(tf.cast(values, tf.float64)))
