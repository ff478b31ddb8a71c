"""The proof that training and serving compute the same spectrogram."""

import dataclasses
import os
import struct
from collections.abc import Callable, Iterable

import numpy as np
import tensorflow as tf

from tfspec import goldens as goldens_lib
from tfspec import layers, transform
from tfspec.config import SpectrogramConfig, load_config
from tfspec.data.dataset import spectrogram_fn
from tfspec.export import CONFIG_ASSET, GOLDENS_ASSET
from tfspec.goldens import Deviation, Golden
from tfspec.spectrogram import Spectrogram

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
        f"{'route':<18}{'worst clip':<12}{'largest error':>14}{'bound':>10}"
      )
    for result in self.results:
      lines.append(
        f"{result.route:<18}{result.golden:<12}{result.error:>14.1e}"
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
  must be within its bound of the float64 result that was stored at export.

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
    routes = _routes(config, model)
  except Exception as e:  # Whatever a damaged file makes TensorFlow raise.
    problem = f"The model must load. Got: {_first_line(e)}"
    return Report(folder, fingerprint, (problem,), ())
  results = [
    _replay(name, run, config, goldens) for name, run in routes.items()
  ]
  return Report(folder, fingerprint, (), tuple(results))


def _routes(config: SpectrogramConfig, model: tf.Module) -> dict[str, _Route]:
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
  serve = model.signatures["serving_default"]
  # The rank says whether the export has a channels axis, its size how many.
  shape = serve.structured_input_signature[1]["signals"].shape.as_list()
  channels = None if len(shape) == 2 else shape[2 if last else 1]

  def dataset_map(signals: np.ndarray) -> tf.Tensor:
    return next(iter(tf.data.Dataset.from_tensors(signals).map(map_fn)))

  def keras_layer(signals: np.ndarray) -> tf.Tensor:
    clip = signals[:, np.newaxis] if last else signals[np.newaxis]
    return layer(clip[np.newaxis])[0]

  def saved_model(batch: np.ndarray) -> tf.Tensor:
    if channels is None:
      batch = batch[:, :, 0] if last else batch[:, 0]
    return serve(signals=tf.constant(batch))["spectrogram"]

  def saved_model_wav(batch: np.ndarray) -> tf.Tensor:
    rate = config.sample_rate_hz or 16000
    files = [_wav_file(clip if last else clip.T, rate) for clip in batch]
    wav = model.signatures["wav"]
    outputs = wav(wav_bytes=tf.constant(files))
    samples = batch.shape[1 if last else 2]
    if set(outputs["num_frames"].numpy()) != {config.num_frames(samples)}:
      raise ValueError("num_frames must be the number of frames.")
    if config.sample_rate_hz is not None:
      _check_refused(wav, _wav_file(batch[0] if last else batch[0].T, rate + 1))
    return outputs["spectrogram"]

  return {
    "eager": _one_by_one(spectrogram),
    "tf.function": _one_by_one(graph),
    "XLA": _one_by_one(xla),
    "dataset.map": _one_by_one(dataset_map),
    "Keras layer": _one_by_one(keras_layer),
    "SavedModel": _in_batches(saved_model, config, channels or 1),
    "SavedModel wav": _in_batches(saved_model_wav, config, channels or 1),
  }


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


def _wav_file(signals: np.ndarray, sample_rate_hz: int) -> bytes:
  """Returns a WAV file of `[samples, channels]`, float32."""
  data = np.ascontiguousarray(signals).tobytes()
  channels = signals.shape[1]
  block = 4 * channels
  header = struct.pack(
    "<4sI4s4sIHHIIHH4sI",
    b"RIFF",
    36 + len(data),
    b"WAVE",
    b"fmt ",
    16,
    3,
    channels,
    sample_rate_hz,
    sample_rate_hz * block,
    block,
    32,
    b"data",
    len(data),
  )
  return header + data


def _first_line(error: Exception) -> str:
  lines = str(error).splitlines()
  return f"{type(error).__name__}: {lines[0] if lines else ''}"
