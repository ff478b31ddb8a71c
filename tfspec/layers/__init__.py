"""Keras layers, and Keras models that have one inside.

Imports `spectrogram` and what is above it; nothing else imports Keras. Start at
`stft_spectrogram`; `spectrogram` is the same for any config, `mel_spectrogram`
a drop-in for Keras' layer of that name, and `conversion` takes over models with
Keras' own layer.
"""

from tfspec.layers.conversion import from_keras
from tfspec.layers.mel_spectrogram import MelSpectrogram
from tfspec.layers.spectrogram import Spectrogram
from tfspec.layers.stft_spectrogram import STFTSpectrogram

__all__ = ["MelSpectrogram", "STFTSpectrogram", "Spectrogram", "from_keras"]
