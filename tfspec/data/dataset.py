"""Map functions for `tf.data`."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tfspec import errors
from tfspec.config import SpectrogramConfig
from tfspec.spectrogram import Spectrogram


def spectrogram_fn(
  config: SpectrogramConfig | Spectrogram,
  key: str | None = None,
  lengths_key: str | None = None,
  padding_value: float = 0.0,
) -> Callable[..., Any]:
  """Returns a function for `tf.data.Dataset.map`.

  An element is a waveform, a tuple that starts with one, or with `key` a dict
  (or a tuple that starts with a dict) that holds one. The waveform is replaced
  by its spectrogram; everything else passes through. Clips of all lengths share
  one trace if the dataset leaves their length open.

  Args:
    config: What to compute. A `Spectrogram` where kernels were trained.
    key: The name of the waveform in elements that are dicts.
    lengths_key: The name of the lengths beside it, for clips that are padded at
      their end: the valid samples of each, integers `[batch]`. They are
      replaced by the number of frames of each. Elements that are
      `(signals, lengths)` need no such name: map the `Spectrogram` itself.
    padding_value: With lengths, what stands behind the frames of a clip.

  Returns:
    A function of one element. The waveform is `[samples]`,
    `[samples, channels]`, a batch `[batch, samples, channels]` or what
    `ragged_batch` makes of clips; its spectrogram is that of
    `tfspec.Spectrogram`.

  Raises:
    ValueError: If a config is trainable: it does not hold the kernels. If there
      is a `lengths_key` without `key`.
    TypeError: When mapped, if an element is a dict and `key` is missing, or
      the other way round, or the waveform is not of a floating-point dtype.

  Example:
    >>> clips = tf.data.Dataset.from_tensors((tf.zeros([16000]), "label"))
    >>> config = tfspec.SpectrogramConfig()
    >>> features, label = next(iter(clips.map(tfspec.spectrogram_fn(config))))
    >>> features.shape, label.numpy()
    (TensorShape([124, 129]), b'label')
  """
  if isinstance(config, Spectrogram):
    spectrogram = config
  elif config.trainable:
    raise ValueError(
      "config must not be trainable in a dataset, as it does not hold the "
      "kernels. Got: trainable=True. Give the tfspec.Spectrogram that does."
    )
  else:
    spectrogram = Spectrogram(config)
  if lengths_key is not None and key is None:
    raise ValueError(
      "key must name the waveform if lengths_key names the lengths. Got: "
      f"key={key}, lengths_key={lengths_key!r}."
    )

  def convert(first: Any) -> Any:
    if key is None:
      _check_no_dict(first)
      return spectrogram(first)
    _check_key("key", key, first)
    if lengths_key is None:
      return {**first, key: spectrogram(first[key])}
    _check_key("lengths_key", lengths_key, first)
    values, num_frames = spectrogram(
      first[key], first[lengths_key], padding_value
    )
    return {**first, key: values, lengths_key: num_frames}

  def map_fn(first: Any, *rest: Any) -> Any:
    converted = convert(first)
    return (converted, *rest) if rest else converted

  return map_fn


def bucket_by_length(
  dataset: tf.data.Dataset,
  boundaries: Sequence[int],
  batch_size: int,
  key: str | None = None,
  lengths_key: str = "lengths",
  drop_remainder: bool = False,
) -> tf.data.Dataset:
  """Batches clips of like length, each batch padded to one of few lengths.

  A function that XLA compiles for the shape of its arguments is then compiled
  once a boundary, not once a length. Batches come when they are full, so that
  the clips of a dataset change their order.

  With a single boundary and `drop_remainder` the shape of the batches is known
  before they come, as a TPU needs it, unless anything else in an element has an
  unknown one.

  Args:
    dataset: Elements as `spectrogram_fn` takes them: a waveform, a tuple that
      starts with one, or with `key` a dict (or a tuple that starts with one).
      The waveform is `[samples]` or `[samples, channels]`.
    boundaries: The lengths in samples that batches may have, rising.
    batch_size: Clips in a batch.
    key: The name of the waveform in elements that are dicts.
    lengths_key: The name that the lengths get in elements that are dicts.
    drop_remainder: True leaves out what remains at the end of the dataset, for
      each boundary fewer than `batch_size` clips. False gives them as smaller
      batches: up to one more shape a boundary.

  Returns:
    A dataset of `(signals, lengths)`, of `(signals, lengths, *rest)`, or of
    dicts that hold both. Signals are `[batch, boundary, channels]`, behind the
    end of a clip 0; lengths are int32 `[batch]`, ready for the `lengths` of
    `tfspec.Spectrogram`. All else is padded as `padded_batch` does.

  Raises:
    ValueError: If boundaries are not rising positive integers, or the batch
      size is less than 1, or the waveform has another rank.
    TypeError: If an element is a dict and `key` is missing, or the other way
      round.
    tf.errors.InvalidArgumentError: While reading, if a clip is longer than the
      last boundary.

  Example:
    >>> clips = [[0.1] * 300, [0.2] * 90, [0.3] * 310]
    >>> dataset = tf.data.Dataset.from_generator(
    ...   lambda: clips, output_signature=tf.TensorSpec([None])
    ... )
    >>> for signals, lengths in bucket_by_length(dataset, [100, 400], 2):
    ...   print(signals.shape, lengths.numpy())
    (2, 400, 1) [300 310]
    (1, 100, 1) [90]
  """
  boundaries = list(boundaries)
  rising = sorted({size for size in boundaries if size > 0})
  if not boundaries or boundaries != rising:
    raise ValueError(
      f"boundaries must be positive and rising. Got: boundaries={boundaries}."
    )
  if batch_size < 1:
    raise ValueError(
      f"batch_size must be at least 1. Got: batch_size={batch_size}."
    )
  limits = tf.constant(boundaries, tf.int64)

  def measure(first: Any, *rest: Any) -> Any:
    if key is None:
      _check_no_dict(first)
    else:
      _check_key("key", key, first)
    signals, samples = _measure(
      first if key is None else first[key], boundaries[-1]
    )
    if key is None:
      return (signals, samples, *rest)
    element = {**first, key: signals, lengths_key: samples}
    return (element, *rest) if rest else element

  def bucket(first: Any, *rest: Any) -> tf.Tensor:
    samples = rest[0] if key is None else first[lengths_key]
    return tf.searchsorted(
      limits, [tf.cast(samples, tf.int64)], out_type=tf.int64
    )[0]

  def batch(index: tf.Tensor, window: tf.data.Dataset) -> tf.data.Dataset:
    shapes = tf.nest.map_structure(lambda s: s.shape, window.element_spec)
    boundary = boundaries[0] if len(boundaries) == 1 else limits[index]
    if key is None:
      shapes = (_padded(shapes[0], boundary), *shapes[1:])
    else:
      first, *rest = shapes if isinstance(shapes, tuple) else (shapes,)
      first = {**first, key: _padded(first[key], boundary)}
      shapes = (first, *rest) if rest else first
    return window.padded_batch(
      batch_size, shapes, drop_remainder=drop_remainder
    )

  return dataset.map(measure).group_by_window(
    bucket, batch, window_size=batch_size
  )


def _measure(signals: tf.Tensor, most: int) -> tuple[tf.Tensor, tf.Tensor]:
  """Returns a clip as `[samples, channels]`, and its samples."""
  if signals.shape.rank not in (1, 2):
    raise ValueError(
      "signals must be [samples] or [samples, channels] to be batched. Got: "
      f"shape={signals.shape}."
    )
  if signals.shape.rank == 1:
    signals = signals[:, tf.newaxis]
  samples = tf.shape(signals)[0]
  samples = errors.require(
    samples,
    samples <= most,
    "samples must be at most the last boundary. Got: samples=",
    samples,
    f", boundary={most}.",
  )
  return signals, samples


def _padded(
  shape: tf.TensorShape, samples: int | tf.Tensor
) -> tf.TensorShape | tf.Tensor:
  """Returns the shape of a clip that is padded to so many samples."""
  if isinstance(samples, int):
    return tf.TensorShape([samples, shape[1]])
  channels = -1 if shape[1] is None else shape[1]
  return tf.stack([samples, tf.constant(channels, tf.int64)])


def _check_no_dict(first: Any) -> None:
  if isinstance(first, dict):
    raise TypeError(
      "key must name the waveform of a dict. Got: key=None, "
      f"keys={sorted(first)}."
    )


def _check_key(name: str, key: str, first: Any) -> None:
  if not isinstance(first, dict) or key not in first:
    found = sorted(first) if isinstance(first, dict) else type(first).__name__
    raise TypeError(
      f"{name} must be in the dict that the element is or starts with. "
      f"Got: {name}={key!r}, element={found}."
    )
