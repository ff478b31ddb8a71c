"""Tests of `tfspec.verify`: it passes what is right and names what is wrong."""

import dataclasses
import importlib.util
import itertools
import os
import pathlib
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfspec
from tfspec import config as config_lib
from tfspec.contract import replay, vectors
from tfspec.data import prepare
from tfspec.export import answer_replay, answers, litert, sample_requests
from tfspec.storage import checksums
from tfspec.verification import definitions, routes
from tfspec.verification.verify import _differences

_CONFIG = tfspec.SpectrogramConfig(frame_length=64, frame_step=24)
_TRAINABLE = dataclasses.replace(_CONFIG, trainable=True)
_ROUTES = {
  "eager",
  "tf.function",
  "XLA",
  "dataset.map",
  "Keras layer",
  "SavedModel",
  "SavedModel lengths",
  "SavedModel pcm16",
  "SavedModel wav",
}
if importlib.util.find_spec("ai_edge_litert"):
  _ROUTES.add("LiteRT")
_SERVED = {route for route in _ROUTES if route.startswith("SavedModel")}
_ENGINES = {
  "kernel": {"engine": "kernel"},
  "fft": {"engine": "fft"},
  "trainable": {"trainable": True},
}


def _trained(config=_TRAINABLE, **kwargs):
  """Returns a module whose kernels are not those of its config."""
  spectrogram = tfspec.Spectrogram(config, **kwargs)
  random = np.random.default_rng(7)
  for kernel in spectrogram.kernels:
    noise = 0.1 * random.standard_normal(kernel.shape)
    kernel.assign_add(tf.cast(noise, kernel.dtype))
  return spectrogram


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
  """Exports to take copies of: one without and two with kernels."""
  folder = tmp_path_factory.mktemp("exports")
  other = dataclasses.replace(_CONFIG, window="blackman")
  for name, config in {
    "fixed": _CONFIG,
    "blackman": other,
    "fresh": _TRAINABLE,
    "trained": _trained(),
  }.items():
    tfspec.export_saved_model(config, folder / name)
  return folder


@pytest.fixture
def fixed(exports, tmp_path):
  return pathlib.Path(shutil.copytree(exports / "fixed", tmp_path / "fixed"))


@pytest.fixture
def trained(exports, tmp_path):
  return pathlib.Path(shutil.copytree(exports / "trained", tmp_path / "copy"))


def _slow(*values):
  """Marks a case: each takes seconds, as `verify` compiles seven routes."""
  return pytest.param(*values, marks=pytest.mark.slow)


def _failed(report):
  """Returns the names of the routes that are wrong; the report must be."""
  assert not report.ok
  text = str(report)
  assert "FAILED" in text and text.endswith("Not verified.")
  return {result.route for result in report.results if not result.ok}


def _assert_verifies(report):
  assert report.ok, str(report)
  assert not report.problems
  assert {result.route for result in report.results} == _ROUTES
  for result in report.results:
    assert result.ok and not result.note
    assert 0 <= result.error <= result.bound < 10


@pytest.mark.slow
@pytest.mark.parametrize(
  ("mode", "engine"),
  # All pairs are goldens, which `export_test.py` exports.
  sorted(
    {
      *zip(config_lib.MODES, itertools.cycle(_ENGINES), strict=False),
      *itertools.product(["log"], _ENGINES),
    }
  ),
)
def test_fresh_export_of_every_mode_and_engine(mode, engine, tmp_path):
  config = dataclasses.replace(_CONFIG, mode=mode, **_ENGINES[engine])
  tfspec.export_saved_model(config, tmp_path / "1")
  _assert_verifies(tfspec.verify(tmp_path / "1"))


