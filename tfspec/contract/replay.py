"""Routes held against golden vectors."""

import dataclasses
from collections.abc import Callable, Iterable

import numpy as np

from tfspec import errors
from tfspec.config import SpectrogramConfig
from tfspec.contract import bounds
from tfspec.contract.vectors import GoldenVector

# For clips of one length a route yields the result of each, any number of
# times, in the config's layout for a mono clip.
Route = Callable[
  [list[GoldenVector]], Iterable[tuple[GoldenVector, np.ndarray]]
]


@dataclasses.dataclass(frozen=True)
class RouteResult:
  """One route, at the value that is off by most relative to its bound.

  Attributes:
    route: Name of the route.
    golden: Name of the clip.
    error: Its error, relative to the largest value that the route gives.
    bound: The largest allowed error of that value, likewise.
    note: Why the route could not be run or compared, else empty.
  """

  route: str
  golden: str
  error: float
  bound: float
  note: str = ""

  @property
  def ok(self) -> bool:
    """Whether the route ran, was compared and kept its bounds."""
    return not self.note and self.error <= self.bound


def replay(
  name: str, run: Route, config: SpectrogramConfig, goldens: list[GoldenVector]
) -> RouteResult:
  """Compares the results of a route with the golden vectors."""
  size = bounds.size_of([golden.values(config) for golden in goldens])
  worst, compared = RouteResult(name, goldens[0].name, 0.0, 0.0), 0
  by_length: dict[int, list[GoldenVector]] = {}
  for golden in goldens:
    by_length.setdefault(len(golden.signals), []).append(golden)
  for group in by_length.values():
    try:
      pairs = list(run(group))
    except Exception as e:  # A route that cannot run is a finding.
      return RouteResult(name, group[0].name, np.inf, 0.0, errors.first_line(e))
    for golden, actual in pairs:
      found = bounds.deviation(
        config, actual, golden.expected(config), golden.tolerance(config)
      )
      if not compared or found.error * worst.bound > worst.error * found.bound:
        error, bound = found.error / size, found.bound / size
        worst = RouteResult(name, golden.name, error, bound)
      compared += actual.size
  if not compared and worst.ok:
    note = "No clip gave a value to compare."
    worst = dataclasses.replace(worst, note=note)
  return worst
