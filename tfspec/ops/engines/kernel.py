"""The engine that multiplies each frame with the windowed Fourier kernels."""

import functools
import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfspec.ops import gradient_ops, shape_ops, stages
from tfspec.ops.engines import blockwise, devices
from tfspec.ops.engines.partition import Partition

# The least number of parts of a sum, and the most terms of a part: the error of
# a float32 sum grows with its length, and the errors of the parts even out.
_MIN_PARTS = 4
_MAX_SUM = 160

# Where XLA compiles for a CPU, kernels of so many values are convolved with
# blocks of so many frames; larger ones do not stay in the cache beside them.
_MAX_CONVOLVED = 1 << 18
_CONVOLVED_FRAMES = 1 << 10

# In radians. Its multiples are spread evenly, and no two of them are equal.
_GOLDEN_ANGLE = math.pi * (3.0 - math.sqrt(5.0))


def kernel(
  signals: tf.Tensor,
  kernels: tuple[tf.Tensor, ...],
  frame_step: int,
  stage: stages.Stage,
  precision: str = "default",
  flat: bool = False,
  condition: shape_ops.Condition | None = None,
  name: str | None = None,
) -> stages.Results:
  """Multiplies each frame with each kernel.

  The frames are written to memory, where they take `frame_length / frame_step`
  times the room of the signals: with two kernels less than the products, with
  one up to twice as much. Where XLA compiles for a CPU, and the kernels are
  small, they are not: blocks of the signals are convolved, one after the other.
  For a TPU there is `tpu.kernel`.

  Args:
    signals: `[..., samples]`, float32 or float64.
    kernels: For each of `stages.kernel_parts(stage.needs)` one, `[frame_length,
      num_bins]`, of the dtype of `signals`.
    frame_step: Samples between the starts of two frames.
    stage: The stage that follows, for each frame alone.
    precision: "default", "high" or "highest": what is asked of devices that
      round the operands of products. Other than "default", the product is an
      XLA operation, of frames in memory. It needs a runtime with XLA linked in,
      as TensorFlow's Python packages have.
    flat: Whether the window in the kernels is flat, as no window is. Signals
      with a period (a constant has all periods) then give sums of equal terms,
      whose rounding errors are equal too and add up. So each kernel is taken as
      the sum of two uneven ones, which costs twice the products.
    condition: What to do with frames before they are multiplied. Signals are
      then not convolved.
    name: Name scope of the operation.

  Returns:
    The results of the stage, each `[..., num_frames, features]`.
  """
  with tf.name_scope(name or "kernel"):
    frame_length = kernels[0].shape[0]
    # Blocks are cut out anyway: a long signal need not be copied before.
    signals, num_frames = shape_ops.fit(
      signals, frame_length, frame_step, crop=False
    )
    *leading, samples = shape_ops.dims(signals)
    signals = tf.reshape(signals, [math.prod(leading), samples])
    plain = precision == "default" and condition is None
    if plain and _is_convolved(signals, kernels[0]):
      results = _convolve(signals, kernels, frame_step, flat, stage)
    else:
      frames = _frames(signals, frame_length, frame_step)
      if condition is not None:
        frames = condition(frames)
      products = _products(frames, kernels, precision, flat)
      results = stages.of_parts(stage, products)
    computed = (samples - frame_length) // frame_step + 1
    return tuple(
      tf.reshape(r, [*leading, computed, r.shape[-1]])[..., :num_frames, :]
      for r in results
    )


def _products(
  frames: tf.Tensor,
  kernels: tuple[tf.Tensor, ...],
  precision: str,
  flat: bool,
) -> list[tf.Tensor]:
  """Returns the product of each frame with each kernel.

  Frames are `[batch, num_frames, frame_length]`, each product is
  `[batch, num_frames, num_bins]`.
  """
  frame_length, num_bins = kernels[0].shape
  batch, num_frames, _ = shape_ops.dims(frames)
  frames = tf.reshape(frames, [-1, frame_length])

  multiply = functools.partial(_multiply_all, precision=precision, flat=flat)
  if precision == "default":
    values = _with_gradient(multiply, multiply, frames, kernels)
  else:
    values = multiply(frames, *kernels)
  return [tf.reshape(v, [batch, num_frames, num_bins]) for v in values]


def _multiply_all(
  frames: tf.Tensor, *kernels: tf.Tensor, precision: str, flat: bool
) -> list[tf.Tensor]:
  """Returns the product of frames `[count, frame_length]` with each kernel."""
  return [
    _sum(
      [
        _multiply(frames[:, start : start + cut.shape[0]], cut, precision)
        for start, cut in _cuts(kernel, flat)
      ]
    )
    for kernel in kernels
  ]


def _frames(
  signals: tf.Tensor, frame_length: int, frame_step: int
) -> tf.Tensor:
  """Cuts signals into frames; what stands behind the last one is left out."""
  samples = shape_ops.dims(signals)[-1]
  covered = (samples - frame_length) // frame_step * frame_step + frame_length
  return shape_ops.frame(signals[..., :covered], frame_length, frame_step)


