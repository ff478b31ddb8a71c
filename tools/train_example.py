"""Trains a model that tells spoken languages apart, and takes it to a server.

    bash tools/fetch_corpus.sh corpus
    python -m tools.train_example --corpus corpus --output trained

docs/training.md explains it and shows what came out.
"""

import argparse
import dataclasses
import math
import pathlib
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence

import keras
import numpy as np
import scipy.stats
import tensorflow as tf
from absl import logging

import tfspec
from tools import cpp_loader, prompts, trained_kernels
from tools.prompts import LANGUAGES, RATE_HZ, Clips

_BATCH = 32
KINDS = ("fixed", "trainable")
# The kernels wait until the rest is trained: Adam's first steps change each
# weight by the learning rate, however small the gradient. The kernels' largest
# value is 0.12.
_FIRST_RATE = 2e-3
# The gradient of a logarithm is up to 1 / floor. At the default floor it is
# mostly that of the weakest bins, which are rounding errors.
_FLOOR = 1e-3
FRONT_ENDS = ("log", "log_mel")
_BANDS = 40
_ANSWERS = 50  # Held-out files that are sent to the exported model.


@dataclasses.dataclass(frozen=True, eq=False)
class Result:
  """What came out of one seed.

  Attributes:
    seed: The seed.
    held_out: The clips that were held out.
    answers: The index of the language that was named for each, by kind.
    model: The model with trained kernels.
  """

  seed: int
  held_out: Clips
  answers: dict[str, np.ndarray]
  model: keras.Model

  def right(self, kind: str) -> np.ndarray:
    """Returns whether each held-out clip got its language."""
    return self.answers[kind] == self.held_out.labels


def front_end(kind: str = "log") -> tfspec.layers.STFTSpectrogram:
  """Returns the layer, its kernels fixed at the Fourier transform.

  Args:
    kind: One of `FRONT_ENDS`: the logarithm of all bins, or of mel bands.
  """
  values = dict(mode="log", floor=_FLOOR)
  if kind == "log_mel":
    values = dict(
      mode="power",
      filter_bank=tfspec.FilterBank(_BANDS),
      compression=tfspec.Compression(floor=_FLOOR**2),
    )
  return tfspec.layers.STFTSpectrogram(
    frame_length=200,
    frame_step=80,
    fft_length=256,
    sample_rate_hz=RATE_HZ,
    trainable=False,
    name="spectrogram",
    **values,
  )


def make_model(kind: str = "log") -> keras.Model:
  """Returns the model: signals and lengths in, probabilities out.

  It takes clips of any length; only training needs them to be alike.

  Args:
    kind: See `front_end`.
  """
  signals = keras.Input((None, 1), name="signals")
  lengths = keras.Input((), dtype="int32", name="lengths")
  frames, count = front_end(kind)(signals, lengths)
  values = keras.layers.BatchNormalization()(frames)
  for filters in (48, 64):
    # Zeros on both sides by hand, the same for all lengths, and enough for a
    # clip without frames, of which a convolution would fail.
    values = keras.layers.ZeroPadding1D((2, 3))(_own(values, count))
    values = keras.layers.Conv1D(filters, 5, strides=2, activation="relu")(
      values
    )
    count = (count + 1) // 2
  total = keras.ops.sum(_own(values, count), axis=1)
  count = keras.ops.cast(keras.ops.maximum(count, 1), "float32")
  mean = total / count[:, None]
  mean = keras.layers.Dropout(0.3)(mean)
  scores = keras.layers.Dense(len(LANGUAGES), activation="softmax")(mean)
  return keras.Model({"signals": signals, "lengths": lengths}, scores)


def _own(
  values: keras.KerasTensor, count: keras.KerasTensor
) -> keras.KerasTensor:
  """Returns the values with zeros behind the first `count` of each clip."""
  number = keras.ops.cumsum(keras.ops.ones_like(values[:, :, :1]), axis=1)
  count = keras.ops.cast(count, "float32")[:, None, None]
  return values * keras.ops.cast(number <= count, "float32")


def fit(
  model: keras.Model,
  clips: Clips,
  learning_rate: float,
  epochs: int,
  seed: int,
  name: str,
) -> None:
  """Trains a model with XLA.

  Args:
    model: The model.
    clips: What to train with.
    learning_rate: That of Adam.
    epochs: Passes over the clips.
    seed: Of the order of the clips.
    name: What the progress is reported under.
  """
  model.compile(
    keras.optimizers.Adam(learning_rate),
    "sparse_categorical_crossentropy",
    metrics=["accuracy"],
    jit_compile=True,
    steps_per_execution=10,
  )
  dataset = tf.data.Dataset.from_tensor_slices((clips.inputs, clips.labels))
  dataset = dataset.shuffle(len(clips), seed=seed)
  # With the remainder there would be a second shape to compile.
  dataset = dataset.batch(min(_BATCH, len(clips)), drop_remainder=True)

  def report(epoch: int, logs: dict[str, float]) -> None:
    _say(
      f"{name}, epoch {epoch + 1} of {epochs}: loss {logs['loss']:.3f}, "
      f"accuracy {logs['accuracy']:.3f}"
    )

  callback = keras.callbacks.LambdaCallback(on_epoch_end=report)
  model.fit(
    dataset.prefetch(2),
    epochs=epochs,
    verbose=0,
    shuffle=False,
    callbacks=[callback],
  )


