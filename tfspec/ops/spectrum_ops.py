"""The output modes: functions of the power of a spectrum, or of its parts.

`stages` has the table of modes and of what each needs.
All tensors are `[..., num_bins]`; no complex tensor is made. The power
`|X|^2 = real^2 + imag^2` is a value of the dtype: it overflows for magnitudes
above 1.8e19 in float32 (1.3e154 in float64), far beyond signals in [-1, 1] or
[-32768, 32767]; it loses digits below 1e-15 (1e-146), and all below 1.1e-19
(1.5e-154).
"""

import math

import numpy as np
import tensorflow as tf

from tfspec.ops import gradient_ops


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
    floor: The smallest value, in [1e-18, 1e18]. 0 is none: the gradient is then
      that of a floor of 1e-18.
    name: Name scope of the operation.

  Returns:
    `[..., num_bins]`, exactly `floor` (in the dtype of `power`) where the
    magnitude is not above it; infinite above 1.8e19 in float32.
  """
  edge = floor or 1e-18

  def values(power: tf.Tensor) -> tf.Tensor:
    return tf.maximum(tf.sqrt(power), floor) if floor else tf.sqrt(power)

  def plain(power: tf.Tensor) -> tf.Tensor:
    return _with_derivatives_of(
      tf.sqrt(tf.maximum(power, edge**2))
      + _where_below(power, edge**2, power) * (0.5 / edge),
      values(tf.stop_gradient(power)),
    )

  @gradient_ops.custom_gradient(plain)
  def root(power: tf.Tensor) -> tuple:
    def gradient(upstream: tf.Tensor) -> tf.Tensor:
      return 0.5 * upstream / tf.sqrt(tf.maximum(power, edge**2))

    return values(power), gradient

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

  def values(power: tf.Tensor) -> tf.Tensor:
    # Devices differ in the last digit of a logarithm: the floor is given, not
    # computed. The inner maximum only keeps infinities out, which debuggers
    # would stop at.
    halves = 0.5 * tf.math.log(tf.maximum(power, 0.5 * floor**2))
    return tf.maximum(halves, math.log(floor))

  def plain(power: tf.Tensor) -> tf.Tensor:
    return _with_derivatives_of(
      0.5 * tf.math.log(tf.maximum(power, floor**2))
      + _where_below(power, floor**2, power) * (0.5 / floor**2),
      values(tf.stop_gradient(power)),
    )

  @gradient_ops.custom_gradient(plain)
  def half_log(power: tf.Tensor) -> tuple:
    def gradient(upstream: tf.Tensor) -> tf.Tensor:
      return 0.5 * upstream / tf.maximum(power, floor**2)

    return values(power), gradient

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

  def plain(real: tf.Tensor, imag: tf.Tensor) -> tf.Tensor:
    # Below the smallest normal number no function has the published derivatives
    # as well as those of them; second derivatives are 0 there.
    size = tf.stop_gradient(power(real, imag))
    x, y = tf.stop_gradient(real), tf.stop_gradient(imag)
    return _with_derivatives_of(
      tf.math.atan2(
        imag - _where_below(size, tiny, imag),
        real + _where_below(size, tiny, 1.0 - real),
      )
      + _where_below(size, tiny, x) / tiny * imag
      - _where_below(size, tiny, y) / tiny * real,
      tf.math.atan2(y, x),
    )

  @gradient_ops.custom_gradient(plain)
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


def _with_derivatives_of(source: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
  """Returns values of no derivative, with the derivatives of a source."""
  constant = tf.stop_gradient(source)
  # The difference of infinities would be NaN.
  zero = tf.where(
    tf.math.is_inf(constant), tf.zeros_like(source), source - constant
  )
  return values + zero


def _where_below(
  power: tf.Tensor, limit: float, values: tf.Tensor
) -> tf.Tensor:
  """Returns the values where the power is below a limit, and 0 elsewhere."""
  # Not a product with 0 or 1: a graph may reorder products, and 0 times what
  # then overflows is NaN. In a graph, two accumulators fail if they follow what
  # is compared.
  below = tf.stop_gradient(power) < limit
  return tf.where(below, values, tf.zeros_like(values))
