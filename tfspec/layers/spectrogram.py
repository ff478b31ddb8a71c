"""The Keras layer of any config."""

from typing import Any

import keras
from google.protobuf import text_format

from tfspec.config import FIELDS, SpectrogramConfig, messages, preset
from tfspec.layers.stft_spectrogram import STFTSpectrogram


@keras.saving.register_keras_serializable(package="tfspec")
class Spectrogram(STFTSpectrogram):
  """A config as a Keras layer: the front end of a model, inside the model.

  It computes what `tfspec.Spectrogram` computes, for a batch
  `[batch, samples, channels]`, with `lengths` or a mask as
  `tfspec.layers.STFTSpectrogram` takes them. It has weights where the engine of
  the config is "kernel", and trains them where the config is trainable. A
  `.keras` file holds the config as the text of its proto.

  Attributes:
    spectrogram_config: The `tfspec.SpectrogramConfig` of the layer.

  Args:
    config: A `SpectrogramConfig`, the name of a preset, or the text of a proto.
    **kwargs: `name` and `dtype` of `keras.layers.Layer`.

  Raises:
    TypeError: If `config` is none of these.
    ValueError: If the text is neither a name nor a proto, or the config breaks
      a rule.

  Example:
    >>> layer = tfspec.layers.Spectrogram("whisper")
    >>> layer(tf.zeros([2, 16000, 1])).shape
    TensorShape([2, 100, 80])
  """

  def __init__(self, config: SpectrogramConfig | str, **kwargs: Any) -> None:
    """Creates the layer; its weights, if any, come with `build`."""
    if isinstance(config, str):
      config = _parse(config)
    if not isinstance(config, SpectrogramConfig):
      raise TypeError(
        "config must be a SpectrogramConfig, the name of a preset, or the text "
        f"of a proto. Got: {type(config).__name__}."
      )
    trainable = kwargs.pop("trainable", config.trainable)
    if trainable != config.trainable:
      raise ValueError(
        "trainable must be left to the config. Got: "
        f"trainable={trainable}, config.trainable={config.trainable}."
      )
    arguments = {field.name: getattr(config, field.name) for field in FIELDS}
    arguments["engine"] = config.resolved().engine
    super().__init__(**arguments, **kwargs)

  @classmethod
  def from_spectrogram_config(
    cls, config: SpectrogramConfig, **kwargs: Any
  ) -> "Spectrogram":
    """Returns the layer of a config."""
    return cls(config, **kwargs)

  def get_config(self) -> dict[str, Any]:
    """Returns the arguments of the layer, its config as text."""
    names = {field.name for field in FIELDS}
    found = {k: v for k, v in super().get_config().items() if k not in names}
    proto = self.spectrogram_config.to_proto()
    return {**found, "config": text_format.MessageToString(proto)}


def _parse(text: str) -> SpectrogramConfig:
  if ":" not in text and "{" not in text:  # No text of a proto.
    return preset(text)
  try:
    proto = messages.parse(text.encode(), "config.textproto")
    return SpectrogramConfig.from_proto(proto)
  except ValueError as e:
    raise ValueError(
      "config must be the name of a preset or the text of a proto. "
      f"Got: {text[:80]!r}; {e}"
    ) from e
