"""What can be exported, whatever the format."""

import contextlib
import dataclasses
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfspec.config import SpectrogramConfig
from tfspec.export import process_state, sample_requests
from tfspec.layers import conversion, models, stft_spectrogram
from tfspec.spectrogram import Spectrogram, layouts
from tfspec.storage import files

CONFIG_ASSET = "config.textproto"
GOLDENS_ASSET = "goldens.npz"
ANSWERS_ASSET = "predictions.npz"


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
  """A spectrogram, or a Keras model with one inside.

  Attributes:
    spectrogram: The spectrogram.
    channels: Channels of the signals, or None for mono without that axis.
    model: A Keras model that takes a batch of signals, or also `lengths`
      beside them, or None.
    original: The model that was given, where `model` is its conversion.
    samples: Samples of each row if the model takes a fixed number.
    time_axis: The axis of the samples in a batch with its channels axis.
  """

  spectrogram: Spectrogram
  channels: int | None
  model: Any = None
  original: Any = None
  samples: int | None = None
  time_axis: int = 1

  @property
  def channel_axis(self) -> int:
    """The axis of the channels in such a batch."""
    return 3 - self.time_axis

  @property
  def signals_shape(self) -> list[int | None]:
    """Shape of the input `signals`."""
    shape = [None, self.samples]
    if self.channels is not None:
      shape.insert(self.channel_axis, self.channels)
    return shape

  @property
  def variables(self) -> list[tf.Variable]:
    """The variables of the model, without what Keras wraps around them."""
    return [] if self.model is None else [v.value for v in self.model.variables]

  @property
  def layers(self) -> list[Any]:
    """The layers of the model that are no models themselves."""
    return [] if self.model is None else models.leaves(self.model)

  @property
  def output_names(self) -> list[str]:
    """The names that outputs are served under, if they are not a dict."""
    names = list(self.model.output_names)
    return [
      name if i == names.index(name) else f"{name}_{names[:i].count(name)}"
      for i, name in enumerate(names)
    ]

  @property
  def has_open_outputs(self) -> bool:
    """Whether the size of an output of the model depends on the length."""
    return any(None in tuple(out.shape)[1:] for out in self.model.outputs)

  @property
  def takes_lengths(self) -> bool:
    """Whether the model has an input `lengths` beside its signals."""
    return self.model is not None and len(_inputs_of(self.model)) == 2

  @property
  def is_short(self) -> bool:
    """Whether the model computes in float16 or bfloat16."""
    dtypes = {layer.compute_dtype for layer in self.layers}
    return not dtypes.isdisjoint(("float16", "bfloat16"))

  def function(
    self, run: Callable[..., Any], jit_compile: bool = False
  ) -> Callable[..., Any]:
    """Returns a function of the model, to be called inside `as_in_keras`."""
    attributes = {"_noinline": True} if self.is_short else None
    return tf.function(
      run,
      autograph=False,
      jit_compile=jit_compile,
      experimental_attributes=attributes,
    )

  def as_in_keras(self) -> contextlib.AbstractContextManager[None]:
    """Lets functions that are called inside round as Keras does."""
    return (
      process_state.unfused() if self.is_short else contextlib.nullcontext()
    )

  def with_channels(self, signals: tf.Tensor) -> tf.Tensor:
    """Gives signals of `signals_shape` a channels axis if they have none."""
    if self.channels is not None:
      return signals
    return tf.expand_dims(signals, self.channel_axis)

  def predict(
    self, signals: tf.Tensor, lengths: tf.Tensor | None = None
  ) -> dict[str, tf.Tensor]:
    """Returns the first result of `call`."""
    return self.call(signals, lengths)[0]

  def inside(
    self, signals: tf.Tensor, lengths: tf.Tensor | None = None
  ) -> dict[str, tf.Tensor]:
    """Returns the second result of `call`."""
    return self.call(signals, lengths)[1]

  def call(
    self, signals: tf.Tensor, lengths: tf.Tensor | None = None
  ) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]:
    """Calls the model with what it takes, and with nothing else.

    Args:
      signals: A batch with its channels axis.
      lengths: How many samples of each clip are its own, or None: all. A model
        without an input `lengths` does not see them.

    Returns:
      Two dicts. The first has the outputs of the model, by the names that they
      are served under. The second has the outputs of the layer inside the
      model: `spectrogram`, float32 and padded with silence, and `num_frames` of
      each row. It is empty unless the layer is called exactly once, on the
      batch itself.
    """
    inputs = _inputs_of(self.model)
    signals = tf.cast(signals, _signals_input(inputs).dtype)
    arguments = signals
    if self.takes_lengths:
      if lengths is None:
        shape = tf.shape(signals)
        lengths = tf.fill(shape[:1], shape[self.time_axis])
      lengths = tf.cast(lengths, inputs["lengths"].dtype)
      arguments = {"signals": signals, "lengths": lengths}
    with stft_spectrogram.recorded() as found:
      outputs = self.model(arguments, training=False)
    if isinstance(outputs, list | tuple):
      outputs = dict(zip(self.output_names, outputs, strict=True))
    elif not isinstance(outputs, dict):
      outputs = {"predictions": outputs}
    if len(found) != 1 or not _is_here(found[0][0]):
      return outputs, {}
    return outputs, self._inside(*found[0])

  def _inside(
    self, values: tf.Tensor, num_frames: tf.Tensor | None
  ) -> dict[str, tf.Tensor]:
    if num_frames is None:
      shape = tf.shape(values)
      frames = shape[layouts.time_axis(self.spectrogram.config)]
      num_frames = tf.fill(shape[:1], frames)
    values = tf.cast(values, tf.float32)
    values = layouts.silence_behind(values, num_frames, self.spectrogram.config)
    return {"spectrogram": values, "num_frames": num_frames}


