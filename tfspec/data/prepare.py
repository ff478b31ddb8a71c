"""Audio files in, sharded TFRecords and a manifest out."""

import collections
import concurrent.futures
import dataclasses
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any, TextIO

import numpy as np
import tensorflow as tf

from tfspec import checksums, errors, plot
from tfspec import spectrogram as spectrogram_lib
from tfspec.config import SpectrogramConfig, save_config
from tfspec.data import records

CONTACT_SHEET_FILE = "contact_sheet.png"
_SHEET_CLIPS = 12
_SHEET_SECONDS = 5.0
# A protocol buffer, and so a tf.train.Example, ends at 2 GiB.
_MAX_EXAMPLE_BYTES = 1 << 30


@dataclasses.dataclass(frozen=True)
class Summary:
  """What `prepare` did.

  Attributes:
    written: Number of spectrograms.
    skipped: Number of files that gave none; the manifest has the reasons.
    audio_seconds: Length of the audio that was written.
    seconds: How long it took.
    contact_sheet: Path of the picture, or None if there is none.
    sample_rates_hz: Every sample rate among the clips that were written.
    channels: Every number of channels among them.
  """

  written: int
  skipped: int
  audio_seconds: float
  seconds: float
  contact_sheet: str | None
  sample_rates_hz: tuple[int, ...]
  channels: tuple[int, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class _Result:
  """One file: its spectrogram, or the reason why there is none."""

  source: str
  reason: str = ""
  values: np.ndarray | None = None
  samples: int = 0
  channels: int = 0
  sample_rate_hz: int = 0


def prepare(
  input_folder: str | os.PathLike[str],
  output_folder: str | os.PathLike[str],
  config: SpectrogramConfig,
  *,
  shard_bytes: int = 128 << 20,
  workers: int = 2,
  progress: TextIO | None = None,
) -> Summary:
  """Computes the spectrograms of a folder of WAV files.

  The output folder appears when it is complete: shards
  `spectrograms-00000-of-00001.tfrecord` of `tf.train.Example` ("spectrogram",
  "shape", "source", "sample_rate_hz"), `config.textproto`, `manifest.jsonl`
  with a row for every input file, written or skipped with the reason,
  `contact_sheet.png` if matplotlib is installed, and `sha256sums.txt`.

  Args:
    input_folder: Folder; every `*.wav` below it is read, in sorted order, and
      every other file is listed as skipped. Links to folders are not followed.
    output_folder: Folder that does not exist yet.
    config: What to compute; not trainable.
    shard_bytes: Size at which a shard is closed.
    workers: Number of files in work at a time.
    progress: Stream for a progress line, or None.

  Returns:
    What was done.

  Raises:
    FileExistsError: If the output folder exists.
    FileNotFoundError: If there is no input folder, or no WAV file in it.
    ValueError: If the config is trainable, `workers` or `shard_bytes` is less
      than 1, or no file gave a spectrogram.
  """
  source_folder = os.fspath(input_folder)
  target = os.path.normpath(os.fspath(output_folder))
  if config.trainable:
    raise ValueError(
      "config must not be trainable to prepare data. Got: trainable=True."
    )
  for name, value in (("workers", workers), ("shard_bytes", shard_bytes)):
    if value < 1:
      raise ValueError(f"{name} must be at least 1. Got: {name}={value}.")
  if os.path.exists(target):
    raise FileExistsError(f"output_folder must not exist yet. Got: {target}.")
  sources = _find_files(source_folder)
  parent, name = os.path.split(os.path.abspath(target))
  os.makedirs(parent, exist_ok=True)
  partial = tempfile.mkdtemp(prefix=f"{name}.partial-", dir=parent)
  os.chmod(partial, 0o755)  # mkdtemp lets nobody else read.
  try:
    summary = _write(
      source_folder, sources, partial, config, shard_bytes, workers, progress
    )
    checksums.write(partial)
    os.rename(partial, target)
  except BaseException:
    shutil.rmtree(partial, ignore_errors=True)
    raise
  if summary.contact_sheet:
    summary = dataclasses.replace(
      summary, contact_sheet=os.path.join(target, CONTACT_SHEET_FILE)
    )
  return summary


def _find_files(folder: str) -> list[str]:
  """Returns the paths of all files below a folder, relative and sorted.

  Folders that cannot be listed, and links to folders, are among them.
  """
  if not os.path.isdir(folder):
    raise FileNotFoundError(f"input_folder must be a folder. Got: {folder}.")
  closed = []
  found = []
  for parent, folders, names in os.walk(
    folder, onerror=lambda e: closed.append(e.filename)
  ):
    links = [n for n in folders if os.path.islink(os.path.join(parent, n))]
    found += [os.path.join(parent, name) for name in [*names, *links]]
  if not any(name.lower().endswith(".wav") for name in found):
    raise FileNotFoundError(
      f"input_folder must hold *.wav files. Got: none below {folder}."
    )
  return sorted(os.path.relpath(path, folder) for path in [*found, *closed])


def _write(
  folder: str,
  sources: list[str],
  partial: str,
  config: SpectrogramConfig,
  shard_bytes: int,
  workers: int,
  progress: TextIO | None,
) -> Summary:
  start = time.monotonic()
  writer = records.ShardWriter(partial, shard_bytes)
  bar = _Progress(len(sources), start, progress)
  rows = []
  sheet = _Sheet()
  for result in _results(folder, sources, config, workers):
    row: dict[str, Any] = {"source": result.source}
    if result.values is None:
      row |= {"status": "skipped", "reason": result.reason}
      seconds = 0.0
    else:
      shard = writer.write(result.values, result.source, result.sample_rate_hz)
      seconds = result.samples / result.sample_rate_hz
      row |= {
        "status": "written",
        "shard": shard,
        "shape": list(result.values.shape),
        "samples": result.samples,
        "channels": result.channels,
        "sample_rate_hz": result.sample_rate_hz,
      }
      sheet.offer(result, config)
    rows.append(row)
    bar.add(seconds)
  bar.close()
  names = writer.close()
  for row in rows:
    if row["status"] == "written":
      row["shard"] = names[row["shard"]]
  with open(
    os.path.join(partial, records.MANIFEST_FILE), "w", encoding="utf-8"
  ) as file:
    file.writelines(json.dumps(row) + "\n" for row in rows)
  save_config(config, os.path.join(partial, records.CONFIG_FILE))
  written = sum(row["status"] == "written" for row in rows)
  if not written:
    reasons = "; ".join(f"{row['source']}: {row['reason']}" for row in rows[:3])
    raise ValueError(
      "input_folder must hold a WAV file that gives a spectrogram. "
      f"Got: none of {len(rows)} does. {reasons}"
    )
  good = [row for row in rows if row["status"] == "written"]
  return Summary(
    written,
    len(rows) - written,
    bar.audio_seconds,
    time.monotonic() - start,
    sheet.draw(config, partial),
    tuple(sorted({row["sample_rate_hz"] for row in good})),
    tuple(sorted({row["channels"] for row in good})),
  )


def _results(
  folder: str, sources: list[str], config: SpectrogramConfig, workers: int
) -> Iterator[_Result]:
  """Yields the result of each file, in order, a few files ahead."""
  spectrogram = spectrogram_lib.Spectrogram(config)

  @tf.function(input_signature=[tf.TensorSpec([], tf.string)])
  def compute(contents: tf.Tensor) -> tuple[tf.Tensor, ...]:
    signals, sample_rate_hz = spectrogram_lib.decode_wav(contents, config)
    return spectrogram(signals), tf.shape(signals), sample_rate_hz

  def run(source: str) -> _Result:
    path = os.path.join(folder, source)
    if not source.lower().endswith(".wav"):
      return _Result(source, reason="The name does not end in .wav.")
    if os.path.isdir(path) or os.path.exists(path) > os.path.isfile(path):
      return _Result(source, reason="It is not a regular file.")
    try:
      with open(path, "rb") as file:
        contents = file.read()
      values, shape, sample_rate_hz = (t.numpy() for t in compute(contents))
    except (OSError, tf.errors.OpError) as e:
      return _Result(source, reason=_reason(e))
    samples, channels = (
      shape if config.data_format == "channels_last" else shape[::-1]
    )
    if not values.size:
      return _Result(source, reason=_no_frames(int(samples), config))
    if values.nbytes > _MAX_EXAMPLE_BYTES:
      reason = (
        f"A spectrogram must have at most {_MAX_EXAMPLE_BYTES} bytes. "
        f"Got: {values.nbytes}."
      )
      return _Result(source, reason=reason)
    if not np.all(np.isfinite(values)):
      reason = "The clip must be finite. Got: samples that are inf or NaN."
      return _Result(source, reason=reason)
    return _Result(
      source,
      "",
      values,
      int(samples),
      int(channels),
      int(sample_rate_hz),
    )

  with concurrent.futures.ThreadPoolExecutor(workers) as pool:
    waiting = collections.deque()
    for source in sources:
      waiting.append(pool.submit(run, source))
      if len(waiting) > 2 * workers:
        yield waiting.popleft().result()
    while waiting:
      yield waiting.popleft().result()


def _no_frames(samples: int, config: SpectrogramConfig) -> str:
  if not samples:
    return "The file holds no samples."
  return (
    "The clip is shorter than a frame. "
    f"Got: samples={samples}, frame_length={config.frame_length}."
  )


def _reason(error: Exception) -> str:
  if isinstance(error, OSError):
    return f"The file cannot be read: {error.strerror or error}."
  return errors.sentence(error)


class _Sheet:
  """Clips for the contact sheet, evenly spread over all that are written."""

  def __init__(self) -> None:
    self._panels: list[plot.Panel] = []
    self._every = 1
    self._offered = 0

  def offer(self, result: _Result, config: SpectrogramConfig) -> None:
    """Takes one clip in so many, and ever fewer as they get more."""
    if self._offered % self._every == 0:
      step = config.resolved().frame_step
      frames = int(_SHEET_SECONDS * result.sample_rate_hz / step) + 1
      axis = spectrogram_lib.time_axis(config) - 1
      some = range(min(frames, result.values.shape[axis]))
      values = np.take(result.values, some, axis)
      title = result.source
      if result.channels > 1:
        title += f" (channel 1 of {result.channels})"
      self._panels.append(plot.Panel(title, values, result.sample_rate_hz))
    self._offered += 1
    if len(self._panels) >= 2 * _SHEET_CLIPS:
      self._panels = self._panels[::2]
      self._every *= 2

  def draw(self, config: SpectrogramConfig, folder: str) -> str | None:
    """Draws them and returns the path, or None where matplotlib is missing."""
    count = min(_SHEET_CLIPS, len(self._panels))
    spread = np.linspace(0, len(self._panels) - 1, count).round().astype(int)
    path = os.path.join(folder, CONTACT_SHEET_FILE)
    try:
      plot.contact_sheet([self._panels[i] for i in spread], config, path)
    except Exception as e:  # A picture is not worth the data.
      print(f"No contact sheet: {e}", file=sys.stderr)
      return None
    return path


class _Progress:
  """A progress line: bar, files, time left and speed."""

  def __init__(self, total: int, start: float, stream: TextIO | None) -> None:
    self._total = total
    self._start = start
    self._stream = stream
    self._done = 0
    self._last = 0.0
    self.audio_seconds = 0.0

  def add(self, audio_seconds: float) -> None:
    """Counts one file."""
    self._done += 1
    self.audio_seconds += audio_seconds
    if self._stream is None:
      return
    now = time.monotonic()
    # A terminal is redrawn ten times a second; a log gets a line in five.
    pause = 0.1 if self._stream.isatty() else 5.0
    if now - self._last >= pause or self._done == self._total:
      self._last = now
      end = "\r" if self._stream.isatty() else "\n"
      self._stream.write(self._line(now - self._start) + end)
      self._stream.flush()

  def close(self) -> None:
    """Leaves the line of a terminal."""
    if self._stream is not None and self._stream.isatty():
      self._stream.write("\n")

  def _line(self, seconds: float) -> str:
    share = self._done / self._total
    filled = int(20 * share)
    left = seconds / share - seconds
    speed = self.audio_seconds / max(seconds, 1e-9)
    return (
      f"[{'#' * filled}{'.' * (20 - filled)}] {self._done}/{self._total} files"
      f", {left:.0f} s left, {speed:.0f} x real time "
    )
