"""The proof that training and serving compute the same spectrogram."""

import dataclasses
import os
import zipfile
from collections.abc import Callable, Iterable

import numpy as np
import tensorflow as tf

from tfspec import goldens as goldens_lib
from tfspec import layers, serving_requests, transform
from tfspec import spectrogram as spectrogram_lib
from tfspec.config import SpectrogramConfig, load_config
from tfspec.data.dataset import spectrogram_fn
from tfspec.export import CONFIG_ASSET, GOLDENS_ASSET, PREDICTIONS_ASSET
from tfspec.goldens import Deviation, Golden
from tfspec.spectrogram import Spectrogram

# What a prediction may be off by, relative to the largest value of its output:
# another machine adds in another order.
_PREDICTION_BOUND = 1e-4

# Runs clips of one length, and yields what each of them gave, any number of
# times, in the config's layout for a mono clip.
_Route = Callable[[list[Golden]], Iterable[tuple[Golden, np.ndarray]]]


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
    path: The SavedModel.
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

  Args:
    path: Folder that `tfspec.export_saved_model` wrote.

  Returns:
    The report; `report.ok` tells whether all is well, `str(report)` is a table.

  Raises:
    FileNotFoundError: If there is no SavedModel at the path.

  Example:
    >>> tfspec.export_saved_model(tfspec.SpectrogramConfig(), "models/mine/1")
    >>> verify("models/mine/1").ok
    True
  """
  folder = os.fspath(path)
  if not tf.io.gfile.exists(os.path.join(folder, "saved_model.pb")):
    raise FileNotFoundError(f"path must be a SavedModel. Got: {folder}.")
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
    routes = {**_own_routes(config, model), **_served_routes(config, model)}
  except Exception as e:  # Whatever a damaged file makes TensorFlow raise.
    problem = f"The model must load. Got: {_first_line(e)}"
    return Report(folder, fingerprint, (problem,), ())
  results = [
    _replay(name, run, config, goldens) for name, run in routes.items()
  ]
  if "spectrogram" in model.signatures:
    path = os.path.join(folder, "assets", PREDICTIONS_ASSET)
    try:
      results += _predictions(config, model, goldens, path)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as e:
      problem = f"{path}: the file must hold every prediction. Got: {e!r}."
      return Report(folder, fingerprint, (problem,), tuple(results))
  return Report(folder, fingerprint, (), tuple(results))


def _own_routes(
  config: SpectrogramConfig, model: tf.Module
) -> dict[str, _Route]:
  spectrogram = Spectrogram(config)
  layer = layers.STFTSpectrogram.from_spectrogram_config(config)
  layer.build((None, None, None))
  for own in (spectrogram, layer) if config.trainable else ():
    for part in transform.kernel_parts(config.mode):
      kernel = getattr(model.spectrogram, f"{part}_kernel")
      getattr(own, f"{part}_kernel").assign(tf.cast(kernel, tf.float32))
  last = config.data_format == "channels_last"
  open_length = tf.TensorSpec([None], tf.float32)
  graph = tf.function(spectrogram, input_signature=[open_length])
  xla = tf.function(spectrogram, jit_compile=True)
  map_fn = spectrogram_fn(spectrogram)

  def dataset_map(signals: np.ndarray) -> tf.Tensor:
    return next(iter(tf.data.Dataset.from_tensors(signals).map(map_fn)))

  def keras_layer(signals: np.ndarray) -> tf.Tensor:
    clip = signals[:, np.newaxis] if last else signals[np.newaxis]
    return layer(clip[np.newaxis])[0]

  return {
    "eager": _one_by_one(spectrogram),
    "tf.function": _one_by_one(graph),
    "XLA": _one_by_one(xla),
    "dataset.map": _one_by_one(dataset_map),
    "Keras layer": _one_by_one(keras_layer),
  }


def _signals_shape(model: tf.Module) -> list[int | None]:
  serve = model.signatures["serving_default"]
  return serve.structured_input_signature[1]["signals"].shape.as_list()


def _served_routes(
  config: SpectrogramConfig, model: tf.Module
) -> dict[str, _Route]:
  """Returns the routes of the signatures that give a spectrogram."""
  # The rank says whether the export has a channels axis, its size how many.
  shape = _signals_shape(model)
  last = config.data_format == "channels_last"
  channels = None if len(shape) == 2 else shape[2 if last else 1]
  time = 1 if last else 2
  fixed = shape[time if channels else 1]

  def run(name: str, batch: np.ndarray, padding: int) -> np.ndarray:
    """Runs a batch with rubbish behind the end of its clips."""
    samples = batch.shape[time]
    if fixed is not None:
      padding = fixed - samples
    paddings = [[0, 0]] * 3
    paddings[time] = [0, padding]
    rubbish = 1000 if batch.dtype == np.int16 else np.nan
    batch = np.pad(batch, paddings, constant_values=rubbish)
    if channels is None:
      batch = batch[:, :, 0] if last else batch[:, 0]
    lengths = [samples] * len(batch) if padding else []
    outputs = model.signatures[name](
      signals=tf.constant(batch), lengths=tf.constant(lengths, tf.int32)
    )
    return _own_frames(outputs, config, samples)

  def wav(batch: np.ndarray) -> np.ndarray:
    rate = config.sample_rate_hz or 16000
    clips = [clip if last else clip.T for clip in batch]
    files = [serving_requests.wav_file(clip, rate) for clip in clips]
    serve = model.signatures["wav"]
    outputs = serve(wav_bytes=tf.constant(files))
    if config.sample_rate_hz is not None:
      _check_refused(serve, serving_requests.wav_file(clips[0], rate + 1))
    return _own_frames(outputs, config, batch.shape[time])

  def pcm16(batch: np.ndarray) -> np.ndarray:
    return run("pcm16", np.round(batch * 2**15).astype(np.int16), 0)

  def route(name: str, run: Callable[[np.ndarray], np.ndarray]) -> _Route:
    in_batches = _in_batches(run, config, channels or 1)

    def some(goldens: list[Golden]) -> Iterable[tuple[Golden, np.ndarray]]:
      if fixed is not None and len(goldens[0].signals) > fixed:
        return ()
      if name == "SavedModel pcm16":
        goldens = [golden for golden in goldens if _fits_pcm16(golden)]
      return in_batches(goldens) if goldens else ()

    return some

  front = "spectrogram"
  if front in model.signatures:
    runs = {"SavedModel": lambda batch: run(front, batch, 5)}
  else:
    front = "serving_default"
    runs = {
      "SavedModel": lambda batch: run(front, batch, 0),
      "SavedModel lengths": lambda batch: run(front, batch, 5),
      "SavedModel pcm16": pcm16,
      "SavedModel wav": wav,
    }
  return {name: route(name, run) for name, run in runs.items()}


def _fits_pcm16(golden: Golden) -> bool:
  scaled = golden.signals * 2**15
  return bool(np.all((scaled == np.round(scaled)) & (scaled < 2**15)))


def _own_frames(
  outputs: dict[str, tf.Tensor], config: SpectrogramConfig, samples: int
) -> np.ndarray:
  """Returns the frames of clips that all have as many samples."""
  count = config.num_frames(samples)
  found = outputs["num_frames"].numpy()
  if np.any(found != count):
    raise ValueError(f"num_frames must be {count}. Got: {found.tolist()}.")
  values = outputs["spectrogram"].numpy()
  axis = spectrogram_lib.time_axis(config)
  own, rest = np.split(values, [count], axis)
  if np.any(rest):
    raise ValueError("Beyond num_frames the spectrogram must be zero.")
  return own


def _predictions(
  config: SpectrogramConfig,
  model: tf.Module,
  goldens: list[Golden],
  path: str,
) -> list[RouteResult]:
  """Compares what the model answers with what it answered at its export."""
  with np.load(path, allow_pickle=False) as archive:
    stored = dict(archive)
  shape = _signals_shape(model)
  results = []
  for name in ("serving_default", "pcm16", "wav"):
    worst = RouteResult(f"model {name}", goldens[0].name, 0.0, 1.0)
    for golden in goldens:
      if name == "pcm16" and not _fits_pcm16(golden):
        continue
      inputs = serving_requests.inputs(golden.signals, shape, config)[name]
      try:
        outputs = model.signatures[name](**inputs)
      except Exception as e:  # A route that cannot run is a finding.
        note = _first_line(e)
        worst = RouteResult(worst.route, golden.name, np.inf, 0.0, note)
        break
      for output, value in outputs.items():
        expected = stored[f"{golden.name}/{output}"]
        if expected.dtype.kind != "f":  # Labels and counts are exact.
          if not np.array_equal(value.numpy()[0], expected):
            worst = RouteResult(worst.route, golden.name, np.inf, 0.0)
          continue
        # A clip without frames may have no prediction: NaN, then as now.
        size = np.max(np.abs(expected), initial=0.0, where=~np.isnan(expected))
        bound = float(_PREDICTION_BOUND * (size or 1.0))
        found = value.numpy()[0]
        error = np.inf
        if np.array_equal(np.isnan(found), np.isnan(expected)):
          error = float(np.nanmax(np.abs(found - expected), initial=0.0))
        if error * worst.bound > worst.error * bound:
          worst = RouteResult(worst.route, golden.name, error, bound)
    results.append(worst)
  return results


def _one_by_one(run: Callable[[np.ndarray], tf.Tensor]) -> _Route:
  def route(goldens: list[Golden]) -> Iterable[tuple[Golden, np.ndarray]]:
    return ((golden, np.asarray(run(golden.signals))) for golden in goldens)

  return route


def _in_batches(
  run: Callable[[np.ndarray], tf.Tensor],
  config: SpectrogramConfig,
  channels: int,
) -> _Route:
  """Gives each row and each channel of a batch another clip."""

  def route(goldens: list[Golden]) -> Iterable[tuple[Golden, np.ndarray]]:
    count = len(goldens)
    rows = [
      np.stack([goldens[(r + c) % count].signals for c in range(channels)], -1)
      for r in range(count)
    ]
    batch = np.stack(rows)
    if config.data_format == "channels_first":
      batch = batch.transpose(0, 2, 1)
    outputs = np.asarray(run(batch))
    if len(outputs) != count:
      raise ValueError(f"There must be {count} rows. Got: {len(outputs)}.")
    for r, output in enumerate(outputs):
      for c in range(channels):
        yield goldens[(r + c) % count], _channel(output, c, config)

  return route


def _replay(
  name: str, run: _Route, config: SpectrogramConfig, goldens: list[Golden]
) -> RouteResult:
  worst, where = Deviation(0.0, 1.0), goldens[0].name
  by_length = {}
  for golden in goldens:
    by_length.setdefault(len(golden.signals), []).append(golden)
  for group in by_length.values():
    try:
      pairs = list(run(group))
    except Exception as e:  # A route that cannot run is a finding.
      return RouteResult(name, group[0].name, np.inf, 0.0, _first_line(e))
    for golden, actual in pairs:
      found = goldens_lib.deviation(
        config, actual, golden.expected(config), golden.tolerance(config)
      )
      if found.error * worst.bound > worst.error * found.bound:
        worst, where = found, golden.name
  return RouteResult(name, where, worst.error, worst.bound)


def _check_refused(wav: Callable, contents: bytes) -> None:
  try:
    wav(wav_bytes=tf.constant([contents]))
  except tf.errors.InvalidArgumentError:
    return
  raise ValueError("A file of another sample rate must be refused.")


def _channel(
  values: np.ndarray, channel: int, config: SpectrogramConfig
) -> np.ndarray:
  """Returns what one channel of a clip gave, as a mono clip gives it."""
  if config.expand_dims:
    some = slice(channel, channel + 1)
    last = config.data_format == "channels_last"
    return values[..., some] if last else values[some]
  start = channel * config.num_features
  some = slice(start, start + config.num_features)
  return (
    values[:, some] if config.data_format == "channels_last" else values[some]
  )


def _first_line(error: Exception) -> str:
  lines = str(error).splitlines()
  return f"{type(error).__name__}: {lines[0] if lines else ''}"
