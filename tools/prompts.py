"""Voice prompts in five languages, as `tools/fetch_corpus.sh` fetches them."""

import collections
import dataclasses
import hashlib
import math
import pathlib
import re

import numpy as np
import tensorflow as tf

import tfspec

LANGUAGES = ("en", "es", "fr", "it", "ru")
RATE_HZ = 8000
_SAMPLES = 2 * RATE_HZ
_HELD_OUT = 0.2


@dataclasses.dataclass(frozen=True, eq=False)
class Clips:
  """Clips of speech, cut or filled up to `_SAMPLES`.

  Attributes:
    files: Where they come from.
    signals: Float32 `[clips, samples, 1]`.
    lengths: How many samples of each are its own.
    labels: Index in `LANGUAGES` of each.
  """

  files: np.ndarray
  signals: np.ndarray
  lengths: np.ndarray
  labels: np.ndarray

  def __len__(self) -> int:
    return len(self.files)

  def __getitem__(self, index: np.ndarray) -> "Clips":
    values = (getattr(self, f.name) for f in dataclasses.fields(self))
    return Clips(*(value[index] for value in values))

  @property
  def inputs(self) -> dict[str, np.ndarray]:
    """What the model takes."""
    return {"signals": self.signals, "lengths": self.lengths}


def language_of(path: pathlib.Path) -> str | None:
  """Returns the language that a folder of a path names, such as `en_US`."""
  for part in path.parts[:-1]:
    if re.match(rf"({'|'.join(LANGUAGES)})(_|$)", part):
      return part[:2]
  return None


def load(corpus: pathlib.Path, shortest: int) -> tuple[Clips, dict[str, int]]:
  """Reads the clips of a corpus.

  Args:
    corpus: Folder with a folder of WAV files, at any depth, for each language.
    shortest: How many samples a clip must have.

  Returns:
    All clips that hold speech, each once; and how many are left out, by reason.

  Raises:
    ValueError: If there is a language without clips.
  """
  owners = collections.defaultdict(list)
  left_out = collections.Counter()
  for path in sorted(corpus.rglob("*.wav")):
    language = language_of(path.relative_to(corpus))
    if language is None or "silence" in path.parts:
      left_out["not speech of a language"] += 1
    else:
      digest = hashlib.sha256(path.read_bytes()).digest()
      owners[digest].append((str(path), LANGUAGES.index(language)))
  files, labels = [], []
  for copies in owners.values():
    if len({label for _, label in copies}) > 1:  # Tones and the like.
      left_out["the same in several languages"] += len(copies)
      continue
    left_out["a copy"] += len(copies) - 1
    files.append(copies[0][0])
    labels.append(copies[0][1])

  def read(path: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    signals, _ = tfspec.data.load_wav(path, 1, RATE_HZ)
    signals = signals[:_SAMPLES]
    length = tf.shape(signals)[0]
    signals = tf.pad(signals, [[0, _SAMPLES - length], [0, 0]])
    return tf.ensure_shape(signals, [_SAMPLES, 1]), length

  dataset = tf.data.Dataset.from_tensor_slices(files)
  dataset = dataset.map(read, num_parallel_calls=tf.data.AUTOTUNE)
  signals, lengths = next(iter(dataset.batch(len(files))))
  clips = Clips(
    np.array(files), signals.numpy(), lengths.numpy(), np.array(labels)
  )
  is_long = clips.lengths >= shortest
  left_out["shorter than a frame"] += int(np.sum(~is_long))
  clips = clips[is_long]
  counts = np.bincount(clips.labels, minlength=len(LANGUAGES))
  if not counts.all():
    raise ValueError(
      "corpus must have clips of each language. Got: "
      f"{dict(zip(LANGUAGES, counts.tolist(), strict=True))} in {corpus}."
    )
  return clips, +left_out


def split(clips: Clips, seed: int) -> tuple[Clips, Clips]:
  """Returns clips to train with and clips held out, of each language alike."""
  random = np.random.default_rng(seed)
  train, held_out = [], []
  for label in range(len(LANGUAGES)):
    indices = random.permutation(np.flatnonzero(clips.labels == label))
    count = math.ceil(_HELD_OUT * len(indices))
    held_out.append(indices[:count])
    train.append(indices[count:])
  return clips[np.concatenate(train)], clips[np.concatenate(held_out)]
