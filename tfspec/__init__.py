"""One spectrogram for training, preparing data and serving in TensorFlow."""

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
from tfspec.version import __version__ as __version__

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
