"""The results of the benchmark, as numbers, as Markdown and as charts."""

import json
import os
import statistics
from typing import Any

from tfspec.storage import files
from tfspec.view import plot

# A work's ratios are to the fastest run whose name starts with one of these,
# or is "tfspec".
_BASES = ("tfspec fft", "tfspec layer")

_COLOURS = {"tfspec": "tab:orange", "floor": "lightgrey"}


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
  lengths = (work["frame_length"], work["frame_step"], work["fft_length"])
  if work["kind"] == "dataset":
    size = f"{work['num_files']} files"
  else:
    size = f"{work['batch']} x {work['samples'] / 16000:g} s at 16 kHz"
  lines = [
    f"### {work['key']}: {work['title']}",
    "",
    f"{size}, {'/'.join(map(str, lengths))}, mode {work['mode']}.",
    "",
  ]
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
  works = [work for work in results["works"] if work["runs"]]
  columns = min(2, len(works))
  rows = -(-len(works) // columns)
  sheet = plot.new_figure(figsize=(7 * columns, 3.8 * rows))
  axes = sheet.subplots(rows, columns, squeeze=False).ravel()
  for axis in axes[len(works) :]:
    axis.set_axis_off()
  for axis, work in zip(axes, works, strict=False):
    runs = work["runs"]
    middles = [1e3 * run.get("median", 0) for run in runs]
    ends = [[1e3 * q for q in run.get("quartiles", (0, 0))] for run in runs]
    errors = [
      [middle - end[0] for middle, end in zip(middles, ends, strict=True)],
      [end[1] - middle for middle, end in zip(middles, ends, strict=True)],
    ]
    colours = [
      _COLOURS.get(run["name"].split(" ")[0].rstrip(",:"), "tab:blue")
      for run in runs
    ]
    axis.barh(range(len(runs)), middles, xerr=errors, color=colours)
    for i, run in enumerate(runs):
      text = "absent" if "absent" in run else f"{run.get('ratio', 0):.2f}"
      axis.annotate(
        text, (ends[i][1], i), (4, 0), textcoords="offset points", va="center"
      )
    axis.set_yticks(range(len(runs)), [run["name"] for run in runs])
    axis.invert_yaxis()
    axis.margins(x=0.12)
    axis.set_xlim(left=0)
    axis.set_title(f"{work['key']}: {work['title']}")
    axis.set_xlabel("milliseconds; the numbers are ratios to tfspec")
  plot.save(sheet, path)


def _draw_growth(points: list[dict], path: str) -> None:
  sheet = plot.new_figure(figsize=(12, 5))
  for axis, how in zip(sheet.subplots(1, 2), ("graph", "jit"), strict=True):
    batches = sorted({point["batch"] for point in points})
    for i, batch in enumerate(batches):
      for side, style in (("tfspec fft", "-o"), ("tf.signal", "--x")):
        line = [
          (point["seconds"], _cost(point, run))
          for point in points
          for run in point["runs"]
          if point["batch"] == batch
          and run["name"] == f"{side}, {how}"
          and "median" in run
        ]
        label = f"{side}, batch {batch}"
        axis.loglog(*zip(*line, strict=True), style, color=f"C{i}", label=label)
    axis.set_title(f"400/160/512, mode log, {how}")
    axis.set_xlabel("length of a clip (seconds)")
    axis.set_ylabel("microseconds per second of audio")
    axis.grid(True, alpha=0.3)
  axis.legend(fontsize=7, ncols=2)
  plot.save(sheet, path)
