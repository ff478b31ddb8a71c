"""The results of the benchmark, as numbers, as Markdown and as charts."""

import json
import os
import statistics
from typing import Any

from tfspec.storage import files
from tfspec.view import plot
from tools.benchmark.peers import FRONT_ENDS

# A work's ratios are to the fastest run whose name starts with one of these,
# or is "tfspec".
_BASES = ("tfspec fft", "tfspec layer")

# The works that the chart shows: speech, music, latency and training.
_ASKED = ("W1", "W3", "W5", "W7")
# Bars of more times the length of tfspec's are cut off.
_LONGEST = 7


def summarize(runs: list[dict]) -> None:
  """Adds "median", "quartiles" and "ratio" to the runs of a work.

  Args:
    runs: Each with its "name" and either "seconds" or "absent". The ratio is
      that of the median to the fastest of tfspec's: above 1, tfspec is faster.
  """
  timed = [run for run in runs if "absent" not in run]
  for run in timed:
    seconds = run["seconds"]
    run["median"] = statistics.median(seconds)
    low = high = seconds[0]
    if len(seconds) > 1:
      low, _, high = statistics.quantiles(seconds, method="inclusive")
    run["quartiles"] = [low, high]
  bases = [run["median"] for run in timed if is_base(run["name"])]
  if bases:
    for run in timed:
      run["ratio"] = run["median"] / min(bases)


def is_base(name: str) -> bool:
  """Returns whether a run is one of those that others are compared with."""
  return name == "tfspec" or name.startswith(_BASES)


def write(results: dict[str, Any], folder: str) -> None:
  """Writes all files of the results into a folder."""
  for name, text in (
    ("benchmark.json", json.dumps(results, indent=1) + "\n"),
    ("benchmark.md", markdown(results)),
  ):
    files.write_bytes(os.path.join(folder, name), text.encode())
  if any(work["runs"] for work in results["works"]):
    _draw_bars(results, os.path.join(folder, "benchmark.png"))
  if results["growth"]:
    _draw_growth(results["growth"], os.path.join(folder, "growth.png"))


def markdown(results: dict[str, Any]) -> str:
  """Returns the tables of the results."""
  machine = results["machine"]
  versions = {
    package: version or "absent"
    for found in results["versions"].values()
    for package, version in found.items()
    if not isinstance(version, dict)
  }
  lines = [
    f"{machine['cpu']}, {machine['cores']} cores; {results['threads']} "
    f"thread(s) for each; Python {machine['python']}, "
    + ", ".join(f"{name} {version}" for name, version in versions.items())
    + f"; {results['date'][:10]}.",
    "",
    "The ratio is that of the median to tfspec's best: above 1, tfspec is "
    "faster. The error is relative to a float64 transform. All compute a "
    "periodic hann window, unscaled, in float32.",
  ]
  if results["scale"] != 1:
    lines += ["", f"A trial: the clips are scaled by {results['scale']:g}."]
  for work in results["works"]:
    lines += ["", *_table(work)]
  if results["growth"]:
    lines += ["", *_growth_table(results["growth"])]
  return "\n".join(lines) + "\n"


def _table(work: dict) -> list[str]:
  lines = [f"### {_title(work)}", "", f"{_conditions(work)}.", ""]
  if "absent" in work:
    return [*lines, f"Absent: {work['absent']}."]
  names = ["run", "median ms", "quartiles ms", "ratio", "error"]
  long = work["seconds"] >= 600
  if long:
    names += ["temporary MB", "time / time of a sixth"]
  lines += ["| " + " | ".join(names) + " |", "|---" * len(names) + "|"]
  for run in work["runs"]:
    if "absent" in run:
      row = [run["name"], f"absent: {run['absent']}".replace("|", "/")]
    else:
      low, high = run["quartiles"]
      row = [
        run["name"],
        _ms(run["median"]),
        f"{_ms(low)} - {_ms(high)}",
        f"{run['ratio']:.2f}" if "ratio" in run else "",
        f"{run['error']:.0e}" if run["error"] is not None else "",
      ]
      if long:
        size = run.get("temporary_bytes")
        times = run.get("times_of_a_sixth")
        row.append("" if size is None else f"{size / 1e6:.0f}")
        row.append("" if times is None else f"{times:.2f}")
    row += [""] * (len(names) - len(row))
    lines.append("| " + " | ".join(row) + " |")
  return lines


def _title(work: dict) -> str:
  return f"{work['key']}: {work['title']}"


def _conditions(work: dict) -> str:
  lengths = (work["frame_length"], work["frame_step"], work["fft_length"])
  if work["kind"] == "dataset":
    size = f"{work['num_files']} files"
  else:
    size = f"{work['batch']} x {work['samples'] / 16000:g} s at 16 kHz"
  what = work["kind"] if work["kind"] in FRONT_ENDS else f"mode {work['mode']}"
  return f"{size}, {'/'.join(map(str, lengths))}, {what}"


