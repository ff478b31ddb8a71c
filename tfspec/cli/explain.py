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
  what = "a config, export, prepared dataset, .keras or .tflite file, or preset"
  command.add_argument("a", help=what)
  other = command.add_mutually_exclusive_group(required=True)
  other.add_argument("b", nargs="?", help="another of these")
  other.add_argument("--against", metavar="B", help="the same")
  command.set_defaults(run=run, trouble=2)


def run(arguments: argparse.Namespace) -> int:
  """Runs the command and returns its exit status."""
  from tfspec.verification.explain import explain

  explanation = explain(arguments.a, arguments.b or arguments.against)
  print(explanation)
  return 0 if explanation.same else 1
