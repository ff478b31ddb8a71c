"""What makes two spectrograms differ, and by how much."""

import dataclasses
import math
import warnings
from typing import Any

import numpy as np
import tensorflow as tf

from tfspec.coefficients.rules import brief
from tfspec.config import ResolvedConfig
from tfspec.config import fields as fields_lib
from tfspec.contract import bounds, vectors
from tfspec.verification import definitions
from tfspec.verification.definitions import Definition
from tfspec.verification.effects import effect

# The most values of padded frames to measure: more would take gigabytes.
_MAX_MEASURED = 1 << 26
_DB = 20.0 / math.log(10.0)


@dataclasses.dataclass(frozen=True)
class Difference:
  """One field of the config in which two front ends differ.

  Attributes:
    field: Path of the field, as "filter_bank.num_bands".
    a: Its value in the first, nothing left to a default.
    b: Its value in the second.
    effect: What that does to the numbers, in a sentence or two.
    alone: How far the values of the first are from what they are with the value
      of the second in this field alone. None where kernels are trained.
  """

  field: str
  a: object
  b: object
  effect: str
  alone: "Numbers | None" = None

  def __str__(self) -> str:
    text = f"{self.field}: {brief(self.a)} against {brief(self.b)}. " + (
      self.effect
    )
    if self.alone is None:
      return text
    return f"{text} Alone: {str(self.alone).removesuffix('.')}."


@dataclasses.dataclass(frozen=True)
class Numbers:
  """How far the values of two front ends are apart on one clip.

  Both are computed in NumPy float64 for the same sweep, noise and silence.

  Attributes:
    largest: The largest absolute difference; None if they cannot be compared.
    median: The median of all absolute differences; None likewise.
    unit: The unit of both, empty for that of normalized values.
    note: Why they cannot be compared, else empty.
  """

  largest: float | None = None
  median: float | None = None
  unit: str = ""
  note: str = ""

  def __str__(self) -> str:
    if self.note:
      return f"not compared: {self.note}"
    if not self.largest:
      return "no difference in float64"
    unit = self.unit and f" {self.unit}"
    return (
      f"largest difference {self.largest:.3g}{unit}, "
      f"median {self.median:.3g}{unit}"
    )


@dataclasses.dataclass(frozen=True)
class Explanation:
  """What `explain` found.

  Attributes:
    a: The first front end: `name`, `config` and trained `kernels`.
    b: The second.
    fields: The fields in which their definitions differ: first those that
      change most by themselves.
    execution: The fields in which they compute the numbers otherwise: `engine`,
      `precision`, `trainable`.
    kernels_differ: Whether they multiply with other kernels although their
      definitions are the same.
    numbers: How far their values are apart.
  """

  a: Definition
  b: Definition
  fields: tuple[Difference, ...]
  execution: tuple[Difference, ...]
  kernels_differ: bool
  numbers: Numbers

  @property
  def same(self) -> bool:
    """Whether neither the definitions nor the kernels differ."""
    return not self.fields and not self.kernels_differ

  def __str__(self) -> str:
    lines = [
      f"{label}  {end.name}, config {end.config.fingerprint()}"
      for label, end in (("A", self.a), ("B", self.b))
    ]
    lines += [str(difference) for difference in self.fields]
    if self.a.kernels or self.b.kernels:
      lines.append(_kernels_text(self.a, self.b))
    if self.execution:
      lines.append("execution, which is no part of the definition:")
      lines += [f"  {difference}" for difference in self.execution]
    lines.append(f"numbers: {self.numbers}.")
    lines.append("The same." if self.same else "Different.")
    return "\n".join(lines)


def explain(a: Any, b: Any) -> Explanation:
  """Says what differs between two spectrograms, and what that does to numbers.

  Two spectrograms are the same if their configs have the same fingerprint and
  their kernels are equal; `SpectrogramConfig.fingerprint` says which fields
  count. Fields that say how the numbers are computed are listed on their own.
  Kernels that training has moved are compared with the Fourier kernels of their
  config and with each other; a config stands for its Fourier kernels, also if
  it is trainable.

  Args:
    a: A `SpectrogramConfig`; a `Spectrogram`; a Keras layer or model with one
      `STFTSpectrogram`, tfspec's or Keras' own; the path of a config file, an
      export, a `.tflite` file, a prepared dataset or a `.keras` file; or the
      name of a preset.
    b: Another of these.

  Returns:
    The explanation: `explanation.same` tells whether there is nothing to
    explain, `str(explanation)` is a text.

  Raises:
    TypeError: If one is none of these.
    ValueError: If what lies at a path is none of these, or is damaged.
    OSError: If there is nothing at a path.

  Example:
    >>> config = tfspec.SpectrogramConfig(frame_length=400)
    >>> explanation = explain(
    ...   config, tfspec.SpectrogramConfig(frame_length=400, frame_step=160)
    ... )
    >>> explanation.fields[0].effect
    'B has 1.25 times as many frames as A.'
    >>> explain(config, "speech.textproto").same
    False
  """
  return compare(definitions.load(a), definitions.load(b))


def compare(a: Definition, b: Definition) -> Explanation:
  """Returns what `explain` returns, for front ends that are loaded."""
  first, second = a.config.resolved(), b.config.resolved()
  fields, execution = (
    tuple(
      Difference(name, x, y, effect(name, first, second))
      for name, (x, y) in differences.items()
    )
    for differences in (
      first.differences(second),
      first.execution_differences(second),
    )
  )
  kernels_differ = not fields and not _kernels_equal(a, b)
  if not a.kernels and not b.kernels:
    alone = [
      dataclasses.replace(d, alone=_alone(d.field, a, b)) for d in fields
    ]
    fields = tuple(sorted(alone, key=_largest, reverse=True))
  return Explanation(a, b, fields, execution, kernels_differ, _measure(a, b))


