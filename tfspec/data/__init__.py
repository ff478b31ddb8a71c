"""Spectrograms in `tf.data`: reading, mapping, preparing."""

from tfspec.data.audio import load_wav
from tfspec.data.dataset import spectrogram_fn
from tfspec.data.records import read_examples

__all__ = ["load_wav", "read_examples", "spectrogram_fn"]
