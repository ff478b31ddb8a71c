"""`python -m tfspec`, the same as the command `tfspec`."""

from tfspec.cli.main import run

if __name__ == "__main__":
  run()
