"""The oracle: the transform written out in NumPy float64.

It is slow, follows the textbook, and imports nothing of tfspec.
"""

from typing import Any

import numpy as np
import scipy.fft
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
  elif isinstance(spec, str) and spec == "povey":
    turns = np.arange(length) / (length if periodic else length - 1)
    values = (0.5 - 0.5 * np.cos(2 * np.pi * turns)) ** 0.85
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


def surrounded(
  signals: np.ndarray,
  margins: tuple[int, int],
  pad_mode: str | None,
  pad_value: float | None,
) -> np.ndarray:
  """Returns `[samples]` with so many samples more at each end."""
  if not len(signals):
    return signals
  result = list(signals)
  if pad_mode == "constant":
    first, second = ([pad_value] * margin for margin in margins)
    return np.array(first + result + second)
  # One walker before the clip, one behind it; each turns round at both ends.
  last = len(signals) - 1
  before: list[float] = []
  behind: list[float] = []
  for start, found, margin in (
    (0, before, margins[0]),
    (last, behind, margins[1]),
  ):
    at, direction = start, 1 if start == 0 else -1
    if pad_mode == "symmetric" and margin:  # The end stands twice.
      found.append(signals[at])
    while len(found) < margin:
      if not 0 <= at + direction <= last:
        direction = -direction
        if pad_mode == "symmetric":
          found.append(signals[at])
          continue
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
  if padding in ("center", "hop_center"):
    if not len(signals):
      return np.zeros((0, frame_length))
    margins = frame_length // 2, frame_length // 2
    if padding == "hop_center":
      hops = (len(signals) + frame_step // 2) // frame_step
      before = margins[0] - frame_step // 2
      end = (hops - 1) * frame_step + frame_length - before
      margins = before, max(0, end - len(signals))
    signals = surrounded(signals, margins, pad_mode, pad_value)
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


def without_dc(
  signals: np.ndarray,
  frame_length: int,
  frame_step: int,
  padding: str,
  pad_mode: str | None,
  pad_value: float | None,
  fields: dict[str, Any],
) -> np.ndarray:
  """Returns frames of `[samples]` as they are before their pre-emphasis.

  The fields are those of the conditioning, as JSON has them.
  """
  signals = fields.get("gain", 1.0) * signals
  if fields.get("preemphasis_of") == "PREEMPHASIS_OF_CLIP":
    signals = emphasised(signals, fields)
  rows = frames(signals, frame_length, frame_step, padding, pad_mode, pad_value)
  if fields.get("remove_dc"):
    rows = rows - np.sum(rows, axis=1, keepdims=True) / frame_length
  return rows


def stft(
  signals: np.ndarray,
  values: np.ndarray,
  frame_step: int,
  fft_length: int,
  padding: str,
  pad_mode: str | None = None,
  pad_value: float | None = None,
  fields: dict[str, Any] | None = None,
) -> np.ndarray:
  """Returns the transform of `[samples]`, complex `[num_frames, num_bins]`.

  The fields are those of the conditioning, as JSON has them.
  """
  fields = fields or {}
  rows = without_dc(
    signals, len(values), frame_step, padding, pad_mode, pad_value, fields
  )
  if fields.get("preemphasis_of") != "PREEMPHASIS_OF_CLIP":
    rows = np.reshape([emphasised(row, fields) for row in rows], rows.shape)
  rows = rows * values
  turns = np.outer(np.arange(len(values)), np.arange(fft_length // 2 + 1))
  return rows @ np.exp(-2j * np.pi * (turns % fft_length) / fft_length)


def emphasised(samples: np.ndarray, fields: dict[str, Any]) -> np.ndarray:
  """Returns samples after the pre-emphasis, one by one."""
  c = fields.get("preemphasis", 0.0)
  result = np.array(samples, np.float64)
  for n in range(len(samples)):
    if n:
      result[n] -= c * samples[n - 1]
    elif fields.get("first_sample") != "FIRST_SAMPLE_KEPT":
      result[n] -= c * samples[n]
  return result


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


def log_energy(
  signals: np.ndarray,
  frame_length: int,
  frame_step: int,
  padding: str,
  pad_mode: str | None = None,
  pad_value: float | None = None,
  fields: dict[str, Any] | None = None,
) -> np.ndarray:
  """Returns the logarithm of the energy of each frame of `[samples]`."""
  rows = without_dc(
    signals,
    frame_length,
    frame_step,
    padding,
    pad_mode,
    pad_value,
    fields or {},
  )
  return np.log(np.maximum(np.sum(rows**2, axis=1), 2.0**-23))


def stages(
  values: np.ndarray,
  config: dict[str, Any],
  fft_length: int,
  energy: np.ndarray,
) -> np.ndarray:
  """Returns what the stages of a config make of the values of its mode.

  Args:
    values: `[num_frames, num_bins]`.
    config: The config as JSON has it.
    fft_length: Samples in the transform.
    energy: The logarithm of the energy of each frame, `[num_frames]`.
  """
  if "filter_bank" in config:
    rate = config.get("sample_rate_hz", 0)
    values = values @ bank(config["filter_bank"], fft_length, rate)
  if "compression" in config:
    is_magnitude = config["mode"] == "MODE_MAGNITUDE"
    values = compressed(values, config["compression"], is_magnitude)
  if "cepstrum" in config:
    values = cosines(values, config["cepstrum"])
    if config["cepstrum"].get("energy"):
      values[:, 0] = energy
  if "normalization" in config:
    values = normalized(values, config["normalization"])
  if "deltas" in config:
    fields = config["deltas"]
    found = [values]
    for _ in range(fields.get("order", 2)):
      found.append(slopes(found[-1], fields.get("width", 2)))
    values = np.concatenate(found, axis=1)
  if "stacking" in config:
    size, step = (config["stacking"].get(name, 2) for name in ("size", "step"))
    starts = range(0, len(values) - size + 1, step)
    rows = [np.concatenate(values[m : m + size]) for m in starts]
    values = np.reshape(rows, [len(rows), size * values.shape[1]])
  return values


def bank(
  fields: dict[str, Any], fft_length: int, sample_rate_hz: int
) -> np.ndarray:
  """Returns the filters, `[num_bins, num_bands]`, weight by weight."""
  num_bins = fft_length // 2 + 1
  if "table" in fields:
    table = np.zeros([num_bins, len(fields["table"])])
    for band, row in enumerate(fields["table"]):
      for i, weight in enumerate(row.get("weight", [])):
        table[row.get("first_bin", 0) + i, band] = weight
    return table
  bands = fields.get("num_bands", 80)
  scale = fields.get("scale", "SCALE_HTK")
  slopes = fields.get("slopes", "SLOPES_HERTZ")

  def to_scale(hz: float) -> float:
    if scale == "SCALE_LINEAR":
      return hz
    if scale == "SCALE_HTK":
      return 1127.0 * np.log1p(hz / 700.0)
    if hz < 1000.0:
      return 3.0 * hz / 200.0
    return 15.0 + 27.0 * np.log(hz / 1000.0) / np.log(6.4)

  def to_hz(mel: float) -> float:
    if scale == "SCALE_LINEAR":
      return mel
    if scale == "SCALE_HTK":
      return 700.0 * np.expm1(mel / 1127.0)
    if mel < 15.0:
      return 200.0 * mel / 3.0
    return 1000.0 * 6.4 ** ((mel - 15.0) / 27.0)

  low = to_scale(fields.get("low_hz", 0.0))
  high = to_scale(fields.get("high_hz", sample_rate_hz / 2))
  weights = np.zeros([num_bins, bands])
  for band in range(bands):
    left, middle, right = (
      low + (high - low) * (band + i) / (bands + 1) for i in range(3)
    )
    start, peak, end = map(to_hz, (left, middle, right))
    if slopes == "SLOPES_LOWER":
      end = 2 * peak - start
    for k in range(fields.get("first_bin", 0), num_bins):
      at = k * sample_rate_hz / fft_length
      x, a, b, c = at, start, peak, end
      if slopes == "SLOPES_SCALE":
        x, a, b, c = to_scale(at), left, middle, right
      if a < x <= b:
        weights[k, band] = (x - a) / (b - a)
      elif b < x < c:
        weights[k, band] = (c - x) / (c - b)
    if fields.get("norm") == "NORM_SLANEY":
      weights[:, band] *= 2.0 / (end - start)
  return weights


def compressed(
  values: np.ndarray, fields: dict[str, Any], is_magnitude: bool
) -> np.ndarray:
  """Returns the function of each value of a clip, and its limit."""
  kind = fields.get("kind", "KIND_LOG")
  values = values + fields.get("offset", 0.0)
  values = np.maximum(values, fields.get("floor", 1e-10))
  if kind == "KIND_POWER":
    values = np.power(values, fields.get("exponent", 0.5))
  elif kind == "KIND_DECIBEL":
    values = 10.0 * np.log10(values / fields.get("reference", 1.0))
    values = 2.0 * values if is_magnitude else values
  else:
    values = np.log(values) / np.log(fields.get("base", np.e))
  if "dynamic_range" in fields and values.size:
    peak = fields.get("peak", np.max(values))
    values = np.maximum(values, peak - fields["dynamic_range"])
  return values


def cosines(values: np.ndarray, fields: dict[str, Any]) -> np.ndarray:
  """Returns the cepstral coefficients of each frame, weighted."""
  count = fields.get("num_coefficients", 13)
  found = scipy.fft.dct(values, axis=-1, norm="ortho")[:, :count]
  if fields.get("dct_norm") == "DCT_NORM_HTK":
    found[:, 0] *= np.sqrt(2.0)
  length = fields.get("lifter", 0.0)
  if length:
    n = np.arange(count) + fields.get("lifter_start", 0)
    found = found * (1.0 + length / 2.0 * np.sin(np.pi * n / length))
  return found


def normalized(values: np.ndarray, fields: dict[str, Any]) -> np.ndarray:
  """Returns each feature of a clip, shifted and scaled."""
  if fields.get("source") != "SOURCE_CLIP":
    mean = np.array(fields.get("mean", [0.0]))
    return (values - mean) / np.array(fields.get("std", [1.0]))
  if not len(values):
    return values
  values = values - np.mean(values, axis=0)
  if not fields.get("unit_variance", True):
    return values
  # One frame has no deviation from its mean.
  ddof = fields.get("ddof", 0) if len(values) > 1 else 0
  epsilon = fields.get("epsilon", 1e-5)
  if fields.get("epsilon_of") == "EPSILON_OF_VARIANCE":
    return values / np.sqrt(np.var(values, axis=0, ddof=ddof) + epsilon)
  return values / (np.std(values, axis=0, ddof=ddof) + epsilon)


def slopes(values: np.ndarray, width: int) -> np.ndarray:
  """Returns the slope of each feature at each frame, frame by frame."""
  result = np.zeros_like(values)
  last = len(values) - 1
  for m in range(len(values)):
    for k in range(1, width + 1):
      rise = values[min(m + k, last)] - values[max(m - k, 0)]
      result[m] += k * rise / (2.0 * sum(i * i for i in range(1, width + 1)))
  return result


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
