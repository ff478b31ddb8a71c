"""Random configs, lengths and values against the oracle and each other."""

import dataclasses
import math

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from hypothesis import strategies as st

import tfspec
from tfspec.config import SpectrogramConfig
from tfspec.contract import bounds
from tfspec.contract.registry import Golden, xla_lacks

SETTINGS = hypothesis.settings(
  max_examples=60, deadline=None, derandomize=True, database=None
)


def _compressions():
  return st.builds(
    tfspec.Compression,
    kind=st.sampled_from(["log", "decibel", "power"]),
    floor=st.floats(1e-12, 1.0),
    offset=st.just(0.0) | st.floats(1e-6, 1.0),
    base=st.sampled_from([math.e, 2.0, 10.0]),
    reference=st.floats(1e-3, 100.0),
    exponent=st.floats(0.1, 2.0),
    dynamic_range=st.floats(0.0, 40.0),
  )


def _banks():
  return st.builds(
    tfspec.FilterBank,
    num_bands=st.integers(1, 20),
    scale=st.sampled_from(["htk", "slaney", "linear"]),
    slopes=st.sampled_from(["hertz", "scale", "lower"]),
    norm=st.sampled_from([None, "slaney"]),
    empty=st.just("allow"),
  )


def _numbers(low, high, features):
  one = st.floats(low, high)
  return one | st.lists(one, min_size=features, max_size=features)


@st.composite
def _stages(draw, config):
  """Returns a valid config with stages that any mode but "angle" may have."""
  changes = dict(
    conditioning=draw(
      st.none()
      | st.builds(
        tfspec.Conditioning,
        gain=st.sampled_from([1.0, 0.1, 64.0]),
        remove_dc=st.booleans(),
        preemphasis=st.sampled_from([0.0, 0.5, 0.97]),
        preemphasis_of=st.sampled_from(["frame", "clip"]),
        first_sample=st.sampled_from(["scaled", "kept"]),
      )
    )
  )
  if config.mode != "angle":
    changes["cepstrum"] = draw(
      st.none()
      | st.builds(
        tfspec.Cepstrum,
        num_coefficients=st.integers(1, config.num_features),
        dct_norm=st.sampled_from(["ortho", "htk"]),
        lifter=st.sampled_from([0.0, 22.0]),
        lifter_start=st.integers(0, 1),
        energy=st.booleans(),
      )
    )
    features = dataclasses.replace(config, **changes).num_features
    changes["normalization"] = draw(
      st.none()
      | st.builds(
        tfspec.Normalization,
        mean=_numbers(-4.0, 4.0, features),
        std=_numbers(0.5, 4.0, features),
      )
      | st.builds(
        tfspec.Normalization,
        source=st.just("clip"),
        unit_variance=st.booleans(),
        ddof=st.integers(0, 1),
        epsilon=st.sampled_from([1e-5, 1e-2]),
        epsilon_of=st.sampled_from(["std", "variance"]),
      )
    )
    changes["deltas"] = draw(
      st.none()
      | st.builds(
        tfspec.Deltas, order=st.integers(1, 2), width=st.integers(1, 4)
      )
    )
    changes["stacking"] = draw(
      st.none()
      | st.builds(
        tfspec.Stacking, size=st.integers(2, 4), step=st.integers(1, 4)
      )
    )
  return dataclasses.replace(config, **changes)


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
  padding = draw(st.sampled_from(["valid", "same", "center", "hop_center"]))
  pad_mode = pad_value = None
  if padding.endswith("center"):
    modes = [None, "reflect", "symmetric", "constant"]
    pad_mode = draw(st.sampled_from(modes))
  if pad_mode == "constant":
    pad_value = draw(st.none() | st.floats(-2.0, 2.0))
  trainable = draw(st.booleans())
  engine = draw(st.sampled_from(["auto", "kernel", "fft"][: 3 - trainable]))
  precisions = ["default", "high", "highest"]
  if not trainable and engine != "kernel":
    precisions = precisions[:1]
  mode = draw(st.sampled_from(tfspec.config.MODES))
  rate = draw(st.none() | st.integers(1, 48000))
  compression = bank = None
  if mode in ("power", "magnitude", "psd"):
    compression = draw(st.none() | _compressions())
    if rate:
      bank = draw(st.none() | _banks())
  values = dict(
    mode=mode,
    frame_length=frame_length,
    frame_step=draw(st.none() | st.integers(1, frame_length)),
    fft_length=draw(st.none() | st.integers(frame_length, 130)),
    window=window,
    window_length=window_length,
    periodic=draw(st.booleans()),
    scaling=draw(st.sampled_from(["density", "spectrum", None])),
    padding=padding,
    pad_mode=pad_mode,
    pad_value=pad_value,
    expand_dims=draw(st.booleans()),
    data_format=draw(st.sampled_from(["channels_last", "channels_first"])),
    trainable=trainable,
    engine=engine,
    precision=draw(st.sampled_from(precisions)),
    sample_rate_hz=rate,
    floor=None
    if bank or compression
    else draw(st.none() | st.floats(1e-9, 1.0)),
    drop_last_frame=draw(st.booleans()),
    filter_bank=bank,
    compression=compression,
  )
  stages = {"conditioning", "cepstrum", "normalization", "deltas", "stacking"}
  assert stages.isdisjoint(values)
  assert stages | set(values) == {f.name for f in tfspec.config.FIELDS}
  try:
    config = SpectrogramConfig(**values)
  except ValueError as e:
    # Two-sample windows that taper to zero; everything else must be valid.
    assert "window must not be zero everywhere" in str(e)
    hypothesis.reject()
  return draw(_stages(config))


