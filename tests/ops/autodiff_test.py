"""Every kind of differentiation: modes, engines, routes, and data graphs."""

import functools

import numpy as np
import pytest
import tensorflow as tf

import tfspec
from tfspec.contract import oracle
from tfspec.ops import spectrum_ops, stages
from tfspec.ops.engines import blockwise, devices, tpu
from tfspec.ops.engines import kernel as kernel_lib

FLOOR = 0.3  # Some values of noise are below it.
ENGINES = {
  "fft": {"engine": "fft"},
  "kernel": {"engine": "kernel"},
  "trainable": {"trainable": True},
  "precise": {"trainable": True, "precision": "high"},
}


@pytest.fixture
def small_blocks(monkeypatch):
  """Parts a clip of 60 samples, which has 8 frames, into blocks of 3."""
  monkeypatch.setattr(blockwise, "_BLOCK_SIZE", 3 * 16)
  monkeypatch.setattr(kernel_lib, "_CONVOLVED_FRAMES", 3)


def spectrogram(mode, engine, dtype="float64"):
  config = tfspec.SpectrogramConfig(
    mode,
    frame_length=16,
    frame_step=6,
    fft_length=16,
    floor=FLOOR if mode in ("log", "magnitude") else None,
    **ENGINES[engine],
  )
  return tfspec.Spectrogram(config, dtype=dtype)


def noise(shape, seed=0, dtype="float64"):
  values = np.random.default_rng(seed).standard_normal(shape)
  return tf.constant(values, dtype)


def clips(dtype="float64", samples=60):
  """Returns two clips; the first one starts with silence."""
  values = noise([2, samples, 1], 0, dtype)
  return values * tf.cast(
    np.arange(2 * samples).reshape(values.shape) > 20, dtype
  )


def forward(function, sources, tangents):
  """Returns the values, and their derivative along the tangents."""
  with tf.autodiff.ForwardAccumulator(sources, tangents) as accumulator:
    values = function(sources[0])
  return values, accumulator.jvp(values)


def reverse(function, sources, upstream):
  """Returns the values, and the gradient to each source."""
  with tf.GradientTape() as tape:
    tape.watch(sources[0])
    values = function(sources[0])
  return values, tape.gradient(values, sources, upstream)


def inner(a, b):
  return sum(
    np.sum(np.float64(i) * np.float64(j)) for i, j in zip(a, b, strict=True)
  )


def check_adjoint(module, signals, route, rtol):
  """Checks that <J v, u> = <v, J^T u>, and that neither is zero."""
  sources = [signals, *module.kernels]
  tangents = [noise(s.shape, 1, s.dtype) for s in sources]
  expected = module(signals)
  upstream = noise(expected.shape, 2, expected.dtype)
  values, along = route(forward, module, sources, tangents)
  again, slopes = route(reverse, module, sources, upstream)
  np.testing.assert_allclose(values, expected, rtol=100 * rtol, atol=100 * rtol)
  np.testing.assert_allclose(again, expected, rtol=100 * rtol, atol=100 * rtol)
  scale = float(np.linalg.norm(along) * np.linalg.norm(upstream))
  assert scale > 0 and np.linalg.norm(slopes[0]) > 0
  assert inner([along], [upstream]) == pytest.approx(
    inner(tangents, slopes), abs=rtol * scale
  )


def eager(way, module, sources, others):
  return way(module, sources, others)


def inside(way, module, sources, others, **options):
  """Differentiates in a graph."""

  def run(signals, others):
    return way(module, [signals, *sources[1:]], others)

  return tf.function(run, autograph=False, **options)(sources[0], others)


def around(way, module, sources, others, **options):
  """Differentiates a graph."""
  function = tf.function(lambda s: module(s), autograph=False, **options)
  return way(function, sources, others)


def dynamic(way, module, sources, others):
  spec = tf.TensorSpec([None, None, None], sources[0].dtype)
  return around(way, module, sources, others, input_signature=[spec])


ROUTES = {
  "graph": inside,
  "called graph": around,
  "called graph of any shape": dynamic,
  "XLA": functools.partial(inside, jit_compile=True),
  "called XLA": functools.partial(around, jit_compile=True),
}


@pytest.mark.parametrize(
  "mode, engine",
  [
    *((mode, "fft") for mode in tfspec.config.MODES),
    ("log", "kernel"),
    ("stft", "trainable"),
    ("log", "precise"),
  ],
)
def test_forward_mode_is_the_transpose(mode, engine, small_blocks):
  check_adjoint(spectrogram(mode, engine), clips(), eager, 1e-13)


def slow(*values):
  return pytest.param(*values, marks=pytest.mark.slow)


