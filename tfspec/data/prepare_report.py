"""What `prepare` tells a person: how far it is, and what it did."""

import collections
import dataclasses
import os
import time
from collections.abc import Iterable, Mapping
from typing import Any, TextIO

from tfspec.data import records
from tfspec.storage import files

# Advice, by words of the rule that a file broke.
_HELP = {
  "the sample rate must be": (
    "Resample them, or prepare each rate into a dataset of its own."
  ),
  "shorter than a frame": (
    'A smaller frame_length, or padding="same", gives them frames.'
  ),
  "must be finite": "Mend or remove them: no spectrogram of them means much.",
  "cannot be read": "Look at the permissions, and where links lead.",
}
_MOST_VALUES = 3
# An earlier estimate of the time left would be a guess.
_FIRST_ESTIMATE_SECONDS = 5.0
_FIRST_ESTIMATE_SHARE = 0.02


@dataclasses.dataclass(frozen=True)
class Summary:
  """What `prepare` did; `str(summary)` tells it.

  Attributes:
    output_folder: Where it lies.
    written: Number of spectrograms.
    skipped: Number of files that gave none; the manifest has each.
    audio_seconds: Length of the audio that was written.
    seconds: How long it took.
    contact_sheet: Path of the picture, or None if there is none.
    sample_rates_hz: Every sample rate among the clips that were written.
    channels: Every number of channels among them.
    skipped_reasons: A sentence for each reason, with the number of files, the
      values found in them, one of their names, and what helps.
    cut_short: How many of the clips that were written have fewer samples than
      the header of their file promises.
    missing_samples: How many samples a channel these lack, in all.
  """

  output_folder: str
  written: int
  skipped: int
  audio_seconds: float
  seconds: float
  contact_sheet: str | None
  sample_rates_hz: tuple[int, ...]
  channels: tuple[int, ...]
  skipped_reasons: tuple[str, ...]
  cut_short: int
  missing_samples: int

  def __str__(self) -> str:
    manifest = os.path.join(self.output_folder, records.MANIFEST_FILE)
    lines = [
      f"{self.written} written, {self.skipped} skipped "
      f"({files.shown(manifest)} says why), "
      f"{self.audio_seconds:.1f} s of audio in {self.seconds:.1f} s"
    ]
    lines += [f"skipped {reason}" for reason in self.skipped_reasons]
    if self.cut_short:
      verb = "is" if self.cut_short == 1 else "are"
      lines.append(
        f"note: {_files(self.cut_short)} {verb} cut short: "
        f"{self.missing_samples} samples less than the headers promise "
        "(missing_samples in the manifest)"
      )
    for name, found in (
      ("sample rates in hertz", self.sample_rates_hz),
      ("channels", self.channels),
    ):
      if len(found) > 1:
        values = ", ".join(map(str, found))
        lines.append(f"note: the clips differ in {name}: {values}")
    if self.contact_sheet:
      lines.append(f"contact sheet: {files.shown(self.contact_sheet)}")
    return "\n".join(lines)


def grouped_reasons(skipped: Iterable[Mapping[str, Any]]) -> list[str]:
  """Returns a sentence for each reason why files were skipped.

  Args:
    skipped: Rows of the manifest.

  Returns:
    The sentences, that of the most files first.
  """
  groups = collections.defaultdict(list)
  for row in skipped:
    rule, _, value = row["reason"].partition(" Got: ")
    groups[rule].append((value.removesuffix("."), row["source"]))
  sentences = []
  for rule, found in sorted(groups.items(), key=lambda g: -len(g[1])):
    text = f"{_files(len(found))}: {rule}"
    values = collections.Counter(value for value, _ in found if value)
    if values:
      common = values.most_common(_MOST_VALUES)
      text += " Got: " + "; ".join(f"{v} ({count})" for v, count in common)
      others = len(values) - len(common)
      text += f"; and {others} other values." if others else "."
    text += f" The first is {files.shown(found[0][1])}."
    text += "".join(
      f" {help}" for words, help in _HELP.items() if words in rule
    )
    sentences.append(text)
  return sentences


def _files(count: int) -> str:
  return f"{count} file{'' if count == 1 else 's'}"


class Progress:
  """A progress line: bar, files, time left and speed."""

  def __init__(self, total: int, start: float, stream: TextIO | None) -> None:
    """Starts with no file.

    Args:
      total: Number of files.
      start: `time.monotonic()` at the start.
      stream: Where the line goes, or None.
    """
    self._total = total
    self._start = start
    self._stream = stream
    self._done = 0
    # A terminal is redrawn ten times a second; a log gets a line in five.
    self._is_terminal = stream is not None and stream.isatty()
    self._last = 0.0 if self._is_terminal else start
    self.audio_seconds = 0.0

  def add(self, audio_seconds: float) -> None:
    """Counts one file."""
    self._done += 1
    self.audio_seconds += audio_seconds
    if self._stream is None:
      return
    now = time.monotonic()
    pause = 0.1 if self._is_terminal else 5.0
    if now - self._last >= pause or self._done == self._total:
      self._last = now
      end = "\r" if self._is_terminal else "\n"
      self._stream.write(self._line(now - self._start) + end)
      self._stream.flush()

  def close(self) -> None:
    """Leaves the line of a terminal."""
    if self._stream is not None and self._is_terminal:
      self._stream.write("\n")

  def _line(self, seconds: float) -> str:
    share = self._done / self._total
    filled = int(20 * share)
    line = f"[{'#' * filled}{'.' * (20 - filled)}] "
    line += f"{self._done}/{self._total} files"
    if (
      seconds >= _FIRST_ESTIMATE_SECONDS and share >= _FIRST_ESTIMATE_SHARE
    ) or share == 1.0:
      line += f", {seconds / share - seconds:.0f} s left"
    speed = self.audio_seconds / max(seconds, 1e-9)
    # A line that is shorter than the last would leave its end on a terminal.
    return f"{line}, {speed:.0f} x real time".ljust(76)
