"""Frames in blocks: in graphs, compiled by XLA, differentiated and saved."""

import re

import numpy as np
import pytest
import tensorflow as tf

import tfspec
from tests import lanes
from tfspec.ops.engines import blockwise

SHAPES = pytest.mark.parametrize(
  "batch, samples, block_frames, sizes",
  [
    (12, 100, 24, (50, 20, 64)),  # Two clips of three frames in a block.
    (13, 100, 24, (50, 20, 64)),  # The last block has clips of that before.
    (3, 500, 7, (50, 20, 64)),  # Parts of a clip, the last of them cut.
    (3, 496, 1, (50, 20, 64)),  # Many parts, in groups that end past the clip.
    (2, 650, 3, (50, 20, 64)),  # Groups of fewer parts than there may be.
    (1, 500, 7, (50, 20, 64)),
    (3, 200, 30, (70, 2, 70)),  # More hops in a frame than are joined.
    (3, 900, 4, (20, 20, 33)),  # No overlap.
  ],
)


@SHAPES
@pytest.mark.parametrize("jit_compile", lanes.every(2, [None, False, True]))
def test_blocks_equal_whole(
  monkeypatch, batch, samples, block_frames, sizes, jit_compile
):
  # The oldest XLA has no float64 FFT.
  dtype, atol = (np.float32, 1e-5) if jit_compile else (np.float64, 1e-14)
  noise = np.random.default_rng(0).standard_normal([batch, samples])
  signals = tf.constant(noise.astype(dtype))

  def run(signals):
    with tf.GradientTape() as tape:
      tape.watch(signals)
      real, imag = tfspec.stft(signals, *sizes)
      loss = tf.reduce_sum(tf.math.atan(real) + imag**2)
    return real, imag, tape.gradient(loss, signals)

  expected = run(signals)
  monkeypatch.setattr(blockwise, "_BLOCK_SIZE", block_frames * sizes[2])
  blocks = []
  transform = tf.signal.rfft
  monkeypatch.setattr(
    tf.signal, "rfft", lambda *a: blocks.append(a[0].shape) or transform(*a)
  )
  if jit_compile is not None:
    run = tf.function(run, jit_compile=jit_compile)
  actual = run(signals)
  for a, e in zip(actual, expected, strict=True):
    np.testing.assert_allclose(a, e, rtol=max(1e-7, atol), atol=atol)
  # The gradient has all frames at once, and what a graph does on other devices.
  counts = [shape[:-1].num_elements() for shape in blocks]
  whole = 2 if jit_compile is False else 1
  assert sum(count > block_frames for count in counts) == whole
  assert len(counts) > whole


@SHAPES
@pytest.mark.parametrize("known", lanes.every(3, [((),), ((0,),), ((1,),)]))
def test_blocks_of_unknown_shape_equal_whole(
  monkeypatch, batch, samples, block_frames, sizes, known
):
  noise = np.random.default_rng(0).standard_normal([batch, samples])
  expected = tfspec.stft(noise, *sizes)
  monkeypatch.setattr(blockwise, "_BLOCK_SIZE", block_frames * sizes[2])
  transform = tf.signal.rfft

  def transform_block(frames):
    count = tf.size(frames) // sizes[2]
    limit = tf.debugging.assert_less_equal(count, block_frames)
    with tf.control_dependencies([limit]):
      return transform(tf.identity(frames))

  monkeypatch.setattr(tf.signal, "rfft", transform_block)
  shape = [n if i in known else None for i, n in enumerate(noise.shape)]
  stft = tf.function(
    lambda signals: tfspec.stft(signals, *sizes),
    input_signature=[tf.TensorSpec(shape, tf.float64)],
  )
  for a, e in zip(stft(noise), expected, strict=True):
    np.testing.assert_allclose(a, e, rtol=1e-7, atol=1e-14)