@pytest.mark.parametrize(
  "mode, engine, route",
  [
    ("log", "fft", "graph"),
    slow("log", "trainable", "called graph"),
    slow("log", "fft", "XLA"),
    slow("log", "trainable", "called XLA"),
    slow("angle", "fft", "called graph of any shape"),
    slow("stft", "kernel", "called XLA"),
    slow("log", "precise", "called XLA"),
  ],
)
def test_forward_mode_on_all_routes(mode, engine, route, small_blocks):
  # The oldest XLA has no float64 FFT.
  dtype = "float32" if "XLA" in route else "float64"
  rtol = 1e-6 if "XLA" in route else 1e-13
  module = spectrogram(mode, engine, dtype)
  check_adjoint(module, clips(dtype), ROUTES[route], rtol)


@pytest.mark.parametrize("needs", [stages.PARTS, stages.POWER])
def test_forward_mode_of_the_form_for_tpu(needs):
  kernels = spectrogram("stft", "trainable").kernels
  matrices = [tf.constant(kernel[:, 0]) for kernel in kernels]
  signals = noise([2, 60])

  def run(signals, *matrices):
    return tf.stack(tpu.kernel(signals, matrices, 6, stages.Kept(needs)))

  sources = [signals, *matrices]
  tangents = [noise(s.shape, 1) for s in sources]
  with tf.autodiff.ForwardAccumulator(sources, tangents) as accumulator:
    values = run(*sources)
  along = accumulator.jvp(values)
  upstream = noise(values.shape, 2)
  with tf.GradientTape() as tape:
    tape.watch(sources)
    values = run(*sources)
  slopes = tape.gradient(values, sources, upstream)
  assert inner([along], [upstream]) == pytest.approx(
    inner(tangents, slopes), rel=1e-12
  )


@pytest.mark.parametrize("samples, jit_compile", [(4000, True), (600000, None)])
def test_a_linear_mode_is_its_own_derivative(samples, jit_compile):
  module = tfspec.Spectrogram(
    tfspec.SpectrogramConfig("real", frame_length=400, frame_step=160)
  )
  run = module
  if jit_compile is not None:
    run = tf.function(module, jit_compile=jit_compile, autograph=False)
  signals, tangent = (
    noise([samples], 0, "float32"),
    noise([samples], 1, "float32"),
  )
  _, along = forward(run, [signals], [tangent])
  window = oracle.window("hann", 400, False, "density")
  expected = oracle.stft(tangent.numpy(), window, 160, 512, "valid").real
  error = np.linalg.norm(along - expected) / np.linalg.norm(expected)
  assert error < 1e-6


def published_gradient(module, signals, weights):
  return reverse(module, [signals, *module.kernels], weights)[1]


@pytest.mark.parametrize(
  "mode, engine, order",
  [
    ("psd", "kernel", "two tapes"),
    ("log", "fft", "around a tape"),
    ("log", "fft", "in a tape"),
    ("angle", "fft", "in a tape"),
    ("log", "trainable", "around a tape"),
  ],
)
def test_second_order(mode, engine, order, small_blocks):
  module = spectrogram(mode, engine)
  signals = noise([2, 60, 1])
  weights = noise(module(signals).shape, 1)
  sources = [signals, *module.kernels]
  tangents = [1e-2 * noise(s.shape, 2) for s in sources]
  gradient = functools.partial(published_gradient, module, weights=weights)
  if order == "around a tape":
    with tf.autodiff.ForwardAccumulator(sources, tangents) as accumulator:
      slopes = gradient(signals)
    actual = [accumulator.jvp(slope) for slope in slopes]
  else:
    with tf.GradientTape() as tape:
      tape.watch(signals)
      if order == "two tapes":
        products = zip(gradient(signals), tangents, strict=True)
        product = tf.add_n([tf.reduce_sum(a * b) for a, b in products])
      else:
        _, along = forward(module, sources, tangents)
        product = tf.reduce_sum(along * weights)
    actual = tape.gradient(product, sources)
  sides = []
  values = [tf.identity(source) for source in sources]
  for step in (1e-5, -1e-5):
    moved = [v + step * t for v, t in zip(values, tangents, strict=True)]
    for kernel, value in zip(module.kernels, moved[1:], strict=True):
      kernel.assign(value)
    sides.append(gradient(moved[0]))
  for a, high, low in zip(actual, *sides, strict=True):
    expected = (high - low) / 2e-5
    scale = np.abs(expected).max()
    np.testing.assert_allclose(a, expected, rtol=1e-5, atol=1e-5 * scale)


@pytest.mark.slow
@pytest.mark.parametrize(
  "engine, jit_compile",
  [slow("fft", None), ("trainable", True)],
)
def test_jacobian(engine, jit_compile, small_blocks):
  dtype, tolerance = ("float32", 1e-5) if jit_compile else ("float64", 1e-12)
  module = spectrogram("log", engine, dtype)
  tangent = noise([2, 60, 1], 1, dtype)

  def run(signals):
    with tf.GradientTape(persistent=True) as tape:
      tape.watch(signals)
      values = module(signals)
    return tape.jacobian(values, signals), tape.batch_jacobian(values, signals)

  if jit_compile:
    run = tf.function(run, jit_compile=True, autograph=False)
  whole, by_clip = run(clips(dtype))
  _, expected = forward(module, [clips(dtype)], [tangent])
  for along in (
    tf.tensordot(whole, tangent, 3),
    tf.einsum("bmkij,bij->bmk", by_clip, tangent),
  ):
    np.testing.assert_allclose(along, expected, rtol=0, atol=50 * tolerance)