@pytest.mark.slow
@pytest.mark.parametrize(
  ("changes", "channels"),
  [
    ({"mode": "angle", "engine": "kernel"}, 2),
    ({"mode": "stft", "expand_dims": True, "padding": "same"}, 2),
    ({"data_format": "channels_first", "sample_rate_hz": 44100}, 3),
    (
      {"data_format": "channels_first", "expand_dims": True, "mode": "psd"},
      None,
    ),
    ({"trainable": True, "mode": "imag", "expand_dims": True}, 1),
  ],
  ids=["stereo", "image", "first", "first_image", "imag"],
)
def test_fresh_export_of_every_layout(changes, channels, tmp_path):
  config = dataclasses.replace(_CONFIG, **changes)
  tfspec.export_saved_model(config, tmp_path / "1", channels)
  _assert_verifies(tfspec.verify(tmp_path / "1"))


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_trained_export_of_every_dtype(dtype, tmp_path):
  spectrogram = _trained(dtype=tf.as_dtype(dtype))
  assert spectrogram.real_kernel.dtype == dtype
  tfspec.export_saved_model(spectrogram, tmp_path / "1")
  _assert_verifies(tfspec.verify(tmp_path / "1"))


def test_report(exports):
  report = tfspec.verify(exports / "trained")
  _assert_verifies(report)
  assert report.path == str(exports / "trained")
  assert report.fingerprint == _TRAINABLE.fingerprint()
  first, header, *rows, last = str(report).splitlines()
  rows = rows[: len(report.results)]
  assert first == f"{report.path}, config {report.fingerprint}, mode log"
  assert header.split("  ")[0] == "route" and "relative error" in header
  assert [row[:28].strip() for row in rows] == [r.route for r in report.results]
  assert all(row.endswith("  ok") for row in rows)
  assert last == "All routes agree."
  # The contract is no wider than published: a spectrum of norm 1 may be off by
  # 5e-7, and a logarithm of the smallest magnitude by 3000 times that.
  assert all(result.bound < 5e-3 for result in report.results)


@pytest.mark.parametrize(
  ("old", "new", "told"),
  [
    ("mode: MODE_LOG", "mode: MODE_PSD", "mode='psd', in goldens.npz 'log'"),
    ("frame_length: 64", "frame_length: 63", "frame_length=63, in goldens.npz"),
    ('name: "hann"', 'name: "hamming"', "window='hamming', in goldens.npz"),
    ("PADDING_VALID", "PADDING_SAME", "padding='same', in goldens.npz 'valid'"),
    (
      "SCALING_DENSITY",
      "SCALING_NONE",
      "scaling=None, in goldens.npz 'density",
    ),
    ("ENGINE_AUTO", "ENGINE_KERNEL", "engine='kernel', in goldens.npz 'fft'"),
    (
      "trainable: false",
      "trainable: false sample_rate_hz: 8000",
      "sample_rate_hz=8000, in goldens.npz None",
    ),
  ],
  ids=["mode", "length", "window", "padding", "scaling", "engine", "rate"],
)
def test_changed_config(fixed, old, new, told):
  path = fixed / "assets" / "config.textproto"
  text = path.read_text()
  assert text.count(old) == 1
  path.write_text(text.replace(old, new))
  report = tfspec.verify(fixed)
  assert not _failed(report)
  file, problem = report.problems
  assert file.startswith("assets/config.textproto must be as it was written.")
  # The field is named also where the sums were made anew.
  checksums.write(fixed)
  report = tfspec.verify(fixed)
  assert report.problems == (problem,)
  assert f"Got: {told}" in problem
  assert f"FAILED {problem}" in str(report)


@pytest.mark.parametrize("asset", ["config.textproto", "goldens.npz"])
def test_deleted_asset(fixed, asset):
  (fixed / "assets" / asset).unlink()
  report = tfspec.verify(fixed)
  assert not _failed(report) and not report.results
  assert asset in str(report)


@pytest.mark.parametrize(
  "text",
  ["mode: MODE_LOUD", "\0\1\2", "frame_length: -3", "a spectrogram"],
)
def test_garbage_in_config(fixed, text):
  (fixed / "assets" / "config.textproto").write_text(text)
  checksums.write(fixed)
  report = tfspec.verify(fixed)
  assert not _failed(report)
  (problem,) = report.problems
  assert "config.textproto: " in problem
  assert "unreadable" in str(report)


