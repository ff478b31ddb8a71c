"""The op of plain keywords: its errors, its padding and its stages."""

import math
import re

import numpy as np
import pytest
import tensorflow as tf

import tfspec
from tfspec.ops import stages, stft_ops
from tfspec.ops.engines import blockwise, kernel

HANN = np.hanning(50)
ENGINES = ["fft", "kernel"]


@pytest.fixture
def small_blocks(monkeypatch):
  """Parts a clip of 500 samples, which has 23 frames, into blocks of 7."""
  monkeypatch.setattr(blockwise, "_BLOCK_SIZE", 7 * 64)
  monkeypatch.setattr(kernel, "_CONVOLVED_FRAMES", 7)


@pytest.mark.parametrize(
  "arguments",
  [
    dict(frame_length=0),
    dict(frame_length=None),
    dict(frame_length=256.0),
    dict(frame_step=300),
    dict(frame_step=1.5),
    dict(fft_length=255),
    dict(fft_length=2**20 + 1),
    dict(window="no such window"),
    dict(window=8.6),
    dict(window=[1.0, 2.0], frame_length=3),
    dict(window="hann", frame_length=2),
    dict(periodic=1),
    dict(scaling="power"),
    dict(padding="reflect"),
    dict(engine="gpu"),
    dict(engine="kernel", frame_length=2**13),
    dict(precision="low"),
    dict(precision="high"),
    dict(padding="center", pad_mode="wrap"),
    dict(pad_mode=3),
    dict(padding="same", pad_mode="reflect"),
    dict(padding="center", pad_value=0.0),
    dict(padding="center", pad_mode="constant", pad_value=math.nan),
    dict(pad_value="0"),
    dict(window_length=0),
    dict(window_length=300),
    dict(window_length=9.0),
    dict(window=[1.0, 2.0], window_length=3),
  ],
  ids=str,
)
def test_errors_are_those_of_the_config(arguments):
  with pytest.raises((TypeError, ValueError)) as of_config:
    tfspec.SpectrogramConfig(**arguments)
  with pytest.raises(of_config.type) as of_op:
    tfspec.stft(tf.zeros([1000]), **arguments)
  assert str(of_op.value) == str(of_config.value)


@pytest.mark.parametrize(
  "arguments",
  [
    dict(frame_length=50),
    dict(frame_length=50, frame_step=20, fft_length=70, window=None),
    dict(frame_length=50, window=("kaiser", 8.6), periodic=True, scaling=None),
    dict(frame_length=50, frame_step=20, padding="same", engine="kernel"),
    dict(frame_length=50, window_length=31, engine="kernel"),
    dict(frame_length=50, padding="center"),
    dict(frame_length=50, padding="center", pad_mode="constant"),
    dict(frame_length=50, padding="center", pad_mode="constant", pad_value=0.5),
  ],
  ids=str,
)
def test_values_are_those_of_the_module(arguments):
  signals = tf.random.stateless_normal([170], [0, 0])
  config = tfspec.SpectrogramConfig(mode="stft", **arguments)
  parts = tf.concat(tfspec.stft(signals, **arguments), axis=-1)
  np.testing.assert_array_equal(parts, tfspec.Spectrogram(config)(signals))


class BelowPeak:
  """A stage that sees all frames of a clip."""

  needs = stages.POWER
  frame_alone = False

  def __call__(self, spectrum):
    assert spectrum.real is None and spectrum.imag is None
    power = spectrum.power
    return (power / tf.reduce_max(power, axis=[-2, -1], keepdims=True),)


@pytest.mark.parametrize("jit_compile", [None, False, True])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_stage_may_see_more_than_a_frame(engine, jit_compile, small_blocks):
  signals = tf.random.stateless_normal([2, 500], [0, 0])

  def run(stage):
    def transform(signals):
      return stft_ops.transform(signals, stage, HANN, 20, 64, engine=engine)

    if jit_compile is not None:
      transform = tf.function(
        transform, jit_compile=jit_compile, autograph=False
      )
    return transform(signals)

  power, *none = run(stages.Kept(stages.POWER))
  assert not none
  values, *none = run(BelowPeak())
  assert not none
  peaks = np.max(power, axis=(1, 2), keepdims=True)
  np.testing.assert_allclose(values, power / peaks, rtol=1e-5)


@pytest.mark.parametrize("needs", [("real",), ("imag",), stages.PARTS])
@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_computes_what_a_stage_needs(engine, needs):
  class Seen:
    frame_alone = True

    def __init__(self):
      self.needs = needs

    def __call__(self, spectrum):
      found.append(spectrum)
      return (getattr(spectrum, needs[0]),)

  found = []
  stft_ops.transform(tf.ones([100]), Seen(), HANN, 20, 64, engine=engine)
  (spectrum,) = found
  assert {n for n, v in spectrum._asdict().items() if v is not None} == {*needs}


def without_mean(frames):
  return frames - tf.reduce_mean(frames, axis=-1, keepdims=True)


@pytest.mark.parametrize("jit_compile", [None, False, True])
@pytest.mark.parametrize("device", [None, "/device:TPU:0"])
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("samples", [500, None])
def test_condition(engine, samples, device, jit_compile, small_blocks):
  noise = 3.0 + np.random.default_rng(0).standard_normal([2, 500])
  frames = np.lib.stride_tricks.sliding_window_view(noise, 50, axis=1)[:, ::20]
  frames = frames - np.mean(frames, axis=-1, keepdims=True)
  expected = np.fft.rfft(frames * HANN, 64)

  def run(signals):
    # Without a TPU, what is traced for one runs on the CPU.
    with tf.device(None if jit_compile is None else device):
      return transform_without_mean(signals, engine)

  if jit_compile is not None:
    spec = tf.TensorSpec([2, samples], tf.float32)
    run = tf.function(run, [spec], autograph=False, jit_compile=jit_compile)
  real, imag = run(tf.constant(noise, tf.float32))
  np.testing.assert_allclose(real, expected.real, atol=2e-5)
  np.testing.assert_allclose(imag, expected.imag, atol=2e-5)


def transform_without_mean(signals, engine="fft", condition=without_mean):
  return stft_ops.transform(
    signals,
    stages.Kept(),
    HANN,
    20,
    64,
    engine=engine,
    condition=condition,
  )


def test_condition_has_a_gradient(small_blocks):
  # The transform is linear, so <f(x), y> = <x, gradient of <f(x), y>>.
  signals = tf.random.stateless_normal([2, 500], [0, 0], dtype=tf.float64)
  with tf.GradientTape() as tape:
    tape.watch(signals)
    parts = tf.concat(transform_without_mean(signals), axis=-1)
    weights = tf.cos(tf.range(tf.size(parts), dtype=tf.float64))
    product = tf.reduce_sum(parts * tf.reshape(weights, parts.shape))
  gradient = tape.gradient(product, signals)
  np.testing.assert_allclose(tf.reduce_sum(gradient * signals), product)


def test_condition_is_computed_in_blocks():
  stft = tf.function(
    lambda s: transform_without_mean(s), autograph=False, jit_compile=True
  )
  samples = 20 * 20000
  frames = (samples - 50) // 20 + 1
  hlo = stft.experimental_get_compiler_ir(tf.zeros([1, samples]))(
    stage="optimized_hlo"
  )
  assert re.search(rf"f32\[1,{frames},33\]", hlo)
  # All frames at once are never in memory, neither cut nor windowed.
  assert not re.search(rf"f32\[1,{frames},(50|64)\]", hlo)
