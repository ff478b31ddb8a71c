"""What the graph that is being traced is meant for, as far as that is known."""

import contextlib
import contextvars
from collections.abc import Iterator, Sequence

import tensorflow as tf
from tensorflow.python.ops import (
  control_flow_util,
  control_flow_v2_func_graphs,
)

try:
  from tensorflow.python.eager import forwardprop_util
except ImportError:
  forwardprop_util = None


def is_tpu() -> bool:
  """Returns whether the graph that is being traced is meant for a TPU.

  It is inside `tf.distribute.TPUStrategy.run`, `tf.compat.v1.tpu.rewrite` or
  `tf.device("/device:TPU:0")`. XLA itself gives no such hint: `DeviceIndex`
  says the same to all of its devices.
  """
  if isinstance(tf.distribute.get_strategy(), tf.distribute.TPUStrategy):
    # Else it is what runs on the host, say in `tf.data`.
    return not tf.distribute.in_cross_replica_context()
  if tf.executing_eagerly():
    return False
  probe = tf.constant(0).op
  device = tf.DeviceSpec.from_string(probe.device).device_type
  return device == "TPU" or "_tpu_replicate" in probe.node_def.attr


def sees_only_cpus() -> bool:
  """Returns whether the process can compute on nothing but CPUs."""
  devices = tf.config.get_visible_devices()
  return all("CPU" in device.device_type for device in devices)


def is_compiled_for_cpu() -> bool:
  """Returns whether XLA surely compiles the graph, and does it for a CPU.

  So it is where a function with `jit_compile=True` is traced, or one that it
  calls, in a process that sees no other device. What is traced before, and
  compiled later as a part of another program, does not know of it.
  """
  return is_compiled() and not is_tpu() and sees_only_cpus()


def is_compiled() -> bool:
  """Returns whether XLA surely compiles the graph, for whatever device."""
  graph = tf.compat.v1.get_default_graph()
  return control_flow_util.GraphOrParentsInXlaContext(graph)


def is_traced_for_dataset() -> bool:
  """Returns whether the graph that is being traced is a function of `tf.data`.

  Such a function runs on the CPU. It must have no stateful operation, or the
  iterator cannot be saved in a checkpoint. A `tf.function` that it calls does
  not count, as its trace is used elsewhere too.
  """
  graph = tf.compat.v1.get_default_graph()
  # The branches of a condition and the body of a loop are graphs too.
  while isinstance(graph, control_flow_v2_func_graphs.ControlFlowFuncGraph):
    graph = graph.outer_graph
  # `tf.data` names its functions after the transformation, such as
  # `Dataset.map()`. If that ever changes, this is False, and graphs keep their
  # stateful operation.
  name = getattr(graph, "name", "")
  return name.startswith(("Dataset_", "tf_data_experimental_"))


_IS_FOR_LITERT = contextvars.ContextVar("is_for_litert", default=False)


@contextlib.contextmanager
def for_litert() -> Iterator[None]:
  """Says that what is traced inside is meant for LiteRT."""
  token = _IS_FOR_LITERT.set(True)
  try:
    yield
  finally:
    _IS_FOR_LITERT.reset(token)


def is_for_litert() -> bool:
  """Returns whether the graph that is being traced is meant for LiteRT.

  It has no operation that calls a function on several threads.
  """
  return _IS_FOR_LITERT.get()


def has_tangents(tensors: Sequence[tf.Tensor]) -> bool:
  """Returns whether a `tf.autodiff.ForwardAccumulator` follows the tensors.

  True if that is not known.
  """
  if forwardprop_util is None:
    return True
  return bool(forwardprop_util.pack_tangents(list(tensors)).tangents)


def is_vectorized() -> bool:
  """Returns whether `tf.vectorized_map` will rewrite what is being traced.

  So do `jacobian` and `batch_jacobian` of a tape. A `tf.function` that was
  traced before, and is called in there, does not know of it.
  """
  graph = tf.compat.v1.get_default_graph()
  while graph is not None:
    # The scope in which TensorFlow traces what it rewrites.
    scopes = graph.get_name_scope().split("/")
    if any(scope.startswith("loop_body") for scope in scopes):
      return True
    graph = getattr(graph, "outer_graph", None)
  return False
