"""The memory that a call takes at its peak, in a process of its own."""

import subprocess
import sys
import textwrap

from tests.paths import ROOT

_PROGRAM = """
import pathlib

def memory(name):
  for line in pathlib.Path("/proc/self/status").read_text().splitlines():
    if line.startswith(name):
      return int(line.split()[1]) * 1024

def peak(function, *args):
  pathlib.Path("/proc/self/clear_refs").write_text("5")
  before = memory("VmRSS:")
  result = function(*args)
  return memory("VmHWM:") - before, result
"""


def run(program: str, *arguments: object) -> int:
  """Runs a program that prints a number of bytes.

  Args:
    program: Python, in which `peak(function, *args)` calls a function and
      returns how many bytes it took at its peak, and its result.
    *arguments: What `sys.argv[1:]` holds.

  Returns:
    The number.
  """
  source = _PROGRAM + textwrap.dedent(program)
  command = [sys.executable, "-c", source, *map(str, arguments)]
  done = subprocess.run(
    command, cwd=ROOT, capture_output=True, text=True, check=False
  )
  assert done.returncode == 0, done.stderr
  return int(done.stdout.split()[-1])
