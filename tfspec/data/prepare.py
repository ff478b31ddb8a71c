"""Audio files in, sharded TFRecords and a manifest out.

`prepare_clips` computes the spectrograms, and says why a file has none.
"""

import json
import math
import os
import sys
import time
from typing import Any, TextIO

import numpy as np

from tfspec.config import SpectrogramConfig, save_config
from tfspec.data import prepare_report, records
from tfspec.data.prepare_clips import Clip, clips, is_wav
from tfspec.data.prepare_report import Summary
from tfspec.spectrogram import layouts
from tfspec.storage import checksums, files
from tfspec.view import plot

CONTACT_SHEET_FILE = "contact_sheet.png"
_SHEET_CLIPS = 12
_SHEET_SECONDS = 5.0


def prepare(
  input_folder: files.Path,
  output_folder: files.Path,
  config: SpectrogramConfig,
  *,
  shard_bytes: int = 128 << 20,
  workers: int = 2,
  max_skipped: float = 0.5,
  progress: TextIO | None = None,
) -> Summary:
  """Computes the spectrograms of a folder of WAV files.

  The output folder appears when it is complete: shards
  `spectrograms-00000-of-00001.tfrecord` of `tf.train.Example` ("spectrogram",
  "shape", "source", "sample_rate_hz"), `config.textproto`, `manifest.jsonl`
  with a row for every input file, written or skipped with the reason,
  `contact_sheet.png` if matplotlib is installed, and `sha256sums.txt`. Until
  then its name ends in `.partial`. Some file systems, such as object stores,
  cannot rename a folder at once: its files then appear one by one.

  The shards of the same files and config have the same bytes in every run with
  the same TensorFlow on the same kind of machine.

  Args:
    input_folder: Folder; every `*.wav` below it is read, in sorted order, and
      every other file is listed as skipped. It does not follow links to
      folders.
    output_folder: Folder that does not exist yet. It may be below the input.
    config: What to compute; not trainable.
    shard_bytes: Size at which a shard is closed.
    workers: Number of files in work at a time; fewer if they are long, so that
      memory stays bounded by the longest.
    max_skipped: The share of the `*.wav` files that may be skipped. The run
      fails as soon as it is certain that more are, and lists the files skipped
      so far in `OUTPUT.skipped.jsonl`, beside the output.
    progress: Stream for a progress line, or None.

  Returns:
    What was done.

  Raises:
    FileExistsError: If the output folder exists, or another run makes it.
    FileNotFoundError: If there is no input folder, or no WAV file in it.
    OSError: If the output folder cannot be made.
    ValueError: If the config is trainable, `workers`, `shard_bytes` or
      `max_skipped` is out of its range, too many files were skipped, or none
      gave a spectrogram.
  """
  source_folder = files.as_path(input_folder)
  if config.trainable:
    raise ValueError(
      "config must not be trainable to prepare data. Got: trainable=True."
    )
  for name, value in (("workers", workers), ("shard_bytes", shard_bytes)):
    if value < 1:
      raise ValueError(f"{name} must be at least 1. Got: {name}={value}.")
  if not 0 <= max_skipped <= 1:
    raise ValueError(
      f"max_skipped must be in [0, 1]. Got: max_skipped={max_skipped}."
    )
  target = files.check_new(output_folder, "output_folder")
  sources = _find_files(source_folder)
  with files.written_aside(target, "output_folder") as partial:
    summary = _write(
      source_folder,
      sources,
      target,
      partial,
      config,
      shard_bytes,
      workers,
      max_skipped,
      progress,
    )
    checksums.write(partial)
  return summary


def _find_files(folder: str) -> list[str]:
  """Returns the paths of all files below a folder, relative and sorted."""
  if not files.is_folder(folder):
    raise FileNotFoundError(
      f"input_folder must be a folder. Got: {files.shown(folder)}."
    )
  found = files.below(folder)
  if not any(map(is_wav, found)):
    raise FileNotFoundError(
      "input_folder must hold *.wav files. Got: none below "
      f"{files.shown(folder)}."
    )
  return found


