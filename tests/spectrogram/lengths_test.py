"""Batches of clips of many lengths: each clip gives what it gives alone."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfspec
from tests import lanes
from tfspec.coefficients import framing
from tfspec.contract import oracle
from tfspec.ops import padding_ops, shape_ops

_CONFIG = tfspec.SpectrogramConfig(
  mode="stft", frame_length=64, frame_step=24, window=("kaiser", 4.0)
)
_LENGTHS = (301, 0, 1, 2, 31, 32, 33, 63, 64, 65, 100, 300)
_PADDINGS = (
  dict(padding="valid"),
  dict(padding="same"),
  dict(padding="center"),
  dict(padding="center", pad_mode="constant", pad_value=0.3),
  dict(padding="hop_center", drop_last_frame=True),
)


def _config(**changes):
  return dataclasses.replace(_CONFIG, **changes)


def _batch(lengths=_LENGTHS, samples=301, channels=2):
  """Returns clips behind whose ends stand NaN and infinities."""
  random = np.random.default_rng(7)
  shape = (len(lengths), samples, channels)
  signals = random.standard_normal(shape).astype(np.float32)
  for i, length in enumerate(lengths):
    signals[i, length:] = (np.nan, np.inf, -np.inf)[i % 3]
  return signals


def _eager(spectrogram):
  return spectrogram


def _graph(spectrogram):
  signals = tf.TensorSpec([None, None, None], tf.float32)
  lengths = tf.TensorSpec([None], tf.int64)
  return tf.function(spectrogram, input_signature=[signals, lengths])


def _xla(spectrogram):
  return tf.function(spectrogram, jit_compile=True)


@pytest.mark.parametrize("route", [_eager, _graph, _xla])
@pytest.mark.parametrize("engine", lanes.every(2, ["fft", "kernel"]))
@pytest.mark.parametrize("padding", _PADDINGS, ids=str)
@pytest.mark.parametrize("frame_length", lanes.every(2, [64, 63]))
def test_each_clip_gives_what_it_gives_alone(
  route, engine, padding, frame_length
):
  config = _config(engine=engine, frame_length=frame_length, **padding)
  spectrogram, signals = tfspec.Spectrogram(config), _batch()
  values, num_frames = route(spectrogram)(
    tf.constant(signals), tf.constant(_LENGTHS, tf.int64)
  )
  assert num_frames.dtype == tf.int32
  assert num_frames.numpy().tolist() == [config.num_frames(n) for n in _LENGTHS]
  assert values.shape[1] == config.num_frames(301)
  for clip, row, length in zip(signals, values.numpy(), _LENGTHS, strict=True):
    alone = spectrogram(clip[:length]).numpy()
    frames = len(alone)
    if route is _eager:  # The same operations: bit for bit.
      np.testing.assert_array_equal(row[:frames], alone)
    np.testing.assert_allclose(row[:frames], alone, atol=2e-6)
    assert np.all(row[frames:] == 0.0)


@pytest.mark.slow
@pytest.mark.parametrize("mode", tfspec.config.MODES)
@pytest.mark.parametrize("padding", _PADDINGS, ids=str)
def test_every_mode(mode, padding):
  config = _config(mode=mode, **padding)
  spectrogram, signals = tfspec.Spectrogram(config), _batch()
  values, num_frames = spectrogram(signals, _LENGTHS)
  silent = dataclasses.replace(
    config,
    padding="valid",
    pad_mode=None,
    pad_value=None,
    drop_last_frame=False,
  )
  silence = tfspec.Spectrogram(silent)(tf.zeros([64, 2])).numpy()
  assert silence.shape == (1, 2 * config.num_features)
  explicit, _ = spectrogram(signals, _LENGTHS, padding_value=0.0)
  for clip, row, length, frames in zip(
    signals, values.numpy(), _LENGTHS, num_frames.numpy(), strict=True
  ):
    np.testing.assert_allclose(
      row[:frames], spectrogram(clip[:length]), rtol=1e-6, atol=1e-6
    )
    assert np.all(row[frames:] == silence)
  behind = np.arange(explicit.shape[1]) >= num_frames.numpy()[:, np.newaxis]
  assert np.any(behind) and not np.any(explicit.numpy()[behind])


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("expand_dims", [False, True])
def test_every_layout(data_format, expand_dims):
  config = _config(
    padding="same", data_format=data_format, expand_dims=expand_dims
  )
  plain = tfspec.Spectrogram(_config(padding="same"))(_batch(), _LENGTHS)[0]
  signals, last = _batch(), data_format == "channels_last"
  values, _ = tfspec.Spectrogram(config)(
    signals if last else signals.transpose(0, 2, 1), _LENGTHS
  )
  values = values.numpy()
  if expand_dims:  # To [batch, frames, channels, features].
    values = values.transpose([0, 1, 3, 2] if last else [0, 2, 1, 3])
    values = values.reshape(plain.shape)
  elif not last:
    values = values.transpose(0, 2, 1)
  np.testing.assert_array_equal(values, plain)


def test_one_clip_takes_a_scalar():
  signals = _batch()
  spectrogram = tfspec.Spectrogram(_config(padding="center"))
  for clip in (signals[-1, :, 0], signals[-1]):
    values, num_frames = spectrogram(clip, 300)
    assert num_frames.shape == () and int(num_frames) == 13
    np.testing.assert_array_equal(values, spectrogram(clip[:300]))


@pytest.mark.parametrize("padding", _PADDINGS, ids=str)
@pytest.mark.parametrize("shape", [(0, 301, 1), (2, 0, 1)])
def test_batches_without_samples(padding, shape):
  config = _config(**padding)
  values, num_frames = tfspec.Spectrogram(config)(
    np.zeros(shape, np.float32), np.zeros(shape[0], np.int32)
  )
  assert values.shape == (shape[0], config.num_frames(shape[1]), 66)
  assert num_frames.numpy().tolist() == [0] * shape[0]


@pytest.mark.parametrize("padding", _PADDINGS, ids=str)
@pytest.mark.parametrize("mode", ["log", "magnitude", "angle"])
def test_gradients_do_not_see_what_stands_behind(padding, mode):
  config = _config(trainable=True, mode=mode, **padding)
  spectrogram = tfspec.Spectrogram(config)
  signals = tf.constant(_batch())
  with tf.GradientTape() as tape:
    tape.watch(signals)
    total = tf.reduce_sum(spectrogram(signals, _LENGTHS)[0])
  of_signals, *of_kernels = tape.gradient(
    total, [signals, *spectrogram.trainable_variables]
  )
  assert all(np.all(np.isfinite(g)) for g in (of_signals, *of_kernels))
  for row, length in zip(of_signals.numpy(), _LENGTHS, strict=True):
    assert not np.any(row[length:])


@pytest.mark.parametrize(
  "lengths, error, sentence",
  [
    (
      [5, 302],
      ValueError,
      r"lengths must be in \[0, samples\]\. .*=302, .*301",
    ),
    ([-1, 5], ValueError, r"lengths must be in \[0, samples\]\. .*=-1, .*=301"),
    ([5.0, 6.0], TypeError, "lengths must be integers. Got: float32"),
    ([5], ValueError, r"lengths must be \[batch\].* Got: shape=\[1\]"),
    (5, ValueError, r"lengths must be \[batch\].* Got: shape=\[\]"),
    (
      [[5], [6]],
      ValueError,
      r"lengths must be \[batch\].* Got: shape=\[2, 1\]",
    ),
  ],
)
def test_wrong_lengths(lengths, error, sentence):
  signals = _batch((301, 301))
  with pytest.raises(error, match=sentence):
    tfspec.Spectrogram(_CONFIG)(signals, lengths)


@pytest.mark.parametrize(
  "lengths, sentence",
  [
    ([5, 302], "in [0, samples]. Got: lengths from 5 to 302, samples=301."),
    ([-1, 5], "in [0, samples]. Got: lengths from -1 to 5, samples=301."),
    ([5], "one a clip. Got: 1 lengths, 2 clips."),
  ],
)
def test_wrong_lengths_in_a_graph(lengths, sentence):
  function = _graph(tfspec.Spectrogram(_CONFIG))
  with pytest.raises(tf.errors.InvalidArgumentError) as caught:
    function(_batch((301, 301)), lengths)
  found = tfspec.errors.sentence(caught.value)
  assert found == "lengths must be " + sentence


@pytest.mark.parametrize("padding", _PADDINGS, ids=str)
@pytest.mark.parametrize("channels", [None, 1, 2])
@pytest.mark.parametrize("expand_dims", [False, True])
def test_ragged_batch(padding, channels, expand_dims):
  config = _config(expand_dims=expand_dims, **padding)
  spectrogram = tfspec.Spectrogram(config)
  clips = [c[:n] for c, n in zip(_batch(), _LENGTHS, strict=True)]
  clips = [c[:, 0] if channels is None else c[:, :channels] for c in clips]
  ragged = tf.RaggedTensor.from_row_lengths(np.concatenate(clips), _LENGTHS)
  result = spectrogram(ragged)
  assert isinstance(result, tf.RaggedTensor) and result.ragged_rank == 1
  for row, clip in zip(result, clips, strict=True):
    np.testing.assert_array_equal(row, spectrogram(clip))


def test_ragged_batch_in_what_cannot_be():
  ragged = tf.ragged.constant([[0.1] * 99, [0.2]])
  with pytest.raises(ValueError, match="data_format must be 'channels_last'"):
    tfspec.Spectrogram(_config(data_format="channels_first"))(ragged)
  with pytest.raises(ValueError, match="lengths must be None for a Ragged"):
    tfspec.Spectrogram(_CONFIG)(ragged, [99, 1])
  with pytest.raises(ValueError, match="Got: padding_value=-1.0"):
    tfspec.Spectrogram(_CONFIG)(ragged, padding_value=-1.0)
  with pytest.raises(ValueError, match="Got: padding_value=0.0"):
    tfspec.spectrogram_fn(_CONFIG, padding_value=0.0)(ragged)
  with pytest.raises(ValueError, match="signals must be .*ragged_rank=2"):
    tfspec.Spectrogram(_CONFIG)(tf.ragged.constant([[[0.1, 0.2], [0.3]]]))
  with pytest.raises(TypeError, match=r"/ 2\.0\*\*15"):
    tfspec.Spectrogram(_CONFIG)(tf.ragged.constant([[1, 2]], tf.int16))
  with pytest.raises(TypeError, match="dense tensor. Got: RaggedTensor"):
    tfspec.stft(ragged)


@pytest.mark.parametrize("samples", range(1, 12))
@pytest.mark.parametrize("mode", ["reflect", "symmetric", "constant"])
def test_oracle_and_center_pad_as_numpy_does(samples, mode):
  signals = np.arange(1.0, samples + 1)
  options = dict(constant_values=0.25) if mode == "constant" else {}
  for padding, margins in (
    ("center", (8, 8)),
    ("hop_center", framing.margins(len(signals), 17, 6, "hop_center")),
  ):
    expected = np.pad(signals, margins, mode, **options)
    np.testing.assert_array_equal(
      oracle.surrounded(signals, margins, mode, 0.25), expected
    )
    actual = padding_ops.around(
      tf.constant(signals), 17, 6, padding, mode, 0.25
    )
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("frame_length", [31, 32])
def test_middle_of_a_centered_frame(frame_length):
  config = _config(
    mode="magnitude",
    frame_length=frame_length,
    frame_step=8,
    # The middle of the window is then sample frame_length // 2.
    periodic=frame_length % 2 == 0,
    padding="center",
  )
  signals = np.zeros(81, np.float32)
  signals[40] = 1.0
  power = np.sum(np.square(tfspec.Spectrogram(config)(signals)), axis=1)
  assert np.argmax(power) == 5
  np.testing.assert_allclose(power[4], power[6], rtol=1e-5)


@pytest.mark.parametrize("samples", [0, 1, 63])
def test_there_is_room_for_a_frame_where_there_is_none(samples):
  # conv1d returns uninitialised memory for signals shorter than the kernel.
  fitted, num_frames = shape_ops.fit(tf.ones([2, samples]), 64, 24)
  assert fitted.shape == (2, 64) and num_frames == 0
  np.testing.assert_array_equal(
    fitted[:, samples:], np.zeros([2, 64 - samples])
  )


_LAYER = tfspec.layers.STFTSpectrogram


@pytest.mark.parametrize("padding", _PADDINGS, ids=str)
@pytest.mark.parametrize("frame_length, step", [(64, 24), (63, 20), (2, 1)])
def test_mask_of_frames_is_that_of_the_lengths(padding, frame_length, step):
  layer = _LAYER(
    frame_length=frame_length, frame_step=step, window=None, **padding
  )
  for samples in (0, 1, 5, 63, 64, 65, 150):
    lengths = np.arange(samples + 1)
    mask = np.arange(samples) < lengths[:, np.newaxis]
    found = layer.compute_mask(None, tf.constant(mask)).numpy()
    frames = [layer.spectrogram_config.num_frames(int(n)) for n in lengths]
    expected = np.arange(max(frames)) < np.array(frames)[:, np.newaxis]
    np.testing.assert_array_equal(found, expected)


def _masked(lengths=(400, 200, 70)):
  signals = _batch(lengths, 400, 1)
  for row, length in zip(signals, lengths, strict=True):
    row[length:] = 9.0
  return signals


@pytest.mark.slow
@pytest.mark.parametrize("padding", _PADDINGS, ids=str)
@pytest.mark.parametrize("jit_compile", [False, True])
def test_keras_mask_goes_through(padding, jit_compile, tmp_path):
  layer = _LAYER(frame_length=64, frame_step=24, **padding)
  model = keras.Sequential(
    [
      keras.Input((None, 1)),
      keras.layers.Masking(9.0),
      layer,
      keras.layers.GlobalAveragePooling1D(),
      keras.layers.Dense(1),
    ]
  )
  path = tmp_path / "model.keras"
  model.save(path)
  signals = _masked()
  for found in (model, keras.saving.load_model(path)):
    outputs = found(signals)
    for row, clip, length in zip(outputs, signals, (400, 200, 70), strict=True):
      alone = model.layers[-1](
        tf.reduce_mean(layer(clip[np.newaxis, :length]), axis=1)
      )
      np.testing.assert_allclose(row, alone[0], rtol=1e-4, atol=1e-5)
  model.compile("sgd", "mse", jit_compile=jit_compile)
  np.testing.assert_allclose(
    model.predict(signals, verbose=0), model(signals), rtol=1e-4, atol=1e-5
  )
  history = model.fit(signals, np.zeros([3, 1]), epochs=1, verbose=0)
  assert np.isfinite(history.history["loss"][0])


def test_mask_must_be_true_first():
  mask = tf.constant([[True, False, True, False]])
  with pytest.raises(tf.errors.InvalidArgumentError, match="mask must be True"):
    _LAYER(frame_length=4)(tf.zeros([1, 4, 1]), mask=mask)


def test_lengths_beside_a_mask_are_refused():
  layer = _LAYER(frame_length=64, frame_step=24)
  lengths = np.array([400, 200, 70])
  with pytest.raises(ValueError, match="lengths must be None if there is a"):
    layer(_masked(), lengths=lengths, mask=np.ones([3, 400], bool))
  # A mask that the tensor brings along.
  masked = keras.layers.Masking(9.0)(_masked())
  with pytest.raises(ValueError, match="lengths must be None if there is a"):
    layer(masked, lengths=lengths)


def test_layer_takes_lengths():
  layer = _LAYER(frame_length=64, frame_step=24, padding="center")
  signals = _masked()
  values, num_frames = layer(signals, lengths=np.array([400, 200, 70]))
  expected, frames = layer.to_spectrogram()(signals, [400, 200, 70])
  np.testing.assert_array_equal(values, expected)
  np.testing.assert_array_equal(num_frames, frames)
  mask = np.arange(400) < np.array([[400], [200], [70]])
  np.testing.assert_array_equal(layer(signals, mask=mask), expected)
  for value in (None, 0.0):
    padded = layer(signals, mask=mask, padding_value=value)
    silence = layer.spectrogram_config.silence if value is None else value
    assert np.all(padded[2, int(frames[2]) :] == np.float32(silence))
  inputs, lengths = keras.Input((None, 1)), keras.Input((), dtype="int32")
  model = keras.Model([inputs, lengths], layer(inputs, lengths=lengths))
  values, num_frames = model([signals, np.array([400, 200, 70])])
  np.testing.assert_allclose(values, expected, atol=1e-5)
  np.testing.assert_array_equal(num_frames, frames)


def test_layer_keeps_the_pad_mode(tmp_path):
  layer = _LAYER(padding="center", pad_mode="constant", pad_value=0.5)
  again = _LAYER.from_config(layer.get_config())
  assert again.spectrogram_config == layer.spectrogram_config
  assert "pad_mode" not in _LAYER(padding="center").get_config()