def _is_convolved(signals: tf.Tensor, kernel: tf.Tensor) -> bool:
  return (
    devices.is_compiled_for_cpu()
    and signals.shape.is_fully_defined()
    and signals.shape[0] > 0
    and kernel.shape.num_elements() <= _MAX_CONVOLVED
  )


def _convolve(
  signals: tf.Tensor,
  kernels: tuple[tf.Tensor, ...],
  frame_step: int,
  flat: bool,
  stage: stages.Stage,
) -> stages.Results:
  """Computes `_products` and the stage by convolution, block after block.

  The signals are of static shape.
  """
  frame_length, num_bins = kernels[0].shape
  batch, samples = signals.shape
  num_frames = (samples - frame_length) // frame_step + 1
  blocks = Partition.of(batch, num_frames, _CONVOLVED_FRAMES)
  # Only the gradient needs it; XLA leaves out unused values.
  frames = _frames(signals, frame_length, frame_step)

  def of_frames(
    frames: tf.Tensor, signals: tf.Tensor, *kernels: tf.Tensor
  ) -> stages.Results:
    del signals
    products = _products(frames, kernels, "default", flat)
    return stages.of_parts(stage, products)

  @gradient_ops.custom_gradient(of_frames)
  def compute(
    frames: tf.Tensor, signals: tf.Tensor, *kernels: tf.Tensor
  ) -> tuple:
    # In one convolution, which reads the signals once.
    joined = tf.stop_gradient(tf.concat(kernels, axis=1))

    def transform(block: tf.Tensor, scratch: tf.Tensor) -> tuple:
      terms = []
      for start, cut in _cuts(joined, flat):
        end = start + (blocks.frames - 1) * frame_step + cut.shape[0]
        terms.append(
          tf.nn.conv1d(
            block[:, start:end, tf.newaxis],
            cut[:, tf.newaxis],
            frame_step,
            "VALID",
          )
        )
      parts = tf.split(_sum(terms), len(kernels), axis=-1)
      return (*parts, *stages.of_parts(stage, parts)), scratch

    values = blockwise.in_turn(
      blocks, transform, tf.stop_gradient(signals), frame_length, frame_step
    )
    parts, results = values[: len(kernels)], values[len(kernels) :]
    # The gradient keeps the parts. If a caller of the graph differentiates it
    # again, TensorFlow would build a gradient of the loop that makes them.
    parts = [tf.stop_gradient(part) for part in parts]

    def gradient(*upstream: tf.Tensor) -> list[tf.Tensor | None]:
      def again(frames: tf.Tensor, *kernels: tf.Tensor) -> stages.Results:
        rows = tf.reshape(frames, [-1, frame_length])
        values = _with_gradient(
          lambda *_: [tf.reshape(p, [-1, num_bins]) for p in parts],
          functools.partial(_multiply_all, precision="default", flat=flat),
          rows,
          kernels,
        )
        products = [tf.reshape(v, parts[0].shape) for v in values]
        return stages.of_parts(stage, products)

      to_frames, *slopes = gradient_ops.pullback(
        again, [frames, *kernels], upstream
      )
      # The signals have their gradient by the frames.
      return [to_frames, None, *slopes]

    return results, gradient

  return compute(frames, signals, *kernels)


def _with_gradient(
  multiply: Callable[..., list[tf.Tensor]],
  plain: Callable[..., list[tf.Tensor]],
  frames: tf.Tensor,
  kernels: tuple[tf.Tensor, ...],
) -> list[tf.Tensor]:
  """Returns `multiply(frames, *kernels)` with the gradient of that product.

  `plain` really multiplies; see `gradient_ops.custom_gradient`. Frames are
  `[count, frame_length]`, products `[count, num_bins]`.
  """

  @gradient_ops.custom_gradient(plain)
  def compute(frames: tf.Tensor, *kernels: tf.Tensor) -> tuple:
    def gradient(*upstream: tf.Tensor) -> list[tf.Tensor]:
      # One product each is faster than the gradients of all the parts.
      both = tf.concat(upstream, axis=1)
      joined = tf.concat(kernels, axis=1)
      slopes = tf.matmul(frames, both, transpose_a=True)
      return [
        tf.matmul(both, joined, transpose_b=True),
        *tf.split(slopes, len(kernels), axis=1),
      ]

    return multiply(frames, *kernels), gradient

  return compute(frames, *kernels)


