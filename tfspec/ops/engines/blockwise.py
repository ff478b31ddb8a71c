"""Work on frames in blocks, each of a few megabytes.

`partition` says where the blocks are; here is how they are computed: side by
side in a graph, in turn by XLA, one by one in eager code.
"""

from collections.abc import Callable

import tensorflow as tf

from tfspec.ops import gradient_ops, shape_ops
from tfspec.ops.engines import devices
from tfspec.ops.engines.partition import Partition

Results = tuple[tf.Tensor, ...]

# Samples of the frames of a block, with their padding: a few megabytes.
_BLOCK_SIZE = 1 << 20

# How many parts of a long clip are computed before they are written to their
# place: few enough to take little room. No more threads than that have work.
_PARTS_AT_A_TIME = 8


def in_blocks(
  transform: Callable[[tf.Tensor], Results],
  signals: tf.Tensor,
  window: tf.Tensor,
  frame_step: int,
  fft_length: int,
  num_frames: int | tf.Tensor,
  condition: shape_ops.Condition | None = None,
) -> Results:
  """Returns the results of `transform` for all frames, computed in blocks.

  A graph computes blocks side by side if it runs on a CPU, each on one thread;
  XLA, and eager code, compute them one after the other. Other devices, and
  graphs that XLA compiles after they were traced without it, take all frames at
  once. So do forward mode, `tf.vectorized_map`, XLA where shapes were unknown
  when it was traced, and the gradient, which transforms them again.

  Args:
    transform: Turns frames `[..., fft_length]` into a tuple of tensors
      `[..., features]` of the same dtype, each frame by itself.
    signals: `[batch, samples]`, with at least the
      `(num_frames - 1) * frame_step + frame_length` samples of the frames.
    window: `[frame_length]`: the frames are multiplied with it, and filled up
      with zeros.
    frame_step: Samples between the starts of two frames.
    fft_length: Samples in a frame that is filled up.
    num_frames: How many frames a clip has, an integer if it is known.
    condition: See `shape_ops.windowed_frames`.

  Returns:
    The tuple, each `[batch, num_frames, features]`.
  """
  frame_length = window.shape[0]
  spare = shape_ops.to_whole_hop(frame_length, frame_step)
  batch, samples = shape_ops.dims(signals)

  def transform_fitted(signals: tf.Tensor) -> Results:
    single = signals.shape[0] == 1
    if single:  # The rows of a matrix are cut out without a copy.
      signals = tf.reshape(signals, [-1])
    results = transform(
      shape_ops.windowed_frames(
        signals, window, frame_step, fft_length, spare, condition
      )
    )
    return tuple(r[tf.newaxis] for r in results) if single else results

  def at_once(signals: tf.Tensor) -> Results:
    fitted, _ = shape_ops.fit(signals, frame_length, frame_step, spare)
    return tuple(r[:, :num_frames] for r in transform_fitted(fitted))

  most = _BLOCK_SIZE // fft_length
  total = batch * num_frames
  compiled = devices.is_compiled_for_cpu()
  is_open = tf.is_tensor(total)
  # Compiled code is faster in blocks, even if there is only one. `tf.data` runs
  # branches slowly: short clips would take up to twice as long.
  in_one = compiled or devices.is_traced_for_dataset()
  if devices.is_for_litert() or (
    in_one if is_open else total <= (0 if compiled else most)
  ):
    return at_once(signals)

  def transform_block(
    signals: tf.Tensor, blocks: Partition, block: int | tf.Tensor
  ) -> Results:
    clip, frame = blocks.start(block)
    size = (blocks.frames - 1) * frame_step + frame_length
    start = frame * frame_step
    shape = [blocks.clips, size + spare]
    # Past the end there are zeros.
    there = tf.minimum(shape, [batch - clip, samples - start])
    values = tf.slice(signals, [clip, start], there)
    values = tf.pad(values, tf.stack([[0, 0], shape - there], axis=1))
    if signals.shape[0] == 1:
      shape[0] = 1
    static = [n if isinstance(n, int) else None for n in shape]
    return transform_fitted(tf.ensure_shape(values, static))

  def in_graph(signals: tf.Tensor) -> Results:
    blocks = Partition.of(batch, num_frames, most)
    return side_by_side(
      blocks, lambda block: transform_block(signals, blocks, block), signals
    )

  def eagerly(signals: tf.Tensor) -> Results:
    blocks = Partition.of(batch, num_frames, most)
    return one_by_one(
      blocks, lambda block: transform_block(signals, blocks, block)
    )

  def by_xla(signals: tf.Tensor) -> Results:
    blocks = Partition.of(batch, num_frames, most)

    def transform_block(block: tf.Tensor, frames: tf.Tensor) -> tuple:
      frames = shape_ops.write_windowed_frames(
        frames, block, window, frame_step, condition
      )
      return transform(frames), frames

    scratch = (blocks.clips, blocks.frames, fft_length)
    return in_turn(
      blocks, transform_block, signals, frame_length, frame_step, scratch
    )

  @gradient_ops.custom_gradient(at_once)
  def compute(signals: tf.Tensor) -> tuple[Results, Callable]:
    def gradient(*upstream: tf.Tensor) -> list[tf.Tensor]:
      with gradient_ops.without_custom("plain"):
        return gradient_ops.pullback(at_once, [signals], upstream)

    # Loops and calls have no gradient of their own, and two tapes ask for one.
    constant = tf.stop_gradient(signals)
    if compiled:
      return by_xla(constant), gradient
    if tf.executing_eagerly():
      run = eagerly if devices.sees_only_cpus() else at_once
      return run(constant), gradient

    device_index = devices.operation("DeviceIndex")
    if devices.operation("MapDefun") is None:
      return at_once(constant), gradient
    if devices.is_traced_for_dataset():
      return in_graph(constant), gradient
    if device_index is None:
      return at_once(constant), gradient
    # 0 for a graph on a CPU, 1 for other devices and XLA. XLA then compiles
    # only the second branch, which short clips take too.
    branch = device_index(device_names=["CPU"])
    if is_open:
      branch = tf.where(total <= most, 1, branch)
    branches = [lambda: in_graph(constant), lambda: at_once(constant)]
    with gradient_ops.without_custom("values"):
      return tf.switch_case(branch, branches), gradient

  return compute(signals)


