"""Keras layers, and Keras models that have one inside.

Imports `spectrogram` and what is above it; nothing else imports Keras. Start at
`stft_spectrogram`; `conversion` takes over models with Keras' own layer.
"""

from tfspec.layers.conversion import from_keras
from tfspec.layers.stft_spectrogram import STFTSpectrogram

__all__ = ["STFTSpectrogram", "from_keras"]
