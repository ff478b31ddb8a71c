"""Stages, which follow an engine and read the spectrum of frames.

A stage says what it needs, and an engine computes only that. It also says
whether it needs the frame alone. If so, an engine computes it in its blocks,
where the values are still in the cache.
"""

import dataclasses
from collections.abc import Callable
from typing import ClassVar, NamedTuple, Protocol

import tensorflow as tf

from tfspec.ops import spectrum_ops

Results = tuple[tf.Tensor, ...]
# What a stage may need of a `Spectrum`: some of its names.
Needs = tuple[str, ...]

PARTS = ("real", "imag")
POWER = ("power",)


class Spectrum(NamedTuple):
  """The transform of frames, each `[..., num_bins]`; None is what nobody needs.

  Attributes:
    real: The real part.
    imag: The imaginary part.
    power: The sum of their squares.
  """

  real: tf.Tensor | None = None
  imag: tf.Tensor | None = None
  power: tf.Tensor | None = None


class Stage(Protocol):
  """A function of the spectrum."""

  @property
  def needs(self) -> Needs:
    """`POWER`, or names of `PARTS`."""

  @property
  def frame_alone(self) -> bool:
    """Whether the result for a frame depends on that frame alone."""

  def __call__(self, spectrum: Spectrum) -> Results:
    """Returns tensors `[..., features]` of a spectrum that has the needs."""


@dataclasses.dataclass(frozen=True)
class Kept:
  """The stage that returns what it needs as it is."""

  needs: Needs = PARTS
  frame_alone: ClassVar[bool] = True

  def __call__(self, spectrum: Spectrum) -> Results:
    """Returns what `needs` names."""
    return tuple(getattr(spectrum, name) for name in self.needs)


@dataclasses.dataclass(frozen=True)
class Mode:
  """The stage of an output mode; see `tfspec.SpectrogramConfig`."""

  name: str
  fft_length: int
  floor: float
  frame_alone: ClassVar[bool] = True

  @property
  def needs(self) -> Needs:
    """What the mode is a function of."""
    return _MODES[self.name][0]

  def __call__(self, spectrum: Spectrum) -> Results:
    """Returns the values, `[..., num_features]`."""
    return (_MODES[self.name][1](spectrum, self),)


# What each mode needs, and what it makes of that.
_MODES: dict[str, tuple[Needs, Callable[[Spectrum, Mode], tf.Tensor]]] = {
  "log": (POWER, lambda s, mode: spectrum_ops.log(s.power, mode.floor)),
  "magnitude": (
    POWER,
    lambda s, mode: spectrum_ops.magnitude(s.power, mode.floor),
  ),
  "psd": (POWER, lambda s, mode: spectrum_ops.psd(s.power, mode.fft_length)),
  "real": (("real",), lambda s, _: s.real),
  "imag": (("imag",), lambda s, _: s.imag),
  "angle": (PARTS, lambda s, _: spectrum_ops.angle(s.real, s.imag)),
  "stft": (PARTS, lambda s, _: spectrum_ops.stft(s.real, s.imag)),
  "power": (POWER, lambda s, _: s.power),
}


def kernel_parts(needs: Needs | str) -> Needs:
  """Returns which kernels are needed: "real", "imag" or both.

  Args:
    needs: What a stage needs, or the name of a mode.
  """
  if isinstance(needs, str):
    needs = _MODES[needs][0]
  return PARTS if needs == POWER else needs


def of_parts(stage: Stage, parts: Results) -> Results:
  """Returns what a stage makes of the parts that `kernel_parts` names."""
  if stage.needs == POWER:
    return stage(Spectrum(power=spectrum_ops.power(*parts)))
  return stage(Spectrum(**dict(zip(stage.needs, parts, strict=True))))
