"""The Keras layer of any config."""

import dataclasses

import keras
import numpy as np
import pytest

import tfspec
from tests.paths import SPEECH
from tfspec.layers import Spectrogram

_TRAINABLE = dataclasses.replace(tfspec.preset("kaldi_mfcc"), trainable=True)


def _model(config):
  return keras.Sequential(
    [
      keras.Input((None, 1)),
      Spectrogram(config),
      keras.layers.GlobalAveragePooling1D(),
      keras.layers.Dense(3),
    ]
  )


@pytest.mark.parametrize(
  "config", ["whisper", "wespeaker", _TRAINABLE], ids=["a", "b", "c"]
)
def test_layer_is_saved_cloned_and_loaded(config, tmp_path):
  signals, _ = tfspec.data.load_wav(f"{SPEECH}/en/queue-thankyou.wav")
  signals = signals[np.newaxis]
  model = _model(config)
  answers = model(signals)
  layer = model.layers[0]
  expected = tfspec.preset(config) if isinstance(config, str) else config
  assert layer.spectrogram_config.fingerprint() == expected.fingerprint()
  assert len(layer.weights) == (2 if expected.trainable else 0)
  for weight in layer.weights:
    weight.assign(weight * 1.5)
  answers = model(signals)
  model.save(tmp_path / "model.keras")
  loaded = keras.saving.load_model(tmp_path / "model.keras")
  assert type(loaded.layers[0]) is Spectrogram
  np.testing.assert_array_equal(loaded(signals), answers)
  clone = keras.models.clone_model(model).layers[0]
  assert clone.spectrogram_config == layer.spectrogram_config


def test_layer_gives_what_the_module_gives():
  random = np.random.default_rng(0)
  signals = random.standard_normal([2, 4000, 1]).astype(np.float32)
  config = tfspec.preset("nemo")
  layer = Spectrogram("nemo", name="features")
  assert layer.name == "features"
  lengths = np.array([4000, 2500])
  values, num_frames = layer(signals, lengths=lengths)
  expected, counts = tfspec.Spectrogram(config)(signals, lengths)
  np.testing.assert_array_equal(values, expected)
  np.testing.assert_array_equal(num_frames, counts)
  assert layer.compute_output_shape(signals.shape) == values.shape


@pytest.mark.parametrize(
  "name", ["whisper", "kaldi_fbank", "lhotse_fbank", "seamless_m4t", "yamnet"]
)
def test_mask_of_frames_is_that_of_the_lengths(name):
  config = tfspec.preset(name)
  layer = Spectrogram(config)
  for samples in (0, 79, 80, 199, 201, 400, 560, 4000):
    lengths = np.minimum([samples, samples // 2, samples // 3], samples)
    mask = np.arange(samples) < lengths[:, np.newaxis]
    found = np.asarray(layer.compute_mask(None, mask))
    counts = [config.num_frames(int(length)) for length in lengths]
    assert found.shape[1] == config.num_frames(samples)
    np.testing.assert_array_equal(np.sum(found, axis=1), counts)


def test_text_of_a_proto_is_a_config():
  layer = Spectrogram(
    "mode: MODE_POWER filter_bank {} sample_rate_hz: 16000 fft_length: 512"
  )
  assert layer.spectrogram_config.num_features == 80


@pytest.mark.parametrize(
  "config, error, told",
  [
    ("wisper", ValueError, "name must be one of 'whisper'.*'wisper'"),
    ("", ValueError, "name must be one of 'whisper'.* Got: ''"),
    ("mode: MODE_LOUD", ValueError, "Got: 'mode: MODE_LOUD'"),
    (3, TypeError, "must be a SpectrogramConfig.* Got: int"),
  ],
)
def test_what_is_no_config(config, error, told):
  with pytest.raises(error, match=told):
    Spectrogram(config)


def test_trainable_is_that_of_the_config():
  with pytest.raises(ValueError, match="trainable must be left to the config"):
    Spectrogram("whisper", trainable=True)


@pytest.mark.slow
@pytest.mark.parametrize("config", ["whisper", _TRAINABLE], ids=["a", "b"])
def test_model_with_it_is_served_as_it_was_trained(config, tmp_path):
  tfspec.export_saved_model(_model(config), tmp_path / "1")
  report = tfspec.verify(tmp_path / "1")
  assert report.ok, report
