"""What a Keras model answers to clips, as it was when it was exported.

The answer to a clip is what Keras gives for that clip by itself, without a
batch and without any code of an export. The answers are stored beside an
export, and its signatures are compared with them.
"""

import dataclasses
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO

import numpy as np
import tensorflow as tf

from tfspec import errors
from tfspec.config import SpectrogramConfig
from tfspec.contract import bounds
from tfspec.export.sources import Source

# The largest error of an answer, relative to the largest value of its output:
# another machine adds in another order.
BOUND = 1e-4

# The format of the archive. Format 1 came with exports that put a mask into
# models.
_FORMAT = 2
# If a model does not answer this many samples, the user must say how many.
_MOST_SEARCHED = 1 << 20

Values = Mapping[str, np.ndarray]


class NoAnswerError(ValueError):
  """The model does not answer a clip: it fails, or the answer is not finite."""


@dataclasses.dataclass(frozen=True, eq=False)
class Answer:
  """A clip, and what a model gives for it alone.

  Attributes:
    name: What the clip is.
    signals: Float32 `[samples]`, values that 16 bits can hold.
    outputs: Its outputs by name, without a batch axis; None if the clip is
      refused.
    inside: The outputs of the layer inside the model, "spectrogram" and
      "num_frames"; empty if no signature gives it.
  """

  name: str
  signals: np.ndarray
  outputs: Values | None
  inside: Values


