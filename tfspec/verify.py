"""The proof that training and serving compute the same spectrogram."""

import dataclasses
import io
import os
import zipfile
from collections.abc import Callable, Mapping
from typing import BinaryIO

import numpy as np
import tensorflow as tf

from tfspec import errors, litert, serving_requests, verify_routes
from tfspec import goldens as goldens_lib
from tfspec.config import SpectrogramConfig, load_config
from tfspec.exportable import CONFIG_ASSET, GOLDENS_ASSET, PREDICTIONS_ASSET
from tfspec.goldens import Deviation, Golden
from tfspec.spectrogram import Spectrogram
from tfspec.verify_routes import Route

# What a prediction may be off by, relative to the largest value of its output:
# another machine adds in another order.
_PREDICTION_BOUND = 1e-4
_NO_ARCHIVE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)


@dataclasses.dataclass(frozen=True)
class RouteResult:
  """One route, at the value that is off by most relative to its bound.

  Attributes:
    route: Name of the route.
    golden: Name of the clip.
    error: Absolute error.
    bound: Largest allowed error of that value.
    note: Why the route could not be run, else empty.
  """

  route: str
  golden: str
  error: float
  bound: float
  note: str = ""

  @property
  def ok(self) -> bool:
    """Whether the route ran and kept its bounds."""
    return not self.note and self.error <= self.bound


@dataclasses.dataclass(frozen=True)
class Report:
  """What `verify` found.

  Attributes:
    path: The SavedModel or `.tflite` file.
    fingerprint: Fingerprint of its config, empty if it could not be read.
    problems: What is wrong with the files, a sentence each.
    results: One result a route.
  """

  path: str
  fingerprint: str
  problems: tuple[str, ...]
  results: tuple[RouteResult, ...]

  @property
  def ok(self) -> bool:
    """Whether nothing is wrong with the files and every route is right."""
    return not self.problems and all(result.ok for result in self.results)

  def __str__(self) -> str:
    lines = [f"{self.path}, config {self.fingerprint or 'unreadable'}"]
    lines += [f"FAILED {problem}" for problem in self.problems]
    if self.results:
      lines.append(
        f"{'route':<22}{'worst clip':<12}{'largest error':>14}{'bound':>10}"
      )
    for result in self.results:
      lines.append(
        f"{result.route:<22}{result.golden:<12}{result.error:>14.1e}"
        f"{result.bound:>10.1e}  {'ok' if result.ok else 'FAILED'}"
        f"{' ' if result.note else ''}{result.note}"
      )
    lines.append("All routes agree." if self.ok else "Not verified.")
    return "\n".join(lines)


def verify(path: str | os.PathLike[str]) -> Report:
  """Replays the golden vectors of an export through every route.

  The routes are the ops run eagerly, in a `tf.function`, compiled by XLA, in
  `dataset.map` and in the Keras layer, all built from the exported config and
  the exported kernels, and the signatures of the SavedModel. Each value of each
  must be within its bound of the float64 result that was stored at export. The
  predictions of a Keras model must be those of its export, to a relative 1e-4
  of the largest value of the output.

  A `.tflite` file is run by LiteRT. If its kernels are fixed, the float64
  result is computed from the config that the file carries: the file, and each
  of the routes above, do what the config says. Trained kernels cannot be read
  back from it: the file alone is compared, with what was stored at export.

  Args:
    path: Folder that `tfspec.export_saved_model` wrote, or `.tflite` file that
      `tfspec.export_litert` wrote.

  Returns:
    The report; `report.ok` tells whether all is well, `str(report)` is a table.

  Raises:
    FileNotFoundError: If there is neither of them at the path.
    ImportError: If ai-edge-litert, which runs `.tflite` files, is not
      installed.

  Example:
    >>> tfspec.export_saved_model(tfspec.SpectrogramConfig(), "models/mine/1")
    >>> verify("models/mine/1").ok
    True
  """
  folder = os.fspath(path)
  if folder.endswith(litert.ENDING) and os.path.isfile(folder):
    return _verify_litert(folder)
  if not tf.io.gfile.exists(os.path.join(folder, "saved_model.pb")):
    raise FileNotFoundError(
      f"path must be a SavedModel or a {litert.ENDING} file. Got: {folder}."
    )
  fingerprint = ""
  try:
    config = load_config(os.path.join(folder, "assets", CONFIG_ASSET))
    fingerprint = config.fingerprint()
    goldens = goldens_lib.load(
      os.path.join(folder, "assets", GOLDENS_ASSET), config
    )
  except (OSError, ValueError) as e:
    return Report(folder, fingerprint, (str(e),), ())
  try:
    model = tf.saved_model.load(folder)
    kernels = verify_routes.kernels(config, model)
    routes = {
      **verify_routes.own(config, kernels),
      **verify_routes.served(config, model),
    }
  except Exception as e:  # Whatever a damaged file makes TensorFlow raise.
    problem = f"The model must load. Got: {errors.first_line(e)}"
    return Report(folder, fingerprint, (problem,), ())
  results = [
    _replay(name, run, config, goldens) for name, run in routes.items()
  ]
  if "spectrogram" in model.signatures:
    path = os.path.join(folder, "assets", PREDICTIONS_ASSET)
    try:
      results += _served_predictions(config, model, goldens, path)
    except _NO_ARCHIVE as e:
      problem = f"{path}: the file must hold every prediction. Got: {e!r}."
      return Report(folder, fingerprint, (problem,), tuple(results))
  return Report(folder, fingerprint, (), tuple(results))