@pytest.mark.slow
@pytest.mark.parametrize("jit_compile", [False, True])
def test_derivatives_of_blocks_of_unknown_shape(monkeypatch, jit_compile):
  signals = tf.random.stateless_normal([2, 500], [0, 0])
  shape = tf.TensorSpec([None, None])

  def loss(signals):
    real, imag = tfspec.stft(signals, 50, 20, 64)
    return tf.reduce_sum(tf.math.atan(real) + imag**2, [1, 2])

  def backward(signals):
    with tf.GradientTape() as outer:
      outer.watch(signals)
      with tf.GradientTape() as inner:
        inner.watch(signals)
        value = loss(signals)
      slopes = inner.gradient(value, signals)
      norm = tf.reduce_sum(slopes**2)
    return slopes, outer.gradient(norm, signals)

  def forward(signals):
    with tf.autodiff.ForwardAccumulator(signals, signals) as accumulator:
      value = loss(signals)
    return (accumulator.jvp(value),)

  def rows(signals):
    return (tf.vectorized_map(lambda s: loss(s[tf.newaxis]), signals),)

  expected = [run(signals) for run in (backward, forward, rows)]
  monkeypatch.setattr(blockwise, "_BLOCK_SIZE", 7 * 64)
  for run, values in zip((backward, forward, rows), expected, strict=True):
    function = tf.function(
      run, jit_compile=jit_compile, input_signature=[shape]
    )
    for a, e in zip(function(signals), values, strict=True):
      np.testing.assert_allclose(a, e, rtol=1e-4, atol=1e-4)
  # A trace that knows of no accumulator.
  trace = tf.function(loss, input_signature=[shape])
  with tf.autodiff.ForwardAccumulator(signals, signals) as accumulator:
    value = trace(signals)
  np.testing.assert_allclose(
    accumulator.jvp(value), expected[1][0], rtol=1e-4, atol=1e-4
  )


def test_blocks_of_unknown_shape_compile_too():
  signals = tf.random.stateless_normal([2, 700000], [0, 0])
  function = tf.function(
    lambda s: tfspec.stft(s, 400, 160, 512),
    input_signature=[tf.TensorSpec([None, None])],
  )
  expected, _ = function(signals)
  compiled = tf.function(lambda s: function(s)[0], jit_compile=True)
  np.testing.assert_allclose(compiled(signals), expected, atol=1e-5)
  trace = function.get_concrete_function()
  compiled = tf.function(lambda s: trace(s)[0], jit_compile=True)
  np.testing.assert_allclose(compiled(signals), expected, atol=1e-5)


def test_long_clips_are_written_in_place():
  stft = tf.function(
    lambda s: tfspec.stft(s, 400, 160, 512)[0], jit_compile=True
  )
  signals = tf.zeros([1, 16000 * 60])
  hlo = stft.experimental_get_compiler_ir(signals)(stage="optimized_hlo")
  frames = (16000 * 60 - 400) // 160 + 1
  main = hlo.partition("ENTRY")[2]
  values = re.findall(rf"= f32\[1,{frames},257\]\S* ([a-z-]+)\(", main)
  # The zeros that are written to, and what the loop returns.
  assert len(values) == 2 and values[-1] == "get-tuple-element", values
  assert not re.search(rf"f32\[1,{frames},257\]\S* copy\(", hlo)


def test_results_of_more_values_than_an_int32_counts():
  day = tf.TensorSpec([1, 24 * 3600 * 16000])
  stft = tf.function(lambda s: tfspec.stft(s, 400, 160, 512))
  real, _ = stft.get_concrete_function(day).structured_outputs
  assert real.shape == [1, 8639998, 257]