@pytest.mark.parametrize("content", [b"", b"PK\3\4 no archive", None])
def test_garbage_in_goldens(fixed, content):
  path = fixed / "assets" / "goldens.npz"
  path.write_bytes(path.read_bytes()[:-100] if content is None else content)
  report = tfspec.verify(fixed)
  assert not _failed(report)
  assert "goldens.npz: the file must hold golden vectors" in str(report)


def _change_goldens(folder, **changes):
  """Rewrites the archive, a function of the old value by the key's end."""
  path = folder / "assets" / "goldens.npz"
  with np.load(path) as archive:
    arrays = dict(archive)
  for name, change in changes.items():
    key = name.replace("__", "/")
    value = arrays[key].copy()
    assert value.size
    value.flat[value.size // 2] = change(value.flat[value.size // 2])
    arrays[key] = value
  np.savez_compressed(path, **arrays)
  checksums.write(folder)


@pytest.mark.slow
@pytest.mark.parametrize(
  "changes",
  [
    {"noise__real": lambda value: value + 1e-3},
    {"chirp__signals": lambda value: value + 0.1},
    {"noise__imag": lambda value: np.nan},
  ],
  ids=["real", "signals", "nan"],
)
def test_changed_value_in_goldens(fixed, changes):
  _change_goldens(fixed, **changes)
  report = tfspec.verify(fixed)
  # A clip that every route fails that runs it, or one that is refused.
  other = "SavedModel pcm16"
  assert _failed(report) == _ROUTES - {other} or report.problems
  (clip,) = {key.split("__")[0] for key in changes}
  found = {result.golden for result in report.results if result.route != other}
  assert found <= {clip}
  assert clip in str(report)


def test_missing_clip_in_goldens(fixed):
  path = fixed / "assets" / "goldens.npz"
  with np.load(path) as archive:
    arrays = {k: v for k, v in archive.items() if not k.startswith("noise")}
  np.savez_compressed(path, **arrays)
  checksums.write(fixed)
  report = tfspec.verify(fixed)
  assert not _failed(report) and "'noise'" in str(report)


class _Wrong(tf.Module):
  """A model that is right for one mono clip at a time, and for nothing else."""

  def __init__(self, path, change):
    self.model = tf.saved_model.load(path)
    self.wrong = {
      name: self._wrong(right, change, frames=None if name != "wav" else 7)
      for name, right in self.model.signatures.items()
    }

  def _wrong(self, right, change, frames):
    def wrong(**inputs):
      outputs = right(**inputs)
      num_frames = outputs["num_frames"]
      if frames is not None:
        num_frames = 0 * num_frames + frames
      return {
        "spectrogram": change(outputs["spectrogram"]),
        "num_frames": num_frames,
      }

    specs = right.structured_input_signature[1]
    function = tf.function(wrong)
    return function.get_concrete_function(**specs)


def test_frames_behind_a_clip_must_be_silence():
  values = np.full([1, 9, 33], _CONFIG.silence, np.float32)
  count = _CONFIG.num_frames(200)
  outputs = {"num_frames": [count], "spectrogram": values}
  own = routes._own_frames(outputs, _CONFIG, 200)
  assert own.shape == (1, count, 33)
  values[0, -1, 7] = 0.0
  with pytest.raises(ValueError, match=r"must be -8\.05\d*, as of silence"):
    routes._own_frames(outputs, _CONFIG, 200)


@pytest.mark.slow
@pytest.mark.parametrize(
  ("change", "channels", "fails"),
  [
    (lambda x: x, None, {"SavedModel wav"}),
    (lambda x: x[:1] + 0 * x, None, _SERVED),
    (lambda x: tf.concat([x[..., :33], 0 * x[..., 33:]], -1), 2, _SERVED),
  ],
  ids=["num_frames", "rows", "channels"],
)
def test_model_that_is_wrong_beyond_one_clip(change, channels, fails, tmp_path):
  tfspec.export_saved_model(_CONFIG, tmp_path / "right", channels)
  wrong = _Wrong(str(tmp_path / "right"), change)
  tf.saved_model.save(wrong, tmp_path / "wrong", wrong.wrong)
  for asset in ("config.textproto", "goldens.npz"):
    (tmp_path / "wrong" / "assets").mkdir(exist_ok=True)
    shutil.copy(
      tmp_path / "right" / "assets" / asset,
      tmp_path / "wrong" / "assets" / asset,
    )
  checksums.write(tmp_path / "wrong")
  assert _failed(tfspec.verify(tmp_path / "wrong")) == fails


@pytest.mark.slow
def test_model_that_does_not_check_the_rate(tmp_path):
  with_rate = dataclasses.replace(_CONFIG, sample_rate_hz=8000)
  tfspec.export_saved_model(with_rate, tmp_path / "right")
  tfspec.export_saved_model(_CONFIG, tmp_path / "wrong")
  shutil.rmtree(tmp_path / "wrong" / "assets")
  shutil.copytree(tmp_path / "right" / "assets", tmp_path / "wrong" / "assets")
  checksums.write(tmp_path / "wrong")
  assert _failed(tfspec.verify(tmp_path / "wrong")) == {"SavedModel wav"}


def _variables(folder):
  (path,) = (folder / "variables").glob("variables.data-*")
  return path


def test_changed_bytes_in_variables(trained):
  path = _variables(trained)
  content = bytearray(path.read_bytes())
  for i in range(1000, 1100):
    content[i] ^= 0x40
  path.write_bytes(content)
  checksums.write(trained)
  report = tfspec.verify(trained)
  # Either TensorFlow's checksum or the goldens find it.
  if report.results:
    assert _failed(report) == _ROUTES
  else:
    assert not _failed(report)
    (problem,) = report.problems
    assert problem.startswith("The model must load. Got: ")
    assert len(problem.splitlines()) == 1


def test_truncated_variables(trained):
  path = _variables(trained)
  path.write_bytes(path.read_bytes()[:1000])
  checksums.write(trained)
  report = tfspec.verify(trained)
  assert not _failed(report) and not report.results
  assert "FAILED The model must load. Got: " in str(report)


@pytest.mark.slow
def test_variables_of_another_export(exports, trained):
  shutil.rmtree(trained / "variables")
  shutil.copytree(exports / "fresh" / "variables", trained / "variables")
  report = tfspec.verify(trained)
  assert not report.results
  data = "variables/variables.data-00000-of-00001"
  assert report.problems[0].startswith(f"{data} must be as it was written.")
  # With sums of its own the export is sound, but for what it computes.
  checksums.write(trained)
  report = tfspec.verify(trained)
  assert not report.problems
  assert _failed(report) == _ROUTES


@pytest.mark.slow
def test_model_of_another_config(exports, fixed):
  shutil.copy(exports / "blackman" / "saved_model.pb", fixed)
  checksums.write(fixed)
  report = tfspec.verify(fixed)
  assert not report.problems
  assert _failed(report) == _SERVED
  rows = str(report).splitlines()
  failed = [row.split("  ")[0] for row in rows if "FAILED" in row]
  assert set(failed) == _SERVED


@pytest.mark.slow
def test_model_with_another_layout(fixed, tmp_path):
  config = dataclasses.replace(_CONFIG, expand_dims=True)
  tfspec.export_saved_model(config, tmp_path / "image")
  shutil.copy(tmp_path / "image" / "saved_model.pb", fixed)
  checksums.write(fixed)
  assert _failed(tfspec.verify(fixed)) == _SERVED


def test_garbage_in_model(fixed):
  (fixed / "saved_model.pb").write_bytes(b"\xff no proto")
  checksums.write(fixed)
  report = tfspec.verify(fixed)
  assert not _failed(report)
  assert "FAILED The model must load. Got: " in str(report)


def test_model_of_another_kind(tmp_path):
  module = tf.Module()
  module.call = tf.function(
    lambda x: x, input_signature=[tf.TensorSpec([None], tf.float32)]
  )
  tf.saved_model.save(module, str(tmp_path / "1"))
  report = tfspec.verify(tmp_path / "1")
  assert not _failed(report)
  assert "config.textproto" in str(report)


def test_no_model(tmp_path):
  for path in (tmp_path / "none", tmp_path):
    with pytest.raises(FileNotFoundError) as error:
      tfspec.verify(path)
    assert str(error.value) == (
      "path must be a SavedModel, a .tflite file or a prepared dataset. "
      f"Got: {path}."
    )
  assert not os.listdir(tmp_path)


@pytest.mark.slow
def test_without_litert(exports, monkeypatch):
  monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
  report = tfspec.verify(exports / "fixed")
  assert report.ok
  assert {result.route for result in report.results} == _ROUTES - {"LiteRT"}
  assert str(report).splitlines()[-2:] == [
    "LiteRT not run: ai-edge-litert must be installed to run .tflite files. "
    "Run: pip install '.[litert]' in a clone of tfspec, or pip install "
    "ai-edge-litert",
    "All routes agree.",
  ]


@pytest.mark.slow
@pytest.mark.skipif(
  "LiteRT" not in _ROUTES,
  reason="ai-edge-litert is not installed: pip install '.[litert]'.",
)
def test_what_litert_cannot_run(exports, monkeypatch):
  monkeypatch.setattr(litert, "_convert", lambda program: b"no flatbuffer")
  report = tfspec.verify(exports / "fixed")
  assert not _failed(report)
  (problem,) = report.problems
  assert problem.startswith("LiteRT must run it. Got: ValueError: ")


@pytest.mark.slow
def test_model_of_fewer_samples_than_any_clip(tmp_path):
  layer = tfspec.layers.STFTSpectrogram(
    frame_length=64, frame_step=24, padding="same"
  )
  pool = keras.layers.GlobalAveragePooling1D()
  model = keras.Sequential([keras.Input((40, 1)), layer, pool])
  tfspec.export_saved_model(model, tmp_path / "1")
  report = tfspec.verify(tmp_path / "1")
  assert report.ok, str(report)
  (served,) = [r for r in report.results if r.route == "model wav batch"]
  assert served.golden == "noise" and served.bound == 1e-4


def test_route_that_compares_nothing():
  goldens = vectors.make(tfspec.Spectrogram(_CONFIG))
  short = [golden for golden in goldens if golden.name == "short"]
  runs = {
    "no clip": (lambda clips: (), goldens),
    "no frame": (lambda clips: [(clips[0], np.zeros([0, 33]))], short),
  }
  for name, (run, clips) in runs.items():
    result = replay.replay(name, run, _CONFIG, clips)
    assert not result.ok
    assert result.note == "No clip gave a value to compare."


def _flip_a_bit(path, place=0.5):
  content = bytearray(path.read_bytes())
  content[int(place * len(content))] ^= 0x04
  path.write_bytes(content)


def _files(folder):
  return sorted(
    path.relative_to(folder).as_posix()
    for path in folder.rglob("*")
    if path.is_file()
  )


@pytest.mark.slow
def test_a_flipped_bit_in_any_file(trained):
  files = _files(trained)
  assert {
    "assets/config.textproto",
    "assets/goldens.npz",
    "assets/model_card.md",
    "assets.extra/tf_serving_warmup_requests",
    "saved_model.pb",
    "variables/variables.data-00000-of-00001",
    "variables/variables.index",
  } <= set(files)
  for name in files:
    content = (trained / name).read_bytes()
    for place in (0.0, 0.3, 0.99):
      _flip_a_bit(trained / name, place)
      report = tfspec.verify(trained)
      assert not _failed(report) and not report.results
      assert all(len(text.splitlines()) == 1 for text in report.problems)
      if name != "sha256sums.txt":
        assert report.problems[0].startswith(
          f"{name} must be as it was written"
        )
      (trained / name).write_bytes(content)
  assert tfspec.verify(trained).ok


def test_files_that_came_or_went(fixed):
  (fixed / "assets" / "more.txt").write_text("more")
  (fixed / "assets" / "model_card.md").unlink()
  report = tfspec.verify(fixed)
  assert report.problems == (
    "assets/model_card.md must be in both the folder and sha256sums.txt. "
    "Got: only in sha256sums.txt.",
    "assets/more.txt must be in both the folder and sha256sums.txt. "
    "Got: only in the folder.",
  )
  (fixed / "sha256sums.txt").unlink()
  (problem,) = tfspec.verify(fixed).problems
  assert problem == "sha256sums.txt must be readable. Got: FileNotFoundError."


def test_the_sums_are_those_of_a_common_tool(fixed):
  tool = shutil.which("sha256sum")
  if tool is None:
    pytest.skip("sha256sum is not installed.")
  command = [tool, "--check", "--strict", "--quiet", "sha256sums.txt"]
  assert subprocess.run(command, cwd=fixed, check=False).returncode == 0
  listed = (fixed / "sha256sums.txt").read_text().splitlines()
  assert len(listed) == len(_files(fixed)) - 1


@pytest.mark.slow
def test_against_the_same(exports, fixed, trained):
  written = dataclasses.replace(_CONFIG, fft_length=64, engine="fft")
  _assert_verifies(tfspec.verify(fixed, against=written))
  _assert_verifies(tfspec.verify(trained, against=exports / "trained"))
  _assert_verifies(tfspec.verify(trained, against=_trained()))


@pytest.mark.slow
def test_against_the_same_computed_otherwise(exports, fixed):
  report = tfspec.verify(fixed, against=exports / "fresh")
  _assert_verifies(report)
  there = f"in {exports / 'fresh'}"
  how = "it says how the numbers are computed, not what they mean."
  assert report.notes == (
    f"trainable is False, {there} True: {how}",
    f"engine is 'fft', {there} 'kernel': {how}",
  )
  assert set(str(report).splitlines()) > set(report.notes)


# What the kernels of an export are held against, and whether it passes.
_KERNELS = {
  "fixed": {"fixed": True, "to_be_trained": True, "moved": False},
  "fresh": {"fixed": True, "to_be_trained": True, "moved": False},
  "trained": {"fixed": False, "to_be_trained": True, "moved": True},
}


@pytest.mark.parametrize("against", ["fixed", "to_be_trained", "moved"])
@pytest.mark.parametrize("export", _KERNELS)
def test_kernels_against_each_kind(export, against, exports):
  sources = {
    "fixed": _CONFIG,
    "to_be_trained": _TRAINABLE,
    "moved": _trained(),
  }
  expected = definitions.load(sources[against])
  problems, notes = _differences(definitions.load(exports / export), expected)
  assert (not problems) == _KERNELS[export][against]
  assert all(p.startswith("The kernels must be those of") for p in problems)
  told = any(note.startswith("Kernels not compared: Spe") for note in notes)
  assert told == (against == "to_be_trained")


@pytest.mark.slow
def test_against_another(exports, fixed, trained):
  report = tfspec.verify(fixed, against=exports / "blackman")
  # It computes what it did, which is not what was expected.
  assert not _failed(report)
  assert {result.route for result in report.results} == _ROUTES
  assert report.problems == (
    f"window must be that of {exports / 'blackman'}. Got: 'hann', there "
    "'blackman'.",
  )
  report = tfspec.verify(trained, against=exports / "fresh")
  (problem,) = report.problems
  assert problem.startswith(
    f"The kernels must be those of {exports / 'fresh'}."
  )
  assert not _failed(report)


def test_against_nothing(fixed, tmp_path):
  with pytest.raises(FileNotFoundError, match="Got: nothing at "):
    tfspec.verify(fixed, against=tmp_path / "none")
  with pytest.raises(TypeError, match="There must be a SpectrogramConfig"):
    tfspec.verify(fixed, against=3)


@pytest.mark.slow
def test_prepared_dataset(exports, tmp_path):
  (tmp_path / "clips").mkdir()
  clip = np.random.default_rng(1).uniform(-0.5, 0.5, [500, 1])
  (tmp_path / "clips" / "a.wav").write_bytes(
    sample_requests.wav_file(clip, 16000)
  )
  folder = tmp_path / "prepared"
  prepare.prepare(tmp_path / "clips", folder, _CONFIG)
  report = tfspec.verify(folder, against=exports / "fixed")
  assert report.ok and report.fingerprint == _CONFIG.fingerprint()
  assert str(report).splitlines() == [
    f"{folder}, config {_CONFIG.fingerprint()}, mode log",
    "All files are unchanged.",
  ]
  assert tfspec.verify(exports / "fixed", against=folder).ok
  (problem,) = tfspec.verify(folder, against=exports / "blackman").problems
  assert problem.startswith("window must be that of ")
  # Kernels that have not moved make the same examples.
  assert tfspec.verify(folder, against=exports / "fresh").ok
  (problem,) = tfspec.verify(folder, against=exports / "trained").problems
  assert problem.startswith("The kernels must be those of ")
  for name in _files(folder):
    content = (folder / name).read_bytes()
    _flip_a_bit(folder / name)
    assert not _failed(tfspec.verify(folder))
    (folder / name).write_bytes(content)
  (folder / "config.textproto").unlink()
  assert "config.textproto must be in both" in str(tfspec.verify(folder))


@pytest.mark.parametrize(
  ("found", "ok"),
  [
    ([1.0, 0.5], True),
    ([1.0, 0.5 + 5e-5], True),
    ([1.0, 0.5, 0.0], True),
    ([1.0, 0.5, 0.1], False),
    ([1.0, 0.6], False),
    ([1.0, np.nan], False),
    ([np.inf, 0.5], False),
    ([1.0], False),
  ],
)
def test_answers_that_are_off(found, ok):
  expected = {"scores": np.float32([1.0, 0.5])}
  clip = answers.Answer("clip", np.zeros(8, np.float32), expected, {})
  result = answer_replay.replay_answers(
    "model", lambda _: {"scores": np.float32([found])}, [[clip]]
  )
  assert result.ok == ok and result.bound == 1e-4
  refused = answers.Answer("less", np.zeros(2, np.float32), None, {})
  result = answer_replay.replay_answers(
    "model", lambda _: {"scores": np.float32([found])}, [[refused], [clip]]
  )
  assert result.note == "Keras does not answer this clip: it must be refused."


@pytest.mark.slow
def test_what_the_process_has_switched_on_decides_nothing(exports):
  expected = str(tfspec.verify(exports / "fixed"))
  keras.mixed_precision.set_dtype_policy("mixed_float16")
  keras.config.set_floatx("float16")
  keras.config.set_image_data_format("channels_first")
  tf.config.run_functions_eagerly(True)
  try:
    assert str(tfspec.verify(exports / "fixed")) == expected
    assert tf.config.functions_run_eagerly()
  finally:
    keras.config.set_floatx("float32")
    keras.config.set_image_data_format("channels_last")
    keras.mixed_precision.set_dtype_policy("float32")
    tf.config.run_functions_eagerly(False)


@pytest.mark.slow
def test_another_backend_of_keras(exports):
  pytest.importorskip("jax")
  command = [sys.executable, "-m", "tfspec", "verify", str(exports / "fixed")]
  environment = {**os.environ, "KERAS_BACKEND": "jax"}
  result = subprocess.run(
    command, env=environment, check=False, capture_output=True, text=True
  )
  assert result.returncode == 0, result.stderr
  lines = result.stdout.splitlines()
  assert lines[-2:] == [
    "Keras layer not run: Keras is not on TensorFlow here.",
    "All routes agree.",
  ]
  assert not any(line.startswith("Keras layer  ") for line in lines)


def test_export_of_an_older_version(fixed):
  path = fixed / "assets" / "goldens.npz"
  with np.load(path) as archive:
    arrays = dict(archive)
  del arrays["format"]
  np.savez_compressed(path, **arrays)
  checksums.write(fixed)
  (problem,) = tfspec.verify(fixed).problems
  assert "must be of this version of tfspec. Got: format 1" in problem
  assert problem.endswith("export again.")
