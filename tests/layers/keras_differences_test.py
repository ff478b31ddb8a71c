"""The differences from the Keras layer that the README lists, in its order."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfspec
from tfspec.coefficients import fourier

Theirs = keras.layers.STFTSpectrogram
Ours = tfspec.layers.STFTSpectrogram


def noise(*shape, dtype=np.float32):
  return np.random.default_rng(0).standard_normal(shape).astype(dtype)


def test_difference_odd_fft_length_is_an_odd_transform():
  signals = noise(1, 400, 1, dtype=np.float64)
  layer = Ours(
    "stft", 100, 100, 175, window=None, scaling=None, dtype="float64"
  )
  frames = signals[0, :, 0].reshape(4, 100)
  exact = np.fft.rfft(frames, 175)
  actual = np.asarray(layer(signals))[0]
  np.testing.assert_allclose(
    actual[:, :88] + 1j * actual[:, 88:], exact, atol=1e-11
  )
  with pytest.warns(UserWarning, match="power of two"):
    theirs = Theirs("stft", 100, 100, 175, window=None, scaling=None)
  wrong = np.asarray(theirs(signals.astype(np.float32)))[0]
  assert np.max(np.abs(wrong[:, :88] - exact.real)) > 1.0


def test_difference_psd_of_odd_fft_length_doubles_the_last_bin():
  signals = noise(1, 99, 1, dtype=np.float64)
  layer = Ours("psd", 99, 99, 99, window=None, scaling=None, dtype="float64")
  power = np.abs(np.fft.rfft(signals[0, :, 0])) ** 2
  np.testing.assert_allclose(layer(signals)[0, 0, 1:], 2 * power[1:])


def test_difference_kernels_are_built_in_float64():
  arguments = dict(frame_length=2048, window=None, scaling=None)
  signals = np.zeros((1, 2048, 1), np.float32)
  errors = []
  exact = fourier.fourier_kernels(np.ones(2048), 2048)[0]
  for kind in (Ours, Theirs):
    layer = kind(**arguments)
    layer(signals)
    errors.append(np.max(np.abs(layer.real_kernel[:, 0] - exact)))
  assert errors[0] < 6.1e-8 and errors[1] > 1e-5


def test_difference_scaling_applies_without_a_window():
  signals = np.ones((1, 64, 1), np.float32)
  arguments = dict(frame_length=64, window=None, scaling="spectrum")
  ours, theirs = (k("real", **arguments)(signals) for k in (Ours, Theirs))
  assert float(ours[0, 0, 0]) == pytest.approx(1.0)
  assert float(theirs[0, 0, 0]) == pytest.approx(64.0)


def test_channels_first_runs_on_cpu():
  signals = noise(2, 3, 500)
  actual = Ours(data_format="channels_first")(signals)
  assert actual.shape == (2, 3 * 129, 2)


def test_difference_bfloat16_is_accepted():
  signals = tf.cast(noise(1, 500, 1), tf.bfloat16)
  assert Ours(dtype="mixed_bfloat16")(signals).dtype == tf.bfloat16
  with pytest.raises(TypeError):
    Theirs(dtype="mixed_bfloat16")(signals)


def test_difference_short_clips_give_zero_frames():
  assert Ours()(np.ones((1, 100, 1), np.float32)).shape == (1, 0, 129)
  assert Theirs()(np.ones((1, 100, 1), np.float32)).shape != (1, 0, 129)
  empty = tf.data.Dataset.from_tensors(np.ones((1, 0, 1), np.float32))
  layer = Ours()
  assert next(iter(empty.map(layer))).shape == (1, 0, 129)


def test_difference_angle_has_a_finite_gradient_at_zero():
  signals = tf.zeros([1, 256, 1])
  gradients = []
  for kind in (Ours, Theirs):
    layer = kind("angle")
    with tf.GradientTape() as tape:
      tape.watch(signals)
      values = layer(signals)
    gradients.append(tape.gradient(values, signals).numpy())
  assert np.all(np.isfinite(gradients[0])) and np.any(np.isnan(gradients[1]))


@pytest.mark.parametrize("mode", ["log", "magnitude"])
def test_difference_gradient_lives_below_the_floor(mode):
  signals = tf.constant(1e-6 * noise(1, 256, 1))
  gradients = []
  for kind in (Ours, Theirs):
    layer = kind(mode)
    with tf.GradientTape() as tape:
      tape.watch(signals)
      values = layer(signals)
    gradients.append(tape.gradient(values, signals).numpy())
  assert np.all(np.isfinite(gradients[0])) and np.any(gradients[0] != 0)
  assert not np.any(gradients[1])


def test_difference_window_of_zeros_is_refused():
  assert np.all(np.isnan(Theirs("real", 2)(np.ones((1, 8, 1), np.float32))))
  with pytest.raises(ValueError, match="window must not be zero everywhere"):
    Ours("real", 2)


def test_difference_flags_are_booleans():
  Theirs(periodic=1)
  with pytest.raises(TypeError, match="periodic must be True or False"):
    Ours(periodic=1)


def test_difference_frame_length_one_works():
  with pytest.raises(Exception):  # noqa: B017 - whatever it happens to be
    Theirs(frame_length=1)(np.ones((1, 5, 1), np.float32))
  assert Ours(frame_length=1)(np.ones((1, 5, 1), np.float32)).shape == (1, 5, 1)


def test_difference_mixed_policies_keep_the_kernels_float32():
  signals = tf.cast(noise(1, 600, 1), tf.bfloat16)
  mixed = Ours("stft", dtype="mixed_bfloat16")(signals)
  wide = Ours("stft")(tf.cast(signals, tf.float32))
  np.testing.assert_array_equal(mixed, tf.cast(wide, tf.bfloat16))


def test_difference_window_length_is_checked_at_once():
  Theirs(window=np.ones(3))
  with pytest.raises(ValueError, match="window must have frame_length values"):
    Ours(window=np.ones(3))


def test_difference_integer_signals_name_the_cast():
  signals = np.zeros((1, 1000, 1), np.int16)
  with pytest.raises(
    TypeError, match=r"tf\.cast\(signals, tf\.float32\) / 2\.0"
  ):
    Ours()(signals)
  with pytest.raises(TypeError, match="Invalid input type"):
    Theirs()(signals)
