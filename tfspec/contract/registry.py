"""The registry of goldens: each is a config and the signals it is run on.

Every test of a route goes through this list, and `completeness_test.py` fails
when an enum value or a oneof arm of the schema is in none of them. Add a golden
here to add a case to every route.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import json_format, text_format

from tfspec.config import MODES, SpectrogramConfig, presets
from tfspec.contract import bounds, oracle, vectors
from tfspec.proto import spectrogram_config_pb2 as config_pb2


@dataclasses.dataclass(frozen=True)
class Golden:
  """A config as a user writes it, and the shape of a batch of signals."""

  name: str
  text: str
  shape: tuple[int, int, int] = (2, 1200, 1)  # batch, samples, channels
  kind: str = "noise"
  dtype: str = "float32"

  def proto(self) -> Any:
    """Returns the config as a message."""
    return text_format.Parse(self.text, config_pb2.SpectrogramConfig())

  def config(self) -> SpectrogramConfig:
    """Returns the config."""
    return SpectrogramConfig.from_proto(self.proto())

  def signals(self) -> np.ndarray:
    """Returns the batch in the config's data format, every element unlike."""
    random = np.random.default_rng(len(self.name) + self.shape[1])
    values = 0.3 * random.standard_normal(self.shape)
    if self.kind == "silence":
      values[:] = 0.0
    elif self.kind == "tone":
      values += np.sin(0.3 * np.arange(self.shape[1]))[:, np.newaxis]
    elif self.kind == "impulse":
      values[:] = 0.0
      values[:, self.shape[1] // 3, :] = 1.0
    if self.config().data_format == "channels_first":
      values = values.transpose(0, 2, 1)
    return values.astype(np.float32)

  def expected(self) -> tuple[np.ndarray, np.ndarray]:
    """Returns the oracle's output and the tolerance of each value."""
    config = self.config().resolved()
    window = oracle.window(
      config.window,
      config.frame_length,
      config.periodic,
      config.scaling,
      config.window_length,
    )
    signals = in_dtype(self.signals(), self.dtype).astype(np.float64)
    if config.data_format == "channels_last":
      signals = signals.transpose(0, 2, 1)
    fields = json_format.MessageToDict(
      self.proto(), preserving_proto_field_name=True
    )
    outputs, tolerances = [], []
    # A batch of none has the shape of a batch of one, but for its length.
    for clip in signals if len(signals) else np.zeros((1, *signals.shape[1:])):
      per_channel = []
      for channel in clip:
        spectrum = oracle.stft(
          channel,
          window,
          config.frame_step,
          config.fft_length,
          config.padding,
          config.pad_mode,
          config.pad_value,
          fields.get("conditioning"),
        )
        if config.drop_last_frame:
          spectrum = spectrum[:-1]
        values = oracle.mode(
          spectrum, config.mode, config.fft_length, config.least
        )
        energy = oracle.log_energy(
          channel,
          config.frame_length,
          config.frame_step,
          config.padding,
          config.pad_mode,
          config.pad_value,
          fields.get("conditioning"),
        )
        values = oracle.stages(
          values, fields, config.fft_length, energy[: len(values)]
        )
        parts = {"real": spectrum.real, "imag": spectrum.imag}
        if config.has_energy:
          parts["energy"] = vectors.golden("", channel, config, {}).parts[
            "energy"
          ]
        tolerance = bounds.tolerance(
          config,
          parts,
          self.dtype,
          vectors.cancelled(channel, config),
        )
        per_channel.append((values, tolerance))
      joined = [
        oracle.layout(list(arrays), config.expand_dims, config.data_format)
        for arrays in zip(*per_channel, strict=True)
      ]
      outputs.append(joined[0])
      tolerances.append(joined[1])
    batch = len(signals)
    return np.stack(outputs)[:batch], np.stack(tolerances)[:batch]


@dataclasses.dataclass(frozen=True, eq=False)
class Recording(Golden):
  """A golden whose signals, `[batch, samples, channels]`, are given."""

  values: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0))

  def signals(self) -> np.ndarray:
    """Returns the recording in the data format of the config."""
    if self.config().data_format == "channels_first":
      return self.values.transpose(0, 2, 1)
    return self.values