def _write(
  folder: str,
  sources: list[str],
  target: str,
  partial: str,
  config: SpectrogramConfig,
  shard_bytes: int,
  workers: int,
  max_skipped: float,
  progress: TextIO | None,
) -> Summary:
  start = time.monotonic()
  writer = records.ShardWriter(partial, shard_bytes)
  bar = prepare_report.Progress(len(sources), start, progress)
  num_wavs = sum(map(is_wav, sources))
  most_skipped = math.floor(max_skipped * num_wavs + 1e-9)
  num_skipped = 0
  rows = []
  sheet = _Sheet()
  for clip in clips(folder, sources, config, workers):
    row: dict[str, Any] = {"source": clip.source}
    if clip.values is None:
      row |= {"status": "skipped", "reason": clip.reason}
      seconds = 0.0
      num_skipped += is_wav(clip.source)
    else:
      shard, size = writer.write(clip.record)
      seconds = clip.samples / clip.sample_rate_hz
      row |= {
        "status": "written",
        "shard": shard,
        "record_bytes": size,
        "shape": list(clip.values.shape),
        "samples": clip.samples,
        "missing_samples": clip.missing_samples,
        "channels": clip.channels,
        "sample_rate_hz": clip.sample_rate_hz,
      }
      sheet.offer(clip, clip.values, config)
    rows.append(row)
    bar.add(seconds)
    if num_skipped > most_skipped or num_skipped == num_wavs:
      raise ValueError(_too_many_skipped(rows, num_wavs, max_skipped, target))
    del clip  # It may be large, and the next is in work.
  bar.close()
  names = writer.close()
  written = [row for row in rows if row["status"] == "written"]
  skipped = [row for row in rows if row["status"] == "skipped"]
  for row in written:
    row["shard"] = names[row["shard"]]
  _write_rows(rows, os.path.join(partial, records.MANIFEST_FILE))
  save_config(config, os.path.join(partial, records.CONFIG_FILE))
  sheet_path = os.path.join(target, CONTACT_SHEET_FILE)
  has_sheet = sheet.draw(config, os.path.join(partial, CONTACT_SHEET_FILE))
  missing = [row["missing_samples"] for row in written]
  return Summary(
    output_folder=target,
    written=len(written),
    skipped=len(skipped),
    audio_seconds=bar.audio_seconds,
    seconds=time.monotonic() - start,
    contact_sheet=sheet_path if has_sheet else None,
    sample_rates_hz=tuple(sorted({row["sample_rate_hz"] for row in written})),
    channels=tuple(sorted({row["channels"] for row in written})),
    skipped_reasons=tuple(prepare_report.grouped_reasons(skipped)),
    cut_short=sum(samples > 0 for samples in missing),
    missing_samples=sum(missing),
  )


def _write_rows(rows: list[dict[str, Any]], path: str) -> None:
  # A name that is no text has a surrogate for each such byte: JSON escapes it,
  # and `os.fsencode` of what is read gives the bytes.
  lines = [json.dumps(row) + "\n" for row in rows]
  files.write_bytes(path, "".join(lines).encode())


def _too_many_skipped(
  rows: list[dict[str, Any]], num_wavs: int, max_skipped: float, target: str
) -> str:
  """Returns what to say, and writes down what was skipped."""
  skipped = [row for row in rows if row["status"] == "skipped"]
  wavs = [row for row in skipped if is_wav(row["source"])]
  path = f"{target}.skipped.jsonl"
  _write_rows(skipped, path)
  return "\n".join(
    [
      "The WAV files that are skipped must be a share of at most max_skipped, "
      f"and not all. Got: max_skipped={max_skipped}, {len(wavs)} of "
      f"{num_wavs} skipped when {len(rows) - len(skipped)} were written. "
      f"Nothing is kept but {files.shown(path)}, which lists them.",
      *prepare_report.grouped_reasons(wavs),
    ]
  )


class _Sheet:
  """Clips for the contact sheet, evenly spread over all that are written."""

  def __init__(self) -> None:
    self._panels: list[plot.Panel] = []
    self._every = 1
    self._offered = 0

  def offer(
    self, clip: Clip, values: np.ndarray, config: SpectrogramConfig
  ) -> None:
    """Takes one clip in so many, and ever fewer as they get more."""
    if self._offered % self._every == 0:
      step = config.resolved().frame_step
      frames = int(_SHEET_SECONDS * clip.sample_rate_hz / step) + 1
      axis = layouts.time_axis(config) - 1
      some, _ = np.split(values, [frames], axis)
      title = clip.source
      if clip.channels > 1:
        title += f" (channel 1 of {clip.channels})"
      self._panels.append(plot.Panel(title, some.copy(), clip.sample_rate_hz))
    self._offered += 1
    if len(self._panels) >= 2 * _SHEET_CLIPS:
      self._panels = self._panels[::2]
      self._every *= 2

  def draw(self, config: SpectrogramConfig, path: str) -> bool:
    """Draws them, and returns whether that was possible."""
    count = min(_SHEET_CLIPS, len(self._panels))
    spread = np.linspace(0, len(self._panels) - 1, count).round().astype(int)
    try:
      plot.contact_sheet([self._panels[i] for i in spread], config, path)
    except Exception as e:  # A picture is not worth the data.
      print(f"No contact sheet: {e}", file=sys.stderr)
      return False
    return True
