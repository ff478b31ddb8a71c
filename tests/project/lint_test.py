"""The hooks of pre-commit are what the lint of tools/test.sh runs."""

import re

from tests.paths import ROOT


def test_hooks_are_those_of_lint():
  script = (ROOT / "tools/test.sh").read_text()
  (lint,) = re.findall(r"^lint\(\) \{$(.*?)^\}$", script, re.DOTALL | re.M)
  commands = re.findall(r"^ +(\.venv\S+ .*?) \|\|", lint, re.M)
  text = (ROOT / ".pre-commit-config.yaml").read_text()
  assert re.findall(r"entry: (.+)", text) == commands
  assert len(commands) >= 2
  assert "http" not in text
