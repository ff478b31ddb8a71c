"""The kernel engine for a TPU: the form that moves the fewest bytes there.

A TPU multiplies much faster than it reads and writes, and what it writes is
padded to tiles of 8 x 128 values. docs/tpu.md has the figures, and says where
the bytes go.
"""

from collections.abc import Callable

import tensorflow as tf

from tfspec.ops import gradient_ops, shape_ops, stages
from tfspec.ops.engines import kernel as kernel_lib


def kernel(
  signals: tf.Tensor,
  kernels: tuple[tf.Tensor, ...],
  frame_step: int,
  stage: stages.Stage,
  precision: str = "default",
  condition: shape_ops.Condition | None = None,
  name: str | None = None,
) -> stages.Results:
  """Multiplies each frame with each kernel, all in one product.

  Of what `kernel.kernel` does for the sake of exact sums it does nothing: a
  TPU adds in an order of its own, and by default rounds the factors to
  bfloat16.

  Where the stage needs the power alone, the compiler makes the sum of the
  squares over an axis a part of the product, whose values then are never in
  memory. The sum of two tensors it does not.

  Args:
    signals: `[..., samples]`, float32 or float64.
    kernels: See `kernel.kernel`.
    frame_step: Samples between the starts of two frames.
    stage: What to make of the products.
    precision: "default", "high" or "highest".
    condition: What to do with frames before they are multiplied.
    name: Name scope of the operation.

  Returns:
    The results of the stage, each `[..., num_frames, features]`.
  """

  def multiply(frames: tf.Tensor, matrix: tf.Tensor) -> tf.Tensor:
    if condition is not None:
      frames = condition(frames)
    if precision == "default":
      return tf.einsum("bmt,tpk->bmpk", frames, matrix)
    return kernel_lib.precise_product(frames, matrix, precision)

  def add_squares(frames: tf.Tensor, matrix: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.square(multiply(frames, matrix)), axis=2)

  with tf.name_scope(name or "tpu_kernel"):
    if stage.needs == stages.POWER:
      power = _of_frames(add_squares, signals, kernels, frame_step)
      return stage(stages.Spectrum(power=power))
    products = _of_frames(multiply, signals, kernels, frame_step)
    return stages.of_parts(stage, tf.unstack(products, axis=-2))


def _of_frames(
  function: Callable,
  signals: tf.Tensor,
  kernels: tuple[tf.Tensor, ...],
  frame_step: int,
) -> tf.Tensor:
  """Returns a function of the frames and the kernels, of each frame by itself.

  Args:
    function: Takes frames `[batch, rows, frame_length]` and kernels
      `[frame_length, len(kernels), num_bins]`; returns `[batch, rows, ...]`.
    signals: `[..., samples]`.
    kernels: Each `[frame_length, num_bins]`.
    frame_step: Samples between the starts of two frames.

  Returns:
    `[..., num_frames, ...]`.
  """
  *leading, _ = shape_ops.dims(signals)
  frames, num_frames = _frames(signals, kernels[0].shape[0], frame_step)

  def of_frames_alone(frames: tf.Tensor, matrix: tf.Tensor) -> tf.Tensor:
    return function(frames[:, :num_frames], matrix)

  @gradient_ops.custom_gradient(of_frames_alone)
  def compute(frames: tf.Tensor, matrix: tf.Tensor) -> tuple:
    def gradient(upstream: tf.Tensor) -> list[tf.Tensor]:
      # Computes the product of the frames once more: that moves fewer bytes
      # than keeping it. And what is no frame may hold a NaN from behind the
      # last one, which zeros of `upstream` would not stop.
      return gradient_ops.pullback(
        of_frames_alone, [frames, matrix], [upstream[:, :num_frames]]
      )

    return function(frames, matrix), gradient

  # Cropped here: a product of some of the frames needs a copy of them.
  values = compute(frames, tf.stack(kernels, axis=1))[:, :num_frames]
  return tf.reshape(values, [*leading, num_frames, *values.shape[2:]])


def _frames(
  signals: tf.Tensor, frame_length: int, frame_step: int
) -> tuple[tf.Tensor, int | tf.Tensor]:
  """Returns the frames `[batch, at least num_frames, frame_length]`.

  A frame is put together from hops, which are rolled to the frames that they
  belong to: the compiler makes a roll part of the product, but not a slice.
  Values after the last frame have no use, and do not count.
  """
  blocks = -(-frame_length // frame_step)
  if blocks > shape_ops.MAX_BLOCKS:
    signals, num_frames = shape_ops.fit(signals, frame_length, frame_step)
    frames = shape_ops.frame(_rows(signals), frame_length, frame_step)
    return frames, num_frames
  spare = shape_ops.to_whole_hop(frame_length, frame_step)
  signals, num_frames = shape_ops.fit(
    signals, frame_length, frame_step, spare, crop=False
  )
  maximum = max if isinstance(num_frames, int) else tf.maximum
  num_hops = maximum(num_frames, 1) - 1 + blocks
  signals = _rows(signals[..., : num_hops * frame_step])
  hops = tf.reshape(signals, [-1, num_hops, frame_step])
  parts = []
  for i in range(blocks):
    part = hops[..., : frame_length - i * frame_step]
    parts.append(tf.roll(part, -i, axis=1) if i else part)
  return tf.concat(parts, axis=-1), num_frames


def _rows(signals: tf.Tensor) -> tf.Tensor:
  """Returns `[batch, samples]`, the leading axes being joined."""
  return tf.reshape(signals, [-1, shape_ops.dims(signals)[-1]])
