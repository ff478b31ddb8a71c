"""What goes over the wire to a served model, and what warms it up."""

import os
import struct

import numpy as np
import tensorflow as tf

from tfspec.config import SpectrogramConfig


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


def rows(
  signals: np.ndarray, shape: list[int | None], config: SpectrogramConfig
) -> np.ndarray:
  """Returns a batch of one row that has a mono clip in each of its channels.

  Args:
    signals: The clip, `[samples]`.
    shape: Shape of the input `signals` of the served model. A fixed number of
      samples cuts the clip, or fills it up with zeros.
    config: The config.

  Returns:
    What the model takes as `signals`.
  """
  last = config.data_format == "channels_last"
  samples = shape[1 if last or len(shape) == 2 else 2]
  if samples is not None:
    signals = signals[:samples]
    signals = np.pad(signals, [0, samples - len(signals)])
  if len(shape) == 2:
    return signals[np.newaxis]
  axis = 2 if last else 1
  return np.stack([signals[np.newaxis]] * shape[axis], axis)


def inputs(
  clip: np.ndarray, shape: list[int | None], config: SpectrogramConfig
) -> dict[str, dict[str, tf.Tensor]]:
  """Returns inputs of every signature that stand for one mono clip.

  Args:
    clip: The clip, `[samples]`, in [-1, 1).
    shape: Shape of the input `signals` of the served model.
    config: The config.

  Returns:
    Inputs by name, by signature.
  """
  signals = rows(clip, shape, config)
  last = config.data_format == "channels_last"
  mono = len(shape) == 2
  samples = signals.shape[1 if last or mono else 2]
  channels = 1 if mono else shape[2 if last else 1]
  own = clip[:samples]
  contents = wav_file(
    np.stack([own] * channels, 1), config.sample_rate_hz or 16000
  )
  lengths = tf.constant([len(own)], tf.int32)
  pcm16 = np.round(signals * 2**15).astype(np.int16)
  floats = {"signals": tf.constant(signals), "lengths": lengths}
  return {
    "serving_default": floats,
    "pcm16": {"signals": tf.constant(pcm16), "lengths": lengths},
    "wav": {"wav_bytes": tf.constant([contents])},
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
      writer.write(_field(6, _field(1, request)))


def _predict_request(
  model_name: str,
  signature: str,
  inputs: dict[str, tf.Tensor],
) -> bytes:
  """Returns a serialized `tensorflow.serving.PredictRequest`.

  It is written field by field: the package that defines the message brings
  another TensorFlow along.
  """
  spec = _field(1, model_name.encode()) + _field(3, signature.encode())
  message = _field(1, spec)
  for name, value in inputs.items():
    tensor = tf.make_tensor_proto(value.numpy()).SerializeToString()
    message += _field(2, _field(1, name.encode()) + _field(2, tensor))
  return message


def _field(number: int, content: bytes) -> bytes:
  """Returns a field of bytes in the wire format of protocol buffers."""
  size, length = len(content), b""
  while size > 127:
    length += bytes([size & 127 | 128])
    size >>= 7
  return bytes([number << 3 | 2]) + length + bytes([size]) + content
