"""The engine that transforms each frame by a fast Fourier transform."""

import math

import tensorflow as tf

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

  Many frames are transformed in blocks if the shape of the signals is static.
  What lies between the signals and the result then takes some megabytes for
  each thread.

  Args:
    signals: `[..., samples]`, float32 or float64.
    window: `[frame_length]`, of the dtype of `signals`.
    frame_step: Samples between the starts of two frames.
    fft_length: Length of the transform; any size, odd ones too.
    stage: What to make of the spectrum of a block, of each frame alone.
    condition: What to do with frames before they are multiplied with the
      window; see `shape_ops.windowed_frames`.
    name: Name scope of the operation.

  Returns:
    What the stage makes, each `[..., num_frames, features]`.
  """

  def transform(frames: tf.Tensor) -> stages.Results:
    spectrum = tf.signal.rfft(frames)
    parts = stages.kernel_parts(stage.needs)
    return stages.of_parts(stage, [_PARTS[part](spectrum) for part in parts])

  with tf.name_scope(name or "fft"):
    frame_length = window.shape[0]
    leading = signals.shape[:-1]
    static = signals.shape.is_fully_defined()
    if not static and leading.num_elements() == 1:
      # The rows of a matrix are cut out without a copy.
      signals = tf.reshape(signals, [signals.shape[-1] or -1])
    # Blocks are cut out anyway: a long signal need not be copied before.
    spare = 0 if static else shape_ops.to_whole_hop(frame_length, frame_step)
    signals, num_frames = shape_ops.fit(
      signals, frame_length, frame_step, spare, crop=not static
    )
    if not static:  # The clips may be too short for blocks.
      frames = shape_ops.windowed_frames(
        signals, window, frame_step, fft_length, spare, condition
      )
      results = [r[..., :num_frames, :] for r in transform(frames)]
      if signals.shape.rank == 1:
        results = [tf.reshape(r, [*leading, -1, r.shape[-1]]) for r in results]
      return tuple(results)
    *leading, samples = signals.shape
    results = blockwise.in_blocks(
      transform,
      tf.reshape(signals, [math.prod(leading), samples]),
      window,
      frame_step,
      fft_length,
      max(num_frames, 1),
      condition,
    )
    return tuple(
      tf.reshape(r[:, :num_frames], [*leading, num_frames, r.shape[-1]])
      for r in results
    )
