"""A parser of command lines that helps with what it cannot read."""

import argparse
import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import NoReturn


class Parser(argparse.ArgumentParser):
  """A parser that takes dashes for underscores and suggests what was meant.

  An error is one line, and exit status 2.
  """

  def error(self, message: str) -> NoReturn:
    """Prints the message and exits."""
    self.exit(2, f"{self.prog}: {message}\n")

  def parse(
    self, arguments: Sequence[str], commands: Mapping[str, "Parser"]
  ) -> argparse.Namespace:
    """Returns the parsed arguments, or exits with the nearest known name.

    Args:
      arguments: The command line without the program's name.
      commands: The parser of each command.
    """
    arguments = list(arguments)
    end = arguments.index("--") if "--" in arguments else len(arguments)
    spelled = [_with_underscores(argument) for argument in arguments[:end]]
    command = next((a for a in spelled if not a.startswith("-")), None)
    if command is not None and command not in commands:
      self._refuse("command", command, commands)
    parser = self if command is None else commands[command]
    parser._check_options(spelled)
    return self.parse_args([*spelled, *arguments[end:]])

  def _check_options(self, arguments: list[str]) -> None:
    # argparse would first complain of what is missing, though the mistyped
    # option was to give it.
    known = [name for name in self._option_string_actions if name[:2] == "--"]
    for argument in arguments:
      name = argument.partition("=")[0]
      # The beginning of a name is enough for argparse.
      if name.startswith("--") and not any(k.startswith(name) for k in known):
        self._refuse("option", name, known)

  def _refuse(self, kind: str, name: str, known: Iterable[str]) -> NoReturn:
    near = difflib.get_close_matches(name, known, 1)
    advice = f"Did you mean {near[0]}?" if near else f"Run: {self.prog} --help"
    self.error(f"unknown {kind} {name}. {advice}")


def _with_underscores(argument: str) -> str:
  """Returns `--frame-length=1` as `--frame_length=1`, a value as it is."""
  if not argument.startswith("--"):
    return argument
  name, equals, value = argument[2:].partition("=")
  return f"--{name.replace('-', '_')}{equals}{value}"
