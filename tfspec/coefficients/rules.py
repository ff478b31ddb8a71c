"""Rules that the arguments of a spectrogram must keep.

The fields of a config and the keywords of `tfspec.stft` are checked here. Each
function returns a value in its normal form, or raises an error that names the
field, the rule and the values.
"""

import math
import numbers
import reprlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfspec.coefficients import framing

# Larger values are typing errors, and would take gigabytes before they fail.
MAX_FFT_LENGTH = 1 << 20
MAX_KERNEL_SIZE = 1 << 24
# Side lobes of a Taylor window: it takes memory for each of them, and float64
# cannot hold it with many more.
_MAX_LOBES = 128

CHOICES = {
  "scaling": ("density", "spectrum", None),
  "padding": ("valid", "same", "center", "hop_center"),
  "pad_mode": ("reflect", "constant", "symmetric"),
  "engine": ("auto", "kernel", "fft"),
  "precision": ("default", "high", "highest"),
}

# The paddings that a pad mode fills, and the one that None stands for.
DEFAULT_PAD_MODES = {"center": "reflect", "hop_center": "symmetric"}


def check_integer(name: str, value: object) -> int:
  """Returns the value as an int."""
  if isinstance(value, bool) or not isinstance(value, numbers.Integral):
    raise TypeError(f"{name} must be an integer. Got: {value!r}.")
  return int(value)


def check_number(name: str, value: object) -> float:
  """Returns the value as a float."""
  if isinstance(value, bool) or not isinstance(value, numbers.Real):
    raise TypeError(f"{name} must be a number. Got: {value!r}.")
  try:
    return float(value) + 0.0  # No negative zero.
  except OverflowError as e:  # An integer of hundreds of digits.
    raise ValueError(f"{name} must fit into a float64. Got: {e}.") from e


def check_range(
  name: str, value: float, low: float, high: float, high_name: str = ""
) -> None:
  """Checks that a number is in `[low, high]`.

  Args:
    name: What the error calls the number.
    value: The number.
    low: The smallest one.
    high: The largest one.
    high_name: The field that `high` is the value of, if it is one's.
  """
  if not low <= value <= high:
    also = f", {high_name}={high}" if high_name else ""
    rule = f"in [{_bound(low)}, {high_name or _bound(high)}]"
    if high == math.inf:
      rule = f"at least {_bound(low)}"
    raise ValueError(f"{name} must be {rule}. Got: {name}={value}{also}.")


def _bound(value: float) -> str:
  text = f"{value:g}" if isinstance(value, float) else str(value)
  return text.replace("e+", "e")


def check_flag(name: str, value: object) -> bool:
  """Returns the value as a bool."""
  if not isinstance(value, bool | np.bool_):
    raise TypeError(f"{name} must be True or False. Got: {value!r}.")
  return bool(value)


def check_choice(
  name: str, value: object, choices: tuple[str | None, ...]
) -> str | None:
  """Returns the value, which must be one of the choices."""
  if value is not None and not isinstance(value, str):
    raise TypeError(f"{name} must be a string. Got: {value!r}.")
  if value not in choices:
    listed = ", ".join(repr(choice) for choice in choices)
    raise ValueError(f"{name} must be one of {listed}. Got: {name}={value!r}.")
  return value


def check_fft_length(frame_length: int, fft_length: int | None) -> None:
  """Checks that a frame fits into its transform."""
  if fft_length is not None and fft_length < frame_length:
    raise ValueError(
      "fft_length must be at least frame_length. Got: "
      f"fft_length={fft_length}, frame_length={frame_length}."
    )


def check_padding(
  padding: str, pad_mode: str | None, pad_value: float | None
) -> None:
  """Checks what may be given beside a padding."""
  if padding not in DEFAULT_PAD_MODES and pad_mode is not None:
    raise ValueError(
      "pad_mode must be None unless padding is 'center' or 'hop_center'. Got: "
      f"pad_mode={pad_mode!r}, pad_value={pad_value}, padding={padding!r}."
    )
  if pad_mode != "constant" and pad_value is not None:
    raise ValueError(
      "pad_value must be None unless pad_mode is 'constant'. Got: "
      f"pad_value={pad_value}, pad_mode={pad_mode!r}, padding={padding!r}."
    )


def resolved_engine(engine: str, trainable: bool = False) -> str:
  """Returns the engine that is meant, "kernel" or "fft"."""
  return ("kernel" if trainable else "fft") if engine == "auto" else engine


def check_engine(
  engine: str,
  precision: str,
  frame_length: int,
  fft_length: int,
  trainable: bool = False,
) -> None:
  """Checks what the engine that is meant can do."""
  if trainable and engine == "fft":
    raise ValueError(
      "engine must be 'auto' or 'kernel' if trainable. Got: "
      f"engine='fft', trainable={trainable}."
    )
  num_bins = framing.num_bins(fft_length)
  resolved = resolved_engine(engine, trainable)
  if resolved == "kernel" and frame_length * num_bins > MAX_KERNEL_SIZE:
    raise ValueError(
      "frame_length * num_bins must be at most 2**24 for the kernel engine. "
      f"Got: frame_length={frame_length}, num_bins={num_bins}."
    )
  if resolved == "fft" and precision != "default":
    raise ValueError(
      "precision must be 'default' for the fft engine, which does not round "
      f"operands. Got: precision={precision!r}, engine={engine!r}, "
      f"trainable={trainable}."
    )


def normalise_window(window: Any) -> str | tuple[Any, ...] | None:
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


def _normalise_named_window(items: tuple[Any, ...]) -> str | tuple[Any, ...]:
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
  if name == "taylor" and _check_parameter(items, parameters[0]) > _MAX_LOBES:
    raise ValueError(
      f"window must have at most {_MAX_LOBES} as the first number behind "
      f"'taylor'. Got: window={items!r}."
    )
  return name, *(_check_parameter(items, p) for p in parameters)


def _check_parameter(window: tuple[Any, ...], value: object) -> float:
  if not isinstance(value, numbers.Real) or not math.isfinite(value):
    raise TypeError(
      "window must have finite numbers behind its name. "
      f"Got: {value!r} in window={window!r}."
    )
  # SciPy wants whole numbers as integers where they count something.
  number = float(value)
  return int(number) if number.is_integer() else number


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
  if isinstance(value, tuple) and (len(value) > 8 or len(repr(value)) > 200):
    return f"{len(value)} given values"
  return repr(value)
