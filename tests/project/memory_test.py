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


@pytest.fixture
def hour(tmp_path):
  """Stereo at 48 kHz, of which the samples are a hole in the file."""
  size = 60 * 60 * 48000 * 2 * 2
  path = tmp_path / "clips" / "hour.wav"
  path.parent.mkdir()
  header = wav_files.fmt(channels=2, sample_rate=48000)
  start = b"RIFF" + struct.pack("<I", 4 + len(header) + 8 + size) + b"WAVE"
  path.write_bytes(start + header + b"data" + struct.pack("<I", size))
  os.truncate(path, path.stat().st_size + size)
  return path


def test_plot_of_an_hour(hour, record_property):
  above = memory.run(
    """
    import sys
    import tfspec
    from tfspec.view import plot
    config = tfspec.SpectrogramConfig()
    print(peak(plot.plot, [sys.argv[1]], config, sys.argv[2])[0])
    """,
    hour,
    hour.with_suffix(".png"),
  )
  record_property("plot, an hour of stereo", f"{above / 1e6:.0f} MB")
  assert above <= 600e6


def test_prepare_of_an_hour(hour, tmp_path, record_property):
  config = tfspec.SpectrogramConfig(frame_length=1024, frame_step=1024)
  peak = memory.run(
    """
    import sys
    import tfspec
    from tfspec.data import prepare
    config = tfspec.SpectrogramConfig(frame_length=1024, frame_step=1024)
    print(peak(prepare.prepare, sys.argv[1], sys.argv[2], config)[0])
    """,
    hour.parent,
    tmp_path / "prepared",
  )
  result = 4 * 2 * config.num_frames(60 * 60 * 48000) * config.num_features
  above = peak - result
  record_property("prepare, an hour of stereo", f"{above / 1e6:.0f} MB")
  assert above <= 600e6
