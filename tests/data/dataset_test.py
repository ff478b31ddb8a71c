"""Tests of `tfspec.spectrogram_fn` in `tf.data` pipelines."""

import dataclasses

import numpy as np
import pytest
import soundfile
import tensorflow as tf

import tfspec
from tests import lanes
from tests.paths import SPEECH
from tfspec.contract import bounds, registry

_SPEECH_TEXT = (
  "frame_length: 200 frame_step: 80 fft_length: 256 sample_rate_hz: 8000 "
  "periodic: true"
)
_CONFIG = tfspec.SpectrogramConfig(frame_length=64, frame_step=24)
_LENGTHS = (300, 64, 1200, 77)


def _clip(samples):
  random = np.random.default_rng(samples)
  return (0.3 * random.standard_normal(samples)).astype(np.float32)


def _clips(lengths, label=True):
  """Returns a dataset of clips whose lengths it does not know."""

  def generate():
    for i, samples in enumerate(lengths):
      yield (_clip(samples), i) if label else _clip(samples)

  signals = tf.TensorSpec([None], tf.float32)
  spec = (signals, tf.TensorSpec([], tf.int64)) if label else signals
  return tf.data.Dataset.from_generator(generate, output_signature=spec)


def _alone(clip, config=_CONFIG):
  return tfspec.Spectrogram(config)(clip).numpy()


def _first(dataset):
  return next(iter(dataset))


def _assert_close(actual, expected):
  """Compares two runs of the same ops, which may differ in their shapes."""
  actual = np.asarray(actual)
  assert actual.shape == expected.shape
  np.testing.assert_allclose(actual, expected, atol=1e-5)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("shape", [(500,), (500, 2), (3, 500, 2)], ids=str)
def test_waveform_of_each_rank(shape, data_format):
  config = dataclasses.replace(_CONFIG, data_format=data_format)
  signals = _clip(int(np.prod(shape))).reshape(shape)
  if data_format == "channels_first" and len(shape) > 1:
    signals = np.swapaxes(signals, -1, -2)
  dataset = tf.data.Dataset.from_tensors(signals)
  actual = _first(dataset.map(tfspec.spectrogram_fn(config)))
  last = data_format == "channels_last"
  batch = signals if last or signals.ndim == 1 else signals.swapaxes(-1, -2)
  batch = batch.reshape((1, 500, -1) if signals.ndim < 3 else batch.shape)
  golden = registry.Recording(
    "clip",
    "frame_length: 64 frame_step: 24 "
    f"data_format: DATA_FORMAT_{data_format.upper()}",
    values=batch,
  )
  expected, bound = golden.expected()
  if len(shape) < 3:
    expected, bound = expected[0], bound[0]
  deviation = bounds.deviation(config, actual.numpy(), expected, bound)
  assert deviation.ok, deviation


def test_label_and_weight_pass_through():
  clip = _clip(300)
  elements = (clip, b"yes", np.float64(0.5))
  dataset = tf.data.Dataset.from_tensors(elements)
  result = _first(dataset.map(tfspec.spectrogram_fn(_CONFIG)))
  assert isinstance(result, tuple)
  features, label, weight = result
  _assert_close(features, _alone(clip))
  assert label.numpy() == b"yes"
  assert weight.dtype == tf.float64 and weight.numpy() == 0.5


def test_label_of_any_structure_passes_through():
  label = {"words": tf.ragged.constant([[1], [2, 3]]), "pair": (1, b"x")}
  dataset = tf.data.Dataset.from_tensors((_clip(300), label))
  mapped = dataset.map(tfspec.spectrogram_fn(_CONFIG))
  features, found = _first(mapped)
  _assert_close(features, _alone(_clip(300)))
  assert mapped.element_spec[1] == dataset.element_spec[1]
  assert found["words"].to_list() == [[1], [2, 3]]
  assert found["pair"][0].numpy() == 1 and found["pair"][1].numpy() == b"x"


def test_dict_with_key():
  element = {"audio": _clip(300), "id": b"a17", "other": _clip(9)}
  dataset = tf.data.Dataset.from_tensors(element)
  result = _first(dataset.map(tfspec.spectrogram_fn(_CONFIG, key="audio")))
  assert sorted(result) == ["audio", "id", "other"]
  _assert_close(result["audio"], _alone(element["audio"]))
  assert result["id"].numpy() == b"a17"
  np.testing.assert_array_equal(result["other"], element["other"])


