"""What the graph that is being traced is meant for, as far as that is known."""

import tensorflow as tf
from tensorflow.python.ops import control_flow_util


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
  graph = tf.compat.v1.get_default_graph()
  compiled = control_flow_util.GraphOrParentsInXlaContext(graph)
  return compiled and not is_tpu() and sees_only_cpus()
