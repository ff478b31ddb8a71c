"""The routes on which `verify` computes a spectrogram.

A route is a function with a name. For clips of one length it yields the result
of each, any number of times, in the config's layout for a mono clip.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfspec.config import SpectrogramConfig
from tfspec.contract.replay import Route
from tfspec.contract.vectors import GoldenVector
from tfspec.data.dataset import spectrogram_fn
from tfspec.export import litert, sample_requests
from tfspec.layers import stft_spectrogram
from tfspec.layers import stft_spectrogram as layers
from tfspec.spectrogram import Spectrogram, layouts


def own(
  config: SpectrogramConfig, kernels: Mapping[str, np.ndarray]
) -> dict[str, Route]:
  """Returns the routes of training and of preparing data, built here.

  There is no layer if Keras runs on another backend than TensorFlow.

  Args:
    config: The config.
    kernels: The trained kernels by part, "real" and "imag", none if the config
      is not trainable.
  """
  spectrogram = _spectrogram(config, kernels)
  open_length = tf.TensorSpec([None], tf.float32)
  graph = tf.function(spectrogram, input_signature=[open_length])
  xla = tf.function(spectrogram, jit_compile=True)
  map_fn = spectrogram_fn(spectrogram)

  def dataset_map(
    goldens: list[GoldenVector],
  ) -> Iterable[tuple[GoldenVector, np.ndarray]]:
    clips = np.stack([golden.signals for golden in goldens])
    dataset = tf.data.Dataset.from_tensor_slices(clips).map(map_fn)
    return zip(goldens, dataset.as_numpy_iterator(), strict=True)

  routes = {
    "eager": _one_by_one(spectrogram),
    "tf.function": _one_by_one(graph),
    "XLA": _one_by_one(xla),
    "dataset.map": dataset_map,
  }
  if not stft_spectrogram.on_tensorflow():
    return routes
  # The signatures are float32, whatever dtype policy the process has.
  layer = layers.STFTSpectrogram.from_spectrogram_config(
    config, dtype="float32"
  )
  layer.build((None, None, None))
  _assign(layer, kernels)

  def keras_layer(signals: np.ndarray) -> tf.Tensor:
    batch = np.expand_dims(signals[np.newaxis], layouts.channel_axis(config))
    return layer(batch)[0]

  return {**routes, "Keras layer": _one_by_one(keras_layer)}


def converted(
  config: SpectrogramConfig, kernels: Mapping[str, np.ndarray]
) -> dict[str, Route]:
  """Returns the route of a LiteRT program, converted here.

  Args:
    config: The config.
    kernels: See `own`.

  Raises:
    ImportError: If ai-edge-litert is not installed.
    ValueError: If it does not convert.
  """
  interpreter = litert.interpreter_of(_spectrogram(config, kernels))
  return on_device(config, interpreter)


def served(config: SpectrogramConfig, model: tf.Module) -> dict[str, Route]:
  """Returns the routes of the signatures of a spectrogram.

  Args:
    config: The config.
    model: An export that is loaded.
  """
  shape = signals_shape(model)
  time = layouts.time_axis(config)

  def run(name: str, batch: np.ndarray, padding: int) -> np.ndarray:
    """Runs a batch with rubbish behind the end of its clips."""
    samples = batch.shape[time]
    paddings = [[0, 0]] * 3
    paddings[time] = [0, padding]
    batch = np.pad(batch, paddings, constant_values=np.nan if padding else 0)
    batch = _as_signals(batch, shape, config)
    lengths = [samples] * len(batch) if padding else []
    outputs = model.signatures[name](
      signals=tf.constant(batch), lengths=tf.constant(lengths, tf.int32)
    )
    return _own_frames(outputs, config, samples)

  def wav(batch: np.ndarray) -> np.ndarray:
    rate = config.sample_rate_hz or 16000
    clips = np.moveaxis(batch, layouts.channel_axis(config), -1)
    files = [sample_requests.wav_file(clip, rate) for clip in clips]
    serve = model.signatures["wav"]
    outputs = serve(wav_bytes=tf.constant(files))
    if config.sample_rate_hz is not None:
      _check_refused(serve, sample_requests.wav_file(clips[0], rate + 1))
    return _own_frames(outputs, config, batch.shape[time])

  def pcm16(batch: np.ndarray) -> np.ndarray:
    return run("pcm16", np.round(batch * 2**15).astype(np.int16), 0)

  def batches(run: Callable[[np.ndarray], np.ndarray]) -> Route:
    return _in_batches(run, config, _channels(shape, config) or 1)

  def fitting(
    goldens: list[GoldenVector],
  ) -> Iterable[tuple[GoldenVector, np.ndarray]]:
    goldens = [
      golden for golden in goldens if sample_requests.fits_pcm16(golden.signals)
    ]
    return batches(pcm16)(goldens) if goldens else ()

  return {
    "SavedModel": batches(lambda batch: run("serving_default", batch, 0)),
    "SavedModel lengths": batches(
      lambda batch: run("serving_default", batch, 5)
    ),
    "SavedModel pcm16": fitting,
    "SavedModel wav": batches(wav),
  }


def on_device(config: SpectrogramConfig, interpreter: Any) -> dict[str, Route]:
  """Returns the route of a `.tflite` file that gives a spectrogram."""
  shape = litert.signals_shape(interpreter)

  def run(batch: np.ndarray) -> np.ndarray:
    samples = batch.shape[layouts.time_axis(config)]
    outputs = litert.run(interpreter, _as_signals(batch, shape, config))
    return _own_frames(outputs, config, samples)

  channels = _channels(shape, config) or 1
  return {"LiteRT": _in_batches(run, config, channels)}


def signals_shape(model: tf.Module) -> list[int | None]:
  """Returns the shape of the input `signals` of a loaded export."""
  serve = model.signatures["serving_default"]
  return serve.structured_input_signature[1]["signals"].shape.as_list()


def _spectrogram(
  config: SpectrogramConfig, kernels: Mapping[str, np.ndarray]
) -> Spectrogram:
  spectrogram = Spectrogram(config)
  _assign(spectrogram, kernels)
  return spectrogram


def _assign(owner: Any, kernels: Mapping[str, np.ndarray]) -> None:
  for part, kernel in kernels.items():
    getattr(owner, f"{part}_kernel").assign(tf.cast(kernel, tf.float32))


def _channels(shape: list[int | None], config: SpectrogramConfig) -> int | None:
  """Returns how many channels `signals` have, None if they have no such axis.

  The rank of the input of an export says whether, and its size how many.
  """
  return None if len(shape) == 2 else shape[layouts.channel_axis(config)]


def _as_signals(
  batch: np.ndarray, shape: list[int | None], config: SpectrogramConfig
) -> np.ndarray:
  """Takes the channels axis off if an export takes none."""
  if len(shape) == 3:
    return batch
  return np.squeeze(batch, layouts.channel_axis(config))


def _own_frames(
  outputs: Mapping[str, tf.Tensor | np.ndarray],
  config: SpectrogramConfig,
  samples: int,
) -> np.ndarray:
  """Returns the frames of clips that all have as many samples."""
  count = config.num_frames(samples)
  found = np.asarray(outputs["num_frames"])
  if np.any(found != count):
    raise ValueError(f"num_frames must be {count}. Got: {found.tolist()}.")
  values = np.asarray(outputs["spectrogram"])
  axis = layouts.time_axis(config)
  own, rest = np.split(values, [count], axis)
  features = values.shape[layouts.feature_axis(config)]
  silence = layouts.silence(config, features)
  # Exact, but for a cepstrum: machines need not agree on its last bits.
  differs = isinstance(config.silence, tuple)
  size = 1e-6 * np.max(np.abs(silence)) if differs else 0.0
  if not np.all(np.abs(rest - np.float32(silence)) <= size):
    raise ValueError(
      f"Beyond num_frames the spectrogram must be {config.silence}, as of "
      "silence."
    )
  return own


def _one_by_one(run: Callable[[np.ndarray], tf.Tensor]) -> Route:
  def route(
    goldens: list[GoldenVector],
  ) -> Iterable[tuple[GoldenVector, np.ndarray]]:
    return ((golden, np.asarray(run(golden.signals))) for golden in goldens)

  return route


def _in_batches(
  run: Callable[[np.ndarray], tf.Tensor],
  config: SpectrogramConfig,
  channels: int,
) -> Route:
  """Gives each row and each channel of a batch another clip."""

  def route(
    goldens: list[GoldenVector],
  ) -> Iterable[tuple[GoldenVector, np.ndarray]]:
    count = len(goldens)
    clips = np.stack([golden.signals for golden in goldens])
    shifted = [np.roll(clips, -c, axis=0) for c in range(channels)]
    batch = np.stack(shifted, layouts.channel_axis(config))
    outputs = np.asarray(run(batch))
    if len(outputs) != count:
      raise ValueError(f"There must be {count} rows. Got: {len(outputs)}.")
    for r, output in enumerate(outputs):
      for c in range(channels):
        frames = layouts.frames_of(output, c, config)
        yield goldens[(r + c) % count], layouts.arrange_mono(frames, config)

  return route


def _check_refused(wav: Callable[..., Any], contents: bytes) -> None:
  try:
    wav(wav_bytes=tf.constant([contents]))
  except tf.errors.InvalidArgumentError:
    return
  raise ValueError("A file of another sample rate must be refused.")
