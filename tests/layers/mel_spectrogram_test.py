"""The drop-in for Keras' layer of mel spectrograms."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfspec
from tests import lanes
from tfspec.layers import MelSpectrogram

_ARGUMENTS = [
  dict(),
  dict(num_mel_bins=40, fft_length=512, sequence_stride=160),
  dict(fft_length=512, sequence_length=400, sequence_stride=160, window=None),
  dict(fft_length=512, num_mel_bins=20, mag_exp=1.0, top_db=30.0),
  dict(fft_length=512, num_mel_bins=20, power_to_db=False, sampling_rate=8000),
  dict(
    fft_length=1024,
    num_mel_bins=20,
    min_freq=100.0,
    max_freq=5000,
    min_power=1e-6,
    ref_power=0.1,
    window="hamming",
  ),
]


def _signals(*shape):
  random = np.random.default_rng(0)
  return (0.3 * random.standard_normal(shape)).astype(np.float32)


@pytest.mark.parametrize("arguments", _ARGUMENTS, ids=str)
@pytest.mark.parametrize("shape", [(1, 5000), (5000,)], ids=str)
def test_it_is_the_layer_of_keras(arguments, shape):
  signals = _signals(*shape)
  expected = keras.layers.MelSpectrogram(**arguments)(signals)
  layer = MelSpectrogram(**arguments)
  found = layer(signals)
  assert found.shape == expected.shape
  assert layer.compute_output_shape(shape) == expected.shape
  assert not layer.weights
  # Keras' filters are of float32.
  np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-3)


@pytest.mark.parametrize("route", lanes.every(2, ["graph", "xla"]))
def test_a_quiet_clip_does_not_change_beside_a_loud_one(route):
  signals = _signals(2, 5000) * np.array([[1.0], [1e-4]], np.float32)
  layer = MelSpectrogram()
  run = tf.function(layer, jit_compile=route == "xla")
  both, alone = run(signals), run(signals[1:])
  np.testing.assert_allclose(both[1:], alone, atol=1e-3)
  of_keras = keras.layers.MelSpectrogram()
  moved = np.abs(of_keras(signals)[1:] - of_keras(signals[1:]))
  assert np.max(moved) > 10.0


def test_it_is_saved_with_the_arguments_of_keras(tmp_path):
  arguments = _ARGUMENTS[-1]
  model = keras.Sequential([keras.Input((None,)), MelSpectrogram(**arguments)])
  model.save(tmp_path / "model.keras")
  loaded = keras.saving.load_model(tmp_path / "model.keras")
  signals = _signals(2, 3000)
  np.testing.assert_array_equal(loaded(signals), model(signals))
  ours = model.layers[0].get_config()
  theirs = keras.layers.MelSpectrogram(**arguments).get_config()
  assert set(theirs) <= set(ours)
  other = keras.layers.MelSpectrogram.from_config(
    {name: ours[name] for name in theirs if name != "dtype"}
  )
  assert other.num_mel_bins == 20


def test_lengths_and_short_clips():
  layer = MelSpectrogram()
  values, num_frames = layer(_signals(2, 3000), lengths=np.array([3000, 100]))
  assert num_frames.numpy().tolist() == [6, 1]
  assert np.all(values[1, :, 1:] == np.float32(-100.0))


@pytest.mark.parametrize(
  "arguments, told",
  [
    (dict(mag_exp=3.0), "mag_exp must be 1 or 2. Got: mag_exp=3.0"),
    (dict(max_freq=9000.0), "filter_bank.high_hz must be at most"),
    (dict(sequence_length=4096), "window_length must be in"),
  ],
)
def test_wrong_arguments(arguments, told):
  with pytest.raises(ValueError, match=told):
    MelSpectrogram(**arguments)
  with pytest.raises(ValueError, match="inputs must be"):
    MelSpectrogram()(np.zeros([1, 1, 1, 9], np.float32))


@pytest.mark.slow
def test_model_with_it_is_served_as_it_was_trained(tmp_path):
  model = keras.Sequential(
    [
      keras.Input((1, None)),
      MelSpectrogram(512, 160, num_mel_bins=40),
      keras.layers.GlobalAveragePooling1D(data_format="channels_first"),
      keras.layers.Dense(3),
    ]
  )
  tfspec.export_saved_model(model, tmp_path / "1")
  report = tfspec.verify(tmp_path / "1")
  assert report.ok, report
