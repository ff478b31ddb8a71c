"""The configuration of a spectrogram: all fields and their defaults.

`SpectrogramConfig` is what the rest of tfspec reads; the proto of the same name
is how it is stored. The rules that it calls are in `coefficients.rules`, where
`tfspec.stft` finds them too. This module does not import TensorFlow.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfspec.coefficients import framing, rules, windows
from tfspec.config import fields, messages
from tfspec.config.cepstrum import LEAST_ENERGY, Cepstrum
from tfspec.config.compression import Compression
from tfspec.config.conditioning import Conditioning
from tfspec.config.deltas import Deltas
from tfspec.config.fields import (
  Choice,
  Field,
  Flag,
  Group,
  Integer,
  Number,
  Stage,
  ValueStage,
  Window,
  declare,
)
from tfspec.config.filter_bank import FilterBank
from tfspec.config.normalization import Normalization
from tfspec.config.stacking import Stacking
from tfspec.proto import spectrogram_config_pb2 as config_pb2


@dataclasses.dataclass(frozen=True)
class SpectrogramConfig:
  """One spectrogram, described once for training, preparing and serving.

  A config is immutable, hashable, and valid from the moment it exists. Lengths
  are in samples. The fields of `keras.layers.STFTSpectrogram` have its names
  and defaults.

  Attributes:
    mode: What a value of the output is: "log" (natural logarithm of the
      magnitude), "magnitude", "psd" (one-sided power), "real", "imag", "angle"
      (radians, in [-pi, pi]), "stft" (all real parts, then all imaginary
      parts) or "power" (its square, neither doubled nor floored).
    frame_length: Samples in a frame, at least 1.
    frame_step: Samples between the starts of two frames, in
      `[1, frame_length]`. None: half of `frame_length`, at least 1.
    fft_length: Samples in the Fourier transform, in `[frame_length, 2**20]`; a
      frame is padded at its end with zeros. None: the smallest power of two
      that is at least `frame_length`.
    window: A name or a tuple that `scipy.signal.get_window` knows ("hann",
      `("kaiser", 8.6)`), `window_length` values, or None for all ones.
    periodic: True for a periodic window, False for a symmetric one.
    scaling: "density" divides the window by the root of its sum of squares,
      "spectrum" by the sum of its absolute values, None leaves it.
    padding: "valid" keeps the frames that lie inside the clip, "same" pads with
      zeros to `ceil(samples / frame_step)` frames, "center" adds
      `frame_length // 2` samples on both sides, so that the middle of frame `m`
      is sample `m * frame_step`, as librosa and torch have it; "hop_center"
      pads so that it is sample `m * frame_step + frame_step // 2`, as Kaldi has
      it without snip-edges.
    expand_dims: True makes the output an image with a channels axis.
    data_format: "channels_last" or "channels_first".
    trainable: True makes the kernels variables.
    sample_rate_hz: The sample rate that the signals must have, or None.
    engine: "kernel" (products with Fourier kernels), "fft", or "auto": kernel
      if `trainable`, else fft.
    precision: "default", "high" or "highest": how the kernel engine multiplies
      on devices that round operands (TPU, TF32 GPUs). CPUs do not.
    floor: Smallest magnitude of modes "log" and "magnitude", in
      `[1e-18, 1e18]`. None: `sqrt(1e-7)`, as Keras has it, in every dtype: the
      short ones are computed in float32.
    pad_mode: What "center" and "hop_center" padding adds: "reflect" (the clip,
      reflected at its first and last sample as in `numpy.pad`; clips of any
      length), "symmetric" (the same with the sample at the end twice) or
      "constant" (`pad_value`). None: "reflect" for "center", "symmetric" for
      "hop_center". Must be None for other paddings.
    pad_value: The sample that `pad_mode="constant"` adds, in `[-1e18, 1e18]`,
      after the gain and the pre-emphasis of the clip. None: 0.0. Must be None
      for other pad modes.
    window_length: Samples in the window, in `[1, frame_length]`. A shorter
      window stands in the middle of its frame, as in torch and librosa, with
      `(frame_length - window_length) // 2` zeros before it and the others
      behind it. None: `frame_length`.
    drop_last_frame: True leaves out the last frame of each clip, as Whisper
      does.
    conditioning: A `Conditioning` of the samples before they are padded and
      meet the window, or None.
    filter_bank: A `FilterBank`, which adds bins up to bands, or None.
    compression: A `Compression` of each value, or None.
    cepstrum: A `Cepstrum` of the values of each frame, or None.
    normalization: A `Normalization` of each feature, or None.
    deltas: `Deltas` beside the features, or None.
    stacking: A `Stacking` of frames side by side, or None.

  Raises:
    ValueError: If a value breaks a rule; the message names the field, the rule
      and the values.
    TypeError: If a value is of the wrong type.

  Example:
    >>> config = SpectrogramConfig(frame_length=400, frame_step=160)
    >>> config.num_bins, config.num_frames(16000)
    (257, 98)
  """

  mode: str = declare(
    "log",
    Choice(
      ("log", "magnitude", "psd", "real", "imag", "angle", "stft", "power")
    ),
    "A value is another function of the transform.",
    in_keras=True,
  )
  frame_length: int = declare(
    256,
    Integer(1, rules.MAX_FFT_LENGTH),
    "A frame covers another time, and its spectral lines have another width.",
    in_keras=True,
  )
  frame_step: int | None = declare(
    None,
    Integer(1, "frame_length"),
    "A clip has another number of frames.",
    unset="half of frame_length",
    derive=lambda config: framing.default_frame_step(config.frame_length),
    in_keras=True,
  )
  fft_length: int | None = declare(
    None,
    Integer(1, rules.MAX_FFT_LENGTH),
    "There are other bins, and bin k stands for another frequency.",
    unset="the power of two that holds frame_length",
    derive=lambda config: framing.default_fft_length(config.frame_length),
    in_keras=True,
  )
  window: str | tuple[Any, ...] | None = declare(
    "hann",
    Window(),
    "The samples of a frame have other weights: every value changes.",
    in_keras=True,
  )
  periodic: bool = declare(
    False,
    Flag(),
    "The samples of a frame have other weights: every value changes.",
    is_inert=lambda config: not windows.is_named(config.window),
    in_keras=True,
  )
  scaling: str | None = declare(
    "density",
    Choice(rules.CHOICES["scaling"]),
    "Every magnitude changes by one factor; phases stay.",
    in_keras=True,
  )
  padding: str = declare(
    "valid",
    Choice(rules.CHOICES["padding"]),
    "Frames lie elsewhere in the clip.",
    in_keras=True,
  )
  expand_dims: bool = declare(
    False, Flag(), "The same values in another layout.", in_keras=True
  )
  data_format: str = declare(
    "channels_last",
    Choice(("channels_last", "channels_first")),
    "The same values in another layout.",
    in_keras=True,
  )
  trainable: bool = declare(
    False,
    Flag(),
    "Training moves the kernels.",
    is_execution=True,
    in_keras=True,
  )
  sample_rate_hz: int | None = declare(
    None,
    Integer(1, 2**31 - 1),
    "Signals must have another rate, at which bins stand for other hertz.",
    unset="any rate",
  )
  engine: str = declare(
    "auto",
    Choice(rules.CHOICES["engine"]),
    "Speed and rounding only.",
    unset="kernel if trainable, else fft",
    derive=lambda config: rules.resolved_engine("auto", config.trainable),
    is_execution=True,
  )
  precision: str = declare(
    "default",
    Choice(rules.CHOICES["precision"]),
    "Speed and rounding only, on devices that round operands (TPU, TF32 GPUs).",
    is_execution=True,
  )
  floor: float | None = declare(
    None,
    Number(1e-18, 1e18),  # Its square must be a normal float32.
    "Quiet values are raised to another level.",
    unset="the root of 1e-7",
    derive=lambda config: None if config.is_of_power else math.sqrt(1e-7),
    is_inert=lambda config: (
      config.mode not in ("log", "magnitude") or config.is_of_power
    ),
  )
  pad_mode: str | None = declare(
    None,
    Choice(rules.CHOICES["pad_mode"]),
    "Only frames that reach beyond the ends of a clip change.",
    unset="reflect for center, symmetric for hop_center",
    derive=lambda config: rules.DEFAULT_PAD_MODES.get(config.padding),
  )
  pad_value: float | None = declare(
    None,
    Number(-1e18, 1e18),  # Its square must be a normal float32.
    "Only frames that reach beyond the ends of a clip change.",
    unset="0 where pad_mode is constant",
    derive=lambda config: 0.0 if config.pad_mode == "constant" else None,
  )
  window_length: int | None = declare(
    None,
    Integer(1, "frame_length"),
    "The samples of a frame have other weights: every value changes.",
    unset="frame_length",
    derive=lambda config: config.frame_length,
    is_inert=lambda config: config.window_length == config.frame_length,
  )
  drop_last_frame: bool = declare(
    False, Flag(), "A clip has one frame less, at its end."
  )
  conditioning: Conditioning | None = declare(
    None,
    Group(Conditioning),
    "The samples change before the transform.",
    is_inert=lambda config: config.conditioning in (None, Conditioning()),
  )
  filter_bank: FilterBank | None = declare(
    None, Group(FilterBank), "Bands take the place of bins."
  )
  compression: Compression | None = declare(
    None, Group(Compression), "A value is another function of the power."
  )
  cepstrum: Cepstrum | None = declare(
    None, Group(Cepstrum), "Coefficients take the place of bands."
  )
  normalization: Normalization | None = declare(
    None, Group(Normalization), "Values are shifted and scaled."
  )
  deltas: Deltas | None = declare(
    None, Group(Deltas), "There are slopes beside the features."
  )
  stacking: Stacking | None = declare(
    None, Group(Stacking), "There are fewer frames, of more features."
  )

  def __post_init__(self) -> None:
    """Normalises the values and checks every rule."""
    for field in FIELDS:
      value = field.check(getattr(self, field.name), self)
      object.__setattr__(self, field.name, value)
    rules.check_fft_length(self.frame_length, self.fft_length)
    self.window_values()  # It refuses what fits no window.
    rules.check_padding(self.padding, self.pad_mode, self.pad_value)
    rules.check_engine(
      self.engine,
      self.precision,
      self.frame_length,
      self.resolved().fft_length,
      self.trainable,
    )
    for stage in self.all_stages:
      stage.check(self)
    if self.stages and self.num_features > _MOST_FEATURES:
      raise ValueError(
        f"num_features must be at most {_MOST_FEATURES} with stages. Got: "
        f"num_features={self.num_features}, of {self.num_bins} bins."
      )

  @property
  def all_stages(self) -> tuple[Stage, ...]:
    """The stages before and behind the transform, in their order."""
    values = (getattr(self, field.name) for field in FIELDS)
    return tuple(value for value in values if isinstance(value, Stage))

  @property
  def stages(self) -> tuple[ValueStage, ...]:
    """The stages that follow the transform, in their order."""
    return tuple(s for s in self.all_stages if isinstance(s, ValueStage))

  @property
  def is_of_frames(self) -> bool:
    """Whether the values of a frame depend on that frame alone."""
    return all(stage.is_of_frames for stage in self.all_stages)

  @property
  def is_of_power(self) -> bool:
    """Whether a stage takes the values of the mode without a floor."""
    return any(stage.OF_POWER for stage in self.stages)

  @property
  def has_energy(self) -> bool:
    """Whether the cepstrum needs the energy of frames."""
    return self.cepstrum is not None and self.cepstrum.energy

  def resolved(self) -> ResolvedConfig:
    """Returns the same config with nothing left to a default."""
    # Not the constructor: that would check this valid config again.
    result = object.__new__(ResolvedConfig)
    stages = {stage.PATH: stage.resolved(self) for stage in self.all_stages}
    result.__dict__.update(self.__dict__, **self._derived(), **stages)
    return result

  def _derived(self) -> dict[str, Any]:
    """Returns what the defaults that are left stand for, by field."""
    return {
      field.name: field.derive(self)
      for field in FIELDS
      if field.derive and getattr(self, field.name) == field.default
    }

  def window_values(self) -> np.ndarray:
    """Returns the scaled window of a frame, float64 `[frame_length]`."""
    return windows.window(
      self.window,
      self.frame_length,
      self.periodic,
      self.scaling,
      self.window_length,
    )

  @property
  def num_bins(self) -> int:
    """Number of frequency bins: `fft_length // 2 + 1`.

    Bin `k` stands for `k * sample_rate_hz / fft_length` hertz.
    """
    return framing.num_bins(self.resolved().fft_length)

  @property
  def num_features(self) -> int:
    """Values per frame and channel.

    They are `num_bins`, twice that in mode "stft", the bands of a
    `filter_bank`, or the coefficients of a `cepstrum`, and more with `deltas`
    and `stacking`.
    """
    return self.features_before(None)

  def features_before(self, stage: ValueStage | None) -> int:
    """Returns how many values a frame has where a stage begins; None: at all.

    Args:
      stage: One of `stages`, resolved or not.
    """
    features = self.num_bins * (2 if self.mode == "stft" else 1)
    for each in self.stages:
      if stage is not None and each.PATH == stage.PATH:
        break
      features = each.num_features(features)
    return features

  @property
  def silence(self) -> float | tuple[float, ...]:
    """The value of digital silence, which stands behind the end of a clip.

    It is `log(floor)` in mode "log", `floor` in mode "magnitude" and 0.0 in the
    others, or what the stages make of that: one number, or `num_features`
    numbers where they differ, as those of a cepstrum do. Rounded to the dtype
    of a spectrogram, it is exactly what a clip gives whose samples are all 0.
    Behind a cepstrum or a normalization the rounding may differ.

    Example:
      >>> SpectrogramConfig(mode="log", floor=0.5).silence
      -0.6931471805599453
    """
    config = self.resolved()
    value = config.least if self.mode in ("log", "magnitude") else 0.0
    if self.mode == "log":
      value = math.log(value)
    if not self.stages:
      return value
    values = np.full([1, self.features_before(self.stages[0])], value)
    for stage in config.stages:
      if stage is config.stacking:
        values = np.tile(values, config.stacking.size)
        continue
      if stage is config.cepstrum and config.has_energy:
        least = np.full([1, 1], math.log(LEAST_ENERGY))
        values = np.concatenate([values, least], axis=1)
      values = stage.apply(values, config)
      if stage is config.cepstrum:
        # So it is of equal values. What a product leaves depends on the CPU.
        values[:, 1:] = 0.0
    found = tuple(values[0].tolist())
    return found if any(v != found[0] for v in found) else found[0]

  def num_frames(self, samples: int) -> int:
    """Returns how many frames a clip of `samples` samples gives.

    With "valid" padding frame `m` holds the samples
    `[m * frame_step, m * frame_step + frame_length)`, and a clip that is
    shorter than a frame gives none; "center" puts it `frame_length // 2`
    samples earlier. A clip without samples has no frames in any padding.
    `drop_last_frame` leaves one out, and `stacking` makes fewer of them.

    Args:
      samples: Length of the clip, at least 0.

    Returns:
      The number of frames.
    """
    frames = self.num_transformed(samples)
    return frames if self.stacking is None else self.stacking.num_frames(frames)

  def why_no_frames(self, samples: int) -> str:
    """Returns a sentence on why a clip of so many samples has no frames.

    Args:
      samples: Length of the clip, at least 1.
    """
    frames = self.num_transformed(samples)
    if frames:
      return f"The clip has {frames} of the frames that stacking.size asks for."
    whole = dataclasses.replace(self, drop_last_frame=False)
    if whole.num_transformed(samples):
      return "The clip has one frame, which drop_last_frame leaves out."
    return "The clip is shorter than a frame."

  def num_transformed(self, samples: int) -> int:
    """Returns how many frames of a clip are transformed: those of a stack too.

    Args:
      samples: Length of the clip, at least 0.
    """
    samples = rules.check_integer("samples", samples)
    rules.check_range("samples", samples, 0, math.inf)
    return framing.num_frames(
      samples,
      self.frame_length,
      self.resolved().frame_step,
      self.padding,
      drop_last=self.drop_last_frame,
    )

  def fingerprint(self) -> str:
    """Returns 16 hexadecimal digits that stand for what the numbers mean.

    Two configs have the same fingerprint if and only if `differences` of them
    is empty. These fields do not count:

    - `trainable`, `engine` and `precision`: they say how the numbers are
      computed. Where training moved the kernels, no config says;
    - a field that does nothing beside the others: `floor` in a mode other than
      "log" and "magnitude", `periodic` where the window has no name, and a
      `window_length` of `frame_length`.

    A stage that is None does not count either.

    All other fields count with their resolved values, so that a default and the
    same value written out are equal. A window counts as it is written: a name
    and the values that it stands for are two windows. The fingerprint is the
    same in every process, on every machine and under every version of
    TensorFlow, and a field that a later tfspec adds does not change it while
    the field has its default.

    Example:
      >>> default = SpectrogramConfig()
      >>> default.fingerprint() == SpectrogramConfig(
      ...   fft_length=256, trainable=True
      ... ).fingerprint()
      True
    """
    # One line a field. A field adds none while it has its default, so that
    # fields can be added without a change to the fingerprints of today.
    lines = [
      f"{field.path}={_canonical(value)}"
      for field, value in self._definition().values()
      if value != field.default
    ]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]

  def differences(self, other: SpectrogramConfig) -> dict[str, tuple[Any, Any]]:
    """Returns both values of each field in which the definitions differ.

    It is empty if the numbers of both mean the same; `fingerprint` says which
    fields count. No value is left to a default. The field of a stage is named
    by its path, "filter_bank.num_bands". A stage that one config alone has is
    one entry.

    Example:
      >>> default = SpectrogramConfig()
      >>> other = SpectrogramConfig(frame_step=64, fft_length=256)
      >>> default.differences(other)
      {'frame_step': (128, 64)}
      >>> default.differences(SpectrogramConfig(engine="kernel"))
      {}
    """
    names = [*self._definition(), *other._definition()]
    return self._differences(other, set(names))

  def execution_differences(
    self, other: SpectrogramConfig
  ) -> dict[str, tuple[Any, Any]]:
    """Returns the same of the fields that say how the numbers are computed.

    Example:
      >>> default = SpectrogramConfig()
      >>> default.execution_differences(SpectrogramConfig(engine="kernel"))
      {'engine': ('fft', 'kernel')}
    """
    return self._differences(other, set(EXECUTION_FIELDS))

  def _differences(
    self, other: SpectrogramConfig, names: set[str]
  ) -> dict[str, tuple[Any, Any]]:
    own, theirs = self._leaves(), other._leaves()
    return {
      path: (value, theirs[path][1])
      for path, (field, value) in own.items()
      if path in names and path in theirs and value != theirs[path][1]
    }

  def _leaves(self) -> dict[str, tuple[Field, Any]]:
    """Returns each field with its value, nothing left to a default, by path.

    The value of a stage is its name: its fields stand for themselves.
    """
    return {
      field.path: (field, field.name if isinstance(value, Stage) else value)
      for field, value, _ in fields.leaves(self.resolved())
    }

  def _definition(self) -> dict[str, tuple[Field, Any]]:
    """Returns those of them that say what the numbers of this config mean."""
    found = self._leaves()
    return {
      field.path: found[field.path]
      for field, _, owner in fields.leaves(self.resolved())
      if not field.is_execution and not field.is_inert(owner)
    }

  def to_proto(self) -> config_pb2.SpectrogramConfig:
    """Returns the proto; a None that stands for another value stays unset."""
    return messages.from_values(fields.set_values(self))

  @classmethod
  def from_proto(cls, proto: config_pb2.SpectrogramConfig) -> SpectrogramConfig:
    """Returns the config that a proto describes.

    Args:
      proto: The message. Fields that are not set take their defaults.

    Returns:
      The config.

    Raises:
      ValueError: If a value breaks a rule, or the message has fields or enum
        values that this version of tfspec does not know.
      TypeError: If `proto` is another kind of message.
    """
    return cls(**messages.to_values(proto))

  def to_keras(self) -> dict[str, Any]:
    """Returns the arguments of `keras.layers.STFTSpectrogram`.

    The other fields have no counterpart.

    Raises:
      ValueError: If the mode is "power", which Keras does not have, the last
        frame is left out, or there are stages.
    """
    for stage in self.all_stages:
      raise ValueError(
        f"{stage.PATH} must be None for Keras, which has no such stage. Got: "
        f"mode={self.mode!r} with one."
      )
    if self.drop_last_frame:
      raise ValueError(
        "drop_last_frame must be False for Keras, which keeps all frames. Got: "
        "drop_last_frame=True."
      )
    if self.mode == "power":
      raise ValueError(
        "mode must be one that Keras has: its 'psd' counts most bins twice. "
        f"Got: mode={self.mode!r}."
      )
    return {
      field.name: getattr(self, field.name)
      for field in FIELDS
      if field.in_keras
    }

  @classmethod
  def from_keras(cls, config: Mapping[str, Any]) -> SpectrogramConfig:
    """Returns the config of a Keras layer.

    Args:
      config: What `get_config()` of `keras.layers.STFTSpectrogram` or of
        `tfspec.layers.STFTSpectrogram` returns.

    Returns:
      The config. The layer's `name` and `dtype` do not enter.

    Raises:
      ValueError: If there is an entry that no such layer has.
    """
    known = {field.name for field in FIELDS}
    values = {k: v for k, v in config.items() if k not in ("name", "dtype")}
    for name in values:
      if name not in known:
        raise ValueError(
          f"config must hold arguments of STFTSpectrogram. Got: {name!r}."
        )
    window = values.get("window")
    if isinstance(window, Mapping):  # How a `.keras` file stores an array.
      values["window"] = window["config"]["value"]
    return cls(**values)


class ResolvedConfig(SpectrogramConfig):
  """A config in which nothing is left to a default.

  Its definition is that of the config that it is made of by `resolved`.
  """

  frame_step: int
  fft_length: int
  window_length: int

  def __post_init__(self) -> None:
    """Fills in what is left to a default, too."""
    super().__post_init__()
    self.__dict__.update(self.resolved().__dict__)

  @property
  def least(self) -> float:
    """The floor of the modes that have one; 0 where `is_of_power`."""
    return self.floor or 0.0


_MOST_FEATURES = 1 << 22
FIELDS = fields.of(SpectrogramConfig)
# Those of all stages among them, by path.
PATHS = {
  field.path: field
  for each in FIELDS
  for field in (
    each,
    *(fields.of(each.kind.type) if isinstance(each.kind, Group) else ()),
  )
}
CHOICES = {
  field.name: field.kind.choices
  for field in FIELDS
  if isinstance(field.kind, Choice)
}
MODES = CHOICES["mode"]
FLAGS = tuple(field.name for field in FIELDS if isinstance(field.kind, Flag))
# They say how the numbers are computed; all other fields say what they mean.
EXECUTION_FIELDS = tuple(field.name for field in FIELDS if field.is_execution)


def _canonical(value: object) -> str:
  if isinstance(value, tuple):
    return "(" + ",".join(_canonical(item) for item in value) + ")"
  if isinstance(value, float):
    return value.hex()
  return str(value)
