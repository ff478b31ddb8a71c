"""The Keras layer, beside the installed Keras layer and SciPy."""

import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest
import scipy.signal
import tensorflow as tf

import tfspec
from tests.paths import ROOT
from tfspec.config import (
  FIELDS,
  Compression,
  FilterBank,
  SpectrogramConfig,
)
from tfspec.config.fields import Group

Theirs = keras.layers.STFTSpectrogram
Ours = tfspec.layers.STFTSpectrogram


def noise(*shape, dtype=np.float32):
  return np.random.default_rng(0).standard_normal(shape).astype(dtype)


ARGUMENTS = [
  dict(),
  dict(mode="magnitude", padding="same"),
  dict(mode="psd", scaling="spectrum", window="blackman", periodic=True),
  dict(mode="real", frame_length=200, frame_step=60, fft_length=256),
  dict(mode="imag", frame_length=100, window=np.hamming(100), scaling=None),
  dict(mode="angle", window="hamming"),
  dict(mode="stft", expand_dims=True, padding="same"),
  dict(mode="log", expand_dims=True, trainable=False),
  dict(mode="stft", window=None, scaling=None),
]


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=str)
@pytest.mark.parametrize("channels", [1, 3])
def test_weights_of_the_keras_layer_give_its_outputs(arguments, channels):
  signals = noise(2, 1000, channels)
  theirs, ours = Theirs(**arguments), Ours(**arguments)
  expected = theirs(signals)
  ours.build(signals.shape)
  assert [w.name for w in ours.weights] == [w.name for w in theirs.weights]
  assert [w.shape for w in ours.weights] == [w.shape for w in theirs.weights]
  assert len(ours.trainable_weights) == len(theirs.trainable_weights)
  random = np.random.default_rng(1)
  trained = [
    w + 0.01 * random.standard_normal(w.shape) for w in theirs.get_weights()
  ]
  theirs.set_weights(trained)
  ours.set_weights(trained)
  expected, actual = np.asarray(theirs(signals)), np.asarray(ours(signals))
  assert (
    actual.shape
    == expected.shape
    == ours.compute_output_shape((2, 1000, channels))
  )
  difference = np.abs(actual - expected)
  if arguments.get("mode") == "angle":
    difference = np.minimum(difference, np.abs(2 * np.pi - difference))
  # Where their power is small, their logarithm and phase are badly conditioned.
  assert np.quantile(difference, 0.999) < 5e-5 * np.max(np.abs(expected))


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=str)
def test_fresh_layer_agrees_with_keras_within_its_own_tolerance(arguments):
  # Keras' own tests compare with atol 5e-4 on signals of this size.
  signals = noise(2, 1000, 2)
  expected = np.asarray(Theirs(**arguments)(signals))
  actual = np.asarray(Ours(**arguments)(signals))
  difference = np.abs(actual - expected)
  if arguments.get("mode") == "angle":
    difference = np.minimum(difference, np.abs(2 * np.pi - difference))
    size = Ours(**(arguments | {"mode": "magnitude"}))(signals)
    difference = difference[np.asarray(size) > 0.05]
  scale = max(1.0, np.max(np.abs(expected))) if "scaling" in arguments else 1.0
  assert np.max(difference) < 5e-4 * scale


def test_weights_file_of_a_keras_model_loads(tmp_path):
  path = str(tmp_path / "model.weights.h5")
  signals = noise(2, 1000, 1)
  models = []
  for layer in (Theirs, Ours):
    # Not mode "log", which magnifies the rounding errors of weak bins.
    transform = layer(mode="stft", name="stft")
    models.append(keras.Sequential([keras.Input((None, 1)), transform]))
  kernel = models[0].layers[0].real_kernel
  kernel.assign(kernel * 1.5)
  models[0].save_weights(path)
  models[1].load_weights(path)
  np.testing.assert_allclose(models[1](signals), models[0](signals), atol=1e-5)


SCIPY_SETS = [
  # window, scaling, frame_length, frame_step, fft_length, periodic
  ("hann", "density", 256, 128, 256, False),
  ("hann", "spectrum", 256, 128, 512, True),
  ("blackman", "density", 512, 256, 1024, False),
  ("hamming", "spectrum", 100, 25, 128, True),
  (("kaiser", 8.6), "density", 400, 160, 512, True),
  ("bartlett", "spectrum", 97, 97, 101, False),
]


