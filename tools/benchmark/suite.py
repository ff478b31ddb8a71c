"""The benchmark: tfspec and its peers side by side.

All work is done in worker processes, one for TensorFlow and one for each peer
outside it, whose threads would get into each other's way. They take turns, run
by run and round by round, each round in another order, so that whatever slows
the machine down for a while slows all of them down.
"""

import contextlib
import dataclasses
import datetime
import json
import os
import pathlib
import platform
import random
import shutil
import subprocess
import sys
import tempfile
import time
from typing import Any, TextIO

from tfspec.storage import files as files_lib
from tfspec.view import plot
from tools.benchmark import peers as peers_lib
from tools.benchmark import report

# Peers in the TensorFlow process; the others have a process each.
_TENSORFLOW_PEERS = ("keras", "tf.signal")
PEERS = (*_TENSORFLOW_PEERS, *peers_lib.PEERS)

_NO_CORPUS = (
  "it needs a corpus: run `bash tools/fetch_corpus.sh corpus`, and give "
  "--corpus corpus"
)

# Growth: clip lengths in seconds, batches, and the most audio of one point.
_LENGTHS = (0.1, 1, 10, 60, 600, 3600)
_BATCHES = (1, 4, 16, 64, 256)
_MOST_SECONDS = 7200


@dataclasses.dataclass(frozen=True)
class Work:
  """What is timed. Lengths are in samples.

  Attributes:
    key: What the option `--works` calls it.
    title: What it is.
    kind: "spectrogram", "step" (of training), "forward", "dataset", or a front
      end: "log_mel", "whisper" or "mfcc".
    frame_length: As in the config, like all below.
    frame_step: Samples between the starts of two frames.
    fft_length: Length of the transform.
    batch: Clips at a time.
    seconds: Length of a clip, at 16 kHz.
    mode: "log" or "stft", or of a "dataset" also "log_mel".
  """

  key: str
  title: str
  kind: str = "spectrogram"
  frame_length: int = 400
  frame_step: int = 160
  fft_length: int = 512
  batch: int = 8
  seconds: float = 10.0
  mode: str = "log"


_SHORT = {"frame_length": 256, "frame_step": 128}
WORKS = (
  Work("W1", "speech"),
  Work("W2", "speech, short frames", **_SHORT),
  Work("W3", "music", "spectrogram", 2048, 512, 2048),
  Work("W4", "speech, real and imaginary parts", mode="stft"),
  Work("W5", "latency", batch=1, seconds=1.0),
  Work("W6", "a long clip", batch=1, seconds=3600.0),
  Work("W7", "training step", "step"),
  Work("W7", "training step, short frames", "step", **_SHORT),
  Work("W7", "forward pass of the trainable layer", "forward"),
  Work("W7", "forward pass, short frames", "forward", **_SHORT),
  Work("W8", "dataset.map over files", "dataset", 256, 80, 256),
  Work("W8", "the same, 40 mel bands", "dataset", 256, 80, 256, mode="log_mel"),
  Work("W10", "log-mel, 80 bands", "log_mel"),
  Work("W11", "front end of Whisper", "whisper", 400, 160, 400, 1, 30.0),
  Work("W12", "13 MFCCs with deltas", "mfcc"),
)
KEYS = tuple(dict.fromkeys([*(work.key for work in WORKS), "growth"]))