def as_source(
  source: SpectrogramConfig | Spectrogram | Any, channels: int | None
) -> Source:
  """Returns what is to be exported, checked.

  Args:
    source: A config, a `Spectrogram`, or a Keras model with one
      `STFTSpectrogram`, tfspec's or Keras' own, which is converted. The model
      takes a batch of signals, or inputs named `signals` and `lengths`.
    channels: Channels of the signals, or None for mono without a channels axis.
      A Keras model has its own number.

  Raises:
    TypeError: If the source is none of the three.
    ValueError: If there are no channels, or a Keras model has other inputs, or
      not one layer that makes spectrograms.
  """
  if channels is not None and channels < 1:
    raise ValueError(f"channels must be at least 1. Got: channels={channels}.")
  if isinstance(source, SpectrogramConfig):
    source = Spectrogram(source)
  if isinstance(source, Spectrogram):
    axis = layouts.time_axis(source.config)
    return Source(source, channels, time_axis=axis)
  if not hasattr(source, "layers"):
    raise TypeError(
      "source must be a SpectrogramConfig, a Spectrogram or a Keras model. "
      f"Got: {type(source).__name__}."
    )
  found = models.find(source)
  if len(found) != 1:
    raise ValueError(
      "The model must have one STFTSpectrogram, tfspec's or Keras' own. Got: "
      f"{len(found)} in {source.name!r}."
    )
  model = conversion.from_keras(source)
  (layer,) = models.find(model)
  spectrogram = models.to_spectrogram(layer)
  return Source(
    spectrogram,
    model=model,
    original=source,
    **_signals_of(model, spectrogram.config, channels),
  )


def check_new(path: files.Path) -> str:
  """Returns the path of an export, at which nothing may exist yet.

  Raises:
    FileExistsError: If there is something.
  """
  target = files.check_new(path, "path")
  files.check_text(target)  # TensorFlow writes no other names of models.
  return target


def _is_here(value: tf.Tensor) -> bool:
  """Returns whether a tensor can be read here, not in an inner function."""
  if tf.executing_eagerly():
    return True
  return getattr(value, "graph", None) is tf.compat.v1.get_default_graph()


def _inputs_of(model: Any) -> dict[str, Any]:
  """Returns what a Keras model takes, by name."""
  return {
    tensor.name: tensor for tensor in getattr(model, "inputs", None) or []
  }


def _check_outputs(model: Any) -> None:
  """Refuses outputs that no signature can give."""
  outputs = getattr(model, "outputs", None) or []
  try:
    named = model.output
  except AttributeError:  # A Sequential, of one output, that was never called.
    named = None
  names = list(named) if isinstance(named, dict) else []
  if any(tf.nest.is_nested(named[name]) for name in names):
    raise ValueError(
      "The outputs of the model must be one tensor, a list or a dict of them. "
      f"Got: {named}."
    )
  wrong = [
    name
    for name in names
    if not name or (name.endswith("_length") and name[:-7] in names)
  ]
  if wrong:
    raise ValueError(
      "The outputs of the model must have names, and NAME_length is taken: it "
      f"says how long NAME is. Got: {names}."
    )
  shapes = [tuple(output.shape) for output in outputs]
  if not shapes or any(not shape or shape[0] is not None for shape in shapes):
    raise ValueError(
      "Each output of the model must have a row for each clip: its first size "
      f"must be open. Got: shapes {shapes}."
    )


def _signals_input(inputs: dict[str, Any]) -> Any:
  """Returns the input that takes the signals, None if there is none."""
  return inputs.get("signals", next(iter(inputs.values()), None))


def _signals_of(
  model: Any, config: SpectrogramConfig, channels: int | None
) -> dict[str, Any]:
  """Returns the fields of `Source` on the signals of a Keras model."""
  inputs = _inputs_of(model)
  shapes = {name: tuple(tensor.shape) for name, tensor in inputs.items()}
  named = set(inputs) == {"signals", "lengths"}
  signals = _signals_input(inputs)
  shape = () if signals is None else tuple(signals.shape)
  if len(shape) != 3 or not (named or len(inputs) == 1):
    raise ValueError(
      "The model must take one batch of signals, [batch, samples, channels] or "
      "with channels first [batch, channels, samples]; or inputs named "
      f"'signals' and 'lengths', [batch]. Got: {shapes or 'no inputs'}."
    )
  if shape[0] is not None:
    raise ValueError(
      f"The model must take batches of any size. Got: input shape {shape}."
    )
  _check_outputs(model)
  if not tf.as_dtype(signals.dtype).is_floating:
    raise ValueError(
      "The model must take signals of a floating-point dtype. Got: "
      f"{signals.dtype}."
    )
  axis = sample_requests.time_axis(list(shape), config)
  own = shape[3 - axis]
  if own is None or channels not in (None, own):
    raise ValueError(
      "channels must be what the model takes, a fixed number. Got: "
      f"channels={channels}, input shape {shape}."
    )
  return {
    "channels": None if own == 1 and channels is None else own,
    "samples": shape[axis],
    "time_axis": axis,
  }
