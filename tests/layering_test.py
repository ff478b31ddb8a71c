"""Imports run one way: a module imports only modules of the rows above it."""

import ast
import importlib
import pathlib

import tfspec

ROOT = pathlib.Path(__file__).parent.parent
LAYERS = [
  [
    "tfspec.proto.spectrogram_config_pb2",
    "tfspec.version",
    "tfspec.extras",
    "tfspec.cli_logs",
    "tfspec.cli_parser",
    "tfspec.files",
    "tfspec.process_state",
    "tfspec.wire_format",
  ],
  ["tfspec.ops.length_ops", "tfspec.ops.window_ops", "tfspec.ops.dft_ops"],
  ["tfspec.config_rules", "tfspec.config_proto"],
  [
    "tfspec.config",
    "tfspec.checksums",
    "tfspec.cloning",
    "tfspec.errors",
    "tfspec.benchmark_peers",
  ],
  [
    "tfspec.ops.device_ops",
    "tfspec.ops.shape_ops",
    "tfspec.ops.group_ops",
    "tfspec.ops.wav_chunk_ops",
  ],
  ["tfspec.ops.gradient_ops"],
  [
    "tfspec.ops.block_ops",
    "tfspec.ops.padding_ops",
    "tfspec.ops.spectrum_ops",
    "tfspec.ops.wav_header_ops",
  ],
  ["tfspec.ops.stft_ops", "tfspec.ops.wav_ops"],
  ["tfspec.ops.tpu_ops"],
  ["tfspec.transform"],
  ["tfspec.spectrogram"],
  [
    "tfspec.goldens",
    "tfspec.layers",
    "tfspec.model_card",
    "tfspec.plot",
    "tfspec.serving_requests",
    "tfspec.data.records",
  ],
  ["tfspec.exportable"],
  ["tfspec.answers", "tfspec.servable"],
  [
    "tfspec.field_effects",
    "tfspec.litert",
    "tfspec.data.audio",
    "tfspec.benchmark_report",
  ],
  [
    "tfspec.data.dataset",
    "tfspec.data.prepare_clips",
    "tfspec.data.prepare_report",
    "tfspec.benchmark",
  ],
  ["tfspec.data.prepare"],
  [
    "tfspec.data",
    "tfspec.front_end",
    "tfspec.verify_routes",
    "tfspec.benchmark_runs",
  ],
  ["tfspec.explain", "tfspec.verify_replay"],
  ["tfspec.export", "tfspec.verify"],
  ["tfspec.cli"],
  ["tfspec", "tfspec.__main__"],
]
# Facades hold nothing: importing through them says nothing about layers.
FACADES = {"tfspec.ops", "tfspec.proto"}
# The operations take plain keywords: they never see the config.
NEVER = {"tfspec.ops": "tfspec.config"}


def modules():
  found = {}
  for path in sorted((ROOT / "tfspec").rglob("*.py")):
    parts = path.relative_to(ROOT).with_suffix("").parts
    name = ".".join(parts).removesuffix(".__init__")
    if name not in FACADES:
      found[name] = path
  return found


def imports(path, known):
  """Returns the modules of tfspec that a file imports."""
  found = set()
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Import):
      found |= {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom):
      inner = {f"{node.module}.{alias.name}" for alias in node.names}
      found |= {name if name in known else node.module for name in inner}
  return {name for name in found if name.split(".")[0] == "tfspec"} - FACADES


def test_every_module_has_its_layer():
  assert sorted(sum(LAYERS, [])) == sorted(modules())


def test_imports_run_one_way():
  rank = {name: i for i, layer in enumerate(LAYERS) for name in layer}
  for name, path in modules().items():
    for imported in imports(path, rank):
      assert rank[imported] < rank[name], f"{name} imports {imported}"
      for package, forbidden in NEVER.items():
        assert not (
          name.startswith(package) and imported.startswith(forbidden)
        ), f"{name} imports {imported}"


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


def test_keras_is_imported_by_the_layers_alone():
  users = {
    name
    for name, path in modules().items()
    if any(
      "keras" in (getattr(node, "module", None) or "").split(".")
      or any(alias.name.split(".")[0] == "keras" for alias in node.names)
      for node in ast.walk(ast.parse(path.read_text()))
      if isinstance(node, ast.Import | ast.ImportFrom)
    )
  }
  assert users == {"tfspec.cloning", "tfspec.layers"}
