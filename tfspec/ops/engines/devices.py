"""Tells what the graph that is being traced is meant for, if that is known.

And what it may be made of: this file alone reaches what TensorFlow does not
publish. A TensorFlow without some of that computes the same values, slower.
"""

import contextlib
import contextvars
import importlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tensorflow as tf


def _unpublished(name: str) -> Any:
  """Returns a module of TensorFlow, or None if there is none of this name."""
  try:
    return importlib.import_module(f"tensorflow.{name}")
  except ImportError:
    return None


def xla() -> Any:
  """Returns the module of the operations that only XLA has, or None."""
  return _unpublished("compiler.tf2xla.python.xla")


def xla_messages() -> Any:
  """Returns the module of the protocol buffers of XLA, or None."""
  return _unpublished("compiler.xla.xla_data_pb2")


def operation(name: str) -> Callable | None:
  """Returns an operation that TensorFlow has and does not publish, or None."""
  return getattr(tf.raw_ops, name, None)


def dynamic_update_slice(
  tensor: tf.Tensor, update: tf.Tensor, start: tf.Tensor
) -> tf.Tensor:
  """Returns a tensor in which another has been written to a place.

  Args:
    tensor: What is written to.
    update: What is written, of the same rank.
    start: Where, `[rank]`, which need not be known before.
  """
  operations = xla()
  if operations is not None:
    return operations.dynamic_update_slice(tensor, update, start)
  sizes = tf.shape(update)
  behind = tf.stack([tf.zeros_like(sizes), tf.shape(tensor) - sizes], axis=1)

  def place(values: tf.Tensor) -> tf.Tensor:
    return tf.roll(tf.pad(values, behind), start, range(tensor.shape.rank))

  written = place(tf.ones_like(update, tf.bool))
  return tf.where(written, place(update), tensor)


def is_tpu() -> bool:
  """Returns whether the graph that is being traced is meant for a TPU.

  It is inside `tf.distribute.TPUStrategy.run`, `tf.compat.v1.tpu.rewrite` or
  `tf.device("/device:TPU:0")`. XLA itself gives no such hint: `DeviceIndex`
  says the same to all of its devices.
  """
  if isinstance(tf.distribute.get_strategy(), tf.distribute.TPUStrategy):
    # Otherwise the graph runs on the host, say in `tf.data`.
    return not tf.distribute.in_cross_replica_context()
  if tf.executing_eagerly():
    return False
  probe = tf.constant(0).op
  device = tf.DeviceSpec.from_string(probe.device).device_type
  return device == "TPU" or "_tpu_replicate" in probe.node_def.attr


def sees_only_cpus() -> bool:
  """Returns whether the process can compute only on CPUs."""
  devices = tf.config.get_visible_devices()
  return all("CPU" in device.device_type for device in devices)


def is_compiled_for_cpu() -> bool:
  """Returns whether XLA surely compiles the graph, and does it for a CPU.

  So it is where a function with `jit_compile=True` is traced, or one that it
  calls, in a process that sees no other device. What is traced before, and
  compiled later as a part of another program, does not know of it. False if
  that is not known.
  """
  if xla() is None:
    return False
  return is_compiled() and not is_tpu() and sees_only_cpus()


def is_compiled() -> bool:
  """Returns whether XLA surely compiles the graph, for whatever device."""
  control_flow = _unpublished("python.ops.control_flow_util")
  if control_flow is None:
    return False
  graph = tf.compat.v1.get_default_graph()
  return control_flow.GraphOrParentsInXlaContext(graph)


def is_traced_for_dataset() -> bool:
  """Returns whether the graph that is being traced is a function of `tf.data`.

  Such a function runs on the CPU. It must have no stateful operation, or the
  iterator cannot be saved in a checkpoint. A `tf.function` that it calls does
  not count, as its trace is used elsewhere too.
  """
  graph = tf.compat.v1.get_default_graph()
  graphs = _unpublished("python.ops.control_flow_v2_func_graphs")
  inner = () if graphs is None else graphs.ControlFlowFuncGraph
  # The branches of a condition and the body of a loop are graphs too.
  while isinstance(graph, inner):
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
  forwardprop = _unpublished("python.eager.forwardprop_util")
  if forwardprop is None:
    return True
  return bool(forwardprop.pack_tangents(list(tensors)).tangents)


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
