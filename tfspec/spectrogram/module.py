"""Spectrograms of clips and batches: the layouts around the transform."""

import tensorflow as tf

from tfspec.config import SpectrogramConfig
from tfspec.ops import check_ops, length_ops, shape_ops, stft_ops, tracing
from tfspec.spectrogram import layouts, transform


class Spectrogram(tf.Module):
  """The spectrogram of a config, as a callable module.

  It runs eagerly, inside `tf.function`, with `jit_compile=True`, in
  `tf.data.Dataset.map` and in a SavedModel, with the same result within the
  published error bound. The definition is that of
  `keras.layers.STFTSpectrogram` [1]. It is differentiable with respect to the
  signals and the trained kernels, to any order, by `tf.GradientTape`,
  `tf.autodiff.ForwardAccumulator` and inside `tf.vectorized_map`.

  Attributes:
    config: The `SpectrogramConfig`.
    engine: The engine in use, "kernel" or "fft".
    real_kernel: If the config is trainable, and the mode has a real part, the
      variable `[frame_length, 1, num_bins]`; else None.
    imag_kernel: The same for the imaginary part.

  Example:
    >>> spectrogram = tfspec.Spectrogram(tfspec.SpectrogramConfig())
    >>> spectrogram(tf.zeros([16000])).shape
    TensorShape([124, 129])

  References:
    [1] https://keras.io/api/layers/preprocessing_layers/audio_preprocessing/
  """

  def __init__(
    self,
    config: SpectrogramConfig,
    dtype: tf.DType = tf.float32,
    name: str = "spectrogram",
  ) -> None:
    """Creates the module, and the variables of a trainable config.

    Args:
      config: What to compute.
      dtype: Dtype of the variables of a trainable config.
      name: Name of the module.
    """
    super().__init__(name=name)
    if not isinstance(config, SpectrogramConfig):
      raise TypeError(
        f"config must be a SpectrogramConfig. Got: {type(config).__name__}."
      )
    if tf.as_dtype(dtype) not in check_ops.FLOATS:
      raise TypeError(
        "dtype must be float16, bfloat16, float32 or float64. "
        f"Got: {tf.as_dtype(dtype).name}."
      )
    self.config = config
    self.engine = config.resolved().engine
    self.real_kernel = None
    self.imag_kernel = None
    if config.trainable:
      for part in transform.kernel_parts(config.mode):
        values = transform.initial_kernel(config, part)
        variable = tf.Variable(values, name=f"{part}_kernel", dtype=dtype)
        setattr(self, f"{part}_kernel", variable)

  @tracing.as_written
  def __call__(
    self,
    signals: tf.Tensor | tf.RaggedTensor,
    lengths: tf.Tensor | None = None,
    padding_value: float | None = None,
  ) -> tf.Tensor | tuple[tf.Tensor, tf.Tensor] | tf.RaggedTensor:
    """Returns the spectrogram of one clip or of a batch.

    Args:
      signals: `[samples]` (one mono clip), `[samples, channels]` (one clip) or
        `[batch, samples, channels]`; samples and channels change places with
        `data_format="channels_first"`. Float16, bfloat16, float32 or float64,
        usually in [-1, 1]. The two short dtypes are computed in float32.
        With channels last also a RaggedTensor, `[batch, (samples)]` or
        `[batch, (samples), channels]`.
      lengths: For clips that are padded at their end: how many samples of each
        are its own, integers `[batch]` in `[0, samples]`, or a scalar for one
        clip. A clip then does not depend on its batch. The padding behind its
        end may hold anything, even NaN.
      padding_value: The value behind the frames of a clip, with lengths. None:
        the value of silence, `config.silence`.

    Returns:
      Two tensors with lengths, the spectrogram, with as many frames as
      `samples` gives, and the number of frames of each clip, int32 `[batch]`,
      or a scalar for one clip. For a RaggedTensor, a RaggedTensor
      `[batch, (num_frames), channels * num_features]`, or with `expand_dims`
      `[batch, (num_frames), num_features, channels]`. Else the spectrogram:

      A tensor of the dtype of `signals`, with a leading `batch` axis if they
      had one, `num_features` being the bins (twice the bins in mode "stft"):
      `[num_frames, channels * num_features]`, or with `expand_dims`
      `[num_frames, num_features, channels]`; with channels first
      `[channels * num_features, num_frames]`, or with `expand_dims`
      `[channels, num_frames, num_features]`.

    Raises:
      TypeError: If the signals are not of a floating-point dtype, or the
        lengths not integers.
      ValueError: If their rank is not 1, 2 or 3. If there are more than 1024
        channels, or at rank 2 more than 32 and more than samples, as a batch of
        mono clips without a channels axis has them; a clip without samples may
        have 1024. If lengths have the wrong shape or values, or a RaggedTensor
        comes with lengths, with a padding value or with channels first.
      tf.errors.InvalidArgumentError: If channels or lengths turn out to be
        wrong when a graph is run. XLA does not check that.

    Example:
      >>> spectrogram = tfspec.Spectrogram(tfspec.SpectrogramConfig())
      >>> values, num_frames = spectrogram(tf.zeros([2, 999, 1]), [999, 300])
      >>> values.shape, num_frames.numpy().tolist()
      (TensorShape([2, 6, 129]), [6, 1])
    """
    with tf.name_scope(self.name):
      return spectrogram(
        signals, self.config, self.kernels, lengths, padding_value
      )

  @property
  def kernels(self) -> list[tf.Variable]:
    """The variables of a trainable config, real part first; else empty."""
    return [k for k in (self.real_kernel, self.imag_kernel) if k is not None]


