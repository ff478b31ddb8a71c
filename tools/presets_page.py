"""Measures the presets against their libraries, for docs/presets.md.

Run it from the root of the repository:

    python -m tools.presets_page

It writes the table of that page, and docs/presets.png.
"""

import pathlib
import sys

import numpy as np
import tensorflow as tf

import tfspec
from tfspec.contract import parity
from tfspec.view import plot

_ROOT = pathlib.Path(__file__).resolve().parents[1]
_REFERENCES = _ROOT / "tests" / "testdata" / "presets"
_PAGE = _ROOT / "docs" / "presets.md"
_START, _END = "<!-- tools/presets_page.py -->\n", "<!-- end -->\n"
_DRAWN = ("whisper", "kaldi_fbank", "kaldi_mfcc", "nemo", "yamnet", "panns")


def row(preset: tfspec.config.Preset) -> str:
  """Returns the row of a preset."""
  config = preset.config
  library, expected = parity.references(_REFERENCES, preset.name)
  signals = parity.clips(_REFERENCES, config.sample_rate_hz)
  run = tf.function(tfspec.Spectrogram(config), autograph=False)
  found = parity.measure(preset, library, expected, signals, run)
  shape = f"[{config.num_frames(config.sample_rate_hz)}, {config.num_features}]"
  cells = [
    preset.name,
    library,
    f"{config.sample_rate_hz}",
    shape,
    f"{found.largest:.0e}",
    f"{found.most:.0e}",
    f"{preset.leaves_out or '-'}",
    f"{preset.differs or '-'}",
  ]
  return f"| {' | '.join(cells)} |"


def table() -> str:
  """Returns the table."""
  names = [
    "preset",
    "library",
    "Hz",
    "shape of a second",
    "largest",
    "99.9 %",
    "what it leaves out",
    "in what it differs",
  ]
  rows = [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
  rows += map(row, tfspec.presets())
  return "".join(f"{line}\n" for line in rows)


def draw(path: pathlib.Path) -> None:
  """Draws some presets of the same speech side by side."""
  sheet = plot.new_figure(figsize=(12, 5.5))
  axes = sheet.subplots(2, 3).ravel()
  for axis, name in zip(axes, _DRAWN, strict=True):
    config = tfspec.preset(name)
    signals = parity.clips(_REFERENCES, config.sample_rate_hz)["speech"]
    values = tfspec.Spectrogram(config)(signals).numpy().T
    low, high = np.percentile(values, [2, 99.5])
    seconds = len(signals) / config.sample_rate_hz
    axis.imshow(
      values,
      origin="lower",
      aspect="auto",
      cmap="magma",
      interpolation="nearest",
      vmin=low,
      vmax=high,
      extent=(0.0, seconds, -0.5, len(values) - 0.5),
    )
    axis.set_title(name, fontsize=10)
    axis.set_ylabel("coefficient" if config.cepstrum else "band", fontsize=8)
    axis.set_xlabel("time (seconds)", fontsize=8)
    axis.tick_params(labelsize=7)
  plot.save(sheet, str(path))


def main() -> None:
  """Writes the page."""
  text = _PAGE.read_text()
  before, rest = text.split(_START)
  _, after = rest.split(_END)
  _PAGE.write_text(before + _START + "\n" + table() + "\n" + _END + after)
  draw(_ROOT / "docs" / "presets.png")
  print(f"wrote {_PAGE.relative_to(_ROOT)}", file=sys.stderr)


if __name__ == "__main__":
  main()
