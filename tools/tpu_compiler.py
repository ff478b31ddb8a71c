"""The TPU compiler, ahead of time, on a machine without a TPU.

TensorFlow lowers a function to StableHLO, and libtpu compiles that for a chip
that it is told of. Jax lends its bindings to libtpu; they are internals of it,
which is why `setup.py` pins both.

Nothing is run: the figures are those of the compiler's own model of its
program. It sets environment variables of jax and libtpu when it first needs
them; jax must not have been imported before.
"""

import dataclasses
import functools
import os
import re
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

# Else libtpu waits for the metadata of a machine with a TPU, and a second
# process ends at the lock file of the first.
_ENVIRONMENT = {
  "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
  "JAX_PLATFORMS": "cpu",
  "TPU_ACCELERATOR_TYPE": "v5litepod-4",
  "TPU_LOG_DIR": "disabled",
  "TPU_SKIP_MDS_QUERY": "1",
  "TPU_WORKER_HOSTNAMES": "localhost",
  "TPU_WORKER_ID": "0",
}

# The smallest slice that there is of each.
TOPOLOGIES = {
  "v4": "v4:2x2x1",
  "v5e": "v5e:2x2",
  "v5p": "v5p:2x2x1",
  "v6e": "v6e:2x2",
}


class RefusedError(Exception):
  """The compiler does not take a program."""


@dataclasses.dataclass(frozen=True)
class Program:
  """What the compiler says of a program.

  Attributes:
    seconds: How long it took to compile.
    flops: Operations, by the compiler's count.
    bytes_accessed: What the program reads and writes in all its steps, with the
      padding of the chip's tiles, in memory of any kind.
    temporary_bytes: Memory above arguments and results.
    precisions: Of the operands of its products: "default", "high", "highest".
    text: The optimized program; None if jax cannot read what libtpu wrote.
  """

  seconds: float
  flops: float
  bytes_accessed: float
  temporary_bytes: int
  precisions: frozenset[str]
  text: str | None


def lower(function: Callable, *specs: tf.TensorSpec) -> str:
  """Returns a function as StableHLO, traced as for a TPU.

  Args:
    function: Takes and returns tensors.
    *specs: Its arguments.

  Returns:
    The program as text, always the same for the same function.

  Raises:
    ValueError: If a dimension is not static.
  """

  def run(*args: tf.Tensor) -> Any:
    with tf.device("/device:TPU:0"):
      return function(*args)

  traced = tf.function(run, jit_compile=True, autograph=False)
  lowered = traced.experimental_get_compiler_ir(*specs)
  mlir, ir = _jax()[:2]
  with mlir.make_ir_context():
    module = ir.Module.parse(lowered(stage="stablehlo_serialized"))
    copies = []  # TensorFlow copies what is assigned, which jax does not know.

    def visit(operation: Any) -> Any:
      if operation.name == "mhlo.copy":
        operation.results[0].replace_all_uses_with(operation.operands[0])
        copies.append(operation)
      return ir.WalkResult.ADVANCE

    module.operation.walk(visit)
    for operation in copies:
      operation.erase()
    text = str(module)
  if re.search(r"tensor<[^>]*\?|[\[<]<=", text):
    raise ValueError("The program has a dynamic shape.")
  # Names count what was traced before.
  return re.sub(r"\b(a_inference_\w*?)_\d+", r"\1", text)


def compile_for(text: str, chip: str) -> Program:
  """Compiles a program.

  Args:
    text: What `lower` returns.
    chip: One of `TOPOLOGIES`.

  Returns:
    What there is to know of it.

  Raises:
    RefusedError: If the compiler does not take it, with its message.
  """
  mlir, ir, xla_client, errors = _jax()
  device = _device(chip)
  options = xla_client.CompileOptions()
  options.num_replicas = options.num_partitions = 1
  options.device_assignment = xla_client.DeviceAssignment.create(
    np.array([[device.id]], np.int32)
  )
  start = time.perf_counter()
  with mlir.make_ir_context():
    module = ir.Module.parse(text)
    devices = xla_client.DeviceList((device,))
    try:
      compiled = device.client.compile(module, devices, options)
    except errors.JaxRuntimeError as error:
      raise RefusedError(str(error).split("\n")[0]) from error
  seconds = time.perf_counter() - start
  try:
    optimized = compiled.hlo_modules()[0].to_string()
  except errors.JaxRuntimeError:
    optimized = None
  costs = compiled.cost_analysis()
  return Program(
    seconds,
    costs.get("flops", 0.0),
    costs.get("bytes accessed", 0.0),
    compiled.get_compiled_memory_stats().temp_size_in_bytes,
    _precisions(optimized or ""),
    optimized,
  )


def _precisions(optimized: str) -> frozenset[str]:
  found = set()
  for line in optimized.splitlines():
    if re.search(r" (convolution|dot)\(", line):
      stated = re.search(r"operand_precision=\{(\w+),(\w+)\}", line)
      found.update(stated.groups() if stated else ["default"])
  return frozenset(found)


@functools.cache
def _device(chip: str) -> Any:
  from jax.experimental import topologies

  topology = topologies.get_topology_desc(
    platform="tpu", topology_name=TOPOLOGIES[chip]
  )
  return topology.devices[0]


@functools.cache
def _jax() -> tuple:
  """Returns the parts of jax that are needed, which it is the first to import.

  Raises:
    ImportError: If jax or libtpu is not installed, or is another version.
  """
  os.environ.update(_ENVIRONMENT)
  try:
    import libtpu  # noqa: F401, only whether it is there
    from jax import errors
    from jax._src.interpreters import mlir
    from jaxlib import xla_client
    from jaxlib.mlir import ir
  except ImportError as error:
    raise ImportError(
      "The TPU compiler needs jax and libtpu in the versions that setup.py "
      "pins, and Python 3.11: pip install '.[tpu-check]'. "
      f"Got: {error}"
    ) from error
  return mlir, ir, xla_client, errors
