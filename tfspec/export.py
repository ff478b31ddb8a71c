"""The SavedModel that TF Serving loads."""

import dataclasses
import os
import tempfile
import uuid
from typing import Any

import numpy as np
import tensorflow as tf

from tfspec import goldens as goldens_lib
from tfspec import model_card, servable, serving_requests
from tfspec.config import SpectrogramConfig, save_config
from tfspec.servable import Limits, Servable
from tfspec.spectrogram import Spectrogram

CONFIG_ASSET = "config.textproto"
GOLDENS_ASSET = "goldens.npz"
PREDICTIONS_ASSET = "predictions.npz"
_CARD_ASSET = "model_card.md"

_DEFAULT_MINUTES = 30
# Of a config that states no rate.
_DEFAULT_RATE_HZ = 48000


def export_saved_model(
  source: SpectrogramConfig | Spectrogram | Any,
  path: str | os.PathLike[str],
  channels: int | None = None,
  *,
  max_samples: int | None = None,
  max_wav_bytes: int | None = None,
  non_finite: str = "reject",
  jit_compile: bool = False,
) -> None:
  """Writes a SavedModel that needs only TensorFlow to run.

  | signature | inputs | outputs |
  |---|---|---|
  | `serving_default` | `signals`, float32 `[batch, samples]`; `lengths` | A |
  | `pcm16` | `signals`, int16, divided by 32768; `lengths` | A |
  | `wav` | `wav_bytes`, string `[batch]`: whole WAV files | A |
  | `spectrogram` | as `serving_default`; with a Keras model only | S |

  S is `spectrogram`, float32 in the layout of `tfspec.Spectrogram` for a batch,
  and `num_frames`, int32 `[batch]`. A is S, or with a Keras model what it
  returns: `predictions`, or the names that the model gives its outputs.

  With `channels` the signals are `[batch, samples, channels]`, or with channels
  first `[batch, channels, samples]`. Batch and samples are free. `lengths`,
  int32 `[batch]`, says how many samples of each row are its own. It may be
  left out of a request, and in Python be empty: all are. Each row gives what
  it gives alone; beyond its `num_frames` it is zero. A Keras model gets the
  lengths as a mask; one that takes a fixed number of samples gets shorter files
  filled up with zeros.

  A request that breaks a limit, or that has a file which cannot be read or has
  other channels or another sample rate than the config, fails as a whole with
  INVALID_ARGUMENT and a sentence that says why.

  The assets are the config, `config.textproto`; golden vectors, `goldens.npz`,
  with which `tfspec.verify` proves later that the model computes what it did
  here; and `model_card.md` for the operator. Requests that warm TF Serving up
  lie in `assets.extra`. The folder appears when it is complete.

  All operations are stock ones. A `precision` other than "default" brings in
  one of XLA, which a server must have linked in.

  Args:
    source: What to export: a config; a `Spectrogram` where kernels were
      trained; or a Keras model with one `tfspec.layers.STFTSpectrogram`, which
      takes a batch of signals.
    path: Folder that does not exist yet, such as "models/speech/1".
    channels: Channels of the signals, or None for mono without a channels axis.
      A Keras model says it itself.
    max_samples: Rows times samples of a request, at most; rows count as at
      least one frame. None: 30 minutes at the config's sample rate, or at
      48 kHz if it states none.
    max_wav_bytes: Bytes of all WAV files of a request, at most. None: those of
      `max_samples` in 32 bits, and 1 MiB.
    non_finite: "reject" refuses requests with NaN or infinities, "pass" lets
      them spoil the frames that contain them.
    jit_compile: Whether XLA compiles the model, once for each shape. The server
      must have XLA linked in.

  Raises:
    FileExistsError: If the path exists.
    TypeError: If the source is none of the three.
    ValueError: If an argument is out of its range, or a Keras model has not one
      input, and one layer that makes spectrograms.

  Example:
    >>> config = tfspec.SpectrogramConfig()
    >>> tfspec.export_saved_model(config, "models/speech/1")
    >>> served = tf.saved_model.load("models/speech/1")
    >>> serve = served.signatures["serving_default"]
    >>> outputs = serve(signals=tf.zeros([2, 16000]), lengths=[16000, 300])
    >>> outputs["spectrogram"].shape, outputs["num_frames"].numpy().tolist()
    (TensorShape([2, 124, 129]), [124, 1])
  """
  model, samples = None, None
  if isinstance(source, SpectrogramConfig):
    spectrogram = Spectrogram(source)
  elif isinstance(source, Spectrogram):
    spectrogram = source
  else:
    model = source
    spectrogram = _front_end(model)
    channels, samples = _signals_of(model, spectrogram.config, channels)
  limits = _limits(
    spectrogram.config, channels, max_samples, max_wav_bytes, non_finite
  )
  target = os.fspath(path).rstrip("/")
  if tf.io.gfile.exists(target):
    raise FileExistsError(
      f"path must not exist yet: exports are never overwritten. Got: {target}."
    )
  served = Servable(spectrogram, channels, limits, jit_compile, model, samples)
  # TF Serving takes only folders whose name is a number for versions.
  partial = f"{target}.partial-{uuid.uuid4().hex[:8]}"
  name = os.path.basename(os.path.dirname(os.path.abspath(target))) or "model"
  try:
    with tempfile.TemporaryDirectory() as folder:
      _write_assets(served, name, limits, folder)
      served.assets = [
        tf.saved_model.Asset(os.path.join(folder, asset))
        for asset in sorted(os.listdir(folder))
      ]
      tf.saved_model.save(served, partial, served.functions)
    clip = goldens_lib.clips(spectrogram.config)["pcm16"]
    inputs = serving_requests.inputs(
      clip, served.signals_shape, spectrogram.config
    )
    requests = {name: inputs[name] for name in served.functions}
    serving_requests.save_warmup(partial, name, requests)
    try:
      tf.io.gfile.rename(partial, target)
    except tf.errors.AlreadyExistsError as e:
      raise FileExistsError(f"path must not exist yet. Got: {target}.") from e
  except BaseException:
    if tf.io.gfile.exists(partial):
      tf.io.gfile.rmtree(partial)
    raise


