"""Replays the answers of Keras, and measures how far a route is off."""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from tfspec import errors
from tfspec.config import SpectrogramConfig
from tfspec.contract import bounds
from tfspec.contract.replay import RouteResult
from tfspec.export import answers as answers_lib
from tfspec.export import sample_requests
from tfspec.export.answers import Answer, Answers
from tfspec.spectrogram import layouts

# The padding of clips.
_RUBBISH = np.nan
# Returns the outputs of a signature or a file for some clips, by name.
Run = Callable[[list[Answer]], Mapping[str, tf.Tensor | np.ndarray]]


def served_answers(
  config: SpectrogramConfig,
  signatures: Mapping[str, Callable[..., Mapping[str, tf.Tensor]]],
  shape: list[int | None],
  answers: Answers,
) -> list[RouteResult]:
  """Compares the answers of each signature with those of Keras at the export.

  It sends each clip alone, then all in batches of different lengths with
  rubbish in the padding. A signature must refuse a clip that Keras does not
  answer.

  Args:
    config: The config of the layer in the model.
    signatures: The signatures by name.
    shape: The shape of their input `signals`.
    answers: The clips, and the answers of Keras.
  """
  fixed = shape[sample_requests.time_axis(shape, config)] is not None
  least = min(len(clip.signals) for clip in answers.answered)
  results = []
  for name in signatures:

    def run(
      clips: list[Answer], name: str = name
    ) -> Mapping[str, tf.Tensor | np.ndarray]:
      alone = len(clips) == 1
      inputs = sample_requests.inputs(
        [clip.signals for clip in clips],
        shape,
        config,
        0.0 if alone else _RUBBISH,
      )[name]
      if alone and "lengths" in inputs and not fixed:
        inputs["lengths"] = inputs["lengths"][:0]  # Left out.
      return signatures[name](**inputs)

    is_inside = name == "spectrogram"
    fill = _silence(answers, config) if is_inside else 0.0
    sent = dataclasses.replace(
      answers, clips=[c for c in answers.clips if _fits(c, name, least)]
    )
    for route, batches in (
      (f"model {name}", [[clip] for clip in sent.clips]),
      (f"model {name} batch", list(sent.batches)),
    ):
      results.append(replay_answers(route, run, batches, is_inside, fill))
  return results


def _silence(answers: Answers, config: SpectrogramConfig) -> float | np.ndarray:
  """Returns the padding of the output of the layer inside the model."""
  shape = answers.answered[0].inside["spectrogram"].shape
  return layouts.silence(config, shape[layouts.feature_axis(config) - 1])


def _fits(clip: Answer, signature: str, least: int) -> bool:
  """Returns whether a clip can be sent to a signature."""
  if signature == "pcm16":
    return sample_requests.fits_pcm16(clip.signals)
  # The layer itself accepts clips that the model refuses behind it.
  is_short = len(clip.signals) < least
  return signature != "spectrogram" or is_short or clip.outputs is not None


def replay_answers(
  route: str,
  run: Run,
  batches: list[list[Answer]],
  is_inside: bool = False,
  fill: float | np.ndarray = 0.0,
) -> RouteResult:
  """Compares the outputs of a model for batches of clips with those of Keras.

  Args:
    route: Name of the route.
    run: Returns the outputs for a batch.
    batches: The batches; a clip that Keras does not answer is alone in its own.
    is_inside: Whether the outputs are those of the layer, not of the model.
    fill: The padding of outputs, where a batch has longer ones.
  """

  def stored(clip: Answer) -> answers_lib.Values:
    return clip.inside if is_inside else clip.outputs or {}

  answered = [c for batch in batches for c in batch if c.outputs is not None]
  sizes = {
    name: bounds.size_of([stored(clip)[name] for clip in answered])
    for name in stored(answered[0])
  }
  worst = RouteResult(route, answered[0].name, 0.0, answers_lib.BOUND)
  for batch in batches:
    name = batch[0].name
    if batch[0].outputs is None:
      note = _refusal(run, batch)
      if note:
        return RouteResult(route, name, np.inf, 0.0, note)
      continue
    try:
      outputs = answers_lib.plain(run(batch))
    except Exception as e:  # A route that cannot run is a finding.
      return RouteResult(route, name, np.inf, 0.0, _reason(e))
    told = {n for n in outputs if n.removesuffix("_length") in sizes} - {*sizes}
    if outputs.keys() - told != sizes.keys():
      note = f"The outputs must be {sorted(sizes)}. Got: {sorted(outputs)}."
      return RouteResult(route, name, np.inf, 0.0, note)
    for row, clip in enumerate(batch):
      for output in told:
        shape = stored(clip)[output.removesuffix("_length")].shape
        if outputs[output][row] not in shape:
          note = (
            f"{output} must be one of {shape}. Got: {outputs[output][row]}."
          )
          return RouteResult(route, clip.name, np.inf, 0.0, note)
      for output, size in sizes.items():
        error = answers_lib.deviation(
          outputs[output][row], stored(clip)[output], size, fill
        )
        if error > worst.error:
          worst = RouteResult(route, clip.name, error, answers_lib.BOUND)
  return worst


def _reason(error: Exception) -> str:
  if isinstance(error, tf.errors.OpError):
    return errors.sentence(error)
  return errors.first_line(error)


def _refusal(run: Run, batch: list[Answer]) -> str:
  """Returns what is wrong if a clip is not refused, else nothing."""
  try:
    run(batch)
  except tf.errors.InvalidArgumentError:
    return ""
  except Exception as e:
    return errors.first_line(e)
  return "Keras does not answer this clip: it must be refused."
