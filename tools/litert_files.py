"""Measures LiteRT files: their size, and the error of what LiteRT computes.

Run it from the root of the repository:

    python -m tools.litert_files

docs/litert.md has what it prints; the tests hold it to the bound.
"""

import os
import tempfile

import numpy as np

import tfspec
from tfspec.coefficients.windows import WindowLike
from tfspec.contract import bounds, oracle
from tfspec.export import litert
from tools import accuracy

SIZES = (
  (17, 5, 31),
  (256, 128, 256),
  (400, 160, 512),
  (400, 160, 400),
  (1024, 256, 1024),
  (2048, 512, 2048),
)


def measure(
  sizes: tuple[int, int, int], window: WindowLike, engine: str
) -> tuple[int, float]:
  """Returns the size of a file in bytes, and its largest error.

  Args:
    sizes: `frame_length`, `frame_step` and `fft_length` in samples.
    window: As in `tfspec.SpectrogramConfig`.
    engine: "fft" or "kernel".

  Returns:
    The size, and the largest relative L2 error of a frame of
    `accuracy.signals`.
  """
  frame_length, frame_step, fft_length = sizes
  config = tfspec.SpectrogramConfig(
    mode="stft",
    frame_length=frame_length,
    frame_step=frame_step,
    fft_length=fft_length,
    window=window,
    engine=engine,
  )
  signals = accuracy.signals(frame_length, frame_step).astype(np.float32)
  exact = oracle.stft(
    signals.astype(np.float64),
    oracle.window(window, frame_length, False, "density"),
    frame_step,
    fft_length,
    "valid",
  )
  with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "file.tflite")
    tfspec.export_litert(config, path)
    outputs = litert.run(litert.interpreter(path), signals[np.newaxis])
    size = os.path.getsize(path)
  real, imag = np.split(outputs["spectrogram"][0], 2, axis=-1)
  return size, accuracy.relative_error(real, imag, exact)


def main() -> None:
  """Prints the table."""
  print(f"Bound: {bounds.stft_bound('float32'):.4g}.\n")
  columns = ["size, fft", "error, fft", "size, kernel", "error, kernel"]
  print(
    f"| frame_length/frame_step/fft_length | window | {' | '.join(columns)} |"
  )
  print("|---|---|---|---|---|---|")
  for sizes in SIZES:
    for window in accuracy.WINDOWS:
      cells = ["/".join(map(str, sizes)), window or "flat"]
      for engine in accuracy.ENGINES:
        size, error = measure(sizes, window, engine)
        cells += [f"{size / 1000:,.0f} kB", f"{error:.1e}"]
      print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
  main()
