"""`tfspec prepare`."""

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
    "prepare", help="WAV files in, sharded TFRecords and a manifest out"
  )
  command.add_argument("input", help="folder of WAV files")
  command.add_argument("output", help="folder to make")
  command.add_argument(
    "--shard_mb",
    type=int,
    default=128,
    help="size of a shard in megabytes (default: 128)",
  )
  command.add_argument(
    "--workers",
    type=int,
    default=2,
    help="files in work at a time (default: 2)",
  )
  command.add_argument(
    "--max_skipped",
    type=float,
    default=0.5,
    help="share of the WAV files that may be skipped: with more, the command "
    "fails (default: 0.5)",
  )
  config_options.add(command)
  command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
  """Runs the command and returns its exit status."""
  config = config_options.config(arguments)
  from tfspec.data import prepare

  summary = prepare.prepare(
    arguments.input,
    arguments.output,
    config,
    shard_bytes=arguments.shard_mb << 20,
    workers=arguments.workers,
    max_skipped=arguments.max_skipped,
    progress=sys.stderr,
  )
  print(summary)
  return 0
