"""Exports loaded by TensorFlow's own C++ loader, which TF Serving uses."""

import dataclasses
import shutil

import keras
import numpy as np
import pytest

import tfspec
from tests import wav_files
from tfspec.export import sample_requests
from tools import cpp_loader

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
  path = tmp_path_factory.mktemp("loader") / "load_saved_model"
  cpp_loader.build(path)
  return path


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
    sample_requests.wav_file(row[:, np.newaxis], 8000) for row in signals
  ]
  expected = tfspec.Spectrogram(config)(signals[..., np.newaxis]).numpy()
  good = [
    ("serving_default", {"signals": signals}),  # Without the lengths.
    ("serving_default", {"signals": signals, "lengths": [300, 300]}),
    ("pcm16", {"signals": pcm.astype(np.int16)}),
    ("wav", {"wav_bytes": files}),
  ]
  cut = [files[0][:30]]
  other_rate = [sample_requests.wav_file(_signals(300, 1), 16000)]
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
  results = cpp_loader.run(program, model, [*good, *bad, good[0]], tmp_path)
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
      keras.layers.Dense(2),
    ]
  )
  scores = model.outputs[0]
  name = keras.layers.StringLookup(
    vocabulary=["low", "high"], num_oov_indices=0, invert=True
  )(keras.ops.argmax(scores, axis=-1))
  model = keras.Model(model.inputs[0], {"scores": scores, "name": name})
  tfspec.export_saved_model(model, tmp_path / "model")
  signals = _signals(2, 300)
  (result,) = cpp_loader.run(
    program,
    tmp_path / "model",
    [("serving_default", {"signals": signals})],
    tmp_path,
  )
  expected = model(signals[..., np.newaxis])
  np.testing.assert_allclose(result["scores"], expected["scores"], atol=1e-5)
  assert result["name"].tolist() == expected["name"].numpy().tolist()
