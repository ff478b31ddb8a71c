"""Prepared spectrograms: TFRecord shards, their config and their manifest."""

import collections
import json
import math
import os
from typing import Any

import numpy as np
import tensorflow as tf

from tfspec.coefficients import rules
from tfspec.config import SpectrogramConfig, load_config
from tfspec.ops import tracing
from tfspec.spectrogram.layouts import time_axis
from tfspec.storage import files
from tfspec.storage.wire_format import field, field_start, varint

CONFIG_FILE = "config.textproto"
MANIFEST_FILE = "manifest.jsonl"
# A TFRecord file has a length and two checksums around each record.
_FRAME_BYTES = 16


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

  def write(self, content: bytearray) -> tuple[int, int]:
    """Writes one example.

    Returns:
      The number of its shard, and the bytes that it takes there.
    """
    if self._writer is None or self._size >= self._shard_bytes:
      self._close_shard()
      path = os.path.join(self._folder, _shard_name(self._shards, None))
      self._writer = tf.io.TFRecordWriter(files.encoded(path))
      self._shards += 1
      self._size = 0
    self._writer.write(content)
    self._size += len(content)
    return self._shards - 1, len(content) + _FRAME_BYTES

  def close(self) -> list[str]:
    """Closes the last shard, and returns the final names of all."""
    self._close_shard()
    names = []
    for shard in range(self._shards):
      names.append(_shard_name(shard, self._shards))
      files.rename(
        os.path.join(self._folder, _shard_name(shard, None)),
        os.path.join(self._folder, names[-1]),
      )
    return names

  def _close_shard(self) -> None:
    if self._writer is not None:
      self._writer.close()
      self._writer = None


def make_example(
  shape: tuple[int, ...], source: str, sample_rate_hz: int
) -> tuple[bytearray, np.ndarray]:
  """Returns a `tf.train.Example` in its wire format, and its values in there.

  It is built by hand: a `FloatList` takes its values one by one, and a message
  writes its features in an order that differs from process to process. So a
  spectrogram needs no room but that of its record.

  Args:
    shape: The shape of the spectrogram.
    source: The path of its audio file, which need not be text.
    sample_rate_hz: The sample rate of the clip.

  Returns:
    The bytes, and float32 zeros of the shape: writing to them changes those.
  """
  # The numbers are those of the fields in TensorFlow's example.proto and
  # feature.proto: a Feature has its BytesList in 1, FloatList 2, Int64List 3.
  small = {
    "sample_rate_hz": field(3, field(1, varint(sample_rate_hz))),
    "shape": field(3, field(1, b"".join(map(varint, shape)))),
    "source": field(1, field(1, os.fsencode(source))),
  }
  features = b"".join(
    field(1, field(1, key.encode()) + field(2, feature))
    for key, feature in small.items()
  )
  # The values come last. What stands before them is built from the inside out:
  # (field, what precedes it in its message).
  size = 4 * math.prod(shape)
  start = b""
  for number, before in (
    (1, b""),  # FloatList.value
    (2, b""),  # Feature.float_list
    (2, field(1, b"spectrogram")),  # The value of the map's entry.
    (1, features),  # Features.feature
    (1, b""),  # Example.features
  ):
    start = before + field_start(number, len(start) + size) + start
  content = bytearray(len(start) + size)
  content[: len(start)] = start
  values = np.frombuffer(content, "<f4", offset=len(start)).reshape(shape)
  return content, values


def read_examples(
  path: files.Path, config: SpectrogramConfig | None = None
) -> tf.data.Dataset:
  """Reads what `tfspec prepare` wrote.

  Args:
    path: The folder.
    config: The config that the reader expects, or None.

  Returns:
    A dataset of dicts, in the order of the manifest: "spectrogram" (float32, in
    the layout of the config), "source" (string, the path of the audio file
    below the input folder) and "sample_rate_hz" (int64). The number of bins is
    static if all clips have the same channels. A `tf.data` service may
    distribute the dataset with any sharding. Its cardinality is therefore
    unknown: a worker that counted its own examples would miss the others'.

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
  folder = files.as_path(path)
  stored = load_config(os.path.join(folder, CONFIG_FILE))
  differences = config.differences(stored) if config else {}
  if config and differences:
    raise ValueError(
      "config must be the one that the examples were made with. Got: "
      f"{rules.listed(differences, files.shown(folder))} (fingerprints "
      f"{config.fingerprint()}, {stored.fingerprint()})."
    )
  written = [row for row in read_manifest(folder) if row["status"] == "written"]
  paths = _shard_paths(folder, written)
  static = _common_shape([row["shape"] for row in written], stored)

  @tracing.as_written
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

  return tf.data.TFRecordDataset(paths).map(parse)


def _shard_paths(folder: str, written: list[dict[str, Any]]) -> list[bytes]:
  """Returns the paths of the shards in order, each of the size it must have.

  Reading fails at a damaged record, but does not notice a lost one.
  """
  if not all("record_bytes" in row for row in written):
    raise ValueError(
      f"{files.shown(folder)} must be of this version of tfspec. Got: no "
      f"record_bytes in {MANIFEST_FILE}, as in older ones: prepare it again."
    )
  sizes: collections.Counter[str] = collections.Counter()
  for row in written:
    sizes[row["shard"]] += row["record_bytes"]
  paths = []
  for shard, size in sorted(sizes.items()):
    path = os.path.join(folder, shard)
    found = files.size(path) if files.exists(path) else 0
    if found != size:
      raise ValueError(
        f"{files.shown(path)} must be as it was written. Got: {found} bytes, "
        f"in {MANIFEST_FILE} {size}."
      )
    paths.append(files.encoded(path))
  return paths


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
  content = files.read_bytes(os.path.join(folder, MANIFEST_FILE))
  return [json.loads(line) for line in content.splitlines()]


def _shard_name(shard: int, shards: int | None) -> str:
  total = "" if shards is None else f"-of-{shards:05d}"
  return f"spectrograms-{shard:05d}{total}.tfrecord"
