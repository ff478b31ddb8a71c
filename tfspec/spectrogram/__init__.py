"""Where the config meets TensorFlow: layouts, transform, and the module.

Imports `ops` and `config`. Start at `module`, whose `Spectrogram` is the whole
computation of a config.
"""

from tfspec.spectrogram.module import Spectrogram

__all__ = ["Spectrogram"]
