"""Keeps logs of TensorFlow and others from burying the answer of a command."""

import logging
import os
import re
import sys
import warnings

from absl import logging as absl_logging

# Lines that C++ logs begin with the level: in absl with the date, in LiteRT
# without. Fatal ones are not among them.
_LINE = re.compile(rb"([IWE]\d{4} \d\d:\d\d:\d+\.\d+ |(INFO|WARNING): )")


def silence() -> None:
  """Drops what others log, up to errors; before TensorFlow is imported.

  What the user has chosen by `TF_CPP_MIN_LOG_LEVEL` or `PYTHONWARNINGS` stays,
  and so do the warnings of tfspec.
  """
  absl_logging.set_verbosity(absl_logging.ERROR)
  logging.getLogger("tensorflow").setLevel(logging.ERROR)
  if not sys.warnoptions:
    warnings.filterwarnings("ignore")
    warnings.filterwarnings("default", module="tfspec")
  level = os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
  if level == "3" and hasattr(os, "fork"):
    _filter_stderr()


def _filter_stderr() -> None:
  """Drops the lines that C++ logs before it reads that level, or without.

  Another process reads what C++ writes to the standard error, and prints all
  but these lines, also if this process crashes. What Python prints does not go
  through it, so that Python still sees a terminal.
  """
  reader, writer = os.pipe()
  if not os.fork():
    try:
      os.close(writer)
      os.setsid()  # Ctrl-C must not end it before the process that it serves.
      with open(reader, "rb") as lines:
        for line in lines:
          if not _LINE.match(line):
            os.write(2, line)
    finally:
      os._exit(0)
  os.close(reader)
  sys.stderr = open(os.dup(2), "w", buffering=1, errors="backslashreplace")
  os.dup2(writer, 2)
  os.close(writer)