def answers(model: keras.Model, clips: Clips) -> np.ndarray:
  """Returns the index of the language that the model names for each clip."""
  scores = model.predict(clips.inputs, batch_size=len(clips), verbose=0)
  return np.argmax(scores, axis=1)


def accuracy(right: np.ndarray) -> str:
  """Returns an accuracy with its counts and its 95% interval, by Wilson."""
  count = int(np.sum(right))
  interval = scipy.stats.binomtest(count, len(right)).proportion_ci(
    method="wilson"
  )
  return (
    f"{np.mean(right):.1%} ({count} of {len(right)}; "
    f"{interval.low:.1%} to {interval.high:.1%})"
  )


def served_model(model: keras.Model) -> keras.Model:
  """Returns the model that also gives the language by name.

  Strings do not compile under XLA: the name is no part of what is trained.
  """
  scores = model.outputs[0]
  language = keras.layers.StringLookup(
    vocabulary=list(LANGUAGES), num_oov_indices=0, invert=True
  )(keras.ops.argmax(scores, axis=-1))
  inputs = {tensor.name: tensor for tensor in model.inputs}
  outputs = {"probabilities": scores, "language": language}
  return keras.Model(inputs, outputs)


def check_answers(
  model: keras.Model, export: pathlib.Path, files: Sequence[str]
) -> float:
  """Compares what TensorFlow's C++ loader answers with what Keras answers.

  Args:
    model: The Keras model.
    export: Its SavedModel.
    files: WAV files, of any length.

  Returns:
    The largest difference of two probabilities.

  Raises:
    RuntimeError: If it is above 1e-4, or a language is another.
  """
  requests, expected = [], []
  for file in files:
    requests.append(("wav", {"wav_bytes": [pathlib.Path(file).read_bytes()]}))
    signals, _ = tfspec.data.load_wav(file, 1, RATE_HZ)
    inputs = {"signals": signals[None], "lengths": tf.shape(signals)[:1]}
    expected.append(model(inputs, training=False))
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    cpp_loader.build(folder / "loader")
    answers = cpp_loader.run(folder / "loader", export, requests, folder)
  largest = 0.0
  for file, answer, outputs in zip(files, answers, expected, strict=True):
    if isinstance(answer, str):
      raise RuntimeError(f"{file}: an answer must come. Got: {answer}")
    scores = outputs["probabilities"].numpy()
    difference = float(np.max(np.abs(answer["probabilities"] - scores)))
    languages = answer["language"][0], outputs["language"].numpy()[0]
    if not difference <= 1e-4 or languages[0] != languages[1]:
      raise RuntimeError(
        f"{file}: the C++ loader must answer as Keras does. Got: probabilities "
        f"off by {difference}, languages {languages}."
      )
    largest = max(largest, difference)
  return largest


def compare(
  clips: Clips, seed: int, epochs: int, rate: float, kind: str = "log"
) -> Result:
  """Trains a model, then on with its kernels fixed and, again, trainable.

  Args:
    clips: All clips.
    seed: Of the split, the initial weights and the order of the clips.
    epochs: Passes before, and passes after.
    rate: Learning rate after.
    kind: See `front_end`.
  """
  training, held_out = prompts.split(clips, seed)
  keras.utils.set_random_seed(seed)
  first = make_model(kind)
  fit(first, training, _FIRST_RATE, epochs, seed, f"seed {seed}, first")
  found, models = {}, {}
  for kernels in KINDS:
    keras.utils.set_random_seed(seed)
    models[kernels] = model = keras.models.clone_model(first)
    model.set_weights(first.get_weights())
    model.get_layer("spectrogram").trainable = kernels == "trainable"
    name = f"seed {seed}, {kernels} kernels"
    fit(model, training, rate, epochs, seed, name)
    found[kernels] = answers(model, held_out)
    right = found[kernels] == held_out.labels
    _say(f"{name}, held out: {accuracy(right)}")
  return Result(seed, held_out, found, models["trainable"])


