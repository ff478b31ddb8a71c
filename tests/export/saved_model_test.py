"""Tests of `tfspec.export_saved_model`."""

import dataclasses
import io
import itertools
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

import tfspec
from tests import lanes, wav_files
from tfspec import errors
from tfspec.contract import archive, vectors

_CONFIG = tfspec.SpectrogramConfig(
  frame_length=64, frame_step=24, sample_rate_hz=8000
)
# What a server puts in where a request has no lengths.
_ALL = tf.zeros([0], tf.int32)
_LAYOUTS = {
  "flat": {},
  "image": {"expand_dims": True},
  "first": {"data_format": "channels_first"},
  "first_image": {"data_format": "channels_first", "expand_dims": True},
}


def _with(**values):
  return dataclasses.replace(_CONFIG, **values)


@pytest.fixture(scope="module")
def load(tmp_path_factory):
  """Returns the loaded export of a config; each is made once."""
  paths, models = {}, {}

  def load_export(config=_CONFIG, channels=None, path=False):
    case = (config, channels)
    if case not in models:
      paths[case] = tmp_path_factory.mktemp("export") / "1"
      tfspec.export_saved_model(config, paths[case], channels)
      models[case] = tf.saved_model.load(str(paths[case]))
    return paths[case] if path else models[case]

  return load_export


def _signals(shape):
  random = np.random.default_rng(shape)
  return (0.3 * random.standard_normal(shape)).astype(np.float32)


def _wav(samples, channels=1, sample_rate=8000):
  """Returns a file of float32 samples and the samples."""
  signals = _signals((samples, channels))
  contents = wav_files.riff(
    [
      wav_files.fmt(wav_files.FLOAT, channels, sample_rate, bits=32),
      wav_files.chunk(b"data", signals.tobytes()),
    ]
  )
  return contents, signals


def _serve(model, signals):
  serve = model.signatures["serving_default"]
  outputs = serve(signals=tf.constant(signals), lengths=_ALL)
  return outputs["spectrogram"].numpy()


def _run_wav(model, files):
  result = model.signatures["wav"](wav_bytes=tf.constant(files, tf.string))
  assert sorted(result) == ["num_frames", "spectrogram"]
  return result["spectrogram"].numpy(), result["num_frames"].numpy()


def _assert_close(actual, expected):
  """Compares two runs of the same ops, which may differ in their shapes."""
  assert actual.shape == expected.shape and actual.dtype == np.float32
  np.testing.assert_allclose(actual, expected, atol=1e-5)


@pytest.mark.parametrize(
  ("config", "channels", "signals", "spectrogram"),
  [
    (_CONFIG, None, [None, None], [None, None, 33]),
    (_CONFIG, 2, [None, None, 2], [None, None, 66]),
    (
      _with(data_format="channels_first", expand_dims=True),
      2,
      [None, 2, None],
      [None, 2, None, 33],
    ),
  ],
  ids=["mono", "stereo", "first"],
)
def test_signatures(load, config, channels, signals, spectrogram):
  signatures = load(config, channels).signatures
  assert sorted(signatures) == ["pcm16", "serving_default", "wav"]
  lengths = tf.TensorSpec([None], tf.int32, "lengths")
  for name, dtype in (("serving_default", tf.float32), ("pcm16", tf.int16)):
    assert signatures[name].structured_input_signature[1] == {
      "signals": tf.TensorSpec(signals, dtype, "signals"),
      "lengths": lengths,
    }
  assert signatures["wav"].structured_input_signature[1] == {
    "wav_bytes": tf.TensorSpec([None], tf.string, "wav_bytes")
  }
  for signature in signatures.values():
    outputs = signature.structured_outputs
    assert sorted(outputs) == ["num_frames", "spectrogram"]
    assert outputs["num_frames"].dtype == tf.int32
    assert outputs["num_frames"].shape.as_list() == [None]
    assert outputs["spectrogram"].dtype == tf.float32
    assert outputs["spectrogram"].shape.as_list() == spectrogram


def test_batch_and_time_are_free(load):
  model = load()
  for shape in [(1, 300), (3, 300), (2, 64), (2, 63), (2, 0), (0, 300)]:
    signals = _signals(shape)
    expected = tfspec.Spectrogram(_CONFIG)(signals[..., np.newaxis])
    assert expected.shape == [shape[0], _CONFIG.num_frames(shape[1]), 33]
    _assert_close(_serve(model, signals), expected.numpy())


