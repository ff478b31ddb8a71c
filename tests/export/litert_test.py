"""Tests of `tfspec.export_litert`: its files run in LiteRT, and are right."""

import dataclasses
import io
import itertools
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfspec
from tests import lanes
from tfspec.contract import archive, bounds, vectors
from tfspec.contract.registry import GOLDENS
from tfspec.export import litert, litert_schema
from tfspec.storage import files
from tools import accuracy
from tools.litert_files import SIZES, measure

pytest.importorskip(
  "ai_edge_litert",
  reason="ai-edge-litert is not installed: pip install '.[litert]'.",
)

_CONFIG = tfspec.SpectrogramConfig(frame_length=64, frame_step=24)
_GOLDENS = [golden for golden in GOLDENS if golden.dtype == "float32"]


def _with(**values):
  return dataclasses.replace(_CONFIG, **values)


@pytest.fixture
def path(tmp_path):
  return tmp_path / "spectrogram.tflite"


@pytest.fixture(scope="module")
def export(tmp_path_factory):
  """Returns the path of the file of a config; each is made once."""
  paths = {}

  def export_config(config, channels=None):
    case = (config, channels)
    if case not in paths:
      paths[case] = tmp_path_factory.mktemp("litert") / "file.tflite"
      tfspec.export_litert(config, paths[case], channels)
    return paths[case]

  return export_config


def _signals(*shape):
  random = np.random.default_rng(shape)
  return (0.1 * random.standard_normal(shape)).astype(np.float32)


@pytest.mark.parametrize(
  "golden", lanes.every(10, _GOLDENS), ids=lambda golden: golden.name
)
def test_file_agrees_with_oracle(golden, export):
  config = golden.config()
  interpreter = litert.interpreter(export(config, golden.shape[2]))
  outputs = litert.run(interpreter, golden.signals())
  expected, bound = golden.expected()
  actual = outputs["spectrogram"]
  assert actual.dtype == np.float32 and actual.shape == expected.shape
  deviation = bounds.deviation(config, actual, expected, bound)
  assert deviation.ok, deviation
  count = config.num_frames(golden.shape[1])
  assert outputs["num_frames"].dtype == np.int32
  assert outputs["num_frames"].tolist() == [count] * golden.shape[0]


@pytest.mark.slow
@pytest.mark.parametrize(
  ("sizes", "window", "engine"),
  list(itertools.product(SIZES, accuracy.WINDOWS, accuracy.ENGINES)),
)
def test_accuracy(sizes, window, engine):
  _, error = measure(sizes, window, engine)
  assert error <= bounds.stft_bound("float32")


def _operators(path):
  """Returns the names of the operators in a file."""
  codes = vars(litert_schema.schema().BuiltinOperator)
  names = {code: name for name, code in codes.items() if name.isupper()}
  model = litert_schema.root(path.read_bytes())
  return {
    names[model.OperatorCodes(i).BuiltinCode()]
    for i in range(model.OperatorCodesLength())
  }


@pytest.mark.parametrize("engine", ["fft", "kernel"])
def test_batch_and_time_are_free(engine, export):
  config = _with(engine=engine, mode="stft")
  interpreter = litert.interpreter(export(config))
  assert litert.signals_shape(interpreter) == [None, None]
  runner = interpreter.get_signature_runner("serving_default")
  spectrogram = tfspec.Spectrogram(config)
  for shape in [(2, 1200), (1, 64), (5, 65), (3, 9000), (1, 500)]:
    signals = _signals(*shape)
    outputs = runner(signals=signals)
    expected = spectrogram(signals[..., np.newaxis]).numpy()
    np.testing.assert_allclose(outputs["spectrogram"], expected, atol=2e-6)
    assert outputs["num_frames"].tolist() == [expected.shape[1]] * shape[0]


@pytest.mark.parametrize("engine", ["fft", "kernel"])
def test_clips_shorter_than_a_frame(engine, export):
  config = _with(engine=engine)
  interpreter = litert.interpreter(export(config))
  runner = interpreter.get_signature_runner("serving_default")
  assert runner(signals=_signals(2, 64))["num_frames"].tolist() == [1, 1]
  for samples in (63, 0):
    # LiteRT computes them, and its Python API cannot return them.
    with pytest.raises(ValueError, match="Invalid tensor size"):
      runner(signals=_signals(2, samples))
    details = runner.get_output_details()
    assert details["spectrogram"]["shape"].tolist() == [2, 0, 33]
    num_frames = interpreter.get_tensor(details["num_frames"]["index"])
    assert num_frames.tolist() == [0, 0]
  assert runner(signals=_signals(2, 64))["num_frames"].tolist() == [1, 1]


