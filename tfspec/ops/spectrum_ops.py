"""The output modes: functions of the power of a spectrum, or of its parts.

All tensors are `[..., num_bins]`; no complex tensor is made. The power
`|X|^2 = real^2 + imag^2` is a value of the dtype: it overflows for magnitudes
above 1.8e19 in float32 (1.3e154 in float64), far beyond signals in [-1, 1] or
[-32768, 32767]; it loses digits below 1e-15 (1e-146), and all below 1.1e-19
(1.5e-154).
"""

import math

import numpy as np
import tensorflow as tf


def power(
  real: tf.Tensor, imag: tf.Tensor, name: str | None = None
) -> tf.Tensor:
  """Returns `|X|^2` of `X = real + i imag`.

  Args:
    real: Real part, `[..., num_bins]`.
    imag: Imaginary part, `[..., num_bins]`.
    name: Name scope of the operation.

  Returns:
    `[..., num_bins]`, at least 0.
  """
  with tf.name_scope(name or "power"):
    return tf.square(real) + tf.square(imag)


def magnitude(
  power: tf.Tensor, floor: float, name: str | None = None
) -> tf.Tensor:
  """Returns `max(|X|, floor)`.

  The gradient to the parts is `(real, imag) / max(|X|, floor)`: that of the
  magnitude, and below the floor not 0, as that of the maximum would be, but
  less and less, so that what is too quiet to be seen can still be trained. It
  is 0 only where both parts are 0. It is what `(|X|^2 / floor + floor) / 2` has
  there, and can be differentiated again.

  Args:
    power: `|X|^2`, `[..., num_bins]`.
    floor: The smallest value, in [1e-18, 1e18].
    name: Name scope of the operation.

  Returns:
    `[..., num_bins]`, exactly `floor` (in the dtype of `power`) where the
    magnitude is not above it; infinite above 1.8e19 in float32.
  """

  @tf.custom_gradient
  def root(power: tf.Tensor) -> tuple:
    def gradient(upstream: tf.Tensor) -> tf.Tensor:
      return 0.5 * upstream / tf.sqrt(tf.maximum(power, floor**2))

    return tf.maximum(tf.sqrt(power), floor), gradient

  with tf.name_scope(name or "magnitude"):
    return root(power)


def log(power: tf.Tensor, floor: float, name: str | None = None) -> tf.Tensor:
  """Returns the natural logarithm `log(max(|X|, floor))`.

  The gradient to the parts is `(real, imag) / max(|X|, floor)^2`: below the
  floor it is not 0, see `magnitude`, but that of `|X|^2 / (2 floor^2)`.

  Args:
    power: `|X|^2`, `[..., num_bins]`.
    floor: The smallest magnitude, in [1e-18, 1e18].
    name: Name scope of the operation.

  Returns:
    `[..., num_bins]`, exactly `log(floor)`, rounded to the dtype of `power`,
    where the magnitude is not above the floor; infinite above 1.8e19 in
    float32.
  """

  @tf.custom_gradient
  def half_log(power: tf.Tensor) -> tuple:
    def gradient(upstream: tf.Tensor) -> tf.Tensor:
      return 0.5 * upstream / tf.maximum(power, floor**2)

    # Devices differ in the last digit of a logarithm: the floor is given, not
    # computed. The inner maximum only keeps infinities out, which debuggers
    # would stop at.
    values = 0.5 * tf.math.log(tf.maximum(power, 0.5 * floor**2))
    return tf.maximum(values, math.log(floor)), gradient

  with tf.name_scope(name or "log"):
    return half_log(power)


def psd(
  power: tf.Tensor, fft_length: int, name: str | None = None
) -> tf.Tensor:
  """Returns the one-sided power.

  Every bin counts twice that stands for a positive and a negative frequency:
  all but the first and, where `fft_length` is even, the last.

  Args:
    power: `|X|^2`, `[..., num_bins]`.
    fft_length: Length of the transform in samples.
    name: Name scope of the operation.

  Returns:
    `[..., num_bins]`, at least 0; infinite where `|X|` is above 1.3e19 in
    float32.
  """
  with tf.name_scope(name or "psd"):
    num_bins = power.shape[-1]
    sides = [2.0] * num_bins
    sides[0] = 1.0
    if fft_length % 2 == 0:
      sides[-1] = 1.0
    return power * tf.constant(sides, power.dtype)


def angle(
  real: tf.Tensor, imag: tf.Tensor, name: str | None = None
) -> tf.Tensor:
  """Returns the phase in radians, in [-pi, pi]; 0 where there is no signal.

  The gradient is `(-imag, real) / max(|X|^2, tiny)`, `tiny` being the smallest
  normal number of the dtype: finite everywhere, 0 where both parts are 0, and
  that of the phase where `|X|` is in [1e-15, 1e19] in float32 ([1e-146, 1e154]
  in float64). Below, where the square has no digits left, it shrinks with
  `|X|`.

  Args:
    real: Real part, `[..., num_bins]`.
    imag: Imaginary part, `[..., num_bins]`.
    name: Name scope of the operation.

  Returns:
    `[..., num_bins]`.
  """
  tiny = np.finfo(real.dtype.as_numpy_dtype).tiny

  @tf.custom_gradient
  def phase(real: tf.Tensor, imag: tf.Tensor) -> tuple:
    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
      size = tf.maximum(power(real, imag), tiny)
      return -upstream * (imag / size), upstream * (real / size)

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
