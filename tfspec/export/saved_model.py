"""The SavedModel that TF Serving loads."""

import dataclasses
import os
import tempfile
from typing import Any

import tensorflow as tf

from tfspec import errors
from tfspec.config import SpectrogramConfig, save_config
from tfspec.contract import archive, vectors
from tfspec.export import (
  answer_replay,
  model_card,
  process_state,
  sample_requests,
  signatures,
  sources,
)
from tfspec.export import answers as answers_lib
from tfspec.export.answers import Answers
from tfspec.export.signatures import BATCHINGS, Limits, Signatures
from tfspec.export.sources import (
  ANSWERS_ASSET,
  CONFIG_ASSET,
  GOLDENS_ASSET,
  Source,
)
from tfspec.spectrogram import Spectrogram
from tfspec.storage import checksums, files

_CARD_ASSET = "model_card.md"

_DEFAULT_MINUTES = 30
# The length of the clip that shows whether far padding changes an answer.
_LONG_FRAMES = 4096
# The rate of a config that states none.
_DEFAULT_RATE_HZ = 48000


@process_state.graphs_run()
def export_saved_model(
  source: SpectrogramConfig | Spectrogram | Any,
  path: str | os.PathLike[str],
  channels: int | None = None,
  *,
  max_samples: int | None = None,
  max_wav_bytes: int | None = None,
  min_samples: int | None = None,
  non_finite: str = "reject",
  cut_wav: str = "pass",
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
  and `num_frames`, int32 `[batch]`. A is S, or the outputs of a Keras model:
  `predictions`, or the names that the model gives its outputs.

  With `channels` the signals are `[batch, samples, channels]`, or with channels
  first `[batch, channels, samples]`. Without `channels`, rank 2 is a batch of
  mono clips, other than for `Spectrogram`. Batch and samples are free.
  `lengths`, int32 `[batch]`, says how many samples of each row are its own. A
  request may leave it out, and in Python it may be empty: then all samples are.
  The result for a row does not depend on the rest of the request or on its
  padding. Beyond its `num_frames` a spectrogram is silence.

  The answer of a Keras model to a clip is that of `model(clip[None])`. If the
  model takes a fixed number of samples, the clip is padded with zeros. A model
  gets `lengths` only if it has such an input beside one named `signals`, and a
  mask only from its own layers. The export tries which rows can share a call
  without a change of any answer. At best all rows can, if the model takes a
  fixed number of samples, or takes `lengths` and has no output whose size
  depends on the length. Otherwise rows of one length share a call. If the model
  mixes rows, each has its own call. Outputs whose size depends on the length
  are padded with zeros, and `NAME_length` gives the size of each. The signature
  `spectrogram` returns the output of the layer inside the model.

  A request fails as a whole if it breaks a limit, or if one of its files cannot
  be read or has other channels or another sample rate than the config. The
  error is INVALID_ARGUMENT, with a sentence that says why.

  The assets are the config, `config.textproto`; golden vectors, `goldens.npz`;
  the answers of a Keras model, `predictions.npz`; and `model_card.md` for the
  operator. With the vectors and answers `tfspec.verify` proves later that the
  model computes what it did here. Requests that warm TF Serving up lie in
  `assets.extra`. `sha256sums.txt` lists every file with its sum. The folder
  appears when it is complete.

  All operations are stock ones. A `precision` other than "default" brings in
  one of XLA, which a server must have linked in.

  Args:
    source: What to export: a config; a `Spectrogram`, say with trained kernels;
      or a Keras model with one `STFTSpectrogram`, tfspec's or Keras' own, which
      takes a batch of signals, or inputs named `signals` and `lengths`.
    path: Folder that does not exist yet, such as "models/speech/1".
    channels: Channels of the signals, or None for mono without a channels axis.
      A Keras model has its own number.
    max_samples: The largest product of rows and samples of the longest row. A
      row counts as at least `frame_length` samples. It must allow one row.
      None: 30 minutes at the config's sample rate, or at 48 kHz if it states
      none.
    max_wav_bytes: The largest number of bytes of all WAV files of a request.
      None: 4 bytes for each of `max_samples` in each channel, and 1 MiB.
    min_samples: The least number of samples of a row. None: 0 for a
      spectrogram, and for a Keras model the least number that has a finite
      answer, found by trying.
    non_finite: "reject" refuses requests with NaN or infinities, or with such
      an answer of a Keras model; "pass" lets them spoil the frames that contain
      them.
    cut_wav: "reject" refuses WAV files that hold fewer samples than their
      header promises, "pass" reads what is there.
    jit_compile: Whether XLA compiles the model, once for each shape. The server
      must have XLA linked in.

  Raises:
    FileExistsError: If the path exists.
    TypeError: If the source is none of the three.
    ValueError: If an argument is out of its range, or a Keras model has other
      inputs, not one layer that makes spectrograms, no finite answer, or
      another answer in a graph than in Keras.

  Example:
    >>> config = tfspec.SpectrogramConfig()
    >>> tfspec.export_saved_model(config, "models/speech/1")
    >>> served = tf.saved_model.load("models/speech/1")
    >>> serve = served.signatures["serving_default"]
    >>> outputs = serve(signals=tf.zeros([2, 16000]), lengths=[16000, 300])
    >>> outputs["spectrogram"].shape, outputs["num_frames"].numpy().tolist()
    (TensorShape([2, 124, 129]), [124, 1])
  """
  target = sources.check_new(path)
  exported = sources.as_source(source, channels)
  config = exported.spectrogram.config
  limits = _limits(
    exported, max_samples, max_wav_bytes, min_samples, non_finite, cut_wav
  )
  name = os.path.basename(os.path.dirname(os.path.abspath(target))) or "model"
  with files.written_aside(target, "path") as partial:
    if exported.model is None:
      served = Signatures(exported, limits, jit_compile=jit_compile)
      answers = None
    else:
      served, answers = _of_model(exported, limits, jit_compile)
    with tempfile.TemporaryDirectory() as folder:
      _write_assets(served, name, limits, answers, folder)
      served.assets = [
        tf.saved_model.Asset(os.path.join(folder, asset))
        for asset in sorted(os.listdir(folder))
      ]
      tf.saved_model.save(served, partial, served.functions)
    clip = vectors.clips(config)["pcm16"]
    if answers is not None:
      clip = answers.answered[0].signals
    inputs = sample_requests.inputs([clip], exported.signals_shape, config)
    requests = {name: inputs[name] for name in served.functions}
    sample_requests.save_warmup(partial, name, requests)
    checksums.write(partial)


def _of_model(
  exported: Source, limits: Limits, jit_compile: bool
) -> tuple[Signatures, Answers]:
  """Returns what serves a Keras model, and the answers of Keras."""
  config = exported.spectrogram.config
  # Rows that share a call may be padded far.
  shares = exported.takes_lengths and exported.samples is None
  long_samples = _LONG_FRAMES * config.resolved().frame_step if shares else 0
  clips = answers_lib.clips(
    config,
    limits.min_samples,
    exported.samples or limits.max_samples,
    min(long_samples, limits.max_samples // 2),
  )
  asked = answers_lib.make(exported, clips, limits.min_samples)
  row_samples = exported.samples or config.frame_length
  answers = Answers(asked, limits.max_samples, row_samples)
  if limits.non_finite == "pass":
    for clip in asked:
      if clip.outputs is None and len(clip.signals) >= limits.min_samples:
        raise ValueError(
          "The model must have a finite answer to every clip if non_finite is "
          f"'pass'. Got: none for {clip.name!r}."
        )
  has_inside = all(clip.inside for clip in answers.answered)
  # Tries which rows can share a call.
  names = list(BATCHINGS)
  if exported.samples is not None:
    names.remove("length")
  elif not shares or exported.has_open_outputs:
    names.remove("batch")
  if all(len(batch) == 1 for batch in answers.batches):
    names = ["row"]  # It cannot be tried.
  wrong = ""
  for batching in names:
    try:
      served = Signatures(exported, limits, batching, has_inside, jit_compile)
    except Exception as e:  # Whatever a model raises where it is traced.
      wrong = f": {errors.first_line(e)}"
      continue
    found = answer_replay.served_answers(
      config,
      served.functions,
      exported.signals_shape,
      answers,
    )
    if all(result.ok for result in found):
      return served, answers
    first = next(result for result in found if not result.ok)
    what = first.note or f"{first.error:.1e}"
    wrong = f" for {first.golden!r}: {what} ({first.route})"
  raise ValueError(
    "The model must answer in a graph as it does in Keras, to a relative "
    f"{answers_lib.BOUND:g}. Got{wrong}."
  )


def _limits(
  exported: Source,
  max_samples: int | None,
  max_wav_bytes: int | None,
  min_samples: int | None,
  non_finite: str,
  cut_wav: str,
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
  if min_samples is not None and min_samples < 0:
    raise ValueError(
      f"min_samples must be at least 0. Got: min_samples={min_samples}."
    )
  choices = {
    "non_finite": (non_finite, signatures.NON_FINITE),
    "cut_wav": (cut_wav, signatures.CUT),
  }
  for name, (choice, allowed) in choices.items():
    if choice not in allowed:
      raise ValueError(
        f"{name} must be one of {', '.join(allowed)}. Got: {name}={choice!r}."
      )
  if exported.model is not None:
    min_samples = _least_samples(exported, min_samples)
  least = max(config.frame_length, exported.samples or 0, min_samples or 0)
  if max_samples < least:
    raise ValueError(
      "max_samples must be at least one row: frame_length, min_samples, and "
      "the samples that a model takes if they are fixed. Got: "
      f"max_samples={max_samples}, frame_length={config.frame_length}, "
      f"min_samples={min_samples or 0}, samples={exported.samples}."
    )
  return Limits(
    max_samples, max_wav_bytes, min_samples or 0, non_finite, cut_wav
  )


def _least_samples(exported: Source, min_samples: int | None) -> int:
  """Returns the least number of samples of a row, found or checked."""
  if min_samples is None:
    return answers_lib.least_samples(exported)
  if exported.samples is not None and min_samples > exported.samples:
    raise ValueError(
      "min_samples must be at most the samples that the model takes. Got: "
      f"min_samples={min_samples}, samples={exported.samples}."
    )
  clips = answers_lib.clips(
    exported.spectrogram.config, min_samples, exported.samples
  )
  try:
    answers_lib.check_answered(exported, clips["least"])
  except answers_lib.NoAnswerError as e:
    raise ValueError(
      "min_samples must be a number of samples that the model answers. Got: "
      f"min_samples={min_samples}, {e}."
    ) from e
  return min_samples


def _write_assets(
  served: Signatures,
  name: str,
  limits: Limits,
  answers: Answers | None,
  folder: str,
) -> None:
  spectrogram = served.spectrogram
  save_config(spectrogram.config, os.path.join(folder, CONFIG_ASSET))
  archive.save(
    vectors.make(spectrogram),
    spectrogram.config,
    os.path.join(folder, GOLDENS_ASSET),
  )
  card = model_card.model_card(
    name,
    spectrogram.config,
    served.functions,
    dataclasses.asdict(limits),
    None if answers is None else BATCHINGS[served.batching],
  )
  with open(os.path.join(folder, _CARD_ASSET), "w", encoding="utf-8") as f:
    f.write(card)
  if answers is not None:
    answers_lib.save(answers, os.path.join(folder, ANSWERS_ASSET))
