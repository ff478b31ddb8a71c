"""Prepared spectrograms: TFRecord shards, their config and their manifest."""

import json
import os
from typing import Any

import numpy as np
import tensorflow as tf

from tfspec import config_rules
from tfspec.config import SpectrogramConfig, load_config
from tfspec.spectrogram import time_axis

CONFIG_FILE = "config.textproto"
MANIFEST_FILE = "manifest.jsonl"


class ShardWriter:
  """Writes examples into shards of a bounded size, in order."""

  def __init__(self, folder: str, shard_bytes: int) -> None:
    """Starts with no shard.

    Args:
      folder: Where the shards go.
      shard_bytes: A shard is closed when it has grown to this size.
    """
    self._folder = folder
    self._shard_bytes = shard_bytes
    self._writer: tf.io.TFRecordWriter | None = None
    self._size = 0
    self._shards = 0

  def write(self, values: np.ndarray, source: str, sample_rate_hz: int) -> int:
    """Writes one spectrogram and returns the number of its shard."""
    feature = {
      "spectrogram": _floats(values.ravel()),
      "shape": _integers(values.shape),
      "source": tf.train.Feature(
        # A file name need not be text.
        bytes_list=tf.train.BytesList(value=[os.fsencode(source)])
      ),
      "sample_rate_hz": _integers([sample_rate_hz]),
    }
    example = tf.train.Example(features=tf.train.Features(feature=feature))
    content = example.SerializeToString()
    if self._writer is None or self._size >= self._shard_bytes:
      self._close_shard()
      path = os.path.join(self._folder, _shard_name(self._shards, None))
      self._writer = tf.io.TFRecordWriter(path)
      self._shards += 1
      self._size = 0
    self._writer.write(content)
    self._size += len(content)
    return self._shards - 1

  def close(self) -> list[str]:
    """Closes the last shard, and returns the final names of all."""
    self._close_shard()
    names = []
    for shard in range(self._shards):
      names.append(_shard_name(shard, self._shards))
      os.rename(
        os.path.join(self._folder, _shard_name(shard, None)),
        os.path.join(self._folder, names[-1]),
      )
    return names

  def _close_shard(self) -> None:
    if self._writer is not None:
      self._writer.close()
      self._writer = None


def read_examples(
  path: str | os.PathLike[str], config: SpectrogramConfig | None = None
) -> tf.data.Dataset:
  """Reads what `tfspec prepare` wrote.

  Args:
    path: The folder.
    config: The config that the reader expects, or None.

  Returns:
    A dataset of dicts, in the order of the manifest: "spectrogram" (float32, in
    the layout of the config), "source" (string, the path of the audio file
    below the input folder) and "sample_rate_hz" (int64). The number of bins is
    static if all clips have the same channels. Reading ends with an error if
    there are more or fewer examples than the manifest lists.

  Raises:
    ValueError: If `config` does not define the numbers of the examples, or the
      folder is not complete. `engine`, `precision` and `trainable` do not
      matter.
    OSError: If the config or the manifest cannot be read.

  Example:
    >>> from tfspec.data import prepare
    >>> config = SpectrogramConfig(frame_length=200, frame_step=80)
    >>> prepare.prepare("speech", "prepared", config).written
    14
    >>> example = next(iter(read_examples("prepared", config)))
    >>> example["source"].numpy(), example["spectrogram"].shape
    (b'en/conf-locked.wav', TensorShape([173, 129]))
  """
  folder = os.fspath(path)
  stored = load_config(os.path.join(folder, CONFIG_FILE))
  differences = config.differences(stored) if config else {}
  if differences:
    raise ValueError(
      "config must be the one that the examples were made with. Got: "
      f"{config_rules.listed(differences, folder)} (fingerprints "
      f"{config.fingerprint()}, {stored.fingerprint()})."
    )
  written = [row for row in read_manifest(folder) if row["status"] == "written"]
  shards = sorted({row["shard"] for row in written})
  paths = [os.path.join(folder, shard) for shard in shards]
  missing = [p for p in paths if not os.path.exists(p)]
  if missing:
    raise ValueError(
      f"{folder} must hold every shard of its manifest. "
      f"Got: no {', '.join(missing)}."
    )
  static = _common_shape([row["shape"] for row in written], stored)

  def parse(content: tf.Tensor) -> dict[str, tf.Tensor]:
    features = {
      "spectrogram": tf.io.FixedLenSequenceFeature(
        [], tf.float32, allow_missing=True
      ),
      "shape": tf.io.FixedLenFeature([len(static)], tf.int64),
      "source": tf.io.FixedLenFeature([], tf.string),
      "sample_rate_hz": tf.io.FixedLenFeature([], tf.int64),
    }
    example = tf.io.parse_single_example(content, features)
    shape = example.pop("shape")
    values = tf.reshape(example["spectrogram"], shape)
    example["spectrogram"] = tf.ensure_shape(values, static)
    return example

  dataset = tf.data.TFRecordDataset(paths).map(parse)
  return dataset.apply(tf.data.experimental.assert_cardinality(len(written)))


def _common_shape(
  shapes: list[list[int]], config: SpectrogramConfig
) -> list[int | None]:
  """Returns the sizes on which all agree, but for the number of frames."""
  sizes = [set(axis) for axis in zip(*shapes, strict=True)]
  static = [axis.pop() if len(axis) == 1 else None for axis in sizes]
  static[time_axis(config) - 1] = None
  return static


def read_manifest(folder: str) -> list[dict[str, Any]]:
  """Returns the rows of a manifest, one a file of the input."""
  with open(os.path.join(folder, MANIFEST_FILE), encoding="utf-8") as file:
    return [json.loads(line) for line in file]


def _shard_name(shard: int, shards: int | None) -> str:
  total = "" if shards is None else f"-of-{shards:05d}"
  return f"spectrograms-{shard:05d}{total}.tfrecord"


def _floats(values: np.ndarray) -> tf.train.Feature:
  return tf.train.Feature(float_list=tf.train.FloatList(value=values))


def _integers(values: Any) -> tf.train.Feature:
  return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
