"""`python -m tfspec`, the same as the command `tfspec`."""

from tfspec import cli

if __name__ == "__main__":
  cli.run()