@pytest.mark.parametrize(
  ("fft_length", "engine"), [(64, "fft"), (100, "kernel"), (65, "kernel")]
)
def test_engine_of_the_file(fft_length, engine, export):
  # RFFT2D fails at other lengths than powers of two.
  operators = _operators(export(_with(fft_length=fft_length)))
  assert ("RFFT2D" in operators) == (engine == "fft")
  assert ("FULLY_CONNECTED" in operators) == (engine == "kernel")


def test_transform_of_one_sample(export):
  # There LiteRT's RFFT2D gives another value, and no error.
  config = tfspec.SpectrogramConfig(
    mode="stft", frame_length=1, window=None, scaling=None
  )
  signals = _signals(1, 9)
  outputs = litert.run(litert.interpreter(export(config)), signals)
  np.testing.assert_allclose(
    outputs["spectrogram"][0, :, 0], signals[0], rtol=1e-6
  )


@pytest.mark.parametrize("window", ["hann", None])
@pytest.mark.parametrize("trainable", [True, False])
def test_file_holds_each_kernel_once(trainable, window, export):
  config = _with(
    frame_length=400,
    frame_step=160,
    engine="kernel",
    trainable=trainable,
    window=window,
  )
  kernels = 4 * 2 * 400 * config.num_bins
  times = 1 if window else 2  # Kernels without a window are split in two.
  # Beside them golden vectors, and the graph.
  size = len(export(config).read_bytes())
  assert times * kernels < size < times * kernels + (2**18)
  assert len(export(_with(engine="fft")).read_bytes()) < 2**14


def _trained(dtype=tf.float32):
  spectrogram = tfspec.Spectrogram(_with(trainable=True, mode="stft"), dtype)
  for kernel in spectrogram.kernels:
    kernel.assign_add(tf.cast(0.1 * _signals(*kernel.shape), dtype))
  return spectrogram


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16, tf.float64])
def test_trained_kernels(dtype, path):
  spectrogram = _trained(dtype)
  tfspec.export_litert(spectrogram, path)
  interpreter = litert.interpreter(path)
  goldens = vectors.make(spectrogram)
  assert len(goldens) > 5
  for golden in goldens:
    outputs = litert.run(interpreter, golden.signals[np.newaxis])
    deviation = bounds.deviation(
      spectrogram.config,
      outputs["spectrogram"][0],
      golden.expected(spectrogram.config),
      golden.tolerance(spectrogram.config),
    )
    assert deviation.ok, (golden.name, deviation)


def _model(samples=None, channels=1, **values):
  keras.utils.set_random_seed(5)
  layers = [
    tfspec.layers.STFTSpectrogram(frame_length=64, frame_step=24, **values),
    keras.layers.Conv1D(8, 3, activation="relu", padding="same"),
    keras.layers.BatchNormalization(),
    keras.layers.GlobalAveragePooling1D(),
    keras.layers.Dense(5, activation="softmax"),
  ]
  return keras.Sequential([keras.Input((samples, channels)), *layers])


@pytest.mark.slow
@pytest.mark.parametrize(
  ("samples", "channels", "values"),
  [
    pytest.param(None, 1, {}, marks=pytest.mark.slow),
    (500, 2, {}),
    (None, 1, {"engine": "fft", "trainable": False}),
  ],
)
def test_keras_model(samples, channels, values, path):
  model = _model(samples, channels, **values)
  tfspec.export_litert(model, path)
  interpreter = litert.interpreter(path)
  for rows in (1, 3):
    signals = _signals(rows, 500, channels)
    expected = model(signals).numpy()
    outputs = litert.run(
      interpreter, signals[..., 0] if channels == 1 else signals
    )
    assert list(outputs) == ["predictions"]
    np.testing.assert_allclose(outputs["predictions"], expected, atol=1e-6)


@pytest.mark.slow
def test_keras_model_with_named_outputs(path):
  model = _model()
  scores = model.outputs[0]
  labels = keras.layers.Lambda(lambda x: tf.argmax(x, axis=-1))(scores)
  model = keras.Model(model.inputs[0], {"scores": scores, "labels": labels})
  tfspec.export_litert(model, path)
  outputs = litert.run(litert.interpreter(path), _signals(2, 500))
  assert sorted(outputs) == ["labels", "scores"]
  assert outputs["labels"].tolist() == np.argmax(outputs["scores"], 1).tolist()


