"""The modes: values at the edges, and gradients at and below the floor."""

import numpy as np
import pytest
import tensorflow as tf

from tfspec.ops import spectrum_ops

FLOOR = 1e-3


def test_magnitude_and_log_end_at_the_floor():
  real = tf.constant([0.0, 3.0, 1e-4, -1e-3])
  imag = tf.constant([0.0, -4.0, 0.0, 0.0])
  size = spectrum_ops.magnitude(spectrum_ops.power(real, imag), FLOOR)
  np.testing.assert_allclose(size, [1e-3, 5.0, 1e-3, 1e-3], rtol=1e-6)
  values = spectrum_ops.log(spectrum_ops.power(real, imag), FLOOR)
  np.testing.assert_allclose(values, np.log([1e-3, 5, 1e-3, 1e-3]), rtol=1e-6)


@pytest.mark.parametrize("function", ["magnitude", "log"])
def test_silence_stops_no_debugger(function):
  silence = tf.zeros([3])
  tf.debugging.enable_check_numerics()
  try:
    getattr(spectrum_ops, function)(silence, FLOOR)
    with pytest.raises(tf.errors.InvalidArgumentError):
      tf.math.log(silence)  # It is at work.
  finally:
    tf.debugging.disable_check_numerics()


# Above the floor, below, far below, and silence.
PARTS = np.array([[3.0, 5e-4, 1e-15, 0.0], [-4.0, -1e-4, 1e-16, 0.0]])


def floored_gradient(mode, parts):
  """Returns what the docstrings say."""
  clipped = np.maximum(np.hypot(*parts), FLOOR)
  return parts / (clipped if mode == "magnitude" else clipped**2)


@pytest.mark.parametrize("mode", ["magnitude", "log"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradient_lives_below_the_floor(mode, dtype):
  parts = tf.constant(PARTS, dtype)
  with tf.GradientTape() as tape:
    tape.watch(parts)
    values = getattr(spectrum_ops, mode)(
      spectrum_ops.power(*tf.unstack(parts)), FLOOR
    )
  actual = tape.gradient(values, parts)
  np.testing.assert_allclose(actual, floored_gradient(mode, PARTS), rtol=1e-6)
  assert np.all(actual[:, :3] != 0)


@pytest.mark.parametrize("mode", ["magnitude", "log"])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_second_derivatives_are_those_of_the_gradient(mode, jit_compile):
  @tf.function(jit_compile=jit_compile)
  def hessian(parts, direction):
    with tf.GradientTape() as outer:
      outer.watch(parts)
      with tf.GradientTape() as inner:
        inner.watch(parts)
        values = getattr(spectrum_ops, mode)(
          spectrum_ops.power(*tf.unstack(parts)), FLOOR
        )
      gradient = inner.gradient(values, parts)
      product = tf.reduce_sum(gradient * direction)
    return outer.gradient(product, parts)

  direction = np.array([[1.0] * 4, [0.5] * 4])
  step = 1e-4 * np.array([1.0, FLOOR, FLOOR, FLOOR]) * direction
  expected = floored_gradient(mode, PARTS + step)
  expected -= floored_gradient(mode, PARTS - step)
  expected *= direction / (2 * step)
  actual = hessian(tf.constant(PARTS), tf.constant(direction))
  # Of the symmetric matrix, rows and columns: tested along the direction.
  np.testing.assert_allclose(
    np.sum(actual * direction, 0),
    np.sum(expected * direction, 0),
    rtol=1e-6,
  )


@pytest.mark.parametrize(
  "fft_length, sides",
  [(1, [1]), (2, [1, 1]), (3, [1, 2]), (4, [1, 2, 1]), (5, [1, 2, 2])],
)
def test_psd_counts_each_frequency(fft_length, sides):
  ones = tf.ones([2, len(sides)])
  actual = spectrum_ops.psd(5 * ones, fft_length)
  np.testing.assert_array_equal(actual, [np.multiply(5, sides)] * 2)


def test_angle_of_the_axes():
  real = tf.constant([1.0, 0.0, -1.0, 0.0, 0.0])
  imag = tf.constant([0.0, 1.0, 0.0, -1.0, 0.0])
  np.testing.assert_allclose(
    spectrum_ops.angle(real, imag), np.pi * np.array([0, 0.5, 1, -0.5, 0])
  )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_angle_gradient(dtype):
  # The last one is so small that its square is 0.
  real = tf.constant([3.0, 2e-15, 0.0, 1e-30], dtype)
  imag = tf.constant([-4.0, 1e-15, 0.0, 1e-30], dtype)
  with tf.GradientTape() as tape:
    tape.watch([real, imag])
    phase = spectrum_ops.angle(real, imag)
  to_real, to_imag = tape.gradient(phase, [real, imag])
  last = 1e-30 / np.maximum(2e-60, np.finfo(dtype).tiny)
  np.testing.assert_allclose(to_real, [0.16, -2e14, 0.0, -last], rtol=1e-5)
  np.testing.assert_allclose(to_imag, [0.12, 4e14, 0.0, last], rtol=1e-5)


def test_stft_puts_real_before_imag():
  values = spectrum_ops.stft(tf.constant([[1.0, 2.0]]), tf.constant([[3.0, 4]]))
  np.testing.assert_array_equal(values, [[1, 2, 3, 4]])