def _limits(
  config: SpectrogramConfig,
  channels: int | None,
  max_samples: int | None,
  max_wav_bytes: int | None,
  non_finite: str,
) -> Limits:
  """Returns the limits with their defaults, checked."""
  if max_samples is None:
    rate = config.sample_rate_hz or _DEFAULT_RATE_HZ
    max_samples = _DEFAULT_MINUTES * 60 * rate
  if max_wav_bytes is None:
    max_wav_bytes = 4 * max_samples * (channels or 1) + 2**20
  given = {
    "channels": channels or (1 if channels is None else 0),
    "max_samples": max_samples,
    "max_wav_bytes": max_wav_bytes,
  }
  for name, value in given.items():
    if value < 1:
      raise ValueError(f"{name} must be at least 1. Got: {name}={value}.")
  if non_finite not in servable.NON_FINITE:
    raise ValueError(
      f"non_finite must be one of {', '.join(servable.NON_FINITE)}. Got: "
      f"non_finite={non_finite!r}."
    )
  return Limits(max_samples, max_wav_bytes, non_finite)


def _front_end(model: Any) -> Spectrogram:
  """Returns the spectrogram inside a Keras model."""
  if not hasattr(model, "layers"):
    raise TypeError(
      "source must be a SpectrogramConfig, a Spectrogram or a Keras model. "
      f"Got: {type(model).__name__}."
    )
  found = [layer for layer in layers_of(model) if _makes_spectrograms(layer)]
  if len(found) != 1:
    raise ValueError(
      "The model must have one tfspec.layers.STFTSpectrogram. Got: "
      f"{len(found)} of them in {model.name!r}."
    )
  return found[0].to_spectrogram()


def layers_of(model: Any) -> list[Any]:
  """Returns a Keras model, its layers and those of the models in it."""
  inner = [layers_of(layer) for layer in getattr(model, "layers", [])]
  return [model, *sum(inner, [])]


def _makes_spectrograms(layer: Any) -> bool:
  return hasattr(layer, "to_spectrogram")


def _signals_of(
  model: Any, config: SpectrogramConfig, channels: int | None
) -> tuple[int | None, int | None]:
  """Returns the channels and the samples of what a Keras model takes."""
  shape = model.input_shape
  if not isinstance(shape, tuple) or len(shape) != 3:
    raise ValueError(
      "The model must take one batch of signals, [batch, samples, channels] or "
      f"with channels first [batch, channels, samples]. Got: {shape}."
    )
  last = config.data_format == "channels_last"
  own, samples = shape[2 if last else 1], shape[1 if last else 2]
  if own is None or channels not in (None, own):
    raise ValueError(
      "channels must be what the model takes, a fixed number. Got: "
      f"channels={channels}, input shape {shape}."
    )
  return (None if own == 1 and channels is None else own), samples


def _write_assets(
  served: Servable, name: str, limits: Limits, folder: str
) -> None:
  spectrogram = served.spectrogram
  save_config(spectrogram.config, os.path.join(folder, CONFIG_ASSET))
  goldens = goldens_lib.make(spectrogram)
  goldens_lib.save(
    goldens,
    spectrogram.config.fingerprint(),
    os.path.join(folder, GOLDENS_ASSET),
  )
  card = model_card.model_card(
    name, spectrogram.config, served.functions, dataclasses.asdict(limits)
  )
  with open(os.path.join(folder, _CARD_ASSET), "w", encoding="utf-8") as f:
    f.write(card)
  if served.model is None:
    return
  predictions = {}
  for golden in goldens:
    inputs = serving_requests.inputs(
      golden.signals, served.signals_shape, spectrogram.config
    )
    outputs = served.functions["serving_default"](**inputs["serving_default"])
    for output, value in outputs.items():
      # Strings as bytes: an archive of objects would have to be pickled.
      value = np.asarray(value.numpy()[0])
      kind = bytes if value.dtype == object else value.dtype
      predictions[f"{golden.name}/{output}"] = value.astype(kind)
  np.savez_compressed(os.path.join(folder, PREDICTIONS_ASSET), **predictions)