def test_dict_and_label_with_key():
  element = ({"audio": _clip(300), "rate": 8000}, 7)
  dataset = tf.data.Dataset.from_tensors(element)
  map_fn = tfspec.spectrogram_fn(_CONFIG, key="audio")
  features, label = _first(dataset.map(map_fn))
  _assert_close(features["audio"], _alone(element[0]["audio"]))
  assert features["rate"].numpy() == 8000 and label.numpy() == 7


def test_element_is_not_changed_in_place():
  element = {"audio": tf.constant(_clip(300))}
  tfspec.spectrogram_fn(_CONFIG, key="audio")(element)
  assert element["audio"].shape == [300]


@pytest.mark.parametrize(
  ("element", "key", "sentence"),
  [
    (
      {"audio": _clip(99), "id": 3},
      None,
      r"key must name the waveform of a dict\. "
      r"Got: key=None, keys=\['audio', 'id'\]\.",
    ),
    (_clip(99), "audio", r"key must be in the dict .* Got: key='audio', "),
    (
      {"speech": _clip(99)},
      "audio",
      r"key must be in the dict .* Got: key='audio', element=\['speech'\]\.",
    ),
    (
      (_clip(99), {"audio": 1}),
      "audio",
      r"key must be in the dict .* Got: key='audio', ",
    ),
  ],
  ids=["dict_without_key", "key_without_dict", "missing", "dict_is_label"],
)
def test_wrong_key(element, key, sentence):
  dataset = tf.data.Dataset.from_tensors(element)
  with pytest.raises(TypeError, match=sentence):
    dataset.map(tfspec.spectrogram_fn(_CONFIG, key=key))


def test_trainable_config_is_refused():
  config = dataclasses.replace(_CONFIG, trainable=True)
  with pytest.raises(ValueError, match="config must not be trainable"):
    tfspec.spectrogram_fn(config)


def test_trained_module_is_used():
  config = dataclasses.replace(_CONFIG, trainable=True, mode="stft")
  spectrogram = tfspec.Spectrogram(config)
  spectrogram.real_kernel.assign(spectrogram.real_kernel * 2.0)
  clip = _clip(300)
  dataset = tf.data.Dataset.from_tensors(clip)
  actual = _first(dataset.map(tfspec.spectrogram_fn(spectrogram))).numpy()
  fresh = _alone(clip, config)
  bins = config.num_bins
  _assert_close(actual[:, :bins], 2.0 * fresh[:, :bins])
  _assert_close(actual[:, bins:], fresh[:, bins:])


@pytest.mark.parametrize("dtype", ["int16", "int32", "int64"])
def test_integer_samples_are_refused_with_both_scales(dtype):
  # TFDS gives samples of 16 bits as int64.
  dataset = tf.data.Dataset.from_tensors(np.zeros(300, dtype))
  sentence = (
    rf"Got: {dtype}\. .*tf\.cast\(signals, tf\.float32\) / 2\.0\*\*15 if it "
    r"had 16 bits, / 2\.0\*\*31 if it had 32\."
  )
  with pytest.raises(TypeError, match=sentence):
    dataset.map(tfspec.spectrogram_fn(_CONFIG))


def test_ragged_waveforms_hold_each_clip_as_alone():
  dataset = _clips(_LENGTHS).ragged_batch(4)
  features, labels = _first(dataset.map(tfspec.spectrogram_fn(_CONFIG)))
  assert isinstance(features, tf.RaggedTensor)
  assert labels.numpy().tolist() == [0, 1, 2, 3]
  for row, samples in zip(features, _LENGTHS, strict=True):
    _assert_close(row, _alone(_clip(samples)))


@pytest.mark.parametrize("value", [None, -8.0, 0.0])
def test_lengths_of_a_padded_batch(value):
  dataset = _clips(_LENGTHS, label=False).map(
    lambda clip: {"audio": clip[:, tf.newaxis], "size": tf.size(clip)}
  )
  map_fn = tfspec.spectrogram_fn(
    _CONFIG, key="audio", lengths_key="size", padding_value=value
  )
  result = _first(dataset.padded_batch(4).map(map_fn))
  frames = [_CONFIG.num_frames(samples) for samples in _LENGTHS]
  assert result["size"].numpy().tolist() == frames
  for row, samples, count in zip(
    result["audio"].numpy(), _LENGTHS, frames, strict=True
  ):
    _assert_close(row[:count], _alone(_clip(samples)))
    expected = _CONFIG.silence if value is None else value
    assert np.all(row[count:] == np.float32(expected))


