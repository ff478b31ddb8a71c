"""Arithmetic of lengths, the same for Python integers and for tensors."""

from collections.abc import Callable
from typing import Any


def num_frames(
  samples: Any,
  frame_length: int,
  frame_step: int,
  padding: str,
  maximum: Callable[[Any, int], Any] = max,
) -> Any:
  """Returns how many frames a clip of `samples` samples has.

  Args:
    samples: Length of the clip, an integer or an integer tensor.
    frame_length: Samples in a frame.
    frame_step: Samples between the starts of two frames.
    padding: "valid", "same" or "center".
    maximum: `max`, or `tf.maximum` where `samples` is a tensor.

  Returns:
    The number of frames, of the type of `samples`.

  Example:
    >>> num_frames(1000, 400, 160, "valid"), num_frames(1000, 400, 160, "same")
    (4, 7)
    >>> num_frames(1000, 400, 160, "center"), num_frames(0, 400, 160, "center")
    (7, 0)
  """
  if padding == "same":
    return (samples + (frame_step - 1)) // frame_step
  if padding == "center":
    padded = samples + frame_length // 2 * 2
    one_if_empty = maximum(1 - samples, 0)
    return ((padded - frame_length) // frame_step + 1) * (1 - one_if_empty)
  return maximum((samples - frame_length) // frame_step + 1, 0)


def default_frame_step(frame_length: int) -> int:
  """Returns half of the frame length, at least 1."""
  return max(1, frame_length // 2)


def default_fft_length(frame_length: int) -> int:
  """Returns the smallest power of two that is at least the frame length."""
  return 1 << (frame_length - 1).bit_length()


def num_bins(fft_length: int) -> int:
  """Returns how many frequency bins a transform of real samples has."""
  return fft_length // 2 + 1
