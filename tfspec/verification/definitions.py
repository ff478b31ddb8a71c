"""A config and its kernels, wherever they are kept."""

import dataclasses
import os
from typing import Any

import numpy as np
import tensorflow as tf

from tfspec import errors
from tfspec.config import SpectrogramConfig, load_config, preset, presets
from tfspec.data import records
from tfspec.export import litert, sources
from tfspec.layers import models
from tfspec.spectrogram import Spectrogram, transform
from tfspec.storage import files

_KINDS = (
  "a SpectrogramConfig, a Spectrogram, a Keras layer or model with one "
  "STFTSpectrogram, or the path of a config, an export, a .tflite file, a "
  "prepared dataset or a .keras file"
)


@dataclasses.dataclass(frozen=True, eq=False)
class Definition:
  """A spectrogram as one place has it.

  Attributes:
    name: The path, or what kind of object it is.
    config: The config.
    kernels: The kernels `[frame_length, 1, num_bins]` by part, "real" and
      "imag", in the dtype in which they are stored. It is empty if only the
      config defines them: they are then the Fourier kernels, or what training
      makes of them.
  """

  name: str
  config: SpectrogramConfig
  kernels: dict[str, np.ndarray]

  def fourier_kernels(self) -> dict[str, np.ndarray]:
    """Returns the kernels that the config begins with, float64 by part."""
    return {
      part: transform.initial_kernel(self.config, part)
      for part in transform.kernel_parts(self.config.mode)
    }

  @property
  def is_to_be_trained(self) -> bool:
    """Whether training moves the kernels, and nothing here says where."""
    return self.config.trainable and not self.kernels

  def distance(self) -> float:
    """Returns how far the kernels are from those, as a relative L2 norm.

    All other kernels are infinitely far from kernels that are all zero, such as
    the imaginary part for frames of one sample.
    """
    moved, size = 0.0, 0.0
    for part, exact in self.fourier_kernels().items():
      kernel = self.kernels.get(part, exact).astype(np.float64)
      moved += np.sum(np.square(kernel - exact))
      size += np.sum(np.square(exact))
    if not size:
      return np.inf if moved else 0.0
    return float(np.sqrt(moved / size))


def load(source: Any) -> Definition:
  """Returns the front end of an object, or of what lies at a path.

  Args:
    source: A `SpectrogramConfig`; a `Spectrogram`; a Keras layer or model with
      one `STFTSpectrogram`, tfspec's or Keras' own; the path of a config, an
      export, a `.tflite` file, a prepared dataset or a `.keras` file; or the
      name of a preset.

  Raises:
    TypeError: If it is none of these.
    ValueError: If what lies at the path is none of these, or is damaged.
    OSError: If there is nothing at the path.
  """
  if isinstance(source, files.Path):
    path = files.as_path(source)
    names = [preset.name for preset in presets()]
    if path in names and not files.exists(path):
      return Definition(f"preset {path}", preset(path), {})
    return _at(path)
  if isinstance(source, SpectrogramConfig):
    return Definition("SpectrogramConfig", source, {})
  if isinstance(source, Spectrogram):
    return Definition("Spectrogram", source.config, _kernels(source))
  return _of_keras(source, type(source).__name__)


def load_model(path: files.Path) -> Any:
  """Returns the model in a `.keras` file.

  Raises:
    ValueError: If it does not load.
  """
  path = files.as_path(path)
  try:
    return models.load_model(path)
  except Exception as e:  # Whatever a damaged file makes Keras raise.
    raise ValueError(
      f"{files.shown(path)}: the file must hold a Keras model that loads. Got: "
      f"{errors.first_line(e)}"
    ) from e


def of_export(
  name: str, config: SpectrogramConfig, model: tf.Module
) -> Definition:
  """Returns the front end of an export that is loaded."""
  kernels = _kernels(model.spectrogram) if config.trainable else {}
  return Definition(name, config, kernels)


def _at(path: str) -> Definition:
  if files.is_folder(path):
    return _in_folder(path)
  if not files.exists(path):
    raise FileNotFoundError(
      f"There must be {_KINDS}. Got: nothing at {files.shown(path)}."
    )
  if path.endswith(litert.ENDING):
    config = litert.load_config(path)
    if config.trainable:
      raise ValueError(
        f"{path}: the kernels must not be trained, as the file has them only "
        "as LiteRT runs them: take the model that was exported. Got: "
        "trainable=True."
      )
    return Definition(files.shown(path), config, {})
  if not path.endswith(".keras"):
    return Definition(files.shown(path), load_config(path), {})
  return _of_keras(load_model(path), files.shown(path))


def _in_folder(folder: str) -> Definition:
  if files.exists(os.path.join(folder, "saved_model.pb")):
    config = load_config(os.path.join(folder, "assets", sources.CONFIG_ASSET))
    if not config.trainable:
      return Definition(files.shown(folder), config, {})
    try:
      return of_export(folder, config, tf.saved_model.load(folder))
    except Exception as e:  # Whatever a damaged file makes TensorFlow raise.
      raise ValueError(
        f"{folder}: the model must load. Got: {errors.first_line(e)}"
      ) from e
  if files.exists(os.path.join(folder, records.MANIFEST_FILE)):
    config = load_config(os.path.join(folder, records.CONFIG_FILE))
    return Definition(files.shown(folder), config, {})
  raise ValueError(
    "A folder must be an export, with saved_model.pb, or a prepared dataset, "
    f"with {records.MANIFEST_FILE}. Got: neither in "
    f"{files.shown(folder)}."
  )


def _of_keras(model: Any, name: str) -> Definition:
  found = models.find(model)
  if len(found) != 1:
    raise TypeError(
      f"There must be {_KINDS}. Got: {len(found)} STFTSpectrogram in {name}."
    )
  kernels = _kernels(models.to_spectrogram(found[0]))
  return Definition(name, models.config_of(found[0]), kernels)


def _kernels(spectrogram: Any) -> dict[str, np.ndarray]:
  """Returns the variables of a `Spectrogram`, new or restored."""
  variables = {
    part: getattr(spectrogram, f"{part}_kernel", None)
    for part in ("real", "imag")
  }
  return {k: v.numpy() for k, v in variables.items() if v is not None}