@pytest.mark.parametrize("sizes", SCIPY_SETS, ids=str)
@pytest.mark.parametrize("mode", ["magnitude", "psd", "angle", "stft"])
@pytest.mark.parametrize("engine", ["kernel", "fft"])
def test_scipy_agrees(sizes, mode, engine):
  window, scaling, frame_length, frame_step, fft_length, periodic = sizes
  signals = noise(2, 3000, dtype=np.float64)
  values = scipy.signal.get_window(window, frame_length, fftbins=periodic)
  _, _, expected = scipy.signal.spectrogram(
    signals,
    window=values,
    nperseg=frame_length,
    noverlap=frame_length - frame_step,
    nfft=fft_length,
    detrend=False,
    scaling=scaling,
    mode={"stft": "complex", "angle": "angle"}.get(mode, mode),
  )
  expected = expected.transpose(0, 2, 1)
  layer = Ours(
    mode,
    frame_length,
    frame_step,
    fft_length,
    window,
    periodic,
    scaling,
    engine=engine,
    trainable=engine == "kernel",
    floor=1e-18,
    dtype="float64",
  )
  actual = np.asarray(layer(signals[..., np.newaxis]))
  if mode == "stft":
    bins = layer.spectrogram_config.num_bins
    actual = actual[..., :bins] + 1j * actual[..., bins:]
  if mode == "angle":
    actual, expected = np.exp(1j * actual), np.exp(1j * expected)
  np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("mode", tfspec.config.MODES)
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("expand_dims", [False, True])
def test_channels_are_independent_in_every_layout(
  mode, data_format, expand_dims
):
  signals = noise(2, 300, 3)
  layer = Ours(mode, 64, 24, data_format=data_format, expand_dims=expand_dims)
  first = data_format == "channels_first"
  features = layer.spectrogram_config.num_features
  inputs = signals.transpose(0, 2, 1) if first else signals
  outputs = layer(inputs)
  assert outputs.shape == layer.compute_output_shape(inputs.shape)
  for channel in range(3):
    one = Ours(mode, 64, 24)(signals[..., channel : channel + 1])
    start = features * channel
    if expand_dims and first:
      part = outputs[:, channel]
    elif expand_dims:
      part = outputs[..., channel]
    elif first:
      part = tf.transpose(outputs[:, start : start + features], [0, 2, 1])
    else:
      part = outputs[..., start : start + features]
    np.testing.assert_allclose(part, one, atol=2e-5)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize(
  "shape", [(None, None, 2), (None, 500, 2), (4, 500, 2)]
)
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_symbolic_shapes(data_format, shape, padding):
  if data_format == "channels_first":
    shape = (shape[0], shape[2], shape[1])
  layer = Ours("stft", 64, 24, padding=padding, data_format=data_format)
  inputs = keras.Input(batch_shape=shape)
  outputs = layer(inputs)
  assert outputs.shape == layer.compute_output_shape(shape)
  model = keras.Model(inputs, outputs)
  for samples in (500,) if 500 in shape else (500, 64, 63, 0):
    signals = noise(4, samples, 2)
    if data_format == "channels_first":
      signals = signals.transpose(0, 2, 1)
    actual = model(signals)
    assert actual.shape == layer.compute_output_shape(signals.shape)
    np.testing.assert_allclose(actual, layer(signals), atol=1e-5)


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=str)
def test_keras_file_keeps_layer_and_weights(arguments, tmp_path):
  layer = Ours(**arguments, floor=1e-6, sample_rate_hz=8000)
  model = keras.Sequential([keras.Input((None, 2)), layer])
  for weight in layer.weights:
    weight.assign(weight * 1.25)
  path = tmp_path / "model.keras"
  model.save(path)
  loaded = keras.saving.load_model(path)
  assert loaded.layers[0].spectrogram_config == layer.spectrogram_config
  signals = noise(1, 700, 2)
  np.testing.assert_array_equal(loaded(signals), model(signals))


@pytest.mark.slow
def test_keras_file_loads_where_tfspec_is_only_imported(tmp_path):
  path = tmp_path / "model.keras"
  keras.Sequential([keras.Input((None, 1)), Ours()]).save(path)
  script = """
import sys
import tfspec
import keras
print(type(keras.saving.load_model(sys.argv[1]).layers[0]).__module__)
from tfspec.verification.verify import Report
print(tfspec.verify.__name__)
"""
  result = subprocess.run(
    [sys.executable, "-c", script, path],
    capture_output=True,
    text=True,
    cwd=ROOT,
    check=False,
  )
  assert result.stdout == "tfspec.layers.stft_spectrogram\nverify\n", (
    result.stderr
  )


