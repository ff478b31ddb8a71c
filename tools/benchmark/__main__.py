"""Times tfspec and its peers side by side: `python -m tools.benchmark --help`.

The `tfspec` command of the same name times one config; this is the judge of the
engines.
"""

import argparse
import sys

from tools.benchmark import report, suite


def main() -> None:
  """Runs the benchmark."""
  command = argparse.ArgumentParser(
    prog="python -m tools.benchmark",
    description="tfspec and its peers side by side, timed.",
  )
  command.add_argument(
    "--output", required=True, help="folder for the tables and charts"
  )
  command.add_argument(
    "--works",
    type=_names,
    help=f"some of {','.join(suite.KEYS)} (default: all)",
  )
  command.add_argument(
    "--peers",
    type=_names,
    help=f"some of {','.join(suite.PEERS)} (default: all)",
  )
  command.add_argument(
    "--threads",
    default="all",
    help="all or a number, for each of them (default: all)",
  )
  command.add_argument(
    "--rounds",
    type=int,
    default=15,
    help="how often each is timed (default: 15)",
  )
  command.add_argument(
    "--peer_python",
    help="Python that has the peers (tools/benchmark_peers.txt); unset: this",
  )
  command.add_argument(
    "--corpus", help="folder of tools/fetch_corpus.sh, for W8"
  )
  command.add_argument(
    "--scale",
    type=float,
    default=1.0,
    help="below 1, a quick trial with shorter clips (default: 1.0)",
  )
  arguments = command.parse_args()
  results = suite.benchmark(
    arguments.output,
    arguments.works,
    arguments.peers,
    arguments.threads,
    arguments.rounds,
    arguments.peer_python,
    arguments.corpus,
    arguments.scale,
    progress=sys.stderr,
  )
  print(report.markdown(results))
  print(f"wrote {arguments.output}")


def _names(text: str) -> list[str]:
  """Reads names with commas between them."""
  return text.split(",")


if __name__ == "__main__":
  main()
