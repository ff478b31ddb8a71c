"""What holds in every mode: the floor, gradients, bad samples, the engines."""

import dataclasses
import functools
import math

import numpy as np
import pytest
import tensorflow as tf

import tfspec
from tests import lanes
from tfspec.contract import bounds, vectors
from tfspec.contract.registry import GOLDENS, in_dtype, xla_lacks
from tfspec.spectrogram import layouts
from tools.accuracy import DTYPES, ENGINES

MODES = tfspec.config.MODES
_NO_FFT = "XLA has no Fourier transform of float64 in this TensorFlow."
_DTYPES = lanes.some(DTYPES, lambda dtype: dtype == "float32")
# All but the first are exact only if the floor is given, not computed.
FLOORS = [None, 1e-18, 1e-9, 1e-5, 31.088797851095944, 1e18]


@pytest.mark.parametrize("dtype", _DTYPES)
@pytest.mark.parametrize("engine", lanes.every(2, ENGINES))
@pytest.mark.parametrize("jit_compile", lanes.every(2, [False, True]))
def test_silence_is_exactly_the_floor(dtype, engine, jit_compile):
  if jit_compile and xla_lacks(engine, dtype):
    pytest.skip(_NO_FFT)
  configs = [
    tfspec.SpectrogramConfig(mode, 64, engine=engine, floor=floor)
    for mode in ("log", "magnitude")
    for floor in FLOORS
  ]

  @tf.function(jit_compile=jit_compile)
  def run(signals):
    return [tfspec.Spectrogram(config)(signals) for config in configs]

  signals = tf.zeros([300], dtype)
  eager = [] if jit_compile else run.python_function(signals)
  results = [*run(signals), *eager]
  assert configs[0].resolved().floor == math.sqrt(1e-7)
  for i, actual in enumerate(results):
    config = configs[i % len(configs)].resolved()
    expected = config.silence
    assert expected == (
      math.log(config.floor) if config.mode == "log" else config.floor
    )
    wide = tf.float64 if dtype == "float64" else tf.float32
    expected = tf.cast(tf.constant(expected, wide), dtype)
    assert np.all(np.asarray(actual) == expected), config


def _cases(dtype):
  """Returns signals `[cases, samples, 1]` that are hard to differentiate."""
  random = np.random.default_rng(0)
  impulse = np.zeros(100)
  impulse[37] = 1.0
  smallest = float(np.finfo("float64").smallest_subnormal)
  smallest = {
    "float16": 2.0**-24,
    "bfloat16": 2.0**-133,
    "float32": 2.0**-149,
  }.get(dtype, smallest)
  cases = [
    np.zeros(100),
    impulse,
    np.ones(100),
    np.cos(np.pi * np.arange(100)),
    np.full(100, 3 * smallest),
    smallest * random.integers(-200, 200, 100),
    random.choice([-1.0, 1.0], 100),
    1e4 * random.uniform(-1.0, 1.0, 100),
    np.full(100, 1e4),
  ]
  return in_dtype(np.stack(cases), dtype)[..., np.newaxis]


def _gradients(spectrogram, signals):
  """Returns the gradients to the signals and the kernels; all weights 1."""
  with tf.GradientTape() as tape:
    tape.watch(signals)
    values = spectrogram(signals)
  return tape.gradient(values, [signals, *spectrogram.trainable_variables])


@functools.cache
def _exact_gradient(mode, dtype):
  config = tfspec.SpectrogramConfig(mode, frame_length=16, frame_step=6)
  signals = tf.constant(_cases(dtype).astype(np.float64))
  return np.asarray(_gradients(tfspec.Spectrogram(config), signals)[0])


