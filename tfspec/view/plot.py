"""Pictures of spectrograms. They need matplotlib."""

import dataclasses
import io
import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfspec import errors
from tfspec.config import SpectrogramConfig
from tfspec.storage import files

_HERTZ = "frequency (Hz)"
_BAND = "peak of the band (Hz)"
_LABELS = {
  "log": "log magnitude (nepers)",
  "magnitude": "magnitude",
  "psd": "power",
  "real": "real part",
  "imag": "imaginary part",
  "angle": "phase (radians)",
  "stft": "magnitude of the stft",
  "power": "power",
}


# A picture of 300 pixels shows no more of it.
_MOST_BYTES = 16 << 20  # Of a file.
_MOST_VALUES = 1 << 23  # Of a spectrogram.
_MOST_VALUES_OF_ALL = 1 << 25


@dataclasses.dataclass(frozen=True, eq=False)
class Panel:
  """One spectrogram of a contact sheet.

  Attributes:
    title: Text above it.
    values: The spectrogram of one clip in the config's layout.
    sample_rate_hz: Sample rate of the clip.
  """

  title: str
  values: np.ndarray
  sample_rate_hz: int


def plot(
  inputs: Sequence[files.Path], config: SpectrogramConfig, output: files.Path
) -> list[str]:
  """Draws WAV files side by side into a picture.

  It reads and draws only the beginning of a long file.

  Args:
    inputs: The files, at least one.
    config: What to compute.
    output: The picture, a PNG file, or another kind by its ending.

  Returns:
    A sentence for each file that is cut short or drawn in part.

  Raises:
    ImportError: If matplotlib is not installed.
    OSError: If a file cannot be read, or the picture cannot be written.
    ValueError: If a file is no WAV file that the config takes, or gives no
      frame.
  """
  output = _check_picture(output)
  from tfspec.spectrogram import Spectrogram

  spectrogram = Spectrogram(config)
  panels, notes = [], []
  most_values = min(_MOST_VALUES, _MOST_VALUES_OF_ALL // len(inputs))
  for path in map(files.as_path, inputs):
    panel, its_notes = _read(path, spectrogram, most_values)
    panels.append(panel)
    notes += its_notes
  contact_sheet(panels, config, output)
  return notes


def plot_filter_bank(config: SpectrogramConfig, output: files.Path) -> None:
  """Draws the filters of a config: the weight of each bin, one line a band.

  Args:
    config: A config with a filter bank.
    output: The picture, a PNG file, or another kind by its ending.

  Raises:
    ImportError: If matplotlib is not installed.
    OSError: If the picture cannot be written.
    ValueError: If the config has no filter bank.
  """
  output = _check_picture(output)
  bank = config.filter_bank
  if bank is None:
    raise ValueError("filter_bank must be set to be drawn. Got: None.")
  config = config.resolved()
  weights = bank.weights(config)
  sheet = new_figure((9.0, 3.0))
  axis = sheet.subplots()
  axis.plot(_hertz(config), weights, linewidth=0.8)
  axis.set_xlabel(_HERTZ if config.sample_rate_hz else "bin", fontsize=8)
  axis.set_ylabel("weight", fontsize=8)
  axis.set_title(f"{weights.shape[1]} filters", fontsize=9)
  axis.tick_params(labelsize=7)
  save(sheet, output)


def _hertz(config: SpectrogramConfig) -> np.ndarray:
  """Returns the frequency of each bin, or its number at an unknown rate."""
  bins = np.arange(config.num_bins)
  if config.sample_rate_hz is None:
    return bins
  return bins * config.sample_rate_hz / config.resolved().fft_length


def _check_picture(output: files.Path) -> str:
  """Returns where to write a picture, which must be of a known kind."""
  output = files.check_writable(output, "output")
  kinds = new_figure((1, 1)).canvas.get_supported_filetypes()
  if _kind(output) not in kinds:
    raise ValueError(
      f"output must end in one of {', '.join(sorted(kinds))}. Got: "
      f"{files.shown(output)}."
    )
  return output


def _read(
  path: str, spectrogram: Any, most_values: int
) -> tuple[Panel, list[str]]:
  """Returns the panel of a file, and what is to be said of it."""
  # Here, as the command line shows its help without TensorFlow.
  import tensorflow as tf

  from tfspec import errors
  from tfspec.ops.wav import decoding
  from tfspec.spectrogram import layouts

  name = files.shown(path)
  config = spectrogram.config.resolved()
  contents = files.read_bytes(path, _MOST_BYTES)
  try:
    signals, rate, missing = decoding.decode_wav(
      contents, None, config.sample_rate_hz, return_missing=True
    )
  except tf.errors.OpError as e:
    raise ValueError(f"{name}: {errors.sentence(e)}") from e
  rate = int(rate)
  # The whole file has about as many more samples.
  share = files.size(path) / len(contents)
  seconds = share * len(signals) / rate
  frames = max(1, most_values // config.num_features)
  if config.stacking is not None:
    frames *= config.stacking.step
  shown = signals[: frames * config.frame_step + config.frame_length, :1]
  values = spectrogram(layouts.to_layout(shown, config)).numpy()
  if not values.size:
    reason = config.why_no_frames(len(signals)) if len(signals) else ""
    raise ValueError(
      f"{name}: the clip must have at least one frame to be drawn. {reason} "
      f"Got: samples={len(signals)}, frame_length={config.frame_length}."
    )
  notes = []
  if share == 1.0 and missing:
    notes.append(
      f"{name} is cut short: it has {len(signals)} samples, and its header "
      f"promises {int(missing)} more."
    )
  title = path
  seconds_shown = int(tf.size(shown)) / rate
  if seconds_shown < seconds:
    drawn = f"first {seconds_shown:.1f} s of {seconds:.1f} s"
    title = f"{path} ({drawn})"
    alone = "" if config.is_of_frames else ", as if they were all"
    notes.append(f"{name}: the {drawn} are drawn{alone}.")
  return Panel(title, values, rate), notes


def contact_sheet(
  panels: list[Panel], config: SpectrogramConfig, path: files.Path
) -> None:
  """Draws spectrograms side by side, with one colour scale, into a PNG file.

  The axes are in seconds and hertz. It draws the first channel of a clip.

  Args:
    panels: The spectrograms, at least one.
    config: The config that they were made with.
    path: Where to write; its ending says what kind of picture.

  Raises:
    ImportError: If matplotlib is not installed.
  """
  columns = min(3, len(panels))
  rows = math.ceil(len(panels) / columns)
  sheet = new_figure(figsize=(4.2 * columns + 1.0, 2.6 * rows + 0.6))
  from matplotlib import cm, colors

  images = [_image(panel.values, config) for panel in panels]
  scale = cm.ScalarMappable(
    colors.Normalize(*_colour_range(images, config)),
    "twilight" if config.mode == "angle" else "magma",
  )
  axes = sheet.subplots(rows, columns, squeeze=False).ravel()
  for axis, panel, image in zip(axes, panels, images, strict=False):
    _draw(axis, panel, image, config, scale)
  for axis in axes[len(panels) :]:
    axis.set_axis_off()
  sheet.colorbar(scale, ax=list(axes), label=_label(config), shrink=0.8)
  save(sheet, path)


def new_figure(figsize: tuple[float, float]) -> Any:
  """Returns an empty `matplotlib.figure.Figure`.

  Args:
    figsize: Width and height in inches.

  Raises:
    ImportError: If matplotlib is not installed.
  """
  try:
    from matplotlib import figure
  except ImportError as e:
    raise errors.missing("matplotlib", "plot", "to draw") from e
  return figure.Figure(figsize=figsize, layout="constrained")


def save(figure: Any, path: files.Path) -> None:
  """Writes a `matplotlib.figure.Figure` into a file.

  Args:
    figure: The figure.
    path: The file; its ending says what kind of picture.
  """
  path = files.as_path(path)
  content = io.BytesIO()
  figure.savefig(content, format=_kind(path), dpi=80)
  files.write_bytes(path, content.getvalue())


def _kind(path: str) -> str:
  return os.path.splitext(path)[1][1:].lower() or "png"


def _draw(
  axis: Any,
  panel: Panel,
  image: np.ndarray,
  config: SpectrogramConfig,
  scale: Any,
) -> None:
  resolved = config.resolved()
  rate = panel.sample_rate_hz
  hops = 1 if config.stacking is None else config.stacking.step
  step_seconds = hops * resolved.frame_step / rate
  # Pixels are centred on the middle of their frame and on their bin or band.
  feature = _feature(config)
  height = 1.0 if feature else rate / resolved.fft_length
  start = 0.0
  if config.padding == "valid":
    start = (resolved.frame_length - resolved.frame_step) / 2 / rate
  if config.padding == "center":
    start = -step_seconds / 2
  bins, frames = image.shape
  if frames:
    end = start + frames * step_seconds
    axis.imshow(
      image,
      origin="lower",
      aspect="auto",
      interpolation="nearest",
      cmap=scale.cmap,
      norm=scale.norm,
      extent=(start, end, -0.5 * height, (bins - 0.5) * height),
    )
  # A file name may hold what is no text, or what would be read as a formula.
  title = panel.title.encode(errors="replace").decode()
  axis.set_title(title, fontsize=9, parse_math=False)
  axis.set_xlabel("time (seconds)", fontsize=8)
  if feature:
    axis.set_ylabel(feature, fontsize=8)
    axis.set_ylim(-0.5, bins - 0.5)
    if feature == _BAND and config.filter_bank and config.sample_rate_hz:
      peaks = np.argmax(config.filter_bank.weights(config), axis=0)
      ticks = np.linspace(0, bins - 1, min(bins, 6)).round().astype(int)
      hertz = _hertz(config)[peaks[ticks]] * rate / config.sample_rate_hz
      axis.set_yticks(ticks, [f"{value:.0f}" for value in hertz])
  else:
    axis.set_ylabel(_HERTZ, fontsize=8)
    axis.set_ylim(0, rate / 2)
  axis.tick_params(labelsize=7)


def _feature(config: SpectrogramConfig) -> str:
  """Returns what a feature is, empty if it is a bin of the transform."""
  if config.deltas or config.stacking:
    return "feature"
  if config.cepstrum:
    return "coefficient"
  if config.filter_bank is None:
    return ""
  return _BAND if config.sample_rate_hz else "band"


def _image(values: np.ndarray, config: SpectrogramConfig) -> np.ndarray:
  """Returns the first channel as `[num_bins, num_frames]`."""
  from tfspec.spectrogram import layouts

  values = layouts.frames_of(values, 0, config)
  if config.mode == "stft" and not config.stages:
    values = np.hypot(
      values[:, : config.num_bins], values[:, config.num_bins :]
    )
  return values.T


def _label(config: SpectrogramConfig) -> str:
  if config.normalization or config.cepstrum:
    return "value"
  if config.compression is None:
    return _LABELS[config.mode]
  return {
    "log": f"logarithm, base {config.compression.base:.3g}",
    "decibel": "level (dB)",
    "power": f"{_LABELS[config.mode]} ^ {config.compression.exponent:g}",
  }[config.compression.kind]


def _colour_range(
  images: list[np.ndarray], config: SpectrogramConfig
) -> tuple[float, float]:
  mode = config.mode
  values = np.concatenate([image.ravel() for image in images])
  values = values[np.isfinite(values)]
  if mode == "angle" or not values.size:
    return -math.pi, math.pi
  if config.normalization or config.cepstrum or config.deltas:
    low, high = np.percentile(values, [0.5, 99.5])
    return float(low), float(high)
  high = float(np.max(values))
  if config.compression is not None and config.compression.kind != "power":
    # 80 dB.
    factor, _ = config.compression.function(config)
    decades = 4 if mode == "magnitude" else 8
    span = factor * math.log(10) * decades
    return max(float(np.min(values)), high - span), high
  if mode == "log":
    return max(float(np.min(values)), high - math.log(10) * 4), high  # 80 dB
  if mode in ("real", "imag"):
    size = float(np.percentile(np.abs(values), 99.5))
    return -size, size
  return 0.0, float(np.percentile(values, 99.5))