def benchmark(
  output: files_lib.Path,
  works: list[str] | None = None,
  peers: list[str] | None = None,
  threads: str = "all",
  rounds: int = 15,
  peer_python: str | None = None,
  corpus: str | None = None,
  scale: float = 1.0,
  progress: TextIO | None = None,
) -> dict[str, Any]:
  """Runs the benchmark and writes its results.

  Args:
    output: Folder for `benchmark.json`, `benchmark.md`, `benchmark.png` and,
      of the work "growth", `growth.png`.
    works: Some of `KEYS`. None: all.
    peers: Some of `PEERS`. None: all.
    threads: "all", or a number: the threads that each may use.
    rounds: How often each run is timed; the slow works a third as often.
    peer_python: The Python that has the peers outside TensorFlow. None: this.
    corpus: Folder of 16 bit WAV files, for the work W8.
    scale: Shortens the clips, and takes a part of the corpus, for trials.
    progress: Where to tell how far it is.

  Returns:
    What `benchmark.json` holds.

  Raises:
    ValueError: If an argument breaks a rule.
    ImportError: If matplotlib is not installed.
  """
  keys = _some("works", works, KEYS)
  peers = _some("peers", peers, PEERS)
  cores = _cores()
  if threads != "all" and not (threads.isdecimal() and int(threads) >= 1):
    raise ValueError(
      f"threads must be all or a number of at least 1. Got: threads={threads}."
    )
  if rounds < 1:
    raise ValueError(f"rounds must be at least 1. Got: rounds={rounds}.")
  if peer_python is not None and shutil.which(peer_python) is None:
    raise ValueError(
      f"peer_python must be a Python. Got: peer_python={peer_python}."
    )
  files = _files(corpus, scale) if corpus else []
  plot.new_figure((1, 1))  # If it cannot draw, better now than in an hour.
  folder = files_lib.as_path(output)
  if not files_lib.is_folder(folder):
    files_lib.make_folder(folder)

  common = {
    "threads": cores if threads == "all" else int(threads),
    "floor": 1e-6,  # Of the magnitude.
    "peers": peers,
    "files": files,
  }
  workers = [_tensorflow(common["threads"])]
  for peer in peers:
    if peer not in _TENSORFLOW_PEERS:
      program = [peer_python or sys.executable, peers_lib.__file__, peer]
      workers.append(_Worker(program, peer, common["threads"]))
  try:
    results = {
      "date": datetime.datetime.now(datetime.timezone.utc).isoformat(),
      "command": sys.argv,
      "machine": {
        "cpu": _cpu(),
        "cores": cores,
        "system": platform.platform(),
        "python": platform.python_version(),
      },
      "threads": common["threads"],
      "rounds": rounds,
      "scale": scale,
      "peers": peers,
      "versions": {worker.name: worker.ask() for worker in workers},
      "works": [],
      "growth": [],
    }
    for work in WORKS:
      if work.key in keys:
        _say(progress, f"{work.key} {work.title} ...")
        request = _request(work, common, scale)
        result = _result(request, workers, rounds, bool(files))
        results["works"].append(result)
        report.write(results, folder)  # Nothing done is lost.
    if "growth" in keys:
      results["growth"] = _growth(workers[0], common, scale, progress)
  finally:
    for worker in workers:
      worker.close()
  report.write(results, folder)
  return results


