"""The Keras layer."""

import contextlib
import contextvars
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfspec.config import FIELDS, SpectrogramConfig, fields
from tfspec.ops import length_ops
from tfspec.spectrogram import Spectrogram, layouts, transform
from tfspec.spectrogram import module as spectrogram_lib

# The arguments that the Keras layer does not have, with their defaults here.
_OWN_FIELDS = {f.name: f.default for f in FIELDS if not f.in_keras}
_OWN_FIELDS["engine"] = "kernel"
# The outputs of layers that are called inside `recorded`.
_RECORD: contextvars.ContextVar[list[Any] | None] = contextvars.ContextVar(
  "record", default=None
)


@keras.saving.register_keras_serializable(package="tfspec")
class STFTSpectrogram(keras.layers.Layer):
  """A drop-in for `keras.layers.STFTSpectrogram` [1] on TensorFlow.

  It has the arguments, weights, shapes and results of that layer, except for
  the differences that the README lists. The kernels are trainable by default,
  as there; with `trainable=False` the layer has the same weights and does not
  train them.

  Attributes:
    spectrogram_config: The `tfspec.SpectrogramConfig` of the layer.
    real_kernel: Weight `[frame_length, 1, num_bins]`, in modes with a real
      part.
    imag_kernel: The same for the imaginary part.

  Args:
    mode: See `tfspec.SpectrogramConfig`, here and below.
    frame_length: Samples in a frame.
    frame_step: Samples between the starts of two frames.
    fft_length: Samples in the Fourier transform.
    window: Name, tuple, values or None.
    periodic: True for a periodic window.
    scaling: "density", "spectrum" or None.
    padding: "valid", "same", "center" or "hop_center".
    expand_dims: True for an image with a channels axis.
    data_format: "channels_last", "channels_first", or None for
      `keras.config.image_data_format()`.
    **kwargs: `name`, `dtype` and `trainable` of `keras.layers.Layer`, and the
      fields of `tfspec.SpectrogramConfig` that Keras' layer does not have, such
      as `sample_rate_hz`. Two of them are special here. `engine`: "kernel", or
      "auto", which is the same here; with "fft" the layer is fast on CPU and
      GPU, has no weights, and must be `trainable=False`. `floor`: None is
      Keras' own, the root of 1e-7; the gradient of "log" to the transform is up
      to 1 / floor, so that kernels that are trained do better with a larger
      one, as 1e-3.

  Raises:
    ValueError: If an argument breaks a rule of `tfspec.SpectrogramConfig`.

  Example:
    >>> layer = tfspec.layers.STFTSpectrogram(frame_length=256, fft_length=512)
    >>> layer(tf.zeros([3, 16000, 1])).shape
    TensorShape([3, 124, 257])

  References:
    [1] https://keras.io/api/layers/preprocessing_layers/audio_preprocessing/
  """

  def __init__(
    self,
    mode: str = "log",
    frame_length: int = 256,
    frame_step: int | None = None,
    fft_length: int | None = None,
    window: str | tuple[Any, ...] | None = "hann",
    periodic: bool = False,
    scaling: str | None = "density",
    padding: str = "valid",
    expand_dims: bool = False,
    data_format: str | None = None,
    **kwargs: Any,
  ) -> None:
    """Creates the layer; its weights come with `build`."""
    own = {k: kwargs.pop(k, default) for k, default in _OWN_FIELDS.items()}
    super().__init__(**kwargs)
    if not on_tensorflow():
      raise RuntimeError(
        "The Keras backend must be 'tensorflow'. Got: "
        f"{keras.backend.backend()!r}. Set KERAS_BACKEND=tensorflow."
      )
    if own["engine"] == "auto":  # Weights may have been trained elsewhere.
      own["engine"] = "kernel"
    self._config = SpectrogramConfig(
      mode=mode,
      frame_length=frame_length,
      frame_step=frame_step,
      fft_length=fft_length,
      window=window,
      periodic=periodic,
      scaling=scaling,
      padding=padding,
      expand_dims=expand_dims,
      data_format=data_format or keras.config.image_data_format(),
      trainable=self.trainable,
      **own,
    )
    self.supports_masking = True
    # None: that of silence.
    self._padding_value: float | None = None
    self.real_kernel = None
    self.imag_kernel = None
    self.input_spec = keras.layers.InputSpec(ndim=3)

  @property
  def spectrogram_config(self) -> SpectrogramConfig:
    """The config of the layer, trainable as the layer now is."""
    trainable = self.trainable and self._config.engine != "fft"
    if trainable != self._config.trainable:
      self._config = dataclasses.replace(self._config, trainable=trainable)
    return self._config

  @classmethod
  def from_spectrogram_config(
    cls, config: SpectrogramConfig, **kwargs: Any
  ) -> "STFTSpectrogram":
    """Returns the layer of a config.

    Args:
      config: The config. Without `trainable` its engine is kept, so that the
        layer has weights only if that is "kernel".
      **kwargs: `name` and `dtype` of `keras.layers.Layer`.

    Returns:
      The layer.
    """
    arguments = {field.name: getattr(config, field.name) for field in FIELDS}
    arguments["engine"] = config.resolved().engine
    return cls(**arguments, **kwargs)

  def to_spectrogram(self) -> Spectrogram:
    """Returns a module with a copy of the weights, say for an export.

    Its config is trainable if the layer has weights, whether or not the layer
    trains them: they need not be the Fourier kernels.
    """
    return spectrogram_of(self, self.spectrogram_config)

  def build(self, input_shape: tuple[int | None, ...]) -> None:
    """Creates the weights."""
    del input_shape
    config = self.spectrogram_config
    if config.engine == "fft":
      return
    for part in transform.kernel_parts(config.mode):
      values = transform.initial_kernel(config, part)
      weight = self.add_weight(
        name=f"{part}_kernel",
        shape=values.shape,
        initializer=_constant(values),
        autocast=False,  # The product is computed in float32 or better.
      )
      setattr(self, f"{part}_kernel", weight)

  def call(
    self,
    inputs: tf.Tensor,
    lengths: tf.Tensor | None = None,
    mask: tf.Tensor | None = None,
    padding_value: float | None = None,
  ) -> tf.Tensor | tuple[tf.Tensor, tf.Tensor]:
    """Returns the spectrogram of a batch.

    Args:
      inputs: `[batch, samples, channels]`, or with channels first
        `[batch, channels, samples]`; float16, bfloat16, float32 or float64.
      lengths: Integers `[batch]`, for clips that are padded at their end: how
        many samples are each clip's own.
      mask: The same as booleans `[batch, samples]`, as `keras.layers.Masking`
        passes them on: first True, then False in each clip. The mask of the
        frames, `[batch, frames]`, goes on to the next layer.
      padding_value: With lengths or a mask, the value behind the frames of a
        clip. None: the value of silence, `spectrogram_config.silence`.

    Returns:
      What `tfspec.Spectrogram` returns for a batch, in the layer's compute
      dtype. With `lengths` it is a pair: the spectrogram, and the number of
      frames of each clip.

    Raises:
      ValueError: If lengths and a mask are given.
      TypeError: If the inputs are not of a floating-point dtype.
      tf.errors.InvalidArgumentError: If a mask has True behind False. XLA does
        not check this, and takes all samples up to the last True.
    """
    weights = (self.real_kernel, self.imag_kernel)
    kernels = [tf.convert_to_tensor(w) for w in weights if w is not None]
    config = self.spectrogram_config
    if lengths is not None:
      # Keras passes no mask on to a call with a second tensor.
      masks = [mask, getattr(inputs, "_keras_mask", None)]
      if any(m is not None for m in masks):
        raise ValueError("lengths must be None if there is a mask. Got: both.")
    if mask is not None:
      lengths = length_ops.mask_lengths(mask)
    if padding_value is None:
      padding_value = self._padding_value
    result = spectrogram_lib.spectrogram(
      inputs, config, kernels, lengths, padding_value
    )
    values, num_frames = (result, None) if lengths is None else result
    record = _RECORD.get()
    if record is not None:
      record.append((values, num_frames))
    return values if mask is not None else result

  @classmethod
  def from_config(cls, config: dict[str, Any]) -> "STFTSpectrogram":
    """Returns the layer of what `get_config` returns."""
    config = dict(config)
    padding_value = config.pop("padding_value", None)
    layer = super().from_config(config)
    layer._padding_value = padding_value
    return layer

  def get_build_config(self) -> dict[str, Any] | None:
    """Returns what a saved layer is built from."""
    config = super().get_build_config()
    return config and {**config, "padding_value": self._padding_value}

  def build_from_config(self, config: dict[str, Any]) -> None:
    """Builds a saved layer; see `get_build_config`."""
    # Older files name no value: their models were trained with zeros.
    if "padding_value" not in config:
      self._padding_value = 0.0
    super().build_from_config(config)

  def compute_mask(
    self, inputs: tf.Tensor, previous_mask: tf.Tensor | None = None
  ) -> tf.Tensor | None:
    """Returns which frames are those of a clip, `[batch, frames]`.

    Args:
      inputs: The signals.
      previous_mask: Which samples are, `[batch, samples]`, or None.

    Returns:
      Booleans, or None.
    """
    del inputs
    if previous_mask is None:
      return None
    # A frame belongs to its clip if the last sample that it must have does.
    config = self.spectrogram_config.resolved()
    step = config.frame_step
    last = {
      "valid": config.frame_length - 1,
      "hop_center": step - step // 2 - 1,
    }.get(config.padding, 0)
    mask = previous_mask[:, last::step]
    if config.padding == "center" and config.frame_length % 2 == 0:
      # The frame at sample 0, then those that must have sample m * step - 1.
      rest = previous_mask[:, step - 1 :: step]
      mask = keras.ops.concatenate([previous_mask[:, :1], rest], axis=1)
    if config.drop_last_frame:
      mask = mask[:, 1:]
    if config.stacking is not None:
      mask = mask[:, config.stacking.size - 1 :: config.stacking.step]
    return mask

  def compute_output_spec(
    self,
    inputs: keras.KerasTensor,
    lengths: keras.KerasTensor | None = None,
    mask: keras.KerasTensor | None = None,
    padding_value: float | None = None,
  ) -> keras.KerasTensor | tuple[keras.KerasTensor, keras.KerasTensor]:
    """Returns the shapes and dtypes of what `call` returns."""
    del mask, padding_value
    shape = self.compute_output_shape(inputs.shape)
    values = keras.KerasTensor(shape, self.compute_dtype)
    if lengths is None:
      return values
    return values, keras.KerasTensor(shape[:1], "int32")

  def compute_output_shape(
    self, input_shape: tuple[int | None, ...]
  ) -> tuple[int | None, ...]:
    """Returns the shape of the output; None where the input has None."""
    config = self.spectrogram_config
    samples, channels = layouts.samples_and_channels(input_shape, config)
    frames = None if samples is None else config.num_frames(samples)
    return layouts.output_shape(input_shape[0], frames, channels, config)

  def get_config(self) -> dict[str, Any]:
    """Returns the arguments of the layer.

    Those that the Keras layer does not have are in it only where they differ
    from their defaults.
    """
    result = super().get_config()
    for field in FIELDS:
      value = getattr(self.spectrogram_config, field.name)
      if field.in_keras or value != _OWN_FIELDS[field.name]:
        # What Keras stores must be plain; the config takes it, too.
        is_stage = isinstance(value, fields.Stage)
        result[field.name] = fields.set_values(value) if is_stage else value
    if self._padding_value is not None:
      result["padding_value"] = self._padding_value
    return result


