"""Which cases of a long list run in the fast lane; the others are slow."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest


def some(
  cases: Iterable[Any], is_fast: Callable[[Any], bool]
) -> list[pytest.param]:
  """Returns cases of one parameter or a tuple of them, marked where slow."""
  return [
    pytest.param(
      *(case if isinstance(case, tuple) else (case,)),
      marks=[] if is_fast(case) else pytest.mark.slow,
    )
    for case in cases
  ]


def every(step: int, cases: Iterable[Any]) -> list[pytest.param]:
  """Returns the cases, of which only each `step`-th is fast."""
  cases = list(cases)
  fast = {id(case) for case in cases[::step]}
  return some(cases, lambda case: id(case) in fast)
