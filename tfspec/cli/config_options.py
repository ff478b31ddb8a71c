"""The options that make a config: a file, and a flag for each field."""

import argparse
import dataclasses
import functools
from typing import Any

from tfspec import config as config_lib
from tfspec.config import SpectrogramConfig
from tfspec.config.fields import Field


def add(parser: argparse.ArgumentParser, unset: str = "all defaults") -> None:
  """Adds `--config` and a flag for every field of the config."""
  group = parser.add_argument_group(
    "config", "a file, and fields that replace those of the file"
  )
  group.add_argument(
    "--config", help=f"a .textproto, .binpb or .json file; unset: {unset}"
  )
  for field in config_lib.FIELDS:
    group.add_argument(
      f"--{field.name}",
      type=functools.partial(_read, field),
      default=argparse.SUPPRESS,
      help=field.help,
    )


def config(arguments: argparse.Namespace) -> SpectrogramConfig:
  """Returns the config of a command line."""
  config = SpectrogramConfig()
  if arguments.config:
    config = config_lib.load_config(arguments.config)
  return dataclasses.replace(config, **fields(arguments))


def fields(arguments: argparse.Namespace) -> dict[str, Any]:
  """Returns the fields of a config that flags give."""
  names = [field.name for field in config_lib.FIELDS]
  return {k: v for k, v in vars(arguments).items() if k in names}


def _read(field: Field, text: str) -> object:
  try:
    return field.parse(text)
  except ValueError as e:
    raise argparse.ArgumentTypeError(str(e)) from e