@pytest.mark.parametrize(
  "route", lanes.every(3, ["single", "tuple", "dict", "dict_and_label"])
)
@pytest.mark.parametrize(
  "changes",
  [
    {},
    {"data_format": "channels_first"},
    {"data_format": "channels_first", "expand_dims": True, "mode": "psd"},
    {"expand_dims": True, "mode": "magnitude"},
  ],
  ids=str,
)
def test_padded_batch_puts_silence_behind_each_clip(route, changes):
  config = dataclasses.replace(_CONFIG, **changes)
  spectrograms = _clips(_LENGTHS).map(tfspec.spectrogram_fn(config))
  key = "x" if route.startswith("dict") else None
  elements = {
    "single": lambda values, label: values,
    "tuple": lambda values, label: (values, label),
    "dict": lambda values, label: {"x": values, "source": b"a"},
    "dict_and_label": lambda values, label: ({"x": values}, label),
  }
  (batch,) = tfspec.data.padded_batch(
    spectrograms.map(elements[route]), config, 4, key
  )
  if route in ("tuple", "dict_and_label"):
    assert batch[-1].numpy().tolist() == [0, 1, 2, 3]
  first = batch[0] if route == "dict_and_label" else batch
  if key:
    assert (
      "source" not in first or first["source"].numpy().tolist() == [b"a"] * 4
    )
    values, num_frames = first["x"], first["num_frames"]
  else:
    values, num_frames = first[:2]
  assert num_frames.numpy().tolist() == [config.num_frames(n) for n in _LENGTHS]
  axis = 1 if config.data_format == "channels_first" else 0
  for row, count, samples in zip(values, num_frames, _LENGTHS, strict=True):
    own, rest = np.split(row.numpy(), [int(count)], axis)
    _assert_close(own, _alone(_clip(samples), config))
    assert np.all(rest == np.float32(config.silence))


def test_padded_batch_takes_a_value_and_short_dtypes():
  clips = tf.data.Dataset.from_tensor_slices([300, 100])
  clips = clips.map(lambda n: tf.ones([n], tf.bfloat16))
  spectrograms = clips.map(tfspec.spectrogram_fn(_CONFIG))
  for value in (None, 0.0):
    (batch,) = tfspec.data.padded_batch(
      spectrograms, _CONFIG, 2, padding_value=value
    )
    silence = tfspec.Spectrogram(_CONFIG)(tf.zeros([64], tf.bfloat16))
    expected = silence[0] if value is None else 0.0 * silence[0]
    assert batch[0].dtype == tf.bfloat16
    assert np.all(batch[0][1, 2:] == expected)


@pytest.mark.parametrize("shape", [[None], [None, None], [4, None, 33], None])
def test_padded_batch_of_what_is_no_clip(shape):
  dataset = tf.data.Dataset.from_generator(
    list, output_signature=tf.TensorSpec(shape)
  )
  with pytest.raises(ValueError, match="rank 2, one clip each, and a known"):
    tfspec.data.padded_batch(dataset, _CONFIG, 2)


def test_wrong_lengths_key():
  with pytest.raises(ValueError, match="key must name .* lengths_key='size'"):
    tfspec.spectrogram_fn(_CONFIG, lengths_key="size")
  map_fn = tfspec.spectrogram_fn(_CONFIG, key="audio", lengths_key="size")
  with pytest.raises(TypeError, match="lengths_key must be in the dict"):
    map_fn({"audio": _clip(99)})


@pytest.mark.slow
def test_buckets_are_compiled_once_each():
  traces = 0
  spectrogram = tfspec.Spectrogram(_CONFIG)

  @tf.function(jit_compile=True)
  def compiled(signals, lengths):
    nonlocal traces
    traces += 1
    return spectrogram(signals, lengths)

  sizes = [int(n) for n in np.random.default_rng(1).integers(0, 401, 80)]
  sizes += [0, 100, 101, 250, 251, 400]
  dataset = tfspec.data.bucket_by_length(
    _clips(sizes), [100, 250, 400], 4, drop_remainder=True
  )
  seen = 0
  for signals, lengths, labels in dataset:
    boundary = signals.shape[1]
    assert signals.shape == (4, boundary, 1) and boundary in (100, 250, 400)
    assert all(
      int(n) <= boundary and (boundary == 100 or int(n) > boundary - 150)
      for n in lengths
    )
    values, num_frames = compiled(signals, lengths)
    for row, frames, label in zip(values, num_frames, labels, strict=True):
      _assert_close(row[:frames], _alone(_clip(sizes[int(label)])))
      seen += 1
  assert seen > 70
  assert traces == 3


