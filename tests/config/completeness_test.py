"""The registry of goldens knows every option of the schema."""

import pytest

from tfspec.config import MODES, PATHS, fields
from tfspec.contract.registry import GOLDENS
from tfspec.proto import spectrogram_config_pb2 as config_pb2


def options(message):
  """Returns every field, enum value and oneof arm that a message can hold."""
  found = set()
  for field in message.fields:
    if field.enum_type is not None:
      values = [v.name for v in field.enum_type.values if v.number]
      found |= {f"{field.name}: {value}" for value in values}
    elif field.message_type is not None:
      inner = options(field.message_type)
      found |= {f"{field.name}.{option}" for option in inner}
      found.add(field.name)
    else:
      found.add(field.name)
  return found


def used(proto):
  """Returns those of them that a message does hold."""
  found = set()
  for field, value in proto.ListFields():
    if field.enum_type is not None:
      found.add(f"{field.name}: {field.enum_type.values_by_number[value].name}")
    elif field.message_type is not None:
      for each in [value] if hasattr(value, "ListFields") else value:
        found |= {f"{field.name}.{option}" for option in used(each)}
      found.add(field.name)
    else:
      found.add(field.name)
  return found


def test_every_option_has_a_golden():
  known = options(config_pb2.SpectrogramConfig.DESCRIPTOR)
  covered = set().union(*(used(golden.proto()) for golden in GOLDENS))
  assert known - covered == set()


def test_every_field_has_a_golden_beside_its_default():
  found = {
    field.path
    for golden in GOLDENS
    for field, value, _ in fields.leaves(golden.config())
    if value != field.default
  }
  assert found == PATHS.keys()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("engine", ["fft", "kernel"])
def test_every_dtype_and_engine_has_a_golden(dtype, engine):
  assert any(
    golden.dtype == dtype and golden.config().resolved().engine == engine
    for golden in GOLDENS
  )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("engine", ["fft", "kernel"])
def test_every_mode_and_engine_has_a_golden(mode, engine):
  assert any(
    (g.config().mode, g.config().resolved().engine) == (mode, engine)
    for g in GOLDENS
  )


def test_names_are_unique():
  names = [golden.name for golden in GOLDENS]
  assert len(names) == len(set(names))