def test_eager_blocks_are_not_for_accelerators(monkeypatch):
  rows = []
  transform = tf.signal.rfft
  monkeypatch.setattr(
    tf.signal, "rfft", lambda *a: rows.append(a[0].shape) or transform(*a)
  )
  signals = tf.zeros([3, 500])
  monkeypatch.setattr(blockwise, "_BLOCK_SIZE", 7 * 64)
  tfspec.stft(signals, 50, 20, 64)
  assert len(rows) > 1
  rows.clear()
  gpu = tf.config.PhysicalDevice("/physical_device:GPU:0", "GPU")
  monkeypatch.setattr(tf.config, "get_visible_devices", lambda: [gpu])
  tfspec.stft(signals, 50, 20, 64)
  assert rows == [[3, 23, 64]]


def test_blocks_are_not_for_accelerators(monkeypatch):
  rows = []
  transform = tf.signal.rfft
  monkeypatch.setattr(
    tf.signal, "rfft", lambda *a: rows.append(a[0].shape[-2]) or transform(*a)
  )
  gpu = tf.config.PhysicalDevice("/physical_device:GPU:0", "GPU")
  monkeypatch.setattr(tf.config, "get_visible_devices", lambda: [gpu])
  stft = tf.function(
    lambda s: tfspec.stft(s, 400, 160, 512)[0], jit_compile=True
  )
  signals = tf.zeros([1, 16000 * 60])
  assert stft(signals).shape[1] == rows[-1]
  hlo = stft.experimental_get_compiler_ir(signals)(stage="optimized_hlo")
  assert "while(" not in hlo


@pytest.mark.parametrize("jit_compile", [False, True])
def test_second_derivatives_of_blocks(monkeypatch, jit_compile):
  signals = tf.random.stateless_normal([2, 500], [0, 0])

  def run(signals):
    with tf.GradientTape() as outer:
      outer.watch(signals)
      with tf.GradientTape() as inner:
        inner.watch(signals)
        real, imag = tfspec.stft(signals, 50, 20, 64)
        loss = tf.reduce_sum(tf.math.atan(real) + imag**2)
      slopes = tf.reduce_sum(inner.gradient(loss, signals) ** 2)
    return outer.gradient(slopes, signals)

  expected = run(signals)
  monkeypatch.setattr(blockwise, "_BLOCK_SIZE", 7 * 64)
  actual = tf.function(run, jit_compile=jit_compile)(signals)
  np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


def test_blocks_traced_for_a_graph_compile_too():
  signals = tf.random.stateless_normal([2, 700000], [0, 0])
  function = tf.function(lambda s: tfspec.stft(s, 400, 160, 512))
  expected, _ = function(signals)
  # The trace is used again, inside a program for XLA.
  trace = function.get_concrete_function(signals)

  @tf.function(jit_compile=True)
  def run(signals):
    return trace(signals)

  np.testing.assert_allclose(run(signals)[0], expected, atol=1e-5)


def test_blocks_traced_for_xla_run_in_a_graph_too():
  signals = tf.random.stateless_normal([2, 700000], [0, 0])
  inner = tf.function(lambda s: tfspec.stft(s, 400, 160, 512)[0])
  expected = tf.function(lambda s: inner(s), jit_compile=True)(signals)
  # TensorFlow takes the trace that it has.
  np.testing.assert_array_equal(inner(signals), expected)


def test_blocks_run_wherever_graphs_do(tmp_path):
  # One batch of short clips, and one of clips that are parted.
  for shape in ([48, 16000], [2, 700000]):
    signals = tf.random.stateless_normal(shape, [0, 0])
    function = tf.function(lambda s: tfspec.stft(s, 400, 160, 512)[0])
    module = tf.Module()
    module.stft = function
    expected = function(signals)
    operations = {
      node.op
      for graph in function.get_concrete_function(signals)
      .graph.as_graph_def()
      .library.function
      for node in graph.node_def
    }
    assert "MapDefun" in operations
    path = str(tmp_path / str(shape[0]))
    tf.saved_model.save(module, path)
    loaded = tf.saved_model.load(path).stft(signals)
    np.testing.assert_array_equal(loaded, expected)
    dataset = tf.data.Dataset.from_tensors(signals).map(function)
    np.testing.assert_array_equal(next(iter(dataset)), expected)
