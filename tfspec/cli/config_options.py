"""The options that make a config: a file or a preset, and a flag a field."""

import argparse
import difflib
import functools
from typing import Any

from tfspec import config as config_lib
from tfspec.config import SpectrogramConfig
from tfspec.config import fields as fields_lib
from tfspec.config.fields import Field, Group


def add(parser: argparse.ArgumentParser, unset: str = "all defaults") -> None:
  """Adds `--config`, `--preset` and a flag for every field of the config."""
  group = parser.add_argument_group(
    "config", "a file or a preset, and fields that replace those of it"
  )
  source = group.add_mutually_exclusive_group()
  source.add_argument(
    "--config", help=f"a .textproto, .binpb or .json file; unset: {unset}"
  )
  source.add_argument(
    "--preset", help="the name of a front end; tfspec presets lists them"
  )
  group.add_argument(
    "--set",
    action="append",
    type=_read_path,
    default=[],
    metavar="PATH=VALUE",
    help="a field by its path, as filter_bank.num_bands=80; filter_bank= sets "
    "a stage with all defaults, filter_bank=none removes it. Paths: "
    + ", ".join(path for path in config_lib.PATHS if "." in path),
  )
  for field in config_lib.FIELDS:
    if isinstance(field.kind, Group):
      continue
    group.add_argument(
      f"--{field.name}",
      type=functools.partial(_read, field),
      default=argparse.SUPPRESS,
      help=field.help,
    )


def config(arguments: argparse.Namespace) -> SpectrogramConfig:
  """Returns the config of a command line."""
  config = SpectrogramConfig()
  if arguments.preset:
    config = config_lib.preset(arguments.preset)
  if arguments.config:
    config = config_lib.load_config(arguments.config)
  return fields_lib.replace(config, fields(arguments))


def fields(arguments: argparse.Namespace) -> dict[str, Any]:
  """Returns the fields of a config that flags give, by path."""
  names = [field.name for field in config_lib.FIELDS]
  flags = {k: v for k, v in vars(arguments).items() if k in names}
  return {**flags, **dict(arguments.set)}


def _read_path(text: str) -> tuple[str, Any]:
  path, equals, value = text.partition("=")
  path = path.replace("-", "_")
  if not equals or path not in config_lib.PATHS:
    near = difflib.get_close_matches(path, config_lib.PATHS, 1)
    advice = f" Did you mean {near[0]}?" if near else ""
    raise argparse.ArgumentTypeError(
      f"must be PATH=VALUE, PATH being a field. Got: {text}.{advice}"
    )
  return path, _read(config_lib.PATHS[path], value)


def _read(field: Field, text: str) -> object:
  try:
    return field.parse(text)
  except ValueError as e:
    raise argparse.ArgumentTypeError(str(e)) from e