@contextlib.contextmanager
def recorded() -> Iterator[list[tuple[tf.Tensor, tf.Tensor | None]]]:
  """Records the outputs of every `STFTSpectrogram` that is called inside.

  This finds the output of a layer, wherever in a model it is.

  Returns:
    A list that grows by a pair a call: the spectrogram, and the number of
    frames of each clip, or None where all are its own.
  """
  found: list[tuple[tf.Tensor, tf.Tensor | None]] = []
  token = _RECORD.set(found)
  try:
    yield found
  finally:
    _RECORD.reset(token)


def _constant(values: np.ndarray) -> Callable[..., tf.Tensor]:
  return lambda shape, dtype: keras.ops.convert_to_tensor(values, dtype)


def spectrogram_of(
  layer: keras.layers.Layer, config: SpectrogramConfig
) -> Spectrogram:
  """Returns a module with a copy of the weights of a layer.

  Args:
    layer: An `STFTSpectrogram`, of tfspec or of Keras.
    config: Its config.
  """
  if config.engine == "fft":
    return Spectrogram(config)
  config = dataclasses.replace(config, trainable=True)
  spectrogram = Spectrogram(config, tf.as_dtype(layer.variable_dtype))
  if not layer.built:
    layer.build((None, None, None))
  for part in transform.kernel_parts(config.mode):
    weight = getattr(layer, f"{part}_kernel")
    getattr(spectrogram, f"{part}_kernel").assign(weight)
  return spectrogram


def on_tensorflow() -> bool:
  """Returns whether Keras runs on TensorFlow, as the layer needs it."""
  return keras.backend.backend() == "tensorflow"
