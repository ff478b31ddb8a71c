"""Times forms of the engines that were tried and rejected, beside today's.

Run it from the root of the repository:

    python -m tools.trials --threads 1

It prints the tables of docs/performance.md: the works W1, W2 and W3 of the
benchmark, all forms in turns, each round in another order. Each form is today's
code with one thing put in another's place; the rows named "in the cache" leave
out what lies around.
"""

import contextlib
import functools
import random
import statistics
from collections.abc import Callable, Iterator
from unittest import mock

import numpy as np
import tensorflow as tf
from absl import app, flags

import tfspec
from tfspec import benchmark, benchmark_peers, benchmark_runs
from tfspec.ops import (
  block_ops,
  device_ops,
  dft_ops,
  shape_ops,
  spectrum_ops,
  stft_ops,
  window_ops,
)
from tools import accuracy

_THREADS = flags.DEFINE_integer(
  "threads", 1, "Threads of TensorFlow.", lower_bound=1
)

_ROUNDS = 15
_WORKS = [
  {**vars(work), "samples": 160000, "floor": 1e-6}
  for work in benchmark.WORKS
  if work.key in ("W1", "W2", "W3")
]

Patch = contextlib.AbstractContextManager


def _blocks(samples: int) -> Patch:
  return mock.patch.object(block_ops, "_BLOCK_SIZE", samples)


def _constant_zeros() -> Patch:
  """Fills what blocks are written to with zeros that XLA knows."""
  return mock.patch.object(
    tf, "fill", lambda shape, value: tf.zeros(shape, value.dtype)
  )


def _framing(frame: Callable[..., tf.Tensor]) -> Patch:
  """Puts another framing in the place of that of the loop over blocks."""

  def write_windowed_frames(
    frames: tf.Tensor, signals: tf.Tensor, window: tf.Tensor, frame_step: int
  ) -> tf.Tensor:
    values = frame(signals, window.shape[0], frame_step) * window
    missing = frames.shape[-1] - window.shape[0]
    return tf.pad(values, [[0, 0], [0, 0], [0, missing]])

  return mock.patch.object(
    shape_ops, "write_windowed_frames", write_windowed_frames
  )


def _no_framing() -> Patch:
  """Leaves out the frames: those of a block are there, whatever they are."""
  constants: dict[tuple, tf.Tensor] = {}

  def write_windowed_frames(
    frames: tf.Tensor, signals: tf.Tensor, window: tf.Tensor, frame_step: int
  ) -> tf.Tensor:
    # One column, lest XLA takes the transform out of the loop.
    return tf.raw_ops.TensorStridedSliceUpdate(
      input=frames,
      begin=[0, 0, 0],
      end=[*frames.shape[:2], 1],
      strides=[1, 1, 1],
      value=signals[:, : frames.shape[1], tf.newaxis],
    )

  def windowed_frames(
    signals: tf.Tensor,
    window: tf.Tensor,
    frame_step: int,
    padded_length: int,
    spare: int = 0,
  ) -> tf.Tensor:
    *leading, samples = signals.shape
    count = (samples - spare - window.shape[0]) // frame_step + 1
    shape = (*leading, count, padded_length)
    if shape not in constants:
      noise = np.random.default_rng(0).standard_normal(shape)
      with tf.init_scope():
        constants[shape] = tf.constant(noise, tf.float32)
    return constants[shape]

  return mock.patch.multiple(
    shape_ops,
    write_windowed_frames=write_windowed_frames,
    windowed_frames=windowed_frames,
  )


def _sums(terms: int) -> Patch:
  return mock.patch.multiple(stft_ops, _MAX_SUM=terms, _MIN_PARTS=1)


