"""Keeps the BUILD files true to the code, and runs them."""

import ast
import pathlib
import shutil
import subprocess

import pytest

from tests.paths import ROOT

pytestmark = pytest.mark.slow

def _imported(file: pathlib.Path) -> set[str]:
  """Returns the dotted names of all that a file imports, at any depth."""
  found = set()
  for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
    if isinstance(node, ast.Import):
      found |= {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom):
      found |= {f"{node.module}.{alias.name}" for alias in node.names}
  return found


def _label(module: str) -> str | None:
  """Returns the target that has a module; None outside of the project."""
  top, *rest = module.split(".")
  if top == "tests":
    return f"//tests:{rest[0]}"
  if top != "tfspec":
    return None
  if rest and (ROOT / "tfspec" / rest[0]).is_dir():
    return f"//tfspec/{rest[0]}"
  is_file = rest and (ROOT / "tfspec" / f"{rest[0]}.py").is_file()
  return "//tfspec:base" if is_file else "//tfspec"


def _targets(build: pathlib.Path) -> dict[str, tuple[list, list[str]]]:
  """Returns sources and dependencies by label; BUILD files are Python."""
  folder = build.parent.relative_to(ROOT).as_posix()
  result = {}
  for node in ast.parse(build.read_text(encoding="utf-8")).body:
    call = getattr(node, "value", None)
    if not isinstance(call, ast.Call) or not ast.unparse(call.func).startswith(
      "tfspec_"
    ):
      continue
    values = {k.arg: k.value for k in call.keywords}
    name = ast.literal_eval(values["name"])
    short = name == build.parent.name
    label = f"//{folder}" if short else f"//{folder}:{name}"
    deps = ast.literal_eval(values["deps"]) if "deps" in values else []
    deps = [f"//{folder}{d}" if d.startswith(":") else d for d in deps]
    if isinstance(values["srcs"], ast.Call):  # glob([...])
      sources = sorted(build.parent.rglob("*.py"))
    else:
      names = ast.literal_eval(values["srcs"])
      sources = [build.parent / name for name in names]
    result[label] = sources, deps
  return result


def test_targets_have_their_real_imports():
  """One target a folder of tfspec; of the tests those that run in a minute."""
  labels = set()
  builds = [*(ROOT / "tfspec").rglob("BUILD"), ROOT / "tests" / "BUILD"]
  for build in builds:
    for label, (sources, deps) in _targets(build).items():
      labels.add(label)
      names = {name for file in sources for name in _imported(file)}
      expected = {_label(name) for name in names} - {None, label}
      assert deps == sorted(expected), f"{label} must have deps of these."
  folders = {p.parent.name for p in (ROOT / "tfspec").glob("*/__init__.py")}
  assert labels >= {f"//tfspec/{name}" for name in folders}


def test_bazel_runs_the_fast_tests():
  if shutil.which("bazel") is None:
    pytest.skip("bazel is not installed: tools/bazel_test.sh cannot run.")
  result = subprocess.run(
    ["bash", str(ROOT / "tools" / "bazel_test.sh")],
    capture_output=True,
    check=False,
    text=True,
  )
  assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"