def _result(
  request: dict, workers: list["_Worker"], rounds: int, has_corpus: bool
) -> dict[str, Any]:
  """Measures a work in full."""
  kind = request["kind"]
  result = {key: value for key, value in request.items() if key != "files"}
  result["num_files"] = len(request["files"])
  if kind == "dataset" and not has_corpus:
    return {**result, "absent": _NO_CORPUS, "runs": []}
  is_long = request["seconds"] >= 600
  if is_long or kind == "dataset":
    rounds = min(rounds, max(3, rounds // 3))
  # Only TensorFlow's runs train layers and read datasets.
  alone = kind in ("step", "forward", "dataset")
  takers = workers[:1] if alone else workers
  runs = _measure(request, takers, rounds)
  if is_long:
    _add_growth_of_the_long(runs, request, takers, rounds)
  report.summarize(runs)
  return {**result, "runs": runs}


def _measure(
  request: dict,
  workers: list["_Worker"],
  rounds: int,
  names: list[str] | None = None,
) -> list[dict]:
  """Times the runs of a work in turns."""
  runs, takers = [], []
  for worker in workers:
    for name, facts in worker.ask(prepare=request, runs=names).items():
      runs.append({"name": name, **facts, "seconds": []})
      takers.append(worker)
  turns = list(zip(runs, takers, strict=True))
  shuffler = random.Random(0)
  for _ in range(rounds):
    shuffler.shuffle(turns)  # A run may leave something behind for the next.
    for run, worker in turns:
      if "absent" not in run:
        time.sleep(0.005)  # Threads of the last one may still wait for work.
        answer = worker.ask(time=run["name"])
        if "seconds" in answer:
          run["seconds"].append(answer["seconds"])
        else:
          run["absent"] = answer[worker.name]["absent"]
  return runs


def _add_growth_of_the_long(
  runs: list[dict], request: dict, workers: list["_Worker"], rounds: int
) -> None:
  """Adds peak memory, and time against a sixth of the length."""
  sixth_samples = max(request["samples"] // 6, request["frame_length"])
  short = {**request, "samples": sixth_samples}
  sixths = {run["name"]: run for run in _measure(short, workers, rounds)}
  owners = {run["name"]: workers[0] for run in runs}
  owners |= {worker.name: worker for worker in workers[1:]}
  frames = (request["samples"] - request["frame_length"]) // request[
    "frame_step"
  ] + 1
  output_bytes = 4 * frames * (request["fft_length"] // 2 + 1)
  # What first calls load for good, such as XLA, is not the clip's.
  warm_up = {**request, "samples": min(request["samples"], 160000)}
  for run in runs:
    name = run["name"]
    sixth = sixths.get(name, {})
    if "absent" in run or "absent" in sixth:
      continue
    report.summarize([sixth])
    report.summarize([run])
    run["times_of_a_sixth"] = run["median"] / sixth["median"]
    if not name.startswith("floor"):
      with owners[name].fresh() as worker:
        worker.ask(prepare=warm_up, runs=[name])
        answer = worker.ask(memory=request, runs=[name]).get(name, {})
      if answer.get("bytes") is not None:
        run["temporary_bytes"] = max(0, answer["bytes"] - output_bytes)


def _growth(
  worker: "_Worker", common: dict, scale: float, progress: TextIO | None
) -> list[dict]:
  """Times clips of many lengths in batches of many sizes."""
  names = [
    f"{side}, {how}"
    for side in ("tfspec fft", "tf.signal")
    for how in ("graph", "jit")
  ]
  points = []
  for seconds in _LENGTHS:
    for batch in _BATCHES:
      if seconds * batch <= _MOST_SECONDS:
        _say(progress, f"growth: {batch} x {seconds:g} s ...")
        work = Work("growth", "", batch=batch, seconds=float(seconds))
        request = _request(work, {**common, "peers": ["tf.signal"]}, scale)
        runs = _measure(request, [worker], 3, names)
        report.summarize(runs)
        seconds_now = request["samples"] / 16000
        points.append({"seconds": seconds_now, "batch": batch, "runs": runs})
  return points


def _request(work: Work, common: dict, scale: float) -> dict[str, Any]:
  samples = round(work.seconds * scale * 16000)
  least = work.frame_length + 3 * work.frame_step
  return {
    **dataclasses.asdict(work),
    **common,
    "samples": max(samples, least),
  }


class _Worker:
  """A process that answers; see `benchmark_peers.serve`."""

  def __init__(self, program: list[str], name: str, threads: int) -> None:
    self.name = name
    self._arguments = (program, name, threads)
    self._errors = tempfile.TemporaryFile("w+")
    self._start()

  def _start(self) -> None:
    program, _, threads = self._arguments
    root = str(pathlib.Path(__file__).resolve().parents[2])
    paths = [root, os.environ.get("PYTHONPATH", "")]
    environment = {
      "PYTHONPATH": os.pathsep.join(path for path in paths if path),
      "CUDA_VISIBLE_DEVICES": "-1",
      "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    for library in ("OMP", "MKL", "OPENBLAS", "NUMBA"):
      environment[f"{library}_NUM_THREADS"] = str(threads)
    self._process = subprocess.Popen(
      program,
      env={**os.environ, **environment},
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      stderr=self._errors,
      text=True,
    )

  def ask(self, **request: Any) -> dict[str, Any]:
    """Returns the answer: that it is absent, if the process ended."""
    if "prepare" in request and self._process.poll() is not None:
      self._end()
      self._start()  # What was too much once need not be so again.
    try:
      self._process.stdin.write(json.dumps(request) + "\n")
      self._process.stdin.flush()
      line = self._process.stdout.readline()
    except BrokenPipeError:
      line = ""
    if line:
      return json.loads(line)
    self._errors.seek(0)
    last = (self._errors.read().splitlines() or ["no message"])[-1]
    reason = f"its process ended with {self._process.wait()}: {last}"
    return {self.name: {"absent": reason}}

  def fresh(self) -> "_Worker":
    """Returns another worker of the same kind."""
    return _Worker(*self._arguments)

  def close(self) -> None:
    """Ends the process."""
    self._end()
    self._errors.close()

  def _end(self) -> None:
    self._process.kill()
    self._process.wait()
    self._process.stdout.close()
    with contextlib.suppress(BrokenPipeError):
      self._process.stdin.close()

  def __enter__(self) -> "_Worker":
    return self

  def __exit__(self, *error: object) -> None:
    self.close()


def _tensorflow(threads: int) -> _Worker:
  program = [sys.executable, "-m", "tools.benchmark.runs"]
  return _Worker(program, "TensorFlow", threads)


def _some(field: str, given: list[str] | None, known: tuple) -> list[str]:
  for name in given or ():
    if name not in known:
      raise ValueError(
        f"{field} must be among {', '.join(known)}. Got: {field}={name}."
      )
  return list(given if given is not None else known)


def _files(corpus: str, scale: float) -> list[str]:
  files = sorted(map(str, pathlib.Path(corpus).rglob("*.wav")))
  if not files:
    raise ValueError(
      f"corpus must be a folder that holds WAV files. Got: corpus={corpus}."
    )
  return files[: max(2, round(scale * len(files)))]


def _cores() -> int:
  if hasattr(os, "sched_getaffinity"):
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1


def _cpu() -> str:
  try:
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
  except OSError:
    return platform.processor()
  names = [line.split(":", 1)[1] for line in lines if "model name" in line]
  return names[0].strip() if names else platform.processor()


def _say(progress: TextIO | None, text: str) -> None:
  if progress is not None:
    print(text, file=progress, flush=True)
