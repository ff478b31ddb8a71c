"""One spectrogram for training, preparing data and serving in TensorFlow.

A name is imported when it is first used, so that the command line shows its
help without TensorFlow, whose import takes seconds.
"""

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

from tfspec.version import __version__ as __version__

if TYPE_CHECKING:  # What editors and type checkers see.
  from tfspec import data, layers
  from tfspec.coefficients.cosines import dct_matrix
  from tfspec.coefficients.filter_banks import mel_filter_bank
  from tfspec.config import (
    Cepstrum,
    Compression,
    Conditioning,
    Deltas,
    FilterBank,
    Normalization,
    SpectrogramConfig,
    Stacking,
    load_config,
    preset,
    presets,
    save_config,
  )
  from tfspec.data.dataset import spectrogram_fn
  from tfspec.export.litert import export_litert
  from tfspec.export.saved_model import export_saved_model
  from tfspec.ops.stft_ops import stft
  from tfspec.ops.wav.decoding import decode_wav
  from tfspec.spectrogram import Spectrogram
  from tfspec.verification.explain import explain
  from tfspec.verification.verify import verify

__all__ = [
  "Cepstrum",
  "Compression",
  "Conditioning",
  "Deltas",
  "FilterBank",
  "Normalization",
  "Spectrogram",
  "SpectrogramConfig",
  "Stacking",
  "data",
  "dct_matrix",
  "decode_wav",
  "explain",
  "export_litert",
  "export_saved_model",
  "layers",
  "load_config",
  "mel_filter_bank",
  "preset",
  "presets",
  "save_config",
  "spectrogram_fn",
  "stft",
  "verify",
]
# The module of each name that is no module itself.
_HOMES = {
  "Cepstrum": "config",
  "Compression": "config",
  "Conditioning": "config",
  "Deltas": "config",
  "FilterBank": "config",
  "Normalization": "config",
  "Spectrogram": "spectrogram",
  "SpectrogramConfig": "config",
  "Stacking": "config",
  "dct_matrix": "coefficients.cosines",
  "decode_wav": "ops.wav.decoding",
  "explain": "verification.explain",
  "export_litert": "export.litert",
  "export_saved_model": "export.saved_model",
  "load_config": "config",
  "mel_filter_bank": "coefficients.filter_banks",
  "preset": "config",
  "presets": "config",
  "save_config": "config",
  "spectrogram_fn": "data.dataset",
  "stft": "ops.stft_ops",
  "verify": "verification.verify",
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


def _is_command() -> bool:
  """Returns whether this process is `tfspec` or `python -m tfspec`."""
  program = os.path.basename("".join(sys.argv[:1]))
  if program == "-m":  # Python puts the path here after this import.
    program = sys.orig_argv[-len(sys.argv)]
  return program == __name__


# Keras finds the layer of a `.keras` file only if it was registered before, and
# `import tfspec` is all that a program must do for it. The commands that read
# such files import the layers themselves.
if not _is_command():
  importlib.import_module(f"{__name__}.layers")
