"""Runs the benchmark from a clone: `python tools/benchmark.py --help`."""

import pathlib
import sys

if __name__ == "__main__":
  sys.path[0] = str(pathlib.Path(__file__).resolve().parents[1])
  sys.argv[1:1] = ["benchmark"]
  from tfspec import cli

  cli.run()
