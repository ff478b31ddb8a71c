"""Models with Keras' own `STFTSpectrogram`, converted."""

import dataclasses
import math

import keras

from tfspec.layers import cloning, models
from tfspec.layers.stft_spectrogram import STFTSpectrogram

# The default. The floor of "log" and "magnitude" is its root.
_KERAS_EPSILON = 1e-7


def from_keras(model: keras.Layer) -> keras.Layer:
  """Returns a model with each `keras.layers.STFTSpectrogram` replaced.

  A `tfspec.layers.STFTSpectrogram` takes its place, with the same arguments,
  name, dtype policy and `trainable` flag, and exactly the same weights. All
  other layers are copied. The answers of the new model are those of the old
  one, to float rounding. The two share no weight. The new model is not
  compiled.

  Further training may differ: the README lists the differences, such as
  gradients below the floor. The new layers have the floor of Keras, the root of
  `keras.config.epsilon()`.

  Args:
    model: A Sequential or functional Keras model, with others in it or without,
      or the layer itself.

  Returns:
    The new model; `model` itself if there is nothing to replace.

  Raises:
    TypeError: If `model` is no Keras model or layer. If one of the layers to be
      replaced is of a derived class, or in something else than Sequential and
      functional models, such as a subclassed model or a wrapper.
    ValueError: If a new layer would not answer what the old one does: in mode
      "psd" with an odd `fft_length`, in float16, or behind a Keras mask, which
      the old one drops. If the arguments break a rule of
      `tfspec.SpectrogramConfig`.

  Example:
    >>> theirs = keras.layers.STFTSpectrogram(frame_length=400)
    >>> model = keras.Sequential([keras.Input((8000, 1)), theirs])
    >>> converted = tfspec.layers.from_keras(model)
    >>> isinstance(converted.layers[0], tfspec.layers.STFTSpectrogram)
    True
  """
  if not isinstance(model, keras.Layer):
    raise TypeError(
      f"model must be a Keras model or layer. Got: {type(model).__name__}."
    )
  if models.KERAS_LAYER is None or not cloning.holds(model, models.KERAS_LAYER):
    return model
  masked = cloning.behind_masks(model, models.KERAS_LAYER)
  if masked:
    raise ValueError(
      "STFTSpectrogram must have inputs without a mask to be converted: Keras' "
      "own drops the mask, and tfspec's heeds it. Got: a mask before "
      f"{masked[0].name!r}."
    )
  return cloning.replace(model, models.KERAS_LAYER, _of_keras)


def _of_keras(layer: keras.layers.Layer) -> STFTSpectrogram:
  """Returns the layer that answers what one of Keras does with its weights."""
  config = models.config_of(layer)
  fft_length = config.resolved().fft_length
  if config.mode == "psd" and fft_length % 2:
    raise ValueError(
      "fft_length must be even in mode 'psd' to be converted: Keras does not "
      f"double the last bin. Got: fft_length={fft_length} in {layer.name!r}."
    )
  if layer.compute_dtype == "float16":
    raise ValueError(
      "dtype must not compute in float16 to be converted: Keras rounds kernels "
      f"and powers to it. Got: dtype={layer.dtype_policy.name!r} in "
      f"{layer.name!r}."
    )
  if keras.config.epsilon() != _KERAS_EPSILON:
    floor = math.sqrt(keras.config.epsilon())
    config = dataclasses.replace(config, floor=floor)
  result = STFTSpectrogram.from_spectrogram_config(
    config, name=layer.name, dtype=layer.dtype_policy
  )
  if layer.built:
    result.build((None, None, None))
  return result
