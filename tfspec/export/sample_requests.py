"""Requests to a served model, and those that warm it up."""

import os
import struct
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfspec.config import SpectrogramConfig
from tfspec.spectrogram import layouts
from tfspec.storage.wire_format import field


def wav_file(signals: np.ndarray, sample_rate_hz: int) -> bytes:
  """Returns a WAV file of `[samples, channels]`, float32."""
  data = np.ascontiguousarray(signals, np.float32).tobytes()
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


def time_axis(shape: list[int | None], config: SpectrogramConfig) -> int:
  """Returns which axis of a batch counts the samples.

  Args:
    shape: Shape of the input `signals` of a model, with or without a channels
      axis.
    config: The config of its layer: it decides where the shape does not. The
      samples are open, or more than the channels.
  """
  if len(shape) == 2:
    return 1
  first, second = (float("inf") if n is None else n for n in shape[1:])
  if first != second:
    return 1 if first > second else 2
  return layouts.time_axis(config)


def rows(
  clips: Sequence[np.ndarray],
  shape: list[int | None],
  config: SpectrogramConfig,
  behind: float = 0.0,
) -> np.ndarray:
  """Returns a batch whose rows have mono clips in each of their channels.

  Args:
    clips: The clips, each `[samples]`.
    shape: Shape of the input `signals` of the served model. A fixed number of
      samples cuts the clips.
    config: The config.
    behind: The padding of shorter clips.

  Returns:
    What the model takes as `signals`.
  """
  axis = time_axis(shape, config)
  samples = shape[axis]
  if samples is None:
    samples = max(map(len, clips), default=0)
  batch = np.full([len(clips), samples], behind, np.float32)
  for row, clip in zip(batch, clips, strict=True):
    row[: len(clip)] = clip[:samples]
  if len(shape) == 2:
    return batch
  return np.stack([batch] * (shape[3 - axis] or 1), 3 - axis)


def inputs(
  clips: Sequence[np.ndarray],
  shape: list[int | None],
  config: SpectrogramConfig,
  behind: float = 0.0,
) -> dict[str, dict[str, tf.Tensor]]:
  """Returns inputs of every signature that stand for mono clips.

  Args:
    clips: The clips, each `[samples]`, in [-1, 1).
    shape: Shape of the input `signals` of the served model.
    config: The config.
    behind: See `rows`; in 16 bits it is 0 or rubbish.

  Returns:
    Inputs by name, by signature.
  """
  axis = time_axis(shape, config)
  samples = shape[axis]
  channels = 1 if len(shape) == 2 else shape[3 - axis] or 1
  own = [clip[:samples] for clip in clips]
  rate = config.sample_rate_hz or 16000
  files = [wav_file(np.stack([c] * channels, 1), rate) for c in own]
  lengths = tf.constant(list(map(len, own)), tf.int32)
  signals = rows(clips, shape, config, behind)
  whole = rows(clips, shape, config, 0.0 if behind == 0.0 else 1000 / 2**15)
  pcm16 = np.clip(np.round(whole * 2**15), -(2**15), 2**15 - 1)
  floats = {"signals": tf.constant(signals), "lengths": lengths}
  return {
    "serving_default": floats,
    "pcm16": {"signals": tf.constant(pcm16, tf.int16), "lengths": lengths},
    "wav": {"wav_bytes": tf.constant(files, tf.string)},
    "spectrogram": floats,
  }


def save_warmup(
  path: str,
  model_name: str,
  requests: dict[str, dict[str, tf.Tensor]],
) -> None:
  """Writes the requests that TF Serving replays before it takes others [1].

  Args:
    path: Folder of the SavedModel.
    model_name: Name that the model is served under.
    requests: Inputs by signature.

  References:
    [1]: https://www.tensorflow.org/tfx/serving/saved_model_warmup
  """
  folder = os.path.join(path, "assets.extra")
  tf.io.gfile.makedirs(folder)
  with tf.io.TFRecordWriter(
    os.path.join(folder, "tf_serving_warmup_requests")
  ) as writer:
    for signature, inputs in requests.items():
      request = _predict_request(model_name, signature, inputs)
      # PredictionLog.predict_log, PredictLog.request.
      writer.write(field(6, field(1, request)))


def _predict_request(
  model_name: str,
  signature: str,
  inputs: dict[str, tf.Tensor],
) -> bytes:
  """Returns a serialized `tensorflow.serving.PredictRequest`.

  It is written field by field, because the package that defines the message
  brings another TensorFlow along.
  """
  spec = field(1, model_name.encode()) + field(3, signature.encode())
  message = field(1, spec)
  for name, value in inputs.items():
    tensor = tf.make_tensor_proto(value.numpy()).SerializeToString()
    message += field(2, field(1, name.encode()) + field(2, tensor))
  return message


def fits_pcm16(signals: np.ndarray) -> bool:
  """Returns whether 16 bits can hold the samples of a clip."""
  scaled = signals * 2**15
  return bool(np.all((scaled == np.round(scaled)) & (scaled < 2**15)))
