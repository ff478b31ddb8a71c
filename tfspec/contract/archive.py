"""Golden vectors in a file, as an export carries them."""

import io
import os
from typing import BinaryIO

import numpy as np
from google.protobuf import text_format

from tfspec.coefficients.rules import listed
from tfspec.config import SpectrogramConfig, messages
from tfspec.contract.vectors import Golden, clips
from tfspec.spectrogram import transform
from tfspec.storage import files

# Of the archive. Exports with the first one pad spectrograms with zeros.
_FORMAT = 2


def save(
  goldens: list[Golden],
  config: SpectrogramConfig,
  file: files.Path | BinaryIO,
) -> None:
  """Writes golden vectors, and their config, into a NumPy archive."""
  text = text_format.MessageToString(config.to_proto())
  arrays = {"format": np.array(_FORMAT), "config": np.array(text)}
  for golden in goldens:
    arrays[f"{golden.name}/signals"] = golden.signals
    for part, values in golden.parts.items():
      arrays[f"{golden.name}/{part}"] = values
  np.savez_compressed(file, **arrays)


def read_archive(
  file: files.Path | BinaryIO,
) -> dict[str, np.ndarray]:
  """Returns the arrays of a NumPy archive by name.

  Args:
    file: A path in any file system that TensorFlow reads, or an open file.
  """
  if isinstance(file, files.Path):
    file = io.BytesIO(files.read_bytes(files.as_path(file)))
  with np.load(file, allow_pickle=False) as arrays:
    return dict(arrays)


def load(
  file: files.Path | BinaryIO,
  config: SpectrogramConfig,
  name: str | None = None,
) -> list[Golden]:
  """Reads the golden vectors of a config.

  Args:
    file: A path, or an open file.
    config: The config.
    name: What errors call an open file.

  Raises:
    ValueError: If they are those of another config, or the file does not hold
      exactly the clips of the config, with finite transforms.
  """
  name = name or os.fspath(file)
  try:
    arrays = read_archive(file)
    version = int(arrays.pop("format", 1))
    text = str(arrays.pop("config")).encode()
    proto = messages.parse(text, "config.textproto")
    stored = SpectrogramConfig.from_proto(proto)
  except Exception as e:  # Whatever a damaged archive makes NumPy raise.
    raise ValueError(
      f"{name}: the file must hold golden vectors. Got: {e!r}."
    ) from e
  # Fields of the execution too: an export is as it was written, or damaged.
  if version != _FORMAT:
    raise ValueError(
      f"{name}: the export must be of this version of tfspec. Got: format "
      f"{version}, this is {_FORMAT}. Older exports have zeros behind the end "
      "of a clip: export again."
    )
  differences = {
    **config.differences(stored),
    **config.execution_differences(stored),
  }
  if differences:
    raise ValueError(
      "The config must be the one that was exported. Got: "
      f"{listed(differences, os.path.basename(name))}."
    )
  goldens = []
  names = transform.kernel_parts(config.mode)
  for clip, signals in clips(config).items():
    shape = (config.num_frames(len(signals)), config.num_bins)
    parts = {part: arrays.get(f"{clip}/{part}") for part in names}
    samples = arrays.get(f"{clip}/signals")
    if (
      samples is None
      or not np.array_equal(samples, signals)
      or any(values is None for values in parts.values())
      or any(values.shape != shape for values in parts.values())
      or not all(np.all(np.isfinite(values)) for values in parts.values())
    ):
      raise ValueError(
        f"{name}: the file must hold every clip of the config, as "
        f"it was made, with a finite transform. Got: {clip!r}, which is not."
      )
    goldens.append(Golden(clip, signals, parts))
  return goldens