@dataclasses.dataclass(frozen=True, eq=False)
class Answers:
  """The clips of an export.

  Attributes:
    clips: The clips, with their answers.
    max_samples: Rows times samples that a request may have.
    row_samples: The samples that each row counts as, at least.
  """

  clips: Sequence[Answer]
  max_samples: int = 0
  row_samples: int = 0

  @property
  def answered(self) -> list[Answer]:
    """The clips that have an answer."""
    return [clip for clip in self.clips if clip.outputs is not None]

  @property
  def batches(self) -> Iterator[list[Answer]]:
    """The same in batches of unlike lengths, as large as a request may be."""
    batch: list[Answer] = []
    longest = 0
    for clip in sorted(self.answered, key=lambda c: len(c.signals)):
      samples = max(len(clip.signals), self.row_samples)
      is_full = (len(batch) + 1) * samples > self.max_samples
      if batch and (is_full or samples > 8 * longest > 0):
        yield batch
        # One mate is enough for a clip that is far longer.
        batch = batch[:1] if 2 * samples <= self.max_samples else []
      longest = samples
      # The longest is not the last: rows must not be sorted by length.
      batch.insert(len(batch) // 2, clip)
    if batch:
      yield batch


def clips(
  config: SpectrogramConfig,
  min_samples: int,
  samples: int | None,
  long_samples: int = 0,
) -> dict[str, np.ndarray]:
  """Returns the clips that a model is asked, float32 `[samples]`, by name.

  Args:
    config: The config of the layer.
    min_samples: The shortest clip that the model answers.
    samples: The most samples of a clip, None if there is no limit.
    long_samples: The samples of a clip that is far longer than the others, so
      that their padding is long; 0 for no such clip.

  Returns:
    Clips of several lengths and levels, the same bits on every machine. One of
    them, "loud", is beyond full scale; the last one is shorter than
    `min_samples`, if there is such a clip.
  """
  step = config.resolved().frame_step
  length = max(config.frame_length, min_samples) + 5 * step + 3
  random = np.random.Generator(np.random.PCG64(20240229))
  noise = 0.1 * random.standard_normal(3 * length + 7)
  time = np.arange(len(noise)) / length
  chirp = 0.5 * np.sin(0.4 * np.pi * length * time**2)
  impulse = np.zeros(length)
  impulse[length // 2] = 0.9
  found = {
    "noise": noise[:length],
    "chirp": chirp[: length + step // 2 + 1],
    "impulse": impulse,
    "silence": np.zeros(length),
    "quiet": 0.01 * noise[: 2 * length],
    "loud": 50.0 * noise[::-1][:length],
    # Syllables, loud and quiet, as in speech.
    "syllables": noise * np.sin(np.pi * 1.7 * time) ** 2,
    "least": noise[:min_samples],
  }
  if long_samples:
    found["long"] = np.resize(noise[:length], long_samples)
  if min_samples:
    found["less"] = noise[: min_samples - 1]
  return {
    name: (np.round(clip[:samples] * 2**15) / 2**15).astype(np.float32)
    for name, clip in found.items()
  }


def alone(exported: Source, signals: np.ndarray) -> tuple[Values, Values]:
  """Returns the outputs of the model for one clip, and those of its layer.

  Args:
    exported: The model.
    signals: `[samples]`. A model of a fixed number of samples gets the clip
      padded with zeros.

  Returns:
    The outputs and `Source.inside`, without a batch axis.

  Raises:
    NoAnswerError: If the model fails, or an output is not finite.
  """
  batch, lengths = _row(exported, signals)
  before = [variable.numpy() for variable in exported.variables]
  try:
    outputs, inside = map(plain, exported.call(batch, lengths))
    if exported.original is not exported.model:
      given = dataclasses.replace(exported, model=exported.original)
      outputs = plain(given.predict(batch, lengths))
  except Exception as e:  # Whatever layers raise at a clip that is too short.
    raise NoAnswerError(errors.first_line(e)) from e
  for variable, value in zip(exported.variables, before, strict=True):
    if not np.array_equal(variable.numpy(), value, equal_nan=True):
      variable.assign(value)
      raise ValueError(
        "The model must not change its variables when it answers: the next "
        f"answer would be another. Got: a change of {variable.name}."
      )
  for name, value in outputs.items():
    if value.dtype.kind == "f" and not np.all(np.isfinite(value)):
      raise NoAnswerError(f"NaN or infinity in {name!r}")
  if any(len(value) != 1 for value in inside.values()):
    inside = {}
  return (
    {name: value[0] for name, value in outputs.items()},
    {name: value[0] for name, value in inside.items()},
  )


def make(
  exported: Source, signals: Mapping[str, np.ndarray], min_samples: int = 0
) -> list[Answer]:
  """Returns clips with their answers, and refused ones without.

  Args:
    exported: The model.
    signals: The clips by name.
    min_samples: The model is not asked shorter clips: they are refused.
  """
  result = []
  for name, clip in signals.items():
    outputs: Values | None = None
    inside: Values = {}
    if len(clip) >= min_samples:
      try:
        outputs, inside = alone(exported, clip)
      except NoAnswerError:
        pass
    result.append(Answer(name, clip, outputs, inside))
  return result


def least_samples(exported: Source) -> int:
  """Returns the least number of samples that the model answers.

  This assumes that a model which answers some length answers all longer ones.

  Raises:
    ValueError: If it answers none that was tried.
  """
  if exported.samples is not None and not exported.takes_lengths:
    return 0
  most = exported.samples or _MOST_SEARCHED
  clip = np.random.Generator(np.random.PCG64(20240229)).standard_normal(most)
  clip = (0.1 * clip).astype(np.float32)
  graph = _graph(exported)
  reason = ""

  def answers(samples: int) -> bool:
    nonlocal reason
    try:
      check_answered(exported, clip[:samples], graph)
    except NoAnswerError as e:
      reason = str(e)
      return False
    return True

  low, high = -1, 0
  while not answers(high):
    if high == most:
      raise ValueError(
        "The model must give finite answers. Got, for clips of 1, 2, 4 and so "
        f"on up to {most} samples: {reason}. If it answers other lengths, give "
        "min_samples."
      )
    low, high = high, min(max(1, 2 * high), most)
  while high - low > 1:
    middle = (low + high) // 2
    low, high = (low, middle) if answers(middle) else (middle, high)
  return high


def check_answered(
  exported: Source,
  signals: np.ndarray,
  graph: Callable[..., Mapping[str, tf.Tensor]] | None = None,
) -> None:
  """Checks that the model answers a clip, and the same in a graph.

  Some layers return uninitialised memory where a graph raises an error.

  Raises:
    NoAnswerError: If it does not.
  """
  outputs, _ = alone(exported, signals)
  try:
    found = plain((graph or _graph(exported))(*_row(exported, signals)))
  except Exception as e:  # Whatever a model raises in a graph.
    raise NoAnswerError(errors.first_line(e)) from e
  for name, value in outputs.items():
    if not deviation(found[name][0], value, bounds.size_of([value])) <= BOUND:
      raise NoAnswerError(f"another {name!r} in a graph than without")


def deviation(
  found: np.ndarray,
  expected: np.ndarray,
  size: float,
  fill: float | np.ndarray = 0.0,
) -> float:
  """Returns how far an output of one row is off.

  Args:
    found: The output, perhaps padded to that of a longer row.
    expected: What the model gave for the clip alone.
    size: The largest value of the output.
    fill: The padding of `found`.

  Returns:
    The largest difference relative to `size`; infinite if a value is not
    finite, or a shape, a number or a name is another.
  """
  if found.ndim != expected.ndim or np.any(
    np.less(found.shape, expected.shape)
  ):
    return np.inf
  wide = np.zeros(found.shape, expected.dtype)
  if expected.dtype.kind == "f":
    wide += fill
  wide[tuple(map(slice, expected.shape))] = expected
  if expected.dtype.kind != "f":  # Labels and counts are exact.
    return 0.0 if np.array_equal(found, wide) else np.inf
  off = np.abs(found.astype(np.float64) - wide) / size
  return float(np.max(np.where(np.isfinite(off), off, np.inf), initial=0.0))


def save(answers: Answers, file: str | BinaryIO) -> None:
  """Writes answers into a NumPy archive."""
  arrays: dict[str, Any] = {
    "format": np.array(_FORMAT),
    "max_samples": np.array(answers.max_samples),
    "row_samples": np.array(answers.row_samples),
  }
  for clip in answers.clips:
    arrays[f"{clip.name}/signals"] = clip.signals
    for kind, values in (("outputs", clip.outputs), ("inside", clip.inside)):
      for name, value in (values or {}).items():
        arrays[f"{clip.name}/{kind}/{name}"] = value
  np.savez_compressed(file, **arrays)


def load(content: bytes, name: str) -> Answers:
  """Returns the answers in the bytes of an archive.

  Args:
    content: The archive.
    name: What errors call it.

  Raises:
    ValueError: If it is none, or is of an older tfspec.
  """
  try:
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
      arrays = dict(archive)
    found: dict[str, dict[str, Any]] = {}
    for key, value in arrays.items():
      clip, _, rest = key.partition("/")
      if rest:
        found.setdefault(clip, {})[rest] = value
    result = [_clip(name, values) for name, values in found.items()]
    version = int(arrays.get("format", 1))
    limits = [
      int(arrays.get(limit, 0)) for limit in ("max_samples", "row_samples")
    ]
  except Exception as e:  # Whatever a damaged archive makes NumPy raise.
    raise ValueError(
      f"{name}: the file must hold the answers of the model. Got: {e!r}."
    ) from e
  if version != _FORMAT:
    raise ValueError(
      f"{name}: the export must be of this version of tfspec. Got: format "
      f"{version}, this is {_FORMAT}. Older exports put a mask into models "
      "that had none in training: export the model again."
    )
  if all(clip.outputs is None for clip in result):
    raise ValueError(
      f"{name}: the file must hold the answers of the model. Got: none."
    )
  return Answers(result, *limits)


def _clip(name: str, values: Mapping[str, np.ndarray]) -> Answer:
  parts: dict[str, dict[str, np.ndarray]] = {"outputs": {}, "inside": {}}
  for key, value in values.items():
    kind, _, output = key.partition("/")
    if output:
      parts[kind][output] = value
  outputs = parts["outputs"] or None
  return Answer(name, values["signals"], outputs, parts["inside"])


def _row(exported: Source, signals: np.ndarray) -> tuple[tf.Tensor, tf.Tensor]:
  """Returns a batch of one clip, the same in each of its channels."""
  batch = signals[np.newaxis]
  if exported.samples is not None:
    missing = exported.samples - len(signals)
    batch = np.pad(batch, [[0, 0], [0, missing]])
  batch = np.stack([batch] * (exported.channels or 1), exported.channel_axis)
  return tf.constant(batch), tf.constant([len(signals)], tf.int32)


def _graph(exported: Source) -> Callable[..., Mapping[str, tf.Tensor]]:
  """Returns the model as a function of signals and lengths of any size."""
  shape = exported.signals_shape
  if len(shape) == 2:
    shape.insert(exported.channel_axis, 1)
  predict = exported.function(exported.predict)

  def run(signals: tf.Tensor, lengths: tf.Tensor) -> dict[str, tf.Tensor]:
    with exported.as_in_keras():
      return predict(signals, lengths)

  specs = [tf.TensorSpec(shape), tf.TensorSpec([None], tf.int32)]
  return tf.function(run, autograph=False, input_signature=specs)


def plain(outputs: Mapping[str, tf.Tensor]) -> dict[str, np.ndarray]:
  """Returns outputs as arrays that NumPy itself can store."""
  result = {}
  for name, value in outputs.items():
    value = tf.convert_to_tensor(value)
    if value.dtype in (tf.float16, tf.bfloat16):
      value = tf.cast(value, tf.float32)
    array = value.numpy()
    # Strings as bytes: an archive of objects would have to be pickled.
    result[name] = array.astype(bytes) if array.dtype == object else array
  return result
