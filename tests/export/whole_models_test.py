"""A served Keras model answers to a clip as it does to the clip by itself."""

import functools
import tempfile
import wave

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfspec
from tests.paths import SPEECH
from tfspec import errors
from tfspec.export import answers, sample_requests
from tfspec.export import saved_model as export
from tfspec.export.sources import Source
from tfspec.layers import stft_spectrogram

_FRONT = {"frame_length": 64, "frame_step": 24}
_SAMPLES = 1200
_ALL = tf.zeros([0], tf.int32)
L = keras.layers


@functools.cache
def _clips():
  """Returns real speech, 16 bits, a different length each."""
  found = []
  for language, samples in (("en", 900), ("fr", 401), ("ru", 1190)):
    path = SPEECH / language / "queue-thankyou.wav"
    with wave.open(str(path)) as file:
      data = file.readframes(6000)
    found.append(np.frombuffer(data, np.int16)[2000 : 2000 + samples])
  return found


def _front(**changes):
  return tfspec.layers.STFTSpectrogram(**{**_FRONT, **changes})


def _sequential(*head, before=(), front=None, samples=None):
  return keras.Sequential(
    [
      keras.Input((samples, 1)),
      *before,
      front or _front(),
      *head,
      L.Dense(3),
    ]
  )


def _attention(frames):
  seen = L.MultiHeadAttention(2, 4)(frames, frames)
  return L.GlobalAveragePooling1D()(seen)


def _heads():
  """Returns what makes an answer of frames, by name."""
  same = functools.partial(L.Conv1D, 4, 3, padding="same")
  valid = functools.partial(L.Conv1D, 4, 3)
  mean, most = L.GlobalAveragePooling1D, L.GlobalMaxPooling1D
  return {
    "same_mean": lambda x: mean()(same()(x)),
    "same_max": lambda x: most()(same()(x)),
    "valid_mean": lambda x: mean()(valid()(x)),
    "valid_max": lambda x: most()(valid()(x)),
    "batch_norm": lambda x: mean()(L.BatchNormalization()(same()(x))),
    "lstm": L.LSTM(4),
    "backward": L.GRU(4, go_backwards=True),
    "bidirectional": L.Bidirectional(L.LSTM(4)),
    "attention": _attention,
    "sum": lambda x: keras.ops.sum(x, axis=1),
    "frames": L.Dense(4),
  }


def _all_heads(samples):
  """Returns a model in which one layer serves many heads."""
  signals = keras.Input((samples, 1))
  frames = _front()(signals)
  heads = _heads()
  # The models with masks have a plain LSTM and GRU.
  for name in ("lstm", "same_max", "valid_mean", "sum"):
    del heads[name]
  outputs = {name: L.Dense(3)(head(frames)) for name, head in heads.items()}
  return keras.Model(signals, outputs)


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
  return _sequential(L.GRU(4), before=[L.Masking(0.0)], samples=samples)


def _masked_frames(samples):
  silence = np.float32(np.log(np.sqrt(1e-7)))
  return _sequential(L.Masking(silence), L.LSTM(4), samples=samples)


def _changed_before(samples):
  """Has a layer in front that changes the sound, and its length."""
  before = [L.Rescaling(2.0), L.Conv1D(1, 5, strides=2)]
  return _sequential(L.GlobalMaxPooling1D(), before=before, samples=samples)


def _outputs(samples):
  model = _sequential(L.GlobalMaxPooling1D(), samples=samples)
  scores = model.outputs[0]
  best = keras.ops.argmax(scores, axis=-1)
  name = L.StringLookup(
    vocabulary=["a", "b", "c"], num_oov_indices=0, invert=True
  )
  outputs = {"scores": scores, "best": best, "name": name(best)}
  return keras.Model(model.inputs[0], outputs)


def _channels_first(samples):
  signals = keras.Input((2, samples))
  front = _front(data_format="channels_first", expand_dims=True)
  mean = L.GlobalAveragePooling2D(data_format="channels_first")
  return keras.Model(signals, L.Dense(3)(mean(front(signals))))


def _short_dtype(samples):
  keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
  try:
    return _sequential(
      L.Conv1D(4, 3, padding="same"), L.GlobalMaxPooling1D(), samples=samples
    )
  finally:
    keras.mixed_precision.set_dtype_policy("float32")


def _of_keras(samples):
  """Returns a model of Keras' own layer, out of a file."""
  if not hasattr(L, "STFTSpectrogram"):
    pytest.skip("This Keras has no STFTSpectrogram.")
  front = L.STFTSpectrogram(mode="log", **_FRONT)
  model = _sequential(L.LSTM(4), front=front, samples=samples)
  with tempfile.TemporaryDirectory() as folder:
    model.save(f"{folder}/model.keras")
    return keras.saving.load_model(f"{folder}/model.keras")


