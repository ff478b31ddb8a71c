"""The signatures of a SavedModel, and their limits."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfspec.export.sources import Source
from tfspec.ops import check_ops, group_ops, length_ops
from tfspec.ops.wav import decoding
from tfspec.spectrogram import layouts

NON_FINITE = ("reject", "pass")
CUT = ("pass", "reject")

# How the rows of a request share calls of a Keras model.
BATCHINGS = {
  "batch": "All rows of a request share a call of the model.",
  "length": "Rows of one length share a call of the model.",
  "row": "Each row has a call of the model to itself.",
}

_function = functools.partial(tf.function, autograph=False)
_Answer = Callable[[tf.Tensor, tf.Tensor], dict[str, tf.Tensor]]


@dataclasses.dataclass(frozen=True)
class Limits:
  """The limits of a request; one beyond them is INVALID_ARGUMENT.

  Attributes:
    max_samples: Rows times the samples of the longest one, which counts as at
      least one frame.
    max_wav_bytes: Bytes of all WAV files together.
    min_samples: The least number of samples of a row.
    non_finite: "reject" refuses NaN and infinities, in sound and in the answers
      of a Keras model; "pass" lets them spoil the frames that contain them.
    cut: "reject" refuses WAV files that hold fewer samples than their header
      promises, "pass" reads what is there.
  """

  max_samples: int
  max_wav_bytes: int
  min_samples: int = 0
  non_finite: str = "reject"
  cut: str = "pass"


class Signatures(tf.Module):
  """The spectrogram, or a Keras model with one inside, with its signatures.

  Attributes:
    exported: What is exported.
    functions: The signatures of the SavedModel by name.
    batching: How rows share calls of a Keras model, one of `BATCHINGS`.
  """

  def __init__(
    self,
    exported: Source,
    limits: Limits,
    batching: str = "batch",
    has_inside: bool = False,
    jit_compile: bool = False,
  ) -> None:
    """Creates the signatures.

    Args:
      exported: What to export.
      limits: What a request may hold.
      batching: See above.
      has_inside: Whether a Keras model has `Source.inside`, and so the
        signature "spectrogram".
      jit_compile: Whether XLA compiles what follows the checks.
    """
    super().__init__(name="tfspec")
    self.exported = exported
    self.spectrogram = exported.spectrogram
    # The layers may hold tables. The model itself would bring its optimizer.
    self.layers = exported.layers
    # The loader in C++ restores no variables that are wrapped by Keras.
    self._weights = exported.variables
    self._channels = exported.channels
    self._limits = limits
    self._samples = exported.samples
    self._axis = exported.time_axis
    self.batching = batching
    if exported.model is None:
      answer = exported.function(self._spectrogram, jit_compile)
    else:
      answer = self._by_rows(exported.predict, jit_compile)
    self._answer = _shared(answer)
    self.functions = {
      "serving_default": self._of_signals(self._float),
      "pcm16": self._of_signals(self._pcm16, tf.int16),
      "wav": self._of_files(),
    }
    if has_inside:
      self.functions["spectrogram"] = self._of_signals(
        self._inside(self._by_rows(exported.inside, jit_compile))
      )

  def _inside(self, run: _Answer) -> _Answer:
    """Returns `Source.inside` with silence behind the rows of each length."""

    def inside(signals: tf.Tensor, lengths: tf.Tensor) -> dict[str, tf.Tensor]:
      found = run(*self._check(signals, lengths))
      values = layouts.silence_behind(
        found["spectrogram"], found["num_frames"], self.spectrogram.config
      )
      return {**found, "spectrogram": values}

    return inside

  def _by_rows(self, run: _Answer, jit_compile: bool) -> _Answer:
    """Returns a model as a function of rows that do not see each other.

    Args:
      run: Calls the model with what it can take in one call.
      jit_compile: Whether XLA compiles that.
    """
    function = self.exported.function(run, jit_compile)

    def answer(signals: tf.Tensor, lengths: tf.Tensor) -> dict[str, tf.Tensor]:
      signals = self._widened(signals)
      samples = tf.shape(signals)[self._axis]
      own = tf.sequence_mask(lengths, samples)
      own = tf.expand_dims(own, self.exported.channel_axis)
      signals = tf.where(own, signals, 0.0)
      with self.exported.as_in_keras():
        outputs = self._call(function, signals, lengths)
      return self._check_answer(outputs)

    return answer

  def _widened(self, signals: tf.Tensor) -> tf.Tensor:
    """Gives a batch without rows as many samples as the model needs."""
    shape = signals.shape.as_list()
    none = [0, *shape[1:]]
    none[self._axis] = self._samples or max(1, self._limits.min_samples)
    signals = tf.cond(
      tf.equal(tf.shape(signals)[0], 0),
      lambda: tf.zeros(none, signals.dtype),
      lambda: signals,
    )
    return tf.ensure_shape(signals, shape)

  def _call(
    self,
    function: Callable[..., Any],
    signals: tf.Tensor,
    lengths: tf.Tensor,
  ) -> dict[str, tf.Tensor]:
    if self.batching == "batch":
      outputs = function(signals, lengths)
      return group_ops.check_rows(outputs, tf.size(lengths))
    sizes = None
    if self._samples is not None:
      sizes = tf.fill(tf.shape(lengths), self._samples)
    return group_ops.map_groups(
      function,
      signals,
      lengths,
      self._axis,
      sizes,
      self.batching == "row",
    )

  def _of_signals(
    self, run: _Answer, dtype: tf.DType = tf.float32
  ) -> Callable[..., Any]:
    """Returns the signature of a function of signals and lengths."""
    specs = [
      tf.TensorSpec(self.exported.signals_shape, dtype, "signals"),
      tf.TensorSpec([None], tf.int32, "lengths"),
    ]
    traced = _traced(run, specs)
    # TF Serving takes this if a request leaves the lengths out.
    no_lengths = tf.zeros([0], tf.int32)

    def serve(
      signals: tf.Tensor, lengths: tf.Tensor = no_lengths
    ) -> dict[str, tf.Tensor]:
      return traced(signals, lengths)

    return _function(serve, input_signature=specs)

  def _of_files(self) -> Callable[..., Any]:
    """Returns the signature of WAV files."""
    specs = [tf.TensorSpec([None], tf.string, "wav_bytes")]
    traced = _traced(self._wav, specs)
    return _function(lambda wav_bytes: traced(wav_bytes), input_signature=specs)

  def _float(
    self, signals: tf.Tensor, lengths: tf.Tensor
  ) -> dict[str, tf.Tensor]:
    return self._answer(*self._check(signals, lengths))

  def _pcm16(
    self, signals: tf.Tensor, lengths: tf.Tensor
  ) -> dict[str, tf.Tensor]:
    signals, lengths = self._check(signals, lengths)
    return self._answer(tf.cast(signals, tf.float32) * 2.0**-15, lengths)

  def _wav(self, wav_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
    limit = self._limits.max_wav_bytes
    sizes = tf.cast(tf.strings.length(wav_bytes), tf.int64)
    total = tf.reduce_sum(sizes)
    wav_bytes = check_ops.require(
      tf.ensure_shape(wav_bytes, [None]),
      total <= limit,
      f"wav_bytes must be at most {limit} bytes. Got: ",
      total,
      " bytes.",
    )
    # The headers come first, so that it decodes no file that is too long.
    fields = len(decoding.Samples._fields)
    found = tf.map_fn(
      lambda contents: tf.stack(decoding.find_samples(contents)),
      wav_bytes,
      fn_output_signature=tf.TensorSpec([fields], tf.int64),
    )
    headers = decoding.Samples(*tf.unstack(found, axis=1))
    lengths = headers.count
    if self._limits.cut == "reject":
      lengths = _require_whole(lengths, headers.missing)
    lengths = tf.cast(lengths, tf.int32)
    longest = tf.reduce_max(tf.concat([lengths, [0]], 0))
    samples = longest
    if self._samples is not None:
      samples = tf.constant(self._samples)
      lengths = check_ops.require(
        lengths,
        longest <= self._samples,
        f"wav: there must be at most {self._samples} samples. Got: ",
        longest,
        " in the file.",
      )
    lengths = self._check_size(lengths, tf.size(lengths), samples)
    lengths = self._check_least(lengths)
    channels = self._channels or 1
    with tf.control_dependencies([lengths]):
      clips = tf.map_fn(
        self._decode,
        (tf.identity(wav_bytes), tf.identity(found)),
        fn_output_signature=tf.RaggedTensorSpec(
          [None, channels], tf.float32, ragged_rank=0
        ),
      )
    # If there is no file, the clips have lost their channels.
    values = tf.reshape(clips.values, [-1, channels])
    signals = clips.with_values(values).to_tensor(
      shape=[None, self._samples, channels]
    )
    if self._axis == 2:
      signals = layouts.swap_last_axes(signals)
    return self._answer(self._check_finite(signals, lengths), lengths)

  def _decode(self, file: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
    """Returns `[samples, channels]`: only the first axis can be ragged."""
    contents, found = file
    channels = self._channels or 1
    samples = decoding.Samples(*tf.unstack(found))
    contents = decoding.require_given(
      contents, samples, channels, self.spectrogram.config.sample_rate_hz
    )
    signals = decoding.decode_samples(contents, samples)
    return tf.ensure_shape(signals, [None, channels])

  def _check(
    self, signals: tf.Tensor, lengths: tf.Tensor
  ) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns `[batch, samples, channels]` in the layout, and its lengths."""
    signals = tf.ensure_shape(signals, self.exported.signals_shape)
    lengths = tf.ensure_shape(lengths, [None])
    signals = self.exported.with_channels(signals)
    shape = tf.shape(signals)
    rows, samples = shape[0], shape[self._axis]
    lengths = self._check_size(lengths, rows, samples)
    with tf.control_dependencies([lengths]):
      signals = tf.identity(signals)
    no_lengths = tf.equal(tf.size(lengths), 0)
    lengths = tf.cond(
      no_lengths, lambda: tf.fill([rows], samples), lambda: lengths
    )
    lengths = length_ops.check_lengths(lengths, rows, samples)
    lengths = self._check_least(lengths)
    if signals.dtype.is_floating:
      signals = self._check_finite(signals, lengths)
    return signals, lengths

  def _check_size(
    self, value: tf.Tensor, rows: tf.Tensor, samples: tf.Tensor
  ) -> tf.Tensor:
    limit = self._limits.max_samples
    # Padding makes a frame of the shortest row.
    least = tf.maximum(samples, self.spectrogram.config.frame_length)
    return check_ops.require(
      value,
      tf.cast(rows, tf.int64) * tf.cast(least, tf.int64) <= limit,
      f"signals must have at most {limit} samples, rows times samples. Got: ",
      rows,
      " rows of ",
      samples,
      " samples.",
    )

  def _check_finite(self, signals: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
    if self._limits.non_finite == "pass":
      return signals
    # The sum of what is not all finite is not finite. It takes no room; only if
    # it is not, each sample is looked at.
    total = tf.reduce_sum(signals)
    rows = tf.size(lengths)

    def finite_rows() -> tf.Tensor:
      is_finite = tf.math.is_finite(signals)
      is_finite = tf.reduce_all(is_finite, axis=self.exported.channel_axis)
      own = tf.sequence_mask(lengths, tf.shape(signals)[self._axis])
      return tf.reduce_all(is_finite | ~own, axis=1)

    row_is_finite = tf.cond(
      tf.math.is_finite(total),
      lambda: tf.fill([rows], True),
      finite_rows,
    )
    return check_ops.require(
      signals,
      tf.reduce_all(row_is_finite),
      "signals must be finite. Got: a NaN or an infinity in row ",
      _first_false(row_is_finite),
      ".",
    )

  def _check_least(self, lengths: tf.Tensor) -> tf.Tensor:
    least = self._limits.min_samples
    if not least:
      return lengths
    padded = tf.concat([lengths, [least]], axis=0)
    return check_ops.require(
      lengths,
      tf.reduce_min(padded) >= least,
      f"Each row must have at least {least} samples for this model. Got: ",
      tf.reduce_min(padded),
      " in row ",
      tf.argmin(padded),
      ".",
    )

  def _check_answer(
    self, outputs: dict[str, tf.Tensor]
  ) -> dict[str, tf.Tensor]:
    """Refuses answers that Keras does not give: NaN and infinities."""
    if self._limits.non_finite == "pass":
      return outputs
    result = dict(outputs)
    for name, value in outputs.items():
      if not value.dtype.is_floating:
        continue
      is_finite = tf.math.is_finite(value)
      is_finite = tf.reduce_all(is_finite, axis=range(1, value.shape.rank))
      result[name] = check_ops.require(
        value,
        tf.reduce_all(is_finite),
        "The model must have a finite answer. Got: a NaN or an infinity in "
        f"{name}, row ",
        _first_false(is_finite),
        ".",
      )
    return result

  def _spectrogram(
    self, signals: tf.Tensor, lengths: tf.Tensor
  ) -> dict[str, tf.Tensor]:
    values, num_frames = self.spectrogram(signals, lengths)
    return {"spectrogram": values, "num_frames": num_frames}


def _shared(run: _Answer) -> _Answer:
  """Returns a function that is traced once for all signatures.

  It is no `tf.function` itself: a module saves each that it has.
  """
  function = _function(run)

  def call(signals: tf.Tensor, lengths: tf.Tensor) -> dict[str, tf.Tensor]:
    return function(signals, lengths)

  return call


def _traced(
  run: Callable[..., Any], specs: list[tf.TensorSpec]
) -> Callable[..., Any]:
  """Returns a function that is traced now.

  Saving traces each `tf.function` anew: here no more than the call of this one.
  """
  function = _function(run, input_signature=specs)
  return function.get_concrete_function()


def _first_false(values: tf.Tensor) -> tf.Tensor:
  return tf.argmin(tf.concat([tf.cast(values, tf.int32), [1]], 0))


def _require_whole(lengths: tf.Tensor, missing: tf.Tensor) -> tf.Tensor:
  """Returns the lengths of WAV files if none is cut."""
  missing = tf.concat([missing, [0]], 0)
  row = tf.argmax(missing)
  there = tf.concat([lengths, [0]], 0)[row]
  return check_ops.require(
    lengths,
    tf.equal(missing[row], 0),
    "wav: a file must hold the samples that its header promises. Got: ",
    there,
    " of ",
    there + missing[row],
    " samples in row ",
    row,
    ".",
  )
