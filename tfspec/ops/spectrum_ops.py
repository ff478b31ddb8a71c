"""The output modes: functions of the real and imaginary parts of a spectrum.

All tensors are `[..., num_bins]`; no complex tensor is made.
"""

import tensorflow as tf


def magnitude(
  real: tf.Tensor, imag: tf.Tensor, floor: float, name: str | None = None
) -> tf.Tensor:
  """Returns `max(sqrt(real^2 + imag^2), floor)`, with a finite gradient.

  Args:
    real: Real part, `[..., num_bins]`.
    imag: Imaginary part, `[..., num_bins]`.
    floor: The smallest value; below it the gradient is zero.
    name: Name scope of the operation.

  Returns:
    `[..., num_bins]`, at least `floor`.
  """
  with tf.name_scope(name or "magnitude"):
    return tf.sqrt(tf.maximum(_power(real, imag), floor**2))


def log(
  real: tf.Tensor, imag: tf.Tensor, floor: float, name: str | None = None
) -> tf.Tensor:
  """Returns the natural logarithm of the magnitude, at least `log(floor)`.

  Args:
    real: Real part, `[..., num_bins]`.
    imag: Imaginary part, `[..., num_bins]`.
    floor: The smallest magnitude; below it the gradient is zero.
    name: Name scope of the operation.

  Returns:
    `[..., num_bins]`.
  """
  with tf.name_scope(name or "log"):
    return 0.5 * tf.math.log(tf.maximum(_power(real, imag), floor**2))


def psd(
  real: tf.Tensor, imag: tf.Tensor, fft_length: int, name: str | None = None
) -> tf.Tensor:
  """Returns the one-sided power.

  Every bin counts twice that stands for a positive and a negative frequency:
  all but the first and, where `fft_length` is even, the last.

  Args:
    real: Real part, `[..., num_bins]`.
    imag: Imaginary part, `[..., num_bins]`.
    fft_length: Length of the transform in samples.
    name: Name scope of the operation.

  Returns:
    `[..., num_bins]`, at least 0.
  """
  with tf.name_scope(name or "psd"):
    num_bins = real.shape[-1]
    sides = [2.0] * num_bins
    sides[0] = 1.0
    if fft_length % 2 == 0:
      sides[-1] = 1.0
    return _power(real, imag) * tf.constant(sides, real.dtype)


def angle(
  real: tf.Tensor, imag: tf.Tensor, name: str | None = None
) -> tf.Tensor:
  """Returns the phase in radians, in [-pi, pi]; 0 where there is no signal.

  Args:
    real: Real part, `[..., num_bins]`.
    imag: Imaginary part, `[..., num_bins]`.
    name: Name scope of the operation.

  Returns:
    `[..., num_bins]`. Its gradient is 0 where both parts are 0.
  """

  @tf.custom_gradient
  def phase(real: tf.Tensor, imag: tf.Tensor) -> tuple:
    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
      power = _power(real, imag)
      return (
        -upstream * tf.math.divide_no_nan(imag, power),
        upstream * tf.math.divide_no_nan(real, power),
      )

    return tf.math.atan2(imag, real), gradient

  with tf.name_scope(name or "angle"):
    return phase(real, imag)


def stft(
  real: tf.Tensor, imag: tf.Tensor, name: str | None = None
) -> tf.Tensor:
  """Returns all real parts, then all imaginary parts.

  Args:
    real: Real part, `[..., num_bins]`.
    imag: Imaginary part, `[..., num_bins]`.
    name: Name scope of the operation.

  Returns:
    `[..., 2 * num_bins]`.
  """
  return tf.concat([real, imag], axis=-1, name=name)


def _power(real: tf.Tensor, imag: tf.Tensor) -> tf.Tensor:
  return tf.square(real) + tf.square(imag)
