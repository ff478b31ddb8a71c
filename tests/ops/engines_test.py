"""The engines: accuracy, shapes, gradients, precision."""

import itertools

import numpy as np
import pytest
import scipy.signal
import tensorflow as tf

import tfspec
from tests import lanes
from tfspec.contract import bounds, oracle
from tfspec.contract.registry import xla_lacks
from tfspec.ops.engines import kernel
from tools import accuracy
from tools.accuracy import ENGINES


def exact(signals, frame_length, frame_step, fft_length, **options):
  window = oracle.window(
    options.get("window", "hann"),
    frame_length,
    options.get("periodic", False),
    options.get("scaling", "density"),
    options.get("window_length"),
  )
  return oracle.stft(
    np.asarray(signals, np.float64),
    window,
    frame_step,
    fft_length,
    options.get("padding", "valid"),
  )


# What changes least often comes last: the exact transform is then kept.
@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
  ("dtype", "window", "sizes"),
  lanes.some(
    itertools.product(accuracy.DTYPES, accuracy.WINDOWS, accuracy.SIZES),
    lambda case: case[0] == "float32" and case[2][0] in (17, 400),
  ),
)
def test_accuracy(sizes, window, engine, dtype, jit_compile):
  case = sizes, window, engine, dtype, jit_compile
  if jit_compile and xla_lacks(engine, dtype):
    with pytest.raises(tf.errors.InvalidArgumentError, match="RFFT"):
      accuracy.measure(*case)
    return
  assert accuracy.measure(*case) <= bounds.stft_bound(dtype)


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize(
  "engine, precision",
  [("fft", "default"), ("kernel", "default"), ("kernel", "highest")],
)
@pytest.mark.parametrize(
  ("length", "window"),
  lanes.some(
    itertools.product(
      [64, 160, 256, 400, 2039], [None, ("tukey", 0.5), "cosine", "hann"]
    ),
    lambda case: case in ((160, None), (400, ("tukey", 0.5))),
  ),
)
def test_accuracy_of_windows(length, window, engine, precision, jit_compile):
  config = tfspec.SpectrogramConfig(frame_length=length).resolved()
  sizes = length, config.frame_step, config.fft_length
  error = accuracy.measure(
    sizes, window, engine, "float32", jit_compile, precision
  )
  assert error <= bounds.STFT_BOUNDS["float32"]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("sizes", [(17, 5, 31), (400, 160, 512)], ids=str)
def test_accuracy_of_signals_before_they_are_rounded(sizes, dtype, engine):
  signals = accuracy.signals(*sizes[:2])
  parts = tfspec.stft(tf.cast(signals, dtype), *sizes, engine=engine)
  error = accuracy.relative_error(*parts, exact(signals, *sizes))
  assert error <= bounds.stft_bound(dtype, signals_are_rounded=True)


def test_published_table_is_that_of_the_tool():
  text = accuracy.DOCUMENT.read_text()
  sections = text.split("\n## ")[1:]
  assert len(sections) == len(accuracy.DTYPES)
  for dtype, section in zip(accuracy.DTYPES, sections, strict=True):
    assert f"## {section}".startswith(accuracy.title(dtype))
    rows = [line for line in section.splitlines() if line.startswith("|")][2:]
    labels = [label for label, _, _ in accuracy.labels()]
    for label, row in zip(labels, rows, strict=True):
      assert row.startswith(label)
      errors = row.removeprefix(label).split("|")[: len(ENGINES)]
      # Rounded as the errors in the table are.
      limit = float(f"{bounds.stft_bound(dtype):.1e}")
      assert all(0 < float(error) <= limit for error in errors), row


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("window_length", [64, 500, 1000])
def test_accuracy_of_a_flat_window_in_a_long_frame(window_length, engine):
  sizes = 4096, 1000, 4096
  options = dict(window=None, window_length=window_length)
  # Level samples in a level window: all terms of a sum have one rounding error.
  signals = np.linspace(0.5, 1.0, 3)[:, np.newaxis] * np.ones(7000)
  signals = signals.astype(np.float32)
  parts = tfspec.stft(signals, *sizes, engine=engine, **options)
  expected = np.stack([exact(row, *sizes, **options) for row in signals])
  error = accuracy.relative_error(*parts, expected)
  assert error <= bounds.STFT_BOUNDS["float32"]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("lengths", [(60, 41), (61, 40), (64, 40)])
