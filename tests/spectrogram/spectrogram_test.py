"""The module: ranks, layouts, variables, checkpoints."""

import dataclasses
import inspect
import re

import numpy as np
import pytest
import tensorflow as tf

import tfspec
from tests import lanes

CONFIG = tfspec.SpectrogramConfig(frame_length=16, frame_step=6)


def noise(*shape):
  return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("expand_dims", [False, True])
@pytest.mark.parametrize("mode", ["log", "stft"])
def test_ranks_agree(data_format, expand_dims, mode):
  config = dataclasses.replace(
    CONFIG, data_format=data_format, expand_dims=expand_dims, mode=mode
  )
  spectrogram = tfspec.Spectrogram(config)
  mono = noise(50)
  axis = 1 if data_format == "channels_last" else 0
  one = spectrogram(mono)
  clip = spectrogram(np.expand_dims(mono, axis))
  batch = spectrogram(np.expand_dims(mono, axis)[np.newaxis])
  np.testing.assert_array_equal(one, clip)
  np.testing.assert_array_equal(one, batch[0])


def test_channels_are_laid_behind_each_other():
  clip = noise(50, 3)
  flat = tfspec.Spectrogram(CONFIG)(clip)
  image = tfspec.Spectrogram(dataclasses.replace(CONFIG, expand_dims=True))(
    clip
  )
  assert flat.shape == (6, 27) and image.shape == (6, 9, 3)
  for channel in range(3):
    alone = tfspec.Spectrogram(CONFIG)(clip[:, channel])
    np.testing.assert_allclose(
      flat[:, 9 * channel : 9 * channel + 9], alone, atol=1e-6
    )
    np.testing.assert_allclose(image[..., channel], alone, atol=1e-6)


def test_engine_is_visible():
  assert tfspec.Spectrogram(CONFIG).engine == "fft"
  trainable = dataclasses.replace(CONFIG, trainable=True)
  assert tfspec.Spectrogram(trainable).engine == "kernel"


@pytest.mark.parametrize(
  "mode, names",
  [
    ("log", ["real_kernel", "imag_kernel"]),
    ("stft", ["real_kernel", "imag_kernel"]),
    ("real", ["real_kernel"]),
    ("imag", ["imag_kernel"]),
  ],
)
def test_variables(mode, names):
  config = dataclasses.replace(CONFIG, mode=mode, trainable=True)
  spectrogram = tfspec.Spectrogram(config)
  found = {v.name.split(":")[0]: v for v in spectrogram.trainable_variables}
  assert sorted(found) == sorted(names)
  for name in names:
    assert found[name].shape == (16, 1, 9)
    assert getattr(spectrogram, name) is found[name]
  assert not tfspec.Spectrogram(CONFIG).variables


def test_changed_kernels_change_the_result():
  config = dataclasses.replace(CONFIG, trainable=True, mode="stft")
  spectrogram = tfspec.Spectrogram(config)
  before = spectrogram(noise(50))
  spectrogram.imag_kernel.assign(2.0 * spectrogram.imag_kernel)
  after = spectrogram(noise(50))
  np.testing.assert_array_equal(after[:, :9], before[:, :9])
  np.testing.assert_allclose(after[:, 9:], 2 * before[:, 9:], rtol=1e-6)


def test_checkpoint_keeps_the_kernels(tmp_path):
  config = dataclasses.replace(CONFIG, trainable=True)
  trained = tfspec.Spectrogram(config)
  for variable in trained.trainable_variables:
    variable.assign_add(tf.random.stateless_normal(variable.shape, [1, 2]))
  path = tf.train.Checkpoint(model=trained).write(str(tmp_path / "checkpoint"))
  restored = tfspec.Spectrogram(config)
  status = tf.train.Checkpoint(model=restored).read(path)
  status.assert_consumed()
  np.testing.assert_array_equal(restored(noise(50)), trained(noise(50)))


def test_training_a_module_lowers_the_loss():
  config = dataclasses.replace(CONFIG, trainable=True, mode="magnitude")
  spectrogram = tfspec.Spectrogram(config)
  signals, target = noise(4, 100, 1), tf.ones([4, 15, 9])
  losses = []
  for _ in range(5):
    with tf.GradientTape() as tape:
      loss = tf.reduce_mean(tf.square(spectrogram(signals) - target))
    variables = spectrogram.trainable_variables
    for variable, gradient in zip(
      variables, tape.gradient(loss, variables), strict=True
    ):
      variable.assign_sub(0.5 * gradient)
    losses.append(float(loss))
  assert losses == sorted(losses, reverse=True)
  assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("shape", [[], [1, 2, 3, 4], None])