@pytest.mark.parametrize(
  ("channels", "layout"),
  lanes.every(5, itertools.product([None, 2], _LAYOUTS)),
)
def test_serving_default_equals_spectrogram(load, layout, channels):
  config = _with(**_LAYOUTS[layout])
  last = config.data_format == "channels_last"
  batch = _signals((3, 300, channels or 1))
  batch = batch if last else batch.transpose(0, 2, 1)
  signals = batch if channels else batch[:, :, 0] if last else batch[:, 0]
  expected = tfspec.Spectrogram(config)(batch).numpy()
  _assert_close(_serve(load(config, channels), signals), expected)


@pytest.mark.slow
@pytest.mark.parametrize(
  ("changes", "channels"),
  [
    *(
      pytest.param(layout, n, marks=pytest.mark.slow)
      for layout in _LAYOUTS.values()
      for n in (None, 2)
    ),
    ({"padding": "same"}, None),
    ({"padding": "same", **_LAYOUTS["first"]}, 2),
    ({"mode": "stft", "engine": "kernel"}, 2),
    ({"mode": "psd", "engine": "kernel", "padding": "same"}, None),
  ],
  ids=str,
)
def test_wav_gives_each_file_what_it_gives_alone(load, changes, channels):
  config = _with(**changes)
  last = config.data_format == "channels_last"
  lengths = (300, 0, 64, 777, 63, 1)
  wavs = [_wav(samples, channels or 1) for samples in lengths]
  actual, num_frames = _run_wav(
    load(config, channels), [contents for contents, _ in wavs]
  )
  assert num_frames.dtype == np.int32
  assert num_frames.tolist() == [config.num_frames(n) for n in lengths]
  assert len(actual) == len(lengths)
  # Time comes first, whatever the layout.
  actual = actual if last else np.moveaxis(actual, 2, 1)
  assert actual.shape[1] == config.num_frames(777)
  for row, count, (_, signals) in zip(actual, num_frames, wavs, strict=True):
    expected = tfspec.Spectrogram(config)(signals if last else signals.T)
    expected = expected.numpy() if last else np.moveaxis(expected.numpy(), 1, 0)
    _assert_close(row[:count], expected)
    assert np.all(row[count:] == np.float32(config.silence))


def test_wav_agrees_with_serving_default(load):
  contents, signals = _wav(300)
  from_wav, _ = _run_wav(load(), [contents])
  from_signals = _serve(load(), signals.T)
  np.testing.assert_array_equal(from_wav, from_signals)


def test_wav_of_short_files_only(load):
  actual, num_frames = _run_wav(load(), [_wav(10)[0], _wav(0)[0]])
  assert actual.shape == (2, 0, 33) and num_frames.tolist() == [0, 0]


@pytest.mark.parametrize("channels", [None, 2])
@pytest.mark.parametrize("layout", lanes.every(2, _LAYOUTS))
def test_signatures_share_one_trace(layout, channels, tmp_path, monkeypatch):
  calls = []
  call = tfspec.Spectrogram.__call__
  monkeypatch.setattr(
    tfspec.Spectrogram,
    "__call__",
    lambda self, *args: calls.append(args) or call(self, *args),
  )
  config = _with(**_LAYOUTS[layout])
  tfspec.export_saved_model(config, tmp_path / "1", channels)
  assert len(calls) == 1


@pytest.mark.parametrize("channels", lanes.every(2, [None, 2]))
@pytest.mark.parametrize("layout", _LAYOUTS)
def test_wav_of_no_files(load, layout, channels):
  config = _with(**_LAYOUTS[layout])
  actual, num_frames = _run_wav(load(config, channels), [])
  assert num_frames.shape == (0,)
  assert actual.shape[0] == 0
  assert actual.ndim == (4 if config.expand_dims else 3)


def test_wav_of_many_encodings(load):
  signals = 0.9 * np.sin(np.arange(300) * 0.1)
  files, expected = [], []
  for subtype in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "DOUBLE", "ULAW"):
    file = io.BytesIO()
    soundfile.write(file, signals, 8000, format="WAV", subtype=subtype)
    files.append(file.getvalue())
    file.seek(0)
    decoded, _ = soundfile.read(file, dtype="float32")
    expected.append(tfspec.Spectrogram(_CONFIG)(decoded).numpy())
  actual, _ = _run_wav(load(), files)
  _assert_close(actual, np.stack(expected))
  # The encodings differ, so each row must be that of its own file.
  assert np.abs(actual[0] - actual[1]).max() > 1e-3


