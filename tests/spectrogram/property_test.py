"""Random configs, lengths and values against the oracle and each other."""

import dataclasses

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from hypothesis import strategies as st

import tfspec
from tfspec.config import SpectrogramConfig
from tfspec.contract import bounds
from tfspec.contract.registry import Golden

SETTINGS = hypothesis.settings(
  max_examples=60, deadline=None, derandomize=True, database=None
)


@st.composite
def configs(draw):
  frame_length = draw(st.integers(1, 80))
  window = draw(
    st.sampled_from(["hann", "blackman", ("kaiser", 6.5), None, "values"])
  )
  window_length = draw(st.none() | st.integers(1, frame_length))
  if window == "values":
    size = window_length or frame_length
    window = tuple(np.linspace(0.1, 2.0, size).tolist())
  try:
    return SpectrogramConfig(
      mode=draw(st.sampled_from(tfspec.config.MODES)),
      frame_length=frame_length,
      frame_step=draw(st.none() | st.integers(1, frame_length)),
      fft_length=draw(st.none() | st.integers(frame_length, 130)),
      window=window,
      window_length=window_length,
      periodic=draw(st.booleans()),
      scaling=draw(st.sampled_from(["density", "spectrum", None])),
      padding=draw(st.sampled_from(["valid", "same"])),
      expand_dims=draw(st.booleans()),
      data_format=draw(st.sampled_from(["channels_last", "channels_first"])),
      engine=draw(st.sampled_from(["fft", "kernel"])),
      floor=draw(st.none() | st.floats(1e-9, 1.0)),
    )
  except ValueError as e:
    # Two-sample windows that taper to zero; everything else must be valid.
    assert "window must not be zero everywhere" in str(e)
    hypothesis.reject()


@st.composite
def goldens(draw):
  text = text_format.MessageToString(draw(configs()).to_proto())
  shape = draw(
    st.tuples(st.integers(0, 3), st.integers(0, 400), st.integers(1, 3))
  )
  return Golden("property", text, shape)


def check(golden, actual):
  expected, bound = golden.expected()
  assert actual.shape == expected.shape
  deviation = bounds.deviation(
    golden.config(), np.asarray(actual), expected, bound
  )
  assert deviation.ok, deviation


@SETTINGS
@hypothesis.given(goldens())
def test_eager_agrees_with_oracle(golden):
  check(golden, tfspec.Spectrogram(golden.config())(golden.signals()))


@pytest.mark.slow
@SETTINGS
@hypothesis.given(goldens())
def test_graph_of_unknown_shape_agrees_with_oracle(golden):
  spec = tf.TensorSpec([None, None, None], tf.float32)
  function = tf.function(
    tfspec.Spectrogram(golden.config()), input_signature=[spec]
  )
  check(golden, function(golden.signals()))


@pytest.mark.slow
@SETTINGS
@hypothesis.given(goldens())
def test_xla_agrees_with_oracle(golden):
  function = tf.function(tfspec.Spectrogram(golden.config()), jit_compile=True)
  check(golden, function(golden.signals()))


@SETTINGS
@hypothesis.given(configs(), st.integers(0, 400))
def test_lengths_are_those_of_the_result(config, samples):
  config = dataclasses.replace(
    config, expand_dims=False, data_format="channels_last"
  )
  values = tfspec.Spectrogram(config)(np.zeros(samples, np.float32))
  assert values.shape == (config.num_frames(samples), config.num_features)


@SETTINGS
@hypothesis.given(configs())
def test_config_survives_its_formats(config):
  assert SpectrogramConfig.from_proto(config.to_proto()) == config
  assert config.resolved().resolved() == config.resolved()
  assert config.resolved().fingerprint() == config.fingerprint()
  if config.mode == "power" or config.window_length:  # Keras has neither.
    config = dataclasses.replace(
      config, mode="psd", window=None, window_length=None
    )
  arguments = config.to_keras()
  assert SpectrogramConfig.from_keras(arguments).to_keras() == arguments
