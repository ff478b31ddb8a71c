"""TensorFlow's own C++ loader, which TF Serving uses, on exported models."""

import pathlib
import subprocess
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2

_SOURCE = pathlib.Path(__file__).parent / "load_saved_model.cc"


def build(path: pathlib.Path) -> None:
  """Builds the loader, linked against the libraries of this TensorFlow.

  Args:
    path: Where to write the program. `g++` must be installed.
  """
  libraries = tf.sysconfig.get_lib()
  command = [
    "g++",
    "-std=c++17",
    "-O1",
    "-w",
    *tf.sysconfig.get_compile_flags(),
    "-DNDEBUG",
    str(_SOURCE),
    "-o",
    str(path),
    f"-L{libraries}",
    "-Wl,--no-as-needed",
    "-l:libtensorflow_cc.so.2",
    "-l:libtensorflow_framework.so.2",
    f"-Wl,-rpath,{libraries}",
  ]
  subprocess.run(command, check=True)


def run(
  program: pathlib.Path,
  model: pathlib.Path,
  requests: list[tuple[str, dict[str, Any]]],
  folder: pathlib.Path,
) -> list[dict[str, np.ndarray] | str]:
  """Sends requests to a model.

  Args:
    program: What `build` wrote.
    model: Folder of the SavedModel.
    requests: Signature and inputs of each.
    folder: Where the requests and the answers are written.

  Returns:
    Outputs by name, or the status of a failure, of each request.
  """
  folders = []
  for i, (signature, inputs) in enumerate(requests):
    request = folder / str(i)
    request.mkdir()
    (request / "signature").write_text(signature)
    for name, value in inputs.items():
      proto = tf.make_tensor_proto(value)
      (request / f"{name}.in").write_bytes(proto.SerializeToString())
    folders.append(request)
  subprocess.run([program, model, *folders], check=True, timeout=300)
  results = []
  for request in folders:
    if (request / "error").exists():
      results.append((request / "error").read_text())
      continue
    outputs = {}
    for path in request.glob("*.out"):
      proto = tensor_pb2.TensorProto.FromString(path.read_bytes())
      outputs[path.stem] = tf.make_ndarray(proto)
    results.append(outputs)
  return results
