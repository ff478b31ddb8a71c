"""The memory that long clips take at the peak, in processes of their own."""

import pathlib

import pytest

import tfspec
from tests import memory

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
