"""Puts load on an export behind gRPC, with bad requests among the good ones.

  python -m tools.serving_check --requests 20000

A server process loads an export and answers the PredictionService of TF Serving
on the loopback address. Clients send golden vectors through every signature;
one request in ten is malformed. Every good answer must keep its error bound
against float64, every bad request must be refused with INVALID_ARGUMENT, and
the server's memory must not grow.

It needs the messages of TF Serving, whose package asks for a TensorFlow of its
own: pip install --no-deps tensorflow-serving-api grpcio
"""

import concurrent.futures
import multiprocessing
import os
import pathlib
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection

import grpc
import numpy as np
import tensorflow as tf
from absl import app, flags
from tensorflow_serving.apis import (
  predict_pb2,
  prediction_service_pb2_grpc,
)

import tfspec
from tfspec import errors
from tfspec.contract import archive, bounds, vectors
from tfspec.export import sample_requests

_REQUESTS = flags.DEFINE_integer("requests", 20000, "How many to send.")
_CLIENTS = flags.DEFINE_integer("clients", 8, "How many send at a time.")

_NAME = "speech"
_MAX_SAMPLES = 16000
_CONFIG = tfspec.SpectrogramConfig(
  frame_length=200, frame_step=80, fft_length=256, sample_rate_hz=8000
)
_BAD_EVERY = 10
_MOST_GROWTH_MB = 64


class Servicer(prediction_service_pb2_grpc.PredictionServiceServicer):
  """Answers `Predict` from a loaded SavedModel."""

  def __init__(self, model: tf.Module) -> None:
    self._model = model  # Keeps the variables alive.

  def Predict(  # noqa: N802, the service's name for it
    self,
    request: predict_pb2.PredictRequest,
    context: grpc.ServicerContext,
  ) -> predict_pb2.PredictResponse:
    """Runs one request."""
    signature = self._model.signatures[request.model_spec.signature_name]
    inputs = {
      name: tf.constant(tf.make_ndarray(proto))
      for name, proto in request.inputs.items()
    }
    if "signals" in inputs:  # The default of the signature.
      inputs.setdefault("lengths", tf.zeros([0], tf.int32))
    try:
      outputs = signature(**inputs)
    except tf.errors.InvalidArgumentError as e:
      context.abort(grpc.StatusCode.INVALID_ARGUMENT, errors.sentence(e))
    response = predict_pb2.PredictResponse()
    for name, value in outputs.items():
      response.outputs[name].CopyFrom(tf.make_tensor_proto(value.numpy()))
    return response


def serve(path: str, connection: Connection) -> None:
  """Serves a SavedModel, tells its port, and ends when told to."""
  server = grpc.server(concurrent.futures.ThreadPoolExecutor(2))
  servicer = Servicer(tf.saved_model.load(path))
  prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
    servicer, server
  )
  port = server.add_insecure_port("127.0.0.1:0")
  server.start()
  connection.send(port)
  connection.recv()
  server.stop(None)


def request_of(
  signature: str, inputs: dict[str, np.ndarray]
) -> predict_pb2.PredictRequest:
  """Returns the message of a request."""
  request = predict_pb2.PredictRequest()
  request.model_spec.name = _NAME
  request.model_spec.signature_name = signature
  for name, value in inputs.items():
    request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
  return request


def good_requests(
  path: str,
) -> list[tuple[predict_pb2.PredictRequest, vectors.GoldenVector]]:
  """Returns requests, and what they must give, of every signature."""
  result = []
  found = archive.load(os.path.join(path, "assets", "goldens.npz"), _CONFIG)
  for golden in found:
    clip = [golden.signals]
    inputs = sample_requests.inputs(clip, [None, None], _CONFIG)
    names = ["serving_default", "wav"]
    if golden.name == "pcm16":
      names.append("pcm16")
    for name in names:
      values = {key: value.numpy() for key, value in inputs[name].items()}
      result.append((request_of(name, values), golden))
  return result


def bad_requests() -> list[predict_pb2.PredictRequest]:
  """Returns requests that must be refused, each for another reason."""
  sound = 0.1 * np.sin(np.arange(800, dtype=np.float32))[:, np.newaxis]
  file = sample_requests.wav_file(sound, 8000)
  huge = np.zeros([_MAX_SAMPLES + 1, 1], np.float32)
  files = {
    "truncated": file[:30],
    "wrong rate": sample_requests.wav_file(sound, 16000),
    "empty": b"",
    "huge": sample_requests.wav_file(huge, 8000),
    "NaN": sample_requests.wav_file(sound * np.nan, 8000),
    "text": b"This is no sound at all, it is a sentence.",
  }
  signals = sound.T
  return [
    *(request_of("wav", {"wav_bytes": [bad]}) for bad in files.values()),
    request_of("serving_default", {"signals": signals * np.nan}),
    request_of("serving_default", {"signals": huge.T}),
    request_of("serving_default", {"signals": signals[0]}),
    request_of(
      "serving_default",
      {"signals": signals, "lengths": np.array([801], np.int32)},
    ),
  ]


