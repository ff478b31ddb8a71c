"""`tfspec presets`."""

import argparse
from typing import Any

from tfspec import config as config_lib


def add(commands: Any) -> None:
  """Adds the parser of the command.

  Args:
    commands: What `add_subparsers` returned.
  """
  command = commands.add_parser(
    "presets",
    help="the front ends that --preset knows, with their sources",
    description="docs/presets.md has how equal each is to its library.",
  )
  command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
  """Runs the command and returns its exit status."""
  del arguments
  for preset in config_lib.presets():
    config = preset.config
    print(
      f"{preset.name:<18} {config.sample_rate_hz} Hz, {config.num_features} "
      f"features. {preset.source}"
    )
    if preset.leaves_out:
      print(f"{'':<18} Not in it: {preset.leaves_out}")
    if preset.differs:
      print(f"{'':<18} Unlike it: {preset.differs}")
  return 0
