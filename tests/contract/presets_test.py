"""Presets against what their libraries compute, and against exact values."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

import tfspec
from tests import lanes
from tests.paths import ROOT
from tfspec.contract import parity, vectors
from tfspec.contract.registry import Recording

_REFERENCES = ROOT / "tests" / "testdata" / "presets"
_PRESETS = {preset.name: preset for preset in tfspec.presets()}


def _run(config, dtype=tf.float32):
  # Eager: each clip has another length, and so another graph.
  spectrogram = tfspec.Spectrogram(config)
  return lambda signals: spectrogram(tf.constant(signals, dtype)).numpy()


@pytest.mark.parametrize("name", _PRESETS)
def test_preset_is_equal_to_its_library(name):
  preset = _PRESETS[name]
  library, expected = parity.references(_REFERENCES, name)
  signals = parity.clips(_REFERENCES, preset.config.sample_rate_hz)
  assert {"speech", "silence", "impulse", "dc", "clipped"} <= set(expected)
  found = parity.measure(
    preset, library, expected, signals, _run(preset.config)
  )
  assert found.ok, found
  # The test can fail: other values of the same shape are far away.
  config = preset.config
  wrong = _run(tfspec.config.fields.replace(config, {"window": "blackman"}))
  assert not parity.measure(preset, library, expected, signals, wrong).ok


def test_operations_of_tensorflow_are_exact_in_float64():
  preset = _PRESETS["speech_commands"]
  library, expected = parity.references(_REFERENCES, preset.name)
  signals = parity.clips(_REFERENCES, 16000)
  run = _run(preset.config, tf.float64)
  preset = dataclasses.replace(preset, unlike=())
  found = parity.measure(preset, library, expected, signals, run)
  assert found.largest < 1e-4, found


@pytest.mark.parametrize("name", ["nemo", "parakeet"])
def test_what_a_library_makes_of_silence(name):
  preset = _PRESETS[name]
  _, expected = parity.references(_REFERENCES, name)
  assert preset.unlike == ("silence",) and "short" not in expected
  assert 0.1 < np.max(np.abs(expected["silence"])) < 0.2
  run = _run(preset.config)
  assert np.all(run(np.zeros(3200)) == 0.0)
  assert np.all(run(np.ones(300)) == 0.0)  # One frame.


@pytest.mark.parametrize("offset, name", [(0.001, "yamnet"), (0.01, "vggish")])
def test_yamnet_and_vggish_are_the_recipe_of_tensorflow(offset, name):
  signals = parity.clips(_REFERENCES, 16000)["speech"]
  magnitudes = tf.abs(tf.signal.stft(signals, 400, 160, 512))
  weights = tf.signal.linear_to_mel_weight_matrix(64, 257, 16000, 125.0, 7500.0)
  expected = tf.math.log(tf.matmul(magnitudes, weights) + offset).numpy()
  preset = _PRESETS[name]
  found = parity.measure(
    preset,
    "tf.signal",
    {"speech": expected},
    {"speech": signals},
    _run(preset.config),
  )
  assert found.ok, found


@pytest.mark.parametrize("name", _PRESETS)
def test_preset_is_exact_in_float64(name):
  config = _PRESETS[name].config
  signals = parity.clips(_REFERENCES, config.sample_rate_hz)["speech"]
  exact = Recording(
    name,
    str(config.to_proto()),
    dtype="float64",
    values=signals[np.newaxis, :, np.newaxis],
  )
  expected, _ = exact.expected()
  values = _run(config, tf.float64)(signals)
  np.testing.assert_allclose(
    values, expected[0], rtol=1e-9, atol=1e-9 * np.max(np.abs(expected))
  )
  own = vectors.golden(name, signals, config, {}).values(config)
  np.testing.assert_allclose(own, expected[0], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", _PRESETS)
def test_bounds_tell_values_apart(name):
  config = _PRESETS[name].config
  spectrogram = tfspec.Spectrogram(config)
  (noise,) = (v for v in vectors.make(spectrogram) if v.name == "noise")
  values, tolerance = noise.values(config), noise.tolerance(config)
  for wrong in (np.zeros_like(values), -values, np.roll(values, 1, 0)):
    is_apart = np.abs(wrong - values) > tolerance
    assert np.mean(is_apart) > 0.9


def test_every_preset_says_where_it_comes_from():
  stored = {path.stem for path in _REFERENCES.glob("*.npz")} - {"signals"}
  assert stored == set(_PRESETS)
  for preset in _PRESETS.values():
    assert preset.source and preset.config.sample_rate_hz
    for text in (preset.leaves_out, preset.differs):
      assert not text or text.endswith(".")
    assert tfspec.preset(preset.name) == preset.config
  with pytest.raises(ValueError, match="name must be one of .*'wisper'"):
    tfspec.preset("wisper")


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("name", lanes.every(4, list(_PRESETS)))
def test_gradients_are_finite(name, jit_compile):
  config = _PRESETS[name].config
  spectrogram = tfspec.Spectrogram(config)
  samples = 3 * config.frame_length
  random = np.random.default_rng(0)
  impulse = np.zeros(samples)
  impulse[samples // 2] = 1.0
  noise = random.standard_normal(samples)
  cases = [np.zeros(samples), np.full(samples, 0.5), impulse, noise]

  @tf.function(jit_compile=jit_compile)
  def gradient(signals):
    with tf.GradientTape() as tape:
      tape.watch(signals)
      # Not of a plain sum, which is 0 without the mean of a clip.
      values = tf.square(spectrogram(signals))
    return tape.gradient(values, signals)

  signals = np.stack(cases).astype(np.float32)[..., np.newaxis]
  found = gradient(tf.constant(signals)).numpy()
  assert np.all(np.isfinite(found)) and np.any(found[-1] != 0.0)