def check(requests: int, clients: int) -> dict[str, float]:
  """Sends the requests, and returns what was found.

  Args:
    requests: How many to send.
    clients: How many threads send them.

  Returns:
    "good" and "refused", counts; "p50_ms" and "p99_ms", milliseconds of a good
    request; "memory_mb" of the server after a tenth of the requests, and
    "growth_mb" from then to the end.

  Raises:
    RuntimeError: If an answer is wrong, a bad request was not refused as it
      should be, or the server grew.
  """
  with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, _NAME, "1")
    tfspec.export_saved_model(_CONFIG, path, max_samples=_MAX_SAMPLES)
    good, bad = good_requests(path), bad_requests()
    context = multiprocessing.get_context("spawn")
    connection, theirs = context.Pipe()
    process = context.Process(target=serve, args=(path, theirs), daemon=True)
    process.start()
    try:
      channel = grpc.insecure_channel(f"127.0.0.1:{connection.recv()}")
      stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)

      def send(i: int) -> float:
        if i % _BAD_EVERY == 0:
          return _send_bad(stub, bad[i // _BAD_EVERY % len(bad)])
        return _send_good(stub, *good[i % len(good)])

      with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        first = list(pool.map(send, range(requests // 10)))
        before = _memory_mb(process.pid)
        rest = list(pool.map(send, range(requests // 10, requests)))
      growth = _memory_mb(process.pid) - before
      if not process.is_alive():
        raise RuntimeError("The server must not crash.")
      connection.send(None)
      process.join(60)
    finally:
      process.kill()
  if growth > _MOST_GROWTH_MB:
    raise RuntimeError(
      f"The server must grow by at most {_MOST_GROWTH_MB} MB. Got: "
      f"{growth:.0f} MB."
    )
  seconds = np.array([*first, *rest])
  answered = seconds[~np.isnan(seconds)]
  return {
    "good": len(answered),
    "refused": len(seconds) - len(answered),
    "p50_ms": 1e3 * float(np.percentile(answered, 50)),
    "p99_ms": 1e3 * float(np.percentile(answered, 99)),
    "memory_mb": before,
    "growth_mb": growth,
  }


def _send_good(
  stub: prediction_service_pb2_grpc.PredictionServiceStub,
  request: predict_pb2.PredictRequest,
  golden: vectors.GoldenVector,
) -> float:
  start = time.perf_counter()
  response = stub.Predict(request, timeout=60)
  seconds = time.perf_counter() - start
  (values,) = tf.make_ndarray(response.outputs["spectrogram"])
  found = bounds.deviation(
    _CONFIG, values, golden.expected(_CONFIG), golden.tolerance(_CONFIG)
  )
  if not found.ok:
    raise RuntimeError(f"{golden.name}: the answer must be right. Got: {found}")
  return seconds


def _send_bad(
  stub: prediction_service_pb2_grpc.PredictionServiceStub,
  request: predict_pb2.PredictRequest,
) -> float:
  try:
    stub.Predict(request, timeout=60)
  except grpc.RpcError as e:
    if e.code() == grpc.StatusCode.INVALID_ARGUMENT:
      return np.nan
    raise
  raise RuntimeError(f"A bad request must be refused. Got: {request}")


def _memory_mb(pid: int) -> float:
  """Returns the resident memory of a process."""
  text = pathlib.Path(f"/proc/{pid}/status").read_text()
  (line,) = [row for row in text.splitlines() if row.startswith("VmRSS")]
  return int(line.split()[1]) / 1024


def main(argv: Sequence[str]) -> None:
  """Prints what the check found."""
  del argv
  found = check(_REQUESTS.value, _CLIENTS.value)
  print(
    f"{found['good']} answers within their bound, {found['refused']} bad "
    f"requests refused; {found['p50_ms']:.1f} ms at the median, "
    f"{found['p99_ms']:.1f} ms at the 99th percentile; the server had "
    f"{found['memory_mb']:.0f} MB and grew by {found['growth_mb']:.0f} MB"
  )


if __name__ == "__main__":
  app.run(main)
