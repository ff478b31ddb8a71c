"""Golden vectors in a file, as an export carries them."""

import io
import os
from typing import Any, BinaryIO

import numpy as np
from google.protobuf import text_format

from tfspec.coefficients.rules import listed
from tfspec.config import SpectrogramConfig, messages
from tfspec.contract.vectors import GoldenVector, clips
from tfspec.spectrogram import transform
from tfspec.storage import files

# The format of the archive. Exports of format 1 pad with zeros.
_FORMAT = 2


def save(
  goldens: list[GoldenVector],
  config: SpectrogramConfig,
  file: str | BinaryIO,
) -> None:
  """Writes golden vectors, and their config, into a NumPy archive."""
  text = text_format.MessageToString(config.to_proto())
  arrays: dict[str, Any] = {
    "format": np.array(_FORMAT),
    "config": np.array(text),
  }
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
) -> list[GoldenVector]:
  """Reads the golden vectors of a config.

  Args:
    file: A path, or an open file.
    config: The config.
    name: What errors call an open file.

  Raises:
    ValueError: If they are those of another config, or the file does not hold
      exactly the clips of the config, with finite transforms.
  """
  if not name:
    name = files.shown(file) if isinstance(file, files.Path) else str(file)
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
  # Compares execution fields too: an export is as it was written, or damaged.
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
  names += ("energy",) if config.has_energy else ()
  for clip, signals in clips(config).items():
    frames = config.num_transformed(len(signals))
    shapes = {name: (frames, config.num_bins) for name in names}
    shapes["energy"] = (frames, 2)
    keys = {part: f"{clip}/{part}" for part in names}
    parts = {part: arrays[key] for part, key in keys.items() if key in arrays}
    samples = arrays.get(f"{clip}/signals")
    if (
      samples is None
      or not np.array_equal(samples, signals)
      or len(parts) < len(names)
      or any(values.shape != shapes[n] for n, values in parts.items())
      or not all(np.all(np.isfinite(values)) for values in parts.values())
    ):
      raise ValueError(
        f"{name}: the file must hold every clip of the config, as "
        f"it was made, with a finite transform. Got: {clip!r}, which is not."
      )
    goldens.append(GoldenVector(clip, signals, parts))
  return goldens