def test_file_of_an_older_version_keeps_its_padding(tmp_path):
  signals = keras.Input((None, 1))
  lengths = keras.Input((), dtype="int32")
  values, _ = Ours(frame_length=64)(signals, lengths)
  model = keras.Model([signals, lengths], values)
  model.save(tmp_path / "new.keras")
  with (
    zipfile.ZipFile(tmp_path / "new.keras") as new,
    zipfile.ZipFile(tmp_path / "old.keras", "w") as old,
  ):
    for name in new.namelist():
      content = new.read(name)
      if name == "config.json":
        assert content.count(b', "padding_value": null}') == 1
        content = content.replace(b', "padding_value": null}', b"}")
      old.writestr(name, content)
  inputs = [noise(1, 300, 1), np.array([100], np.int32)]
  keras.saving.load_model(tmp_path / "old.keras").save(tmp_path / "again.keras")
  for name, value in (("new", np.log(np.sqrt(1e-7))), ("old", 0), ("again", 0)):
    loaded = keras.saving.load_model(tmp_path / f"{name}.keras")
    np.testing.assert_allclose(loaded(inputs)[0, 2:], value, rtol=1e-6)


@pytest.mark.parametrize("trainable", [True, False])
def test_cloned_model_has_fresh_kernels_and_the_same_config(trainable):
  layer = Ours("log", 64, 24, floor=1e-3, trainable=trainable)
  model = keras.Sequential([keras.Input((500, 1)), layer])
  fresh = layer.get_weights()
  layer.set_weights([1.25 * weight for weight in fresh])
  clone = keras.models.clone_model(model)
  assert clone.layers[0].spectrogram_config == layer.spectrogram_config
  for weight, expected in zip(clone.get_weights(), fresh, strict=True):
    np.testing.assert_array_equal(weight, expected)
  clone.set_weights(model.get_weights())
  signals = noise(2, 500, 1)
  np.testing.assert_array_equal(clone(signals), model(signals))
  # The clone is no second name of the same weights.
  clone.layers[0].set_weights(fresh)
  assert np.max(np.abs(clone(signals) - model(signals))) > 0.1


def test_get_config_is_that_of_keras():
  for arguments in ARGUMENTS:
    theirs, ours = (
      Theirs(**arguments).get_config(),
      Ours(**arguments).get_config(),
    )
    assert set(ours) == set(theirs)
    for name in set(theirs) - {"name"}:
      np.testing.assert_array_equal(ours[name], theirs[name])
    Theirs.from_config(ours)
    config = SpectrogramConfig.from_keras(theirs)
    assert SpectrogramConfig.from_keras(ours) == config


def test_layer_and_config_convert_both_ways():
  config = SpectrogramConfig(
    mode="psd", frame_length=64, engine="kernel", sample_rate_hz=8000
  )
  layer = Ours.from_spectrogram_config(config, name="front")
  assert layer.spectrogram_config == config
  assert layer.name == "front" and not layer.trainable_weights
  fast = Ours.from_spectrogram_config(SpectrogramConfig())
  assert fast.spectrogram_config.engine == "fft" and not fast.weights
  again = Ours.from_config(fast.get_config())
  assert again.spectrogram_config == fast.spectrogram_config


def test_fields_that_keras_lacks_are_keywords_of_the_layer():
  own = dict(
    sample_rate_hz=8000,
    engine="kernel",
    precision="high",
    floor=1e-3,
    pad_mode="constant",
    pad_value=0.5,
    window_length=200,
    drop_last_frame=True,
  )
  assert set(own) == {
    field.name
    for field in FIELDS
    if not field.in_keras and not isinstance(field.kind, Group)
  }
  layer = Ours(padding="center", **own)
  config = SpectrogramConfig(padding="center", trainable=True, **own)
  assert layer.spectrogram_config == config
  written = layer.get_config()
  assert {k: written[k] for k in own if k != "engine"} == {
    k: v for k, v in own.items() if k != "engine"
  }
  assert Ours.from_config(written).spectrogram_config == config
  assert not set(own) & set(Ours().get_config())
  with pytest.raises(ValueError, match="window_size"):
    Ours(window_size=200)


@pytest.mark.parametrize(
  "bank", [FilterBank(num_bands=8, norm="slaney"), FilterBank(table=np.eye(9))]
)
def test_stages_are_stored_with_the_layer(bank, tmp_path):
  config = SpectrogramConfig(
    "power",
    64,
    24,
    sample_rate_hz=8000,
    trainable=True,
    engine="kernel",
    filter_bank=bank,
    compression=Compression(kind="decibel", dynamic_range=30.0),
  )
  layer = Ours.from_spectrogram_config(config)
  model = keras.Sequential([keras.Input((500, 1)), layer])
  model.save(tmp_path / "model.keras")
  again = keras.models.load_model(tmp_path / "model.keras")
  assert again.layers[0].spectrogram_config == config
  signals = np.random.default_rng(0).standard_normal([2, 500, 1]).astype("f")
  values = model(signals)
  assert values.shape == (2, 19, config.num_features)
  np.testing.assert_array_equal(values, again(signals))