@pytest.mark.slow
def test_keras_model_with_lengths(path):
  signals = keras.Input((None, 1), name="signals")
  lengths = keras.Input((), dtype="int32", name="lengths")
  layer = tfspec.layers.STFTSpectrogram(
    frame_length=64, frame_step=24, padding="center"
  )
  values, num_frames = layer(signals, lengths=lengths)
  outputs = {"values": values, "frames": num_frames}
  model = keras.Model({"signals": signals, "lengths": lengths}, outputs)
  tfspec.export_litert(model, path)
  clips = _signals(2, 500)
  outputs = litert.run(litert.interpreter(path), clips)
  assert outputs["frames"].tolist() == [21, 21]
  expected = layer(clips[..., np.newaxis])
  np.testing.assert_allclose(outputs["values"], expected, atol=1e-5)


def _with_layers(samples, *layers):
  front = tfspec.layers.STFTSpectrogram(
    frame_length=64, frame_step=24, expand_dims=True
  )
  return keras.Sequential([keras.Input((samples, 1)), front, *layers])


@pytest.mark.slow
def test_keras_model_that_needs_some_frames(path):
  convolution = keras.layers.Conv2D(2, (4, 3))
  pool = keras.layers.GlobalAveragePooling2D()
  tfspec.export_litert(_with_layers(None, convolution, pool), path)
  report = tfspec.verify(path)
  assert report.ok, str(report)
  archive = np.load(io.BytesIO(litert.assets(path)["predictions.npz"]))
  # Four frames: 64 + 3 * 24 samples.
  assert len(archive["least/signals"]) == 136
  assert not any(name.startswith("less/") for name in archive)
  long = keras.layers.Conv2D(2, (9, 3))
  tfspec.export_litert(
    _with_layers(500, long, pool), path.with_name("2.tflite")
  )
  assert tfspec.verify(path.with_name("2.tflite")).ok


@pytest.mark.slow
def test_keras_model_that_does_not_convert(path):
  recurrent = keras.Sequential(
    [
      keras.Input((None, 1)),
      tfspec.layers.STFTSpectrogram(frame_length=64, frame_step=24),
      keras.layers.GRU(2),
    ]
  )
  with pytest.raises(ValueError, match="must convert to LiteRT") as error:
    tfspec.export_litert(recurrent, path)
  assert "'tf.TensorListReserve' op requires" in str(error.value)
  assert len(str(error.value).splitlines()) == 1
  assert not path.exists()


@pytest.mark.slow
def test_what_a_file_carries(export, path):
  fixed = export(_CONFIG)
  assert litert.load_config(fixed) == _CONFIG
  assert sorted(litert.assets(fixed)) == [
    "config.textproto",
    "fingerprint.txt",
    "sha256.txt",
  ]
  # Not what runs on the device, but what was asked for.
  config = _with(engine="kernel", precision="highest", fft_length=100)
  assert litert.load_config(export(config)) == config
  spectrogram = _trained()
  tfspec.export_litert(spectrogram, path)
  assert litert.load_config(path) == spectrogram.config
  content = io.BytesIO(litert.assets(path)["goldens.npz"])
  stored = archive.load(content, spectrogram.config, "goldens.npz")
  for golden, fresh in zip(stored, vectors.make(spectrogram), strict=True):
    assert golden.name == fresh.name
    np.testing.assert_array_equal(golden.parts["real"], fresh.parts["real"])


def test_files_of_others(export, path):
  path.write_bytes(b"\xff no flatbuffer")
  with pytest.raises(ValueError, match="file must be a .tflite file"):
    litert.load_config(path)
  identity = tf.function(
    lambda x: x, input_signature=[tf.TensorSpec([2], tf.float32)]
  )
  converter = tf.lite.TFLiteConverter.from_concrete_functions(
    [identity.get_concrete_function()]
  )
  path.write_bytes(converter.convert())
  with pytest.raises(ValueError, match=r"no config.textproto in it"):
    litert.load_config(path)
  content = export(_CONFIG).read_bytes()
  path.write_bytes(content.replace(b"frame_step: 24", b"frame_step: 25"))
  with pytest.raises(ValueError, match="must be the one that was exported"):
    litert.load_config(path)