@pytest.mark.parametrize("mode", lanes.every(3, MODES))
@pytest.mark.parametrize("dtype", _DTYPES)
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("jit_compile", [False, True])
def test_gradients_are_finite(mode, dtype, engine, jit_compile):
  config = tfspec.SpectrogramConfig(
    mode, frame_length=16, frame_step=6, trainable=engine == "kernel"
  )
  wide = tf.float64 if dtype == "float64" else tf.float32
  spectrogram = tfspec.Spectrogram(config, dtype=wide)
  assert spectrogram.engine == engine
  run = functools.partial(_gradients, spectrogram)
  if jit_compile:
    if xla_lacks(engine, dtype):
      pytest.skip(_NO_FFT)
    run = tf.function(run, jit_compile=True)
  gradients = run(tf.constant(_cases(dtype)))
  assert len(gradients) == 1 + len(spectrogram.trainable_variables)
  to_signals, *to_kernels = (
    np.asarray(tf.cast(gradient, tf.float64)) for gradient in gradients
  )
  is_finite = np.isfinite(to_signals)
  if dtype == "float16":
    # What is beyond 65504 must be infinite, as loss scaling expects it.
    is_finite |= np.abs(_exact_gradient(mode, dtype)) > 65000
  assert np.all(is_finite)
  for gradient in to_kernels:
    assert np.all(np.isfinite(gradient))
    assert np.any(gradient != 0)


@pytest.mark.parametrize(
  "mode", lanes.some(MODES, lambda mode: mode in ("log", "angle"))
)
@pytest.mark.parametrize(
  "engine, precision",
  [("fft", "default"), ("kernel", "default"), ("kernel", "highest")],
)
@pytest.mark.parametrize("jit_compile", [False, True])
def test_bad_sample_spoils_only_its_frames(
  mode, engine, precision, jit_compile
):
  # A flat frame this long takes every path through the kernel engine.
  config = tfspec.SpectrogramConfig(
    mode,
    frame_length=200,
    frame_step=80,
    window=None,
    expand_dims=True,
    engine=engine,
    precision=precision,
  )
  run = tf.function(tfspec.Spectrogram(config), jit_compile=jit_compile)
  random = np.random.default_rng(0)
  clean = random.standard_normal([5, 1000, 2]).astype(np.float32)
  spoilt = clean.copy()
  bad = {(1, 0): (333, np.nan), (2, 1): (325, np.inf), (4, 0): (799, -np.inf)}
  for (clip, channel), (sample, value) in bad.items():
    spoilt[clip, sample, channel] = value
  expected, actual = run(clean).numpy(), run(spoilt).numpy()
  for (clip, channel), (sample, value) in bad.items():
    starts = 80 * np.arange(config.num_frames(1000))
    frames = (starts <= sample) & (sample < starts + 200)
    assert np.any(frames) and not np.all(frames)
    values = actual[clip, frames, :, channel]
    if np.isnan(value) and mode not in ("real", "imag", "stft"):
      assert np.all(np.isnan(values))
    elif mode != "angle":  # An infinite value has a phase.
      # Not in all bins: some parts are sums without the bad sample.
      assert not np.any(np.all(np.isfinite(values), axis=-1))
    actual[clip, frames, :, channel] = expected[clip, frames, :, channel]
  np.testing.assert_array_equal(actual, expected)


def test_golden_vectors_are_those_of_the_oracle():
  for golden in GOLDENS:
    config = golden.config()
    signals = golden.signals()
    if not signals.size or golden.dtype != "float32":
      continue
    expected, bound = golden.expected()
    channel = np.moveaxis(signals, layouts.channel_axis(config), 1)[0, 0]
    own = vectors.golden(golden.name, channel, config, {}).values(config)
    values = layouts.frames_of(expected[0], 0, config)
    bound = layouts.frames_of(bound[0], 0, config)
    assert bounds.deviation(config, own, values, bound).ok, golden.name


# The conformance test runs each golden with the engine of its config.
@pytest.mark.parametrize(
  "golden", lanes.every(5, GOLDENS), ids=lambda golden: golden.name
)
def test_engines_agree(golden):
  config = dataclasses.replace(
    golden.config(), trainable=False, precision="default"
  )
  signals = tf.cast(golden.signals(), golden.dtype)
  expected, bound = golden.expected()
  results = []
  for engine in ENGINES:
    spectrogram = tfspec.Spectrogram(dataclasses.replace(config, engine=engine))
    assert spectrogram.engine == engine
    values = np.asarray(tf.cast(spectrogram(signals), tf.float64))
    results.append(values)
    deviation = bounds.deviation(config, values, expected, bound)
    assert deviation.ok, (engine, deviation)
  # Either may be rounded to another neighbour in a short dtype.
  is_short = golden.dtype in ("float16", "bfloat16")
  deviation = bounds.deviation(config, *results, bound * (1 + is_short))
  assert deviation.ok, deviation
