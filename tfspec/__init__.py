"""One spectrogram for training, preparing data and serving in TensorFlow.

A name is imported when it is first used, so that the command line shows its
help without TensorFlow, whose import takes seconds.
"""

import importlib
import os
import sys
import types
from typing import TYPE_CHECKING, Any

from tfspec.version import __version__ as __version__

if TYPE_CHECKING:  # What editors and type checkers see.
  from tfspec import data, layers
  from tfspec.config import SpectrogramConfig, load_config, save_config
  from tfspec.data.dataset import spectrogram_fn
  from tfspec.explain import explain
  from tfspec.export import export_saved_model
  from tfspec.litert import export_litert
  from tfspec.ops.wav_ops import decode_wav
  from tfspec.spectrogram import Spectrogram
  from tfspec.transform import stft
  from tfspec.verify import verify

__all__ = [
  "Spectrogram",
  "SpectrogramConfig",
  "data",
  "decode_wav",
  "explain",
  "export_litert",
  "export_saved_model",
  "layers",
  "load_config",
  "save_config",
  "spectrogram_fn",
  "stft",
  "verify",
]
# The module of each name that is no module itself.
_HOMES = {
  "Spectrogram": "spectrogram",
  "SpectrogramConfig": "config",
  "decode_wav": "ops.wav_ops",
  "explain": "explain",
  "export_litert": "litert",
  "export_saved_model": "export",
  "load_config": "config",
  "save_config": "config",
  "spectrogram_fn": "data.dataset",
  "stft": "transform",
  "verify": "verify",
}


def __getattr__(name: str) -> Any:
  home = f"{__name__}.{_HOMES.get(name, name)}"
  try:
    value = importlib.import_module(home)
  except ModuleNotFoundError as e:
    if e.name != home:  # One that tfspec needs.
      raise
    raise AttributeError(
      f"module {__name__!r} has no attribute {name!r}"
    ) from e
  if name in _HOMES:
    value = globals()[name] = getattr(value, name)
  return value


def __dir__() -> list[str]:
  return sorted({*globals(), *__all__})


class _Facade(types.ModuleType):
  """The package, in which `verify` and `explain` stay functions.

  Python binds each module that it has imported to the module's name in the
  package. Where that is the name of a function too, the function stays there.
  """

  def __setattr__(self, name: str, value: Any) -> None:
    if _HOMES.get(name) == name and isinstance(value, types.ModuleType):
      value = getattr(value, name)
    super().__setattr__(name, value)


def _is_command() -> bool:
  """Returns whether this process is `tfspec` or `python -m tfspec`."""
  program = os.path.basename("".join(sys.argv[:1]))
  if program == "-m":  # Python puts the path here after this import.
    program = sys.orig_argv[-len(sys.argv)]
  return program == __name__


sys.modules[__name__].__class__ = _Facade
# Keras finds the layer of a `.keras` file only if it was registered before, and
# `import tfspec` is all that a program must do for it. The commands that read
# such files import the layers themselves.
if not _is_command():
  importlib.import_module(f"{__name__}.layers")
