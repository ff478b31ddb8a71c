"""Keras models whose own STFTSpectrogram is replaced by that of tfspec."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfspec
from tfspec.layers import models

Ours = tfspec.layers.STFTSpectrogram
Theirs = getattr(keras.layers, "STFTSpectrogram", None)
pytestmark = pytest.mark.skipif(
  Theirs is None, reason="This Keras is too old to have the layer."
)
from_keras = tfspec.layers.from_keras


def noise(*shape):
  return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def _front(**arguments):
  sizes = dict(mode="magnitude", frame_length=64, frame_step=24)
  return Theirs(**{**sizes, **arguments})


def _sequential():
  return keras.Sequential(
    [
      keras.Input((400, 2)),
      keras.layers.GaussianNoise(0.1),
      keras.layers.Conv1D(2, 3),
      _front(window=np.hamming(64)),
      keras.layers.BatchNormalization(),
      keras.layers.Dense(3),
    ],
    name="plain",
  )


def _functional():
  """Two of its own, one of them called twice, and operations that are none."""
  inputs = {
    "signals": keras.Input((300, 1), name="signals"),
    "gain": keras.Input((1,), name="gain"),
  }
  signals = inputs["signals"] * inputs["gain"][:, None] + 0.01
  shared, other = _front(name="shared"), _front(mode="psd", padding="same")
  both = keras.layers.Concatenate()([shared(signals), shared(signals[:, ::-1])])
  scores = keras.layers.Dense(2, name="scores")(keras.ops.mean(both, 1))
  return keras.Model(inputs, {"scores": scores, "psd": other(signals)})


def _nested():
  """A layer deep inside, shared with the outermost model."""
  shared = _front()
  inner = keras.Sequential([keras.Input((300, 1)), shared], name="inner")
  middle = keras.Sequential([keras.Input((300, 1)), inner], name="middle")
  inputs = keras.Input((300, 1))
  halves = [middle(inputs), shared(0.5 * inputs)]
  outputs = keras.layers.TimeDistributed(keras.layers.Dense(2))(
    keras.layers.Add()(halves)
  )
  return keras.Model(inputs, outputs)


def _adapted():
  """Layers whose state is more than their weights."""
  normalize = keras.layers.Normalization()
  normalize.adapt(noise(50, 33) + 3.0)
  names = keras.layers.StringLookup(num_oov_indices=0, invert=True)
  names.adapt(tf.constant(["a", "b", "b", "c"]))
  inputs = keras.Input((300, 1))
  values = normalize(_front(expand_dims=True)(inputs)[..., 0])
  loudest = keras.ops.argmax(keras.ops.mean(values, 1)[:, :3], axis=-1)
  return keras.Model(inputs, [values, names(loudest)])


def _mixed():
  """Keras' own layer takes no bfloat16: it stands in float32 there."""
  keras.config.set_dtype_policy("mixed_bfloat16")
  try:
    return keras.Sequential(
      [
        keras.Input((300, 1)),
        _front(dtype="float32"),
        keras.layers.Dense(4),
        keras.layers.Dense(2, dtype="float32"),
      ]
    )
  finally:
    keras.config.set_dtype_policy("float32")


def _built_by_a_call():
  model = keras.Sequential([_front(dtype="float64"), keras.layers.Dense(2)])
  model(noise(1, 300, 1))
  return model


_MODELS = {
  "sequential": _sequential,
  "functional": _functional,
  "nested": _nested,
  "adapted": _adapted,
  "mixed": _mixed,
  "built_by_a_call": _built_by_a_call,
}


def _signals(model):
  """Returns a batch by the name of the input, or alone."""
  batches = {x.name: noise(3, *x.shape[1:]) for x in model.inputs}
  return batches if len(batches) > 1 else next(iter(batches.values()))


def _train(model):
  """Moves all weights, as training would."""
  random = np.random.default_rng(1)
  for variable in model.trainable_variables:
    step = 0.05 * random.standard_normal(variable.shape)
    variable.assign_add(step.astype(variable.dtype))


def _assert_close(actual, expected):
  actual, expected = (
    [np.asarray(x) for x in tf.nest.flatten(values)]
    for values in (actual, expected)
  )
  for one, other in zip(actual, expected, strict=True):
    assert one.dtype == other.dtype
    if one.dtype.kind in "SO":
      assert one.tolist() == other.tolist()
    else:
      size = np.max(np.abs(other))
      assert np.max(np.abs(one - other)) <= 2e-6 * size


@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("name", _MODELS)
def test_the_answers_are_the_same(name, trained, tmp_path):
  model = _MODELS[name]()
  if trained:
    _train(model)
  before = [w.numpy() for w in model.weights]
  expected = model(_signals(model))
  converted = from_keras(model)
  assert converted.name == model.name
  assert type(converted) is type(model)
  assert [w.name for w in converted.weights] == [w.name for w in model.weights]
  for weight, old, value in zip(
    converted.weights, model.weights, before, strict=True
  ):
    assert weight is not old and weight.dtype == old.dtype
    np.testing.assert_array_equal(weight, value)
    np.testing.assert_array_equal(old, value)
  kinds = [type(layer) for layer in converted._flatten_layers()]
  assert Ours in kinds and Theirs not in kinds
  assert kinds.count(Ours) == sum(
    type(layer) is Theirs for layer in model._flatten_layers()
  )
  _assert_close(converted(_signals(model)), expected)
  # Keras does not load what shares a layer with a model inside, its own or not.
  if trained and name != "nested":
    converted.save(tmp_path / "converted.keras")
    loaded = keras.saving.load_model(tmp_path / "converted.keras")
    _assert_close(loaded(_signals(model)), expected)