def test_wrong_rank_is_refused(shape):
  spec = tf.TensorSpec(shape, tf.float32)
  run = tf.function(tfspec.Spectrogram(CONFIG))
  with pytest.raises(ValueError, match="signals must have rank 1, 2 or 3"):
    run.get_concrete_function(spec)


def test_sparse_and_integer_signals_are_refused():
  spectrogram = tfspec.Spectrogram(CONFIG)
  with pytest.raises(TypeError, match="Got: SparseTensor"):
    spectrogram(tf.sparse.from_dense([[1.0], [0.0]]))
  with pytest.raises(TypeError, match="Got: int16. Cast integer samples"):
    spectrogram(np.zeros(100, np.int16))


def _routes(spectrogram, rank):
  """Returns how to run clips of known shapes, then of unknown ones."""
  spec = tf.TensorSpec([None] * rank)
  map_fn = tfspec.spectrogram_fn(spectrogram)

  def batches(signals):
    rows = tf.data.Dataset.from_generator(
      lambda: iter(signals), output_signature=tf.TensorSpec([None] * (rank - 1))
    )
    return next(iter(rows.padded_batch(len(signals)).map(map_fn)))

  static = [spectrogram, tf.function(spectrogram, jit_compile=True)]
  open_shapes = [tf.function(spectrogram, input_signature=[spec]), batches]
  return static, open_shapes


@pytest.mark.parametrize(
  "shape, data_format",
  lanes.every(
    3,
    [
      ([8, 16000], "channels_last"),
      ([2, 100], "channels_last"),
      ([1, 33], "channels_last"),
      ([2000, 1025], "channels_last"),
      ([8, 1, 16000], "channels_last"),
      ([16000, 2], "channels_first"),
      ([100, 99], "channels_first"),
      ([2, 1025, 1], "channels_first"),
    ],
  ),
)
def test_swapped_axes_are_refused(shape, data_format):
  config = dataclasses.replace(CONFIG, data_format=data_format)
  static, unknown = _routes(tfspec.Spectrogram(config), len(shape))
  signals = np.zeros(shape, np.float32)
  clip, batch = r"\[samples, channels\]", r"\[batch, samples, 1\]"
  if data_format == "channels_first":
    clip, batch = r"\[channels, samples\]", r"\[batch, 1, samples\]"
  rule = (
    rf"signals must have at most 1024 channels, and one clip, {clip}, at most "
    rf"max\(samples, 32\); a batch of mono clips is {batch}\. Got: "
  )
  for run in static:
    with pytest.raises(ValueError, match=rf"{rule}shape=\[{shape[0]}, "):
      run(signals)
  samples, channels = shape[-2:][:: 1 if data_format == "channels_last" else -1]
  got = f"samples={samples}, channels={channels}, data_format={data_format}."
  for run in unknown:
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
      run(signals)
    assert re.fullmatch(rule + got, tfspec.errors.sentence(caught.value))


@pytest.mark.parametrize(
  "shape",
  lanes.every(
    3, [[0, 1], [0, 2], [1, 2], [5, 6], [1, 32], [64, 64], [0, 64], [0, 1024]]
  ),
)
def test_short_clips_are_no_swapped_axes(shape):
  config = dataclasses.replace(CONFIG, mode="psd", padding="same")
  static, (graph, _) = _routes(tfspec.Spectrogram(config), 2)
  for run in (*static, graph):
    values = run(np.zeros(shape, np.float32))
    assert values.shape == (config.num_frames(shape[0]), 9 * shape[1])


def test_kernels_must_be_floats():
  config = dataclasses.replace(CONFIG, trainable=True)
  with pytest.raises(TypeError, match="dtype must be float16, .* Got: int32"):
    tfspec.Spectrogram(config, dtype=tf.int32)


def test_config_must_be_a_config():
  with pytest.raises(TypeError, match="config must be a SpectrogramConfig"):
    tfspec.Spectrogram({"mode": "log"})


@pytest.mark.parametrize(
  "function", [tfspec.stft, tfspec.layers.STFTSpectrogram]
)
def test_defaults_of_arguments_are_those_of_the_config(function):
  default = tfspec.SpectrogramConfig()
  checked = 0
  for name, parameter in inspect.signature(function).parameters.items():
    if hasattr(default, name) and name != "data_format":  # Keras' own setting
      assert parameter.default == getattr(default, name), name
      checked += 1
  assert checked >= 9