def test_short_window_is_that_of_scipy_on_its_own_samples(lengths, engine):
  frame_length, window_length = lengths
  signals = np.random.default_rng(0).standard_normal(500)
  real, imag = tfspec.stft(
    signals,
    frame_length,
    20,
    frame_length,
    window="hamming",
    periodic=True,
    scaling="spectrum",
    window_length=window_length,
    engine=engine,
  )
  # SciPy has no such frames: its segments are those of the window, which begin
  # later by the zeros before it, and that is a turn of the phase.
  before = (frame_length - window_length) // 2
  _, _, expected = scipy.signal.spectrogram(
    signals[before:],
    window=scipy.signal.get_window("hamming", window_length),
    noverlap=window_length - 20,
    nfft=frame_length,
    detrend=False,
    scaling="spectrum",
    mode="complex",
  )
  bins = np.arange(frame_length // 2 + 1)
  turn = np.exp(-2j * np.pi * bins * before / frame_length)
  expected = expected.T[: len(real)] * turn
  assert real.shape == expected.shape
  np.testing.assert_allclose(tf.complex(real, imag), expected, atol=1e-12)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_impulse_at_every_position(engine, padding):
  window = np.linspace(1.0, 3.0, 8) ** 2  # asymmetric
  options = dict(window=window, padding=padding, scaling=None)
  impulses = np.eye(21, dtype=np.float32)
  real, imag = tfspec.stft(impulses, 8, 3, 8, engine=engine, **options)
  expected = np.stack([exact(row, 8, 3, 8, **options) for row in impulses])
  np.testing.assert_allclose(real, expected.real, atol=1e-6)
  np.testing.assert_allclose(imag, expected.imag, atol=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
def test_split_and_joined_equals_whole(engine):
  signals = np.random.default_rng(1).standard_normal(64 + 24 * 9)
  whole = tfspec.stft(signals, 64, 24, engine=engine)
  first = tfspec.stft(signals[: 64 + 24 * 4], 64, 24, engine=engine)
  second = tfspec.stft(signals[24 * 5 :], 64, 24, engine=engine)
  for part, left, right in zip(whole, first, second, strict=True):
    np.testing.assert_allclose(part, np.concatenate([left, right]), atol=1e-14)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("fft_length", [32, 33])
def test_energy_is_kept(engine, fft_length):
  signals = np.random.default_rng(2).standard_normal(32)
  real, imag = tfspec.stft(
    signals, 32, 32, fft_length, window=None, scaling=None, engine=engine
  )
  sides = np.full(fft_length // 2 + 1, 2.0)
  sides[0] = 1.0
  if fft_length % 2 == 0:
    sides[-1] = 1.0
  power = np.sum(sides * (np.square(real) + np.square(imag))) / fft_length
  assert power == pytest.approx(np.sum(signals**2), rel=1e-13)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("shape", [(50,), (3, 50), (2, 0, 50), (2, 3, 4, 50)])
def test_leading_axes_are_kept(engine, shape):
  signals = np.random.default_rng(3).standard_normal(shape).astype(np.float32)
  for static in (shape, [None] * len(shape)):
    run = tf.function(
      lambda values: tfspec.stft(values, 16, 6, engine=engine),
      input_signature=[tf.TensorSpec(static, tf.float32)],
    )
    real, imag = run(signals)
    assert real.shape == imag.shape == (*shape[:-1], 6, 9)
    rows = signals.reshape(-1, 50)
    for row, actual in zip(rows, np.reshape(real, (-1, 6, 9)), strict=True):
      np.testing.assert_allclose(actual, exact(row, 16, 6, 16).real, atol=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("samples", lanes.every(2, [0, 1, 15, 16, 17]))
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_short_clips(engine, samples, padding):
  # Where there is no frame, the engines compute one of zeros, and drop it.
  signals = np.ones((2, samples), np.float32)
  expected = exact(signals[0], 16, 8, 16, padding=padding)

  def static(values):
    return tfspec.stft(values, 16, 8, engine=engine, padding=padding)

  spec = tf.TensorSpec([None, None], tf.float32)
  dynamic = tf.function(static, input_signature=[spec])
  for run in (static, dynamic, tf.function(static, jit_compile=True)):
    real, imag = run(tf.constant(signals))
    assert real.shape == (2, *expected.shape)
    np.testing.assert_allclose(real[0], expected.real, atol=1e-6)
    np.testing.assert_allclose(imag[1], expected.imag, atol=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
def test_dimensions_that_are_known_stay_known(engine):
  run = tf.function(lambda s: tfspec.stft(s, 400, 160, 512, engine=engine))
  spec = tf.TensorSpec([4, None, 16000], tf.float32)
  shape = run.get_concrete_function(spec).output_shapes[0]
  assert shape.as_list() == [4, None, 98, 257]
  spec = tf.TensorSpec([None, None], tf.float32)
  shape = run.get_concrete_function(spec).output_shapes[0]
  assert shape.as_list() == [None, None, 257]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_short_dtypes_are_computed_in_float32(engine, dtype):
  signals = tf.cast(tf.random.stateless_normal([999], [1, 2]), dtype)
  actual = tfspec.stft(signals, 256, 100, engine=engine)
  wide = tfspec.stft(tf.cast(signals, tf.float32), 256, 100, engine=engine)
  for short, long in zip(actual, wide, strict=True):
    assert short.dtype == dtype
    np.testing.assert_array_equal(short, tf.cast(long, dtype))


@pytest.mark.parametrize("engine", ENGINES)
def test_gradient_is_that_of_the_adjoint(engine):
  # The transform is linear, so <stft(x), y> = <x, gradient of <stft(x), y>>.
  random = np.random.default_rng(4)
  signals = tf.constant(random.standard_normal(100))
  with tf.GradientTape() as tape:
    tape.watch(signals)
    parts = tf.concat(tfspec.stft(signals, 32, 12, engine=engine), -1)
    product = tf.reduce_sum(parts * random.standard_normal(parts.shape))
  gradient = tape.gradient(product, signals)
  assert float(tf.reduce_sum(gradient * signals)) == pytest.approx(
    float(product), rel=1e-12
  )
  # The samples behind the last frame take no part.
  np.testing.assert_array_equal(gradient[32 + 12 * 5 :], np.zeros(8))


def test_bad_sample_spoils_only_its_frames():
  signals = np.zeros((2, 100), np.float32)
  signals[0, 50] = np.nan
  for engine in ENGINES:
    real, _ = tfspec.stft(signals, 16, 8, engine=engine)
    frames = np.flatnonzero(np.any(np.isnan(real[0]), axis=-1))
    assert frames.tolist() == [5, 6]
    assert np.all(np.isfinite(real[1]))


def compiled_products(part, *precisions):
  """Returns the products of a compiled program that runs some precisions."""
  modules = [
    tfspec.Spectrogram(
      tfspec.SpectrogramConfig(mode="stft", trainable=True, precision=precision)
    )
    for precision in precisions
  ]

  @tf.function(jit_compile=True)
  def run(signals):
    with tf.GradientTape() as tape:
      tape.watch(signals)
      values = [tf.square(module(signals)) for module in modules]
    if part == "forward":
      return values
    if part == "gradient to the signals":
      return tape.gradient(values, signals)
    return tape.gradient(values, [m.trainable_variables for m in modules])

  spec = tf.TensorSpec([1000], tf.float32)
  program = run.experimental_get_compiler_ir(spec)(stage="hlo")
  return [
    line
    for line in program.splitlines()
    if " dot(" in line or " convolution(" in line
  ]


PARTS = ["forward", "gradient to the signals", "gradient to the kernels"]


@pytest.mark.parametrize("precision", ["default", "high", "highest"])
@pytest.mark.parametrize("part", PARTS)
def test_precision_reaches_the_compiled_program(precision, part):
  products = compiled_products(part, precision)
  # The sums are in parts; the gradient needs the forward ones too.
  assert len(products) >= (4 if part == "forward" else 8)
  wanted = f"operand_precision={{{precision},{precision}}}"
  for line in products:
    if precision == "default":
      assert "operand_precision" not in line
    else:
      assert wanted in line


@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS)
def test_precision_is_no_switch_of_the_process(part):
  enabled = tf.config.experimental.tensor_float_32_execution_enabled
  before = enabled()
  products = compiled_products(part, "default", "highest", "high")
  marked = [line.partition("operand_precision=")[2][:9] for line in products]
  for mark, precision in (
    ("", "default"),
    ("{highest,", "highest"),
    ("{high,hig", "high"),
  ):
    assert marked.count(mark) == len(compiled_products(part, precision))
  assert enabled() == before


@pytest.mark.parametrize("precision", ["high", "highest"])
def test_precise_gradients_are_those_of_the_default(precision):
  signals = tf.random.stateless_normal([2, 300, 1], [1, 2], dtype=tf.float64)
  results = []
  for name in ("default", precision):
    config = tfspec.SpectrogramConfig(
      frame_length=64, frame_step=24, trainable=True, precision=name
    )
    spectrogram = tfspec.Spectrogram(config, dtype=tf.float64)
    with tf.GradientTape() as tape:
      tape.watch(signals)
      loss = tf.reduce_sum(tf.square(spectrogram(signals)))
    results.append(
      tape.gradient(loss, [signals, *spectrogram.trainable_variables])
    )
  for plain, precise in zip(*results, strict=True):
    np.testing.assert_allclose(precise, plain, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
  "signals, error, message",
  [
    (np.int16([1, 2]), TypeError, r"Got: int16\. Cast .*\*15 if .*\*31 if"),
    (np.int64([1, 2]), TypeError, r"Got: int64\. Cast .*\*15 if .*\*31 if"),
    (np.uint8([1, 2]), TypeError, r"Got: uint8\.$"),
    (np.complex64([1]), TypeError, r"must be float16, .* Got: complex64\.$"),
    (["a"], TypeError, r"Got: string\.$"),
    (np.float32(1.0), ValueError, r"rank 1 or more\. Got: shape=\[\]"),
  ],
)
def test_wrong_signals_are_refused(signals, error, message):
  with pytest.raises(error, match=message):
    tfspec.stft(signals)


def test_unknown_rank_is_refused():
  spec = tf.TensorSpec(None, tf.float32)
  with pytest.raises(ValueError, match="rank 1 or more. Got: shape=unknown"):
    tf.function(tfspec.stft).get_concrete_function(spec)


@pytest.mark.slow
@pytest.mark.parametrize(
  "mode, window", [("log", "hann"), ("stft", None), ("imag", "hann")]
)
@pytest.mark.parametrize("batch, samples, most", [(6, 100, 24), (2, 500, 7)])
def test_what_xla_convolves_are_the_products(
  monkeypatch, mode, window, batch, samples, most
):
  config = tfspec.SpectrogramConfig(
    mode, 50, 20, 64, window=window, trainable=True
  )
  spectrogram = tfspec.Spectrogram(config, dtype=tf.float64)
  noise = np.random.default_rng(0).standard_normal([batch, samples, 1])
  signals = tf.constant(noise)

  def run(signals):
    sources = [signals, *spectrogram.kernels]
    with tf.GradientTape() as outer:
      outer.watch(sources)
      with tf.GradientTape() as inner:
        inner.watch(sources)
        values = spectrogram(signals)
        loss = tf.reduce_sum(tf.math.atan(values))
      slopes = inner.gradient(loss, sources)
      steepness = tf.add_n([tf.reduce_sum(s**2) for s in slopes])
    return values, slopes, outer.gradient(steepness, sources)

  expected = tf.nest.flatten(run(signals))
  monkeypatch.setattr(kernel, "_CONVOLVED_FRAMES", most)
  compiled = tf.function(run, jit_compile=True)
  hlo = compiled.experimental_get_compiler_ir(signals)(stage="hlo")
  assert "convolution(" in hlo
  actual = tf.nest.flatten(compiled(signals))
  for a, e in zip(actual, expected, strict=True):
    np.testing.assert_allclose(a, e, rtol=1e-9, atol=1e-12)
