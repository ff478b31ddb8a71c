"""Settings of the test run."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def pytest_terminal_summary(terminalreporter):
  """Shows what tests recorded with `record_property`."""
  for report in terminalreporter.getreports("passed"):
    for name, value in report.user_properties:
      terminalreporter.write_line(f"{name}: {value}")


def pytest_configure(config):
  config.addinivalue_line(
    "markers", "slow: takes more than a few seconds; not in the fast lane"
  )
