"""`tfspec plot`."""

import argparse
import sys
from typing import Any

from tfspec.cli import config_options


def add(commands: Any) -> None:
  """Adds the parser of the command.

  Args:
    commands: What `add_subparsers` returned.
  """
  command = commands.add_parser(
    "plot", help="draw WAV files, or a filter bank, into a PNG"
  )
  what = command.add_mutually_exclusive_group(required=True)
  what.add_argument("inputs", nargs="*", default=[], help="WAV files")
  what.add_argument(
    "--filter_bank",
    dest="filters",  # A field of the config has the name.
    action="store_true",
    help="draw the filters of the config in the place of files",
  )
  command.add_argument("--output", required=True, help="PNG file to write")
  config_options.add(command)
  command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
  """Runs the command and returns its exit status."""
  config = config_options.config(arguments)
  from tfspec.storage import files
  from tfspec.view import plot

  if arguments.filters:
    plot.plot_filter_bank(config, arguments.output)
    print(f"drew {files.shown(arguments.output)}")
    return 0
  notes = plot.plot(arguments.inputs, config, arguments.output)
  for note in notes:
    print(f"note: {note}", file=sys.stderr)
  print(f"drew {files.shown(arguments.output)}")
  return 0
