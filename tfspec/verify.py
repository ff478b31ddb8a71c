"""The proof that training and serving compute the same spectrogram."""

import dataclasses
import os
import struct
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfspec import goldens as goldens_lib
from tfspec import layers
from tfspec import spectrogram as spectrogram_lib
from tfspec.config import SpectrogramConfig, load_config
from tfspec.data.dataset import spectrogram_fn
from tfspec.export import CONFIG_ASSET, GOLDENS_ASSET
from tfspec.goldens import Deviation, Golden
from tfspec.spectrogram import Spectrogram

# Computes the spectrogram of one clip: [samples] in, the config's layout out.
_Route = Callable[[np.ndarray], tf.Tensor]


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
  problems = []
  try:
    config = load_config(os.path.join(folder, "assets", CONFIG_ASSET))
    goldens, fingerprint = goldens_lib.load(
      os.path.join(folder, "assets", GOLDENS_ASSET)
    )
  except (OSError, ValueError) as e:
    return Report(folder, "", (str(e),), ())
  if config.fingerprint() != fingerprint:
    problems.append(
      "The config must be the one that was exported. Got: fingerprint "
      f"{config.fingerprint()} in {CONFIG_ASSET}, {fingerprint} in "
      f"{GOLDENS_ASSET}."
    )
  try:
    model = tf.saved_model.load(folder)
    routes = _routes(config, model)
  except Exception as e:  # Whatever a damaged file makes TensorFlow raise.
    problems.append(f"The model must load. Got: {_first_line(e)}")
    return Report(folder, config.fingerprint(), tuple(problems), ())
  results = [
    _replay(name, run, config, goldens) for name, run in routes.items()
  ]
  return Report(folder, config.fingerprint(), tuple(problems), tuple(results))


def _routes(config: SpectrogramConfig, model: tf.Module) -> dict[str, _Route]:
  spectrogram = Spectrogram(config)
  layer = layers.STFTSpectrogram.from_spectrogram_config(config)
  layer.build((None, None, None))
  for own in (spectrogram, layer) if config.trainable else ():
    for part in spectrogram_lib.kernel_parts(config.mode):
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
    return layer(
      signals[np.newaxis, :, np.newaxis]
      if last
      else signals[np.newaxis, np.newaxis]
    )[0]

  def saved_model(signals: np.ndarray) -> tf.Tensor:
    batch = signals[np.newaxis]
    if channels is not None:
      batch = np.stack([batch] * channels, axis=2 if last else 1)
    values = serve(signals=tf.constant(batch))["spectrogram"][0]
    return _first_channel(values, config)

  def saved_model_wav(signals: np.ndarray) -> tf.Tensor:
    contents = _wav_file(signals, channels or 1, config.sample_rate_hz or 16000)
    wav = model.signatures["wav"]
    values = wav(wav_bytes=tf.constant([contents]))["spectrogram"][0]
    return _first_channel(values, config)

  return {
    "eager": spectrogram,
    "tf.function": graph,
    "XLA": xla,
    "dataset.map": dataset_map,
    "Keras layer": keras_layer,
    "SavedModel": saved_model,
    "SavedModel wav": saved_model_wav,
  }


def _replay(
  name: str, run: _Route, config: SpectrogramConfig, goldens: list[Golden]
) -> RouteResult:
  worst, where = Deviation(0.0, 1.0), goldens[0].name
  for golden in goldens:
    try:
      actual = np.asarray(run(golden.signals))
    except Exception as e:  # A route that cannot run is a finding.
      return RouteResult(name, golden.name, np.inf, 0.0, _first_line(e))
    found = goldens_lib.deviation(
      config, actual, golden.expected, golden.tolerance
    )
    if found.error * worst.bound > worst.error * found.bound:
      worst, where = found, golden.name
  return RouteResult(name, where, worst.error, worst.bound)


def _first_channel(values: tf.Tensor, config: SpectrogramConfig) -> tf.Tensor:
  """Returns what the first channel of a clip gives alone."""
  if config.expand_dims:
    last = config.data_format == "channels_last"
    return values[..., :1] if last else values[:1]
  if config.data_format == "channels_last":
    return values[:, : config.num_features]
  return values[: config.num_features]


def _wav_file(signals: np.ndarray, channels: int, sample_rate_hz: int) -> bytes:
  """Returns a WAV file of float32 samples, the same in every channel."""
  data = np.repeat(signals[:, np.newaxis], channels, axis=1).tobytes()
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