def _cuts(kernel: tf.Tensor, flat: bool) -> list[tuple[int, tf.Tensor]]:
  """Returns the rows of kernels that are one sum, and where they start."""
  length = kernel.shape[0]
  size = min(_MAX_SUM, -(-length // _MIN_PARTS))
  return [
    (start, part[start : start + size])
    for part in (_split(kernel) if flat else [kernel])
    for start in range(0, length, size)
  ]


def _split(matrix: tf.Tensor) -> list[tf.Tensor]:
  """Returns two uneven parts of a kernel, whose sum it is."""
  # No straight ramps: their steps can have equal rounding errors again.
  share = 0.5 + 0.5 * np.sin(_GOLDEN_ANGLE * np.arange(matrix.shape[0]))
  shares = np.stack([share, 1.0 - share])[..., np.newaxis]
  return [matrix * tf.constant(share, matrix.dtype) for share in shares]


def _sum(terms: list[tf.Tensor]) -> tf.Tensor:
  """Returns the sum, added in pairs: equal terms then add up exactly."""
  while len(terms) > 1:
    pairs = zip(terms[::2], terms[1::2], strict=False)
    terms = [a + b for a, b in pairs] + terms[len(terms) // 2 * 2 :]
  return terms[0]


def _multiply(
  frames: tf.Tensor, matrix: tf.Tensor, precision: str
) -> tf.Tensor:
  if precision == "default":
    return tf.matmul(frames, matrix)
  return precise_product(frames, matrix, precision)


def precise_product(
  frames: tf.Tensor, matrix: tf.Tensor, precision: str
) -> tf.Tensor:
  """Returns a product at a precision that the program itself states.

  Args:
    frames: `[..., frame_length]`.
    matrix: `[frame_length, ...]`.
    precision: "high" or "highest".

  Returns:
    The axes of `frames` but the last, then those of `matrix` but the first.
  """
  # The one operation whose precision is its own, not the process's.
  xla, messages = devices.xla(), devices.xla_messages()
  if xla is None or messages is None:
    *leading, length = shape_ops.dims(frames)
    rows = tf.reshape(frames, [-1, length])
    values = _product_of_terms(rows, tf.reshape(matrix, [length, -1]))
    return tf.reshape(values, [*leading, *matrix.shape[1:]])
  level = messages.PrecisionConfig.Precision.Value(precision.upper())
  config = messages.PrecisionConfig(operand_precision=[level, level])
  numbers = messages.DotDimensionNumbers(
    lhs_contracting_dimensions=[frames.shape.rank - 1],
    rhs_contracting_dimensions=[0],
  )
  return xla.dot_general(frames, matrix, numbers, config)


def _product_of_terms(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
  """Returns the product of two matrices, whose operands no device rounds.

  Each is the sum of three terms of eight bits, as bfloat16 has them. What the
  products that are left out would add is below the rounding of float32.
  """

  @gradient_ops.custom_gradient(tf.matmul)
  def product(a: tf.Tensor, b: tf.Tensor) -> tuple:
    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
      return (
        _product_of_terms(upstream, tf.transpose(b)),
        _product_of_terms(tf.transpose(a), upstream),
      )

    left, right = _terms(a), _terms(b)
    # The small ones are added first.
    pairs = [(0, 2), (2, 0), (1, 1), (0, 1), (1, 0), (0, 0)]
    left = tf.concat([left[i] for i, _ in pairs], axis=1)
    right = tf.concat([right[j] for _, j in pairs], axis=0)
    return tf.matmul(left, right), gradient

  return product(a, b) if a.dtype == tf.float32 else tf.matmul(a, b)


def _terms(values: tf.Tensor) -> list[tf.Tensor]:
  """Returns three tensors of eight bits each, whose sum float32 is."""
  terms = []
  for _ in range(3):
    bits = tf.bitcast(values, tf.uint32) + 0x8000  # Half of what is cut off.
    bits = tf.bitwise.bitwise_and(bits, 0xFFFF0000)
    terms.append(tf.bitcast(bits, tf.float32))
    values -= terms[-1]
  return terms


@gradient_ops.register("XlaDot")
def _dot_gradient(
  op: tf.Operation, upstream: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
  """Returns the gradients of `xla.dot_general` without batch axes."""
  xla, messages = devices.xla(), devices.xla_messages()
  numbers = messages.DotDimensionNumbers.FromString(
    op.get_attr("dimension_numbers")
  )
  config = messages.PrecisionConfig.FromString(op.get_attr("precision_config"))
  a, b = op.inputs
  pairs = list(
    zip(
      numbers.lhs_contracting_dimensions,
      numbers.rhs_contracting_dimensions,
      strict=True,
    )
  )
  a_kept = [i for i in range(a.shape.rank) if i not in dict(pairs)]
  b_kept = [j for j in range(b.shape.rank) if j not in dict(pairs).values()]
  of_a = range(len(a_kept))
  of_b = range(len(a_kept), len(a_kept) + len(b_kept))

  def dot(a: tf.Tensor, a_axes: list, b: tf.Tensor, b_axes: list) -> tf.Tensor:
    numbers = messages.DotDimensionNumbers(
      lhs_contracting_dimensions=a_axes, rhs_contracting_dimensions=b_axes
    )
    return xla.dot_general(a, b, numbers, config)

  # The axes of the sum come in the order of the other operand.
  a_axes = [i for i, _ in sorted(pairs, key=lambda pair: pair[1])]
  b_axes = [j for _, j in sorted(pairs)]
  return (
    _to_axes(dot(upstream, of_b, b, b_kept), a_kept + a_axes),
    _to_axes(dot(a, a_kept, upstream, of_a), b_axes + b_kept),
  )


def _to_axes(tensor: tf.Tensor, axes: list[int]) -> tf.Tensor:
  """Brings axis `i` of a tensor to the place `axes[i]`."""
  if axes == sorted(axes):
    return tensor
  return tf.transpose(tensor, np.argsort(axes))
