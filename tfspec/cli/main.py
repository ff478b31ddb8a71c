"""The entry point: the parser of all commands, and what errors print."""

import argparse
import importlib.metadata
import io
import sys
from collections.abc import Sequence
from typing import Any

# A command checks its arguments first, and then imports what needs TensorFlow,
# whose import takes seconds.
from tfspec.cli import (
  benchmark,
  explain,
  export,
  logs,
  plot,
  prepare,
  presets,
  verify,
)
from tfspec.cli.parser import Parser
from tfspec.version import __version__

_COMMANDS = (prepare, export, verify, explain, plot, benchmark, presets)


def run() -> None:
  """Runs the command line; the entry point of `tfspec`."""
  # Bytes of a path that are no text must not stop the answer.
  if isinstance(sys.stdout, io.TextIOWrapper):
    sys.stdout.reconfigure(errors="backslashreplace")
  arguments = parse(sys.argv)
  if not arguments.verbose:
    logs.silence()
  sys.exit(main(arguments))


def parse(argv: Sequence[str]) -> argparse.Namespace:
  """Returns the arguments of a command line, the program's name first."""
  parser, commands = _parsers()
  arguments = parser.parse(argv[1:], commands)
  if arguments.version:
    print(_versions())
    parser.exit()
  if arguments.command is None:
    parser.print_help()
    parser.exit()
  return arguments


def _versions() -> str:
  """Returns the versions of tfspec and, without its import, of TensorFlow."""
  try:
    tensorflow = f", TensorFlow {importlib.metadata.version('tensorflow')}"
  except importlib.metadata.PackageNotFoundError:  # Or by another name there.
    tensorflow = ""
  return f"tfspec {__version__}{tensorflow}"


def _parsers() -> tuple[Parser, dict[str, Parser]]:
  """Returns the parser of the command line, and those of the commands."""
  parser = Parser(
    prog="tfspec",
    description="One spectrogram for training, preparing data and serving.",
  )
  parser.add_argument(
    "--version", action="store_true", help="show the versions and exit"
  )
  _add_verbose(parser, False)
  commands = parser.add_subparsers(dest="command")
  for module in _COMMANDS:
    module.add(commands)
  for command in commands.choices.values():
    _add_verbose(command, argparse.SUPPRESS)
  return parser, commands.choices


def _add_verbose(parser: argparse.ArgumentParser, default: Any) -> None:
  parser.add_argument(
    "--verbose",
    action="store_true",
    default=default,
    help="show what TensorFlow logs",
  )


def main(arguments: argparse.Namespace) -> int:
  """Runs a parsed command and returns its exit status."""
  try:
    return arguments.run(arguments)
  except KeyboardInterrupt:
    message = "interrupted"
  except OSError as e:
    message = f"{e.filename}: {e.strerror}" if e.filename else str(e)
  except (ImportError, TypeError, ValueError) as e:
    message = str(e)
  except Exception as e:
    import tensorflow as tf

    from tfspec import errors

    if isinstance(e, tf.errors.OpError):
      message = errors.sentence(e)
    elif hasattr(arguments, "trouble"):
      message = errors.first_line(e)  # 1 would say that there is an answer.
    else:
      raise
  print(f"tfspec {arguments.command}: {message}", file=sys.stderr)
  return getattr(arguments, "trouble", 1)
