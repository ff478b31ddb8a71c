"""Filter banks: triangles that add up the bins of a frame to bands."""

from collections.abc import Callable

import numpy as np

from tfspec.coefficients import rules

# From hertz to a scale, and back.
_Both = tuple[
  Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray]
]

_STEP_HZ = 200.0 / 3.0  # Of Slaney's scale below its corner.
_CORNER_HZ = 1000.0
_CORNER = _CORNER_HZ / _STEP_HZ
_LOG_STEP = np.log(6.4) / 27.0


def mel_filter_bank(
  fft_length: int,
  sample_rate_hz: float,
  num_bands: int = 80,
  scale: str = "htk",
  slopes: str = "hertz",
  norm: str | None = None,
  low_hz: float = 0.0,
  high_hz: float | None = None,
  first_bin: int = 0,
) -> np.ndarray:
  """Returns triangular filters as a matrix that bins are multiplied with.

  The edges of the filters are equally far apart on a scale. A filter rises from
  one edge to the next, and falls to the one behind that.

  Args:
    fft_length: Length of the transform in samples.
    sample_rate_hz: The sample rate in hertz: bin `k` stands for
      `k * sample_rate_hz / fft_length`.
    num_bands: Number of filters.
    scale: "htk" [1], which with Kaldi's constants has the same edges, "slaney"
      [2] or "linear".
    slopes: "hertz" for sides that are straight lines in hertz, as librosa and
      torchaudio have them; "scale" for straight lines on the scale, as Kaldi
      and `tf.signal` have them; "lower" for straight lines in hertz, the upper
      one as wide as the lower one, as SpeechBrain has them.
    norm: None for peaks of 1, or "slaney" for weights that are divided by half
      the width of their filter in hertz.
    low_hz: The lower edge of the first filter in hertz.
    high_hz: The upper edge of the last filter in hertz. None: half of the
      sample rate.
    first_bin: The first bin that counts; those below it have the weight 0.

  Returns:
    Float64 `[num_bins, num_bands]`, entry `[k, b]` being the weight of bin `k`
    in band `b`. A filter that has no bin between its edges is 0 everywhere.

  Raises:
    ValueError: If an argument breaks a rule; the message names it.
    TypeError: If a length or a number of bands is no integer.

  Example:
    >>> bank = mel_filter_bank(512, 16000, num_bands=40)
    >>> bank.shape, float(np.max(bank)) <= 1.0
    ((257, 40), True)

  References:
    [1] S. Young et al., "The HTK Book", 2006, section 5.4.
    [2] M. Slaney, "Auditory Toolbox", Interval Research report 1998-010.
  """
  for name, value in (("scale", scale), ("slopes", slopes), ("norm", norm)):
    rules.check_choice(name, value, CHOICES[name])
  for name, size in (("fft_length", fft_length), ("num_bands", num_bands)):
    rules.check_range(
      name, rules.check_integer(name, size), 1, rules.MAX_FFT_LENGTH
    )
  if high_hz is None:
    high_hz = sample_rate_hz / 2
  if not 0 <= low_hz < high_hz <= sample_rate_hz / 2 < np.inf:
    raise ValueError(
      "low_hz must be at least 0 and less than high_hz, which must be at most "
      f"sample_rate_hz / 2. Got: low_hz={low_hz:g}, high_hz={high_hz:g}, "
      f"sample_rate_hz={sample_rate_hz:g}."
    )
  to_scale, to_hz = _SCALES[scale]
  low, high = to_scale(np.array([low_hz, high_hz], np.float64))
  points = np.linspace(low, high, num_bands + 2)
  edges = to_hz(points)
  bins = np.arange(fft_length // 2 + 1) * (sample_rate_hz / fft_length)
  if slopes == "scale":
    at, of = to_scale(bins)[:, np.newaxis], points
  else:
    at, of = bins[:, np.newaxis], edges
  if not np.all(np.diff(of) > 0) or not 0 <= first_bin <= len(bins):
    raise ValueError(
      "low_hz and high_hz must be far enough apart for num_bands, and "
      "first_bin in [0, num_bins]. Got: "
      f"low_hz={low_hz:g}, high_hz={high_hz:g}, num_bands={num_bands}, "
      f"first_bin={first_bin}, num_bins={len(bins)}."
    )
  rising = of[1:-1] - of[:-2]
  falling = rising if slopes == "lower" else of[2:] - of[1:-1]
  weights = np.minimum(
    (at - of[:-2]) / rising, (of[1:-1] + falling - at) / falling
  )
  weights = np.maximum(weights, 0.0)
  weights[:first_bin] = 0.0
  if norm == "slaney":
    upper = edges[1:-1] + (edges[1:-1] - edges[:-2])
    widths = (upper if slopes == "lower" else edges[2:]) - edges[:-2]
    weights *= 2.0 / widths
  return weights


def of_table(
  table: tuple[tuple[int, tuple[float, ...]], ...], num_bins: int
) -> np.ndarray:
  """Returns stored filters as a matrix `[num_bins, num_bands]`, float64.

  Args:
    table: For each filter its first bin, and its weights from there on.
    num_bins: Number of bins.
  """
  weights = np.zeros([num_bins, len(table)])
  for band, (first, values) in enumerate(table):
    weights[first : first + len(values), band] = values
  return weights


def to_table(
  weights: np.ndarray,
) -> tuple[tuple[int, tuple[float, ...]], ...]:
  """Returns a matrix `[num_bins, num_bands]` as `of_table` takes it."""
  table = []
  for column in np.asarray(weights, np.float64).T:
    (used,) = np.nonzero(column)
    first, last = (used[0], used[-1] + 1) if used.size else (0, 0)
    table.append((int(first), tuple(column[first:last].tolist())))
  return tuple(table)


def used_bins(weights: np.ndarray) -> tuple[int, int]:
  """Returns the first bin that a filter uses, and the one behind the last."""
  (used,) = np.nonzero(np.any(weights != 0, axis=1))
  return (int(used[0]), int(used[-1]) + 1) if used.size else (0, 1)


def _slaney(hz: np.ndarray) -> np.ndarray:
  above = np.maximum(hz, _CORNER_HZ)
  log = _CORNER + np.log(above / _CORNER_HZ) / _LOG_STEP
  return np.where(hz < _CORNER_HZ, hz / _STEP_HZ, log)


def _slaney_to_hz(mels: np.ndarray) -> np.ndarray:
  above = np.maximum(mels, _CORNER)
  log = _CORNER_HZ * np.exp(_LOG_STEP * (above - _CORNER))
  return np.where(mels < _CORNER, mels * _STEP_HZ, log)


_SCALES: dict[str, _Both] = {
  "htk": (
    lambda hz: 2595.0 * np.log10(1.0 + hz / 700.0),
    lambda mels: 700.0 * (10.0 ** (mels / 2595.0) - 1.0),
  ),
  "slaney": (_slaney, _slaney_to_hz),
  "linear": (lambda hz: hz, lambda mels: mels),
}
CHOICES: dict[str, tuple[str | None, ...]] = {
  "scale": tuple(_SCALES),
  "slopes": ("hertz", "scale", "lower"),
  "norm": (None, "slaney"),
}