@st.composite
def goldens(draw):
  text = text_format.MessageToString(draw(configs()).to_proto())
  shape = draw(
    st.tuples(st.integers(0, 3), st.integers(0, 400), st.integers(1, 3))
  )
  dtype = draw(st.sampled_from(["float16", "bfloat16", "float32", "float64"]))
  return Golden("property", text, shape, dtype=dtype)


def spectrogram(golden):
  """Returns the module, with variables that do not round the kernels."""
  wide = tf.float64 if golden.dtype == "float64" else tf.float32
  return tfspec.Spectrogram(golden.config(), dtype=wide)


def check(golden, run):
  actual = run(tf.cast(golden.signals(), golden.dtype))
  assert actual.dtype == golden.dtype
  expected, bound = golden.expected()
  assert actual.shape == expected.shape
  deviation = bounds.deviation(
    golden.config(),
    np.asarray(tf.cast(actual, tf.float64)),
    expected,
    bound,
  )
  assert deviation.ok, deviation


@SETTINGS
@hypothesis.given(goldens())
def test_eager_agrees_with_oracle(golden):
  check(golden, spectrogram(golden))


@pytest.mark.slow
@SETTINGS
@hypothesis.given(goldens())
def test_graph_of_unknown_shape_agrees_with_oracle(golden):
  spec = tf.TensorSpec([None, None, None], golden.dtype)
  check(golden, tf.function(spectrogram(golden), input_signature=[spec]))


@pytest.mark.slow
@SETTINGS
@hypothesis.given(goldens())
def test_xla_agrees_with_oracle(golden):
  if xla_lacks(golden.config().resolved().engine, golden.dtype):
    hypothesis.reject()
  check(golden, tf.function(spectrogram(golden), jit_compile=True))


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
  if config.padding.endswith("center"):  # Nor this.
    config = dataclasses.replace(
      config, padding="same", pad_mode=None, pad_value=None
    )
  stages = dict.fromkeys(stage.PATH for stage in config.all_stages)
  config = dataclasses.replace(config, drop_last_frame=False, **stages)
  arguments = config.to_keras()
  assert SpectrogramConfig.from_keras(arguments).to_keras() == arguments
