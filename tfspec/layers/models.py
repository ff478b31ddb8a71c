"""Keras models with an `STFTSpectrogram` inside, tfspec's or Keras' own."""

import dataclasses
from typing import Any

import keras

from tfspec.config import FLAGS, SpectrogramConfig
from tfspec.layers.stft_spectrogram import STFTSpectrogram, spectrogram_of
from tfspec.spectrogram import Spectrogram

# None in a Keras that is too old to have it.
KERAS_LAYER = getattr(keras.layers, "STFTSpectrogram", None)


def find(model: Any) -> list[keras.layers.Layer]:
  """Returns each `STFTSpectrogram` in a model, tfspec's and Keras' own.

  Args:
    model: A Keras model with others in it or without, or the layer itself.
  """
  kinds = tuple(k for k in (STFTSpectrogram, KERAS_LAYER) if k is not None)
  return [layer for layer in leaves(model) if isinstance(layer, kinds)]


def leaves(model: Any) -> list[keras.layers.Layer]:
  """Returns each layer in a model, or in a wrapper, that is no model itself."""
  if not isinstance(model, keras.layers.Layer):
    return []
  found = {id(layer): layer for layer in model._flatten_layers()}
  return [x for x in found.values() if not isinstance(x, keras.Model)]


def config_of(layer: keras.layers.Layer) -> SpectrogramConfig:
  """Returns the config of an `STFTSpectrogram`, tfspec's or Keras' own."""
  if isinstance(layer, STFTSpectrogram):
    return layer.spectrogram_config
  arguments = layer.get_config()
  flags = {
    name: bool(arguments[name]) for name in FLAGS if name in arguments
  }  # Keras takes 1, too.
  config = SpectrogramConfig.from_keras({**arguments, **flags})
  return dataclasses.replace(config, engine="kernel")


def load_model(path: str) -> keras.Model:
  """Returns the model of a `.keras` file, without what trains it."""
  return keras.saving.load_model(path, compile=False)


def to_spectrogram(layer: keras.layers.Layer) -> Spectrogram:
  """Returns what `STFTSpectrogram.to_spectrogram` does, also of Keras' own."""
  return spectrogram_of(layer, config_of(layer))