@pytest.mark.parametrize("key", [None, "audio"])
def test_one_bucket_has_a_static_shape(key):
  clips = _clips([50, 90, 70, 100, 0])
  if key:
    clips = clips.map(lambda clip, label: ({key: clip}, label))
  dataset = tfspec.data.bucket_by_length(
    clips, [100], 2, key, drop_remainder=True
  )
  specs = tf.nest.flatten(dataset.element_spec)
  assert sorted(spec.shape.as_list() for spec in specs) == [
    [2],
    [2],
    [2, 100, 1],
  ]
  batches = [tf.nest.flatten(batch) for batch in dataset]
  assert len(batches) == 2
  for batch in batches:
    for value, spec in zip(batch, specs, strict=True):
      assert value.shape == spec.shape


def test_buckets_keep_the_remainder():
  dataset = tfspec.data.bucket_by_length(
    _clips([5, 90, 7, 6], label=False), [10, 100], 2
  )
  found = [(signals.shape, n.numpy().tolist()) for signals, n in dataset]
  assert found == [
    ((2, 10, 1), [5, 7]),
    ((1, 10, 1), [6]),
    ((1, 100, 1), [90]),
  ]


@pytest.mark.parametrize("label", [False, True])
def test_buckets_of_dicts(label):
  def element(clip, number):
    first = {"audio": tf.stack([clip, clip], 1), "words": tf.range(number)}
    return (first, number) if label else first

  dataset = tfspec.data.bucket_by_length(
    _clips([50, 90, 70]).map(element), [100], 3, key="audio"
  )
  result = _first(dataset)
  first = result[0] if label else result
  assert first["audio"].shape == (3, 100, 2)
  assert first["lengths"].numpy().tolist() == [50, 90, 70]
  assert first["words"].numpy().tolist() == [[0, 0], [0, 0], [0, 1]]
  map_fn = tfspec.spectrogram_fn(_CONFIG, "audio", "lengths")
  mapped = _first(dataset.map(map_fn))
  mapped = mapped[0] if label else mapped
  assert mapped["lengths"].numpy().tolist() == [0, 2, 1]


def test_buckets_refuse_a_batch_for_a_clip():
  batches = _clips([50, 50], label=False).padded_batch(2)
  dataset = tfspec.data.bucket_by_length(batches, [100], 1)
  with pytest.raises(
    tf.errors.InvalidArgumentError, match="a batch of mono clips is"
  ):
    list(dataset)


def test_buckets_refuse_a_clip_that_is_too_long():
  dataset = tfspec.data.bucket_by_length(_clips([50, 101]), [100], 1)
  with pytest.raises(
    tf.errors.InvalidArgumentError,
    match="at most the last boundary. Got: samples=101, boundary=100.",
  ):
    list(dataset)


@pytest.mark.parametrize("boundaries", [[], [0, 5], [5, 5], [9, 5]])
def test_buckets_refuse_wrong_boundaries(boundaries):
  with pytest.raises(ValueError, match="boundaries must be positive and ris"):
    tfspec.data.bucket_by_length(_clips([5]), boundaries, 2)


def test_buckets_refuse_wrong_elements():
  with pytest.raises(ValueError, match="batch_size must be at least 1"):
    tfspec.data.bucket_by_length(_clips([5]), [9], 0)
  batches = _clips([5]).map(lambda clip, _: clip[tf.newaxis, :, tf.newaxis])
  with pytest.raises(ValueError, match="signals must be .* to be batched"):
    tfspec.data.bucket_by_length(batches, [9], 2)
  with pytest.raises(TypeError, match="key must be in the dict"):
    tfspec.data.bucket_by_length(_clips([5]), [9], 2, key="audio")


@pytest.mark.parametrize("engine", ["fft", "kernel"])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_padded_batch_holds_each_clip_as_alone(engine, padding):
  config = dataclasses.replace(_CONFIG, engine=engine, padding=padding)
  mapped = _clips(_LENGTHS).map(tfspec.spectrogram_fn(config))
  features, labels = _first(mapped.padded_batch(4))
  assert labels.numpy().tolist() == [0, 1, 2, 3]
  assert features.shape == [4, config.num_frames(1200), config.num_bins]
  for row, samples in zip(features.numpy(), _LENGTHS, strict=True):
    num_frames = config.num_frames(samples)
    _assert_close(row[:num_frames], _alone(_clip(samples), config))
    assert not row[num_frames:].any()


