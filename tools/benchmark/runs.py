"""The TensorFlow runs of the benchmark: tfspec, Keras, the recipe, the floors.

`python -m tfspec.benchmark_runs` is their worker process.
"""

import dataclasses
import functools
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfspec import config as config_lib
from tfspec.coefficients import fourier
from tfspec.config import SpectrogramConfig
from tfspec.data.audio import load_wav
from tfspec.data.dataset import spectrogram_fn
from tfspec.layers import STFTSpectrogram
from tfspec.ops import shape_ops, spectrum_ops
from tfspec.spectrogram import Spectrogram
from tools.benchmark.peers import (
  FRONT_ENDS,
  Makers,
  Run,
  bank,
  checked,
  expected,
  frames,
  limit_threads,
  noise,
  num_bands,
  sample_rate_hz,
  serve,
  unchecked,
  window,
)

Function = Callable[[tf.Tensor], Any]


def prepare(work: dict) -> Makers:
  """Returns what makes the runs of a work; see `benchmark_peers.serve`."""
  limit_threads(tf, work["threads"])
  kinds = {
    "spectrogram": _spectrograms,
    "forward": _forwards,
    "step": _steps,
    "dataset": _datasets,
    **dict.fromkeys(FRONT_ENDS, _front_ends),
  }
  makers = kinds[work["kind"]](work)
  others = {"keras", "tf.signal"}.difference(work["peers"])
  return {k: v for k, v in makers.items() if k.split(",")[0] not in others}


@functools.lru_cache(maxsize=1)
def _signals(batch: int, samples: int) -> tf.Tensor:
  """Returns the signals that all runs share."""
  work = {"batch": batch, "samples": samples}
  return tf.constant(noise(work)[..., np.newaxis])


def _spectrograms(work: dict) -> Makers:
  makers: Makers = {}
  for engine in ("fft", "kernel"):
    spectrogram = functools.partial(_tfspec, work, engine)
    makers |= _graph_and_jit(work, f"tfspec {engine}", spectrogram)
  makers |= _graph_and_jit(work, "keras", lambda: _keras(work, False))
  makers |= _graph_and_jit(work, "tf.signal", lambda: _recipe(work))
  makers["floor: rfft"] = lambda: _rfft_floor(work)
  makers["floor: matmul"] = lambda: _matmul_floor(work)
  return makers


def _front_ends(work: dict) -> Makers:
  """Returns front ends whose values are bands or coefficients."""
  make = functools.partial(_front_end, work)
  return {
    **_graph_and_jit(work, "tfspec fft", lambda: make("fft")),
    **_graph_and_jit(work, "tfspec kernel", lambda: make("kernel")),
    **_graph_and_jit(work, "tf.signal", lambda: _recipe_of_bands(work)),
    **(
      {}
      if work["kind"] == "whisper"
      else _graph_and_jit(work, "keras", lambda: _keras_mel(work), unchecked)
    ),
    "floor: rfft": lambda: _rfft_floor(work),
  }


def _front_end(work: dict, engine: str) -> Function:
  """Returns the front end of tfspec."""
  if work["kind"] == "whisper":
    return Spectrogram(
      dataclasses.replace(config_lib.preset("whisper"), engine=engine)
    )
  config = SpectrogramConfig(
    **(_fields(work) | {"mode": "power"}),
    engine=engine,
    sample_rate_hz=sample_rate_hz(work),
    filter_bank=config_lib.FilterBank(num_bands(work)),
    compression=config_lib.Compression(),
  )
  if work["kind"] == "mfcc":
    config = dataclasses.replace(
      config, cepstrum=config_lib.Cepstrum(13), deltas=config_lib.Deltas()
    )
  return Spectrogram(config)


def _recipe_of_bands(work: dict) -> Function:
  """Returns what people write who use tf.signal."""
  weights = tf.constant(bank(work), tf.float32)
  values = tf.constant(window(work), tf.float32)

  def front_end(signals: tf.Tensor) -> tf.Tensor:
    signals = signals[..., 0]
    if work["kind"] == "whisper":
      half = work["fft_length"] // 2
      signals = tf.pad(signals, [[0, 0], [half, half]], "REFLECT")
    spectrum = tf.signal.stft(
      signals,
      work["frame_length"],
      work["frame_step"],
      work["fft_length"],
      lambda length, dtype: tf.cast(values, dtype),
    )
    power = tf.abs(spectrum) ** 2
    bands = tf.maximum(tf.tensordot(power, weights, 1), 1e-10)
    if work["kind"] == "whisper":
      logs = tf.math.log(bands[:, :-1]) / tf.math.log(10.0)
      peak = tf.reduce_max(logs, axis=[1, 2], keepdims=True)
      return (tf.maximum(logs, peak - 8.0) + 4.0) / 4.0
    logs = tf.math.log(bands)
    if work["kind"] != "mfcc":
      return logs
    cepstra = tf.signal.mfccs_from_log_mel_spectrograms(logs)[..., :13]
    # They have sqrt(2) times the orthogonal coefficient 0.
    scale = tf.constant([0.5**0.5] + [1.0] * 12)
    found = [cepstra * scale]
    for _ in range(2):
      wide = tf.pad(found[-1], [[0, 0], [2, 2], [0, 0]], "SYMMETRIC")
      # The edges repeated, as "SYMMETRIC" does not have them.
      wide = tf.concat([wide[:, 1:2], wide[:, 1:-1], wide[:, -2:-1]], axis=1)
      slope = 2 * (wide[:, 4:] - wide[:, :-4]) + wide[:, 3:-1] - wide[:, 1:-3]
      found.append(slope / 10.0)
    return tf.concat(found, axis=-1)

  return front_end


