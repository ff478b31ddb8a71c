"""The engine that transforms each frame by a fast Fourier transform."""

import math
from collections.abc import Callable

import tensorflow as tf

from tfspec.coefficients import framing
from tfspec.ops import shape_ops, stages
from tfspec.ops.engines import blockwise

_PARTS = {"real": tf.math.real, "imag": tf.math.imag}


def fft(
  signals: tf.Tensor,
  window: tf.Tensor,
  frame_step: int,
  fft_length: int,
  stage: stages.Stage,
  condition: shape_ops.Condition | None = None,
  name: str | None = None,
) -> stages.Results:
  """Transforms each frame by a fast Fourier transform.

  Many frames are transformed in blocks. What lies between the signals and the
  result then takes some megabytes for each thread.

  Args:
    signals: `[..., samples]`, float32 or float64.
    window: `[frame_length]`, of the dtype of `signals`.
    frame_step: Samples between the starts of two frames.
    fft_length: Length of the transform; any size, odd ones too.
    stage: The stage that follows, for each frame alone.
    condition: What to do with frames before they are multiplied with the
      window; see `shape_ops.windowed_frames`.
    name: Name scope of the operation.

  Returns:
    The results of the stage, each `[..., num_frames, features]`.
  """

  def transform(frames: tf.Tensor) -> stages.Results:
    spectrum = tf.signal.rfft(frames)
    parts = stages.kernel_parts(stage.needs)
    return stages.of_parts(stage, [_PARTS[part](spectrum) for part in parts])

  with tf.name_scope(name or "fft"):
    return of_frames(
      transform, signals, window, frame_step, fft_length, condition
    )


def of_frames(
  function: Callable[[tf.Tensor], stages.Results],
  signals: tf.Tensor,
  window: tf.Tensor,
  frame_step: int,
  padded_length: int,
  condition: shape_ops.Condition | None = None,
) -> stages.Results:
  """Computes a function of each frame, in blocks.

  Args:
    function: Turns frames `[..., padded_length]` into tensors
      `[..., features]`.
    signals: `[..., samples]`, float32 or float64.
    window: `[frame_length]`, of the dtype of `signals`.
    frame_step: Samples between the starts of two frames.
    padded_length: The number of samples to which frames are padded with zeros.
    condition: See `fft`.

  Returns:
    The results, each `[..., num_frames, features]`.
  """
  *leading, samples = shape_ops.dims(signals)
  maximum = max if isinstance(samples, int) else tf.maximum
  num_frames = framing.num_frames(
    samples, window.shape[0], frame_step, "valid", maximum
  )
  results = blockwise.in_blocks(
    function,
    tf.reshape(signals, [math.prod(leading), samples]),
    window,
    frame_step,
    padded_length,
    num_frames,
    condition,
  )
  return tuple(
    tf.reshape(r, [*leading, num_frames, r.shape[-1]]) for r in results
  )
