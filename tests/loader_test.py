"""Exports loaded by TensorFlow's own C++ loader, which TF Serving uses."""

import dataclasses
import pathlib
import shutil
import subprocess

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2

import tfspec
from tests import wav_files
from tfspec import serving_requests

_SOURCE = pathlib.Path(__file__).parent / "load_saved_model.cc"
_CONFIG = tfspec.SpectrogramConfig(
  frame_length=64, frame_step=24, sample_rate_hz=8000
)
pytestmark = [
  pytest.mark.slow,
  pytest.mark.skipif(
    shutil.which("g++") is None, reason="There is no compiler: g++."
  ),
]


@pytest.fixture(scope="module")
def program(tmp_path_factory):
  """Returns the loader, linked against the libraries of this TensorFlow."""
  path = tmp_path_factory.mktemp("loader") / "load_saved_model"
  libraries = tf.sysconfig.get_lib()
  command = [
    "g++",
    "-std=c++17",
    "-O1",
    "-w",
    *tf.sysconfig.get_compile_flags(),
    "-DNDEBUG",
    str(_SOURCE),
    "-o",
    str(path),
    f"-L{libraries}",
    "-Wl,--no-as-needed",
    "-l:libtensorflow_cc.so.2",
    "-l:libtensorflow_framework.so.2",
    f"-Wl,-rpath,{libraries}",
  ]
  subprocess.run(command, check=True)
  return path


def _run(program, model, requests, folder):
  """Returns outputs by name, or the status of a failure, of each request."""
  folders = []
  for i, (signature, inputs) in enumerate(requests):
    request = folder / str(i)
    request.mkdir()
    (request / "signature").write_text(signature)
    for name, value in inputs.items():
      proto = tf.make_tensor_proto(value)
      (request / f"{name}.in").write_bytes(proto.SerializeToString())
    folders.append(request)
  subprocess.run([program, model, *folders], check=True, timeout=300)
  results = []
  for request in folders:
    if (request / "error").exists():
      results.append((request / "error").read_text())
      continue
    outputs = {}
    for path in request.glob("*.out"):
      proto = tensor_pb2.TensorProto.FromString(path.read_bytes())
      outputs[path.stem] = tf.make_ndarray(proto)
    results.append(outputs)
  return results


def _signals(*shape):
  random = np.random.default_rng(shape)
  return (0.1 * random.standard_normal(shape)).astype(np.float32)


@pytest.mark.parametrize("changes", [{}, {"engine": "kernel"}], ids=str)
def test_every_signature_and_bad_requests(program, changes, tmp_path):
  config = dataclasses.replace(_CONFIG, **changes)
  model = tmp_path / "model"
  tfspec.export_saved_model(config, model, max_samples=1000)
  pcm = np.round(_signals(2, 300) * 2**15)
  signals = (pcm / 2**15).astype(np.float32)
  files = [
    serving_requests.wav_file(row[:, np.newaxis], 8000) for row in signals
  ]
  expected = tfspec.Spectrogram(config)(signals[..., np.newaxis]).numpy()
  good = [
    ("serving_default", {"signals": signals}),  # Without the lengths.
    ("serving_default", {"signals": signals, "lengths": [300, 300]}),
    ("pcm16", {"signals": pcm.astype(np.int16)}),
    ("wav", {"wav_bytes": files}),
  ]
  cut = [files[0][:30]]
  other_rate = [serving_requests.wav_file(_signals(300, 1), 16000)]
  nan = np.full([1, 300], np.nan, np.float32)
  bad = [
    ("serving_default", {"signals": nan}),
    ("serving_default", {"signals": _signals(1, 1001)}),
    ("serving_default", {"signals": _signals(1, 300, 1)}),  # Of wrong rank.
    ("serving_default", {"signals": _signals(300)}),
    ("serving_default", {"signals": signals, "lengths": [300]}),
    ("serving_default", {"signals": signals, "lengths": [300, 301]}),
    ("wav", {"wav_bytes": cut}),
    ("wav", {"wav_bytes": [b""]}),
    ("wav", {"wav_bytes": [b"some text that is no sound"]}),
    ("wav", {"wav_bytes": other_rate}),
    ("wav", {"wav_bytes": [files]}),
    ("wav", {"wav_bytes": [wav_files.riff([])]}),
  ]
  # A good one last: the bad ones leave no harm.
  results = _run(program, model, [*good, *bad, good[0]], tmp_path)
  for result in [*results[: len(good)], results[-1]]:
    assert result["num_frames"].tolist() == [config.num_frames(300)] * 2
    np.testing.assert_allclose(result["spectrogram"], expected, atol=1e-5)
  for request, result in zip(bad, results[len(good) : -1], strict=True):
    assert isinstance(result, str), request
    assert result.startswith("INVALID_ARGUMENT: "), result


def test_keras_model(program, tmp_path):
  model = keras.Sequential(
    [
      keras.Input((None, 1)),
      tfspec.layers.STFTSpectrogram(frame_length=64, frame_step=24),
      keras.layers.GlobalAveragePooling1D(),
      keras.layers.Dense(5),
    ]
  )
  tfspec.export_saved_model(model, tmp_path / "model")
  signals = _signals(2, 300)
  (result,) = _run(
    program,
    tmp_path / "model",
    [("serving_default", {"signals": signals})],
    tmp_path,
  )
  expected = model(signals[..., np.newaxis]).numpy()
  np.testing.assert_allclose(result["predictions"], expected, atol=1e-5)
