"""Tests of `tfspec.storage.files`, and of every public path through it."""

import os
import pathlib
import sys

import numpy as np
import pytest
import tensorflow as tf

import tfspec
from tests import wav_files
from tfspec.cli import main as cli
from tfspec.data import prepare
from tfspec.layers import stft_spectrogram as layers
from tfspec.storage import files
from tfspec.verification import definitions

_CONFIG = tfspec.SpectrogramConfig(frame_length=64, frame_step=24)
_NO_TEXT = b"\xff"


@pytest.fixture(params=["local", "no_text", "ram"])
def root(request, tmp_path):
  """A folder: of text, of bytes that are none, or in memory."""
  if request.param == "ram":
    return f"ram://{tmp_path.name}"
  if request.param == "local":
    return str(tmp_path)
  if sys.platform != "linux":
    pytest.skip("names are text there")
  folder = os.path.join(os.fsencode(tmp_path), _NO_TEXT)
  os.mkdir(folder)
  return os.fsdecode(folder)


def _wav(samples=500, rate=8000):
  signals = np.random.default_rng(samples).uniform(-0.5, 0.5, [samples, 1])
  fmt = wav_files.fmt(wav_files.FLOAT, 1, rate, bits=32)
  data = signals.astype(np.float32).tobytes()
  return wav_files.riff([fmt, wav_files.chunk(b"data", data)])


@pytest.mark.parametrize(
  "path",
  ["a/b.wav", b"a/b.wav", pathlib.Path("a/b.wav"), "file://a/b.wav"],
  ids=["str", "bytes", "pathlib", "file"],
)
def test_kinds_of_paths_are_one(path):
  assert files.as_path(path) == "a/b.wav"


@pytest.mark.parametrize("path", ["ram://a", "gs://a/b", b"gs://a/b", "C:/a"])
def test_paths_that_stay_what_they_are(path):
  assert files.as_path(path) == os.fsdecode(path)


@pytest.mark.parametrize(
  ("path", "words"),
  [
    (pathlib.Path("gs://bucket/x"), r"two slashes behind gs:.* Got: gs:/b"),
    ("gs:/bucket/x", r"two slashes behind gs:.* Got: gs:/b"),
    ("foo://x", r"a scheme that TensorFlow knows: .*ram.* Got: foo://x\."),
    (b"s3://x\xff", r"a scheme that TensorFlow knows: .* Got: s3://x\\xff\."),
  ],
)
def test_path_that_leads_nowhere_is_refused(path, words, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  (tmp_path / "in").mkdir()
  (tmp_path / "in" / "a.wav").write_bytes(_wav())
  for use in (
    lambda: files.as_path(path),
    lambda: tfspec.load_config(path),
    lambda: prepare.prepare("in", path, _CONFIG),
    lambda: prepare.prepare(path, "out", _CONFIG),
    lambda: tfspec.export_saved_model(_CONFIG, path),
    lambda: tfspec.data.read_examples(path),
    lambda: tfspec.data.load_wav(path),
    lambda: tfspec.verify(path),
    lambda: tfspec.explain(path, _CONFIG),
  ):
    with pytest.raises(ValueError, match=words):
      use()
  assert os.listdir(tmp_path) == ["in"]


def test_files_and_folders(root):
  folder = os.path.join(root, "a", "b")
  path = os.path.join(folder, "c.bin")
  assert not files.exists(folder) and not files.is_folder(folder)
  files.make_folder(folder)
  assert files.exists(folder) and files.is_folder(folder)
  with pytest.raises(FileExistsError):
    files.make_folder(folder)
  files.write_bytes(path, b"overwritten")
  files.write_bytes(path, b"0123\xff")
  assert files.read_bytes(path) == b"0123\xff"
  assert files.read_bytes(path, 3) == b"012"
  assert files.size(path) == 5
  assert files.exists(path) and not files.is_folder(path)
  files.rename(folder, os.path.join(root, "a", "d"))
  assert files.below(os.path.join(root, "a")) == ["d/c.bin"]
  files.remove_folder(os.path.join(root, "a"))
  assert not files.exists(os.path.join(root, "a"))
  for use in (files.read_bytes, files.size):
    with pytest.raises(FileNotFoundError) as error:
      use(path)
    assert error.value.filename == path


def test_below_lists_what_is_no_folder(tmp_path):
  for name in ("b/c.wav", "a.txt"):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"")
  (tmp_path / "link").symlink_to("b")
  (tmp_path / "gone").symlink_to("nothing")
  assert files.below(str(tmp_path)) == ["a.txt", "b/c.wav", "gone", "link"]


