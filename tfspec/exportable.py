"""What can be exported, in whatever format, and how an export comes to be."""

import contextlib
import dataclasses
import os
import re
import uuid
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfspec import layers
from tfspec.config import SpectrogramConfig
from tfspec.goldens import Golden
from tfspec.spectrogram import Spectrogram

CONFIG_ASSET = "config.textproto"
GOLDENS_ASSET = "goldens.npz"
PREDICTIONS_ASSET = "predictions.npz"


@dataclasses.dataclass(frozen=True, eq=False)
class Exportable:
  """A spectrogram, or a Keras model behind its own.

  Attributes:
    spectrogram: The spectrogram.
    channels: Channels of the signals, or None for mono without that axis.
    model: A Keras model that takes a batch of signals, or also `lengths`
      beside them, or None.
    samples: Samples of each row if the model wants a fixed number.
  """

  spectrogram: Spectrogram
  channels: int | None
  model: Any = None
  samples: int | None = None

  @property
  def signals_shape(self) -> list[int | None]:
    """Shape of the input `signals`."""
    shape = [None, self.samples]
    if self.channels is not None:
      last = self.spectrogram.config.data_format == "channels_last"
      shape.insert(2 if last else 1, self.channels)
    return shape

  @property
  def variables(self) -> list[tf.Variable]:
    """The variables of the model, without what Keras wraps around them."""
    return [] if self.model is None else [v.value for v in self.model.variables]

  def with_channels(self, signals: tf.Tensor) -> tf.Tensor:
    """Gives signals of `signals_shape` a channels axis if they have none."""
    if self.channels is not None:
      return signals
    last = self.spectrogram.config.data_format == "channels_last"
    return tf.expand_dims(signals, 2 if last else 1)

  def predict(
    self, signals: tf.Tensor, lengths: tf.Tensor | None = None
  ) -> dict[str, tf.Tensor]:
    """Returns the outputs of the model by the names that they are served under.

    Args:
      signals: A batch with its channels axis.
      lengths: How many samples of each clip are its own, or None: all.
    """
    last = self.spectrogram.config.data_format == "channels_last"
    shape = tf.shape(signals)
    rows, samples = shape[0], shape[1 if last else 2]
    inputs, mask = signals, None
    if "lengths" in _inputs_of(self.model):
      if lengths is None:
        lengths = tf.fill([rows], samples)
      inputs = {"signals": signals, "lengths": lengths}
    elif lengths is not None:
      mask = tf.sequence_mask(lengths, samples)
    with warnings.catch_warnings():
      # That the outermost model passes no mask on says nothing here.
      name = re.escape(f"Layer {self.model.name!r}")
      warnings.filterwarnings("ignore", f"{name} .* does not support masking")
      outputs = self.model(inputs, training=False, mask=mask)
    if isinstance(outputs, dict):
      return outputs
    if isinstance(outputs, list | tuple):
      return dict(zip(self.model.output_names, outputs, strict=True))
    return {"predictions": outputs}


def exportable(
  source: SpectrogramConfig | Spectrogram | Any, channels: int | None
) -> Exportable:
  """Returns what is to be exported, checked.

  Args:
    source: A config, a `Spectrogram`, or a Keras model with one
      `tfspec.layers.STFTSpectrogram`, which takes a batch of signals, or inputs
      named `signals` and `lengths`.
    channels: Channels of the signals, or None for mono without a channels axis.
      A Keras model says it itself.

  Raises:
    TypeError: If the source is none of the three.
    ValueError: If there are no channels, or a Keras model has other inputs, or
      not one layer that makes spectrograms.
  """
  if channels is not None and channels < 1:
    raise ValueError(f"channels must be at least 1. Got: channels={channels}.")
  if isinstance(source, SpectrogramConfig):
    return Exportable(Spectrogram(source), channels)
  if isinstance(source, Spectrogram):
    return Exportable(source, channels)
  spectrogram = _front_end(source)
  channels, samples = _signals_of(source, spectrogram.config, channels)
  return Exportable(spectrogram, channels, source, samples)


