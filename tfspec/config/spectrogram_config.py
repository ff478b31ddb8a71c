"""The configuration of a spectrogram: all defaults and all rules.

`SpectrogramConfig` is what the rest of tfspec reads; the proto of the same name
is how it is stored. This module does not import TensorFlow.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Mapping
from typing import Any

from tfspec.coefficients import framing, rules, windows
from tfspec.config import messages
from tfspec.proto import spectrogram_config_pb2 as config_pb2
from tfspec.storage import files

MODES = ("log", "magnitude", "psd", "real", "imag", "angle", "stft")

CHOICES = {
  "mode": MODES,
  "data_format": ("channels_last", "channels_first"),
  **rules.CHOICES,
}
_LENGTHS = ("frame_length", "frame_step", "fft_length", "sample_rate_hz")
FLAGS = ("periodic", "expand_dims", "trainable")
# They say how the numbers are computed; all other fields say what they mean.
EXECUTION_FIELDS = ("trainable", "engine", "precision")
_KERAS_FIELDS = (
  "mode",
  "frame_length",
  "frame_step",
  "fft_length",
  "window",
  "periodic",
  "scaling",
  "padding",
  "data_format",
  "expand_dims",
  "trainable",
)


@dataclasses.dataclass(frozen=True)
class SpectrogramConfig:
  """One spectrogram, described once for training, preparing and serving.

  A config is immutable, hashable, and valid from the moment it exists. Lengths
  are in samples. The fields of `keras.layers.STFTSpectrogram` have its names
  and defaults.

  Attributes:
    mode: What a value of the output is: "log" (natural logarithm of the
      magnitude), "magnitude", "psd" (one-sided power), "real", "imag", "angle"
      (radians, in [-pi, pi]) or "stft" (all real parts, then all imaginary
      parts).
    frame_length: Samples in a frame, at least 1.
    frame_step: Samples between the starts of two frames, in
      `[1, frame_length]`. None: half of `frame_length`, at least 1.
    fft_length: Samples in the Fourier transform, in `[frame_length, 2**20]`; a
      frame is padded at its end with zeros. None: the smallest power of two
      that is at least `frame_length`.
    window: A name or a tuple that `scipy.signal.get_window` knows ("hann",
      `("kaiser", 8.6)`), `frame_length` values, or None for all ones.
    periodic: True for a periodic window, False for a symmetric one.
    scaling: "density" divides the window by the root of its sum of squares,
      "spectrum" by the sum of its absolute values, None leaves it.
    padding: "valid" keeps the frames that lie inside the clip, "same" pads with
      zeros to `ceil(samples / frame_step)` frames, "center" adds
      `frame_length // 2` samples on both sides, so that the middle of frame `m`
      is sample `m * frame_step`, as librosa and torch have it.
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
    pad_mode: What "center" padding adds: "reflect" (the clip, reflected at its
      first and last sample as in `numpy.pad`; clips of any length) or
      "constant" (`pad_value`). None: "reflect". Must be None for other
      paddings.
    pad_value: The sample that `pad_mode="constant"` adds, in `[-1e18, 1e18]`.
      None: 0.0. Must be None for other pad modes.

  Raises:
    ValueError: If a value breaks a rule; the message names the field, the rule
      and the values.
    TypeError: If a value is of the wrong type.

  Example:
    >>> config = SpectrogramConfig(frame_length=400, frame_step=160)
    >>> config.num_bins, config.num_frames(16000)
    (257, 98)
  """

  mode: str = "log"
  frame_length: int = 256
  frame_step: int | None = None
  fft_length: int | None = None
  window: str | tuple | None = "hann"
  periodic: bool = False
  scaling: str | None = "density"
  padding: str = "valid"
  expand_dims: bool = False
  data_format: str = "channels_last"
  trainable: bool = False
  sample_rate_hz: int | None = None
  engine: str = "auto"
  precision: str = "default"
  floor: float | None = None
  pad_mode: str | None = None
  pad_value: float | None = None

  def __post_init__(self) -> None:
    """Normalises the values and checks every rule."""
    for name in _LENGTHS:
      self._set(name, rules.check_integer(name, getattr(self, name)))
    for name in FLAGS:
      self._set(name, rules.check_flag(name, getattr(self, name)))
    for name, choices in CHOICES.items():
      if name != "pad_mode" or self.pad_mode is not None:
        rules.check_choice(name, getattr(self, name), choices)
    self._set("floor", rules.check_floor(self.floor))
    self._set("pad_value", rules.check_pad_value(self.pad_value))
    self._set("window", rules.normalise_window(self.window))
    rules.check_lengths(self.frame_length, self.frame_step, self.fft_length)
    if self.sample_rate_hz is not None:
      rules.check_range("sample_rate_hz", self.sample_rate_hz, 1, 2**31 - 1)
    rules.check_padding(self.padding, self.pad_mode, self.pad_value)
    rules.check_engine(
      self.engine,
      self.precision,
      self.frame_length,
      self.resolved().fft_length,
      self.trainable,
    )
    windows.window(self.window, self.frame_length, self.periodic, self.scaling)

  def _set(self, name: str, value: object) -> None:
    object.__setattr__(self, name, value)

  def _values(self) -> dict[str, Any]:
    return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}

  def resolved(self) -> SpectrogramConfig:
    """Returns the equal config in which nothing is left to a default."""
    changes = {}
    if self.frame_step is None:
      changes["frame_step"] = framing.default_frame_step(self.frame_length)
    if self.fft_length is None:
      changes["fft_length"] = framing.default_fft_length(self.frame_length)
    if self.floor is None:
      changes["floor"] = math.sqrt(1e-7)
    if self.padding == "center" and self.pad_mode is None:
      changes["pad_mode"] = "reflect"
    if self.pad_mode == "constant" and self.pad_value is None:
      changes["pad_value"] = 0.0
    if self.engine == "auto":
      changes["engine"] = rules.resolved_engine("auto", self.trainable)
    # Not dataclasses.replace: that would check this valid config again.
    result = object.__new__(SpectrogramConfig)
    result.__dict__.update(self.__dict__, **changes)
    return result

  @property
  def num_bins(self) -> int:
    """Number of frequency bins: `fft_length // 2 + 1`.

    Bin `k` stands for `k * sample_rate_hz / fft_length` hertz.
    """
    return framing.num_bins(self.resolved().fft_length)

  @property
  def num_features(self) -> int:
    """Values per frame and channel: `num_bins`, twice that in mode "stft"."""
    return self.num_bins * (2 if self.mode == "stft" else 1)

  @property
  def silence(self) -> float:
    """The value of digital silence, which stands behind the end of a clip.

    It is `log(floor)` in mode "log", `floor` in mode "magnitude" and 0.0 in the
    others. Rounded to the dtype of a spectrogram, it is exactly what samples of
    0 give there.

    Example:
      >>> SpectrogramConfig(mode="log", floor=0.5).silence
      -0.6931471805599453
    """
    floor = self.resolved().floor
    return {"log": math.log(floor), "magnitude": floor}.get(self.mode, 0.0)

  def num_frames(self, samples: int) -> int:
    """Returns how many frames a clip of `samples` samples gives.

    With "valid" padding frame `m` holds the samples
    `[m * frame_step, m * frame_step + frame_length)`, and a clip that is
    shorter than a frame gives none; "center" puts it `frame_length // 2`
    samples earlier. A clip without samples has no frames in any padding.

    Args:
      samples: Length of the clip, at least 0.

    Returns:
      The number of frames.
    """
    samples = rules.check_integer("samples", samples)
    rules.check_range("samples", samples, 0, math.inf)
    return framing.num_frames(
      samples, self.frame_length, self.resolved().frame_step, self.padding
    )

  def fingerprint(self) -> str:
    """Returns 16 hexadecimal digits that stand for what the numbers mean.

    Two configs have the same fingerprint if and only if `differences` of them
    is empty. These fields do not count:

    - `trainable`, `engine` and `precision`: they say how the numbers are
      computed. Where training moved the kernels, no config says;
    - a field that does nothing beside the others: `floor` in a mode other than
      "log" and "magnitude", and `periodic` where the window has no name.

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
    values = self.resolved()._values()
    lines = [
      f"{field.name}={_canonical(values[field.name])}"
      for field in dataclasses.fields(self)
      if field.name in self._definition_fields()
      and values[field.name] != field.default
    ]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]

  def differences(self, other: SpectrogramConfig) -> dict[str, tuple[Any, Any]]:
    """Returns both values of each field in which the definitions differ.

    It is empty if the numbers of both mean the same; `fingerprint` says which
    fields count. No value is left to a default.

    Example:
      >>> default = SpectrogramConfig()
      >>> other = SpectrogramConfig(frame_step=64, fft_length=256)
      >>> default.differences(other)
      {'frame_step': (128, 64)}
      >>> default.differences(SpectrogramConfig(engine="kernel"))
      {}
    """
    return self._differences(
      other, self._definition_fields() | other._definition_fields()
    )

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
    own, theirs = self.resolved()._values(), other.resolved()._values()
    return {
      name: (value, theirs[name])
      for name, value in own.items()
      if name in names and value != theirs[name]
    }

  def _definition_fields(self) -> set[str]:
    """Returns the fields that say what the numbers of this config mean."""
    names = set(self._values()).difference(EXECUTION_FIELDS)
    if self.mode not in ("log", "magnitude"):
      names.remove("floor")
    if not windows.is_named(self.window):
      names.remove("periodic")
    return names

  def to_proto(self) -> config_pb2.SpectrogramConfig:
    """Returns the proto; every field that is not None is set in it."""
    return messages.from_values(self._values())

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

    `sample_rate_hz`, `engine`, `precision`, `floor`, `pad_mode` and `pad_value`
    have no counterpart.
    """
    return {name: getattr(self, name) for name in _KERAS_FIELDS}

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
    known = {field.name for field in dataclasses.fields(cls)}
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


def load_config(path: files.Path) -> SpectrogramConfig:
  """Reads a config from a file.

  Args:
    path: A file that ends in `.textproto` or `.pbtxt` (text), `.binpb` or `.pb`
      (binary), or `.json`.

  Returns:
    The config.

  Raises:
    ValueError: If the file is not a valid config; the message starts with its
      path.
    OSError: If the file cannot be read.

  Example:
    >>> config = load_config("speech.textproto")
    >>> config.frame_length, config.sample_rate_hz
    (200, 8000)
  """
  path = files.as_path(path)
  return parse_config(files.read_bytes(path), path)


def parse_config(content: bytes, path: str) -> SpectrogramConfig:
  """Returns the config that is the content of a file of this path.

  Raises:
    ValueError: As `load_config`.
  """
  try:
    return SpectrogramConfig.from_proto(messages.parse(content, path))
  except (TypeError, ValueError) as e:
    raise ValueError(f"{files.shown(path)}: {e}") from e


def save_config(config: SpectrogramConfig, path: files.Path) -> None:
  """Writes a config to a file that `load_config` reads.

  Args:
    config: The config.
    path: Where to write; the ending chooses the format, see `load_config`.

  Raises:
    ValueError: If the ending is none of these.
    OSError: If the file cannot be written.

  Example:
    >>> save_config(SpectrogramConfig(mode="psd"), "psd.textproto")
    >>> load_config("psd.textproto").mode
    'psd'
  """
  messages.write(config.to_proto(), files.as_path(path))


def _canonical(value: object) -> str:
  if isinstance(value, tuple):
    return "(" + ",".join(_canonical(item) for item in value) + ")"
  if isinstance(value, float):
    return value.hex()
  return str(value)
