"""The engine that transforms each frame by a fast Fourier transform."""

import math

import tensorflow as tf

from tfspec.ops import shape_ops
from tfspec.ops.engines import blockwise


def fft(
  signals: tf.Tensor,
  window: tf.Tensor,
  frame_step: int,
  fft_length: int,
  padding: str = "valid",
  finish: blockwise.Finish = lambda real, imag: (real, imag),
  name: str | None = None,
) -> tuple[tf.Tensor, ...]:
  """Transforms each frame by a fast Fourier transform.

  Many frames are transformed in blocks if the shape of the signals is static.
  What lies between the signals and the result then takes some megabytes for
  each thread.

  Args:
    signals: `[..., samples]`, float32 or float64.
    window: `[frame_length]`, of the dtype of `signals`.
    frame_step: Samples between the starts of two frames.
    fft_length: Length of the transform; any size, odd ones too.
    padding: "valid" or "same".
    finish: What to make of the real and the imaginary part of a block, each
      `[..., num_bins]`: a tuple of tensors `[..., features]`. It sees each
      frame by itself.
    name: Name scope of the operation.

  Returns:
    What `finish` makes, each `[..., num_frames, features]`; by default the real
    and the imaginary part.
  """
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
      signals, frame_length, frame_step, padding, spare, crop=not static
    )

    def transform(frames: tf.Tensor) -> tuple[tf.Tensor, ...]:
      spectrum = tf.signal.rfft(frames)
      return finish(tf.math.real(spectrum), tf.math.imag(spectrum))

    if not static:  # The clips may be too short for blocks.
      frames = shape_ops.windowed_frames(
        signals, window, frame_step, fft_length, spare
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
    )
    return tuple(
      tf.reshape(r[:, :num_frames], [*leading, num_frames, r.shape[-1]])
      for r in results
    )
