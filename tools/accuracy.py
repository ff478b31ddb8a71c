"""Measures the error of the transform and writes it to docs/accuracy.md.

Run it from the root of the repository:

    python -m tools.accuracy

The tests call `measure` for the same sizes and hold it to the bounds.
"""

import functools
import pathlib
import warnings
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

import tfspec
from tfspec.coefficients.windows import WindowLike
from tfspec.contract import bounds, oracle
from tfspec.contract.registry import in_dtype, xla_lacks

# frame_length, frame_step, fft_length: 16 to 4096, odd and even, powers of two
# and primes, with and without zeros behind the frame.
SIZES = (
  (16, 8, 16),
  (17, 5, 31),
  (100, 100, 175),
  (255, 128, 256),
  (256, 128, 512),
  (400, 160, 512),
  (715, 100, 715),
  (1009, 1009, 1024),
  (2048, 512, 2048),
  (4095, 1000, 4096),
  (4096, 1024, 4096),
)
WINDOWS = ("hann", None)  # Tapered and flat.
ENGINES = ("fft", "kernel")
DTYPES = ("float64", "float32", "float16", "bfloat16")
DOCUMENT = pathlib.Path(__file__).parent.parent / "docs" / "accuracy.md"

# Each constant has rounding errors of its own, and large ones are rare: there
# are as many of them as fill so many samples, but 20 at least.
_CONSTANT_SAMPLES = 40_000
_MIN_CONSTANTS = 20
_HEAD = """# Accuracy

Written by `python -m tools.accuracy`; do not edit.

The largest relative L2 error of a frame of the complex transform,
`||computed - exact|| / ||exact||`, against the transform written out in NumPy
float64 (`tests/oracle.py`) of the same samples. The frames hold noise, a
tone, a large offset with little noise, and {constants} or more constants, and
what lies between them; the seed is fixed. Each figure is the larger one of a
graph and of the same graph compiled by XLA, on one CPU; another CPU changes the
digits, not the bound. `python -m pytest tests/ops/engines_test.py` holds both
engines to the bounds, which `tfspec/contract/bounds.py` derives.

Beside them stand `keras.layers.STFTSpectrogram` (Keras {keras}) and
`tf.signal.stft` (TensorFlow {tensorflow}), run eagerly on the same samples;
"-" is what they do not take. Keras transforms with `fft_length - 1` where
`fft_length` is odd.
"""