def test_ragged_batch_holds_each_clip_as_alone():
  mapped = _clips(_LENGTHS, label=False).map(tfspec.spectrogram_fn(_CONFIG))
  batch = _first(mapped.ragged_batch(4))
  assert isinstance(batch, tf.RaggedTensor)
  for row, samples in zip(batch, _LENGTHS, strict=True):
    dense = row.to_tensor() if isinstance(row, tf.RaggedTensor) else row
    _assert_close(dense, _alone(_clip(samples)))


@pytest.mark.parametrize("deterministic", [True, False])
def test_parallel_cached_and_prefetched(deterministic):
  lengths = range(60, 460, 20)
  dataset = (
    _clips(lengths)
    .map(
      tfspec.spectrogram_fn(_CONFIG),
      num_parallel_calls=2,
      deterministic=deterministic,
    )
    .cache()
    .prefetch(tf.data.AUTOTUNE)
  )
  for _ in range(2):  # The second time from the cache.
    found = {int(label): features for features, label in dataset}
    if deterministic:
      assert list(found) == list(range(20))
    assert sorted(found) == list(range(20))
    for label, features in found.items():
      _assert_close(features, _alone(_clip(lengths[label])))


@pytest.mark.slow
def test_clips_of_all_lengths_share_one_trace():
  traces = 0
  map_fn = tfspec.spectrogram_fn(_CONFIG)

  def counted(signals, label):
    nonlocal traces
    traces += 1  # Python runs while a function is traced, not when it is run.
    return map_fn(signals, label)

  lengths = range(1000)
  mapped = _clips(lengths).map(counted, num_parallel_calls=2)
  frames = [features.shape[0] for features, _ in mapped]
  assert frames == [_CONFIG.num_frames(samples) for samples in lengths]
  assert len(frames) == 1000 and len(set(frames)) > 30
  assert traces == 1


def test_static_shape_is_kept_where_it_is_known():
  mapped = _clips(_LENGTHS, label=False).map(tfspec.spectrogram_fn(_CONFIG))
  assert mapped.element_spec == tf.TensorSpec([None, 33], tf.float32)
  fixed = tf.data.Dataset.from_tensors(_clip(300))
  mapped = fixed.map(tfspec.spectrogram_fn(_CONFIG))
  frames = _CONFIG.num_frames(300)
  assert mapped.element_spec == tf.TensorSpec([frames, 33], tf.float32)


@pytest.mark.parametrize("engine", ["fft", "kernel"])
@pytest.mark.parametrize(
  ("padding", "expected"), [("valid", (10, 0, 0, 1)), ("same", (13, 0, 3, 3))]
)
def test_empty_and_short_clips_do_not_stop_the_pipeline(
  engine, padding, expected
):
  config = dataclasses.replace(_CONFIG, engine=engine, padding=padding)
  dataset = _clips([300, 0, 63, 64], label=False)
  mapped = dataset.map(tfspec.spectrogram_fn(config))
  shapes = [tuple(features.shape) for features in mapped]
  assert shapes == [(frames, 33) for frames in expected]


def test_speech_files_agree_with_oracle():
  config = registry.Golden("speech", _SPEECH_TEXT).config()
  dataset = tf.data.Dataset.list_files(
    str(SPEECH / "*" / "*.wav"), shuffle=False
  )

  def load(path):
    signals, sample_rate_hz = tfspec.data.load_wav(path)
    return signals, sample_rate_hz, path

  mapped = dataset.map(load, num_parallel_calls=2).map(
    tfspec.spectrogram_fn(config), num_parallel_calls=2
  )
  paths = []
  for features, sample_rate_hz, path in mapped:
    paths.append(path.numpy().decode())
    signals, expected_rate = soundfile.read(
      paths[-1], dtype="float32", always_2d=True
    )
    assert sample_rate_hz.numpy() == expected_rate == 8000
    golden = registry.Recording(
      paths[-1], _SPEECH_TEXT, values=signals[np.newaxis]
    )
    expected, bound = golden.expected()
    deviation = bounds.deviation(
      config, features.numpy(), expected[0], bound[0]
    )
    assert deviation.ok, (path, deviation)
  assert paths == sorted(str(path) for path in SPEECH.glob("*/*.wav"))
  assert len(paths) == 15
