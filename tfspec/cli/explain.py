"""`tfspec explain`."""

import argparse
from typing import Any


def add(commands: Any) -> None:
  """Adds the parser of the command.

  Args:
    commands: What `add_subparsers` returned.
  """
  command = commands.add_parser(
    "explain",
    help="what makes two spectrograms differ, and by how much",
    description="Exit status 0: the same, 1: different, 2: trouble.",
  )
  for name in ("a", "b"):
    command.add_argument(
      name,
      help="a config, export, prepared dataset, .keras or .tflite file",
    )
  command.set_defaults(run=run, trouble=2)


def run(arguments: argparse.Namespace) -> int:
  """Runs the command and returns its exit status."""
  from tfspec.verification.explain import explain

  explanation = explain(arguments.a, arguments.b)
  print(explanation)
  return 0 if explanation.same else 1