def table(results: list[Result]) -> Iterator[str]:
  """Yields lines of Markdown: held-out accuracies, and those of languages."""
  yield "| seed | fixed | trainable | only fixed right | only trainable right |"
  yield "|---|---|---|---|---|"
  for result in results:
    fixed, trainable = (result.right(kind) for kind in KINDS)
    yield (
      f"| {result.seed} | {accuracy(fixed)} | {accuracy(trainable)} | "
      f"{np.sum(fixed & ~trainable)} | {np.sum(trainable & ~fixed)} |"
    )
  yield ""
  yield f"| language, all seeds | {' | '.join(KINDS)} |"
  yield "|---|---|---|"
  labels = np.concatenate([result.held_out.labels for result in results])
  for label, language in enumerate(LANGUAGES):
    own = labels == label
    cells = []
    for kind in KINDS:
      right = np.concatenate([result.right(kind) for result in results])
      cells.append(f"{np.mean(right[own]):.1%}")
    yield f"| {language} | {' | '.join(cells)} |"


def run(
  corpus: pathlib.Path,
  output: pathlib.Path,
  seeds: Sequence[int],
  epochs: int,
  rate: float,
  kind: str = "log",
) -> dict[str, float | bool | None]:
  """Trains, saves, exports, serves, verifies and draws.

  Args:
    corpus: Folder of WAV files.
    output: Folder that does not exist yet.
    seeds: Of the split, the initial weights and the order of the clips.
    epochs: Passes before the kernels train, and passes after.
    rate: Learning rate after.
    kind: See `front_end`.

  Returns:
    "verified", whether `tfspec.verify` passed; "difference", the largest one
    between an answer of the C++ loader and one of Keras, or None where there is
    no compiler; "moved", the largest relative change of a kernel.
  """
  output.mkdir(parents=True)
  clips, left_out = prompts.load(
    corpus, front_end().spectrogram_config.frame_length
  )
  _say(
    f"{len(clips)} clips; left out: "
    + ", ".join(f"{count} ({why})" for why, count in left_out.items())
  )
  results = [compare(clips, seed, epochs, rate, kind) for seed in seeds]
  results[0].model.save(output / "model.keras")
  lines = list(table(results))
  (output / "accuracy.md").write_text("\n".join(lines) + "\n")
  # From here on the file is all that is left of the training.
  model = keras.saving.load_model(output / "model.keras", compile=False)
  before = trained_kernels.kernels_of(front_end(kind))
  after = trained_kernels.kernels_of(model.get_layer("spectrogram"))
  trained_kernels.draw(before, after, output / "kernels.png")
  far = [trained_kernels.heard_far(kernels) for kernels in (before, after)]
  _say(
    "tones more than 1 kHz from a bin: heard at up to "
    f"{far[0]:.0f} dB before, {far[1]:.0f} dB after"
  )
  model = served_model(model)
  export = output / "models" / "language" / "1"
  tfspec.export_saved_model(model, export)
  _say(f"exported to {export}")
  difference = None
  if shutil.which("g++") is None:
    _say("not checked: the C++ loader's answers, as there is no g++")
  else:
    files = results[0].held_out.files
    files = files[:: math.ceil(len(files) / _ANSWERS)]
    difference = check_answers(model, export, files)
    _say(
      f"{len(files)} held-out files: TensorFlow's C++ loader answers as Keras "
      f"does, probabilities off by at most {difference:.1e}"
    )
  report = tfspec.verify(export)
  print(report)
  print("\n".join(lines))
  return {
    "verified": report.ok,
    "difference": difference,
    "moved": float(np.max(trained_kernels.relative_change(before, after))),
  }


_START = time.monotonic()


def _say(text: str) -> None:
  print(f"[{time.monotonic() - _START:4.0f} s] {text}", flush=True)


def main() -> None:
  """Runs the example."""
  parser = argparse.ArgumentParser(prog="python -m tools.train_example")
  parser.add_argument(
    "--corpus", type=pathlib.Path, required=True, help="Folder of WAV files."
  )
  parser.add_argument(
    "--output",
    type=pathlib.Path,
    required=True,
    help="Folder to write, which must not exist yet.",
  )
  parser.add_argument(
    "--seeds",
    type=int,
    nargs="+",
    default=[1, 2, 3],
    help="Each trains all models once.",
  )
  parser.add_argument(
    "--epochs",
    type=int,
    default=6,
    help="Passes over the clips before the kernels train, and after.",
  )
  parser.add_argument(
    "--rate",
    type=float,
    default=3e-5,
    help="Learning rate while the kernels train.",
  )
  parser.add_argument(
    "--front_end",
    dest="kind",
    choices=FRONT_ENDS,
    default="log",
    help="The logarithm of all bins, or of mel bands.",
  )
  logging.set_verbosity(logging.ERROR)  # TensorFlow tells what it saves.
  found = run(**vars(parser.parse_args()))
  if not found["verified"]:
    raise RuntimeError("The export must be verified. See the report above.")


if __name__ == "__main__":
  main()