def _growth_table(points: list[dict]) -> list[str]:
  names = [run["name"] for run in points[0]["runs"]]
  lines = [
    "### growth: microseconds per second of audio",
    "",
    "400/160/512, mode log.",
    "",
    "| clip | batch | " + " | ".join(names) + " |",
    "|---" * (len(names) + 2) + "|",
  ]
  for point in points:
    cells = [
      f"{_cost(point, run):.1f}" if "median" in run else "absent"
      for run in point["runs"]
    ]
    row = [f"{point['seconds']:g} s", str(point["batch"]), *cells]
    lines.append("| " + " | ".join(row) + " |")
  return lines


def _cost(point: dict, run: dict) -> float:
  return 1e6 * run["median"] / point["seconds"] / point["batch"]


def _ms(seconds: float) -> str:
  value = 1e3 * seconds
  return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _draw_bars(results: dict, path: str) -> None:
  """Draws the works that most people ask about: a bar for each library."""
  works = {work["key"]: work for work in reversed(results["works"])}
  works = [works[key] for key in _ASKED if works.get(key, {}).get("runs")]
  works = works or [work for work in results["works"] if work["runs"]]
  columns = min(2, len(works))
  rows = -(-len(works) // columns)
  sheet = plot.new_figure(figsize=(6.5 * columns, 3.6 * rows))
  axes = sheet.subplots(rows, columns, squeeze=False).ravel()
  for axis in axes[len(works) :]:
    axis.set_axis_off()
  for axis, work in zip(axes, works, strict=False):
    _draw_work(axis, work)
  plot.save(sheet, path)


def _draw_work(axis: Any, work: dict) -> None:
  """Draws the fastest run of each library, the fastest library first."""
  fastest: dict[str, float] = {}
  for run in work["runs"]:
    library = run["name"].split(",")[0]
    if "median" in run and not library.startswith("floor"):
      library = "tfspec" if library.startswith("tfspec") else library
      time = 1e3 * run["median"]
      fastest[library] = min(time, fastest.get(library, time))
  names = sorted(fastest, key=fastest.get)
  own = fastest.get("tfspec", fastest[names[0]])
  end = min(fastest[names[-1]], _LONGEST * own)
  for i, name in enumerate(names):
    time = fastest[name]
    colour = "tab:orange" if name == "tfspec" else "tab:blue"
    axis.barh(i, min(time, end), color=colour)
    text = f"{time:.3g} ms"
    text += "" if name == "tfspec" else f", {time / own:.2g} x"
    text += ", cut off" if time > end else ""
    inside = time > 0.7 * end
    axis.annotate(
      text,
      (min(time, end), i),
      (-4 if inside else 4, 0),
      textcoords="offset points",
      va="center",
      ha="right" if inside else "left",
      color="white" if inside else "black",
    )
  axis.set_yticks(range(len(names)), names)
  axis.set_ylim(max(len(names), 5) - 0.5, -0.5)
  axis.set_xlim(0, 1.02 * end)
  axis.set_title(f"{_title(work)}\n{_conditions(work)}", fontsize=10)
  axis.set_xlabel("milliseconds, fewer is better; x: times that of tfspec")


def _draw_growth(points: list[dict], path: str) -> None:
  """Draws single clips and one batch: what a second of audio costs."""
  sheet = plot.new_figure(figsize=(12, 4.5))
  batches = sorted({point["batch"] for point in points})
  batches = [batches[0], batches[len(batches) // 2]]
  axes = sheet.subplots(1, 2, sharey=True)
  for axis, how, title in zip(
    axes, ("graph", "jit"), ("in a graph", "compiled by XLA"), strict=True
  ):
    for library, colour in (
      ("tfspec fft", "tab:orange"),
      ("tf.signal", "tab:blue"),
    ):
      for batch, style in zip(batches, ("-o", "--s"), strict=True):
        line = [
          (point["seconds"], _cost(point, run))
          for point in points
          for run in point["runs"]
          if point["batch"] == batch
          and run["name"] == f"{library}, {how}"
          and "median" in run
        ]
        if line:
          label = f"{library.split(' ')[0]}, {batch} at a time"
          axis.loglog(
            *zip(*line, strict=True), style, color=colour, label=label
          )
    axis.set_title(title)
    axis.set_xlabel("length of a clip (seconds)")
    axis.grid(True, which="both", alpha=0.2)
    axis.xaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_major_formatter("{x:g}")
  axes[0].set_ylabel("microseconds per second of audio")
  axes[0].legend(fontsize=9)
  plot.save(sheet, path)
