"""`tfspec verify`."""

import argparse
from typing import Any


def add(commands: Any) -> None:
  """Adds the parser of the command.

  Args:
    commands: What `add_subparsers` returned.
  """
  command = commands.add_parser(
    "verify",
    help="prove that an export computes what it did when it was made",
    description="Exit status 0: verified, 1: not, for the reason it prints.",
  )
  command.add_argument(
    "path", help="a SavedModel, .tflite file or prepared dataset"
  )
  command.add_argument(
    "--against",
    help="a config, export, prepared dataset, .keras or .tflite file: its "
    "fields and trained kernels must be the same",
  )
  command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
  """Runs the command and returns its exit status."""
  from tfspec.verification.verify import verify

  report = verify(arguments.path, arguments.against)
  print(report)
  return 0 if report.ok else 1
