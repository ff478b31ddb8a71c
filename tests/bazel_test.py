"""Keeps the BUILD files true to the code, and runs them."""

import ast
import dataclasses
import pathlib
import shutil
import subprocess

import pytest

pytestmark = pytest.mark.slow

_ROOT = pathlib.Path(__file__).resolve().parents[1]
_FOLDERS = ("tfspec", "tests")


@dataclasses.dataclass(frozen=True)
class _Target:
  """A target, or what a module's target ought to be."""

  source: str  # The file, from the project's root.
  deps: frozenset[str]  # Full labels: //folder:name.


def _module_file(module: str) -> pathlib.Path | None:
  """Returns the file of a module of this project, None if there is none."""
  path = _ROOT.joinpath(*module.split("."))
  for file in (path.with_suffix(".py"), path / "__init__.py"):
    if file.is_file():
      return file
  return None


def _label(file: pathlib.Path) -> str:
  """Returns the label that the target of a module's file has."""
  folder = file.parent.relative_to(_ROOT).as_posix()
  name = file.parent.name if file.stem == "__init__" else file.stem
  return f"//{folder}:{name}"


def _imported_modules(file: pathlib.Path) -> set[str]:
  """Returns the dotted names of all that a file imports, at any depth."""
  package = list(file.parent.relative_to(_ROOT).parts)
  modules = set()
  for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
    if isinstance(node, ast.Import):
      modules.update(alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
      parts = package[: len(package) - node.level + 1] if node.level else []
      parent = ".".join(parts + ([node.module] if node.module else []))
      for alias in node.names:
        # `from tfspec.ops import stft_ops` imports a module,
        # `from tfspec.ops.stft_ops import stft` a name in one.
        child = f"{parent}.{alias.name}"
        modules.add(child if _module_file(child) else parent)
  return modules


def _expected_target(file: pathlib.Path) -> _Target:
  deps = set()
  for module in _imported_modules(file):
    if module.split(".")[0] in _FOLDERS:
      imported = _module_file(module)
      assert imported is not None, f"{file} imports {module}: no such module."
      deps.add(_label(imported))
  return _Target(
    source=file.relative_to(_ROOT).as_posix(), deps=frozenset(deps)
  )


def _declared_targets(rule: str, top: str) -> dict[str, _Target]:
  """Reads the targets of one rule; BUILD files are close to Python."""
  targets = {}
  for build in sorted((_ROOT / top).rglob("BUILD")):
    folder = build.parent.relative_to(_ROOT).as_posix()
    for node in ast.parse(build.read_text(encoding="utf-8")).body:
      call = getattr(node, "value", None)
      if not isinstance(call, ast.Call) or ast.unparse(call.func) != rule:
        continue
      fields = {
        keyword.arg: ast.literal_eval(keyword.value)
        for keyword in call.keywords
        if keyword.arg in ("name", "srcs", "deps")
      }
      (source,) = fields["srcs"]
      targets[f"//{folder}:{fields['name']}"] = _Target(
        source=f"{folder}/{source}",
        deps=frozenset(
          f"//{folder}{dep}" if dep.startswith(":") else dep
          for dep in fields.get("deps", [])
        ),
      )
  return targets


def _as_text(rule: str, label: str, target: _Target) -> str:
  """Writes a target as its BUILD file should have it."""
  folder, name = label.split(":")
  lines = [
    f"{rule}(",
    f'    name = "{name}",',
    f'    srcs = ["{pathlib.PurePosixPath(target.source).name}"],',
  ]
  here = [dep for dep in target.deps if dep.split(":")[0] == folder]
  deps = sorted(dep.removeprefix(folder) for dep in here)
  deps += sorted(target.deps.difference(here), key=lambda dep: dep.split(":"))
  if len(deps) > 1:
    lines += ["    deps = [", *(f'        "{dep}",' for dep in deps), "    ],"]
  elif deps:
    lines.append(f'    deps = ["{deps[0]}"],')
  return "\n".join([*lines, ")"])


def _complaints(
  rule: str, expected: dict[str, _Target], declared: dict[str, _Target]
) -> str:
  """Says what to change in the BUILD files; empty if nothing."""
  lines = [
    f"No module belongs to {label}: remove it."
    for label in sorted(declared.keys() - expected.keys())
  ]
  for label, target in sorted(expected.items()):
    if declared.get(label) != target:
      lines.append(f"{label} must be:\n{_as_text(rule, label, target)}")
  return "\n".join(lines)


def test_build_files_have_every_module_with_its_real_imports():
  expected = {
    _label(file): _expected_target(file)
    for file in (_ROOT / "tfspec").rglob("*.py")
  }
  declared = _declared_targets("tfspec_library", "tfspec")
  complaints = _complaints("tfspec_library", expected, declared)
  if complaints:
    pytest.fail(complaints, pytrace=False)


@pytest.mark.parametrize("rule", ["tfspec_library", "tfspec_test"])
def test_test_targets_have_their_real_imports(rule):
  # Not every test runs under Bazel: only what is declared is checked.
  declared = _declared_targets(rule, "tests")
  expected = {
    label: _expected_target(_ROOT / target.source)
    for label, target in declared.items()
  }
  complaints = _complaints(rule, expected, declared)
  if complaints:
    pytest.fail(complaints, pytrace=False)


def test_bazel_runs_the_fast_tests():
  if shutil.which("bazel") is None:
    pytest.skip("bazel is not installed: tools/bazel_test.sh cannot run.")
  result = subprocess.run(
    ["bash", str(_ROOT / "tools" / "bazel_test.sh")],
    capture_output=True,
    check=False,
    text=True,
  )
  assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"
