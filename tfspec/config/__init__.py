"""The config: what users write down once, and all routes read.

Imports `coefficients`, `proto` and `storage`, and no TensorFlow. Start at
`spectrogram_config`.
"""

from tfspec.config.spectrogram_config import (
  CHOICES,
  EXECUTION_FIELDS,
  FLAGS,
  MODES,
  SpectrogramConfig,
  load_config,
  save_config,
)

__all__ = [
  "CHOICES",
  "EXECUTION_FIELDS",
  "FLAGS",
  "MODES",
  "SpectrogramConfig",
  "load_config",
  "save_config",
]
