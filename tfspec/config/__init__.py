"""The config: what users write down once, and all routes read.

Imports `coefficients`, `proto` and `storage`, and no TensorFlow. Start at
`spectrogram_config`, where each field is declared; each stage has a file.
"""

from tfspec.config.cepstrum import Cepstrum
from tfspec.config.compression import Compression
from tfspec.config.conditioning import Conditioning
from tfspec.config.config_files import load_config, save_config
from tfspec.config.deltas import Deltas
from tfspec.config.filter_bank import FilterBank
from tfspec.config.normalization import Normalization
from tfspec.config.preset_list import Preset, preset, presets
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
from tfspec.config.stacking import Stacking

__all__ = [
  "CHOICES",
  "EXECUTION_FIELDS",
  "FIELDS",
  "FLAGS",
  "MODES",
  "PATHS",
  "Cepstrum",
  "Compression",
  "Conditioning",
  "Deltas",
  "FilterBank",
  "Normalization",
  "Preset",
  "ResolvedConfig",
  "SpectrogramConfig",
  "Stacking",
  "load_config",
  "preset",
  "presets",
  "save_config",
]
