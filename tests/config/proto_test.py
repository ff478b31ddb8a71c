"""The checked-in code of the schema is current, and the schema is kept well."""

import re
import subprocess
import sys

from google.protobuf import descriptor_pb2

from tests.paths import ROOT
from tfspec.proto import spectrogram_config_pb2 as config_pb2

SCHEMA = "tfspec/proto/spectrogram_config.proto"


def compiled(tmp_path):
  output = tmp_path / "descriptor.binpb"
  # In a process of its own: protoc and TensorFlow do not live well in one.
  command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT}"]
  command += [f"--descriptor_set_out={output}", str(ROOT / SCHEMA)]
  subprocess.run(command, check=True)
  files = descriptor_pb2.FileDescriptorSet.FromString(output.read_bytes())
  return files.file[0]


def without_json_names(message):
  """Drops what protoc writes into a descriptor set but not into Python."""
  for field in message.field:
    field.ClearField("json_name")
  for nested in message.nested_type:
    without_json_names(nested)


def test_generated_code_is_current(tmp_path):
  # If this fails, run: bash tools/generate_proto.sh
  expected = compiled(tmp_path)
  actual = descriptor_pb2.FileDescriptorProto.FromString(
    config_pb2.DESCRIPTOR.serialized_pb
  )
  for file in (expected, actual):
    for message in file.message_type:
      without_json_names(message)
  assert actual == expected


def test_generated_code_checks_no_runtime_version():
  # Code of protoc 5.26 and newer refuses the protobuf of older TensorFlow.
  text = (ROOT / SCHEMA.replace(".proto", "_pb2.py")).read_text()
  assert "runtime_version" not in text


def test_every_field_and_value_has_a_comment():
  lines = (ROOT / SCHEMA).read_text().splitlines()
  declaration = re.compile(r"^\s*(optional|repeated|message|enum|\w+ \w+ = \d)")
  value = re.compile(r"^\s*[A-Z_]+ = [1-9]\d*;")
  checked = 0
  for previous, line in zip(lines, lines[1:], strict=False):
    if value.match(line) or (
      declaration.match(line) and "_UNSPECIFIED" not in line
    ):
      checked += 1
      assert previous.strip().startswith("//"), line
  assert checked > 40


def test_next_ids_are_right():
  text = (ROOT / SCHEMA).read_text()
  stated = dict(
    (name, int(number))
    for number, name in re.findall(r"// Next id: (\d+)\nmessage (\w+)", text)
  )
  messages = config_pb2.DESCRIPTOR.message_types_by_name
  assert set(stated) == set(messages)
  for name, message in messages.items():
    highest = max((field.number for field in message.fields), default=0)
    assert stated[name] == highest + 1


def test_unset_enum_values_are_unspecified():
  for enum in config_pb2.SpectrogramConfig.DESCRIPTOR.enum_types:
    assert enum.values_by_number[0].name.endswith("_UNSPECIFIED")