def test_runs_without_tensorflow(export, tmp_path):
  program = """
import sys
sys.modules["tensorflow"] = None  # Importing it is an ImportError.
import numpy as np
from ai_edge_litert.interpreter import Interpreter

path, signals, output = sys.argv[1:]
runner = Interpreter(model_path=path).get_signature_runner("serving_default")
outputs = runner(signals=np.load(signals))
np.save(output, outputs["spectrogram"])
assert not [name for name in sys.modules if name.startswith("tensorflow.")]
"""
  signals = _signals(2, 700)
  np.save(tmp_path / "signals.npy", signals)
  for engine in ("fft", "kernel"):
    config = _with(engine=engine, mode="stft")
    files = [export(config), tmp_path / "signals.npy", tmp_path / "output.npy"]
    subprocess.run([sys.executable, "-c", program, *files], check=True)
    expected = tfspec.Spectrogram(config)(signals[..., np.newaxis])
    actual = np.load(tmp_path / "output.npy")
    np.testing.assert_allclose(actual, expected, atol=2e-6)


@pytest.mark.slow
def test_wrong_arguments(tmp_path, path):
  with pytest.raises(ValueError, match=r"path must end in \.tflite"):
    tfspec.export_litert(_CONFIG, tmp_path / "1")
  with pytest.raises(ValueError, match=r"channels must be at least 1"):
    tfspec.export_litert(_CONFIG, path, channels=0)
  with pytest.raises(TypeError, match="source must be a SpectrogramConfig"):
    tfspec.export_litert("speech.textproto", path)
  with pytest.raises(ValueError, match=r"must have engine='kernel' for LiteRT"):
    model = _model(engine="fft", trainable=False, fft_length=100)
    tfspec.export_litert(model, path)
  with pytest.raises(ValueError, match=r"must have precision='default' for"):
    tfspec.export_litert(_model(precision="highest"), path)
  model = _model()
  masked = keras.layers.Lambda(
    lambda x: tf.bitwise.bitwise_and(tf.cast(x, tf.int32), 3)
  )(model.outputs[0])
  with pytest.raises(ValueError, match=r"builtin ones .* Got: BitwiseAnd\."):
    tfspec.export_litert(keras.Model(model.inputs, masked), path)
  assert not os.listdir(tmp_path)
  path.write_bytes(b"kept")
  with pytest.raises(FileExistsError, match="path must not exist yet"):
    tfspec.export_litert(_CONFIG, path)
  assert path.read_bytes() == b"kept"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_failed_export_leaves_nothing(path, monkeypatch, error):
  def fail(source, target):
    assert os.path.getsize(source) > 1000
    raise error("the disk is full")

  monkeypatch.setattr(files, "rename", fail)
  with pytest.raises(error, match="the disk is full"):
    tfspec.export_litert(_CONFIG, path)
  assert not os.listdir(path.parent)


def test_path_of_another_export_is_refused_at_once(path, monkeypatch):
  partial = path.with_name(f"{path.name}.partial")
  partial.write_bytes(b"half")
  monkeypatch.setattr(
    "tfspec.export.litert._Program", lambda _: pytest.fail("worked")
  )
  with pytest.raises(FileExistsError, match=r"one proc.*\.tflite\.partial exi"):
    tfspec.export_litert(_CONFIG, path)
  assert partial.read_bytes() == b"half"


def test_folders_are_made(tmp_path):
  tfspec.export_litert(_CONFIG, tmp_path / "models" / "speech.tflite")
  assert os.listdir(tmp_path / "models") == ["speech.tflite"]


def test_without_the_interpreter(export, monkeypatch):
  path = export(_CONFIG)
  for name in [n for n in sys.modules if n.split(".")[0] == "ai_edge_litert"]:
    monkeypatch.setitem(sys.modules, name, None)
  with pytest.raises(ImportError, match=r"pip install '\.\[litert\]' in a"):
    litert.interpreter(path)


@pytest.mark.slow
def test_schema_is_that_of_the_runtime_where_tensorflow_has_none(
  monkeypatch, path
):
  config = tfspec.SpectrogramConfig(frame_length=64, fft_length=64)
  tfspec.export_litert(config, path)
  expected = litert.assets(path)
  content = path.read_bytes()
  path.unlink()
  hidden = "tensorflow.lite.python.schema_py_generated"
  monkeypatch.setitem(sys.modules, hidden, None)
  assert litert_schema.schema().__name__.startswith("ai_edge_litert")
  tfspec.export_litert(config, path)
  assert path.read_bytes() == content
  assert litert.assets(path) == expected
  monkeypatch.setitem(sys.modules, "ai_edge_litert.schema_py_generated", None)
  with pytest.raises(ImportError, match="ai-edge-litert must be installed"):
    litert_schema.schema()
