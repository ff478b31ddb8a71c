"""A served Keras model answers to a clip as it does to the clip by itself."""

import functools
import pathlib
import wave

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfspec
from tfspec import answers, errors, serving_requests

_SPEECH = pathlib.Path(__file__).parent / "testdata" / "speech"
_FRONT = {"frame_length": 64, "frame_step": 24}
_SAMPLES = 4000
_ALL = tf.zeros([0], tf.int32)
L = keras.layers


@functools.cache
def _clips():
  """Returns real speech, 16 bits, a different length each."""
  found = []
  for language, samples in (("en", 3000), ("fr", 1201), ("ru", 3977)):
    path = _SPEECH / language / "queue-thankyou.wav"
    with wave.open(str(path)) as file:
      data = file.readframes(6000)
    found.append(np.frombuffer(data, np.int16)[2000 : 2000 + samples])
  return found


def _front(**changes):
  return tfspec.layers.STFTSpectrogram(**{**_FRONT, **changes})


def _sequential(*head, before=(), front=None, shape=(None, 1)):
  return keras.Sequential(
    [keras.Input(shape), *before, front or _front(), *head, L.Dense(3)]
  )


def _head(*head, **kwargs):
  def make(samples):
    return _sequential(*head_of(head), shape=(samples, 1), **kwargs)

  def head_of(classes):
    return [make_layer() for make_layer in classes]

  return make


def _attention(samples):
  signals = keras.Input((samples, 1))
  frames = _front()(signals)
  seen = L.MultiHeadAttention(2, 4)(frames, frames)
  return keras.Model(signals, L.Dense(3)(L.GlobalAveragePooling1D()(seen)))


def _lengths(samples, padding_value=None):
  """Sums the frames of each clip alone, whatever stands behind them."""
  signals = keras.Input((samples, 1), name="signals")
  lengths = keras.Input((), dtype="int32", name="lengths")
  frames, count = _front()(signals, lengths, padding_value=padding_value)
  if padding_value is None:
    number = keras.ops.cumsum(keras.ops.ones_like(frames[:, :, :1]), axis=1)
    own = keras.ops.cast(count, "float32")[:, None, None]
    frames = frames * keras.ops.cast(number <= own, "float32")
  else:  # What pads the frames is seen.
    frames = L.Conv1D(4, 3, padding="same")(frames)
  mean = keras.ops.sum(frames, axis=1)
  mean = mean / keras.ops.cast(count + 1, "float32")[:, None]
  return keras.Model({"signals": signals, "lengths": lengths}, L.Dense(3)(mean))


def _masked_sound(samples):
  """Takes zeros for padding, wherever they come from."""
  return _sequential(L.GRU(4), before=[L.Masking(0.0)], shape=(samples, 1))


def _masked_frames(samples):
  silence = np.float32(np.log(np.sqrt(1e-7)))
  return _sequential(L.Masking(silence), L.LSTM(4), shape=(samples, 1))


def _outputs(samples):
  model = _sequential(L.GlobalMaxPooling1D(), shape=(samples, 1))
  scores = model.outputs[0]
  best = keras.ops.argmax(scores, axis=-1)
  name = L.StringLookup(
    vocabulary=["a", "b", "c"], num_oov_indices=0, invert=True
  )
  frames = L.Dense(2)(model.layers[0].output)
  return keras.Model(
    model.inputs[0],
    {"scores": scores, "best": best, "name": name(best), "frames": frames},
  )


def _channels_first(samples):
  signals = keras.Input((2, samples))
  front = _front(data_format="channels_first", expand_dims=True)
  mean = L.GlobalAveragePooling2D(data_format="channels_first")
  return keras.Model(signals, L.Dense(3)(mean(front(signals))))


def _short_dtype(samples):
  keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
  try:
    return _head(lambda: L.Conv1D(4, 3, padding="same"), L.GlobalMaxPooling1D)(
      samples
    )
  finally:
    keras.mixed_precision.set_dtype_policy("float32")


def _of_keras(samples, tmp_path):
  """Returns a model of Keras' own layer, out of a file."""
  front = keras.layers.STFTSpectrogram(mode="log", **_FRONT)
  model = _sequential(
    L.Conv1D(4, 3, padding="same"),
    L.GlobalAveragePooling1D(),
    front=front,
    shape=(samples, 1),
  )
  model.save(tmp_path / "model.keras")
  return keras.saving.load_model(tmp_path / "model.keras")


def _batch_norm(samples):
  model = _sequential(
    L.Conv1D(4, 3, padding="same"),
    L.BatchNormalization(),
    L.GlobalAveragePooling1D(),
    shape=(samples, 1),
  )
  return model


_CONV = functools.partial(L.Conv1D, 4, 3)
_SAME = functools.partial(_CONV, padding="same")
_HEADS = {
  "conv": _head(_SAME, L.GlobalAveragePooling1D),
  "conv_max": _head(_SAME, L.GlobalMaxPooling1D),
  "valid": _head(_CONV, L.GlobalAveragePooling1D),
  "valid_max": _head(_CONV, L.GlobalMaxPooling1D),
  "lstm": _head(lambda: L.LSTM(4)),
  "backward": _head(lambda: L.GRU(4, go_backwards=True)),
  "bidirectional": _head(lambda: L.Bidirectional(L.LSTM(4))),
  "attention": _attention,
  "batch_norm": _batch_norm,
  "lengths": _lengths,
  "lengths_seen": functools.partial(_lengths, padding_value=-3.0),
  "masked_sound": _masked_sound,
  "masked_frames": _masked_frames,
  "outputs": _outputs,
  "channels_first": _channels_first,
  "bfloat16": _short_dtype,
  "keras": _of_keras,
}
_FAST = {("conv", None), ("valid", None), ("lengths_seen", None)}
_CASES = [
  pytest.param(
    name,
    samples,
    id=f"{name}-{samples or 'open'}",
    marks=[] if (name, samples) in _FAST else pytest.mark.slow,
  )
  for name in _HEADS
  for samples in (None, _SAMPLES)
]


