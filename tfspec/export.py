"""The SavedModel that TF Serving loads."""

import dataclasses
import os
import tempfile
from typing import Any

import numpy as np
import tensorflow as tf

from tfspec import (
  checksums,
  exportable,
  model_card,
  servable,
  serving_requests,
)
from tfspec import goldens as goldens_lib
from tfspec.config import SpectrogramConfig, save_config
from tfspec.exportable import (
  CONFIG_ASSET,
  GOLDENS_ASSET,
  PREDICTIONS_ASSET,
  Exportable,
)
from tfspec.servable import Limits, Servable
from tfspec.spectrogram import Spectrogram

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
  lengths as its input `lengths`, beside one named `signals`, or without such an
  input as a mask; one that takes a fixed number of samples gets shorter files
  filled up with zeros.

  A request that breaks a limit, or that has a file which cannot be read or has
  other channels or another sample rate than the config, fails as a whole with
  INVALID_ARGUMENT and a sentence that says why.

  The assets are the config, `config.textproto`; golden vectors, `goldens.npz`,
  with which `tfspec.verify` proves later that the model computes what it did
  here; and `model_card.md` for the operator. Requests that warm TF Serving up
  lie in `assets.extra`. `sha256sums.txt` lists every file with its sum. The
  folder appears when it is complete.

  All operations are stock ones. A `precision` other than "default" brings in
  one of XLA, which a server must have linked in.

  Args:
    source: What to export: a config; a `Spectrogram` where kernels were
      trained; or a Keras model with one `tfspec.layers.STFTSpectrogram`, which
      takes a batch of signals, or inputs named `signals` and `lengths`.
    path: Folder that does not exist yet, such as "models/speech/1".
    channels: Channels of the signals, or None for mono without a channels axis.
      A Keras model says it itself.
    max_samples: Rows times samples of a request, at most, and at least one
      row; rows count as at least one frame. None: 30 minutes at the config's
      sample rate, or at 48 kHz if it states none.
    max_wav_bytes: Bytes of all WAV files of a request, at most. None: those of
      `max_samples` in 32 bits, and 1 MiB.
    non_finite: "reject" refuses requests with NaN or infinities, "pass" lets
      them spoil the frames that contain them.
    jit_compile: Whether XLA compiles the model, once for each shape. The server
      must have XLA linked in.

  Raises:
    FileExistsError: If the path exists.
    TypeError: If the source is none of the three.
    ValueError: If an argument is out of its range, or a Keras model has other
      inputs, not one layer that makes spectrograms, or fails for a clip without
      frames.

  Example:
    >>> config = tfspec.SpectrogramConfig()
    >>> tfspec.export_saved_model(config, "models/speech/1")
    >>> served = tf.saved_model.load("models/speech/1")
    >>> serve = served.signatures["serving_default"]
    >>> outputs = serve(signals=tf.zeros([2, 16000]), lengths=[16000, 300])
    >>> outputs["spectrogram"].shape, outputs["num_frames"].numpy().tolist()
    (TensorShape([2, 124, 129]), [124, 1])
  """
  exported = exportable.exportable(source, channels)
  config = exported.spectrogram.config
  limits = _limits(exported, max_samples, max_wav_bytes, non_finite)
  target = exportable.check_new(path)
  served = Servable(exported, limits, jit_compile)
  name = os.path.basename(os.path.dirname(os.path.abspath(target))) or "model"
  with exportable.written_aside(target) as partial:
    with tempfile.TemporaryDirectory() as folder:
      _write_assets(served, name, limits, folder)
      served.assets = [
        tf.saved_model.Asset(os.path.join(folder, asset))
        for asset in sorted(os.listdir(folder))
      ]
      tf.saved_model.save(served, partial, served.functions)
    clip = goldens_lib.clips(config)["pcm16"]
    inputs = serving_requests.inputs(clip, exported.signals_shape, config)
    requests = {name: inputs[name] for name in served.functions}
    serving_requests.save_warmup(partial, name, requests)
    checksums.write(partial)


def _limits(
  exported: Exportable,
  max_samples: int | None,
  max_wav_bytes: int | None,
  non_finite: str,
) -> Limits:
  """Returns the limits with their defaults, checked."""
  config = exported.spectrogram.config
  if max_samples is None:
    rate = config.sample_rate_hz or _DEFAULT_RATE_HZ
    max_samples = _DEFAULT_MINUTES * 60 * rate
  if max_wav_bytes is None:
    max_wav_bytes = 4 * max_samples * (exported.channels or 1) + 2**20
  given = {"max_samples": max_samples, "max_wav_bytes": max_wav_bytes}
  for name, value in given.items():
    if value < 1:
      raise ValueError(f"{name} must be at least 1. Got: {name}={value}.")
  least = max(config.frame_length, exported.samples or 0)
  if max_samples < least:
    raise ValueError(
      "max_samples must be at least one row: frame_length, and the samples "
      "that a model takes if they are fixed. Got: "
      f"max_samples={max_samples}, frame_length={config.frame_length}, "
      f"samples={exported.samples}."
    )
  if non_finite not in servable.NON_FINITE:
    raise ValueError(
      f"non_finite must be one of {', '.join(servable.NON_FINITE)}. Got: "
      f"non_finite={non_finite!r}."
    )
  return Limits(max_samples, max_wav_bytes, non_finite)


def _write_assets(
  served: Servable, name: str, limits: Limits, folder: str
) -> None:
  exported = served.exported
  spectrogram = exported.spectrogram
  save_config(spectrogram.config, os.path.join(folder, CONFIG_ASSET))
  goldens = goldens_lib.make(spectrogram)
  goldens_lib.save(
    goldens,
    spectrogram.config,
    os.path.join(folder, GOLDENS_ASSET),
  )
  card = model_card.model_card(
    name, spectrogram.config, served.functions, dataclasses.asdict(limits)
  )
  with open(os.path.join(folder, _CARD_ASSET), "w", encoding="utf-8") as f:
    f.write(card)
  if exported.model is None:
    return

  def run(signals: np.ndarray) -> dict[str, tf.Tensor]:
    inputs = serving_requests.inputs(
      signals, exported.signals_shape, spectrogram.config
    )
    return served.functions["serving_default"](**inputs["serving_default"])

  np.savez_compressed(
    os.path.join(folder, PREDICTIONS_ASSET),
    **exportable.predictions(goldens, run),
  )
