"""Runs one file of tests under Bazel; outside Bazel, pytest needs no help."""

import os
import sys

import pytest


def _leave_editable_install() -> None:
  """Makes sure that tfspec comes from the test's declared dependencies.

  An editable install in the same environment would fill in for a dependency
  that the BUILD file forgets.
  """
  sys.meta_path[:] = [
    finder
    for finder in sys.meta_path
    if not getattr(finder, "__module__", "").startswith("__editable__")
  ]


def main() -> int:
  """Runs the fast tests of the file named on the command line."""
  _leave_editable_install()
  arguments = ["-p", "no:cacheprovider", "-m", "not slow", *sys.argv[1:]]
  # Bazel's working directory lies inside the project's: look no further up.
  arguments += ["--rootdir=.", "--confcutdir=."]
  # Bazel's own ways to ask for a report and for a choice of tests.
  report = os.environ.get("XML_OUTPUT_FILE")
  if report:
    arguments.append(f"--junitxml={report}")
  choice = os.environ.get("TESTBRIDGE_TEST_ONLY")
  if choice:
    arguments += ["-k", choice]
  return pytest.main(arguments)


if __name__ == "__main__":
  sys.exit(main())
