"""Training the Keras layer under `tf.distribute`, and what a TPU asks for."""

import collections
import concurrent.futures
import multiprocessing

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfspec

pytestmark = pytest.mark.slow

_SAMPLES = 800
_BATCH = 8  # Of all replicas together.
_STEPS = 8  # An epoch.
_DEVICES = ["CPU:0", "CPU:1"]


def _two_devices():
  tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * len(_DEVICES),
  )


@pytest.fixture(scope="module")
def run():
  """Returns a function that runs another in a process with two devices.

  Once TensorFlow runs, as it does here after other tests, it takes no further
  devices.
  """
  context = multiprocessing.get_context("spawn")
  with concurrent.futures.ProcessPoolExecutor(1, context, _two_devices) as pool:
    yield lambda function, *args: pool.submit(function, *args).result()


def _strategy(name):
  if name == "mirrored":
    strategy = tf.distribute.MirroredStrategy(_DEVICES)
    assert strategy.num_replicas_in_sync == len(_DEVICES)
    return strategy
  return tf.distribute.OneDeviceStrategy("CPU:0")


def _tones():
  """Returns batches of static shape: noisy tones, and their pitch."""
  random = np.random.default_rng(0)
  pitch = random.uniform(0.1, 1.0, [_BATCH * _STEPS + 3, 1])
  signals = np.sin(0.5 * pitch * np.arange(_SAMPLES))
  signals += 0.1 * random.standard_normal(signals.shape)
  values = signals[..., np.newaxis].astype(np.float32), pitch.astype(np.float32)
  dataset = tf.data.Dataset.from_tensor_slices(values)
  return dataset.batch(_BATCH, drop_remainder=True)


def _layer():
  # With the default floor a weak bin has a gradient of up to 3,000, which is
  # mostly rounding error: what it was added up to would differ a lot.
  return tfspec.layers.STFTSpectrogram("log", 64, 32, floor=0.1)


def _model(jit_compile="auto", steps_per_execution=1):
  keras.utils.set_random_seed(1)
  model = keras.Sequential(
    [
      keras.Input((_SAMPLES, 1)),
      _layer(),
      keras.layers.Conv1D(8, 3, activation="relu"),
      keras.layers.GlobalAveragePooling1D(),
      keras.layers.Dense(1),
    ]
  )
  model.compile(
    # Not Adam, whose first steps have the size of the learning rate even where
    # the gradient is a rounding error. Momentum is a state to be restored.
    keras.optimizers.SGD(0.003, momentum=0.5),
    "mse",
    jit_compile=jit_compile,
    steps_per_execution=steps_per_execution,
  )
  return model


def _outcome(model, losses):
  """Returns what can go from one process to another."""
  return {
    "losses": np.array(losses),
    "weights": model.get_weights(),
    "predictions": _predictions(model),
  }


def _predictions(model):
  return model.predict(_tones(), verbose=0)


def _fit(model, epochs=1):
  return model.fit(_tones(), epochs=epochs, verbose=0).history["loss"]


def _train(strategy, *arguments):
  with _strategy(strategy).scope():
    model = _model(*arguments)
  return _outcome(model, _fit(model, 2))


def _train_in_own_loop():
  """Trains with the loop that TensorFlow's guides write for TPU and GPU.

  Each replica's part is one program of XLA, and an epoch is one execution.
  """
  strategy = _strategy("mirrored")
  with strategy.scope():
    model = _model()
    model.optimizer.build(model.trainable_variables)

  @tf.function(jit_compile=True)
  def gradients(signals, pitch):
    with tf.GradientTape() as tape:
      errors = model(signals, training=True) - pitch
      loss = tf.reduce_sum(errors**2) / _BATCH
    return loss, tape.gradient(loss, model.trainable_variables)

  def step(batch):
    loss, values = gradients(*batch)
    model.optimizer.apply(values, model.trainable_variables)
    return loss

  @tf.function
  def epoch(iterator):
    total = 0.0
    for _ in tf.range(_STEPS):
      losses = strategy.run(step, (next(iterator),))
      total += strategy.reduce("sum", losses, axis=None)
    return total / _STEPS

  batches = strategy.experimental_distribute_dataset(_tones())
  losses = [float(epoch(iter(batches))) for _ in range(2)]
  return _outcome(model, losses)


def _assert_same(actual, expected):
  """Asserts that only the order of sums differed."""
  for name in ("losses", "predictions"):
    np.testing.assert_allclose(actual[name], expected[name], rtol=1e-4)
  for one, other in zip(actual["weights"], expected["weights"], strict=True):
    np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.fixture(scope="module")