def xla_lacks(engine: str, dtype: str) -> bool:
  """Whether XLA cannot compile it: in TensorFlow 2.16 it has no float64 FFT."""
  old = tf.__version__.startswith("2.16.")
  return old and (engine, dtype) == ("fft", "float64")


def in_dtype(values: np.ndarray, dtype: str) -> np.ndarray:
  """Rounds to a dtype that NumPy alone does not know, bfloat16 among them."""
  import ml_dtypes

  return values.astype(getattr(ml_dtypes, dtype, dtype))


_SMALL = "frame_length: 64 frame_step: 24 "
_MEL = (
  "mode: MODE_POWER sample_rate_hz: 8000 fft_length: 256 frame_length: 200 "
  "frame_step: 80 "
)
_BANK = "sample_rate_hz: 8000 filter_bank { num_bands: 8 } "
_BANK_OF_POWER = "mode: MODE_POWER compression {} " + _BANK


def _modes() -> Iterator[Golden]:
  for mode in map(str, MODES):
    for engine in ("fft", "kernel"):
      yield Golden(
        f"{mode}_{engine}",
        f"mode: MODE_{mode.upper()} engine: ENGINE_{engine.upper()} " + _SMALL,
      )


GOLDENS = [
  Golden("defaults", ""),
  *_modes(),
  Golden(
    "speech",
    "frame_length: 400 frame_step: 160 fft_length: 512 sample_rate_hz: 16000",
    kind="tone",
  ),
  # Windows.
  Golden("window_name", 'window { named { name: "blackman" } } ' + _SMALL),
  Golden(
    "window_parameters",
    'window { named { name: "kaiser" parameters: 8.6 } } periodic: true '
    + _SMALL,
  ),
  Golden(
    "window_general_cosine",
    'window { named { name: "general_cosine" parameters: [0.5, 0.4, 0.1] } } '
    + _SMALL,
  ),
  Golden(
    "window_exponential",
    'window { named { name: "exponential" parameters: 9 } } ' + _SMALL,
  ),
  Golden(
    "window_values",
    "window { values { value: [1, -2, 3.5, 0.25, 0, 1e-3, 7] } } "
    "frame_length: 7",
  ),
  Golden(
    "window_rectangular",
    "window { rectangular {} } scaling: SCALING_SPECTRUM " + _SMALL,
  ),
  *(
    Golden(
      f"window_length_{name}",
      f"window_length: {length} {fields} " + _SMALL,
    )
    for name, length, fields in (
      ("odd", 41, "mode: MODE_STFT"),
      ("kernel", 40, "engine: ENGINE_KERNEL mode: MODE_STFT"),
      ("center", 40, "padding: PADDING_CENTER fft_length: 64"),
      ("same", 1, "padding: PADDING_SAME window { rectangular {} }"),
      ("trainable", 50, "trainable: true mode: MODE_POWER periodic: true"),
      ("whole", 64, "scaling: SCALING_SPECTRUM mode: MODE_PSD"),
    )
  ),
  Golden(
    "window_length_values",
    "window { values { value: [1, -2, 3.5, 0.25] } } window_length: 4 "
    "frame_length: 7",
  ),
  # Scaling.
  Golden("scaling_density", "scaling: SCALING_DENSITY mode: MODE_PSD"),
  Golden("scaling_spectrum", "scaling: SCALING_SPECTRUM mode: MODE_MAGNITUDE"),
  Golden("scaling_none", "scaling: SCALING_NONE mode: MODE_STFT " + _SMALL),
  # Padding and lengths.
  Golden("padding_valid", "padding: PADDING_VALID " + _SMALL),
  Golden("padding_same", "padding: PADDING_SAME " + _SMALL),
  Golden(
    "padding_same_kernel",
    "padding: PADDING_SAME engine: ENGINE_KERNEL mode: MODE_STFT " + _SMALL,
    shape=(2, 1201, 1),
  ),
  Golden("padding_center", "padding: PADDING_CENTER " + _SMALL),
  Golden(
    "padding_center_kernel",
    "padding: PADDING_CENTER pad_mode: PAD_MODE_REFLECT engine: ENGINE_KERNEL "
    "mode: MODE_STFT " + _SMALL,
    shape=(2, 1201, 1),
  ),
  Golden(
    "padding_center_odd",
    "padding: PADDING_CENTER mode: MODE_STFT frame_length: 63 frame_step: 20",
    shape=(2, 300, 2),
  ),
  *(
    Golden(
      f"padding_center_{mode}_{name}_{engine}".lower(),
      f"padding: PADDING_CENTER pad_mode: PAD_MODE_{mode} "
      f"engine: ENGINE_{engine} mode: MODE_STFT " + value + _SMALL,
      shape=(2, samples, 1),
    )
    for mode, value in (("REFLECT", ""), ("CONSTANT", "pad_value: -0.3 "))
    for engine in ("FFT", "KERNEL")
    for name, samples in (
      ("clip", 500),
      ("short", 11),
      ("one_sample", 1),
      ("empty", 0),
    )
  ),
  Golden(
    "padding_center_zeros",
    "padding: PADDING_CENTER pad_mode: PAD_MODE_CONSTANT " + _SMALL,
  ),
  Golden(
    "padding_center_first",
    "padding: PADDING_CENTER data_format: DATA_FORMAT_CHANNELS_FIRST " + _SMALL,
    (3, 30, 2),
  ),
  Golden(
    "padding_center_bfloat16",
    "padding: PADDING_CENTER " + _SMALL,
    (2, 200, 1),
    dtype="bfloat16",
  ),
  Golden(
    "padding_center_empty_batch",
    "padding: PADDING_CENTER " + _SMALL,
    shape=(0, 500, 1),
  ),
  *(
    Golden(
      f"samples_{samples}_{padding}_{engine}".lower(),
      f"padding: PADDING_{padding} engine: ENGINE_{engine} mode: MODE_STFT "
      + _SMALL,
      shape=(2, samples, 1),
    )
    for padding in ("VALID", "SAME", "CENTER")
    for engine in ("FFT", "KERNEL")
    for samples in (1, 63, 64, 65)
  ),
  Golden("shorter_than_frame", _SMALL, shape=(2, 63, 1)),
  Golden(
    "shorter_than_frame_kernel", "engine: ENGINE_KERNEL " + _SMALL, (2, 63, 1)
  ),
  Golden(
    "shorter_than_frame_same", "padding: PADDING_SAME " + _SMALL, (2, 1, 1)
  ),
  Golden("empty", _SMALL, shape=(2, 0, 1)),
  Golden("empty_kernel", "engine: ENGINE_KERNEL " + _SMALL, (2, 0, 1)),
  Golden("empty_same", "padding: PADDING_SAME " + _SMALL, (2, 0, 1)),
  Golden("one_frame", "engine: ENGINE_KERNEL " + _SMALL, (2, 64, 1)),
  Golden("empty_batch", "fft_length: 100 " + _SMALL, shape=(0, 500, 1)),
  Golden(
    "empty_batch_kernel", "frame_length: 300 engine: ENGINE_KERNEL", (0, 900, 1)
  ),
  Golden("frame_of_one_sample", "frame_length: 1 mode: MODE_PSD", (1, 9, 1)),
  Golden("frame_step_one", "frame_length: 48 frame_step: 1", (1, 120, 1)),
  Golden(
    "frame_step_one_kernel",
    "frame_length: 48 frame_step: 1 engine: ENGINE_KERNEL mode: MODE_STFT",
    (1, 120, 1),
  ),
  Golden(
    "no_common_divisor",
    "frame_length: 255 frame_step: 128 engine: ENGINE_KERNEL mode: MODE_STFT",
  ),
  Golden(
    "no_overlap",
    "frame_length: 1024 frame_step: 1024 engine: ENGINE_KERNEL mode: MODE_STFT",
    (1, 2500, 1),
  ),
  Golden(
    "long_frame",
    "frame_length: 2048 frame_step: 512 engine: ENGINE_KERNEL mode: MODE_STFT",
    (1, 6000, 1),
  ),
  Golden(
    "odd_fft_length",
    "frame_length: 100 fft_length: 175 mode: MODE_STFT",
  ),
  Golden(
    "odd_fft_length_kernel",
    "frame_length: 100 fft_length: 175 engine: ENGINE_KERNEL mode: MODE_PSD",
  ),
  Golden("even_fft_length", "frame_length: 90 fft_length: 90 mode: MODE_PSD"),
  # Layout.
  Golden(
    "stereo",
    "data_format: DATA_FORMAT_CHANNELS_LAST mode: MODE_STFT " + _SMALL,
    (3, 500, 2),
  ),
  Golden("stereo_image", "expand_dims: true " + _SMALL, (3, 500, 2)),
  Golden(
    "stereo_first",
    "data_format: DATA_FORMAT_CHANNELS_FIRST mode: MODE_STFT " + _SMALL,
    (3, 500, 2),
  ),
  Golden(
    "stereo_first_image",
    "data_format: DATA_FORMAT_CHANNELS_FIRST expand_dims: true "
    "engine: ENGINE_KERNEL " + _SMALL,
    (3, 500, 2),
  ),
  # Engines and precision.
  Golden("engine_auto", "engine: ENGINE_AUTO " + _SMALL),
  Golden("trainable", "trainable: true mode: MODE_STFT " + _SMALL),
  Golden("trainable_imag", "trainable: true mode: MODE_IMAG " + _SMALL),
  Golden(
    "precision_default",
    "precision: PRECISION_DEFAULT engine: ENGINE_KERNEL " + _SMALL,
  ),
  Golden(
    "precision_high",
    "precision: PRECISION_HIGH engine: ENGINE_KERNEL mode: MODE_STFT " + _SMALL,
  ),
  Golden(
    "precision_highest",
    "precision: PRECISION_HIGHEST trainable: true mode: MODE_STFT " + _SMALL,
  ),
  # Stages.
  *(
    Golden(f"filter_bank_{name}", f"filter_bank {{ {bank} }} {others}" + _MEL)
    for name, bank, others in (
      ("defaults", "empty: EMPTY_ALLOW", ""),
      ("htk", "scale: SCALE_HTK slopes: SLOPES_SCALE num_bands: 9", ""),
      (
        "slaney",
        "scale: SCALE_SLANEY norm: NORM_SLANEY num_bands: 20 high_hz: 3800",
        "expand_dims: true ",
      ),
      (
        "linear_kernel",
        "scale: SCALE_LINEAR slopes: SLOPES_HERTZ norm: NORM_NONE num_bands: 7",
        "engine: ENGINE_KERNEL ",
      ),
      ("lower", "slopes: SLOPES_LOWER num_bands: 12 low_hz: 150.5", ""),
      (
        "lower_slaney",
        "slopes: SLOPES_LOWER norm: NORM_SLANEY num_bands: 12",
        "data_format: DATA_FORMAT_CHANNELS_FIRST ",
      ),
      ("first_bin", "first_bin: 3 num_bands: 8 empty: EMPTY_ERROR", ""),
      ("empty_band", "num_bands: 64 empty: EMPTY_ALLOW", ""),
      (
        "table",
        "table { first_bin: 2 weight: [0.5, 1, 0.25] } table { weight: 2 } "
        "table {}",
        "",
      ),
    )
  ),
  *(
    Golden(f"filter_bank_{mode}_{engine}".lower(), text + _BANK + _SMALL)
    for mode in ("POWER", "MAGNITUDE", "PSD")
    for engine in ("FFT", "KERNEL")
    for text in [f"mode: MODE_{mode} engine: ENGINE_{engine} "]
  ),
  *(
    Golden(
      f"compression_{name}",
      f"compression {{ {compression} }} {others}" + _SMALL,
      shape=(2, samples, channels),
    )
    for name, compression, others, samples, channels in (
      ("log", "kind: KIND_LOG", "mode: MODE_POWER ", 1200, 1),
      ("log10", "base: 10 floor: 1e-6", "mode: MODE_PSD " + _BANK, 1200, 1),
      ("offset", "offset: 0.01", "mode: MODE_MAGNITUDE " + _BANK, 1200, 1),
      (
        "offset_and_floor",
        "offset: 1e-4 floor: 1e-2",
        "mode: MODE_POWER engine: ENGINE_KERNEL ",
        1200,
        2,
      ),
      (
        "decibel",
        "kind: KIND_DECIBEL reference: 20",
        "mode: MODE_POWER " + _BANK,
        1200,
        1,
      ),
      (
        "decibel_of_magnitude",
        "kind: KIND_DECIBEL floor: 1e-5",
        "mode: MODE_MAGNITUDE engine: ENGINE_KERNEL ",
        1200,
        1,
      ),
      (
        "power",
        "kind: KIND_POWER exponent: 0.3",
        "mode: MODE_POWER " + _BANK,
        1200,
        1,
      ),
      (
        "peak_of_clip",
        "kind: KIND_DECIBEL dynamic_range: 20",
        "mode: MODE_POWER expand_dims: true " + _BANK,
        1200,
        2,
      ),
      (
        "peak_of_clip_kernel",
        "dynamic_range: 4 base: 10",
        "mode: MODE_POWER engine: ENGINE_KERNEL " + _BANK,
        1200,
        2,
      ),
      (
        "peak_of_no_frames",
        "dynamic_range: 4",
        "mode: MODE_POWER " + _BANK,
        63,
        1,
      ),
      (
        "peak",
        "dynamic_range: 8 peak: 1.5 base: 10",
        "mode: MODE_POWER " + _BANK,
        1200,
        1,
      ),
    )
  ),
  *(
    Golden(
      f"mel_{name}_{dtype}",
      f"mode: MODE_POWER engine: ENGINE_{engine} trainable: {trainable} "
      "compression { dynamic_range: 6 } " + _BANK + _SMALL,
      dtype=dtype,
    )
    for name, engine, trainable, dtype in (
      ("fft", "FFT", "false", "float16"),
      ("fft", "FFT", "false", "bfloat16"),
      ("fft", "FFT", "false", "float64"),
      ("trainable", "KERNEL", "true", "float16"),
      ("trainable", "KERNEL", "true", "bfloat16"),
      ("trainable", "KERNEL", "true", "float32"),
      ("kernel", "KERNEL", "false", "float64"),
    )
  ),
  *(
    Golden(f"conditioning_{name}", f"conditioning {{ {text} }} {others}")
    for name, text, others in (
      ("gain", "gain: 32768", _BANK_OF_POWER + _SMALL),
      ("gain_kernel", "gain: 0.5", "engine: ENGINE_KERNEL " + _SMALL),
      ("dc", "remove_dc: true", "mode: MODE_STFT " + _SMALL),
      ("dc_log", "remove_dc: true", _BANK_OF_POWER + _SMALL),
      (
        "dc_kernel",
        "remove_dc: true",
        "engine: ENGINE_KERNEL mode: MODE_POWER " + _SMALL,
      ),
      ("frame", "preemphasis: 0.97", "padding: PADDING_CENTER " + _SMALL),
      (
        "frame_kept",
        "preemphasis: 0.9 first_sample: FIRST_SAMPLE_KEPT",
        "mode: MODE_STFT window { rectangular {} } " + _SMALL,
      ),
      (
        "frame_kernel",
        "remove_dc: true preemphasis: 0.97 gain: 100 "
        "preemphasis_of: PREEMPHASIS_OF_FRAME "
        "first_sample: FIRST_SAMPLE_SCALED",
        "engine: ENGINE_KERNEL mode: MODE_REAL " + _SMALL,
      ),
      (
        "trainable",
        "remove_dc: true preemphasis: 0.97",
        "trainable: true mode: MODE_MAGNITUDE " + _SMALL,
      ),
      (
        "clip",
        "preemphasis: 0.97 preemphasis_of: PREEMPHASIS_OF_CLIP "
        "first_sample: FIRST_SAMPLE_KEPT",
        "mode: MODE_STFT padding: PADDING_CENTER "
        "pad_mode: PAD_MODE_CONSTANT pad_value: 0.25 " + _SMALL,
      ),
      (
        "clip_scaled",
        "preemphasis: 0.5 preemphasis_of: PREEMPHASIS_OF_CLIP remove_dc: true",
        "padding: PADDING_SAME data_format: DATA_FORMAT_CHANNELS_FIRST "
        + _SMALL,
      ),
    )
  ),
  *(
    Golden(f"drop_last_frame_{name}", f"drop_last_frame: true {text}" + _SMALL)
    for name, text in (
      ("valid", ""),
      ("same", "padding: PADDING_SAME engine: ENGINE_KERNEL "),
      ("center", "padding: PADDING_CENTER "),
    )
  ),
  *(
    Golden(
      f"hop_center_{name}",
      f"padding: PADDING_HOP_CENTER {text}" + _SMALL,
      shape=(2, samples, 1),
    )
    for name, text, samples in (
      ("long", "", 1200),
      ("symmetric", "pad_mode: PAD_MODE_SYMMETRIC engine: ENGINE_KERNEL ", 97),
      ("constant", "pad_mode: PAD_MODE_CONSTANT pad_value: 0.25 ", 300),
      ("reflect", "pad_mode: PAD_MODE_REFLECT ", 50),
      ("short", "", 13),
      ("no_frames", "", 11),
    )
  ),
  *(
    Golden(
      f"center_symmetric_{samples}",
      "padding: PADDING_CENTER pad_mode: PAD_MODE_SYMMETRIC " + _SMALL,
      shape=(2, samples, 1),
    )
    for samples in (300, 5, 1)
  ),
  *(
    Golden(
      f"{name}_{samples}", f"{text} {others}" + _SMALL, shape=(2, samples, 2)
    )
    for name, text, others, samples in (
      ("deltas", "deltas {}", _BANK_OF_POWER, 1200),
      ("deltas", "deltas { order: 1 width: 3 }", "expand_dims: true ", 100),
      (
        "deltas",
        "deltas { order: 1 }",
        "data_format: DATA_FORMAT_CHANNELS_FIRST engine: ENGINE_KERNEL ",
        63,
      ),
      ("stacking", "stacking {}", _BANK_OF_POWER, 1200),
      (
        "stacking",
        "stacking { size: 3 step: 1 }",
        "expand_dims: true mode: MODE_STFT ",
        300,
      ),
      (
        "stacking",
        "stacking { size: 7 step: 6 }",
        "data_format: DATA_FORMAT_CHANNELS_FIRST engine: ENGINE_KERNEL ",
        200,
      ),
      (
        "stacking",
        "stacking { size: 3 step: 2 }",
        "mode: MODE_MAGNITUDE engine: ENGINE_KERNEL ",
        700,
      ),
      (
        "stacked_deltas",
        "stacking {} deltas {} cepstrum { num_coefficients: 3 } "
        "normalization { source: SOURCE_CLIP }",
        _BANK_OF_POWER + "padding: PADDING_CENTER drop_last_frame: true ",
        500,
      ),
    )
  ),
  Golden(
    "drop_last_frame_of_one",
    "drop_last_frame: true " + _SMALL,
    shape=(2, 64, 1),
  ),
  *(
    Golden(
      f"cepstrum_{name}", f"cepstrum {{ {text} }} {others}", shape=(2, 1200, 2)
    )
    for name, text, others in (
      (
        "ortho",
        "num_coefficients: 5 dct_norm: DCT_NORM_ORTHO",
        _BANK_OF_POWER + _SMALL,
      ),
      (
        "htk",
        "num_coefficients: 8 dct_norm: DCT_NORM_HTK",
        _BANK_OF_POWER + "expand_dims: true " + _SMALL,
      ),
      (
        "lifter",
        "lifter: 22 num_coefficients: 6",
        _BANK_OF_POWER
        + "data_format: DATA_FORMAT_CHANNELS_FIRST engine: ENGINE_KERNEL "
        + _SMALL,
      ),
      (
        "energy",
        "energy: true num_coefficients: 4",
        _BANK_OF_POWER + "conditioning { remove_dc: true preemphasis: 0.97 } "
        "padding: PADDING_HOP_CENTER " + _SMALL,
      ),
      (
        "energy_kernel",
        "energy: true num_coefficients: 4 lifter: 5",
        _BANK_OF_POWER + "engine: ENGINE_KERNEL padding: PADDING_SAME "
        "conditioning { gain: 4 preemphasis: 0.5 "
        "preemphasis_of: PREEMPHASIS_OF_CLIP } deltas { order: 1 } " + _SMALL,
      ),
      (
        "lifter_start",
        "lifter: 10 lifter_start: 1",
        "mode: MODE_LOG expand_dims: true "
        "data_format: DATA_FORMAT_CHANNELS_FIRST " + _SMALL,
      ),
    )
  ),
  *(
    Golden(
      f"normalization_{name}",
      f"normalization {{ {text} }} {others}",
      shape=(2, samples, 2),
    )
    for name, text, others, samples in (
      (
        "constants",
        "source: SOURCE_CONSTANTS mean: -4 std: 4",
        _BANK_OF_POWER + _SMALL,
        1200,
      ),
      (
        "of_features",
        "mean: [1, 2, 3, 4, 5, 6, 7, 8] std: [1, 2, 1, 2, 1, 2, 1, 0.5]",
        _BANK_OF_POWER + "engine: ENGINE_KERNEL " + _SMALL,
        1200,
      ),
      (
        "clip",
        "source: SOURCE_CLIP epsilon_of: EPSILON_OF_STD",
        _BANK_OF_POWER + _SMALL,
        1200,
      ),
      (
        "clip_variance",
        "source: SOURCE_CLIP ddof: 1 epsilon: 1e-3 "
        "epsilon_of: EPSILON_OF_VARIANCE",
        "mode: MODE_LOG engine: ENGINE_KERNEL expand_dims: true " + _SMALL,
        1200,
      ),
      (
        "clip_mean",
        "source: SOURCE_CLIP unit_variance: false",
        _BANK_OF_POWER + "data_format: DATA_FORMAT_CHANNELS_FIRST " + _SMALL,
        1200,
      ),
      (
        "clip_of_one_frame",
        "source: SOURCE_CLIP ddof: 1",
        "mode: MODE_LOG " + _SMALL,
        64,
      ),
    )
  ),
  *(
    Golden(
      f"chain_{dtype}",
      "conditioning { gain: 32768 remove_dc: true preemphasis: 0.97 } "
      "cepstrum { num_coefficients: 4 } "
      "normalization { source: SOURCE_CLIP ddof: 1 } "
      + _BANK_OF_POWER
      + _SMALL,
      dtype=dtype,
    )
    for dtype in ("float16", "bfloat16", "float64")
  ),
  *(
    Golden(
      f"preset_{preset.name}",
      str(preset.config.to_proto()),
      shape=(1, preset.values["frame_length"] * 4, 1),
    )
    for preset in presets()
  ),
  # Values.
  Golden("floor", "floor: 1e-9 " + _SMALL),
  Golden("silence", _SMALL, kind="silence"),
  Golden("silence_angle", "mode: MODE_ANGLE " + _SMALL, kind="silence"),
  Golden(
    "impulse", "mode: MODE_STFT engine: ENGINE_KERNEL " + _SMALL, kind="impulse"
  ),
  # Dtypes.
  *(
    Golden(
      f"{dtype}_{engine}".lower(),
      f"engine: ENGINE_{engine} " + _SMALL,
      dtype=dtype,
    )
    for dtype in ("float16", "bfloat16", "float64")
    for engine in ("FFT", "KERNEL")
  ),
]
