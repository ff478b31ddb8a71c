"""What `verify` replays, and how far the answers are off."""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from tfspec import errors, serving_requests, verify_routes
from tfspec import goldens as goldens_lib
from tfspec.config import SpectrogramConfig
from tfspec.goldens import Deviation, Golden
from tfspec.verify_routes import Route

# What a prediction may be off by, relative to the largest value of its output:
# another machine adds in another order.
_PREDICTION_BOUND = 1e-4


@dataclasses.dataclass(frozen=True)
class RouteResult:
  """One route, at the value that is off by most relative to its bound.

  Attributes:
    route: Name of the route.
    golden: Name of the clip.
    error: Absolute error.
    bound: Largest allowed error of that value.
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
  worst, where, compared = Deviation(0.0, 1.0), goldens[0].name, 0
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
      compared += actual.size
      if found.error * worst.bound > worst.error * found.bound:
        worst, where = found, golden.name
  note = "" if compared else "No clip gave a value to compare."
  return RouteResult(name, where, worst.error, worst.bound, note)


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


def served_predictions(
  config: SpectrogramConfig,
  model: tf.Module,
  goldens: list[Golden],
  path: str,
) -> list[RouteResult]:
  """Compares what each signature answers with what it did at the export."""
  stored = goldens_lib.read_archive(path)
  shape = verify_routes.signals_shape(model)
  results = []
  for name in ("serving_default", "pcm16", "wav"):

    def run(golden: Golden, name: str = name) -> dict[str, tf.Tensor]:
      inputs = serving_requests.inputs(golden.signals, shape, config)
      return model.signatures[name](**inputs[name])

    clips = goldens
    if name == "pcm16":
      clips = [clip for clip in goldens if verify_routes.fits_pcm16(clip)]
    results.append(predictions(f"model {name}", run, clips, stored))
  return results


def predictions(
  route: str,
  run: Callable[[Golden], Mapping[str, tf.Tensor | np.ndarray]],
  goldens: list[Golden],
  stored: dict[str, np.ndarray],
) -> RouteResult:
  """Compares what a model answers with what it answered at its export."""
  names = sorted({key.partition("/")[2] for key in stored})
  worst = RouteResult(route, goldens[0].name, 0.0, 1.0)
  for golden in goldens:
    try:
      outputs = run(golden)
    except Exception as e:  # A route that cannot run is a finding.
      return RouteResult(route, golden.name, np.inf, 0.0, errors.first_line(e))
    if sorted(outputs) != names:
      note = f"The outputs must be {names}. Got: {sorted(outputs)}."
      return RouteResult(route, golden.name, np.inf, 0.0, note)
    for output, value in outputs.items():
      expected = stored[f"{golden.name}/{output}"]
      found = np.asarray(value)[0]
      if expected.dtype.kind != "f":  # Labels and counts are exact.
        if not np.array_equal(found, expected):
          worst = RouteResult(route, golden.name, np.inf, 0.0)
        continue
      # A clip without frames may have no prediction: NaN, then as now.
      finite = np.isfinite(expected)
      size = np.max(np.abs(expected), initial=0.0, where=finite)
      bound = float(_PREDICTION_BOUND * (size or 1.0))
      error = np.inf
      if found.shape == expected.shape and np.array_equal(
        found[~finite], expected[~finite], equal_nan=True
      ):
        off = np.abs(found[finite] - expected[finite])
        error = float(np.max(np.nan_to_num(off, nan=np.inf), initial=0.0))
      if error * worst.bound > worst.error * bound:
        worst = RouteResult(route, golden.name, error, bound)
  return worst
