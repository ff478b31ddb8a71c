"""Tests of `tfspec.verify` on `.tflite` files."""

import dataclasses
import functools
import io
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfspec
from tests import lanes
from tfspec.export import litert

pytest.importorskip(
  "ai_edge_litert",
  reason="ai-edge-litert is not installed: pip install '.[litert]'.",
)

_CONFIG = tfspec.SpectrogramConfig(frame_length=64, frame_step=24)
_OWN = {"eager", "tf.function", "XLA", "dataset.map", "Keras layer"}


def _with(**values):
  return dataclasses.replace(_CONFIG, **values)


def _trained(seed=7):
  """Returns a module whose kernels are not those of its config."""
  spectrogram = tfspec.Spectrogram(_with(trainable=True))
  random = np.random.default_rng(seed)
  for kernel in spectrogram.kernels:
    kernel.assign_add(0.1 * random.standard_normal(kernel.shape))
  return spectrogram


def _model(bias=0.0):
  keras.utils.set_random_seed(5)
  scores = keras.layers.Dense(5)
  model = keras.Sequential(
    [
      keras.Input((None, 1)),
      tfspec.layers.STFTSpectrogram(frame_length=64, frame_step=24),
      keras.layers.GlobalAveragePooling1D(),
      scores,
    ]
  )
  scores.bias.assign(np.full(5, bias))
  return model


@pytest.fixture
def path(tmp_path):
  return tmp_path / "file.tflite"


@pytest.fixture
def swap(path, monkeypatch):
  """Exports what computes one thing and says of itself that it is another."""

  def export_swapped(computes, says, channels=None):
    assets = litert._assets
    tfspec.export_litert(says, path, channels)
    stored = litert.assets(path)
    path.unlink()
    monkeypatch.setattr(litert, "_assets", lambda *_: stored)
    tfspec.export_litert(computes, path, channels)
    monkeypatch.setattr(litert, "_assets", assets)

  return export_swapped


def _routes(report):
  assert str(report).endswith("All routes agree." if report.ok else "verified.")
  return {result.route: result.ok for result in report.results}


@pytest.mark.parametrize(
  ("values", "channels"),
  lanes.every(
    3,
    [
      ({"padding": "same"}, None),
      ({"engine": "kernel", "expand_dims": True}, 2),
      ({"data_format": "channels_first", "fft_length": 65}, 3),
    ],
  ),
)
def test_fixed_kernels(values, channels, path):
  tfspec.export_litert(_with(**values), path, channels)
  report = tfspec.verify(path)
  assert report.ok and report.fingerprint == _with(**values).fingerprint()
  assert _routes(report) == dict.fromkeys([*_OWN, "LiteRT"], True)


def test_trained_kernels(path):
  tfspec.export_litert(_trained(), path)
  assert _routes(tfspec.verify(path)) == {"LiteRT": True}


@pytest.mark.slow
def test_keras_model(path):
  tfspec.export_litert(_model(), path)
  assert _routes(tfspec.verify(path)) == {"model LiteRT": True}


@pytest.mark.slow
def test_keras_model_behind_fixed_kernels(path):
  layer = tfspec.layers.STFTSpectrogram(
    frame_length=64, frame_step=24, engine="fft", trainable=False
  )
  model = keras.Sequential(
    [keras.Input((200, 2)), layer, keras.layers.Dense(3)]
  )
  tfspec.export_litert(model, path)
  routes = _routes(tfspec.verify(path))
  assert routes == dict.fromkeys([*_OWN, "model LiteRT"], True)


@pytest.mark.slow
@pytest.mark.parametrize(
  ("computes", "says", "route"),
  [
    (lambda: _with(window="blackman"), lambda: _CONFIG, "LiteRT"),
    (lambda: _trained(8), _trained, "LiteRT"),
    (lambda: _model(0.01), _model, "model LiteRT"),
  ],
  ids=["config", "kernels", "model"],
)
def test_another_program(computes, says, route, swap, path):
  swap(computes(), says())
  report = tfspec.verify(path)
  assert not report.ok and not report.problems
  assert [r for r, ok in _routes(report).items() if not ok] == [route]


@pytest.mark.slow
def test_another_layout(swap, path):
  swap(_with(expand_dims=True), _CONFIG)
  report = tfspec.verify(path)
  assert not _routes(report)["LiteRT"]


def test_goldens_that_are_missing(path):
  tfspec.export_litert(_trained(), path)
  content = path.read_bytes()
  path.write_bytes(content.replace(b"tfspec/goldens", b"tfspec/g0ldens"))
  changed, problem = tfspec.verify(path).problems
  assert changed.startswith(f"{path} must be as it was written. Got: SHA-256 ")
  assert f"{path}/goldens.npz: the file must hold golden vectors" in problem


@pytest.mark.slow
@pytest.mark.parametrize("is_archive", [True, False])
def test_predictions_that_are_missing(is_archive, path, monkeypatch):
  tfspec.export_litert(_model(), path)
  assets = litert.assets(path)
  archive = io.BytesIO()
  np.savez(archive, other=np.zeros(1))
  assets["predictions.npz"] = archive.getvalue() if is_archive else b""
  monkeypatch.setattr(litert, "assets", lambda _: assets)
  (problem,) = tfspec.verify(path).problems
  name = f"{path}/predictions.npz"
  if is_archive:  # As an older version of tfspec made it.
    assert problem.startswith(f"{name}: the export must be of this version")
  else:
    assert problem.startswith(f"{name}: the file must hold the answers")


@pytest.mark.parametrize("content", [b"\xff no flatbuffer", b""])
def test_garbage(content, path):
  path.write_bytes(content)
  report = tfspec.verify(path)
  assert not report.ok and not report.results
  assert "must be a .tflite file" in str(report)


