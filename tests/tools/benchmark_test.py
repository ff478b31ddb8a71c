"""Tests of the benchmark, none of which is about how fast anything is."""

import contextlib
import json
import sys

import numpy as np
import pytest
from matplotlib import image

from tests.paths import SPEECH
from tfspec.contract import oracle
from tools.benchmark import peers, report, suite

_WORK = {
  "kind": "spectrogram",
  "frame_length": 50,
  "frame_step": 20,
  "fft_length": 64,
  "batch": 2,
  "samples": 200,
  "floor": 1e-6,
}


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
  """A short run in which the peer librosa cannot be imported."""
  folder = tmp_path_factory.mktemp("benchmark")
  stub = folder / "stubs" / "librosa.py"
  stub.parent.mkdir()
  stub.write_text("raise ImportError('librosa is not for this test')")
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv("PYTHONPATH", str(stub.parent))
    results = suite.benchmark(
      folder / "results",
      works=["W5", "W8", "W10", "W11", "W12"],
      peers=["tf.signal", "scipy", "librosa"],
      threads="1",
      rounds=2,
      corpus=str(SPEECH),
      scale=0.1,
    )
  return results, folder / "results"


def _rows(text):
  """Returns the first cells of the tables' rows, and whole rows by them."""
  rows = [line for line in text.splitlines() if line.startswith("| ")]
  return {row.split(" | ")[0].removeprefix("| "): row for row in rows}


@pytest.mark.slow
def test_table_is_complete(trial):
  rows = _rows((trial[1] / "benchmark.md").read_text())
  for name in (
    "tfspec fft, graph",
    "tfspec fft, jit",
    "tfspec kernel, graph",
    "tfspec kernel, jit",
    "tf.signal, graph",
    "tf.signal, jit",
    "floor: rfft",
    "floor: matmul",
    "scipy",
    "tfspec",
    "tf.signal",
    "floor: read and decode",
    "floor: read, decode, frames",
    "floor: read, decode, rfft",
    "floor: read, decode, rfft, log",
    "tfspec, own reader",
    "floor: own reader",
  ):
    assert "absent" not in rows[name], rows[name]
    assert float(rows[name].split(" | ")[1]) > 0
  assert not any(name.startswith("keras") for name in rows)  # Not asked for.


@pytest.mark.slow
def test_absent_peer_is_named_with_its_reason(trial):
  row = _rows((trial[1] / "benchmark.md").read_text())["librosa"]
  assert "absent: ImportError: librosa is not for this test" in row


@pytest.mark.slow
def test_json_is_what_was_returned(trial):
  results, folder = trial
  stored = json.loads((folder / "benchmark.json").read_text())
  assert stored == results
  assert stored["threads"] == 1
  assert stored["machine"]["cores"] >= 1
  assert stored["versions"]["TensorFlow"]["tensorflow"]
  keys = [work["key"] for work in stored["works"]]
  assert keys == ["W5", "W8", "W8", "W10", "W11", "W12"]
  for work in stored["works"]:
    for run in work["runs"]:
      assert "absent" in run or len(run["seconds"]) == 2
      assert run.get("error") is None or run["error"] < 1e-3


@pytest.mark.slow
def test_chart_is_a_picture(trial):
  picture = image.imread(trial[1] / "benchmark.png")
  assert picture.ndim == 3 and len(np.unique(picture)) > 10


def test_chart_has_the_fastest_run_of_each_library(monkeypatch):
  sheets = []
  monkeypatch.setattr(
    report.plot, "save", lambda sheet, _: sheets.append(sheet)
  )
  runs = [
    {"name": "floor: rfft", "median": 0.001},
    {"name": "keras, graph", "median": 0.03},
    {"name": "keras, jit", "median": 0.02},
    {"name": "librosa", "absent": "it ended"},
    {"name": "nnAudio", "median": 0.9},
    {"name": "tfspec fft, jit", "median": 0.01},
    {"name": "tfspec kernel, jit", "median": 0.04},
  ]
  work = {
    **_WORK,
    "kind": "step",
    "mode": "log",
    "title": "speech",
    "runs": runs,
  }
  works = [{**work, "key": key} for key in ("W1", "W2", "W7", "W7")]
  report._draw_bars({"works": works}, "unused")
  (sheet,) = sheets
  drawn = [axis for axis in sheet.axes if axis.get_title()]
  assert [axis.get_title()[:3] for axis in drawn] == ["W1:", "W7:"]
  labels = [label.get_text() for label in drawn[0].get_yticklabels()]
  assert labels == ["tfspec", "keras", "nnAudio"]
  assert [bar.get_width() for bar in drawn[0].patches] == [10, 20, 70]
  texts = [text.get_text() for text in drawn[0].texts]
  assert texts == ["10 ms", "20 ms, 2 x", "900 ms, 90 x, cut off"]


