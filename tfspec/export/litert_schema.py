"""The format of `.tflite` files, a flatbuffer.

This file alone reaches for the schema, which TensorFlow has and does not
publish. The package that runs such files has it too.
"""

import contextlib
import importlib
from typing import Any

from tfspec import errors

IDENTIFIER = b"TFL3"


def schema() -> Any:
  """Returns the module of the classes of the schema.

  Raises:
    ImportError: If neither TensorFlow nor ai-edge-litert has it.
  """
  for home in ("tensorflow.lite.python", "ai_edge_litert"):
    with contextlib.suppress(ImportError):
      return importlib.import_module(f"{home}.schema_py_generated")
  raise errors.missing("ai-edge-litert", "litert", "to read .tflite files")


def root(content: bytes) -> Any:
  """Returns the `Model` of a file, which reads what it is asked for."""
  return schema().Model.GetRootAs(content, 0)


def parse(content: bytes) -> Any:
  """Returns the `ModelT` of a file, which can be changed."""
  return schema().ModelT.InitFromObj(root(content))


def serialize(model: Any) -> bytes:
  """Returns the file of a `ModelT`."""
  import flatbuffers  # It comes with TensorFlow.

  builder = flatbuffers.Builder(1024)
  builder.Finish(model.Pack(builder), file_identifier=IDENTIFIER)
  return bytes(builder.Output())