@pytest.mark.parametrize(
  ("contents", "sentence"),
  [
    (b"", "wav: contents must have at least 12 bytes. Got: 0."),
    (b"Thirteen bytes", "wav: contents must start with RIFF"),
    (_wav(100, sample_rate=16000)[0], "sample rate must be"),
    (_wav(100, channels=2)[0], "channels"),
  ],
  ids=["empty", "malformed", "sample_rate", "channels"],
)
def test_wrong_file_fails_the_request(load, contents, sentence):
  with pytest.raises(tf.errors.InvalidArgumentError) as error:
    _run_wav(load(), [_wav(100)[0], contents])
  assert sentence in errors.sentence(error.value)


@pytest.mark.parametrize(
  ("contents", "got"),
  [
    (_wav(100, sample_rate=16000)[0], ("8000", "16000")),
    (_wav(100, channels=2)[0], ("1", "2")),
  ],
  ids=["sample_rate", "channels"],
)
def test_sentence_of_a_wrong_file_is_a_sentence(load, contents, got):
  with pytest.raises(tf.errors.InvalidArgumentError) as error:
    _run_wav(load(), [contents])
  sentence = errors.sentence(error.value)
  assert all(value in sentence for value in got)
  # Neither TensorFlow's brackets nor its escapes.
  assert "] [" not in sentence and "\\" not in sentence
  assert sentence.endswith(".")


def test_channels_must_be_positive(tmp_path):
  with pytest.raises(ValueError, match=r"channels must be .* channels=0\."):
    tfspec.export_saved_model(_CONFIG, tmp_path / "1", channels=0)
  assert not os.listdir(tmp_path)


def test_existing_path_is_untouched(tmp_path):
  path = tmp_path / "1"
  path.mkdir()
  (path / "saved_model.pb").write_bytes(b"in production")
  with pytest.raises(FileExistsError, match="path must not exist yet"):
    tfspec.export_saved_model(_CONFIG, path)
  assert os.listdir(tmp_path) == ["1"]
  assert os.listdir(path) == ["saved_model.pb"]
  assert (path / "saved_model.pb").read_bytes() == b"in production"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_failed_export_leaves_nothing(tmp_path, monkeypatch, error):
  save = tf.saved_model.save

  def fail_at_the_end(model, path, *args, **kwargs):
    save(model, path, *args, **kwargs)
    assert os.path.exists(os.path.join(path, "saved_model.pb"))
    raise error("the disk is full")

  monkeypatch.setattr(tf.saved_model, "save", fail_at_the_end)
  with pytest.raises(error, match="the disk is full"):
    tfspec.export_saved_model(_CONFIG, tmp_path / "1")
  assert not os.listdir(tmp_path)


def test_path_of_another_export_is_refused_at_once(tmp_path, monkeypatch):
  """Two runs may have one path: the second does not work for nothing."""
  partial = tmp_path / "models" / "1.partial"
  (partial / "assets").mkdir(parents=True)
  (partial / "assets" / "half").write_bytes(b"half")
  monkeypatch.setattr(
    "tfspec.export.saved_model.Signatures",
    lambda *_, **__: pytest.fail("worked"),
  )
  with pytest.raises(
    FileExistsError, match=r"one proc.* Got: .*/1\.partial ex"
  ):
    tfspec.export_saved_model(_CONFIG, f"{tmp_path}/models/1/")
  assert sorted(os.listdir(tmp_path / "models")) == ["1.partial"]
  assert (partial / "assets" / "half").read_bytes() == b"half"


def test_assets(load):
  assets = load(path=True) / "assets"
  assert sorted(os.listdir(assets)) == [
    "config.textproto",
    "goldens.npz",
    "model_card.md",
  ]
  assert tfspec.load_config(assets / "config.textproto") == _CONFIG
  stored = archive.load(assets / "goldens.npz", _CONFIG)
  assert {golden.name for golden in stored} == set(vectors.clips(_CONFIG))