def one_by_one(
  blocks: Partition, transform: Callable[[int], Results]
) -> Results:
  """Computes blocks eagerly; see `side_by_side`."""
  results = [transform(block) for block in range(blocks.count)]
  return tuple(_join(blocks, tf.stack(r)) for r in zip(*results, strict=True))


def side_by_side(
  blocks: Partition,
  transform: Callable[[tf.Tensor], Results],
  signals: tf.Tensor,
) -> Results:
  """Computes blocks on several threads, each of them on one.

  By what `tf.data` is built on: the calls of a function run at the same time,
  but each of them on one thread from the first operation to the last. What one
  leaves in the cache is there for the next.

  Args:
    blocks: The blocks.
    transform: Makes results `[clips, frames, features]` of the number of a
      block.
    signals: What it makes them of, `[batch, samples]`.

  Returns:
    The results for all blocks, each `[batch, num_frames, features]`.
  """
  function = tf.function(transform, autograph=False)
  call = function.get_concrete_function(tf.TensorSpec([], tf.int32))

  def all_at_a_time() -> Results:
    results = calls(call, tf.range(blocks.count))
    return tuple(_join(blocks, r) for r in results)

  def some_at_a_time() -> Results:
    return _in_groups(blocks, call, signals)

  are_few = blocks.parts <= _PARTS_AT_A_TIME
  if tf.is_tensor(are_few):
    return tf.cond(are_few, all_at_a_time, some_at_a_time)
  return all_at_a_time() if are_few else some_at_a_time()


