"""An export behind gRPC: `tools/serving_check.py`, and docs/serving.md."""

import base64
import concurrent.futures
import json
import os
import shutil
import subprocess

import grpc
import numpy as np
import pytest
import tensorflow as tf

from tests.paths import ROOT

pytest.importorskip(
  "tensorflow_serving.apis.predict_pb2",
  reason="pip install --no-deps tensorflow-serving-api",
)

import tfspec
from tools import serving_check

_CLIP = "tests/testdata/speech/fr/queue-thankyou.wav"


@pytest.fixture
def model(tmp_path, monkeypatch):
  """Returns an export that is loaded, in a folder that has clip.wav."""
  config = tfspec.load_config(ROOT / "tools/speech.textproto")
  tfspec.export_saved_model(config, tmp_path / "speech/1")
  shutil.copy(ROOT / _CLIP, tmp_path / "clip.wav")
  monkeypatch.chdir(tmp_path)
  return tf.saved_model.load(str(tmp_path / "speech/1"))


def _block(start):
  """Returns the code block of docs/serving.md that starts with some text."""
  blocks = (ROOT / "docs/serving.md").read_text().split("```")[1::2]
  (block,) = [b for b in blocks if b.startswith(start)]
  return block.removeprefix("python")


def _served(model):
  contents = tf.io.read_file("clip.wav")
  return model.signatures["wav"](wav_bytes=contents[np.newaxis])["spectrogram"]


@pytest.mark.slow
def test_request_over_grpc_as_documented(model):
  server = grpc.server(concurrent.futures.ThreadPoolExecutor(1))
  serving_check.prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
    serving_check.Servicer(model), server
  )
  port = server.add_insecure_port("127.0.0.1:0")
  server.start()
  code = _block("python").replace("localhost:8500", f"127.0.0.1:{port}")
  scope = {}
  try:
    exec(compile(code, "docs/serving.md", "exec"), scope)
  finally:
    server.stop(None)
  np.testing.assert_array_equal(scope["spectrogram"], _served(model))


@pytest.mark.slow
def test_request_over_rest_as_documented(model, tmp_path):
  # The last argument of curl is what it sends.
  curl = tmp_path / "bin" / "curl"
  curl.parent.mkdir()
  curl.write_text('#!/bin/sh\nfor last; do :; done\nprintf %s "$last"\n')
  curl.chmod(0o755)
  path = f"{curl.parent}:{os.environ['PATH']}"
  sent = subprocess.run(
    ["bash", "-c", _block("\ncurl")],
    env={**os.environ, "PATH": path},
    check=True,
    capture_output=True,
  )
  body = json.loads(sent.stdout)
  wav = model.signatures[body["signature_name"]]
  (row,) = body["instances"]
  contents = base64.b64decode(row["wav_bytes"]["b64"], validate=True)
  outputs = wav(wav_bytes=tf.constant([contents]))
  np.testing.assert_array_equal(outputs["spectrogram"], _served(model))


@pytest.mark.slow
def test_good_and_bad_requests_over_grpc():
  found = serving_check.check(requests=400, clients=8)
  assert found["good"] == 360 and found["refused"] == 40
  assert 0 < found["p50_ms"] <= found["p99_ms"]


@pytest.mark.slow
def test_a_wrong_answer_is_noticed(monkeypatch):
  def wrong(golden, config):
    return original(golden, config) + 0.01

  original = serving_check.vectors.GoldenVector.expected
  monkeypatch.setattr(serving_check.vectors.GoldenVector, "expected", wrong)
  with pytest.raises(RuntimeError, match="the answer must be right"):
    serving_check.check(requests=20, clients=2)
