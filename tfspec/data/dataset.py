"""Map functions for `tf.data`."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tfspec.config import SpectrogramConfig
from tfspec.ops import check_ops, tracing
from tfspec.spectrogram import Spectrogram
from tfspec.spectrogram.layouts import (
  check_channels,
  silence_behind,
  time_axis,
)


def spectrogram_fn(
  config: SpectrogramConfig | Spectrogram,
  key: str | None = None,
  lengths_key: str | None = None,
  padding_value: float | None = None,
) -> Callable[..., Any]:
  """Returns a function for `tf.data.Dataset.map`.

  Without `key` an element is a waveform, or a tuple that starts with one. With
  `key` it is a dict that holds one, or a tuple that starts with such a dict.
  The function replaces the waveform by its spectrogram, and passes on
  everything else. Clips of all lengths share one trace if the dataset leaves
  their length open.

  A `tf.train.Checkpoint` can save an iterator of the mapped dataset. It cannot
  if the kernels are trained, or if a `tf.function` calls the function, unless
  `tf.data.Options.experimental_external_state_policy` allows it.

  Args:
    config: What to compute: a config, or a `Spectrogram` with trained kernels.
    key: The name of the waveform in elements that are dicts.
    lengths_key: The name of the lengths beside it, for clips that are padded at
      their end: the valid samples of each, integers `[batch]`. The number of
      frames of each takes their place. The function does not see lengths in a
      tuple: for `(signals, lengths)` map the `Spectrogram` itself.
    padding_value: The value behind the frames of a clip, with lengths. None:
      the value of silence, `config.silence`.

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
      return spectrogram(first, padding_value=padding_value)
    _check_key("key", key, first)
    if lengths_key is None:
      values = spectrogram(first[key], padding_value=padding_value)
      return {**first, key: values}
    _check_key("lengths_key", lengths_key, first)
    values, num_frames = spectrogram(
      first[key], first[lengths_key], padding_value
    )
    return {**first, key: values, lengths_key: num_frames}

  @tracing.as_written
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
  """Batches clips of similar length, and pads them to one of few lengths.

  XLA then compiles a function once for each boundary, not once for each length.
  A batch is returned when it is full, so that the order of the clips changes.

  With a single boundary and `drop_remainder` the shape of the batches is
  static, as a TPU needs it, unless another part of an element has an unknown
  shape.

  Args:
    dataset: Elements as `spectrogram_fn` takes them: a waveform, a tuple that
      starts with one, or with `key` a dict (or a tuple that starts with one).
      The waveform is `[samples]` or `[samples, channels]`.
    boundaries: The lengths in samples that batches may have, rising.
    batch_size: Clips in a batch.
    key: The name of the waveform in elements that are dicts.
    lengths_key: The name that the lengths get in elements that are dicts.
    drop_remainder: True drops the clips that remain at the end of the dataset,
      fewer than `batch_size` for each boundary. False returns them as smaller
      batches, which adds up to one shape for each boundary.

  Returns:
    A dataset of `(signals, lengths)`, of `(signals, lengths, *rest)`, or of
    dicts that hold both. Signals are `[batch, boundary, channels]`, padded with
    0. Lengths are int32 `[batch]`, ready for the `lengths` of
    `tfspec.Spectrogram`. The method `padded_batch` pads all else.

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

  measure = _with_count(
    key, lengths_key, lambda signals: _measure(signals, boundaries[-1])
  )

  @tracing.as_written
  def bucket(first: Any, *rest: Any) -> tf.Tensor:
    samples = rest[0] if key is None else first[lengths_key]
    return tf.searchsorted(
      limits, [tf.cast(samples, tf.int64)], out_type=tf.int64
    )[0]

  @tracing.as_written
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


def padded_batch(
  dataset: tf.data.Dataset,
  config: SpectrogramConfig,
  batch_size: int,
  key: str | None = None,
  padding_value: float | None = None,
  drop_remainder: bool = False,
) -> tf.data.Dataset:
  """Batches spectrograms, and pads each with silence to the longest one.

  The method `padded_batch` of `tf.data.Dataset` pads with 0, which is loud in
  mode "log", and does not return the numbers of frames.

  Args:
    dataset: Elements as `spectrogram_fn` makes them of single clips, or those
      of `read_examples`: a spectrogram, a tuple that starts with one, or with
      `key` a dict (or a tuple that starts with one).
    config: The config of the spectrograms.
    batch_size: Spectrograms in a batch.
    key: The name of the spectrogram in elements that are dicts.
    padding_value: The value behind the frames of a clip. None: the value of
      silence, `config.silence`.
    drop_remainder: True leaves out the last batch if it is smaller.

  Returns:
    A dataset of `(spectrograms, num_frames)`, of
    `(spectrograms, num_frames, *rest)`, or of dicts with an entry "num_frames".
    Spectrograms have the layout of `tfspec.Spectrogram` for a batch; the number
    of frames of each is int32 `[batch]`. The method `padded_batch` pads all
    else.

  Raises:
    ValueError: If an element is no spectrogram of a single clip, or the number
      of channels is not static.
    TypeError: If an element is a dict and `key` is missing, or the other way
      round.

  Example:
    >>> config = tfspec.SpectrogramConfig(mode="magnitude", floor=0.5)
    >>> clips = tf.data.Dataset.from_tensor_slices([400, 300]).map(tf.zeros)
    >>> spectrograms = clips.map(tfspec.spectrogram_fn(config))
    >>> values, num_frames = next(iter(padded_batch(spectrograms, config, 2)))
    >>> values.shape, num_frames.numpy().tolist(), float(values[1, 1, 0])
    (TensorShape([2, 2, 129]), [2, 1], 0.5)
  """
  axis = time_axis(config) - 1
  silence = config.silence
  differs = padding_value is None and isinstance(silence, tuple)
  if padding_value is None:
    # Where silence differs by feature, it takes the place of zeros at the end.
    padding_value = 0.0 if isinstance(silence, tuple) else silence

  def padding(spec: tf.TensorSpec) -> tuple[tf.Tensor, None]:
    rank = 3 if config.expand_dims else 2
    sizes = [rank] if spec.shape.rank is None else spec.shape.as_list()
    if len(sizes) != rank or None in sizes[:axis] + sizes[axis + 1 :]:
      raise ValueError(
        f"spectrograms must have rank {rank}, one clip each, and a known size "
        f"on each axis but that of the frames. Got: shape={spec.shape}."
      )
    # The short dtypes are rounded from float32, as spectrograms are.
    wide = tf.float64 if spec.dtype == tf.float64 else tf.float32
    return tf.cast(tf.constant(padding_value, wide), spec.dtype), None

  specs = dataset.element_spec
  structure = _with_count(key, "num_frames", padding)(
    *(specs if isinstance(specs, tuple) else (specs,))
  )
  batches = dataset.map(
    _with_count(key, "num_frames", lambda v: (v, tf.shape(v)[axis]))
  ).padded_batch(
    batch_size,
    padding_values=tf.nest.map_structure(
      lambda leaf: leaf if tf.is_tensor(leaf) else None, structure
    ),
    drop_remainder=drop_remainder,
  )

  @tracing.as_written
  def with_silence(first: Any, *rest: Any) -> Any:
    if key is None:
      num_frames, *_ = rest
      return silence_behind(first, num_frames, config), *rest
    values = silence_behind(first[key], first["num_frames"], config)
    first = {**first, key: values}
    return (first, *rest) if rest else first

  return batches.map(with_silence) if differs else batches


def _with_count(
  key: str | None, count_key: str, measure: Callable[[Any], tuple[Any, Any]]
) -> Callable[..., Any]:
  """Returns a function that puts a number beside the clip of an element.

  Args:
    key: The name of the clip in elements that are dicts.
    count_key: The name that the number gets in elements that are dicts.
    measure: Returns for the clip what takes its place, and the number.
  """

  @tracing.as_written
  def map_fn(first: Any, *rest: Any) -> Any:
    if key is None:
      _check_no_dict(first)
      return (*measure(first), *rest)
    _check_key("key", key, first)
    clip, count = measure(first[key])
    element = {**first, key: clip, count_key: count}
    return (element, *rest) if rest else element

  return map_fn


def _measure(signals: tf.Tensor, most: int) -> tuple[tf.Tensor, tf.Tensor]:
  """Returns a clip as `[samples, channels]`, and its samples."""
  if signals.shape.rank not in (1, 2):
    raise ValueError(
      "signals must be [samples] or [samples, channels] to be batched. Got: "
      f"shape={signals.shape}."
    )
  if signals.shape.rank == 1:
    signals = signals[:, tf.newaxis]
  signals = check_channels(signals)
  samples = tf.shape(signals)[0]
  samples = check_ops.require(
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
