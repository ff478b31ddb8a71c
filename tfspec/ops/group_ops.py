"""Rows of different lengths, each computed as if it were alone."""

from collections.abc import Mapping

import tensorflow as tf

from tfspec.ops import check_ops

Outputs = Mapping[str, tf.Tensor]


def map_groups(
  function: "tf.types.experimental.PolymorphicFunction",
  signals: tf.Tensor,
  lengths: tf.Tensor,
  axis: int = 1,
  sizes: tf.Tensor | None = None,
  one_by_one: bool = False,
  name: str | None = None,
) -> dict[str, tf.Tensor]:
  """Calls a function for all rows of one length at a time, without padding.

  A function that sees a padded batch may take the padding for sound. Here it
  sees each row at its own length. The results are put back into the order of
  the rows. If their sizes depend on the length, they are padded to the largest
  with zeros, strings with "".

  Args:
    function: Takes signals `[rows, ...]` of one size and their lengths, int32
      `[rows]`, and returns tensors `[rows, ...]` by name.
    signals: `[batch, ...]`, padded along `axis`.
    lengths: How many samples of each row are its own, int32 `[batch]`.
    axis: The axis of the samples.
    sizes: To how many samples each row is cut, int32 `[batch]`: rows of one
      size are one group. None: to its length.
    one_by_one: Whether each row is a group of its own, even beside others of
      its size.
    name: Name scope of the operation.

  Returns:
    The results by name, each `[batch, ...]`, and for each of them with one size
    that is not static `NAME_length`, int32 `[batch]`: that size before the
    padding.

  Raises:
    tf.errors.InvalidArgumentError: See `check_rows`.
  """
  with tf.name_scope(name or "map_groups"):
    open_shape = signals.shape.as_list()
    open_shape[0] = open_shape[axis] = None
    found = function.get_concrete_function(
      tf.TensorSpec(open_shape, signals.dtype),
      tf.TensorSpec([None], tf.int32),
    ).structured_outputs
    sizes = lengths if sizes is None else sizes
    member = tf.range(tf.size(sizes))
    if not one_by_one:
      sizes, member = tf.unique(sizes)
    # Without rows there is still one group, which has none.
    count = tf.maximum(tf.size(sizes), 1)
    sizes = tf.concat([sizes, [tf.shape(signals)[axis]]], axis=0)[:count]

    def run(group: tf.Tensor, arrays: list[tf.TensorArray]) -> tuple:
      rows = tf.reshape(tf.where(tf.equal(member, group)), [-1])
      own = [slice(None)] * axis + [slice(sizes[group])]
      clips = tf.gather(signals, rows)[tuple(own)]
      clips = tf.ensure_shape(clips, open_shape)
      outputs = function(clips, tf.gather(lengths, rows))
      outputs = check_rows(outputs, tf.size(rows))
      values = [rows]
      for key in found:
        values += [tf.reshape(outputs[key], [-1]), tf.shape(outputs[key])]
      return group + 1, [
        array.write(group, value)
        for array, value in zip(arrays, values, strict=True)
      ]

    dtypes = [tf.int64]
    for spec in found.values():
      dtypes += [spec.dtype, tf.int32]
    arrays = [_array(dtype, count) for dtype in dtypes]
    _, arrays = tf.while_loop(lambda group, _: group < count, run, [0, arrays])
    order = tf.argsort(arrays[0].concat())
    results = {}
    for i, (key, spec) in enumerate(found.items()):
      values, shapes = arrays[1 + 2 * i], arrays[2 + 2 * i]
      results |= _joined(key, spec.shape, values, shapes, order)
    return results


def check_rows(outputs: Outputs, rows: int | tf.Tensor) -> dict[str, tf.Tensor]:
  """Returns outputs that have a row for each row of the input.

  Raises:
    tf.errors.InvalidArgumentError: When run, if one has more or fewer.
  """
  return {
    name: check_ops.require(
      value,
      tf.equal(tf.shape(value)[0], rows),
      f"An output must have a row for each clip. Got: {name} with ",
      tf.shape(value)[0],
      " rows for ",
      tf.convert_to_tensor(rows),
      " clips.",
    )
    for name, value in outputs.items()
  }


def _array(dtype: tf.DType, size: tf.Tensor) -> tf.TensorArray:
  return tf.TensorArray(
    dtype, size, element_shape=[None], infer_shape=False, clear_after_read=False
  )


def _joined(
  name: str,
  shape: tf.TensorShape,
  values: tf.TensorArray,
  shapes: tf.TensorArray,
  order: tf.Tensor,
) -> dict[str, tf.Tensor]:
  """Returns the values of all groups as one tensor, in the order of the rows.

  Args:
    name: Name of the output.
    shape: Its static shape.
    values: The values of each group, flat.
    shapes: Their shape.
    order: Where in the groups each row is.

  Returns:
    The tensor by the name of the output, and what `map_groups` says of sizes.
  """
  rank = shape.rank
  open_axes = [i for i in range(1, rank) if shape[i] is None]
  if not open_axes:
    joined = tf.reshape(values.concat(), [-1, *shape[1:]])
    return {name: tf.gather(joined, order)}
  all_shapes = tf.reshape(shapes.concat(), [-1, rank])
  largest = tf.reduce_max(all_shapes, axis=0)
  empty = tf.zeros([], values.dtype)  # Of strings, "".

  def widen(i: tf.Tensor, wide: tf.TensorArray) -> tuple:
    own = tf.ensure_shape(shapes.read(i), [rank])
    value = tf.reshape(values.read(i), own)
    behind = (largest - own) * tf.constant([0] + [1] * (rank - 1))
    paddings = tf.stack([tf.zeros_like(behind), behind], axis=1)
    value = tf.pad(value, paddings, constant_values=empty)
    return i + 1, wide.write(i, tf.reshape(value, [-1]))

  count = values.size()
  _, wide = tf.while_loop(
    lambda i, _: i < count, widen, [0, _array(values.dtype, count)]
  )
  sizes = tf.concat([tf.shape(order), largest[1:]], axis=0)
  joined = tf.reshape(wide.concat(), sizes)
  joined = tf.ensure_shape(joined, [None, *shape[1:]])
  results = {name: tf.gather(joined, order)}
  if len(open_axes) == 1:
    lengths = tf.repeat(all_shapes[:, open_axes[0]], all_shapes[:, 0])
    results[f"{name}_length"] = tf.gather(lengths, order)
  return results
