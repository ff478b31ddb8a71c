"""Rules that a single value of a configuration must keep.

Each function returns the value in its normal form or raises an error that names
the field, the rule and the value.
"""

import math
import numbers
import reprlib
from collections.abc import Mapping

import numpy as np


def check_integer(name: str, value: object) -> int:
  """Returns the value as an int."""
  if isinstance(value, bool) or not isinstance(value, numbers.Integral):
    raise TypeError(f"{name} must be an integer. Got: {value!r}.")
  return int(value)


def check_number(name: str, value: object) -> float:
  """Returns the value as a float."""
  if isinstance(value, bool) or not isinstance(value, numbers.Real):
    raise TypeError(f"{name} must be a number. Got: {value!r}.")
  return float(value) + 0.0  # No negative zero.


def check_range(
  name: str,
  value: float,
  low: float,
  high: float | str,
  config: object = None,
) -> None:
  """Checks that a number is in `[low, high]`.

  Args:
    name: What the error calls the number.
    value: The number.
    low: The smallest one.
    high: The largest one, or the name of the attribute of `config` that is.
    config: The config.
  """
  top, also = high, ""
  if isinstance(high, str):
    top = getattr(config, high)
    also = f", {high}={top}"
  if not low <= value <= top:
    rule = f"in [{_bound(low)}, {_bound(high)}]"
    if top == math.inf:
      rule = f"at least {_bound(low)}"
    raise ValueError(f"{name} must be {rule}. Got: {name}={value}{also}.")


def _bound(value: float | str) -> str:
  text = f"{value:g}" if isinstance(value, float) else str(value)
  return text.replace("e+", "e")


def normalise_window(window: object) -> str | tuple | None:
  """Returns the window in its hashable form."""
  if window is None:
    return None
  if isinstance(window, str):
    return str(window)
  if isinstance(window, bytes | Mapping | numbers.Number):
    raise TypeError(_window_type_error(window))
  try:
    items = np.asarray(window).tolist() if hasattr(window, "dtype") else window
    items = tuple(items)
  except TypeError as e:
    raise TypeError(_window_type_error(window)) from e
  if items and isinstance(items[0], str):
    return _normalise_named_window(items)
  if not all(
    isinstance(item, numbers.Real) and not isinstance(item, bool)
    for item in items
  ):
    raise TypeError(_window_type_error(window))
  return tuple(float(item) + 0.0 for item in items)  # No negative zeros.


def _normalise_named_window(items: tuple) -> str | tuple:
  name, *parameters = items
  if name == "general_cosine" and len(parameters) == 1:
    if not isinstance(parameters[0], numbers.Number | str | None):
      return name, tuple(_check_parameter(items, p) for p in parameters[0])
  if name in ("exponential", "poisson") and parameters[:1] == [None]:
    if len(parameters) == 1:
      return name
    return name, None, *(_check_parameter(items, p) for p in parameters[1:])
  if not parameters:
    return name
  return name, *(_check_parameter(items, p) for p in parameters)


def _check_parameter(window: tuple, value: object) -> float:
  if not isinstance(value, numbers.Real) or not math.isfinite(value):
    raise TypeError(
      "window must have finite numbers behind its name. "
      f"Got: {value!r} in window={window!r}."
    )
  # SciPy wants whole numbers as integers where they count something.
  return int(value) if value == int(value) else float(value)


def _window_type_error(window: object) -> str:
  return (
    "window must be a name, a tuple of a name and numbers, a sequence of "
    f"numbers, or None. Got: {reprlib.repr(window)}."
  )


def listed(differences: Mapping[str, tuple[object, object]], place: str) -> str:
  """Returns fields with their own value and that of a place, for messages."""
  return "; ".join(
    f"{field}={brief(own)}, in {place} {brief(theirs)}"
    for field, (own, theirs) in differences.items()
  )


def brief(value: object) -> str:
  """Returns a value of a config as messages show it."""
  if isinstance(value, tuple) and len(value) > 8:
    return f"{len(value)} given values"
  return repr(value)