def _verify_litert(path: str) -> Report:
  fingerprint = ""
  try:
    config = litert.load_config(path)
    fingerprint = config.fingerprint()
    stored = litert.assets(path)
    is_model = PREDICTIONS_ASSET in stored
    goldens = goldens_lib.make(Spectrogram(config))
    if config.trainable and not is_model:
      archive = io.BytesIO(stored.get(GOLDENS_ASSET, b""))
      goldens = goldens_lib.load(archive, config, f"{path}/{GOLDENS_ASSET}")
  except (OSError, ValueError) as e:
    return Report(path, fingerprint, (str(e),), ())
  try:
    interpreter = litert.interpreter(path)
  except (RuntimeError, ValueError) as e:
    problem = f"The model must load. Got: {errors.first_line(e)}"
    return Report(path, fingerprint, (problem,), ())
  # Trained kernels are in the file, but as LiteRT runs them.
  routes = {} if config.trainable else verify_routes.own(config, {})
  if not is_model:
    routes |= verify_routes.on_device(config, interpreter)
  results = [
    _replay(name, run, config, goldens) for name, run in routes.items()
  ]
  if is_model:
    shape = litert.signals_shape(interpreter)

    def run(golden: Golden) -> dict[str, np.ndarray]:
      signals = serving_requests.rows(golden.signals, shape, config)
      return litert.run(interpreter, signals)

    try:
      archive = _archive(io.BytesIO(stored[PREDICTIONS_ASSET]))
      clips = litert.with_frames(goldens)
      results.append(_predictions("model LiteRT", run, clips, archive))
    except _NO_ARCHIVE as e:
      name = f"{path}/{PREDICTIONS_ASSET}"
      problem = f"{name}: the file must hold every prediction. Got: {e!r}."
      return Report(path, fingerprint, (problem,), tuple(results))
  return Report(path, fingerprint, (), tuple(results))


def _served_predictions(
  config: SpectrogramConfig,
  model: tf.Module,
  goldens: list[Golden],
  path: str,
) -> list[RouteResult]:
  """Compares what each signature answers with what it did at the export."""
  stored = _archive(path)
  shape = verify_routes.signals_shape(model)
  results = []
  for name in ("serving_default", "pcm16", "wav"):

    def run(golden: Golden, name: str = name) -> dict[str, tf.Tensor]:
      inputs = serving_requests.inputs(golden.signals, shape, config)
      return model.signatures[name](**inputs[name])

    clips = goldens
    if name == "pcm16":
      clips = [clip for clip in goldens if verify_routes.fits_pcm16(clip)]
    results.append(_predictions(f"model {name}", run, clips, stored))
  return results


def _archive(file: str | BinaryIO) -> dict[str, np.ndarray]:
  with np.load(file, allow_pickle=False) as archive:
    return dict(archive)


def _predictions(
  route: str,
  run: Callable[[Golden], Mapping[str, tf.Tensor | np.ndarray]],
  goldens: list[Golden],
  stored: dict[str, np.ndarray],
) -> RouteResult:
  """Compares what a model answers with what it answered at its export."""
  worst = RouteResult(route, goldens[0].name, 0.0, 1.0)
  for golden in goldens:
    try:
      outputs = run(golden)
    except Exception as e:  # A route that cannot run is a finding.
      return RouteResult(route, golden.name, np.inf, 0.0, errors.first_line(e))
    for output, value in outputs.items():
      expected = stored[f"{golden.name}/{output}"]
      found = np.asarray(value)[0]
      if expected.dtype.kind != "f":  # Labels and counts are exact.
        if not np.array_equal(found, expected):
          worst = RouteResult(route, golden.name, np.inf, 0.0)
        continue
      # A clip without frames may have no prediction: NaN, then as now.
      size = np.max(np.abs(expected), initial=0.0, where=~np.isnan(expected))
      bound = float(_PREDICTION_BOUND * (size or 1.0))
      error = np.inf
      if np.array_equal(np.isnan(found), np.isnan(expected)):
        error = float(np.nanmax(np.abs(found - expected), initial=0.0))
      if error * worst.bound > worst.error * bound:
        worst = RouteResult(route, golden.name, error, bound)
  return worst


def _replay(
  name: str, run: Route, config: SpectrogramConfig, goldens: list[Golden]
) -> RouteResult:
  worst, where = Deviation(0.0, 1.0), goldens[0].name
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
      if found.error * worst.bound > worst.error * found.bound:
        worst, where = found, golden.name
  return RouteResult(name, where, worst.error, worst.bound)
