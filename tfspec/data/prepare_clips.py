"""The clips of a folder and their spectrograms, several in work at a time."""

import collections
import concurrent.futures
import dataclasses
import math
import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfspec import errors
from tfspec.config import SpectrogramConfig
from tfspec.data import records, wav_file
from tfspec.spectrogram import layouts
from tfspec.spectrogram import module as spectrogram_lib
from tfspec.storage import files

# A protocol buffer, and so a tf.train.Example, ends at 2 GiB.
_MAX_EXAMPLE_BYTES = 1 << 30
# The signals, or the values, of a piece of a clip.
_PIECE_VALUES = 1 << 22
# The signals and spectrograms that are in work or wait to be written.
_BYTES_IN_WORK = 256 << 20


@dataclasses.dataclass(frozen=True, eq=False)
class Clip:
  """One file: its spectrogram, or the reason why there is none.

  The values lie in the record.
  """

  source: str
  reason: str = ""
  record: bytearray = dataclasses.field(default_factory=bytearray)
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
      return compute(source, path)
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
  """Returns about how many bytes a clip of 16 bits and its result take."""
  if not is_wav(path):
    return 0
  try:
    samples = files.size(path) // 2
  except OSError:  # Whoever reads it says so.
    return 0
  values = samples * config.num_features // config.resolved().frame_step
  read = min(samples, _PIECE_VALUES) if config.is_of_frames else samples
  return 4 * (read + values)


def _computation(config: SpectrogramConfig) -> Callable[[str, str], Clip]:
  """Returns a function from the name and path of a file to its result."""
  spectrogram = spectrogram_lib.Spectrogram(config)
  axis = layouts.time_axis(config) - 1
  compute_piece = tf.function(
    lambda signals: spectrogram(layouts.to_layout(signals, config)),
    input_signature=[tf.TensorSpec([None, None], tf.float32)],
    autograph=False,
  )

  def compute(source: str, path: str) -> Clip:
    file = wav_file.WavFile(path, config.sample_rate_hz)
    frames = config.num_frames(file.samples)
    batch = layouts.output_shape(1, frames, file.channels, config)
    shape = tuple(n or 0 for n in batch[1:])
    size = 4 * math.prod(shape)
    if not size:
      return Clip(source, reason=_no_frames(file, config))
    if size > _MAX_EXAMPLE_BYTES:
      reason = (
        f"A spectrogram must have at most {_MAX_EXAMPLE_BYTES} bytes. "
        f"Got: {size}."
      )
      return Clip(source, reason=reason)
    record, values = records.make_example(shape, source, file.sample_rate_hz)
    by_time = np.moveaxis(values, axis, 0)
    for piece in _pieces(file.samples, file.channels, config):
      signals = file.read(piece.start, piece.stop)
      # Not `numpy()`, which copies.
      found = np.asarray(memoryview(compute_piece(signals)))
      found = np.moveaxis(found, axis, 0)[piece.own]
      if not np.all(np.isfinite(found)):
        reason = "The clip must be finite. Got: samples that are inf or NaN."
        if np.all(np.isfinite(signals)):
          reason = "The values must fit into float32. Got: inf or NaN."
        return Clip(source, reason=reason)
      by_time[piece.frames] = found
    return Clip(
      source,
      "",
      record,
      values,
      file.samples,
      file.channels,
      file.sample_rate_hz,
      file.missing,
    )

  return compute


class _Piece(NamedTuple):
  """A part of a clip, computed as if it were a clip.

  Attributes:
    start: Its first sample.
    stop: The sample behind its last one.
    own: The frames of the piece that count.
    frames: Their numbers in the clip.
  """

  start: int
  stop: int
  own: slice
  frames: slice


def _pieces(
  samples: int, channels: int, config: SpectrogramConfig
) -> Iterator[_Piece]:
  """Yields the pieces of a clip: all of it, if it is not long.

  They overlap, so that no frame that counts sees the padding of a piece. Where
  a value depends on the whole clip, there is one piece.
  """
  values = config.resolved()
  step = values.frame_step
  # No piece may look as if its channels were its samples.
  overlap = -(-max(values.frame_length, channels) // step)
  most = _PIECE_VALUES // (channels * max(step, config.num_features))
  most = max(most, 4 * overlap)  # Or most of the work would be done twice.
  total = config.num_frames(samples)
  if not config.is_of_frames:
    most = max(1, total)
  for first in range(0, total, most):
    last = min(first + most, total)
    before = max(0, first - overlap)
    # "same" padding begins as that of the clip does where the length of the
    # piece leaves the same remainder.
    stop = (last + overlap) * step + samples % step
    yield _Piece(
      before * step,
      min(stop, samples) if last < total else samples,
      slice(first - before, last - before),
      slice(first, last),
    )


def _no_frames(file: wav_file.WavFile, config: SpectrogramConfig) -> str:
  cut = ""
  if file.missing:
    cut = f", and {file.missing} missing, as the file is cut short"
  if not file.samples:
    return f"The file holds no samples{cut}."
  return (
    f"{config.why_no_frames(file.samples)} "
    f"Got: samples={file.samples}{cut}, frame_length={config.frame_length}."
  )


def _reason(error: Exception) -> str:
  if isinstance(error, OSError):
    return f"The file cannot be read: {error.strerror or error}."
  return errors.sentence(error)