@pytest.mark.parametrize(
  ("path", "error"),
  [
    ("file", FileExistsError),
    ("folder/", FileExistsError),
    ("gone", FileExistsError),
    ("file/new", NotADirectoryError),
    ("gone/new/er", NotADirectoryError),
    ("ram://check_new/file", FileExistsError),
  ],
)
def test_output_is_refused_by_its_name(path, error, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  files.write_bytes("ram://check_new/file", b"")
  (tmp_path / "file").write_bytes(b"")
  (tmp_path / "folder").mkdir()
  (tmp_path / "gone").symlink_to("nothing")
  name = path.rstrip("/")
  with pytest.raises(error, match=rf"out must .* Got: {name}[.,]"):
    files.check_new(path, "out")
  assert files.check_new("new/er", "out") == "new/er"


def test_file_to_write_is_refused_by_its_name(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  (tmp_path / "old").write_bytes(b"")
  (tmp_path / "link").symlink_to("nothing")
  (tmp_path / "gone").symlink_to("nowhere/nothing")
  for path in ("old", "new", "link", "ram://a/b"):
    assert files.check_writable(path, "out") == path
  for path in ("none/new", "gone", "old/new"):
    with pytest.raises(NotADirectoryError, match=f"out .* Got: {path}, "):
      files.check_writable(path, "out")
  with pytest.raises(IsADirectoryError, match="out .* Got: "):
    files.check_writable(tmp_path, "out")


def test_all_that_prepares_data_takes_every_path(root, capsys):
  clips, out = os.path.join(root, "clips"), os.path.join(root, "out")
  files.make_folder(clips)
  for name in ("a.wav", "b.wav"):
    files.write_bytes(os.path.join(clips, name), _wav())
  config = os.path.join(root, "config.textproto")
  tfspec.save_config(_CONFIG, os.fsencode(config))
  assert tfspec.load_config(config) == _CONFIG

  assert _run("prepare", clips, out, f"--config={config}", "--workers=1") == 0
  assert "2 written, 0 skipped" in capsys.readouterr().out
  examples = list(tfspec.data.read_examples(os.fsencode(out), _CONFIG))
  assert [e["source"].numpy() for e in examples] == [b"a.wav", b"b.wav"]
  with pytest.raises(FileExistsError, match="output_folder must not exist"):
    prepare.prepare(clips, out, _CONFIG)
  assert tfspec.verify(out).ok
  assert tfspec.explain(out, config).same

  picture = os.path.join(root, "picture.png")
  wav = os.path.join(clips, "a.wav")
  signals, rate = tfspec.data.load_wav(os.fsencode(wav))
  assert signals.shape == (500, 1) and rate == 8000
  assert _run("plot", wav, f"--output={picture}", f"--config={config}") == 0
  assert files.read_bytes(picture).startswith(b"\x89PNG")
  assert files.below(root) == [
    "clips/a.wav",
    "clips/b.wav",
    "config.textproto",
    "out/config.textproto",
    "out/contact_sheet.png",
    "out/manifest.jsonl",
    "out/sha256sums.txt",
    "out/spectrograms-00000-of-00001.tfrecord",
    "picture.png",
  ]


def _run(*arguments):
  return cli.main(cli.parse(["tfspec", *arguments]))


def test_export_into_a_folder_that_is_no_text_is_refused(tmp_path):
  path = os.path.join(os.fsencode(tmp_path), _NO_TEXT, b"1")
  for export in (tfspec.export_saved_model, tfspec.export_litert):
    with pytest.raises(ValueError, match=r"path must be UTF-8.*\\xff/1\."):
      export(_CONFIG, path)
  assert not os.listdir(tmp_path)


def test_exports_in_memory():
  tfspec.export_litert(_CONFIG, b"ram://exports/mine.tflite")
  assert tfspec.explain("ram://exports/mine.tflite", _CONFIG).same
  layer = layers.STFTSpectrogram.from_spectrogram_config(_CONFIG)
  model = layers.keras.Sequential([layers.keras.Input((500, 1)), layer])
  model.save("ram://exports/model.keras")
  loaded = definitions.load_model("ram://exports/model.keras")
  signals = tf.ones([1, 500, 1])
  np.testing.assert_array_equal(loaded(signals), model(signals))
