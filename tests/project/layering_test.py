"""Imports run one way: a folder imports only folders of the rows above it."""

import ast
import importlib
import re

import tfspec
from tests.paths import ROOT

# In a row: the folder, or a file of `tfspec/` itself.
LAYERS = [
  "version",
  "errors",
  "proto",
  "storage",
  "coefficients",
  "config",
  "ops",
  "spectrogram",
  "contract",
  "layers",
  "view",
  "data",
  "export",
  "verification",
  "cli",
  "__init__",
  "__main__",
]
# The operations take plain keywords: they never see the config.
NEVER = {"ops": {"config", "proto", "storage"}}
# The package that may be imported in a folder alone.
ONLY = {"keras": {"layers"}, "tensorflow": {*LAYERS[LAYERS.index("ops") :]}}
# Where TensorFlow is imported when it is needed: for remote paths.
LAZY = {"storage/files.py"}


# Who may know how `data_format` orders axes: the file that says it, and what
# is written apart from it on purpose, to check it.
LAYOUTS = {
  "config",
  "proto",
  "contract/oracle.py",
  "contract/registry.py",
  "spectrogram/layouts.py",
}


def parts():
  """Returns every file of tfspec, by the name of its row."""
  found = {}
  for path in sorted((ROOT / "tfspec").rglob("*.py")):
    name = path.relative_to(ROOT / "tfspec").parts[0].removesuffix(".py")
    found.setdefault(name, []).append(path)
  return found


def imports(path):
  """Returns the dotted names of all that a file imports, at any depth."""
  found = set()
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Import):
      found |= {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom):
      found |= {f"{node.module}.{alias.name}" for alias in node.names}
  return found


def test_every_part_has_its_row():
  assert sorted(parts()) == sorted(LAYERS)


def test_imports_run_one_way():
  rank = {name: i for i, name in enumerate(LAYERS)}
  for name, paths in parts().items():
    for path in paths:
      for imported in imports(path):
        package, *inner = imported.split(".")
        assert package not in ("tests", "tools"), f"{path} imports {imported}"
        if package != "tfspec" or inner[0] == name:
          continue
        row = inner[0] if inner[0] in rank else "__init__"
        assert rank[row] < rank[name], f"{path} imports {imported}"
        assert row not in NEVER.get(name, ()), f"{path} imports {imported}"


def test_packages_are_imported_where_they_may_be():
  for name, paths in parts().items():
    for path in paths:
      where = path.relative_to(ROOT / "tfspec").as_posix()
      for imported in imports(path):
        users = ONLY.get(imported.split(".")[0])
        assert users is None or name in users or where in LAZY, (
          f"{where} imports {imported}"
        )


def test_no_annotation_needs_an_experimental_name():
  """Such names move between versions, and are looked up at the import."""
  for path in (ROOT / "tfspec").rglob("*.py"):
    for node in ast.walk(ast.parse(path.read_text())):
      for field in ("annotation", "returns"):
        annotation = getattr(node, field, None)
        if annotation is not None and not isinstance(annotation, ast.Constant):
          names = ast.unparse(annotation)
          assert "experimental" not in names and "python." not in names, path


def test_one_file_knows_the_layouts():
  for path in (ROOT / "tfspec").rglob("*.py"):
    where = path.relative_to(ROOT / "tfspec").as_posix()
    if where in LAYOUTS or where.split("/")[0] in LAYOUTS:
      continue
    for node in ast.walk(ast.parse(path.read_text())):
      assert not (
        isinstance(node, ast.Attribute) and node.attr == "data_format"
      ), f"{where}:{node.lineno}"
      assert not (
        isinstance(node, ast.Constant)
        and node.value in ("channels_first", "channels_last")
      ), f"{where}:{node.lineno}"


def test_tools_import_no_tests():
  for path in (ROOT / "tools").rglob("*.py"):
    assert not [i for i in imports(path) if i.startswith("tests.")], path


def test_every_folder_says_what_is_in_it():
  for path in (ROOT / "tfspec").rglob("*/"):
    if path.name != "__pycache__":
      text = ast.get_docstring(ast.parse((path / "__init__.py").read_text()))
      assert text and len(text.splitlines()) <= 6, path


def test_facade_has_what_type_checkers_see_in_it():
  (block,) = (
    node
    for node in ast.parse((ROOT / "tfspec/__init__.py").read_text()).body
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
  )
  seen = {
    alias.name: node.module for node in block.body for alias in node.names
  }
  assert sorted(seen) == tfspec.__all__
  homes = {name: f"tfspec.{home}" for name, home in tfspec._HOMES.items()}
  assert {k: v for k, v in seen.items() if v != "tfspec"} == homes
  for name, home in homes.items():
    module = importlib.import_module(home)
    assert getattr(tfspec, name) is getattr(module, name)
  assert set(tfspec.__all__) <= set(dir(tfspec))
  assert not hasattr(tfspec, "nothing")


def test_all_folders_of_tests_are_run():
  script = (ROOT / "tools" / "test.sh").read_text()
  folders = {path.parent for path in (ROOT / "tests").rglob("*_test.py")}
  named = re.findall(r"\btests/\w+", script.partition("\nslow_runs=(")[2])
  assert set(named) == {f"tests/{path.name}" for path in folders}