def test_the_layer_keeps_its_arguments():
  theirs = _front(
    expand_dims=1, scaling="spectrum", trainable=False, name="front"
  )
  theirs.build((None, None, 1))
  ours = from_keras(theirs)
  assert isinstance(ours, Ours)
  expected = {**theirs.get_config(), "expand_dims": True}
  assert ours.get_config() == expected
  assert len(ours.weights) == 2 and not ours.trainable_weights
  assert not from_keras(_front()).built


def test_trainable_flags_are_kept():
  model = _nested()
  wrapper = model.layers[-1]
  model.trainable = False
  wrapper.layer.trainable = True
  converted = from_keras(model)
  flags = [
    [
      layer.trainable
      for layer in m._flatten_layers()
      if not isinstance(layer, keras.layers.InputLayer)
    ]
    for m in (model, converted)
  ]
  assert flags[0] == flags[1] and set(flags[0]) == {True, False}


def test_compiled_model_with_a_loss_of_its_own():
  model = _sequential()
  model.compile("sgd", loss=lambda y, scores: keras.ops.mean(scores))
  converted = from_keras(model)
  assert model.compiled and not converted.compiled
  model.fit(noise(4, 400, 2), noise(4), verbose=0)


@pytest.mark.filterwarnings("ignore:.*power of two")
def test_kernels_that_keras_makes_otherwise():
  signals = noise(2, 400, 1)
  for arguments in (
    dict(mode="stft", fft_length=75),
    dict(mode="log", fft_length=75),
    dict(window=None, scaling="spectrum"),
  ):
    theirs = _front(**arguments)
    expected = theirs(signals)
    _assert_close(from_keras(theirs)(signals), expected)
    config = models.config_of(theirs)
    assert not tfspec.explain(config, from_keras(theirs)).same


def test_the_epsilon_of_keras_is_the_floor():
  for mode in ("magnitude", "log"):
    theirs = _front(mode=mode)
    theirs.build((None, None, 1))
    keras.config.set_epsilon(1e-3)
    try:
      expected, ours = theirs(np.zeros([1, 64, 1])), from_keras(theirs)
    finally:
      keras.config.set_epsilon(1e-7)
    assert ours.get_config()["floor"] == pytest.approx(1e-3**0.5)
    _assert_close(ours(np.zeros([1, 64, 1])), expected)
    assert "floor" not in from_keras(theirs).get_config()


def test_bfloat16_which_keras_cannot_compute():
  ours = from_keras(_front(dtype="mixed_bfloat16"))
  assert ours(noise(1, 400, 1)).dtype == tf.bfloat16
  assert ours.real_kernel.dtype == "float32"


def test_nothing_to_replace(monkeypatch):
  model = keras.Sequential([keras.Input((300, 1)), Ours()])
  assert from_keras(model) is model
  monkeypatch.setattr(models, "KERAS_LAYER", None)
  theirs = _front()
  assert from_keras(theirs) is theirs
  with pytest.raises(
    TypeError, match="must be a Keras model or layer. Got: in"
  ):
    from_keras(3)


class _Subclass(keras.Model):
  def __init__(self):
    super().__init__(name="mine")
    self.front = _front()

  def call(self, signals):
    return self.front(signals)


class _Derived(Theirs or keras.layers.Layer):
  pass


def _behind_a_mask(nested):
  inputs = keras.Input((300, 1))
  front = _front(name="front")
  if nested:
    front = keras.Sequential([keras.Input((300, 1)), front], name="front")
  return keras.Model(inputs, front(keras.layers.Masking()(inputs)))


@pytest.mark.parametrize(
  ("make", "error", "told"),
  [
    (_Subclass, TypeError, "functional model.*Got: 'mine', a _Subclass."),
    (lambda: _Derived(name="d"), TypeError, "Got: 'd', a _Derived."),
    (
      lambda: keras.Sequential(
        [keras.layers.TimeDistributed(_front(), name="wrapper")]
      ),
      TypeError,
      "Got: 'wrapper', a TimeDistributed.",
    ),
    (
      lambda: _front(mode="psd", fft_length=65, name="odd"),
      ValueError,
      "fft_length must be even in mode 'psd'.*Got: fft_length=65 in 'odd'.",
    ),
    (
      lambda: _front(dtype="mixed_float16", name="half"),
      ValueError,
      "dtype must not.*Got: dtype='mixed_float16' in 'half'.",
    ),
    (lambda: _behind_a_mask(False), ValueError, "Got: a mask before 'front'."),
    (lambda: _behind_a_mask(True), ValueError, "Got: a mask before 'front'."),
    (
      lambda: _front(frame_length=2, frame_step=1),
      ValueError,
      "window must not be zero",
    ),
  ],
)
@pytest.mark.filterwarnings("ignore:.*(power of two|destroy the mask)")
def test_what_would_answer_otherwise_is_refused(make, error, told):
  with pytest.raises(error, match=told):
    from_keras(make())