def _alone(path: str, a: Definition, b: Definition) -> Numbers:
  """Returns how much one field of `b` changes in `a`."""
  value = _value(b.config.resolved(), path)
  try:
    with warnings.catch_warnings():
      warnings.simplefilter("ignore")  # Of an empty filter.
      changed = fields_lib.replace(a.config, {path: value})
  except ValueError as e:
    return Numbers(note=f"alone it is no config: {e}")
  if _value(changed.resolved(), path) != value:
    return Numbers(note="alone it stands for another value")
  return _measure(a, dataclasses.replace(a, config=changed))


def _value(config: ResolvedConfig, path: str) -> Any:
  value: Any = config
  for name in path.split("."):
    value = getattr(value, name)
  return value


def _largest(difference: Difference) -> float:
  """Returns what to sort by: fields without numbers come first."""
  alone = difference.alone
  return math.inf if alone is None or alone.largest is None else alone.largest


def _kernels_equal(a: Definition, b: Definition) -> bool:
  """Returns whether kernels are equal, in the shorter dtype.

  Fixed kernels have at least float32, so that a short dtype differs.
  """
  if not a.kernels and not b.kernels:
    return True
  fixed = any(not end.kernels and not end.config.trainable for end in (a, b))
  one, other = (end.kernels or end.fourier_kernels() for end in (a, b))
  if one.keys() != other.keys():
    return False
  for part, kernel in one.items():
    dtypes = {tf.as_dtype(k.dtype) for k in (kernel, other[part])}
    dtype = min(dtypes, key=lambda d: (d.size, d.name))
    if fixed and dtype.size < tf.float32.size:
      dtype = tf.float32
    x, y = (k.astype(dtype.as_numpy_dtype) for k in (kernel, other[part]))
    if not np.array_equal(x, y, equal_nan=True):
      return False
  return True


def _kernels_text(a: Definition, b: Definition) -> str:
  parts = []
  for label, end in (("A", a), ("B", b)):
    if not end.kernels:
      parts.append(f"{label} has the Fourier kernels")
      continue
    parts.append(
      f"{label}'s are {end.distance():.2g} from the Fourier kernels of its "
      "config (relative L2)"
    )
  equal = "are" if _kernels_equal(a, b) else "are not"
  return f"kernels: {', '.join(parts)}; the two sets {equal} equal."


def _measure(a: Definition, b: Definition) -> Numbers:
  first, second = a.config.resolved(), b.config.resolved()
  for kind in ((first.mode, second.mode), (_unit_of(first), _unit_of(second))):
    if kind[0] != kind[1]:
      return Numbers(note=f"{kind[0]!r} against {kind[1]!r}")
  signals = _signals(first, second)
  shapes = [
    [config.num_frames(len(signals)), config.num_features]
    for config in (first, second)
  ]
  if shapes[0] != shapes[1]:
    return Numbers(note=f"shapes differ, {shapes[0]} against {shapes[1]}")
  if shapes[0][0] * max(first.fft_length, second.fft_length) > _MAX_MEASURED:
    return Numbers(note=f"a clip of {len(signals)} samples has too many frames")
  values, others = (
    vectors.golden("", signals, end.config, end.kernels).values(end.config)
    for end in (a, b)
  )
  # Kernels that diverged in the same way give equal values, finite or not.
  alike = (values == others) | (np.isnan(values) & np.isnan(others))
  off = np.where(alike, 0.0, bounds.errors(first, values, others))
  unit = {"log": "dB", "angle": "radians"}.get(first.mode, "")
  compression = first.compression
  if first.normalization or first.cepstrum:
    unit = ""
  elif compression is not None and compression.kind != "power":
    unit = "dB"
    if compression.kind == "log":
      nepers = math.log(compression.base)
      off = _DB * nepers * off / (1 if first.mode == "magnitude" else 2)
  elif first.mode == "log":
    off = _DB * off
  elif not unit:
    unit = "of the largest value"
    size = np.abs([values, others])
    off = off / (np.max(size, initial=0.0, where=np.isfinite(size)) or 1.0)
  return Numbers(float(np.max(off)), float(np.median(off)), unit)


def _unit_of(config: ResolvedConfig) -> str:
  """Returns what the values of two configs must share to be compared."""
  compression = config.compression
  unit = "no compression"
  if compression is not None:
    unit = compression.kind
    if unit == "log":
      unit = f"log of base {compression.base:.4g}"
  later = ("cepstrum", "normalization", "deltas", "stacking")
  return ", ".join([unit, *(n for n in later if getattr(config, n))])


def _signals(a: ResolvedConfig, b: ResolvedConfig) -> np.ndarray:
  """Returns a sweep of all frequencies, noise, and silence at the end."""
  frame = max(a.frame_length, b.frame_length)
  step = max(a.frame_step, b.frame_step)
  silence = frame + 4 * step
  loud = frame + 60 * step
  sweep = 0.5 * np.sin(np.pi * np.arange(loud) ** 2.0 / (2 * loud))
  random = np.random.Generator(np.random.PCG64(20240229))
  noise = 0.05 * random.standard_normal(loud)
  return np.pad(sweep + noise, [0, silence]).astype(np.float32)