def test_truncated_file(path):
  tfspec.export_litert(_CONFIG, path)
  content = path.read_bytes()
  for size in (len(content) // 4, len(content) - 100):
    path.write_bytes(content[:size])
    report = tfspec.verify(path)
    assert not report.ok and report.problems, size


@pytest.mark.slow
@pytest.mark.parametrize("source", [lambda: _CONFIG, _trained, _model])
def test_a_flipped_bit(source, path):
  tfspec.export_litert(source(), path)
  content = path.read_bytes()
  for place in np.linspace(0, len(content) - 1, 23).astype(int):
    changed = bytearray(content)
    changed[place] ^= 0x04
    path.write_bytes(changed)
    report = tfspec.verify(path)
    assert not report.ok and report.problems and not report.results, place


def test_another_program_in_the_place_of_ours(path):
  tfspec.export_litert(_CONFIG, path)
  identity = tf.function(
    lambda x: x, input_signature=[tf.TensorSpec([None], tf.float32)]
  )
  converter = tf.lite.TFLiteConverter.from_concrete_functions(
    [identity.get_concrete_function()]
  )
  path.write_bytes(
    litert._with_metadata(converter.convert(), litert.assets(path))
  )
  (problem,) = tfspec.verify(path).problems
  assert problem.startswith("The model must load. Got: ")


def test_file_of_another_program(path):
  identity = tf.function(
    lambda x: x, input_signature=[tf.TensorSpec([None], tf.float32)]
  )
  converter = tf.lite.TFLiteConverter.from_concrete_functions(
    [identity.get_concrete_function()]
  )
  path.write_bytes(converter.convert())
  (problem,) = tfspec.verify(path).problems
  assert "the file must be one that tfspec.export_litert wrote" in problem


@pytest.mark.slow
def test_file_in_another_file_system(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  # In this one a file also seems to exist if others begin with its name.
  rename = functools.partial(tf.io.gfile.rename, overwrite=True)
  monkeypatch.setattr(tf.io.gfile, "rename", rename)
  path = "ram://models/speech.tflite"
  tfspec.export_litert(_CONFIG, path)
  assert tfspec.verify(path, against=path).ok
  assert not list(tmp_path.iterdir())


def test_without_the_interpreter(path, monkeypatch):
  tfspec.export_litert(_CONFIG, path)
  for name in [n for n in sys.modules if n.split(".")[0] == "ai_edge_litert"]:
    monkeypatch.setitem(sys.modules, name, None)
  with pytest.raises(ImportError, match="pip install ai-edge-litert"):
    tfspec.verify(path)


@pytest.mark.slow
def test_against(path, tmp_path):
  tfspec.export_litert(_CONFIG, path)
  assert tfspec.verify(path, against=_CONFIG).ok
  report = tfspec.verify(path, against=_with(frame_step=12))
  assert not report.ok and all(_routes(report).values())
  assert report.problems == (
    "frame_step must be that of SpectrogramConfig. Got: 24, there 12.",
  )
  report = tfspec.verify(path, against=_with(engine="kernel"))
  assert report.ok and report.notes[0].startswith("engine is 'fft', in Spectr")
  (problem,) = tfspec.verify(path, against=_trained()).problems
  assert problem.startswith("The kernels must be those of Spectrogram. Got: 0 ")
  trained = tmp_path / "trained.tflite"
  tfspec.export_litert(_trained(), trained)
  report = tfspec.verify(trained, against=_with(trainable=True))
  assert report.ok and report.notes[-1].startswith("Kernels not compared: ")
  # A fixed config has the Fourier kernels.
  report = tfspec.verify(trained, against=_CONFIG)
  assert _routes(report) == {"LiteRT": True, "LiteRT against": False}
  trained.unlink()
  tfspec.export_litert(tfspec.Spectrogram(_with(trainable=True)), trained)
  report = tfspec.verify(trained, against=_CONFIG)
  assert _routes(report) == {"LiteRT": True, "LiteRT against": True}


@pytest.mark.slow
def test_against_trained_kernels(path, tmp_path):
  tfspec.export_litert(_trained(), path)
  report = tfspec.verify(path, against=_trained())
  assert _routes(report) == {"LiteRT": True, "LiteRT against": True}
  tfspec.export_saved_model(_trained(8), tmp_path / "1")
  report = tfspec.verify(path, against=tmp_path / "1")
  assert _routes(report) == {"LiteRT": True, "LiteRT against": False}
  assert not report.problems
  other = tfspec.Spectrogram(_with(trainable=True, frame_step=12))
  report = tfspec.verify(path, against=other)
  assert _routes(report) == {"LiteRT": True}
  assert report.problems == (
    "frame_step must be that of Spectrogram. Got: 24, there 12.",
  )
  model = tmp_path / "model.tflite"
  tfspec.export_litert(_model(), model)
  assert tfspec.verify(model, against=_with(trainable=True)).ok
  for other, same in ((_model(), True), (_CONFIG, True), (_trained(), False)):
    report = tfspec.verify(model, against=other)
    assert _routes(report) == {"model LiteRT": True, "goldens against": same}
    assert not report.problems


@pytest.mark.slow
def test_an_output_that_was_lost(swap, path):
  scores = _model()
  both = keras.Model(
    scores.inputs[0],
    {"predictions": scores.outputs[0], "loudest": scores.outputs[0] + 1.0},
  )
  swap(scores, both)
  (result,) = tfspec.verify(path).results
  assert not result.ok and result.note == (
    "The outputs must be ['loudest', 'predictions']. Got: ['predictions']."
  )
