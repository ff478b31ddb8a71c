"""Examples in docstrings and in the README run as they stand."""

import doctest
import importlib
import inspect
import pkgutil
import re
import shlex

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfspec
from tests import lanes
from tests.paths import ROOT
from tfspec.cli import main as cli
from tfspec.contract import parity

MODULES = sorted(
  module.name
  for module in pkgutil.walk_packages(tfspec.__path__, "tfspec.")
  if module.name != "tfspec.__main__"
)
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
# What a user calls; each has an example.
PUBLIC = [
  *(
    getattr(tfspec, name)
    for name in tfspec.__all__
    if not inspect.ismodule(getattr(tfspec, name))
  ),
  *(getattr(tfspec.data, name) for name in tfspec.data.__all__),
  tfspec.layers.STFTSpectrogram,
  tfspec.layers.Spectrogram,
  tfspec.layers.MelSpectrogram,
  tfspec.layers.from_keras,
]


@pytest.fixture(autouse=True)
def folder_with_speech(tmp_path, monkeypatch):
  """Runs each example in an empty folder that holds real speech."""
  monkeypatch.chdir(tmp_path)
  (tmp_path / "speech").symlink_to(ROOT / "tests/testdata/speech")
  (tmp_path / "speech.textproto").symlink_to(ROOT / "tools/speech.textproto")


@pytest.mark.parametrize(
  "name",
  lanes.some(
    MODULES,
    lambda name: not name.startswith(("tfspec.export", "tfspec.verification")),
  ),
)
def test_examples_of_docstrings(name):
  module = importlib.import_module(name)
  globs = {**vars(module), "tfspec": tfspec, "tf": tf, "np": np}
  result = doctest.testmod(module, globs=globs)
  assert result.failed == 0


@pytest.mark.parametrize("thing", PUBLIC, ids=lambda thing: thing.__name__)
def test_public_things_are_documented(thing):
  text = inspect.getdoc(thing)
  assert ">>>" in text
  assert "SKIP" not in text
  assert "Raises:" in text or thing in (tfspec.Spectrogram, tfspec.presets)


def readme():
  return (ROOT / "README.md").read_text()


def blocks(language, text=None):
  """Returns the code blocks, by default of the README, in a language."""
  inside = (text or readme()).split("```")[1::2]
  split = [block.split("\n", 1) for block in inside]
  return [text for label, text in split if label == language]


@pytest.mark.slow
def test_examples_of_the_readme():
  examples = blocks("python")
  assert len(examples) >= 6
  scope = {}
  for block in examples:  # One after the other, as a reader would.
    exec(compile(block, "README.md", "exec"), scope)


def run_commands(examples):
  """Runs the commands of some blocks, and returns how many there are."""
  commands = re.findall(r"^tfspec (.+)$", "".join(examples), re.MULTILINE)
  for command in commands:
    arguments = cli.parse(["tfspec", *shlex.split(command)])
    assert cli.main(arguments) == 0, command
  return len(commands)


@pytest.mark.slow
def test_commands_of_the_readme():
  assert run_commands(blocks("")) >= 4


@pytest.mark.slow
def test_examples_of_the_litert_page():
  pytest.importorskip(
    "ai_edge_litert",
    reason="ai-edge-litert is not installed: pip install '.[litert]'.",
  )
  text = (ROOT / "docs/litert.md").read_text()
  assert run_commands(blocks("", text)) == 2
  examples = blocks("python", text)
  assert len(examples) == 2
  for block in examples:
    exec(compile(block, "litert.md", "exec"), {})


@pytest.mark.parametrize("name", ["presets", "coming_from"])
def test_examples_of_the_pages_on_front_ends(name):
  examples = blocks("python", (ROOT / f"docs/{name}.md").read_text())
  assert len(examples) >= (6 if name == "coming_from" else 1)
  scope = {}
  for block in examples:
    exec(compile(block, f"{name}.md", "exec"), scope)
  if name == "coming_from":
    np.testing.assert_allclose(scope["found"], scope["expected"], atol=1e-3)
    assert scope["features"].shape == (3000, 80)


def test_page_on_presets_has_all_of_them():
  text = (ROOT / "docs/presets.md").read_text()
  rows = re.findall(r"^\| (\w+) \| ([^|]+) \| \d", text, re.MULTILINE)
  assert [name for name, _ in rows] == [p.name for p in tfspec.presets()]
  folder = ROOT / "tests/testdata/presets"
  assert all(parity.references(folder, n)[0] == said for n, said in rows)


def test_example_of_the_training_page():
  (example,) = blocks("python", (ROOT / "docs/training.md").read_text())
  exec(compile(example, "training.md", "exec"), {})


