"""Pictures of spectrograms. They need matplotlib."""

import dataclasses
import math
import os
from typing import Any

import numpy as np

from tfspec import extras
from tfspec.config import SpectrogramConfig

_LABELS = {
  "log": "log magnitude (nepers)",
  "magnitude": "magnitude",
  "psd": "power",
  "real": "real part",
  "imag": "imaginary part",
  "angle": "phase (radians)",
  "stft": "magnitude of the stft",
}


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


def contact_sheet(
  panels: list[Panel], config: SpectrogramConfig, path: str | os.PathLike[str]
) -> None:
  """Draws spectrograms side by side, with one colour scale, into a PNG file.

  The axes are in seconds and hertz. Of a clip with several channels the first
  is drawn.

  Args:
    panels: The spectrograms, at least one.
    config: The config that they were made with.
    path: Where to write.

  Raises:
    ImportError: If matplotlib is not installed.
  """
  columns = min(3, len(panels))
  rows = math.ceil(len(panels) / columns)
  sheet = new_figure(figsize=(4.2 * columns + 1.0, 2.6 * rows + 0.6))
  from matplotlib import cm, colors

  images = [_image(panel.values, config) for panel in panels]
  scale = cm.ScalarMappable(
    colors.Normalize(*_colour_range(images, config.mode)),
    "twilight" if config.mode == "angle" else "magma",
  )
  axes = sheet.subplots(rows, columns, squeeze=False).ravel()
  for axis, panel, image in zip(axes, panels, images, strict=False):
    _draw(axis, panel, image, config, scale)
  for axis in axes[len(panels) :]:
    axis.set_axis_off()
  sheet.colorbar(scale, ax=list(axes), label=_LABELS[config.mode], shrink=0.8)
  sheet.savefig(path, dpi=80)


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
    raise extras.missing("matplotlib", "plot", "to draw") from e
  return figure.Figure(figsize=figsize, layout="constrained")


def _draw(
  axis: Any,
  panel: Panel,
  image: np.ndarray,
  config: SpectrogramConfig,
  scale: Any,
) -> None:
  resolved = config.resolved()
  rate = panel.sample_rate_hz
  step_seconds = resolved.frame_step / rate
  bin_hz = rate / resolved.fft_length
  # Pixels are centred on the middle of their frame and on their bin.
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
      extent=(start, end, -bin_hz / 2, (bins - 0.5) * bin_hz),
    )
  # A file name may hold what is no text, or what would be read as a formula.
  title = panel.title.encode(errors="replace").decode()
  axis.set_title(title, fontsize=9, parse_math=False)
  axis.set_xlabel("time (seconds)", fontsize=8)
  axis.set_ylabel("frequency (Hz)", fontsize=8)
  axis.set_ylim(0, rate / 2)
  axis.tick_params(labelsize=7)


def _image(values: np.ndarray, config: SpectrogramConfig) -> np.ndarray:
  """Returns the first channel as `[num_bins, num_frames]`."""
  if config.expand_dims:
    last = config.data_format == "channels_last"
    values = values[..., 0] if last else values[0]
  elif config.data_format == "channels_last":
    values = values[:, : config.num_features]
  else:
    values = values[: config.num_features].T
  if config.mode == "stft":
    values = np.hypot(
      values[:, : config.num_bins], values[:, config.num_bins :]
    )
  return values.T


def _colour_range(images: list[np.ndarray], mode: str) -> tuple[float, float]:
  values = np.concatenate([image.ravel() for image in images])
  values = values[np.isfinite(values)]
  if mode == "angle" or not values.size:
    return -math.pi, math.pi
  high = float(np.max(values))
  if mode == "log":
    return max(float(np.min(values)), high - math.log(10) * 4), high  # 80 dB
  if mode in ("real", "imag"):
    size = float(np.percentile(np.abs(values), 99.5))
    return -size, size
  return 0.0, float(np.percentile(values, 99.5))
