"""The stage that changes samples before they meet the window."""

import dataclasses
from typing import Any, ClassVar

import numpy as np

from tfspec.config import fields
from tfspec.config.fields import Choice, Flag, Number, declare


def _without_preemphasis(stage: Any) -> bool:
  return stage.preemphasis == 0.0


@dataclasses.dataclass(frozen=True)
class Conditioning(fields.Stage):
  """A gain, the removal of DC, and pre-emphasis, in this order.

  Pre-emphasis of a clip comes before the clip is padded and cut into frames,
  and so before the removal of DC.

  Attributes:
    gain: A factor of all samples, in `[1e-6, 1e6]`: 32768 turns samples in
      [-1, 1] into those of 16 bits, as Kaldi has them.
    remove_dc: Whether the mean of each frame is subtracted from it.
    preemphasis: `c` in `x[n] - c * x[n - 1]`, in `[0, 1]`; 0 for none.
    preemphasis_of: "frame" (each by itself, as Kaldi has it) or "clip" (as NeMo
      has it).
    first_sample: What becomes of the first sample, which has none before it:
      "scaled", `(1 - c) * x[0]`, or "kept", `x[0]`.

  Raises:
    ValueError: If a value breaks a rule.
    TypeError: If a value is of the wrong type.

  Example:
    >>> kaldi = Conditioning(gain=32768, remove_dc=True, preemphasis=0.97)
    >>> kaldi.of_frames(kaldi.of_clip(np.array([1.0, 0.0])[np.newaxis]))
    array([[   491.52, -32276.48]])
  """

  PATH: ClassVar[str] = "conditioning"

  gain: float = declare(
    1.0, Number(1e-6, 1e6), "Every magnitude changes by one factor."
  )
  remove_dc: bool = declare(
    False, Flag(), "The lowest bins change where a frame has a mean."
  )
  preemphasis: float = declare(
    0.0, Number(0.0, 1.0), "Low frequencies become quieter."
  )
  preemphasis_of: str = declare(
    "frame",
    Choice(("frame", "clip")),
    "The first sample of each frame changes.",
    is_inert=_without_preemphasis,
  )
  first_sample: str = declare(
    "scaled",
    Choice(("scaled", "kept")),
    "The first sample of each frame, or of the clip, changes.",
    is_inert=_without_preemphasis,
  )

  @property
  def is_of_frames(self) -> bool:
    """Whether no frame sees the sample before it."""
    return self.preemphasis == 0.0 or self.preemphasis_of == "frame"

  @property
  def changes_frames(self) -> bool:
    """Whether there is something to do after the cut."""
    return self.remove_dc or (self.preemphasis > 0.0 and self.is_of_frames)

  def of_clip(self, signals: np.ndarray) -> np.ndarray:
    """Returns `[..., samples]` as they are padded and cut, float64."""
    signals = self.gain * signals
    return signals if self.is_of_frames else self._emphasised(signals)

  def of_frames(self, frames: np.ndarray) -> np.ndarray:
    """Returns frames `[..., frame_length]` as they meet the window."""
    if self.remove_dc:
      frames = frames - np.mean(frames, axis=-1, keepdims=True)
    return self._emphasised(frames) if self.is_of_frames else frames

  def _emphasised(self, values: np.ndarray) -> np.ndarray:
    first = values[..., :1] if self.first_sample == "scaled" else 0.0
    first = np.broadcast_to(first, values[..., :1].shape)
    before = np.concatenate([first, values[..., :-1]], axis=-1)
    return values - self.preemphasis * before

  def size(self, frames: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Returns how large what cancels out is, `[num_frames, 1]`.

    Subtracting rounds: the result is off relative to its operands, which may be
    much larger. In units of the L2 norm of the bins of a frame, by Parseval's
    theorem without the root of `fft_length / 2`.

    Args:
      frames: Exact frames as they are cut, `[num_frames, frame_length]`.
      window: The window, `[frame_length]`.
    """
    if not (self.remove_dc or self.preemphasis):
      return np.zeros([len(frames), 1])
    # A sample is in its own product, and in that of the next one.
    later = np.append(np.abs(window[1:]), 0.0)
    wide = np.maximum(np.abs(window), later)
    size = np.linalg.norm(frames * wide, axis=-1, keepdims=True)
    size = (1.0 + self.preemphasis) * size
    if self.remove_dc:
      root = np.sqrt(np.mean(np.square(frames), axis=-1, keepdims=True))
      size = size + np.linalg.norm(window) * root
    return size
