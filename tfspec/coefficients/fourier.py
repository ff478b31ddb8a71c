"""Fourier kernels, as NumPy float64 values."""

import functools

import numpy as np


def fourier_kernels(
  window: np.ndarray, fft_length: int
) -> tuple[np.ndarray, np.ndarray]:
  """Returns the kernels whose products with a frame are its windowed DFT.

  Entry `[t, k]` is `window[t] * cos(2 pi t k / fft_length)` and
  `-window[t] * sin(2 pi t k / fft_length)`. The angle is reduced as the integer
  `(t * k) % fft_length` before it is turned into a float, so that every entry
  is exact to float64 rounding at any length.

  Args:
    window: Float64 `[frame_length]`.
    fft_length: Length of the transform in samples, at least `frame_length`.

  Returns:
    The real and the imaginary kernel, read-only float64
    `[frame_length, num_bins]`.

  Example:
    >>> real, imag = fourier_kernels(np.ones(2), 4)
    >>> real.tolist()
    [[1.0, 1.0, 1.0], [1.0, 0.0, -1.0]]
  """
  return _fourier_kernels(np.asarray(window, np.float64).tobytes(), fft_length)


@functools.lru_cache(maxsize=2)
def _fourier_kernels(
  content: bytes, fft_length: int
) -> tuple[np.ndarray, np.ndarray]:
  window = np.frombuffer(content, np.float64)
  samples = np.arange(len(window), dtype=np.int64)[:, np.newaxis]
  bins = np.arange(fft_length // 2 + 1, dtype=np.int64)[np.newaxis, :]
  steps = (samples * bins) % fft_length
  cosines, sines = _unit_circle(fft_length)
  column = window[:, np.newaxis]
  real, imag = column * cosines[steps], -column * sines[steps]
  real.setflags(write=False)
  imag.setflags(write=False)
  return real, imag


def _unit_circle(length: int) -> tuple[np.ndarray, np.ndarray]:
  """Returns cos and sin of 2 pi i / length, exact at each quarter turn."""
  quarter, rest = np.divmod(4 * np.arange(length, dtype=np.int64), length)
  angle = rest * (np.pi / 2 / length)
  points = (np.cos(angle) + 1j * np.sin(angle)) * 1j**quarter
  return points.real, points.imag
