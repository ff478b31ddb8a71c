"""How trained kernels moved away from those of the Fourier transform."""

import pathlib

import numpy as np

import tfspec
from tfspec.view import plot
from tools.prompts import RATE_HZ


def kernels_of(layer: tfspec.layers.STFTSpectrogram) -> np.ndarray:
  """Returns the kernels as complex numbers, `[frame_length, num_bins]`."""
  if not layer.built:
    layer.build((None, None, 1))
  real, imag = layer.get_weights()
  return real[:, 0] + 1j * imag[:, 0]


def relative_change(before: np.ndarray, after: np.ndarray) -> np.ndarray:
  """Returns how far the kernel of each bin moved, relative to its norm."""
  norm = np.linalg.norm(before, axis=0)
  return np.linalg.norm(after - before, axis=0) / norm


def heard_far(kernels: np.ndarray) -> float:
  """Returns what bins hear of tones more than 1 kHz away, in decibels.

  It is that of the bin that hears most of them, relative to its own frequency.
  """
  loudest = []
  for bin_hertz, kernel in zip(_bins_hertz(kernels), kernels.T, strict=True):
    hertz, response = _response(kernel)
    loudest.append(np.max(response[np.abs(hertz - bin_hertz) > 1000]))
  return float(np.max(loudest))


def draw(before: np.ndarray, after: np.ndarray, path: pathlib.Path) -> None:
  """Draws how kernels moved.

  Args:
    before: The kernels of the Fourier transform, as `kernels_of` returns them.
    after: The trained ones.
    path: PNG file to write.
  """
  frame_length, num_bins = before.shape
  hertz = _bins_hertz(before)
  moved = relative_change(before, after)
  figure = plot.new_figure(figsize=(10, 6.4))
  (top_left, top_right), bottom = figure.subplots(2, 2)
  blocks = np.abs(after - before).T.reshape(num_bins, -1, RATE_HZ // 1000)
  image = top_left.imshow(
    1e3 * np.sqrt(np.mean(blocks**2, axis=2)),
    origin="lower",
    aspect="auto",
    cmap="magma",
    interpolation="nearest",
    extent=(0, 1e3 * frame_length / RATE_HZ, 0, RATE_HZ / 2),
  )
  top_left.set_title("Change of each kernel over the frame")
  top_left.set_xlabel("time in the frame (milliseconds)")
  top_left.set_ylabel("frequency of the bin (Hz)")
  figure.colorbar(image, ax=top_left, label="RMS of the change (thousandths)")
  top_right.plot(hertz, 100 * moved, color="tab:purple")
  top_right.set_title("Change of each kernel, relative to its norm")
  top_right.set_xlabel("frequency of the bin (Hz)")
  top_right.set_ylabel("L2 norm of the change (%)")
  top_right.set_ylim(0)
  for axis, index, rank in zip(
    bottom, _extremes(moved), ("most", "least"), strict=True
  ):
    for kernels, label, style in (
      (before, "Fourier", {"color": "0.7", "linewidth": 2}),
      (after, "trained", {"color": "tab:purple", "linewidth": 1}),
    ):
      axis.plot(*_response(kernels[:, index]), label=label, **style)
    axis.set_title(
      f"The bin of {hertz[index]:.0f} Hz, which moved {rank}: "
      f"{moved[index]:.1%}"
    )
    axis.set_xlabel("frequency of a tone (Hz)")
    axis.set_ylabel("magnitude (dB, relative)")
    axis.set_ylim(-90, 5)
    axis.legend()
  figure.savefig(path, dpi=80)


def _bins_hertz(kernels: np.ndarray) -> np.ndarray:
  num_bins = kernels.shape[1]
  return np.arange(num_bins) * RATE_HZ / 2 / (num_bins - 1)


def _extremes(moved: np.ndarray) -> tuple[int, int]:
  return int(np.argmax(moved)), int(np.argmin(moved))


def _response(kernel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Returns frequencies, and what a kernel makes of tones of them, in dB."""
  size = 4096
  # The conjugate: the kernel of a bin turns the other way than its tone.
  magnitude = np.abs(np.fft.fft(np.conj(kernel), size))[: size // 2]
  hertz = np.arange(size // 2) * RATE_HZ / size
  return hertz, 20 * np.log10(magnitude / np.max(magnitude) + 1e-9)
