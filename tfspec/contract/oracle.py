"""The oracle: the transform written out in NumPy float64.

It is slow, follows the textbook, and imports nothing of tfspec.
"""

from typing import Any

import numpy as np
import scipy.signal


def window(
  spec: Any,
  frame_length: int,
  periodic: bool,
  scaling: str | None,
  window_length: int | None = None,
) -> np.ndarray:
  """Returns the scaled window, float64 `[frame_length]`."""
  length = window_length or frame_length
  if spec is None:
    values = np.ones(length)
  elif isinstance(spec, str) or isinstance(spec[0], str):
    values = scipy.signal.get_window(spec, length, fftbins=periodic)
  else:
    values = np.array(spec, np.float64)
  if scaling == "density":
    values = values / np.sqrt(np.sum(values**2))
  if scaling == "spectrum":
    values = values / np.sum(np.abs(values))
  row = np.zeros(frame_length)
  left = (frame_length - length) // 2
  row[left : left + length] = values
  return row


def centered(
  signals: np.ndarray,
  margin: int,
  pad_mode: str | None,
  pad_value: float | None,
) -> np.ndarray:
  """Returns `[samples]` with `margin` samples more at each end."""
  if not len(signals):
    return signals
  result = list(signals)
  if pad_mode == "constant":
    return np.array([pad_value] * margin + result + [pad_value] * margin)
  # One walker before the clip, one behind it; each turns round at both ends.
  last = len(signals) - 1
  before: list[float] = []
  behind: list[float] = []
  for start, found in ((0, before), (last, behind)):
    at, direction = start, 1 if start == 0 else -1
    while len(found) < margin:
      if not 0 <= at + direction <= last:
        direction = -direction
      at = min(max(at + direction, 0), last)
      found.append(signals[at])
  return np.array(before[::-1] + result + behind)


def frames(
  signals: np.ndarray,
  frame_length: int,
  frame_step: int,
  padding: str,
  pad_mode: str | None = None,
  pad_value: float | None = None,
) -> np.ndarray:
  """Cuts `[samples]` into `[num_frames, frame_length]`."""
  if padding == "center":
    if not len(signals):
      return np.zeros((0, frame_length))
    signals = centered(signals, frame_length // 2, pad_mode, pad_value)
  samples = len(signals)
  if padding == "same":
    count = -(-samples // frame_step)
    missing = max(0, (count - 1) * frame_step + frame_length - samples)
    before = missing // 2
    signals = np.concatenate(
      [np.zeros(before), signals, np.zeros(missing - before)]
    )
  else:
    count = 0
    while count * frame_step + frame_length <= samples:
      count += 1
  rows = [
    signals[i * frame_step : i * frame_step + frame_length]
    for i in range(count)
  ]
  return np.array(rows, np.float64).reshape(count, frame_length)


def stft(
  signals: np.ndarray,
  values: np.ndarray,
  frame_step: int,
  fft_length: int,
  padding: str,
  pad_mode: str | None = None,
  pad_value: float | None = None,
) -> np.ndarray:
  """Returns the transform of `[samples]`, complex `[num_frames, num_bins]`."""
  rows = frames(signals, len(values), frame_step, padding, pad_mode, pad_value)
  rows = rows * values
  turns = np.outer(np.arange(len(values)), np.arange(fft_length // 2 + 1))
  return rows @ np.exp(-2j * np.pi * (turns % fft_length) / fft_length)


def mode(
  spectrum: np.ndarray, name: str, fft_length: int, floor: float
) -> np.ndarray:
  """Returns the values of a mode, `[num_frames, num_features]`."""
  size = np.abs(spectrum)
  if name == "log":
    return np.log(np.maximum(size, floor))
  if name == "magnitude":
    return np.maximum(size, floor)
  if name == "power":
    return size**2
  if name == "psd":
    power = size**2
    for k in range(spectrum.shape[1]):
      if 0 < k and 2 * k != fft_length:
        power[:, k] *= 2
    return power
  if name == "angle":
    return np.angle(spectrum)
  if name == "real":
    return spectrum.real
  if name == "imag":
    return spectrum.imag
  assert name == "stft"
  return np.concatenate([spectrum.real, spectrum.imag], axis=1)


def layout(
  per_channel: list[np.ndarray], expand_dims: bool, data_format: str
) -> np.ndarray:
  """Joins the channels of a clip, each `[num_frames, num_features]`."""
  if expand_dims and data_format == "channels_last":
    return np.stack(per_channel, axis=2)
  if expand_dims:
    return np.stack(per_channel, axis=0)
  flat = np.concatenate(per_channel, axis=1)
  return flat if data_format == "channels_last" else flat.T