_MODELS = {
  "heads": _all_heads,
  "lengths": _lengths,
  "lengths_seen": functools.partial(_lengths, padding_value=-3.0),
  "masked_sound": _masked_sound,
  "masked_frames": _masked_frames,
  "before": _changed_before,
  "outputs": _outputs,
  "channels_first": _channels_first,
  "bfloat16": _short_dtype,
  "keras": _of_keras,
}
_SLOW = pytest.mark.slow
_CASES = [
  ("outputs", None, "random"),
  pytest.param("heads", None, "trained", marks=_SLOW),
  pytest.param("heads", _SAMPLES, "random", marks=_SLOW),
  *(
    pytest.param(name, samples, weights, marks=_SLOW)
    for name in list(_MODELS)[1:]
    for samples, weights in ((None, "trained"), (_SAMPLES, "random"))
  ),
]


def _make(name, samples):
  keras.utils.set_random_seed(3)
  return _MODELS[name](samples)


def _train(model):
  """Moves all weights, as a few steps of training do."""
  random = np.random.default_rng(9)
  for weight in model.weights:
    value = weight.numpy()
    if value.dtype.kind == "f" and "seed" not in weight.path:
      noise = 0.2 * np.std(value) + 0.05
      weight.assign(value + np.abs(noise * random.standard_normal(value.shape)))


def _input(model, clip, samples, channels):
  """Returns what Keras gets for a clip by itself."""
  signals = np.pad(clip, [0, (samples or len(clip)) - len(clip)])
  batch = np.stack([signals] * channels, -1)[np.newaxis] / np.float32(2**15)
  if channels == 2:
    batch = batch.transpose(0, 2, 1)
  if len(model.inputs) == 1:
    return batch
  return {"signals": batch, "lengths": np.array([len(clip)], np.int32)}


def _alone(model, clip, samples, channels):
  """Returns what Keras gives for a clip by itself, by name."""
  outputs = model(_input(model, clip, samples, channels), training=False)
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
    sample_requests.wav_file(np.stack([clip] * channels, -1) / 2**15, 8000)
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


@pytest.mark.parametrize(("name", "samples", "weights"), _CASES)
def test_answer_is_that_of_the_clip_alone(name, samples, weights, tmp_path):
  model = _make(name, samples)
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
  if name != "keras":
    inputs = _requests(clips, samples, channels)["serving_default"]
    outputs = signatures["spectrogram"](**inputs)
    for row, clip in enumerate(clips):
      with stft_spectrogram.recorded() as found:
        model(_input(model, clip, samples, channels), training=False)
      values, count = found[0]
      own = tf.cast(values, tf.float32).numpy()[0]
      if count is not None:
        own = own[: count[0]]
      served = outputs["spectrogram"].numpy()[row]
      np.testing.assert_allclose(
        served[tuple(map(slice, own.shape))], own, atol=1e-3
      )
  if samples is None:
    signals = _requests(clips[2:], None, channels)["serving_default"]
    outputs = signatures["serving_default"](
      signals=signals["signals"], lengths=_ALL
    )
    _check_row(outputs, 0, expected[2])


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["mask", "padding"])
def test_verify_finds_what_training_did_not_have(fault, tmp_path, monkeypatch):
  keras.utils.set_random_seed(3)
  model = _lengths(None, -3.0)
  if fault == "mask":
    # The mask ends at the convolution: what pads the frames is seen.
    same = L.Conv1D(4, 3, padding="same")
    model = _sequential(same, L.GlobalAveragePooling1D())

    def with_mask(self, signals, lengths=None):
      shape = tf.shape(signals)
      lengths = tf.fill(shape[:1], shape[1]) if lengths is None else lengths
      mask = tf.sequence_mask(lengths, shape[1])
      return {"predictions": self.model(signals, mask=mask)}, {}

    monkeypatch.setattr(Source, "call", with_mask)
    monkeypatch.setattr(Source, "takes_lengths", True)
  # The export does not look at what it made.
  monkeypatch.setattr(export.answer_replay, "served_answers", lambda *_: [])
  tfspec.export_saved_model(model, tmp_path / "1")
  monkeypatch.undo()
  report = tfspec.verify(tmp_path / "1")
  failed = {result.route for result in report.results if not result.ok}
  names = ("serving_default", "pcm16", "wav")
  assert failed == {f"model {name} batch" for name in names}


