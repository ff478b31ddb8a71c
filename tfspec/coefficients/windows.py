"""Windows, as NumPy float64 values."""

from collections.abc import Sequence

import numpy as np

# A SciPy name, a SciPy tuple ("kaiser", 8.6), the values, or None (all ones).
WindowLike = str | Sequence[object] | np.ndarray | None


def window(
  spec: WindowLike,
  frame_length: int,
  periodic: bool = False,
  scaling: str | None = None,
  window_length: int | None = None,
) -> np.ndarray:
  """Returns the window that each frame is multiplied by.

  Args:
    spec: A name or tuple that `scipy.signal.get_window` [1] knows, "povey"
      (Kaldi's: a Hann window to the power of 0.85 [2]), the values themselves,
      or None for all ones.
    frame_length: Number of samples in a frame, at least 1.
    periodic: True for one period of a periodic window, False for a symmetric
      one. Given values are used as they are.
    scaling: "density" divides by the root of the sum of squares, "spectrum" by
      the sum of absolute values, None leaves the window as it is.
    window_length: Number of samples in the window, in `[1, frame_length]`. A
      shorter one stands in the middle of the frame, as in torch and librosa:
      `(frame_length - window_length) // 2` zeros before it, the others behind
      it. None: `frame_length`.

  Returns:
    A read-only float64 array `[frame_length]`.

  Raises:
    ValueError: If SciPy does not know the window, or the values are not
      `window_length` finite numbers, or all of them are zero, or too small or
      large for float32 where they are not scaled.

  Example:
    >>> window("hann", 4, periodic=True).tolist()
    [0.0, 0.5, 1.0, 0.5]

  References:
    [1]: https://docs.scipy.org/doc/scipy/reference/signal.windows.html
    [2]: https://kaldi-asr.org/doc/feature-window_8h_source.html
  """
  name, length = "frame_length", frame_length
  if window_length is not None:
    name, length = "window_length", window_length
  if spec is None:
    values = np.ones(length)
  elif is_named(spec):
    values = _named_window(spec, length, periodic, name)
  else:
    values = np.array(spec, np.float64)
  if values.shape != (length,):
    raise ValueError(
      f"window must have {name} values. Got: "
      f"shape {list(values.shape)}, {name}={length}."
    )
  if not np.all(np.isfinite(values)):
    raise ValueError(
      "window must be finite. Got: "
      f"{values[~np.isfinite(values)][0]} in window={_brief(spec)}, "
      f"{name}={length}."
    )
  if not np.any(values):
    raise ValueError(
      "window must not be zero everywhere. Got: "
      f"window={_brief(spec)}, {name}={length}, "
      f"periodic={periodic}."
    )
  peak = np.max(np.abs(values))
  if scaling is not None:
    # The peak is taken out first: sums of huge values would overflow.
    values = values / peak
  elif not 1e-18 <= peak <= 1e18:  # The square must be a normal float32.
    raise ValueError(
      "window must have its largest magnitude in [1e-18, 1e18] if it is not "
      f"scaled. Got: {peak} in window={_brief(spec)}."
    )
  if scaling == "density":
    values = values / np.sqrt(np.sum(np.square(values)))
  elif scaling == "spectrum":
    values = values / np.sum(np.abs(values))
  missing = frame_length - length
  values = np.pad(values, [missing // 2, missing - missing // 2])
  values.setflags(write=False)
  return values


def is_flat(values: np.ndarray) -> bool:
  """Returns whether a good part of a window is level, as no window is.

  Args:
    values: The window, `[frame_length]`. Zeros around a short one, and tails
      that add next to nothing, do not count.

  Returns:
    True if, of the magnitudes above a hundredth of the largest, more than an
    eighth are within a hundredth of it: 7 percent of a Hann window, 9 of half a
    sine, 30 of a Tukey window with a quarter of its length level.
  """
  magnitudes = np.abs(values) / np.max(np.abs(values))
  return bool(np.sum(magnitudes > 0.99) > np.sum(magnitudes > 0.01) / 8)


def is_named(spec: WindowLike) -> bool:
  """Returns whether a name stands for the window: not for values, nor None."""
  return isinstance(spec, str) or (
    isinstance(spec, tuple) and bool(spec) and isinstance(spec[0], str)
  )


def _named_window(
  spec: WindowLike, length: int, periodic: bool, name: str
) -> np.ndarray:
  import scipy.signal  # It takes a second, and many processes need no window.

  if spec == "povey":
    return _named_window("hann", length, periodic, name) ** 0.85
  try:
    return np.asarray(
      scipy.signal.get_window(spec, length, fftbins=periodic), np.float64
    )
  except (ValueError, TypeError, KeyError, IndexError, ArithmeticError) as e:
    raise ValueError(
      "window must be a window that scipy.signal.get_window can make. Got: "
      f"window={spec!r}, {name}={length} ({e})."
    ) from e


def _brief(spec: WindowLike) -> str:
  return repr(spec) if spec is None or is_named(spec) else "the given values"
