"""The clips of a folder and their spectrograms, several in work at a time."""

import collections
import concurrent.futures
import dataclasses
import os
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from tfspec import errors
from tfspec.config import SpectrogramConfig
from tfspec.spectrogram import layouts
from tfspec.spectrogram import module as spectrogram_lib
from tfspec.storage import files

# A protocol buffer, and so a tf.train.Example, ends at 2 GiB.
_MAX_EXAMPLE_BYTES = 1 << 30
# The signals and spectrograms that are in work or wait to be written.
_BYTES_IN_WORK = 256 << 20


@dataclasses.dataclass(frozen=True, eq=False)
class Clip:
  """One file: its spectrogram, or the reason why there is none."""

  source: str
  reason: str = ""
  values: np.ndarray | None = None
  samples: int = 0
  channels: int = 0
  sample_rate_hz: int = 0
  missing_samples: int = 0


def is_wav(path: str) -> bool:
  """Returns whether a file is meant to be read, by its name."""
  return path.lower().endswith(".wav")


def clips(
  folder: str, sources: list[str], config: SpectrogramConfig, workers: int
) -> Iterator[Clip]:
  """Yields the result of each file, in order, a few files ahead."""
  compute = _computation(config)

  def run(source: str) -> Clip:
    path = os.path.join(folder, source)
    if not is_wav(source):
      return Clip(source, reason="The name does not end in .wav.")
    if not files.is_remote(path) and (
      os.path.isdir(path) or os.path.exists(path) > os.path.isfile(path)
    ):
      return Clip(source, reason="It is not a regular file.")
    try:
      return compute(source, files.read_bytes(path))
    except (OSError, tf.errors.OpError) as e:
      return Clip(source, reason=_reason(e))

  with concurrent.futures.ThreadPoolExecutor(workers) as pool:
    waiting: collections.deque[tuple[concurrent.futures.Future[Clip], int]] = (
      collections.deque()
    )
    in_work = 0
    for source in sources:
      size = _estimated_bytes(os.path.join(folder, source), config)
      # A long clip waits until what is before it is written, and is then alone.
      while waiting and (
        len(waiting) > 2 * workers or in_work + size > _BYTES_IN_WORK
      ):
        yield waiting[0][0].result()
        in_work -= waiting.popleft()[1]
      waiting.append((pool.submit(run, source), size))
      in_work += size
    while waiting:
      yield waiting.popleft()[0].result()


def _estimated_bytes(path: str, config: SpectrogramConfig) -> int:
  """Returns about how many bytes a clip of 16 bits and its result have."""
  if not is_wav(path):
    return 0
  try:
    samples = files.size(path) // 2
  except OSError:  # Whoever reads it says so.
    return 0
  values = samples * config.num_features // config.resolved().frame_step
  return 4 * (samples + values)


def _computation(
  config: SpectrogramConfig,
) -> Callable[[str, bytes], Clip]:
  """Returns a function from the name and contents of a file to its result."""

  @tf.function(input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
  def decode(contents: tf.Tensor) -> tuple[tf.Tensor, ...]:
    return spectrogram_lib.decode_wav(contents, config, return_missing=True)

  spectrogram = tf.function(
    spectrogram_lib.Spectrogram(config),
    input_signature=[tf.TensorSpec([None, None], tf.float32)],
  )

  def compute(source: str, contents: bytes) -> Clip:
    signals, sample_rate_hz, missing = decode(contents)
    del contents
    sizes = layouts.samples_and_channels(signals.shape.as_list(), config)
    samples, channels = map(int, sizes)
    missing = int(missing)
    frames = config.num_frames(samples)
    size = 4 * frames * config.num_features * channels
    if not size:
      return Clip(source, reason=_no_frames(samples, missing, config))
    if size > _MAX_EXAMPLE_BYTES:
      reason = (
        f"A spectrogram must have at most {_MAX_EXAMPLE_BYTES} bytes. "
        f"Got: {size}."
      )
      return Clip(source, reason=reason)
    # Not `numpy()`, which copies.
    values = np.asarray(memoryview(spectrogram(signals)))
    if not np.all(np.isfinite(values)):
      reason = "The clip must be finite. Got: samples that are inf or NaN."
      return Clip(source, reason=reason)
    return Clip(
      source, "", values, samples, channels, int(sample_rate_hz), missing
    )

  return compute


def _no_frames(samples: int, missing: int, config: SpectrogramConfig) -> str:
  cut = f", and {missing} missing, as the file is cut short" if missing else ""
  if not samples:
    return f"The file holds no samples{cut}."
  return (
    "The clip is shorter than a frame. "
    f"Got: samples={samples}{cut}, frame_length={config.frame_length}."
  )


def _reason(error: Exception) -> str:
  if isinstance(error, OSError):
    return f"The file cannot be read: {error.strerror or error}."
  return errors.sentence(error)
