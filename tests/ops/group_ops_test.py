"""Tests of `group_ops`: rows of unlike length, each as if alone."""

import numpy as np
import pytest
import tensorflow as tf

from tfspec.ops import group_ops

_LENGTHS = [5, 3, 5, 0, 3, 8]


def _batch(axis):
  """Returns rows of several lengths, and rubbish behind them."""
  random = np.random.default_rng(1)
  rows = [random.standard_normal([n, 2]).astype(np.float32) for n in _LENGTHS]
  batch = np.full([len(rows), 9, 2], np.nan, np.float32)
  for i, row in enumerate(rows):
    batch[i, : len(row)] = row
  return rows, batch if axis == 1 else batch.transpose(0, 2, 1)


@pytest.mark.parametrize("axis", [1, 2])
@pytest.mark.parametrize("one_by_one", [False, True])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_each_row_as_if_alone(axis, one_by_one, jit_compile):
  rows, batch = _batch(axis)

  @tf.function(jit_compile=jit_compile, autograph=False)
  def run(signals, lengths):
    total = tf.reduce_sum(signals, [1, 2])
    # What a mean over the batch would be: it tells who shares a call.
    mates = tf.fill(tf.shape(lengths), tf.shape(signals)[0])
    halves = signals[:, ::2] if axis == 1 else signals[:, :, ::2]
    return {"total": total, "mates": mates, "halves": halves}

  @tf.function
  def outer(signals, lengths):
    return group_ops.map_groups(run, signals, lengths, axis, None, one_by_one)

  found = outer(batch, _LENGTHS)
  mates = [1] * 6 if one_by_one else [2, 2, 2, 1, 2, 1]
  assert found["mates"].numpy().tolist() == mates
  assert found["halves_length"].numpy().tolist() == [3, 2, 3, 0, 2, 4]
  for i, row in enumerate(rows):
    np.testing.assert_allclose(found["total"][i], row.sum(), rtol=1e-5)
    halves = found["halves"][i].numpy()
    halves = halves if axis == 1 else halves.T
    np.testing.assert_array_equal(halves[: len(row[::2])], row[::2])
    assert np.all(halves[len(row[::2]) :] == 0.0) and len(halves) == 4
  assert sorted(found) == ["halves", "halves_length", "mates", "total"]


def test_no_rows_and_strings():
  @tf.function
  def run(signals, lengths):
    names = tf.strings.as_string(lengths)
    columns = tf.shape(signals)[1]
    return {
      "name": names,
      "grid": tf.repeat(names[:, tf.newaxis], columns, 1),
      "square": tf.matmul(signals, signals, transpose_b=True),
    }

  _, batch = _batch(1)
  found = group_ops.map_groups(run, tf.constant(batch), tf.constant([2, 1] * 3))
  assert found["name"].numpy().tolist() == [b"2", b"1"] * 3
  assert found["grid"].numpy()[:2].tolist() == [[b"2", b"2"], [b"1", b""]]
  # Two sizes that are not static: neither is told.
  assert sorted(found) == ["grid", "grid_length", "name", "square"]
  assert found["square"][1].numpy()[1].tolist() == [0, 0]

  none = group_ops.map_groups(
    run, tf.constant(batch[:0]), tf.zeros([0], tf.int32)
  )
  assert none["name"].shape == [0] and none["grid"].shape == [0, 9]


def test_output_of_other_rows_is_refused():
  run = tf.function(lambda signals, _: {"halves": signals[::2]})
  with pytest.raises(tf.errors.InvalidArgumentError) as error:
    group_ops.map_groups(run, tf.zeros([3, 4]), tf.constant([4, 4, 2]))
  assert "Got: halves with 1 rows for 2 clips." in str(error.value)