@pytest.mark.slow
def test_examples_of_the_lengths_page():
  examples = blocks("python", (ROOT / "docs/lengths.md").read_text())
  assert len(examples) == 5
  scope = {}
  for block in examples:
    exec(compile(block, "lengths.md", "exec"), scope)


@pytest.mark.slow
@pytest.mark.skipif(
  not hasattr(keras.layers, "STFTSpectrogram"),
  reason="This Keras is too old to have the layer.",
)
def test_examples_of_the_page_on_keras(capsys):
  text = (ROOT / "docs/migrate_keras.md").read_text()
  scope = {}
  for block in blocks("python", text):
    exec(compile(block, "migrate_keras.md", "exec"), scope)
  difference = np.max(np.abs(scope["after"] - scope["before"]))
  (stated,) = re.findall(r"probability: (\d\S+)", text)
  assert difference < 10 * float(stated)
  printed = capsys.readouterr().out
  # But for the first, which rounding moves, and the distance from training.
  for line in blocks("", text)[0].splitlines()[1:]:
    if not line.startswith("kernels:"):
      assert line in printed


def test_example_of_the_tpu_page():
  examples = blocks("python", (ROOT / "docs/tpu.md").read_text())
  assert len(examples) == 2
  # The first one makes the strategy, which needs a TPU.
  scope = {"tf": tf, "strategy": tf.distribute.OneDeviceStrategy("CPU:0")}
  exec(compile(examples[1], "tpu.md", "exec"), scope)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_a_page_names_exist(page):
  text = "".join(page.read_text().split("```")[::2])  # Without the code.
  links = re.findall(r"\]\((?!https?:)([^)#]+)", text)
  files = [page.parent / link for link in links]
  files += [
    ROOT / tool
    for tool in re.findall(r"bash (tools/\w+\.sh)", page.read_text())
  ]
  assert files or page.name != "README.md"
  for file in files:
    assert file.exists(), file


def test_table_of_differences_names_its_tests():
  tests = (ROOT / "tests/layers/keras_differences_test.py").read_text()
  named = re.findall(r"`(test_difference_\w+)`", readme())
  defined = re.findall(r"^def (test_difference_\w+)", tests, re.MULTILINE)
  assert sorted(named) == sorted(defined)


def test_targets_are_those_of_the_tables():
  text = (ROOT / "docs/performance_amd.md").read_text()
  one, both = (
    {
      section.partition("\n")[0]: {
        cells[0]: cells[1:]
        for cells in re.findall(
          r"^\| (.+?) \| ([\d.]+) \|.*?\| ([\d.]+) \|", section, re.MULTILINE
        )
      }
      for section in half.split("### ")[1:]
    }
    for half in text.partition("## One thread")[2].split("## All threads")
  )
  works = ["W1: speech", "W2: speech, short frames", "W3: music"]
  steps = ["W7: training step", "W7: training step, short frames"]
  forwards = [
    "W7: forward pass of the trainable layer",
    "W7: forward pass, short frames",
  ]

  def ratio(table, *runs):  # To the faster of tfspec's.
    return min(float(table[run][1]) for run in runs)

  def time(table, *runs):
    return min(float(table[run][0]) for run in runs)

  keras = "keras, graph", "keras, jit"
  layer = "tfspec layer, graph", "tfspec layer, jit"
  fft = "tfspec fft, graph", "tfspec fft, jit"
  rows = [
    [ratio(one[w], "tf.signal, graph") for w in works],
    [ratio(one[w], "tf.signal, jit") for w in works],
    [ratio(one[works[0]], *keras)],
    [ratio(one[works[2]], *keras)],
    [time(one[works[0]], *fft) / time(one[works[0]], "floor: rfft")],
    [ratio(both[w], "torch.stft") for w in works],
    [ratio(one[w], *keras) for w in steps],
    [time(one[w], *layer) / time(one[w], "floor: matmul") for w in forwards],
    [ratio(both["W8: dataset.map over files"], "tf.signal")],
  ]
  targets = [2.2, 1.8, 5, 15, 1.3, 1.3, 1.4, 1.15, 1.3]
  page = (ROOT / "docs/performance.md").read_text()
  table = page.partition("|---|---|---|---|---|\n")[2].splitlines()
  for values, target, line in zip(rows, targets, table, strict=False):
    cell = line.split("|")[4]
    said = [float(value) for value in re.findall(r"[\d.]+", cell)]
    np.testing.assert_allclose(
      said, values, atol=0.051 if target > 9 else 0.0051
    )
    at_most = "at most" in line
    met = [value <= target if at_most else value >= target for value in said]
    assert met == ["**" in part for part in cell.split(",")], line