def one_device(run):
  """Returns what training on one device gives, one step at a time."""
  outcome = run(_train, "one", False)
  layer = _layer()
  layer.build((None, None, 1))
  for kernel, trained in zip(
    layer.get_weights(), outcome["weights"][:2], strict=True
  ):
    assert np.max(np.abs(kernel - trained)) > 1e-3
  first, last = outcome["losses"]
  assert last < 0.5 * first
  return outcome


def test_two_replicas_train_as_one_device_does(run, one_device):
  # "auto" is False here: one program of XLA cannot hold the variables of two
  # devices, whatever the model. `steps_per_execution=2` fails as well, in the
  # loop of Keras 3.15, for a model of one Dense layer too; the own loop below
  # has several steps in one execution.
  _assert_same(run(_train, "mirrored", "auto"), one_device)


def test_two_replicas_of_xla_in_an_own_loop(run, one_device):
  _assert_same(run(_train_in_own_loop), one_device)


@pytest.mark.parametrize("jit_compile", ["auto", True])
def test_several_steps_in_one_execution(run, one_device, jit_compile):
  # Of the 8 steps the last execution has 2. "auto" compiles on GPU alone; True
  # makes the whole step one program of XLA with static shapes, as a TPU must.
  _assert_same(run(_train, "one", jit_compile, 3), one_device)


def _restore(strategy, folder):
  """Trains, saves in every form, trains on; then again from each file."""
  with _strategy(strategy).scope():
    model = _model()
  _fit(model)
  predictions = _predictions(model)
  path = tf.train.Checkpoint(model=model).save(f"{folder}/checkpoint")
  model.save(f"{folder}/model.keras")
  model.save_weights(f"{folder}/model.weights.h5")
  expected = _outcome(model, _fit(model))
  restored = {}
  for form in ("checkpoint", "keras", "weights"):
    with _strategy(strategy).scope():
      if form == "keras":
        other = keras.saving.load_model(f"{folder}/model.keras")
      else:
        other = _model()
        other.set_weights([0.0 * weight for weight in other.get_weights()])
      if form == "checkpoint":
        other.optimizer.build(other.trainable_variables)
        status = tf.train.Checkpoint(model=other).restore(path)
        status.assert_existing_objects_matched()
      if form == "weights":
        other.load_weights(f"{folder}/model.weights.h5")
    restored[form] = {"predictions": _predictions(other)}
    if form != "weights":  # These lack the optimizer's state.
      restored[form]["then"] = _outcome(other, _fit(other))
  return predictions, expected, restored


@pytest.mark.parametrize("strategy", ["one", "mirrored"])
def test_restored_models_predict_and_train_on_as_before(
  run, strategy, tmp_path
):
  predictions, expected, restored = run(_restore, strategy, str(tmp_path))
  for found in restored.values():
    np.testing.assert_array_equal(found["predictions"], predictions)
  for form in ("checkpoint", "keras"):
    _assert_same(restored[form]["then"], expected)


def test_train_step_traces_into_a_tpu_computation_with_static_shapes():
  """Follows `TPUStrategy.run` to the graph that it hands to the TPU.

  `TPUStrategy` itself cannot be made here: TPUClusterResolver("local") is, and
  then `tf.tpu.experimental.initialize_tpu_system` says "TPUs not found in the
  cluster". Its `run` puts the step into `tpu.replicate`, as `tpu.rewrite` does
  for one core, and that needs no TPU until it runs. It cannot show that the TPU
  compiles the step, nor what it computes.
  """
  model = _model()
  model.optimizer.build(model.trainable_variables)

  @tf.function
  def step(*batch):
    return tf.compat.v1.tpu.rewrite(
      lambda *batch: model.train_step(batch)["loss"], batch
    )

  graph = step.get_concrete_function(*_tones().element_spec).graph
  inside = [
    operation
    for operation in graph.get_operations()
    if "_tpu_replicate" in operation.node_def.attr
  ]
  types = collections.Counter(operation.type for operation in inside)
  # The product of `tpu`, and not that of all frames for other devices.
  assert types["Einsum"] > 0
  frames = _BATCH * _layer().spectrogram_config.num_frames(_SAMPLES)
  assert not [
    operation.name
    for operation in inside
    if operation.type == "MatMul"
    and any(value.shape[0] == frames for value in operation.inputs)
  ]
  assert types["Conv2DBackpropFilter"] > 0
  assert types["AssignAddVariableOp"] > 0
  dynamic = [
    operation.name
    for operation in inside
    if not all(value.shape.is_fully_defined() for value in operation.outputs)
  ]
  assert not dynamic
