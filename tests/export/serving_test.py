"""Tests of what an export does behind a server: limits, lengths, models."""

import dataclasses
import os

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2

import tfspec
from tests import lanes
from tfspec import errors
from tfspec.export import sample_requests
from tfspec.storage import checksums

_CONFIG = tfspec.SpectrogramConfig(
  frame_length=64, frame_step=24, sample_rate_hz=8000
)
_ALL = tf.zeros([0], tf.int32)
# Of the answers of a Keras model.
_MODEL_ROUTES = {
  f"model {name}{batch}"
  for name in ("serving_default", "pcm16", "wav")
  for batch in ("", " batch")
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  """Returns the folder of an export that takes 1000 samples."""
  path = tmp_path_factory.mktemp("models") / "speech" / "1"
  tfspec.export_saved_model(_CONFIG, path, max_samples=1000)
  return path


@pytest.fixture(scope="module")
def served(folder):
  return tf.saved_model.load(str(folder)).signatures


def _signals(*shape):
  random = np.random.default_rng(shape)
  return (0.1 * random.standard_normal(shape)).astype(np.float32)


def _wav(samples, sample_rate_hz=8000):
  return sample_requests.wav_file(_signals(samples, 1), sample_rate_hz)


def _refused(signature, **inputs):
  """Returns the sentence of a request that must be refused."""
  with pytest.raises(tf.errors.InvalidArgumentError) as error:
    signature(**inputs)
  return errors.sentence(error.value)


@pytest.mark.parametrize("padding", lanes.every(3, ["same", "valid", "center"]))
def test_each_row_gives_what_it_gives_alone(padding, tmp_path):
  config = dataclasses.replace(_CONFIG, padding=padding)
  tfspec.export_saved_model(config, tmp_path / "1")
  signatures = tf.saved_model.load(str(tmp_path / "1")).signatures
  lengths = [300, 64, 63, 0]
  batch = np.full([4, 300], np.nan, np.float32)
  clips = [_signals(n) for n in lengths]
  for row, clip in zip(batch, clips, strict=True):
    row[: len(clip)] = clip
  outputs = signatures["serving_default"](
    signals=tf.constant(batch), lengths=tf.constant(lengths)
  )
  found = outputs["num_frames"].numpy().tolist()
  assert found == [config.num_frames(n) for n in lengths]
  for row, count, clip in zip(
    outputs["spectrogram"].numpy(), found, clips, strict=True
  ):
    expected = tfspec.Spectrogram(config)(clip).numpy()
    np.testing.assert_allclose(row[:count], expected, atol=1e-5)
    assert np.all(row[count:] == np.float32(config.silence))


@pytest.mark.slow
def test_pcm16_is_the_signal_over_full_scale(served):
  pcm = np.random.default_rng(3).integers(-(2**15), 2**15, (2, 300), np.int16)
  from_pcm = served["pcm16"](signals=tf.constant(pcm), lengths=_ALL)
  from_floats = served["serving_default"](
    signals=tf.constant(pcm / np.float32(2**15)), lengths=_ALL
  )
  for name in ("spectrogram", "num_frames"):
    np.testing.assert_array_equal(from_pcm[name], from_floats[name])


def test_as_many_samples_as_allowed(served):
  for shape in ((1, 1000), (10, 100), (0, 5000)):
    outputs = served["serving_default"](signals=_signals(*shape), lengths=_ALL)
    assert outputs["spectrogram"].shape[0] == shape[0]
  assert served["wav"](wav_bytes=[_wav(1000)])["num_frames"].numpy() == [40]


@pytest.mark.parametrize("name", ["serving_default", "pcm16"])
@pytest.mark.parametrize("shape", [(1, 1001), (3, 334)])
def test_too_many_samples(served, name, shape):
  dtype = tf.int16 if name == "pcm16" else tf.float32
  signals = tf.zeros(shape, dtype)
  assert _refused(served[name], signals=signals, lengths=_ALL) == (
    "signals must have at most 1000 samples, rows times samples. Got: "
    f"{shape[0]} rows of {shape[1]} samples."
  )


@pytest.mark.slow
def test_rows_count_as_a_frame(tmp_path):
  config = dataclasses.replace(_CONFIG, padding="same")
  tfspec.export_saved_model(config, tmp_path / "1", max_samples=1000)
  serve = tf.saved_model.load(str(tmp_path / "1")).signatures["pcm16"]
  rows = tf.zeros([15, 1], tf.int16)
  assert serve(signals=rows, lengths=_ALL)["spectrogram"].shape == [15, 1, 33]
  rows = tf.zeros([16, 1], tf.int16)
  assert "Got: 16 rows of 1 samples." in _refused(
    serve, signals=rows, lengths=_ALL
  )


def test_wav_limits(served):
  wav = served["wav"]
  assert _refused(wav, wav_bytes=[_wav(1001)]) == (
    "signals must have at most 1000 samples, rows times samples. Got: "
    "1 rows of 1001 samples."
  )
  # Each is small, but the batch that holds them would not be. That is known
  # from the headers: what they hold, here another rate, is not looked at.
  assert _refused(wav, wav_bytes=[_wav(600), _wav(1, 16000)]) == (
    "signals must have at most 1000 samples, rows times samples. Got: "
    "2 rows of 600 samples."
  )
  limit = 4 * 1000 + 2**20
  assert _refused(wav, wav_bytes=[b"x" * limit, b"x"]) == (
    f"wav_bytes must be at most {limit} bytes. Got: {limit + 1} bytes."
  )
  assert "sample rate must be 8000 Hz" in _refused(
    wav, wav_bytes=[_wav(100), _wav(100, 16000)]
  )


@pytest.mark.parametrize(
  ("lengths", "sentence"),
  [
    ([300], "lengths must be one a clip. Got: 1 lengths, 2 clips."),
    ([-1, 3], "lengths must be in [0, samples]. Got: lengths from -1 to 3, "),
    ([0, 301], "lengths must be in [0, samples]. Got: lengths from 0 to 301, "),
  ],
)
def test_wrong_lengths(served, lengths, sentence):
  for name, dtype in (("serving_default", tf.float32), ("pcm16", tf.int16)):
    found = _refused(
      served[name], signals=tf.zeros([2, 300], dtype), lengths=lengths
    )
    assert found.startswith(sentence)


@pytest.mark.parametrize("bad", lanes.every(3, [np.nan, np.inf, -np.inf]))
def test_non_finite_samples(served, bad, tmp_path):
  signals = _signals(2, 300)
  signals[1, 250] = bad
  sentence = "signals must be finite. Got: a NaN or an infinity in row 1."
  serve = served["serving_default"]
  assert _refused(serve, signals=signals, lengths=_ALL) == sentence
  file = sample_requests.wav_file(signals[1][:, np.newaxis], 8000)
  assert _refused(served["wav"], wav_bytes=[_wav(9), file]) == sentence
  # Behind the end of its clip it is no sample.
  outputs = serve(signals=signals, lengths=[300, 250])
  assert np.isfinite(outputs["spectrogram"]).all()

  tfspec.export_saved_model(_CONFIG, tmp_path / "1", non_finite="pass")
  passing = tf.saved_model.load(str(tmp_path / "1")).signatures
  values = passing["serving_default"](signals=signals, lengths=_ALL)
  spoiled = ~np.isfinite(values["spectrogram"]).all(-1)
  assert not spoiled[0].any()
  # Frames m with 24 m <= 250 < 24 m + 64.
  assert np.flatnonzero(spoiled[1]).tolist() == [8, 9]


@pytest.mark.slow
def test_cut_wav_files(served, tmp_path):
  files = [_wav(300), _wav(500)[:-5]]
  outputs = served["wav"](wav_bytes=files)
  assert outputs["num_frames"].numpy().tolist() == [
    _CONFIG.num_frames(300),
    _CONFIG.num_frames(498),
  ]
  tfspec.export_saved_model(_CONFIG, tmp_path / "1", cut_wav="reject")
  strict = tf.saved_model.load(str(tmp_path / "1")).signatures["wav"]
  assert _refused(strict, wav_bytes=files) == (
    "wav: a file must hold the samples that its header promises. "
    "Got: 498 of 500 samples in row 1."
  )
  assert strict(wav_bytes=files[:1])["num_frames"].shape == [1]
  assert strict(wav_bytes=tf.zeros([0], tf.string))["num_frames"].shape == [0]


@pytest.mark.parametrize(
  ("limits", "sentence"),
  [
    ({"max_samples": 0}, "max_samples must be at least 1. Got: max_samples=0."),
    ({"max_samples": 63}, "max_samples must be at least one row: "),
    ({"min_samples": -1}, "min_samples must be at least 0. Got: "),
    ({"min_samples": 65, "max_samples": 64}, "max_samples must be at least on"),
    ({"max_wav_bytes": -1}, "max_wav_bytes must be at least 1. Got: "),
    ({"non_finite": "drop"}, "non_finite must be one of reject, pass. Got: "),
    ({"cut_wav": "drop"}, "cut_wav must be one of pass, reject. Got: "),
  ],
)
def test_wrong_limits(limits, sentence, tmp_path):
  with pytest.raises(ValueError) as error:
    tfspec.export_saved_model(_CONFIG, tmp_path / "1", **limits)
  assert str(error.value).startswith(sentence)
  assert not os.listdir(tmp_path)


def test_default_limits(tmp_path):
  tfspec.export_saved_model(_CONFIG, tmp_path / "1")
  card = (tmp_path / "1" / "assets" / "model_card.md").read_text()
  assert f"| max_samples | {30 * 60 * 8000} |" in card


def test_model_card(folder):
  card = (folder / "assets" / "model_card.md").read_text()
  assert card.startswith("# speech\n")
  for fact in (
    _CONFIG.fingerprint(),
    tfspec.__version__,
    tf.__version__,
    "8000 Hz",
    "log(max(|X|, floor))",
    "| 64, 24, 64 |",
    "| pcm16 | `lengths` int32 [-1], `signals` int16",
    "| max_samples | 1000 |",
    "| non_finite | reject |",
    "| cut | pass |",
  ):
    assert fact in card, fact


def _field_of(message, number):
  """Returns the contents of fields of bytes in a protocol buffer message."""
  found, at = [], 0
  while at < len(message):
    tag, at = message[at], at + 1
    size = shift = 0
    while True:
      byte, at = message[at], at + 1
      size |= (byte & 127) << shift
      shift += 7
      if byte < 128:
        break
    if tag >> 3 == number:
      found.append(message[at : at + size])
    at += size
  return found


def test_warmup_requests_run(folder, served):
  path = folder / "assets.extra" / "tf_serving_warmup_requests"
  warmed = set()
  for record in tf.data.TFRecordDataset(str(path)):
    # PredictionLog, PredictLog and PredictRequest, which hold no numbers.
    (log,) = _field_of(record.numpy(), 6)
    (request,) = _field_of(log, 1)
    (spec,) = _field_of(request, 1)
    assert _field_of(spec, 1) == [b"speech"]
    (signature,) = _field_of(spec, 3)
    inputs = {}
    for entry in _field_of(request, 2):
      (name,), (tensor,) = _field_of(entry, 1), _field_of(entry, 2)
      proto = tensor_pb2.TensorProto.FromString(tensor)
      inputs[name.decode()] = tf.constant(tf.make_ndarray(proto))
    outputs = served[signature.decode()](**inputs)
    assert outputs["num_frames"].numpy() == [6]
    warmed.add(signature.decode())
  assert warmed == set(served)


def test_warmup_requests_are_the_servers_messages(folder):
  prediction_log_pb2 = pytest.importorskip(
    "tensorflow_serving.apis.prediction_log_pb2",
    reason="pip install --no-deps tensorflow-serving-api",
  )
  path = folder / "assets.extra" / "tf_serving_warmup_requests"
  for record in tf.data.TFRecordDataset(str(path)):
    log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
    request = log.predict_log.request
    assert request.model_spec.name == "speech"
    assert set(request.inputs) in ({"signals", "lengths"}, {"wav_bytes"})
    tensors = [tf.make_ndarray(proto) for proto in request.inputs.values()]
    assert all(len(tensor) == 1 for tensor in tensors)


def _model(samples=None, channels=1):
  keras.utils.set_random_seed(5)
  return keras.Sequential(
    [
      keras.Input((samples, channels)),
      tfspec.layers.STFTSpectrogram(
        frame_length=64, frame_step=24, sample_rate_hz=8000
      ),
      keras.layers.GlobalAveragePooling1D(),
      keras.layers.Dense(5),
    ]
  )


@pytest.mark.slow
@pytest.mark.parametrize(
  ("samples", "channels"), [(None, 1), (500, 1), (None, 2)]
)
def test_keras_model_from_sound_to_prediction(samples, channels, tmp_path):
  model = _model(samples, channels)
  tfspec.export_saved_model(model, tmp_path / "1")
  signatures = tf.saved_model.load(str(tmp_path / "1")).signatures
  assert sorted(signatures) == [
    "pcm16",
    "serving_default",
    "spectrogram",
    "wav",
  ]
  pcm = np.round(_signals(1, 500, channels) * 2**15)
  batch = (pcm / 2**15).astype(np.float32)
  expected = model(batch).numpy()
  signals = batch[..., 0] if channels == 1 else batch
  inputs = {
    "serving_default": {"signals": signals, "lengths": _ALL},
    "pcm16": {
      "signals": (signals * 2**15).astype(np.int16),
      "lengths": _ALL,
    },
    "wav": {"wav_bytes": [sample_requests.wav_file(batch[0], 8000)]},
  }
  for name, request in inputs.items():
    (output,) = signatures[name](**request).items()
    assert output[0] == "predictions"
    np.testing.assert_allclose(output[1], expected, atol=1e-5, err_msg=name)
  # The result for a clip does not depend on what pads it.
  short = signatures["serving_default"](signals=signals, lengths=[300])
  if samples is None:
    alone = model(batch[:, :300]).numpy()
    np.testing.assert_allclose(short["predictions"], alone, atol=1e-5)
  else:
    sentence = _refused(signatures["wav"], wav_bytes=[_wav(501)])
    assert sentence.startswith("wav: there must be at most 500 samples.")
  assert tfspec.verify(tmp_path / "1").ok
  card = (tmp_path / "1" / "assets" / "model_card.md").read_text()
  assert "A Keras model of sound" in card and "`predictions` float32" in card


@pytest.mark.slow
def test_as_many_samples_as_allowed_by_default(tmp_path):
  tfspec.export_saved_model(_CONFIG, tmp_path / "1")
  pcm16 = tf.saved_model.load(str(tmp_path / "1")).signatures["pcm16"]
  samples = 30 * 60 * 8000
  signals = np.zeros([1, samples + 1], np.int16)
  assert "must have at most 14400000 samples" in _refused(
    pcm16, signals=signals, lengths=_ALL
  )
  signals[0, samples // 2] = 2**14
  outputs = pcm16(signals=signals[:, :samples], lengths=_ALL)
  count = _CONFIG.num_frames(samples)
  assert outputs["num_frames"].numpy() == [count]
  values = outputs["spectrogram"].numpy()[0]
  assert values.shape == (count, 33)
  loud = np.flatnonzero(values.max(axis=1) > values.min())
  # Frames m with 24 m <= 7200000 < 24 m + 64, but the window ends in zeros.
  assert loud.tolist() == [299998, 299999]


@pytest.mark.slow
@pytest.mark.parametrize("jit_compile", [False, True])
def test_keras_model_with_channels_first_and_two_outputs(jit_compile, tmp_path):
  keras.utils.set_random_seed(6)
  signals = keras.Input((2, None))
  frames = tfspec.layers.STFTSpectrogram(
    frame_length=64,
    frame_step=24,
    sample_rate_hz=8000,
    data_format="channels_first",
    expand_dims=True,
  )(signals)
  loudness = keras.layers.GlobalMaxPooling2D(data_format="channels_first")
  scores = keras.layers.Dense(3, name="scores")(loudness(frames))
  share = keras.layers.Dense(1, "sigmoid", name="share")(scores)
  model = keras.Model(signals, [scores, share])
  tfspec.export_saved_model(model, tmp_path / "1", jit_compile=jit_compile)
  signatures = tf.saved_model.load(str(tmp_path / "1")).signatures
  batch = _signals(2, 2, 500)
  expected = model(batch)
  file = sample_requests.wav_file(batch[0].T, 8000)
  requests = {
    "serving_default": ({"signals": batch, "lengths": _ALL}, 2),
    "wav": ({"wav_bytes": [file]}, 1),
  }
  for name, (inputs, rows) in requests.items():
    outputs = signatures[name](**inputs)
    assert sorted(outputs) == ["scores", "share"]
    for output, value in zip(("scores", "share"), expected, strict=True):
      np.testing.assert_allclose(outputs[output], value[:rows], atol=1e-5)
  report = tfspec.verify(tmp_path / "1")
  assert report.ok, str(report)


@pytest.mark.slow
def test_model_with_scores_and_labels(tmp_path):
  model = _model()
  scores = model.outputs[0]
  labels = keras.ops.argmax(scores, axis=-1)
  model = keras.Model(model.inputs[0], {"scores": scores, "labels": labels})
  tfspec.export_saved_model(model, tmp_path / "1")
  assert tfspec.verify(tmp_path / "1").ok
  path = tmp_path / "1" / "assets" / "predictions.npz"
  with np.load(path) as archive:
    arrays = dict(archive)
  assert arrays["noise/outputs/labels"].dtype.kind == "i"
  arrays["noise/outputs/labels"] = arrays["noise/outputs/labels"] + 1
  np.savez_compressed(path, **arrays)
  (problem,) = tfspec.verify(tmp_path / "1").problems
  assert problem.startswith("assets/predictions.npz must be as it was written")
  checksums.write(tmp_path / "1")
  report = tfspec.verify(tmp_path / "1")
  failed = {result.route for result in report.results if not result.ok}
  assert failed == _MODEL_ROUTES


@pytest.mark.slow
def test_verify_finds_an_output_that_was_lost(tmp_path):
  inputs = _model().inputs[0]
  scores = _model()(inputs)
  both = {"scores": scores, "loudest": keras.ops.max(scores, axis=-1)}
  for name, outputs in (("1", both), ("2", {"scores": scores})):
    tfspec.export_saved_model(keras.Model(inputs, outputs), tmp_path / name)
  for path in (tmp_path / "2").rglob("*"):
    if path.name == "saved_model.pb" or path.parent.name == "variables":
      target = tmp_path / "1" / path.relative_to(tmp_path / "2")
      target.write_bytes(path.read_bytes())
  checksums.write(tmp_path / "1")
  report = tfspec.verify(tmp_path / "1")
  failed = [result for result in report.results if not result.ok]
  assert {result.route for result in failed} == _MODEL_ROUTES
  for result in failed:
    assert result.note == (
      "The outputs must be ['loudest', 'scores']. Got: ['scores']."
    )


@pytest.mark.slow
def test_model_that_needs_some_samples(tmp_path):
  front, pool, _ = _model().layers
  head = [keras.layers.Conv1D(4, 3), pool, keras.layers.Dense(5)]
  model = keras.Sequential([keras.Input((None, 1)), front, *head])
  # Three frames: 64 + 2 * 24 samples.
  for name, given, least in (("1", None, 112), ("2", 150, 150)):
    tfspec.export_saved_model(model, tmp_path / name, min_samples=given)
    card = (tmp_path / name / "assets" / "model_card.md").read_text()
    assert f"| min_samples | {least} |" in card
    served = tf.saved_model.load(str(tmp_path / name)).signatures
    assert served["wav"](wav_bytes=[_wav(least)])["predictions"].shape == [1, 5]
    sentence = (
      f"Each row must have at least {least} samples for this model. Got: "
      f"{least - 1} in row 1."
    )
    assert sentence == _refused(
      served["wav"], wav_bytes=[_wav(300), _wav(least - 1)]
    )
    assert sentence == _refused(
      served["pcm16"],
      signals=tf.zeros([2, 300], tf.int16),
      lengths=[300, least - 1],
    )
  report = tfspec.verify(tmp_path / "2")
  assert report.ok, str(report)
  with pytest.raises(ValueError, match="must be a number of samples that the "):
    tfspec.export_saved_model(model, tmp_path / "3", min_samples=111)
  assert not (tmp_path / "3").exists()


def test_model_without_an_answer_is_refused(tmp_path):
  # The logarithm of what is never positive.
  model = keras.Sequential(
    [*_model().layers[:-1], keras.layers.Lambda(lambda x: x / 0.0 - x / 0.0)]
  )
  model.build((None, None, 1))
  with pytest.raises(ValueError, match="The model must give finite answers"):
    tfspec.export_saved_model(model, tmp_path / "1")
  assert not os.listdir(tmp_path)


@pytest.mark.slow
def test_answer_that_is_not_finite_is_refused(tmp_path):
  """A model has none for silence, which training may not have had."""

  def share(frames):
    energy = keras.ops.sum(frames, axis=1)
    return energy / keras.ops.sum(energy, axis=1, keepdims=True)

  front = tfspec.layers.STFTSpectrogram("psd", 64, 24, sample_rate_hz=8000)
  model = keras.Sequential([front, keras.layers.Lambda(share)])
  model.build((None, None, 1))
  tfspec.export_saved_model(model, tmp_path / "1")
  assert tfspec.verify(tmp_path / "1").ok
  served = tf.saved_model.load(str(tmp_path / "1")).signatures
  batch = np.stack([_signals(300), np.zeros(300, np.float32)])
  assert _refused(served["serving_default"], signals=batch, lengths=_ALL) == (
    "The model must have a finite answer. Got: a NaN or an infinity in "
    "predictions, row 1."
  )
  with pytest.raises(ValueError, match="to every clip if non_finite is 'pass'"):
    tfspec.export_saved_model(model, tmp_path / "2", non_finite="pass")


@pytest.mark.slow
def test_verify_finds_another_model_behind_the_front_end(tmp_path):
  for name in ("1", "2"):
    model = _model()
    if name == "2":
      model.layers[-1].bias.assign(np.full(5, 0.01))
    tfspec.export_saved_model(model, tmp_path / name)
  (tmp_path / "1" / "saved_model.pb").write_bytes(
    (tmp_path / "2" / "saved_model.pb").read_bytes()
  )
  for path in (tmp_path / "2" / "variables").iterdir():
    (tmp_path / "1" / "variables" / path.name).write_bytes(path.read_bytes())
  report = tfspec.verify(tmp_path / "1")
  assert "saved_model.pb must be as it was written" in report.problems[0]
  checksums.write(tmp_path / "1")
  report = tfspec.verify(tmp_path / "1")
  failed = {result.route for result in report.results if not result.ok}
  assert failed == _MODEL_ROUTES


def test_wrong_sources(tmp_path):
  with pytest.raises(TypeError, match="source must be a SpectrogramConfig"):
    tfspec.export_saved_model("speech.textproto", tmp_path / "1")
  plain = keras.Sequential([keras.Input((None, 1)), keras.layers.Dense(2)])
  with pytest.raises(ValueError, match=r"one STFTSpectrogram, .* Got: 0"):
    tfspec.export_saved_model(plain, tmp_path / "1")
  if hasattr(keras.layers, "STFTSpectrogram"):
    mixed = _model()
    mixed = keras.Model(
      mixed.inputs,
      [*mixed.outputs, keras.layers.STFTSpectrogram()(mixed.inputs[0])],
    )
    with pytest.raises(ValueError, match=r"one STFTSpectrogram, .* Got: 2"):
      tfspec.export_saved_model(mixed, tmp_path / "1")
  with pytest.raises(ValueError, match=r"channels must be what the model"):
    tfspec.export_saved_model(_model(), tmp_path / "1", channels=2)
  other = keras.Input((), name="rate")
  signals = keras.Input((None, 1), name="signals")
  inputs = {"signals": signals, "rate": other}
  two = keras.Model(inputs, _model()(signals) + other)
  with pytest.raises(ValueError, match=r"inputs named 'signals' and 'lengths'"):
    tfspec.export_saved_model(two, tmp_path / "1")
  assert not os.listdir(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("jit_compile", [False, True])
def test_xla_only_where_asked_for(jit_compile, tmp_path):
  tfspec.export_saved_model(_CONFIG, tmp_path / "1", jit_compile=jit_compile)
  contents = (tmp_path / "1" / "saved_model.pb").read_bytes()
  # An attribute of each function, true where XLA must compile it.
  assert (b"_XlaMustCompile\x12\x02(\x01" in contents) == jit_compile
  assert tfspec.verify(tmp_path / "1").ok
