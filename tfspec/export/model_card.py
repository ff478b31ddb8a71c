"""The model card of an export: what its operator must know, in Markdown."""

from typing import Any

import tensorflow as tf

from tfspec.coefficients.rules import brief
from tfspec.config import ResolvedConfig, SpectrogramConfig, fields
from tfspec.version import __version__

# What a value is, X being the transform.
FORMULAS = {
  "log": "log(max(|X|, floor)), the natural logarithm",
  "magnitude": "max(|X|, floor)",
  "psd": "|X|^2, doubled but for DC and Nyquist",
  "real": "Re X",
  "imag": "Im X",
  "angle": "atan2(Im X, Re X), in radians",
  "stft": "all Re X, then all Im X",
  "power": "|X|^2",
}


def model_card(
  name: str,
  config: SpectrogramConfig,
  functions: dict[str, Any],
  limits: dict[str, int | str],
  batching: str | None = None,
) -> str:
  """Returns the model card.

  Args:
    name: Name of the model.
    config: Config of its spectrogram.
    functions: The signatures.
    limits: What a request may hold, by name.
    batching: A sentence on how the rows of a request share calls of a Keras
      model; None for a spectrogram.

  Returns:
    Markdown.
  """
  values = config.resolved()
  rate = values.sample_rate_hz
  rate_text = "any; it is not checked" if rate is None else f"{rate} Hz"
  kernels = "fixed"
  if config.trainable:
    kernels = "trained, stored in the variables"
  what = "Spectrograms of sound, made by tfspec."
  if batching:
    what = "A Keras model of sound, with a spectrogram made by tfspec inside."
  lines = [
    f"# {name}",
    "",
    f"{what} With the window w, frame m and bin k,",
    "",
    "    X[m, k] = sum over t of w[t] x[m frame_step + t]"
    " exp(-2 pi i t k / fft_length)",
    "",
    f"and the values of the spectrogram are {FORMULAS[values.mode]}"
    f"{_followed(values)}.",
    "",
    "| property | value |",
    "|---|---|",
    f"| config fingerprint | {config.fingerprint()} |",
    f"| tfspec, TensorFlow | {__version__}, {tf.__version__} |",
    f"| sample rate | {rate_text} |",
    f"| mode, scaling | {values.mode}, {values.scaling} |",
    f"| frame_length, frame_step, fft_length (samples) |"
    f" {values.frame_length}, {values.frame_step}, {values.fft_length} |",
    f"| window | {_window(values)} |",
    f"| padding | {values.padding}"
    f"{', without the last frame' if values.drop_last_frame else ''} |",
    f"| floor | {values.least:.6g} |",
    f"| num_bins | {values.num_bins}, {_bins(values)} |",
    *(_stage(stage) for stage in values.all_stages),
    f"| engine, kernels | {values.engine}, {kernels} |",
    "",
    "## Signatures",
    "",
    "| signature | inputs | outputs |",
    "|---|---|---|",
  ]
  for signature, function in functions.items():
    concrete = function.get_concrete_function()
    inputs = concrete.structured_input_signature[0]
    lines.append(
      f"| {signature} | {_tensors({s.name: s for s in inputs})} |"
      f" {_tensors(concrete.structured_outputs)} |"
    )
  lines += [
    "",
    "-1 is a size that each request chooses. `signals` of float32 are usually"
    " in [-1, 1], of int16 they are divided by 32768. `lengths` may be left"
    " out; else it says how many samples of each row are its own: what stands"
    " behind them does not matter, and frames beyond `num_frames` are those of"
    f" silence{_silence(config)}. `signals` of two axes are a batch of mono"
    " clips. `wav_bytes` are whole WAV files.",
    "",
    *_of_model(batching),
    "A signature that Python has loaded knows no default: give it"
    " `lengths=tf.zeros([0], tf.int32)`, or call"
    ' `loaded.functions["serving_default"](signals=...)`.',
    "",
    "## Limits",
    "",
    "A request beyond them is answered with INVALID_ARGUMENT and a sentence."
    " One bad row fails its whole batch.",
    "",
    "| limit | value |",
    "|---|---|",
    *(f"| {key} | {value} |" for key, value in limits.items()),
    "",
    "## Proof",
    "",
    f"`tfspec verify FOLDER` replays {_proof(batching)}."
    " `sha256sum --check sha256sums.txt` tells whether a file has changed.",
    "",
  ]
  return "\n".join(lines)


def _followed(config: ResolvedConfig) -> str:
  if not config.stages:
    return ""
  names = ", then ".join(stage.PATH for stage in config.stages)
  return f", followed by {names}"


def _silence(config: SpectrogramConfig) -> str:
  value = config.silence
  return f", {value:.6g}" if isinstance(value, float) else ""


def _stage(stage: fields.Stage) -> str:
  """Returns the row of a stage: the fields that have an effect."""
  found = [
    f"{field.name} {brief(value)}"
    for field, value, owner in fields.leaves(stage)
    if value is not None and not field.is_inert(owner)
  ]
  return f"| {stage.PATH} | {', '.join(found)} |"


def _proof(batching: str | None) -> str:
  if batching is None:
    return (
      "`goldens.npz` through each signature, and through training's own"
      " operations as `config.textproto` describes them"
    )
  return (
    "what Keras answered, `predictions.npz`, through each signature, and"
    " `goldens.npz` through the operations that `config.textproto` describes"
  )


def _of_model(batching: str | None) -> list[str]:
  if batching is None:
    return []
  return [
    "The answer to a clip is that of the Keras model to the clip by itself; if"
    " the model takes a fixed number of samples, to the clip filled up with"
    " zeros. It does not depend on the rest of the request."
    f" {batching} `NAME_length`, if there is one, says how much of a row of the"
    " output NAME is its own.",
    "",
  ]


def _window(config: ResolvedConfig) -> str:
  kind = "periodic" if config.periodic else "symmetric"
  text = "none" if config.window is None else f"{config.window}, {kind}"
  if isinstance(config.window, tuple) and len(config.window) > 8:
    text = f"{len(config.window)} given values"
  if config.window_length < config.frame_length:
    text += f"; {config.window_length} samples in the middle of the frame"
  return text


def _bins(config: ResolvedConfig) -> str:
  if config.sample_rate_hz is None:
    return f"bin k at k / {config.fft_length} cycles per sample"
  return f"bin k at k {config.sample_rate_hz / config.fft_length:g} Hz"


def _tensors(specs: dict[str, tf.TensorSpec]) -> str:
  texts = []
  for name, spec in sorted(specs.items()):
    shape = spec.shape
    sizes = "any" if shape.rank is None else [s or -1 for s in shape.as_list()]
    texts.append(f"`{name}` {spec.dtype.name} {sizes}")
  return ", ".join(texts)