def spectrogram(
  signals: tf.Tensor,
  config: SpectrogramConfig,
  kernels: list[tf.Tensor],
  lengths: tf.Tensor | None = None,
  padding_value: float | None = None,
) -> tf.Tensor | tuple[tf.Tensor, tf.Tensor] | tf.RaggedTensor:
  """Returns the spectrogram; `Spectrogram` and the Keras layer call this.

  Args:
    signals: See `Spectrogram.__call__`.
    config: What to compute.
    kernels: Kernels `[frame_length, 1, num_bins]`, one for each of
      `kernel_parts(config.mode)`, or none for the Fourier kernels.
    lengths: See `Spectrogram.__call__`.
    padding_value: See `Spectrogram.__call__`.

  Returns:
    See `Spectrogram.__call__`.
  """
  if isinstance(signals, tf.RaggedTensor):
    return _ragged_spectrogram(signals, config, kernels, lengths, padding_value)
  signals = check_ops.floating(signals)
  rank = signals.shape.rank
  if rank not in (1, 2, 3):
    raise ValueError(
      "signals must have rank 1, 2 or 3: [samples], [samples, channels] or "
      "[batch, samples, channels]. Got: "
      f"shape={check_ops.shape_text(signals.shape)}."
    )
  batch = stft_ops.widen(signals)
  if rank == 1:
    batch = batch[tf.newaxis, tf.newaxis, :]
  else:
    last = layouts.is_channels_last(config)
    batch = layouts.check_channels(batch, last)
    batch = layouts.to_rows(batch, config)
    if rank == 2:
      batch = batch[tf.newaxis]
  if lengths is None:
    values = transform.apply(batch, config, kernels)
    values = tf.cast(layouts.arrange(values, config), signals.dtype)
    return values if rank == 3 else values[0]
  clips, _, samples = shape_ops.dims(batch)
  lengths = length_ops.check_lengths(lengths, clips, samples, rank == 3)
  values = transform.apply(batch, config, kernels, lengths)
  num_frames = transform.num_frames(lengths, config)
  silence = config.silence if padding_value is None else padding_value
  values = length_ops.mask_frames(values, num_frames, silence)
  values = tf.cast(layouts.arrange(values, config), signals.dtype)
  return (values, num_frames) if rank == 3 else (values[0], num_frames[0])


def _ragged_spectrogram(
  signals: tf.RaggedTensor,
  config: SpectrogramConfig,
  kernels: list[tf.Tensor],
  lengths: tf.Tensor | None,
  padding_value: float | None,
) -> tf.RaggedTensor:
  if padding_value is not None:
    raise ValueError(
      "padding_value must be None for a RaggedTensor, which has no padding. "
      f"Got: padding_value={padding_value}."
    )
  if lengths is not None:
    raise ValueError(
      "lengths must be None for a RaggedTensor, which has its own. Got: "
      "lengths and a RaggedTensor."
    )
  if signals.ragged_rank != 1 or signals.shape.rank not in (2, 3):
    raise ValueError(
      "signals must be [batch, (samples)] or [batch, (samples), channels] if "
      f"they are a RaggedTensor. Got: "
      f"shape={check_ops.shape_text(signals.shape)}, "
      f"ragged_rank={signals.ragged_rank}."
    )
  layouts.check_channels_last(config, check_ops.shape_text(signals.shape))
  check_ops.floating(signals.flat_values)
  dense = signals.to_tensor()
  if signals.shape.rank == 2:
    dense = dense[..., tf.newaxis]
  values, num_frames = spectrogram(
    dense, config, kernels, signals.row_lengths()
  )
  num_frames = tf.cast(num_frames, signals.row_splits.dtype)
  return tf.RaggedTensor.from_tensor(
    values, num_frames, row_splits_dtype=num_frames.dtype
  )
