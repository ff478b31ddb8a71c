"""Spectrograms in `tf.data`: reading, mapping, preparing.

Imports `spectrogram`, `view` and what is above them. Start at `dataset`;
`prepare` turns a folder of WAV files into TFRecords: `wav_file` reads a file,
`prepare_clips` computes its spectrogram, `records` has the format.
"""

from tfspec.data.audio import load_wav
from tfspec.data.dataset import (
  bucket_by_length,
  padded_batch,
  spectrogram_fn,
)
from tfspec.data.records import read_examples

__all__ = [
  "bucket_by_length",
  "load_wav",
  "padded_batch",
  "read_examples",
  "spectrogram_fn",
]
