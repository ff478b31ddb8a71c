"""AutoGraph rewrites no code of tfspec."""

import os
import sys

import pytest
import tensorflow as tf

import tfspec
from tests.paths import SPEECH
from tfspec.data import prepare

_CONFIG = tfspec.SpectrogramConfig(frame_length=64, frame_step=24)
_OPEN = [tf.TensorSpec([None, None, None])]
_BATCH = tf.zeros([2, 500, 1])
_FILE = str(SPEECH / "en" / "queue-thankyou.wav")


def _mapped(function, *elements):
  dataset = tf.data.Dataset.from_tensors(*elements)
  return next(iter(dataset.map(function)))


def _batched():
  clips = tf.data.Dataset.from_tensors(_BATCH[0])
  buckets = tfspec.data.bucket_by_length(clips, [600], 1)
  mapped = buckets.map(tfspec.Spectrogram(_CONFIG)).unbatch()
  batches = tfspec.data.padded_batch(mapped, _CONFIG, 1)
  return next(iter(batches))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
  folder = tmp_path_factory.mktemp("prepared") / "out"
  prepare.prepare(SPEECH / "en", folder, _CONFIG, workers=1)
  return folder


def _gradient():
  spectrogram = tfspec.Spectrogram(_CONFIG)

  @tf.function
  def differentiate(signals):
    return tf.gradients(spectrogram(signals), signals)

  return differentiate(_BATCH)


_CALLS = {
  "module": lambda: tf.function(
    tfspec.Spectrogram(_CONFIG), input_signature=_OPEN
  )(_BATCH),
  "lengths": lambda: tf.function(tfspec.Spectrogram(_CONFIG))(
    _BATCH, tf.constant([500, 90])
  ),
  "xla": lambda: tf.function(tfspec.Spectrogram(_CONFIG), jit_compile=True)(
    _BATCH
  ),
  "stft": lambda: tf.function(tfspec.stft)(_BATCH[..., 0]),
  "gradient": _gradient,
  "layer": lambda: tf.function(tfspec.layers.STFTSpectrogram())(_BATCH),
  "map": lambda: _mapped(tfspec.spectrogram_fn(_CONFIG), _BATCH),
  "load_wav": lambda: _mapped(tfspec.data.load_wav, _FILE),
  "decode_wav": lambda: _mapped(tfspec.decode_wav, tf.io.read_file(_FILE)),
  "batches": _batched,
}


def test_examples_are_parsed_by_code_as_it_is_written(prepared):
  _check_as_written(lambda: tfspec.data.read_examples(prepared))


@pytest.mark.parametrize("name", _CALLS)
def test_code_is_traced_as_it_is_written(name):
  _check_as_written(_CALLS[name])


def _check_as_written(call):
  rewritten = set()

  def look(frame, *_):
    code = frame.f_code
    if os.path.basename(code.co_filename).startswith("__autograph_generated"):
      rewritten.add(code.co_name)

  sys.setprofile(look)
  try:
    call()
  finally:
    sys.setprofile(None)
  # What TensorFlow and Keras put around a function, and those above.
  assert {n for n in rewritten if n.startswith("tf__")} <= {
    "tf__wrapper",
    "tf__error_handler",
    "tf__differentiate",
  }