@pytest.mark.parametrize(
  ("head", "least"),
  [
    ("same_mean", 64),
    ("valid_mean", 112),
    ("valid_max", 112),
    ("lstm", 64),
    ("sum", 0),
    ("frames", 0),
  ],
)
def test_least_number_of_samples(head, least):
  signals = keras.Input((None, 1))
  model = keras.Model(signals, _heads()[head](_front()(signals)))
  exported = export.sources.as_source(model, None)
  assert answers.least_samples(exported) == least


class _Loudest(L.Layer):
  """Divides by the largest value that it has ever seen."""

  def build(self, _):
    self.peak = self.add_weight(initializer="ones", trainable=False)

  def call(self, frames):
    peak = keras.ops.maximum(self.peak, keras.ops.max(keras.ops.abs(frames)))
    self.peak.assign(peak)
    return frames / peak


class _Branches(L.Layer):
  """Has a branch in Python, which a graph cannot have."""

  def call(self, frames):
    if tf.reduce_max(frames) > 0:
      return frames
    return -frames

  def compute_output_spec(self, frames):
    return keras.KerasTensor(frames.shape, frames.dtype)


def _of_frames(function, **shape):
  signals = keras.Input(**(shape or {"shape": (None, 1)}))
  return keras.Model(signals, function(_front()(signals)))


@pytest.mark.parametrize(
  ("model", "sentence"),
  [
    (
      lambda: _of_frames(lambda x: L.GlobalMaxPooling1D()(_Loudest()(x))),
      "must not change its variables when it answers",
    ),
    (lambda: _of_frames(keras.ops.max), "must have a row for each clip"),
    (
      lambda: _of_frames(lambda x: {"s": x, "s_length": x[:, 0]}),
      "NAME_length is taken",
    ),
    (
      lambda: _of_frames(lambda x: {"a": {"b": x}, "c": x}),
      "one tensor, a list or a dict",
    ),
    (
      lambda: _of_frames(L.GlobalMaxPooling1D(), batch_shape=(2, None, 1)),
      "must take batches of any size",
    ),
    (
      lambda: _of_frames(_Branches(), shape=(300, 1)),
      "must answer in a graph as .* Got: OperatorNotAllowedInGraphError",
    ),
    (
      lambda: _of_frames(_Branches()),
      "must give finite answers. Got, .*: OperatorNotAllowedInGraphError",
    ),
  ],
  ids=["state", "scalar", "name", "nested", "batch", "branch", "open_branch"],
)
def test_model_that_no_signature_can_give(model, sentence, tmp_path):
  with pytest.raises(ValueError, match=sentence):
    tfspec.export_saved_model(model(), tmp_path / "1")


def test_the_longer_axis_counts_the_samples():
  signals = keras.Input((4000, 1))
  front = _front(data_format="channels_first")
  model = keras.Model(signals, front(L.Permute((2, 1))(signals)))
  exported = export.sources.as_source(model, None)
  assert exported.signals_shape == [None, 4000]


@pytest.mark.slow
def test_padding_that_is_seen_far_from_the_clip(tmp_path):
  """Sums the frames of a floor so low that only many of them count."""
  signals = keras.Input((None, 1), name="signals")
  lengths = keras.Input((), dtype="int32", name="lengths")
  front = _front(mode="magnitude", floor=1e-6)
  frames, count = front(signals, lengths)
  mean = keras.ops.sum(frames, axis=1)
  mean = mean / keras.ops.cast(count + 1, "float32")[:, None]
  inputs = {"signals": signals, "lengths": lengths}
  model = keras.Model(inputs, L.Dense(3)(mean))
  model.compile(keras.optimizers.Adam())
  model.optimizer.build(model.trainable_variables)
  tfspec.export_saved_model(model, tmp_path / "1")
  card = (tmp_path / "1" / "assets" / "model_card.md").read_text()
  assert "Rows of one length share a call of the model." in card
  # The optimizer stays at home.
  names = tf.train.list_variables(str(tmp_path / "1" / "variables/variables"))
  assert not any("optimizer" in name for name, _ in names)


@pytest.mark.slow
def test_outputs_of_one_name_are_told_apart(tmp_path):
  model = _of_frames(L.LSTM(4, return_sequences=True, return_state=True))
  tfspec.export_saved_model(model, tmp_path / "1", max_samples=300)
  served = tf.saved_model.load(str(tmp_path / "1")).signatures
  clip = _clips()[0][:200] / np.float32(2**15)
  found = served["serving_default"](signals=clip[None], lengths=_ALL)
  expected = model(clip[None, :, None])
  lstm = model.output_names[0]
  names = [lstm, f"{lstm}_1", f"{lstm}_2"]
  assert sorted(found) == sorted([*names, f"{lstm}_length"])
  for name, value in zip(names, expected, strict=True):
    np.testing.assert_allclose(found[name], value, atol=1e-5)
