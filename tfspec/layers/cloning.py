"""Copies of Keras models in which one kind of layer is replaced.

Keras has no public name for the layers inside a layer, nor for the calls of a
layer: this module alone uses `_flatten_layers` and `_inbound_nodes`.
"""

import tempfile
from collections.abc import Callable
from typing import Any

import keras


def replace(
  model: keras.Layer,
  kind: type[keras.Layer],
  replacement: Callable[[keras.Layer], keras.Layer],
) -> keras.Layer:
  """Returns a copy of a model in which each layer of a class is replaced.

  The copy has the names, the weights and the `trainable` flags of the model. It
  shares nothing with the model, and is not compiled.

  Args:
    model: A Sequential or functional model, with others in it or without, or a
      layer of the class.
    kind: The class.
    replacement: Returns the new layer for an old one, of the same weights.

  Raises:
    TypeError: If a layer of the class, or of one that is derived from it, is
      anywhere else than in Sequential and functional models.
  """
  copies, pairs = {}, []

  def copy(layer: Any) -> Any:  # A layer, or an operation such as `x + 1`.
    if id(layer) not in copies:
      new = copies[id(layer)] = make(layer)
      if _is_of_keras_alone(layer):  # What is inside has been copied.
        pairs.append((layer, new))
      elif isinstance(layer, keras.Layer):
        inside = (each._flatten_layers() for each in (layer, new))
        pairs.extend(zip(*inside, strict=True))
    return copies[id(layer)]

  def make(layer: Any) -> Any:
    if type(layer) is kind:
      return replacement(layer)
    if _is_of_keras_alone(layer):
      return _clone(layer, copy)
    if isinstance(layer, keras.Layer) and holds(layer, kind):
      raise TypeError(
        f"Each {kind.__name__} must be in a Sequential or functional model, "
        f"and of no derived class. Got: {layer.name!r}, "
        f"a {type(layer).__name__}."
      )
    return type(layer).from_config(layer.get_config())

  result = copy(model)
  for old, new in pairs:
    _copy_state(old, new)
  # Setting a flag sets it in all layers inside, too: these come next.
  while unlike := [(o, n) for o, n in pairs if o.trainable != n.trainable]:
    unlike[0][1].trainable = unlike[0][0].trainable
  return result


def holds(layer: keras.Layer, kind: type[keras.Layer]) -> bool:
  """Returns whether a layer is of a class, or one inside of it is."""
  return any(isinstance(inner, kind) for inner in layer._flatten_layers())


def behind_masks(
  model: keras.Layer, kind: type[keras.Layer]
) -> list[keras.Layer]:
  """Returns the layers that are called with a Keras mask in a model.

  Args:
    model: The model.
    kind: Only layers of this class, and layers around them, are returned.
  """
  return [
    layer
    for layer in model._flatten_layers()
    if holds(layer, kind)
    and any(
      getattr(tensor, "_keras_mask", None) is not None
      for node in layer._inbound_nodes
      for tensor in node.input_tensors
    )
  ]


def _is_of_keras_alone(layer: Any) -> bool:
  """Returns whether it is a model that does what its layers do, in order."""
  # A class of the user may have a `call` of its own.
  own = type(layer).__module__.partition(".")[0] == "keras"
  return own and isinstance(layer, keras.Model)


def _clone(model: keras.Model, copy: Callable[[Any], Any]) -> keras.Model:
  # Keras compiles the clone of a compiled model, and fails if a loss or metric
  # is a plain function.
  compiled, model.compiled = model.compiled, False
  try:
    return keras.models.clone_model(model, clone_function=copy)
  finally:
    model.compiled = compiled


def _copy_state(old: keras.Layer, new: keras.Layer) -> None:
  """Copies what a `.keras` file keeps of a layer, without layers inside."""
  if old.built and not new.built:
    new.build_from_config(old.get_build_config())
  variables: dict[str, Any] = {}
  old.save_own_variables(variables)
  new.load_own_variables(variables)
  if hasattr(old, "save_assets"):  # The vocabulary of a lookup.
    with tempfile.TemporaryDirectory() as folder:
      old.save_assets(folder)
      new.load_assets(folder)