def _keras_mel(work: dict) -> Function:
  """Returns the layer of Keras, which pads, takes decibels and limits them."""
  layer = tf.keras.layers.MelSpectrogram(
    work["fft_length"],
    work["frame_step"],
    work["frame_length"],
    num_mel_bins=num_bands(work),
    min_freq=0.0,
  )
  return lambda signals: layer(signals[..., 0])


def _forwards(work: dict) -> Makers:
  return {
    **_graph_and_jit(work, "tfspec layer", lambda: _layer(work)),
    **_graph_and_jit(work, "keras", lambda: _keras(work, True)),
    "floor: matmul": lambda: _matmul_floor(work),
  }


def _steps(work: dict) -> Makers:
  """Returns training steps: forward, loss, and gradient of both kernels."""

  def step(make: Callable[[], Any]) -> Function:
    layer = make()
    layer.build([None, None, 1])

    def gradients(signals: tf.Tensor) -> list[tf.Tensor]:
      with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(layer(signals)))
      real, imag = tape.gradient(loss, [layer.real_kernel, layer.imag_kernel])
      return tf.stack([real[:, 0], imag[:, 0]])

    return gradients

  truth = functools.partial(_expected_gradients, work)
  return {
    **_graph_and_jit(
      work, "tfspec layer", lambda: step(lambda: _layer(work)), truth
    ),
    **_graph_and_jit(
      work, "keras", lambda: step(lambda: _keras(work, True)), truth
    ),
    "floor: matmul": lambda: _matmul_floor(work, backward=True),
  }


def _graph_and_jit(
  work: dict,
  name: str,
  make: Callable[[], Function],
  truth: Callable[[], np.ndarray | None] | None = None,
) -> Makers:
  def run(jit: bool) -> Run:
    signals = _signals(work["batch"], work["samples"])
    function = make()

    @tf.function(jit_compile=jit)
    def compiled(signals: tf.Tensor) -> Any:
      # Of one argument: each more costs some microseconds a call.
      return function(signals)

    call = functools.partial(compiled, signals)
    if truth is not None:
      return Run(call, np.asarray, truth(), by_bin=True)
    return Run(call, checked, expected(signals[..., 0].numpy(), work))

  return {
    f"{name}, graph": lambda: run(False),
    f"{name}, jit": lambda: run(True),
  }


def _fields(work: dict) -> dict:
  """Returns what the config and both Keras layers are made with."""
  names = ("mode", "frame_length", "frame_step", "fft_length")
  fields = {name: work[name] for name in names}
  return {**fields, "window": "hann", "periodic": True, "scaling": None}


def _config(work: dict, **fields: Any) -> SpectrogramConfig:
  return SpectrogramConfig(**_fields(work), floor=work["floor"], **fields)


def _tfspec(work: dict, engine: str) -> Function:
  return Spectrogram(_config(work, engine=engine))


def _layer(work: dict) -> STFTSpectrogram:
  return STFTSpectrogram(**_fields(work), floor=work["floor"])


def _keras(work: dict, trainable: bool) -> Any:
  # Its floor is fixed, and costs the same.
  return tf.keras.layers.STFTSpectrogram(**_fields(work), trainable=trainable)


def _recipe(work: dict) -> Function:
  """Returns what people write who use tf.signal."""

  def spectrogram(signals: tf.Tensor) -> tf.Tensor:
    spectrum = tf.signal.stft(
      signals[..., 0],
      work["frame_length"],
      work["frame_step"],
      work["fft_length"],
    )
    if work["mode"] == "stft":
      return spectrum
    return tf.math.log(tf.maximum(tf.abs(spectrum), work["floor"]))

  return spectrogram


def _rfft_floor(work: dict) -> Run:
  """Returns the bare transform of frames that are cut, windowed and padded."""
  rows = frames(noise(work), work) * window(work).astype(np.float32)
  missing = work["fft_length"] - work["frame_length"]
  ready = tf.constant(np.pad(rows, ((0, 0), (0, 0), (0, missing))))
  # Eager: the call of a graph costs more than a short clip's transform.
  return Run(lambda: tf.signal.rfft(ready))


