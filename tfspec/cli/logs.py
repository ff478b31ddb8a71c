"""Keeps logs of TensorFlow and others from burying the answer of a command."""

import logging
import os
import re
import sys
import warnings

from absl import logging as absl_logging

# The beginning of lines that C++ logs: the level, in absl with the date, in
# LiteRT without. It matches no fatal ones.
_LINE = re.compile(rb"([IWE]\d{4} \d\d:\d\d:\d+\.\d+ |(INFO|WARNING): )")


def silence() -> None:
  """Drops what others log, except errors. Call it before TensorFlow loads.

  It keeps what the user has chosen by `TF_CPP_MIN_LOG_LEVEL` or
  `PYTHONWARNINGS`, and the warnings of tfspec.
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
  """Drops lines that C++ logs without heeding that level.

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