def _nodes(path):
  saved = saved_model_pb2.SavedModel.FromString(
    (path / "saved_model.pb").read_bytes()
  )
  for meta_graph in saved.meta_graphs:
    yield from meta_graph.graph_def.node
    for function in meta_graph.graph_def.library.function:
      yield from function.node_def


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["fft", "kernel"])
def test_no_python_in_the_graph(load, engine):
  path = load(_with(engine=engine), 2, path=True)
  ops = {node.op for node in _nodes(path)}
  assert ("RFFT" in ops) == (engine == "fft")  # The walk sees the functions.
  assert not [op for op in ops if "PyFunc" in op]


def _trained(config):
  """Returns a module whose kernels are not those of its config."""
  spectrogram = tfspec.Spectrogram(config)
  random = np.random.default_rng(7)
  for kernel in spectrogram.kernels:
    noise = random.standard_normal(kernel.shape)
    kernel.assign_add(0.1 * noise.astype(np.float32))
  return spectrogram


@pytest.mark.slow
@pytest.mark.parametrize(
  ("mode", "num_kernels"), [("stft", 2), ("log", 2), ("imag", 1)]
)
def test_trained_kernels_are_exported(tmp_path, mode, num_kernels):
  config = _with(trainable=True, mode=mode)
  spectrogram = _trained(config)
  assert len(spectrogram.trainable_variables) == num_kernels
  tfspec.export_saved_model(spectrogram, tmp_path / "1")
  expected = spectrogram(_signals((2, 300))[..., np.newaxis]).numpy()
  for kernel in spectrogram.kernels:  # The export is a copy.
    kernel.assign(tf.zeros_like(kernel))
  model = tf.saved_model.load(str(tmp_path / "1"))
  actual = _serve(model, _signals((2, 300)))
  _assert_close(actual, expected)
  fresh = tfspec.Spectrogram(config)(_signals((2, 300))[..., np.newaxis])
  assert np.abs(actual - fresh.numpy()).max() > 0.1


_WITHOUT_TFSPEC = """
import pathlib
import sys

sys.modules["tfspec"] = None  # Any import of it fails.
import numpy as np
import tensorflow as tf

try:
  import tfspec
except ImportError:
  pass
else:
  raise AssertionError("tfspec can be imported")
for folder in sys.argv[1:]:
  folder = pathlib.Path(folder)
  model = tf.saved_model.load(str(folder / "1"))
  signals = tf.constant(np.load(folder / "signals.npy"))
  files = [path.read_bytes() for path in sorted(folder.glob("*.wav"))]
  served = model.signatures["serving_default"](
    signals=signals, lengths=tf.zeros([0], tf.int32)
  )
  from_wav = model.signatures["wav"](wav_bytes=tf.constant(files))
  np.savez(
    folder / "result.npz",
    served=served["spectrogram"],
    from_wav=from_wav["spectrogram"],
    num_frames=from_wav["num_frames"],
  )
"""


@pytest.mark.slow
def test_runs_without_tfspec_to_the_bit(load, tmp_path):
  trained = tmp_path / "trained" / "1"
  tfspec.export_saved_model(_trained(_with(trainable=True)), trained)
  stereo = _with(data_format="channels_first", expand_dims=True)
  exports = {
    "fft": (load(path=True), 1),
    "stereo": (load(stereo, 2, path=True), 2),
    "trained": (trained, 1),
  }
  for name, (path, channels) in exports.items():
    folder = tmp_path / name
    if path != trained:
      shutil.copytree(path, folder / "1")
    shape = (2, 300) if channels == 1 else (2, channels, 300)
    np.save(folder / "signals.npy", _signals(shape))
    for i, samples in enumerate((500, 30, 700)):
      (folder / f"{i}.wav").write_bytes(_wav(samples, channels)[0])
  environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
  subprocess.run(
    [
      sys.executable,
      "-c",
      _WITHOUT_TFSPEC,
      *(str(tmp_path / name) for name in exports),
    ],
    check=True,
    cwd=tmp_path,
    env=environment,
  )
  for name in exports:
    folder = tmp_path / name
    model = tf.saved_model.load(str(folder / "1"))
    files = [path.read_bytes() for path in sorted(folder.glob("*.wav"))]
    from_wav, num_frames = _run_wav(model, files)
    served = _serve(model, np.load(folder / "signals.npy"))
    with np.load(folder / "result.npz") as found:
      assert found["served"].size and found["from_wav"].size
      np.testing.assert_array_equal(found["served"], served)
      np.testing.assert_array_equal(found["from_wav"], from_wav)
      np.testing.assert_array_equal(found["num_frames"], num_frames)