def test_mode_that_keras_lacks(tmp_path):
  layer = Ours("power", 64, 24, window_length=40)
  model = keras.Sequential([keras.Input((500, 1)), layer])
  model.save(tmp_path / "model.keras")
  again = keras.saving.load_model(tmp_path / "model.keras")
  signals = noise(2, 500, 1)
  np.testing.assert_array_equal(again(signals), model(signals))
  parts = Ours("stft", 64, 24, window_length=40)(signals)
  expected = parts[..., :33] ** 2 + parts[..., 33:] ** 2
  np.testing.assert_allclose(layer(signals), expected, rtol=1e-6)


def test_layer_without_weights_survives_a_trainable_model():
  layer = Ours(engine="fft", trainable=False)
  model = keras.Sequential([keras.Input((None, 1)), layer])
  model.trainable = True
  assert not layer.spectrogram_config.trainable
  assert Ours.from_config(layer.get_config()).spectrogram_config.engine == "fft"


@pytest.mark.parametrize(
  "policy, output, kernel",
  [
    ("float32", "float32", "float32"),
    ("float64", "float64", "float64"),
    ("mixed_float16", "float16", "float32"),
    ("mixed_bfloat16", "bfloat16", "float32"),
    ("float16", "float16", "float16"),
    ("bfloat16", "bfloat16", "bfloat16"),
  ],
)
def test_dtype_policies(policy, output, kernel):
  layer = Ours(dtype=policy, floor=0.1)
  signals = noise(2, 600, 1)
  actual = layer(signals)
  assert actual.dtype == output
  assert layer.real_kernel.dtype == kernel
  exact = Ours(dtype="float64", floor=0.1)(signals)
  bound = {"float16": 2e-2, "bfloat16": 2e-1}.get(kernel) or {
    "float16": 5e-3,
    "bfloat16": 5e-2,
    "float32": 1e-5,
    "float64": 0.0,
  }[output]
  assert np.max(np.abs(tf.cast(actual, tf.float64) - exact)) <= bound


@pytest.mark.slow
def test_training_lowers_the_loss_and_moves_both_kernels():
  keras.utils.set_random_seed(1)
  layer = Ours(mode="log", frame_length=64, frame_step=32)
  model = keras.Sequential(
    [
      keras.Input((800, 1)),
      layer,
      keras.layers.GlobalAveragePooling1D(),
      keras.layers.Dense(1),
    ]
  )
  before = [w.numpy() for w in layer.trainable_weights]
  assert len(before) == 2
  model.compile(keras.optimizers.Adam(1e-3), "mse", jit_compile=True)
  time = np.arange(800) / 800
  pitch = np.linspace(5, 80, 32)[:, np.newaxis]
  signals = np.sin(2 * np.pi * pitch * time)[..., np.newaxis]
  history = model.fit(signals, pitch / 80, epochs=8, batch_size=8, verbose=0)
  assert history.history["loss"][-1] < 0.5 * history.history["loss"][0]
  for old, new in zip(before, layer.trainable_weights, strict=True):
    assert np.max(np.abs(old - new)) > 1e-4


def test_layer_as_a_dataset_map_function():
  layer = Ours(trainable=False, frame_length=64, engine="fft")
  dataset = tf.data.Dataset.from_tensor_slices(noise(4, 300, 1)).batch(2)
  for outputs in dataset.map(layer):
    assert outputs.shape == (2, 8, 33)


@pytest.mark.parametrize(
  "arguments, message",
  [
    (dict(mode="mypsd"), "mode must be one of"),
    (dict(scaling="l2"), "scaling must be one of"),
    (dict(padding="causal"), "padding must be one of"),
    (dict(frame_length=256, frame_step=1024), "frame_step must be in"),
    (dict(frame_length=256, fft_length=128), "fft_length must be at least"),
    (dict(window="unknown"), "window must be a window that scipy"),
    (dict(window=np.ones(3)), "window must have frame_length values"),
    (dict(engine="fft"), "engine must be 'auto' or 'kernel' if trainable"),
    (dict(data_format="last"), "data_format must be one of"),
  ],
)
def test_bad_arguments_are_refused_when_the_layer_is_made(arguments, message):
  with pytest.raises(ValueError, match=message):
    Ours(**arguments)


def test_wrong_rank_is_refused():
  with pytest.raises(ValueError, match="ndim=3"):
    Ours()(np.zeros((1, 1000), np.float32))


def test_trained_layer_as_a_module():
  layer = Ours(mode="magnitude", trainable=False)
  layer.build((None, None, 1))
  layer.real_kernel.assign(layer.real_kernel * 2.0)
  signals = noise(2, 600, 1)
  spectrogram = layer.to_spectrogram()
  np.testing.assert_array_equal(spectrogram(signals), layer(signals))
  assert len(spectrogram.trainable_variables) == 2
  fast = Ours(engine="fft", trainable=False).to_spectrogram()
  assert fast.engine == "fft"
