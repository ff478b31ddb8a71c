"""What `verify` replays, and how far the answers are off."""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from tfspec import answers as answers_lib
from tfspec import errors, serving_requests, verify_routes
from tfspec import goldens as goldens_lib
from tfspec.answers import Answer, Answers
from tfspec.config import SpectrogramConfig
from tfspec.goldens import Golden
from tfspec.verify_routes import Route

# In the place of samples behind the end of a clip.
_RUBBISH = np.nan
# By name, what a signature or a file gives for some clips.
Run = Callable[[list[Answer]], Mapping[str, tf.Tensor | np.ndarray]]


@dataclasses.dataclass(frozen=True)
class RouteResult:
  """One route, at the value that is off by most relative to its bound.

  Attributes:
    route: Name of the route.
    golden: Name of the clip.
    error: Its error, relative to the largest value that the route gives.
    bound: The largest allowed error of that value, likewise.
    note: Why the route could not be run or compared, else empty.
  """

  route: str
  golden: str
  error: float
  bound: float
  note: str = ""

  @property
  def ok(self) -> bool:
    """Whether the route ran, was compared and kept its bounds."""
    return not self.note and self.error <= self.bound


def replay(
  name: str, run: Route, config: SpectrogramConfig, goldens: list[Golden]
) -> RouteResult:
  """Compares what a route gives for each clip with the golden vectors."""
  size = answers_lib.size_of([golden.values(config) for golden in goldens])
  worst, compared = RouteResult(name, goldens[0].name, 0.0, 0.0), 0
  by_length = {}
  for golden in goldens:
    by_length.setdefault(len(golden.signals), []).append(golden)
  for group in by_length.values():
    try:
      pairs = list(run(group))
    except Exception as e:  # A route that cannot run is a finding.
      return RouteResult(name, group[0].name, np.inf, 0.0, errors.first_line(e))
    for golden, actual in pairs:
      found = goldens_lib.deviation(
        config, actual, golden.expected(config), golden.tolerance(config)
      )
      if not compared or found.error * worst.bound > worst.error * found.bound:
        error, bound = found.error / size, found.bound / size
        worst = RouteResult(name, golden.name, error, bound)
      compared += actual.size
  if not compared and worst.ok:
    note = "No clip gave a value to compare."
    worst = dataclasses.replace(worst, note=note)
  return worst


def against(
  kernels: Mapping[str, np.ndarray],
  run: Route | None,
  config: SpectrogramConfig,
  goldens: list[Golden],
) -> RouteResult:
  """Compares what a route gives with what other kernels give in float64.

  Args:
    kernels: The other kernels by part.
    run: The route, or None for the golden vectors themselves.
    config: The config.
    goldens: The golden vectors.
  """
  stored = {golden.name: golden.expected(config) for golden in goldens}
  theirs = [
    goldens_lib.golden(golden.name, golden.signals, config, kernels)
    for golden in goldens
  ]
  if run:
    return replay("LiteRT against", run, config, theirs)
  return replay(
    "goldens against",
    lambda clips: [(clip, stored[clip.name]) for clip in clips],
    config,
    theirs,
  )


def served_answers(
  config: SpectrogramConfig,
  signatures: Mapping[str, Callable[..., Mapping[str, tf.Tensor]]],
  shape: list[int | None],
  answers: Answers,
) -> list[RouteResult]:
  """Compares what each signature answers with what Keras did at the export.

  Each clip is sent alone, then all in batches of unlike lengths with rubbish
  behind their ends. A clip that Keras does not answer must be refused.

  Args:
    config: The config of the layer in the model.
    signatures: The signatures by name.
    shape: The shape of their input `signals`.
    answers: The clips, and the answers of Keras.
  """
  fixed = shape[serving_requests.time_axis(shape, config)] is not None
  least = min(len(clip.signals) for clip in answers.answered)
  results = []
  for name in signatures:

    def run(
      clips: list[Answer], name: str = name
    ) -> Mapping[str, tf.Tensor | np.ndarray]:
      alone = len(clips) == 1
      inputs = serving_requests.inputs(
        [clip.signals for clip in clips],
        shape,
        config,
        0.0 if alone else _RUBBISH,
      )[name]
      if alone and "lengths" in inputs and not fixed:
        inputs["lengths"] = inputs["lengths"][:0]  # Left out.
      return signatures[name](**inputs)

    is_inside = name == "spectrogram"
    fill = config.silence if is_inside else 0.0
    sent = dataclasses.replace(
      answers, clips=[c for c in answers.clips if _fits(c, name, least)]
    )
    for route, batches in (
      (f"model {name}", [[clip] for clip in sent.clips]),
      (f"model {name} batch", list(sent.batches)),
    ):
      results.append(replay_answers(route, run, batches, is_inside, fill))
  return results


def _fits(clip: Answer, signature: str, least: int) -> bool:
  """Returns whether a clip can be sent to a signature."""
  if signature == "pcm16":
    return verify_routes.fits_pcm16(clip.signals)
  # What the model refuses behind its layer, the layer itself does not.
  is_short = len(clip.signals) < least
  return signature != "spectrogram" or is_short or clip.outputs is not None


def replay_answers(
  route: str,
  run: Run,
  batches: list[list[Answer]],
  is_inside: bool = False,
  fill: float = 0.0,
) -> RouteResult:
  """Compares what a model gives for batches of clips with what Keras gave.

  Args:
    route: Name of the route.
    run: Returns the outputs for a batch.
    batches: The batches; a clip that Keras does not answer is alone in its own.
    is_inside: Whether the outputs are those of the layer, not of the model.
    fill: What outputs are filled up with, where a batch has longer ones.
  """

  def stored(clip: Answer) -> answers_lib.Values:
    return clip.inside if is_inside else clip.outputs

  answered = [c for batch in batches for c in batch if c.outputs is not None]
  sizes = {
    name: answers_lib.size_of([stored(clip)[name] for clip in answered])
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
