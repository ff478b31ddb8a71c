"""Arithmetic of lengths, the same for Python integers and for tensors."""

from collections.abc import Callable
from typing import Any


def num_frames(
  samples: Any,
  frame_length: int,
  frame_step: int,
  padding: str,
  maximum: Callable[[Any, int], Any] = max,
  drop_last: bool = False,
) -> Any:
  """Returns how many frames a clip of `samples` samples has.

  Args:
    samples: Length of the clip, an integer or an integer tensor.
    frame_length: Samples in a frame.
    frame_step: Samples between the starts of two frames.
    padding: "valid", "same", "center" or "hop_center".
    maximum: `max`, or `tf.maximum` where `samples` is a tensor.
    drop_last: Whether the last frame is left out.

  Returns:
    The number of frames, of the type of `samples`.

  Example:
    >>> num_frames(1000, 400, 160, "valid"), num_frames(1000, 400, 160, "same")
    (4, 7)
    >>> num_frames(1000, 400, 160, "center"), num_frames(0, 400, 160, "center")
    (7, 0)
    >>> num_frames(1000, 400, 160, "hop_center")
    6
  """
  if drop_last:
    count = num_frames(samples, frame_length, frame_step, padding, maximum)
    return maximum(count - 1, 0)
  if padding == "same":
    return (samples + (frame_step - 1)) // frame_step
  if padding == "hop_center":
    return (samples + frame_step // 2) // frame_step
  if padding == "center":
    padded = samples + frame_length // 2 * 2
    one_if_empty = maximum(1 - samples, 0)
    return ((padded - frame_length) // frame_step + 1) * (1 - one_if_empty)
  return maximum((samples - frame_length) // frame_step + 1, 0)


def margins(
  samples: Any,
  frame_length: int,
  frame_step: int,
  padding: str,
  maximum: Callable[[Any, int], Any] = max,
) -> tuple[int, Any]:
  """Returns how many samples "center" and "hop_center" add on each side.

  Args:
    samples: Length of the clip, at least 1.
    frame_length: Samples in a frame.
    frame_step: Samples between the starts of two frames.
    padding: "center" or "hop_center".
    maximum: See `num_frames`.

  Returns:
    The number before the clip, and that behind it.
  """
  half = frame_length // 2
  if padding == "center":
    return half, half
  before = half - frame_step // 2
  frames = num_frames(samples, frame_length, frame_step, padding, maximum)
  covered = (frames - 1) * frame_step + frame_length
  return before, maximum(covered - before - samples, 0)


def default_frame_step(frame_length: int) -> int:
  """Returns half of the frame length, at least 1."""
  return max(1, frame_length // 2)


def default_fft_length(frame_length: int) -> int:
  """Returns the smallest power of two that is at least the frame length."""
  return 1 << (frame_length - 1).bit_length()


def num_bins(fft_length: int) -> int:
  """Returns how many frequency bins a transform of real samples has."""
  return fft_length // 2 + 1