def _in_groups(
  blocks: Partition,
  call: "tf.types.experimental.ConcreteFunction",
  signals: tf.Tensor,
) -> Results:
  """Computes a few parts of a clip, writes them to their place, and goes on.

  To join them all would take the room of the results once more.
  """
  rows = blocks.batch * blocks.num_frames
  groups = -(-blocks.parts // _PARTS_AT_A_TIME)  # Of a clip.
  together = -(-blocks.parts // groups)

  def write(i: tf.Tensor, results: list[tf.Tensor]) -> tuple:
    part = i % groups * together
    block = i // groups * blocks.parts + part
    count = tf.minimum(together, blocks.parts - part)
    values = calls(call, block + tf.range(count))
    clip, frame = blocks.start(block)
    size = tf.minimum(count * blocks.frames, blocks.num_frames - frame)
    for j, value in enumerate(values):
      features = value.shape[-1]
      first = tf.cast(clip * blocks.num_frames + frame, tf.int64) * features
      value = tf.reshape(tf.reshape(value, [-1, features])[:size], [-1])
      results[j] = tf.raw_ops.TensorStridedSliceUpdate(
        input=results[j],
        begin=[first],
        end=[first + tf.size(value, tf.int64)],
        strides=tf.constant([1], tf.int64),
        value=value,
      )
    return i + 1, results

  # One row, which is written faster than a matrix. Not `tf.zeros`, which may
  # become a constant, and is then copied before it is written to; not `Empty`,
  # which is stateful.
  zero = _unknown_zero(signals)
  results = [
    tf.reshape(tf.fill([rows, r.shape[-1]], tf.cast(zero, r.dtype)), [-1])
    for r in call.outputs
  ]
  _, results = tf.while_loop(
    lambda i, _: i < blocks.batch * groups,
    write,
    [0, results],
    parallel_iterations=1,
  )
  return tuple(
    tf.reshape(r, [blocks.batch, blocks.num_frames, output.shape[-1]])
    for r, output in zip(results, call.outputs, strict=True)
  )


def in_turn(
  blocks: Partition,
  transform: Callable[[tf.Tensor, tf.Tensor], tuple[Results, tf.Tensor]],
  signals: tf.Tensor,
  frame_length: int,
  frame_step: int,
  scratch: tuple[int, ...] = (),
) -> Results:
  """Computes block after block in a loop of XLA.

  It has no gradient: what comes in must have passed `tf.stop_gradient`, as two
  tapes would ask for one.

  Args:
    blocks: The blocks, of integers.
    transform: Makes results `[clips, frames, features]` of the samples of a
      block, `[clips, samples]`, and of a tensor to write to, which it gives
      back for the next block.
    signals: `[batch, samples]`, of static shape.
    frame_length: Samples in a frame.
    frame_step: Samples between the starts of two frames.
    scratch: The shape of that tensor: zeros, of the dtype of the signals.

  Returns:
    What it makes of all blocks, each `[batch, num_frames, features]`.
  """
  shape = [blocks.clips, (blocks.frames - 1) * frame_step + frame_length]
  some, _ = transform(
    tf.zeros(shape, signals.dtype), tf.zeros(scratch, signals.dtype)
  )

  def transform_block(i: tf.Tensor, results: list, scratch: tf.Tensor) -> tuple:
    clip, frame = blocks.start(i)
    # The last block ends where the batch does, and the last part of a clip
    # where the clip does: what was computed before is computed again.
    clip = tf.minimum(clip, blocks.batch - blocks.clips)
    frame = tf.minimum(frame, blocks.num_frames - blocks.frames)
    block = tf.slice(signals, [clip, frame * frame_step], shape)
    values, scratch = transform(block, scratch)
    place = tf.stack([clip, frame, 0])
    results = [
      devices.dynamic_update_slice(r, v, place)
      for r, v in zip(results, values, strict=True)
    ]
    return i + 1, results, scratch

  # Writing to memory that XLA has filled with a constant takes longer, as if
  # the constant had gone past the cache.
  zero = _unknown_zero(signals)
  results = [
    tf.fill(
      [blocks.batch, blocks.num_frames, values.shape[-1]],
      tf.cast(zero, values.dtype),
    )
    for values in some
  ]
  zeros = tf.fill(scratch, tf.cast(zero, signals.dtype))
  _, results, _ = tf.while_loop(
    lambda i, *_: i < blocks.count, transform_block, [0, results, zeros]
  )
  return tuple(results)


def _join(blocks: Partition, values: tf.Tensor) -> tf.Tensor:
  """Turns `[count, clips, frames, features]` into that of the batch.

  Returns:
    `[batch, num_frames, features]`, not copied if nothing is past an end.
  """
  frames = blocks.parts * blocks.frames
  values = tf.reshape(values, [-1, frames, values.shape[-1]])
  return values[: blocks.batch, : blocks.num_frames]


def _unknown_zero(signals: tf.Tensor) -> tf.Tensor:
  """Returns False, which no compiler can know."""
  first, last = signals[0, 0], signals[-1, -1]
  return (first < last) & (last < first)


def calls(
  function: "tf.types.experimental.ConcreteFunction", i: tf.Tensor
) -> list[tf.Tensor]:
  """Returns the results of calls with each number, stacked.

  Args:
    function: Takes a scalar, and returns tensors.
    i: The numbers, `[count]`.

  Returns:
    For each tensor of the function one, with a leading axis `count`.
  """
  function.add_to_graph()
  executor = tf.compat.v1.AttrValue(s=b"SINGLE_THREADED_EXECUTOR")
  map_defun = devices.operation("MapDefun")
  assert map_defun is not None  # Else all frames are taken at once.
  return map_defun(
    arguments=[i],
    captured_inputs=function.captured_inputs,
    output_types=[r.dtype for r in function.outputs],
    output_shapes=[r.shape for r in function.outputs],
    f=tf.compat.v1.NameAttrList(
      name=function.name, attr={"executor": executor}
    ),
    max_intra_op_parallelism=1,
  )