def _padded_slices(
  signals: tf.Tensor, frame_length: int, frame_step: int
) -> tf.Tensor:
  """Does what `shape_ops.frame` does, for signals `[batch, samples]`."""
  batch, samples = signals.shape
  frames = (samples - frame_length) // frame_step + 1
  blocks = -(-frame_length // frame_step)
  behind = blocks * frame_step - frame_length
  hops = tf.reshape(
    tf.pad(signals, [[0, 0], [0, behind]]),
    [batch, frames + blocks - 1, frame_step],
  )
  result = tf.zeros([], signals.dtype)
  for i in range(blocks):
    before = i * frame_step
    size = min(frame_step, frame_length - before)
    part = hops[:, i : i + frames, :size]
    after = frame_length - before - size
    result += tf.pad(part, [[0, 0], [0, 0], [before, after]])
  return result


def _ramps(matrix: tf.Tensor) -> list[tf.Tensor]:
  length = matrix.shape[0]
  rising = ((np.arange(length) + 0.5) / length)[:, np.newaxis]
  return [matrix * tf.constant(r, matrix.dtype) for r in (rising, 1 - rising)]


# What is put in another's place, and whether XLA compiles it.
_FFT_FORMS: dict[str, tuple[Callable[[], Patch], bool]] = {
  "as it is, XLA": (contextlib.nullcontext, True),
  "as it is, graph": (contextlib.nullcontext, False),
  "one block, XLA": (lambda: _blocks(1 << 40), True),
  "one block, graph": (lambda: _blocks(1 << 40), False),
  "blocks of 2^16 samples, XLA": (lambda: _blocks(1 << 16), True),
  "blocks of 2^16 samples, graph": (lambda: _blocks(1 << 16), False),
  "blocks of 2^18 samples, XLA": (lambda: _blocks(1 << 18), True),
  "blocks of 2^22 samples, XLA": (lambda: _blocks(1 << 22), True),
  "blocks written to constant zeros, XLA": (_constant_zeros, True),
  "frames joined from slices, XLA": (
    lambda: _framing(shape_ops.frame),
    True,
  ),
  "frames as a sum of padded slices, XLA": (
    lambda: _framing(_padded_slices),
    True,
  ),
  "frames ready in the cache, XLA": (_no_framing, True),
  "frames ready in the cache, graph": (_no_framing, False),
}
_KERNEL_FORMS: dict[str, tuple[Callable[[], Patch], bool]] = {
  "as it is, XLA": (contextlib.nullcontext, True),
  "as it is, graph": (contextlib.nullcontext, False),
  "products of frames, XLA": (
    lambda: mock.patch.object(stft_ops, "_MAX_CONVOLVED", 0),
    True,
  ),
  "one sum, XLA": (lambda: _sums(1 << 20), True),
  "one sum, graph": (lambda: _sums(1 << 20), False),
  "sums up to 256, graph": (lambda: _sums(256), False),
  "sums up to 160, graph": (lambda: _sums(160), False),
  "sums up to 64, graph": (lambda: _sums(64), False),
  "as for a TPU, graph": (
    lambda: mock.patch.object(device_ops, "is_tpu", lambda: True),
    False,
  ),
  "flat windows as the others, graph": (
    lambda: mock.patch.object(window_ops, "is_flat", lambda values: False),
    False,
  ),
  "flat windows by straight ramps, graph": (
    lambda: mock.patch.object(stft_ops, "_split", _ramps),
    False,
  ),
}


def _spectrogram(
  work: dict, engine: str, patch: Patch, jit_compile: bool
) -> Callable[[], tf.Tensor]:
  signals = tf.constant(benchmark_peers.noise(work))[..., tf.newaxis]
  fields = ("mode", "frame_length", "frame_step", "fft_length", "floor")
  config = tfspec.SpectrogramConfig(
    **{name: work[name] for name in fields}, engine=engine
  )
  function = tf.function(tfspec.Spectrogram(config), jit_compile=jit_compile)
  with patch:
    function(signals)  # Traced once, with what is in place now.
  return lambda: function(signals)


def _products_of_ready_frames(
  work: dict, mode: bool, jit_compile: bool
) -> Callable[[], tf.Tensor]:
  """Returns the product in one sum, of frames that are there, and the mode."""
  rows = benchmark_peers.frames(benchmark_peers.noise(work), work)
  frames = tf.constant(rows.reshape(-1, work["frame_length"]))
  kernels = _both_kernels(work)

  def run(frames: tf.Tensor) -> tf.Tensor:
    product = tf.matmul(frames, kernels)
    return _log(product, work) if mode else product

  return functools.partial(tf.function(run, jit_compile=jit_compile), frames)


def _log(product: tf.Tensor, work: dict) -> tf.Tensor:
  parts = tf.split(product, 2, axis=1)
  return spectrum_ops.log(spectrum_ops.power(*parts), work["floor"])


def _both_kernels(work: dict) -> tf.Tensor:
  window = window_ops.window("hann", work["frame_length"], scaling="density")
  kernels = dft_ops.fourier_kernels(window, work["fft_length"])
  return tf.constant(np.concatenate(kernels, axis=1), tf.float32)


def _products_in_cache(work: dict) -> Callable[[], tf.Tensor]:
  """Returns the product with the kernels clip by clip, without a gradient."""
  signals = tf.constant(benchmark_peers.noise(work))
  sizes = work["frame_length"], work["frame_step"]
  both = _both_kernels(work)
  covered = (work["samples"] - sizes[0]) // sizes[1] * sizes[1] + sizes[0]

  def transform(i: tf.Tensor) -> tf.Tensor:
    clip = tf.slice(signals, [i, 0], [1, covered])
    frames = shape_ops.frame(tf.reshape(clip, [-1]), *sizes)
    terms = [
      tf.matmul(frames[:, start : start + cut.shape[0]], cut)
      for start, cut in stft_ops._cuts(both, flat=False)
    ]
    return _log(stft_ops._sum(terms), work)

  clip = tf.function(transform, autograph=False)
  call = clip.get_concrete_function(tf.TensorSpec([], tf.int32))
  clips = tf.range(work["batch"])
  return tf.function(lambda: block_ops.calls(call, clips)[0], autograph=False)


def _steps(work: dict) -> dict[str, Callable[[], tf.Tensor]]:
  """Returns training steps, compiled by XLA: forms of today's, and Keras'."""
  settings = {"kind": "step", "threads": _THREADS.value, "peers": ["keras"]}
  makers = benchmark_runs.prepare({**work, **settings})
  forms = {}
  for name in ("as it is, XLA", "products of frames, XLA", "one sum, XLA"):
    with _KERNEL_FORMS[name][0]():
      forms[name] = makers["tfspec layer, jit"]().call
      forms[name]()  # Traced once, with what is in place now.
  return {**forms, "Keras' layer, XLA": makers["keras, jit"]().call}


def _ratios(work: dict, kind: str, floor: str, forms: dict) -> Iterator[float]:
  """Yields the median time of each form, to that of a floor."""
  bare = benchmark_runs.prepare(
    {**work, "kind": kind, "threads": _THREADS.value, "peers": []}
  )[floor]()
  calls = [bare.call, *forms.values()]
  repeats = list(map(benchmark_peers.count_repeats, calls))
  seconds: list[list[float]] = [[] for _ in calls]
  order = list(range(len(calls)))
  shuffler = random.Random(0)
  for _ in range(_ROUNDS):
    shuffler.shuffle(order)
    for i in order:
      seconds[i].append(benchmark_peers.mean_seconds(calls[i], repeats[i]))
  medians = [statistics.median(times) for times in seconds]
  yield from (median / medians[0] for median in medians[1:])


def _print_table(head: list[str], rows: dict[str, list[str]]) -> None:
  for cells in (head, ["---"] * len(head), *([n, *c] for n, c in rows.items())):
    print("| " + " | ".join(cells) + " |")
  print(flush=True)


def _table(
  floor: str, make: Callable[[dict], dict], kind: str = "spectrogram"
) -> dict[str, list[str]]:
  rows: dict[str, list[str]] = {}
  for work in _WORKS:
    forms = make(work)
    ratios = _ratios(work, kind, floor, forms)
    for name, ratio in zip(forms, ratios, strict=True):
      rows.setdefault(name, []).append(f"{ratio:.2f}")
  return rows


def _error(patch: Patch, jit_compile: bool, window: str | None) -> str:
  with patch:
    errors = (
      accuracy.measure(sizes, window, "kernel", "float32", jit_compile)
      for sizes in accuracy.SIZES
    )
    return f"{max(errors):.1e}"


def main(argv: list[str]) -> None:
  """Prints the tables."""
  del argv
  benchmark_peers.limit_threads(tf, _THREADS.value)

  def fft_forms(work: dict) -> dict:
    return {
      name: _spectrogram(work, "fft", patch(), jit_compile)
      for name, (patch, jit_compile) in _FFT_FORMS.items()
    }

  def kernel_forms(work: dict) -> dict:
    forms = {
      name: _spectrogram(work, "kernel", patch(), jit_compile)
      for name, (patch, jit_compile) in _KERNEL_FORMS.items()
    }
    forms["clips in the cache, no gradient, graph"] = _products_in_cache(work)
    for mode, name in ((False, "bare product"), (True, "product and mode")):
      for jit_compile, way in ((True, "XLA"), (False, "graph")):
        if mode or jit_compile:  # A bare product in a graph is what is 1 here.
          forms[f"{name} of ready frames, {way}"] = _products_of_ready_frames(
            work, mode, jit_compile
          )
    return forms

  works = ["W1", "W2", "W3"]
  rows = _table("floor: rfft", fft_forms)
  _print_table(["fft engine, time to a bare rfft", *works], rows)
  rows = _table("floor: matmul", kernel_forms)
  for name, cells in rows.items():
    if name in _KERNEL_FORMS:  # The others have the sums of one of these.
      patch, jit_compile = _KERNEL_FORMS[name]
      cells += [_error(patch(), jit_compile, w) for w in ("hann", None)]
    else:
      cells += ["", ""]
  head = ["kernel engine, time to a bare product", *works]
  errors = ["largest error, hann", "largest error, flat"]
  _print_table([*head, *errors], rows)
  rows = _table("floor: matmul", _steps, "step")
  _print_table(["training step, time to two bare products", *works], rows)


if __name__ == "__main__":
  app.run(main)