def _kernels(work: dict) -> np.ndarray:
  """Returns both Fourier kernels, float64 `[frame_length, 2 * num_bins]`."""
  kernels = fourier.fourier_kernels(window(work), work["fft_length"])
  return np.concatenate(kernels, axis=1)


def _matmul_floor(work: dict, backward: bool = False) -> Run:
  """Returns the bare products of frames that are cut, and the kernels."""
  rows = frames(noise(work), work).reshape(-1, work["frame_length"])
  ready = tf.constant(rows)
  kernels = tf.constant(_kernels(work), tf.float32)

  def call() -> tf.Tensor:
    values = tf.matmul(ready, kernels)
    return tf.matmul(ready, values, transpose_a=True) if backward else values

  return Run(call)


def _expected_gradients(work: dict) -> np.ndarray:
  """Returns the gradients of the kernels, computed in float64."""
  rows = frames(noise(work), work).reshape(-1, work["frame_length"])
  rows = rows.astype(np.float64)
  real, imag = np.split(rows @ _kernels(work), 2, axis=1)
  power = real**2 + imag**2
  values = 0.5 * np.log(np.maximum(power, work["floor"] ** 2))
  slope = 2 * values / values.size / power
  return np.stack([rows.T @ (slope * real), rows.T @ (slope * imag)])


def _datasets(work: dict) -> Makers:
  """Returns whole passes over a corpus, and parts of them as floors."""
  paths = work["files"]
  length, step = work["frame_length"], work["frame_step"]
  if work["mode"] == "log_mel":
    convert = spectrogram_fn(_front_end(work, "fft"))
    recipe = _recipe_of_bands(work)
  else:
    convert = spectrogram_fn(_config(work))
    recipe = _recipe(work)
  # As many frames as the longest file may have.
  most = max(map(os.path.getsize, paths)) // 2 // step
  shape = (most, work["fft_length"])
  rows = np.random.default_rng(0).standard_normal(shape, np.float32)
  ready = tf.constant(rows)

  def read(path: tf.Tensor) -> tf.Tensor:
    return tf.audio.decode_wav(tf.io.read_file(path), 1).audio

  def read_any(path: tf.Tensor) -> tf.Tensor:
    return load_wav(path, channels=1)[0]

  def cut(signals: tf.Tensor) -> tf.Tensor:
    signals, _ = shape_ops.fit(signals[:, 0], length, step)
    values = tf.constant(window(work), tf.float32)
    return shape_ops.windowed_frames(signals, values, step, work["fft_length"])

  def transform(signals: tf.Tensor) -> tf.Tensor:
    num_frames = (tf.shape(signals)[0] - length) // step + 1
    return tf.signal.rfft(ready[: tf.maximum(num_frames, 0)])

  def transform_and_log(signals: tf.Tensor) -> tf.Tensor:
    spectrum = transform(signals)
    power = spectrum_ops.power(tf.math.real(spectrum), tf.math.imag(spectrum))
    return spectrum_ops.log(power, work["floor"])

  def chain(reader: Function, function: Function) -> Function:
    return lambda path: function(reader(path))

  def run(function: Function, is_spectrogram: bool) -> Run:
    files = tf.data.Dataset.from_tensor_slices(paths)
    mapped = files.map(function, num_parallel_calls=work["threads"])
    dataset = mapped.prefetch(2 * work["threads"])
    # Else an iterator may not end before its tuner wakes up, which it does
    # every so many hundreds of milliseconds.
    options = tf.data.Options()
    options.autotune.enabled = False
    dataset = dataset.with_options(options)

    def call() -> tf.Tensor:
      elements = iter(dataset)
      first = next(elements)
      for _ in elements:
        pass
      return first

    if not is_spectrogram:
      return Run(call)
    truth = expected(read(paths[0]).numpy().T, work)[0]
    return Run(call, lambda values: checked(values[np.newaxis])[0], truth)

  return {
    "tfspec": lambda: run(chain(read, convert), True),
    "tf.signal": lambda: run(chain(read, recipe), True),
    "floor: read and decode": lambda: run(read, False),
    "floor: read, decode, frames": lambda: run(chain(read, cut), False),
    "floor: read, decode, rfft": lambda: run(chain(read, transform), False),
    "floor: read, decode, rfft, log": lambda: run(
      chain(read, transform_and_log), False
    ),
    "tfspec, own reader": lambda: run(chain(read_any, convert), True),
    "floor: own reader": lambda: run(read_any, False),
  }


if __name__ == "__main__":
  serve(prepare, ["tensorflow", "keras", "numpy", "tfspec"])
