"""The engine that transforms each frame by a fast Fourier transform."""

import math

import tensorflow as tf

from tfspec.coefficients import framing
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

  Many frames are transformed in blocks. What lies between the signals and the
  result then takes some megabytes for each thread.

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
    *leading, samples = shape_ops.dims(signals)
    maximum = max if isinstance(samples, int) else tf.maximum
    frame_length = window.shape[0]
    num_frames = framing.num_frames(
      samples, frame_length, frame_step, padding, maximum
    )
    if padding == "same":
      signals, _ = shape_ops.fit(
        signals, frame_length, frame_step, padding, crop=False
      )
      samples = shape_ops.dims(signals)[-1]

    def transform(frames: tf.Tensor) -> tuple[tf.Tensor, ...]:
      spectrum = tf.signal.rfft(frames)
      return finish(tf.math.real(spectrum), tf.math.imag(spectrum))

    results = blockwise.in_blocks(
      transform,
      tf.reshape(signals, [math.prod(leading), samples]),
      window,
      frame_step,
      fft_length,
      num_frames,
    )
    return tuple(
      tf.reshape(r, [*leading, num_frames, r.shape[-1]]) for r in results
    )
