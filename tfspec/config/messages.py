"""How the values of a configuration are stored: proto and file formats."""

import json
import os
from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf import json_format, message, text_format

from tfspec.proto import spectrogram_config_pb2 as config_pb2
from tfspec.storage import files

_Config = config_pb2.SpectrogramConfig


def from_values(values: Mapping[str, Any]) -> config_pb2.SpectrogramConfig:
  """Returns the proto of some values of a config, given by field name.

  The value of a stage is such values again.
  """
  proto = _Config()
  _fill(proto, values)
  return proto


def _fill(proto: Any, values: Mapping[str, Any]) -> None:
  for name, value in values.items():
    field = proto.DESCRIPTOR.fields_by_name[name]
    if name == "window":
      _set_window(proto.window, value)
    elif name == "table":
      for first, weights in value:
        proto.table.add(first_bin=first, weight=weights)
    elif hasattr(getattr(proto, name), "extend"):
      numbers = value if isinstance(value, tuple) else (value,)
      getattr(proto, name).extend(numbers)
    elif field.message_type is not None:
      getattr(proto, name).SetInParent()
      _fill(getattr(proto, name), value)
    elif field.enum_type is not None:
      label = f"{name}_{value or 'none'}".upper()
      setattr(proto, name, field.enum_type.values_by_name[label].number)
    else:
      setattr(proto, name, value)


def to_values(proto: config_pb2.SpectrogramConfig) -> dict[str, Any]:
  """Returns the values of the fields that are set, by field name."""
  if not isinstance(proto, _Config):
    raise TypeError(
      "proto must be a tfspec SpectrogramConfig message. "
      f"Got: {type(proto).__name__}."
    )
  _check_known(proto)
  return _values(proto)


def _values(proto: message.Message) -> dict[str, Any]:
  values: dict[str, Any] = {}
  for field, value in proto.ListFields():
    if field.name == "window":
      value = _window(value)
    elif field.name == "table":
      value = tuple((row.first_bin, tuple(row.weight)) for row in value)
    elif hasattr(value, "extend"):
      value = tuple(value)
    elif field.message_type is not None:
      value = _values(value)
    elif field.enum_type is not None:
      value = _enum_value(field, value)
    values[field.name] = value
  return values


def parse(content: bytes, path: str) -> config_pb2.SpectrogramConfig:
  """Returns the proto that is the content of a file of this path."""
  parse_into, _ = _file_format(path)
  proto = config_pb2.SpectrogramConfig()
  try:
    parse_into(content, proto)
  except (
    RecursionError,  # JSON that is nested too deep.
    UnicodeDecodeError,
    json.JSONDecodeError,
    json_format.ParseError,
    message.DecodeError,
    text_format.ParseError,
  ) as e:
    raise ValueError(f"the file must be a SpectrogramConfig. Got: {e}") from e
  return proto


def write(proto: config_pb2.SpectrogramConfig, path: str) -> None:
  """Writes a proto; see `tfspec.save_config`."""
  _, serialize = _file_format(path)
  files.write_bytes(path, serialize(proto))


def _file_format(path: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
  """Returns the parser and the serializer that the path's ending asks for."""
  ending = os.path.splitext(path)[1]
  if ending in (".textproto", ".pbtxt"):
    return (
      lambda content, proto: text_format.Parse(content.decode(), proto),
      lambda proto: text_format.MessageToString(proto).encode(),
    )
  if ending in (".binpb", ".pb"):
    return (
      lambda content, proto: proto.ParseFromString(content),
      lambda proto: proto.SerializeToString(deterministic=True),
    )
  if ending == ".json":
    return (
      lambda content, proto: json_format.ParseDict(
        _json_object(content), proto
      ),
      lambda proto: json_format.MessageToJson(proto).encode() + b"\n",
    )
  raise ValueError(
    "path must end in .textproto, .pbtxt, .binpb, .pb or .json. "
    f"Got: {files.shown(path)!r}."
  )


def _json_object(content: bytes) -> dict[str, Any]:
  value = json.loads(content)
  if not isinstance(value, dict):
    raise json_format.ParseError(f"a JSON {type(value).__name__}")
  return value


def _set_window(proto: Any, window: str | tuple[Any, ...] | None) -> None:
  if window is None:
    proto.rectangular.SetInParent()
  elif isinstance(window, str):
    proto.named.name = window
  elif isinstance(window[0], str):
    proto.named.name = window[0]
    parameters = window[1:]
    if window[0] == "general_cosine":
      parameters = parameters[0]
    elif parameters[0] is None:  # "exponential" without a centre
      parameters = parameters[1:]
    proto.named.parameters.extend(parameters)
  else:
    proto.values.value.extend(window)


def _window(proto: Any) -> str | tuple[Any, ...] | None:
  kind = proto.WhichOneof("kind")
  if kind is None:
    raise ValueError(
      "window must hold one of named, values, rectangular. Got: none of them."
    )
  if kind == "rectangular":
    return None
  if kind == "values":
    return tuple(proto.values.value)
  name, parameters = proto.named.name, tuple(proto.named.parameters)
  if name == "general_cosine":
    return name, parameters
  if name in ("exponential", "poisson") and len(parameters) == 1:
    return name, None, *parameters
  return name, *parameters


def _enum_value(field: Any, number: int) -> str | None:
  known = field.enum_type.values_by_number.get(number)
  if known is None or number == 0:
    raise ValueError(
      f"{field.name} must be a value that this version of tfspec knows. "
      f"Got: {field.name}={known.name if known else number}."
    )
  value = known.name[len(field.name) + 1 :].lower()
  return None if value == "none" else value


def _check_known(proto: message.Message) -> None:
  """Refuses fields that a newer tfspec wrote: they must not be dropped."""
  unknown = _unknown_field_numbers(proto)
  if unknown:
    raise ValueError(
      f"{proto.DESCRIPTOR.name} must hold only fields that this version of "
      "tfspec knows. Got: field number "
      f"{', '.join(str(number) for number in unknown)}, of a newer tfspec."
    )
  for field, value in proto.ListFields():
    if field.message_type is not None:
      for each in value if _is_repeated(value) else [value]:
        _check_known(each)


def _is_repeated(value: Any) -> bool:
  return not isinstance(value, message.Message)


def _unknown_field_numbers(proto: message.Message) -> list[int]:
  try:
    from google.protobuf import unknown_fields
  except ImportError:  # protobuf older than 4.22
    return [field.field_number for field in proto.UnknownFields()]
  return [field.field_number for field in unknown_fields.UnknownFieldSet(proto)]
