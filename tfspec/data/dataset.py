"""Map functions for `tf.data`."""

from collections.abc import Callable
from typing import Any

from tfspec.config import SpectrogramConfig
from tfspec.spectrogram import Spectrogram


def spectrogram_fn(
  config: SpectrogramConfig | Spectrogram, key: str | None = None
) -> Callable[..., Any]:
  """Returns a function for `tf.data.Dataset.map`.

  An element is a waveform, a tuple that starts with one, or with `key` a dict
  (or a tuple that starts with a dict) that holds one. The waveform is replaced
  by its spectrogram; everything else passes through. Clips of all lengths share
  one trace if the dataset leaves their length open.

  Args:
    config: What to compute. A `Spectrogram` where kernels were trained.
    key: The name of the waveform in elements that are dicts.

  Returns:
    A function of one element. The waveform is `[samples]`,
    `[samples, channels]` or a batch `[batch, samples, channels]`; its
    spectrogram is that of `tfspec.Spectrogram`.

  Raises:
    ValueError: If a config is trainable: it does not hold the kernels.
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

  def convert(first: Any) -> Any:
    if key is None:
      if isinstance(first, dict):
        raise TypeError(
          f"key must name the waveform of a dict. Got: key={key}, "
          f"keys={sorted(first)}."
        )
      return spectrogram(first)
    if not isinstance(first, dict) or key not in first:
      found = sorted(first) if isinstance(first, dict) else type(first).__name__
      raise TypeError(
        "key must be in the dict that the element is or starts with. "
        f"Got: key={key!r}, element={found}."
      )
    return {**first, key: spectrogram(first[key])}

  def map_fn(first: Any, *rest: Any) -> Any:
    converted = convert(first)
    return (converted, *rest) if rest else converted

  return map_fn
