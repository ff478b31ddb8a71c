"""Times what it costs that rows of a request do not see each other.

  python -m tools.batching_cost

Two Keras models of the same layers are exported: one takes `lengths`, and gets
a request in one batch; the other takes none, and gets rows of one length in one
batch. Requests of 16 clips are timed side by side, in random order.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf
from absl import app

import tfspec

_ROWS = 16
_ROUNDS = 25
_RATE_HZ = 8000
_CONFIG = tfspec.SpectrogramConfig(
  frame_length=200, frame_step=80, fft_length=256
)


def models() -> dict[str, keras.Model]:
  """Returns the models: each frame alone, then the mean over the clip."""
  result = {}
  for name in ("lengths", "plain"):
    signals = keras.Input((None, 1), name="signals")
    lengths = keras.Input((), dtype="int32", name="lengths")
    layer = tfspec.layers.STFTSpectrogram.from_spectrogram_config(_CONFIG)
    hidden = keras.layers.Dense(128, activation="relu")
    scores = keras.layers.Dense(5)
    if name == "plain":
      mean = keras.ops.mean(hidden(layer(signals)), axis=1)
      result[name] = keras.Model(signals, scores(mean))
      continue
    frames, count = layer(signals, lengths)
    number = keras.ops.cumsum(keras.ops.ones_like(frames[:, :, :1]), axis=1)
    count = keras.ops.cast(count, "float32")[:, None]
    own = keras.ops.cast(number <= count[:, None], "float32")
    total = keras.ops.sum(hidden(frames) * own, axis=1)
    inputs = {"signals": signals, "lengths": lengths}
    result[name] = keras.Model(inputs, scores(total / count))
  return result


def measure(rounds: int = _ROUNDS) -> dict[str, float]:
  """Returns the median milliseconds of each kind of request."""
  one = np.full(_ROWS, 2 * _RATE_HZ, np.int32)
  unlike = np.linspace(_RATE_HZ, 3 * _RATE_HZ, _ROWS).astype(np.int32)
  random = np.random.default_rng(1)
  served = {}
  with tempfile.TemporaryDirectory() as folder:
    for name, model in models().items():
      path = os.path.join(folder, name, "1")
      tfspec.export_saved_model(model, path)
      served[name] = tf.saved_model.load(path)

  def request(name: str, lengths: np.ndarray, alone: bool) -> Callable:
    serve = served[name].signatures["serving_default"]
    shape = [_ROWS, max(lengths)]
    signals = (0.1 * random.standard_normal(shape)).astype(np.float32)
    batches = [
      (tf.constant(signals[i : i + 1, :n]), tf.constant([n]))
      for i, n in enumerate(lengths)
    ]
    if not alone:
      batches = [(tf.constant(signals), tf.constant(lengths))]

    def run() -> None:
      for rows, own in batches:
        serve(signals=rows, lengths=own)["predictions"].numpy()

    return run

  runs = {
    f"{name}, {kind}{', one request each' if alone else ''}": request(
      name, lengths, alone
    )
    for kind, lengths in (("one length", one), ("unlike lengths", unlike))
    for name in served
    for alone in (False, True)
  }
  times = {key: [] for key in runs}
  for i in range(rounds + 2):
    for key in random.permutation(list(runs)):
      start = time.perf_counter()
      runs[key]()
      if i > 1:  # The first ones trace and warm up.
        times[key].append(1e3 * (time.perf_counter() - start))
  return {key: statistics.median(found) for key, found in times.items()}


def main(argv: Sequence[str]) -> None:
  """Prints the ratios."""
  del argv
  found = measure()
  print("| 16 clips | model with `lengths` | model without |")
  print("|---|---|---|")
  for kind in ("one length", "unlike lengths"):
    base = found[f"lengths, {kind}"]
    for text, end in (("", ""), (", a request each", ", one request each")):
      cells = [
        f"{found[f'{n}, {kind}{end}'] / base:.2f}" for n in ("lengths", "plain")
      ]
      print(f"| of {kind}{text} | {' | '.join(cells)} |")


if __name__ == "__main__":
  app.run(main)