def signals(frame_length: int, frame_step: int) -> np.ndarray:
  """Returns signals that are hard in different ways, one after the other.

  Args:
    frame_length: Samples in a frame; each kind fills two frames or more.
    frame_step: Samples between two frames.

  Returns:
    Float64 `[samples]`.
  """
  random = np.random.Generator(np.random.PCG64(20240229))
  long, short = 2 * frame_length + 11, frame_length + frame_step
  noise = random.standard_normal([2, long])
  tone = np.sin(0.1234 * np.arange(long))
  # The flatter the window, the more a sum has equal terms, and the more their
  # rounding errors add up, for each constant in its own way.
  count = max(_MIN_CONSTANTS, _CONSTANT_SAMPLES // short)
  constants = np.repeat(random.uniform(0.1, 1.0, count), short)
  return np.concatenate([noise[0], tone, 1.0 + 1e-3 * noise[1], constants])


@functools.lru_cache(maxsize=1)
def _case(
  sizes: tuple[int, int, int], window: WindowLike, dtype: str
) -> tuple[np.ndarray, np.ndarray]:
  """Returns the signals in a dtype, and their exact transform."""
  frame_length, frame_step, fft_length = sizes
  samples = in_dtype(signals(frame_length, frame_step), dtype)
  values = oracle.window(window, frame_length, False, "density")
  exact = oracle.stft(
    samples.astype(np.float64), values, frame_step, fft_length, "valid"
  )
  return samples, exact


def relative_error(
  real: tf.Tensor, imag: tf.Tensor, exact: np.ndarray
) -> float:
  """Returns the largest relative L2 error of a frame.

  Args:
    real: Real part, `[..., num_frames, num_bins]`.
    imag: Imaginary part, of the same shape.
    exact: What they should be, complex.

  Returns:
    The error, at least 0; not a number if a value is not.
  """
  error = np.asarray(tf.cast(real, tf.float64)) - exact
  error = error + 1j * np.asarray(tf.cast(imag, tf.float64))
  norms = np.linalg.norm(exact, axis=-1)
  return float(np.max(np.linalg.norm(error, axis=-1) / norms))


def measure(
  sizes: tuple[int, int, int],
  window: WindowLike,
  engine: str,
  dtype: str,
  jit_compile: bool,
  precision: str = "default",
) -> float:
  """Returns the largest error of `tfspec.stft` on `signals`.

  Args:
    sizes: `frame_length`, `frame_step` and `fft_length` in samples.
    window: As in `tfspec.SpectrogramConfig`.
    engine: "fft" or "kernel".
    dtype: Name of the dtype of the signals.
    jit_compile: Whether XLA compiles the graph.
    precision: As in `tfspec.SpectrogramConfig`.

  Returns:
    The error, see `relative_error`.
  """
  samples, exact = _case(sizes, window, dtype)

  @tf.function(jit_compile=jit_compile)
  def run(values: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return tfspec.stft(
      values, *sizes, window=window, engine=engine, precision=precision
    )

  return relative_error(*run(tf.constant(samples)), exact)


def measure_keras(
  sizes: tuple[int, int, int], window: WindowLike, dtype: str
) -> float | None:
  """Returns the error of the Keras layer, None where it does not run."""
  if dtype == "bfloat16":
    return None
  samples, exact = _case(sizes, window, dtype)
  with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # On lengths that are no power of two.
    layer = keras.layers.STFTSpectrogram(
      "stft", *sizes, window=window, scaling=None, dtype=dtype
    )
  try:
    values = layer(samples[np.newaxis, :, np.newaxis])[0]
  except tf.errors.InvalidArgumentError:  # It counts the bins in float16.
    return None
  # It does not scale without a window: the scale is left out for all.
  plain = oracle.window(window, sizes[0], False, None)
  return relative_error(
    *tf.split(values, 2, axis=-1), exact * np.sqrt(np.sum(plain**2))
  )


def measure_tf_signal(
  sizes: tuple[int, int, int], window: WindowLike, dtype: str
) -> float | None:
  """Returns the error of `tf.signal.stft`, None if it refuses the dtype."""
  if dtype in ("float16", "bfloat16"):
    return None
  samples, exact = _case(sizes, window, dtype)
  values = oracle.window(window, sizes[0], False, "density")
  spectrum = tf.signal.stft(
    samples, *sizes, window_fn=lambda _, dtype: tf.constant(values, dtype)
  )
  return relative_error(tf.math.real(spectrum), tf.math.imag(spectrum), exact)


def labels() -> Iterator[tuple[str, tuple[int, int, int], WindowLike]]:
  """Yields the start of each row of a dtype's table, with what it stands for.

  Yields:
    The text of the first two columns, the sizes, and the window.
  """
  for sizes in SIZES:
    for window in WINDOWS:
      text = "/".join(map(str, sizes))
      yield f"| {text} | {window or 'flat'} |", sizes, window


def title(dtype: str) -> str:
  """Returns the heading and the bound above a dtype's table."""
  return f"## {dtype}\n\nBound: {bounds.stft_bound(dtype):.4g}."


def _table(dtype: str) -> Iterator[str]:
  yield f"\n{title(dtype)}\n"
  yield (
    "| frame_length/frame_step/fft_length | window | fft | kernel "
    "| Keras | tf.signal |"
  )
  yield "|---|---|---|---|---|---|"
  for label, sizes, window in labels():
    errors = [
      max(
        measure(sizes, window, engine, dtype, jit_compile)
        for jit_compile in (False, True)
        if not (jit_compile and xla_lacks(engine, dtype))
      )
      for engine in ENGINES
    ]
    errors.append(measure_keras(sizes, window, dtype))
    errors.append(measure_tf_signal(sizes, window, dtype))
    cells = ["-" if error is None else f"{error:.1e}" for error in errors]
    yield f"{label} {' | '.join(cells)} |"


def main() -> None:
  """Measures everything and writes the document."""
  lines = [
    _HEAD.format(
      constants=_MIN_CONSTANTS,
      keras=keras.__version__,
      tensorflow=tf.__version__,
    ).rstrip()
  ]
  for dtype in DTYPES:
    for line in _table(dtype):
      print(line, flush=True)
      lines.append(line)
  DOCUMENT.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
  main()
