"""Windows and Fourier kernels, the float64 constants of everything else."""

import numpy as np
import pytest
import scipy.signal

from tfspec.coefficients import fourier, windows
from tfspec.contract import oracle

NAMED = [
  "boxcar",
  "triang",
  "blackman",
  "hamming",
  "hann",
  "bartlett",
  "flattop",
  "parzen",
  "bohman",
  "blackmanharris",
  "nuttall",
  "barthann",
  "cosine",
  "exponential",
  "tukey",
  "taylor",
  "lanczos",
  ("kaiser", 8.6),
  ("gaussian", 7),
  ("general_gaussian", 1.5, 7),
  ("general_hamming", 0.7),
  ("general_cosine", (0.4, 0.5, 0.1)),
  ("dpss", 2.5),
  ("chebwin", 80),
  ("taylor", 5, 40, 1),
  ("exponential", None, 9.5),
]


@pytest.mark.parametrize("spec", NAMED, ids=str)
@pytest.mark.parametrize("periodic", [False, True])
def test_named_window_is_scipys(spec, periodic):
  expected = scipy.signal.get_window(spec, 40, fftbins=periodic)
  actual = windows.window(spec, 40, periodic)
  assert actual.dtype == np.float64
  np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("scaling", ["density", "spectrum", None])
@pytest.mark.parametrize("spec", ["hann", None, (1.0, -2.0, 0.5, 0.0)])
def test_scaling(spec, scaling):
  actual = windows.window(spec, 4, False, scaling)
  np.testing.assert_allclose(
    actual, oracle.window(spec, 4, False, scaling), rtol=1e-15
  )
  if scaling == "density":
    assert np.sum(actual**2) == pytest.approx(1.0, abs=1e-15)
  if scaling == "spectrum":
    assert np.sum(np.abs(actual)) == pytest.approx(1.0, abs=1e-15)


def test_scaling_of_tiny_and_huge_values_stays_finite():
  for size in (1e-200, 1e200):
    values = windows.window((size, size), 2, False, "density")
    np.testing.assert_allclose(values, [0.5**0.5] * 2, rtol=1e-15)


def test_window_cannot_be_changed():
  with pytest.raises(ValueError, match="read-only"):
    windows.window("hann", 8)[0] = 1.0


@pytest.mark.parametrize(
  "spec, expected",
  [
    ("hann", False),
    ("hamming", False),
    ("cosine", False),
    (("kaiser", 8.6), False),
    (None, True),
    (("kaiser", 0.5), True),
    (("tukey", 0.75), True),
  ],
)
@pytest.mark.parametrize("frame_length", [64, 400])
def test_is_flat(spec, expected, frame_length):
  assert windows.is_flat(windows.window(spec, frame_length)) is expected
  # Zeros around a window do not hide it, nor do tails near zero.
  padded = windows.window(spec, 9 * frame_length, window_length=frame_length)
  assert windows.is_flat(padded) is expected
  assert windows.is_flat(padded + 1e-3 * np.max(padded)) is expected


@pytest.mark.parametrize("spec", NAMED, ids=str)
@pytest.mark.parametrize("scaling", ["density", "spectrum", None])
@pytest.mark.parametrize("lengths", [(60, 41), (61, 40), (60, 40), (41, 41)])
def test_short_window_is_in_the_middle(spec, scaling, lengths):
  frame_length, window_length = lengths
  own = windows.window(spec, window_length, True, scaling)
  actual = windows.window(spec, frame_length, True, scaling, window_length)
  # torch.stft puts (n_fft - win_length) // 2 zeros before it; librosa's
  # util.pad_center the same.
  before = (frame_length - window_length) // 2
  expected = np.zeros(frame_length)
  expected[before : before + window_length] = own
  np.testing.assert_array_equal(actual, expected)


@pytest.mark.slow
@pytest.mark.parametrize("fft_length", [1, 2, 3, 4, 7, 12, 175, 512, 4095])
def test_fourier_kernels_are_exact(fft_length):
  frame_length = max(1, fft_length - 1)
  window = np.linspace(1.0, 2.0, frame_length)
  real, imag = fourier.fourier_kernels(window, fft_length)
  # Higher precision than float64 where the platform has it.
  steps = np.arange(fft_length).astype(np.longdouble)
  angle = 2 * np.arccos(np.longdouble(-1)) * steps / fft_length
  turns = np.outer(np.arange(frame_length), np.arange(fft_length // 2 + 1))
  turns %= fft_length
  column = window[:, np.newaxis]
  np.testing.assert_allclose(
    real, column * np.cos(angle)[turns], rtol=0, atol=8e-16
  )
  np.testing.assert_allclose(
    imag, -column * np.sin(angle)[turns], rtol=0, atol=8e-16
  )


def test_fourier_kernels_are_exact_at_quarter_turns():
  real, imag = fourier.fourier_kernels(np.ones(8), 8)
  # DC and Nyquist have no imaginary part at all; bin 2 is a quarter turn.
  assert not np.any(imag[:, 0]) and not np.any(imag[:, 4])
  np.testing.assert_array_equal(real[:, 2], [1, 0, -1, 0] * 2)
  np.testing.assert_array_equal(imag[:, 2], [0, -1, 0, 1] * 2)
