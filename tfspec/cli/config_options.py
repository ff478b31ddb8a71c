"""The options that make a config: a file, and a flag for each field."""

import argparse
import dataclasses
from collections.abc import Callable
from typing import Any

from tfspec import config as config_lib
from tfspec.config import SpectrogramConfig


def add(parser: argparse.ArgumentParser, unset: str = "all defaults") -> None:
  """Adds `--config` and a flag for every field of the config."""
  group = parser.add_argument_group(
    "config", "a file, and fields that replace those of the file"
  )
  group.add_argument(
    "--config", help=f"a .textproto, .binpb or .json file; unset: {unset}"
  )
  for field in dataclasses.fields(SpectrogramConfig):
    group.add_argument(
      f"--{field.name}",
      type=_FIELD_TYPES.get(field.name, str),
      default=argparse.SUPPRESS,
      help=_field_help(field),
    )


def config(arguments: argparse.Namespace) -> SpectrogramConfig:
  """Returns the config of a command line."""
  config = SpectrogramConfig()
  if arguments.config:
    config = config_lib.load_config(arguments.config)
  return dataclasses.replace(config, **fields(arguments))


def fields(arguments: argparse.Namespace) -> dict[str, Any]:
  """Returns the fields of a config that flags give."""
  return {
    field.name: getattr(arguments, field.name)
    for field in dataclasses.fields(SpectrogramConfig)
    if hasattr(arguments, field.name)
  }


def _field_help(field: dataclasses.Field) -> str:
  if field.name in config_lib.CHOICES:
    choices = ", ".join(str(c).lower() for c in config_lib.CHOICES[field.name])
    return f"{choices} (default: {str(field.default).lower()})"
  if field.name in config_lib.FLAGS:
    return f"true or false (default: {str(field.default).lower()})"
  if field.name == "window":
    return "a SciPy name, as kaiser,8.6 with numbers, or none (default: hann)"
  default = _DERIVED.get(field.name, str(field.default).lower())
  return f"a number (default: {default})"


def _boolean(text: str) -> bool:
  if text.lower() not in ("true", "false"):
    raise argparse.ArgumentTypeError(f"must be true or false. Got: {text}.")
  return text.lower() == "true"


def _optional(text: str) -> str | None:
  return None if text.lower() == "none" else text


def _number(kind: type) -> Callable[[str], int | float | None]:
  def read(text: str) -> int | float | None:
    try:
      return None if text.lower() == "none" else kind(text)
    except ValueError as e:
      raise argparse.ArgumentTypeError(
        f"must be a number ({kind.__name__}) or none. Got: {text}."
      ) from e

  return read


def _window(text: str) -> str | tuple | None:
  """Reads "hann", "none", or a name and its numbers: "kaiser,8.6"."""
  name, *numbers = text.split(",")
  if not numbers:
    return _optional(name)
  try:
    parameters = [float(number) for number in numbers]
  except ValueError as e:
    raise argparse.ArgumentTypeError(
      f"must be a name and numbers, as kaiser,8.6. Got: {text}."
    ) from e
  return (name, parameters) if name == "general_cosine" else (name, *parameters)


# What "none" stands for, where it stands for a number.
_DERIVED = {
  "frame_step": "none, half of frame_length",
  "fft_length": "none, the power of two that holds frame_length",
  "floor": "none, the root of 1e-7",
  "pad_value": "none, 0 where pad_mode is constant",
}
_FIELD_TYPES = {
  "frame_length": int,
  "frame_step": _number(int),
  "fft_length": _number(int),
  "sample_rate_hz": _number(int),
  "periodic": _boolean,
  "expand_dims": _boolean,
  "trainable": _boolean,
  "scaling": _optional,
  "window": _window,
  "floor": _number(float),
  "pad_mode": _optional,
  "pad_value": _number(float),
}