def _make(name, samples, tmp_path):
  if name == "keras" and not hasattr(keras.layers, "STFTSpectrogram"):
    pytest.skip("This Keras has no STFTSpectrogram.")
  keras.utils.set_random_seed(3)
  make = _HEADS[name]
  return make(samples, tmp_path) if name == "keras" else make(samples)


def _train(model):
  """Moves all weights, as a few steps of training do."""
  random = np.random.default_rng(9)
  for weight in model.weights:
    value = weight.numpy()
    if value.dtype.kind == "f" and "seed" not in weight.path:
      noise = 0.2 * np.std(value) + 0.05
      weight.assign(value + np.abs(noise * random.standard_normal(value.shape)))


def _alone(model, clip, samples, channels):
  """Returns what Keras gives for a clip by itself, by name."""
  signals = np.pad(clip, [0, (samples or len(clip)) - len(clip)])
  batch = np.stack([signals] * channels, -1)[np.newaxis] / np.float32(2**15)
  if channels == 2:
    batch = batch.transpose(0, 2, 1)
  inputs = batch
  if len(model.inputs) == 2:
    inputs = {"signals": batch, "lengths": np.array([len(clip)], np.int32)}
  outputs = model(inputs, training=False)
  if not isinstance(outputs, dict):
    outputs = {"predictions": outputs}
  return {name: value[0] for name, value in answers.plain(outputs).items()}


def _requests(clips, samples, channels):
  """Returns the inputs of each signature, with rubbish behind the clips."""
  size = samples or max(map(len, clips))
  batch = np.full([len(clips), size], 1234, np.int16)
  for row, clip in zip(batch, clips, strict=True):
    row[: len(clip)] = clip
  lengths = np.array([len(clip) for clip in clips], np.int32)
  behind = np.arange(size) >= lengths[:, np.newaxis]
  floats = np.where(behind, np.nan, batch / np.float32(2**15)).astype("f")
  files = [
    serving_requests.wav_file(np.stack([clip] * channels, -1) / 2**15, 8000)
    for clip in clips
  ]

  def channelled(rows):
    return rows if channels == 1 else np.stack([rows] * channels, 1)

  return {
    "serving_default": {"signals": channelled(floats), "lengths": lengths},
    "pcm16": {"signals": channelled(batch), "lengths": lengths},
    "wav": {"wav_bytes": tf.constant(files)},
  }


def _check_row(outputs, row, expected):
  for name, value in expected.items():
    found = outputs[name].numpy()[row]
    if value.dtype.kind not in "f":
      assert found == value, name
      continue
    own = found[: len(value)]
    bound = 1e-4 * np.max(np.abs(value))
    np.testing.assert_allclose(
      own.astype(np.float32), value, rtol=0, atol=bound, err_msg=name
    )
    assert not found[len(value) :].any()
    if len(found) > len(value):
      assert outputs[f"{name}_length"].numpy()[row] == len(value)


@pytest.mark.parametrize("weights", ["random", "trained"])
@pytest.mark.parametrize(("name", "samples"), _CASES)
def test_answer_is_that_of_the_clip_alone(name, samples, weights, tmp_path):
  model = _make(name, samples, tmp_path)
  if weights == "trained":
    _train(model)
  tfspec.export_saved_model(model, tmp_path / "1")
  signatures = tf.saved_model.load(str(tmp_path / "1")).signatures
  channels = 2 if name == "channels_first" else 1
  empty = np.zeros([0], np.int16)
  clips = _clips()
  expected = [_alone(model, clip, samples, channels) for clip in clips]
  # The clips have different answers, or a mix-up would not be seen.
  firsts = [next(iter(answer.values())).tolist() for answer in expected]
  assert firsts[0] != firsts[1] != firsts[2]
  try:
    nothing = _alone(model, empty, samples, channels)
    finite = all(
      np.all(np.isfinite(v)) for v in nothing.values() if v.dtype.kind == "f"
    )
  except Exception:
    finite = False
  for signature, inputs in _requests(clips, samples, channels).items():
    outputs = signatures[signature](**inputs)
    for row, value in enumerate(expected):
      _check_row(outputs, row, value)
    # In another order, and alone.
    one = _requests(clips[1:2], samples, channels)[signature]
    _check_row(signatures[signature](**one), 0, expected[1])
    with_empty = _requests([empty, clips[2]], samples, channels)[signature]
    if finite:
      outputs = signatures[signature](**with_empty)
      _check_row(outputs, 0, nothing)
      _check_row(outputs, 1, expected[2])
    else:
      with pytest.raises(tf.errors.InvalidArgumentError) as error:
        signatures[signature](**with_empty)
      sentence = errors.sentence(error.value)
      assert sentence.startswith("Each row must have at least "), sentence
  if samples is None:
    signals = _requests(clips[2:], None, channels)["serving_default"]
    outputs = signatures["serving_default"](
      signals=signals["signals"], lengths=_ALL
    )
    _check_row(outputs, 0, expected[2])
