"""The memory that long clips take at the peak, in processes of their own."""

import os
import pathlib
import struct

import pytest

import tfspec
from tests import memory, wav_files

pytestmark = [
  pytest.mark.slow,
  pytest.mark.skipif(
    not pathlib.Path("/proc/self/clear_refs").exists(),
    reason="Only Linux tells the peak of a process.",
  ),
]


def test_export_on_a_long_clip(tmp_path, record_property):
  config = tfspec.SpectrogramConfig(
    mode="log", frame_length=400, frame_step=160, fft_length=512
  )
  samples = 30 * 60 * 16000
  model = tmp_path / "model"
  tfspec.export_saved_model(config, model, max_samples=samples)
  peak = memory.run(
    """
    import sys
    import tensorflow as tf
    serve = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
    def call(samples):
      signals = tf.random.stateless_normal([1, samples], [0, 0])
      return peak(lambda: serve(
        signals=signals, lengths=tf.constant([samples])
      ))
    call(16000 * 20)
    print(call(int(sys.argv[2]))[0])
    """,
    model,
    samples,
  )
  above = peak - 4 * config.num_frames(samples) * config.num_features
  record_property("export, 30 minutes", f"{above / 1e6:.0f} MB")
  assert above <= 128e6


def test_plot_of_an_hour(tmp_path, record_property):
  # Stereo at 48 kHz; the samples are a hole in the file.
  size = 60 * 60 * 48000 * 2 * 2
  path = tmp_path / "hour.wav"
  header = wav_files.fmt(channels=2, sample_rate=48000)
  start = b"RIFF" + struct.pack("<I", 4 + len(header) + 8 + size) + b"WAVE"
  path.write_bytes(start + header + b"data" + struct.pack("<I", size))
  os.truncate(path, path.stat().st_size + size)
  above = memory.run(
    """
    import sys
    import tfspec
    from tfspec.view import plot
    config = tfspec.SpectrogramConfig()
    print(peak(plot.plot, [sys.argv[1]], config, sys.argv[2])[0])
    """,
    path,
    tmp_path / "hour.png",
  )
  record_property("plot, an hour of stereo", f"{above / 1e6:.0f} MB")
  assert above <= 600e6
