"""The config: what users write down once, and all routes read.

Imports `coefficients`, `proto` and `storage`, and no TensorFlow. Start at
`spectrogram_config`, where each field is declared.
"""

from tfspec.config.config_files import load_config, save_config
from tfspec.config.spectrogram_config import (
  CHOICES,
  EXECUTION_FIELDS,
  FIELDS,
  FLAGS,
  MODES,
  PATHS,
  ResolvedConfig,
  SpectrogramConfig,
)
from tfspec.config.stages import Compression, FilterBank

__all__ = [
  "CHOICES",
  "EXECUTION_FIELDS",
  "FIELDS",
  "FLAGS",
  "MODES",
  "PATHS",
  "Compression",
  "FilterBank",
  "ResolvedConfig",
  "SpectrogramConfig",
  "load_config",
  "save_config",
]