@pytest.mark.parametrize(
  "mode, engine", [("log", "fft"), slow("angle", "trainable")]
)
def test_vectorized_map(mode, engine, small_blocks):
  module = spectrogram(mode, engine)
  signals = clips()
  weights = noise(module(signals).shape, 1)
  expected, (slope, *_) = reverse(module, [signals], weights)
  # TensorFlow loses gradients of our own there.
  actual, (around, *_) = reverse(
    lambda s: tf.vectorized_map(module, s), [signals], weights
  )
  within = tf.vectorized_map(
    lambda pair: reverse(module, [pair[0]], pair[1])[1][0], (signals, weights)
  )
  np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12)
  scale = np.abs(slope).max()
  np.testing.assert_allclose(around, slope, rtol=1e-12, atol=1e-12 * scale)
  np.testing.assert_allclose(within, slope, rtol=1e-12, atol=1e-12 * scale)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_forward_mode_of_modes_is_finite(dtype):
  # A graph reorders products behind the transform: none of them may overflow.
  @tf.function(autograph=False)
  def run(frames):
    spectrum = tf.signal.rfft(frames)
    real, imag = tf.math.real(spectrum), tf.math.imag(spectrum)
    ones = tf.ones_like(real)
    with tf.autodiff.ForwardAccumulator(
      [real, imag], [ones, ones]
    ) as accumulator:
      power = real**2 + imag**2
      values = [
        spectrum_ops.angle(real, imag),
        spectrum_ops.log(power, 1e-15),
        spectrum_ops.magnitude(power, 1e-15),
      ]
    return values, accumulator.jvp(values)

  for values in tf.nest.flatten(run(1e3 * tf.eye(8, dtype=dtype))):
    assert np.all(np.isfinite(values)), values


def in_condition(module, signals):
  return tf.cond(
    signals[0] > 0, lambda: module(signals), lambda: module(-signals)
  )


def with_length(module, signals):
  return module(signals[tf.newaxis, :, tf.newaxis], lengths=[20])[0]


# AutoGraph takes seconds to read what has nothing to convert.
as_it_is = tf.autograph.experimental.do_not_convert

MAPPED = {
  "plain": lambda module, signals: module(signals),
  "in a condition": in_condition,
  "in a loop": lambda module, signals: tf.map_fn(module, signals[tf.newaxis]),
  "lengths": with_length,
}


@pytest.mark.parametrize(
  "mapped, samples", [("plain", 20), *((mapped, 60) for mapped in MAPPED)]
)
def test_iterator_is_saved(tmp_path, mapped, samples, small_blocks):
  module = spectrogram("log", "fft")
  dataset = tf.data.Dataset.from_tensor_slices(noise([3, samples]))
  map_fn = functools.partial(MAPPED[mapped], module)
  check_saved(tmp_path, dataset.map(as_it_is(map_fn)))


def test_iterator_over_files_is_saved(tmp_path, small_blocks):
  for i in range(6):
    contents = tf.audio.encode_wav(noise([60, 1], i, "float32"), 16000)
    (tmp_path / f"{i}.wav").write_bytes(contents.numpy())
  files = tf.data.Dataset.list_files(str(tmp_path / "*.wav"), shuffle=False)
  clips = files.map(
    as_it_is(lambda path: {"audio": tfspec.data.load_wav(path)[0]})
  )
  batches = tfspec.data.bucket_by_length(
    clips, [60], 2, key="audio", drop_remainder=True
  )
  module = spectrogram("log", "fft")
  map_fn = tfspec.spectrogram_fn(module, key="audio", lengths_key="lengths")
  check_saved(tmp_path, batches.map(as_it_is(map_fn)))


def check_saved(tmp_path, dataset):
  """Checks that an iterator goes on where it was when it was saved."""
  iterator = iter(dataset)
  next(iterator)
  checkpoint = tf.train.Checkpoint(iterator=iterator)
  path = checkpoint.save(str(tmp_path / "checkpoint"))
  expected = tf.nest.flatten(next(iterator))
  next(iterator)
  checkpoint.restore(path)
  for a, e in zip(tf.nest.flatten(next(iterator)), expected, strict=True):
    np.testing.assert_array_equal(a, e)


def test_a_graph_of_its_own_keeps_its_device(small_blocks):
  # It may run on other devices too, so it must choose between two forms.
  function = tf.function(spectrogram("log", "fft"), autograph=False)
  graph = function.get_concrete_function(noise([60])).graph
  stateful = {o.type for o in graph.get_operations() if o.op_def.is_stateful}
  assert stateful == {"DeviceIndex"}


def test_nothing_is_followed_without_an_accumulator():
  assert not devices.has_tangents([tf.zeros([2])])
  assert not devices.is_vectorized()