@pytest.mark.slow
def test_long_clips_training_and_growth(tmp_path, monkeypatch):
  monkeypatch.setattr(suite, "_LENGTHS", (0.1, 1))
  monkeypatch.setattr(suite, "_BATCHES", (1, 4))
  monkeypatch.setattr(suite, "_MOST_SECONDS", 1)
  # The process of before, as a new one imports TensorFlow for each run.
  monkeypatch.setattr(
    suite._Worker, "fresh", lambda self: contextlib.nullcontext(self)
  )
  results = suite.benchmark(
    tmp_path,
    works=["W6", "W7", "W8", "growth"],
    peers=["keras"],
    rounds=1,
    scale=0.001,
  )
  long, *training, corpus, of_bands = results["works"]
  assert (corpus["mode"], of_bands["mode"]) == ("log", "log_mel")
  for run in long["runs"]:
    assert run["times_of_a_sixth"] > 0
    if not run["name"].startswith("floor") and sys.platform == "linux":
      assert run["temporary_bytes"] >= 0
  assert [work["kind"] for work in training] == [
    *(["step"] * 2),
    *(["forward"] * 2),
  ]
  for work in training:
    assert len(work["runs"]) == 5
    assert all("ratio" in run for run in work["runs"]), work["runs"]
  assert "tools/fetch_corpus.sh" in corpus["absent"]
  sizes = [(point["seconds"], point["batch"]) for point in results["growth"]]
  assert len(sizes) == 3
  image.imread(tmp_path / "growth.png")
  text = (tmp_path / "benchmark.md").read_text()
  assert "temporary MB" in text and "tools/fetch_corpus.sh" in text


def test_ratios_are_to_the_best_of_tfspec():
  runs = [
    {"name": "tfspec fft, graph", "seconds": [5.0, 4.0, 9.0]},
    {"name": "tfspec fft, jit", "seconds": [2.0, 1.0, 3.0, 9.0, 2.0]},
    {"name": "tfspec kernel, jit", "seconds": [1.0, 1.0, 1.0]},
    {"name": "keras, jit", "seconds": [7.0]},
    {"name": "librosa", "seconds": [0.1], "absent": "it ended"},
  ]
  report.summarize(runs)
  assert [run.get("median") for run in runs] == [5.0, 2.0, 1.0, 7.0, None]
  assert [run.get("ratio") for run in runs] == [2.5, 1.0, 0.5, 3.5, None]
  assert runs[1]["quartiles"] == [2.0, 3.0]
  assert runs[3]["quartiles"] == [7.0, 7.0]


def test_no_ratio_without_a_run_of_tfspec():
  runs = [
    {"name": "tfspec fft, jit", "absent": "it ended", "seconds": []},
    {"name": "tfspec, own reader", "seconds": [1.0]},
  ]
  report.summarize(runs)
  assert "ratio" not in runs[1]


@pytest.mark.parametrize("mode", ["log", "stft"])
def test_expected_values_are_those_of_the_oracle(mode):
  work = {**_WORK, "mode": mode}
  signals = peers.noise(work)
  window = oracle.window("hann", 50, True, None)
  for clip, values in zip(signals, peers.expected(signals, work), strict=True):
    spectrum = oracle.stft(clip, window, 20, 64, "valid")
    expected = oracle.mode(spectrum, mode, 64, 1e-6)
    np.testing.assert_allclose(values, expected, rtol=1e-10, atol=1e-10)


def test_scipy_gives_the_expected_values():
  (make,) = peers.PEERS["scipy"][0]({**_WORK, "mode": "log"}).values()
  assert peers._error(make()) < 1e-5


@pytest.mark.parametrize("found", [np.ones([3, 4]), np.ones([3, 5]) * 1.1])
def test_other_values_are_refused(found):
  run = peers.Run(lambda: found, np.asarray, np.ones([3, 5]))
  with pytest.raises(
    ValueError, match=r"shape \(3, 4\)|relative error 1.0e-01"
  ):
    peers._error(run)


def test_fresh_worker_is_another_process():
  program = [sys.executable, "-c", "input(); print('{}')"]
  with suite._Worker(program, "scipy", 1) as worker, worker.fresh() as other:
    assert worker._process.pid != other._process.pid
    assert other.ask() == worker.ask() == {}


def test_worker_that_ends_is_absent_and_starts_anew():
  program = [sys.executable, "-c", "import sys; input(); sys.exit('Enough.')"]
  with suite._Worker(program, "scipy", 1) as worker:
    for _ in range(2):
      answer = worker.ask(prepare={}, runs=None)
      reason = "its process ended with 1: Enough."
      assert answer == {"scipy": {"absent": reason}}


@pytest.mark.parametrize(
  ("arguments", "told"),
  [
    ({"works": ["W1", "W9"]}, "works must be among W1, .*, growth. .*=W9."),
    ({"peers": ["matlab"]}, "Got: peers=matlab."),
    ({"threads": "0"}, "Got: threads=0."),
    ({"rounds": 0}, "Got: rounds=0."),
    ({"peer_python": "no/python"}, "must be a Python. Got: .*=no/python."),
    ({"corpus": "none"}, "folder that holds WAV files. Got: corpus=none."),
  ],
  ids=str,
)
def test_wrong_arguments(arguments, told, tmp_path):
  with pytest.raises((OSError, ValueError), match=told):
    suite.benchmark(tmp_path / "new", **arguments)
  assert not (tmp_path / "new").exists()