def predictions(
  goldens: Iterable[Golden],
  run: Callable[[np.ndarray], Mapping[str, tf.Tensor]],
) -> dict[str, np.ndarray]:
  """Returns what a model answers to clips, to be stored beside its export.

  Args:
    goldens: The clips.
    run: Returns the outputs for a clip `[samples]`, each with a batch axis.

  Returns:
    The answers by the name of the clip and that of the output, `clip/output`.

  Raises:
    ValueError: If the model fails for a clip.
  """
  found = {}
  for golden in goldens:
    try:
      outputs = run(golden.signals)
    except tf.errors.InvalidArgumentError as e:
      raise ValueError(
        "The model must answer clips of all lengths, also those without a "
        f"frame. Got: {type(e).__name__} for {golden.name!r}, "
        f"{len(golden.signals)} samples."
      ) from e
    for output, value in outputs.items():
      # Strings as bytes: an archive of objects would have to be pickled.
      value = np.asarray(value.numpy()[0])
      kind = bytes if value.dtype == object else value.dtype
      found[f"{golden.name}/{output}"] = value.astype(kind)
  return found


def check_new(path: str | os.PathLike[str]) -> str:
  """Returns the path of an export, at which nothing may exist yet.

  Raises:
    FileExistsError: If there is something.
  """
  target = os.fspath(path).rstrip("/")
  if tf.io.gfile.exists(target):
    raise FileExistsError(
      f"path must not exist yet: exports are never overwritten. Got: {target}."
    )
  return target


@contextlib.contextmanager
def written_aside(target: str) -> Iterator[str]:
  """Gives a path to write to, which becomes `target` at the end.

  An export appears when it is complete: one that fails leaves nothing behind.

  Raises:
    FileExistsError: If `target` came to exist meanwhile.
  """
  # TF Serving takes only folders whose name is a number for versions.
  partial = f"{target}.partial-{uuid.uuid4().hex[:8]}"
  try:
    yield partial
    try:
      tf.io.gfile.rename(partial, target)
    except tf.errors.AlreadyExistsError as e:
      raise FileExistsError(f"path must not exist yet. Got: {target}.") from e
  except BaseException:
    if tf.io.gfile.isdir(partial):
      tf.io.gfile.rmtree(partial)
    elif tf.io.gfile.exists(partial):
      tf.io.gfile.remove(partial)
    raise


def _front_end(model: Any) -> Spectrogram:
  """Returns the spectrogram inside a Keras model."""
  if not hasattr(model, "layers"):
    raise TypeError(
      "source must be a SpectrogramConfig, a Spectrogram or a Keras model. "
      f"Got: {type(model).__name__}."
    )
  found = layers.find(model)
  own = [x for x in found if isinstance(x, layers.STFTSpectrogram)]
  if not len(own) == len(found) == 1:
    raise ValueError(
      "The model must have one tfspec.layers.STFTSpectrogram and none of "
      f"Keras' own. Got: {len(own)} and {len(found) - len(own)} in "
      f"{model.name!r}."
    )
  return layers.to_spectrogram(own[0])


def _inputs_of(model: Any) -> dict[str, tuple[int | None, ...]]:
  """Returns the shapes of what a Keras model takes, by name."""
  tensors = getattr(model, "inputs", None) or []
  return {tensor.name: tuple(tensor.shape) for tensor in tensors}


def _signals_of(
  model: Any, config: SpectrogramConfig, channels: int | None
) -> tuple[int | None, int | None]:
  """Returns the channels and the samples of what a Keras model takes."""
  inputs = _inputs_of(model)
  named = set(inputs) == {"signals", "lengths"}
  shape = inputs["signals"] if named else next(iter(inputs.values()), ())
  if len(shape) != 3 or not (named or len(inputs) == 1):
    raise ValueError(
      "The model must take one batch of signals, [batch, samples, channels] or "
      "with channels first [batch, channels, samples]; or inputs named "
      f"'signals' and 'lengths', [batch]. Got: {inputs or 'no inputs'}."
    )
  last = config.data_format == "channels_last"
  own, samples = shape[2 if last else 1], shape[1 if last else 2]
  if own is None or channels not in (None, own):
    raise ValueError(
      "channels must be what the model takes, a fixed number. Got: "
      f"channels={channels}, input shape {shape}."
    )
  return (None if own == 1 and channels is None else own), samples
