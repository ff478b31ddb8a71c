"""What a SavedModel of tfspec computes: its signatures and their limits."""

import dataclasses
import functools
from collections.abc import Callable

import tensorflow as tf

from tfspec import errors
from tfspec import spectrogram as spectrogram_lib
from tfspec.exportable import Exportable
from tfspec.ops import padding_ops, wav_ops

NON_FINITE = ("reject", "pass")

_function = functools.partial(tf.function, autograph=False)


@dataclasses.dataclass(frozen=True)
class Limits:
  """What a request may hold; more is INVALID_ARGUMENT.

  Attributes:
    max_samples: Rows times the samples of the longest one, which counts as at
      least one frame.
    max_wav_bytes: Bytes of all WAV files together.
    non_finite: "reject" refuses NaN and infinities, "pass" lets them spoil the
      frames that contain them.
  """

  max_samples: int
  max_wav_bytes: int
  non_finite: str = "reject"


class Servable(tf.Module):
  """The spectrogram, or a Keras model behind its own, with its signatures.

  Attributes:
    exported: What is exported.
    functions: The signatures of the SavedModel by name.
  """

  def __init__(
    self, exported: Exportable, limits: Limits, jit_compile: bool = False
  ) -> None:
    """Creates the signatures.

    Args:
      exported: What to export.
      limits: What a request may hold.
      jit_compile: Whether XLA compiles what follows the checks.
    """
    super().__init__(name="tfspec")
    self.exported = exported
    self.spectrogram = exported.spectrogram
    self.model = exported.model
    # The loader in C++ restores no variables that are wrapped by Keras.
    self._weights = exported.variables
    self._channels = exported.channels
    self._limits = limits
    self._samples = exported.samples
    self._last = self.spectrogram.config.data_format == "channels_last"
    answer = self._spectrogram if self.model is None else self._prediction
    self._answer = _function(answer, jit_compile=jit_compile)
    self.functions = {
      "serving_default": self._of_signals(self._float),
      "pcm16": self._of_signals(self._pcm16, tf.int16),
      "wav": _function(
        self._wav,
        input_signature=[tf.TensorSpec([None], tf.string, "wav_bytes")],
      ),
    }
    if self.model is not None:
      self._frames = _function(self._spectrogram, jit_compile=jit_compile)
      self.functions["spectrogram"] = self._of_signals(self._front_end)

  def _of_signals(
    self, run: Callable, dtype: tf.DType = tf.float32
  ) -> tf.types.experimental.PolymorphicFunction:
    """Returns the signature of a function of signals and lengths."""
    # What TF Serving takes where a request leaves the lengths out.
    no_lengths = tf.zeros([0], tf.int32)

    def serve(
      signals: tf.Tensor, lengths: tf.Tensor = no_lengths
    ) -> dict[str, tf.Tensor]:
      return run(signals, lengths)

    specs = [
      tf.TensorSpec(self.exported.signals_shape, dtype, "signals"),
      tf.TensorSpec([None], tf.int32, "lengths"),
    ]
    return _function(serve, input_signature=specs)

  def _float(
    self, signals: tf.Tensor, lengths: tf.Tensor
  ) -> dict[str, tf.Tensor]:
    return self._answer(*self._check(signals, lengths))

  def _pcm16(
    self, signals: tf.Tensor, lengths: tf.Tensor
  ) -> dict[str, tf.Tensor]:
    signals, lengths = self._check(signals, lengths)
    return self._answer(tf.cast(signals, tf.float32) * 2.0**-15, lengths)

  def _front_end(
    self, signals: tf.Tensor, lengths: tf.Tensor
  ) -> dict[str, tf.Tensor]:
    return self._frames(*self._check(signals, lengths))

  def _wav(self, wav_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
    limit = self._limits.max_wav_bytes
    sizes = tf.cast(tf.strings.length(wav_bytes), tf.int64)
    total = tf.reduce_sum(sizes)
    wav_bytes = errors.require(
      tf.ensure_shape(wav_bytes, [None]),
      total <= limit,
      f"wav_bytes must be at most {limit} bytes. Got: ",
      total,
      " bytes.",
    )
    # The headers come first: what is too long is not decoded.
    lengths = tf.map_fn(
      wav_ops.num_samples, wav_bytes, fn_output_signature=tf.int64
    )
    lengths = tf.cast(lengths, tf.int32)
    longest = tf.reduce_max(tf.concat([lengths, [0]], 0))
    samples = longest
    if self._samples is not None:
      samples = tf.constant(self._samples)
      lengths = errors.require(
        lengths,
        longest <= self._samples,
        f"wav: there must be at most {self._samples} samples. Got: ",
        longest,
        " in the file.",
      )
    lengths = self._check_size(lengths, tf.size(lengths), samples)
    channels = self._channels or 1
    with tf.control_dependencies([lengths]):
      clips = tf.map_fn(
        self._decode,
        tf.identity(wav_bytes),
        fn_output_signature=tf.RaggedTensorSpec(
          [None, channels], tf.float32, ragged_rank=0
        ),
      )
    # Of no file at all the clips have lost their channels.
    values = tf.reshape(clips.values, [-1, channels])
    signals = clips.with_values(values).to_tensor(
      shape=[None, self._samples, channels]
    )
    if not self._last:
      signals = tf.transpose(signals, [0, 2, 1])
    return self._answer(self._check_finite(signals, lengths), lengths)

  def _decode(self, contents: tf.Tensor) -> tf.Tensor:
    """Returns `[samples, channels]`: only the first axis can be ragged."""
    signals, _ = spectrogram_lib.decode_wav(
      contents, self.spectrogram.config, self._channels or 1
    )
    return signals if self._last else tf.transpose(signals)

  def _check(
    self, signals: tf.Tensor, lengths: tf.Tensor
  ) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns `[batch, samples, channels]` in the layout, and its lengths."""
    signals = tf.ensure_shape(signals, self.exported.signals_shape)
    lengths = tf.ensure_shape(lengths, [None])
    signals = self.exported.with_channels(signals)
    shape = tf.shape(signals)
    rows, samples = shape[0], shape[1 if self._last else 2]
    lengths = self._check_size(lengths, rows, samples)
    with tf.control_dependencies([lengths]):
      signals = tf.identity(signals)
    no_lengths = tf.equal(tf.size(lengths), 0)
    lengths = tf.cond(
      no_lengths, lambda: tf.fill([rows], samples), lambda: lengths
    )
    lengths = padding_ops.check_lengths(lengths, rows, samples)
    if signals.dtype.is_floating:
      signals = self._check_finite(signals, lengths)
    return signals, lengths

  def _check_size(
    self, value: tf.Tensor, rows: tf.Tensor, samples: tf.Tensor
  ) -> tf.Tensor:
    limit = self._limits.max_samples
    # Padding makes a frame of the shortest row.
    least = tf.maximum(samples, self.spectrogram.config.frame_length)
    return errors.require(
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
    axis = 1 if self._last else 2
    is_finite = tf.reduce_all(tf.math.is_finite(signals), axis=3 - axis)
    own = tf.sequence_mask(lengths, tf.shape(signals)[axis])
    row_is_finite = tf.reduce_all(is_finite | ~own, axis=1)
    row = tf.argmin(tf.concat([tf.cast(row_is_finite, tf.int32), [1]], 0))
    return errors.require(
      signals,
      tf.reduce_all(row_is_finite),
      "signals must be finite. Got: a NaN or an infinity in row ",
      row,
      ".",
    )

  def _spectrogram(
    self, signals: tf.Tensor, lengths: tf.Tensor
  ) -> dict[str, tf.Tensor]:
    values, num_frames = self.spectrogram(signals, lengths)
    return {"spectrogram": values, "num_frames": num_frames}

  def _prediction(
    self, signals: tf.Tensor, lengths: tf.Tensor
  ) -> dict[str, tf.Tensor]:
    return self.exported.predict(signals, lengths)
