"""The SHA-256 sums of the files of a folder, as `sha256sum -c` reads them."""

import hashlib
import os
import re

import tensorflow as tf

SUMS_FILE = "sha256sums.txt"
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")
_CHUNK = 1 << 20


def write(folder: str | os.PathLike[str]) -> None:
  """Writes the sums of all files in a folder and below it.

  Args:
    folder: The folder; its `sha256sums.txt`, if there is one, is replaced.
  """
  folder = os.fspath(folder)
  lines = [
    f"{_sha256(os.path.join(folder, path))}  {path}\n"
    for path in _files(folder)
  ]
  with tf.io.gfile.GFile(os.path.join(folder, SUMS_FILE), "w") as file:
    file.write("".join(lines))


def problems(folder: str | os.PathLike[str]) -> list[str]:
  """Returns a sentence for each file that is not as it was when sums were made.

  Args:
    folder: A folder that `write` was called for.

  Returns:
    The sentences; none if every file is as it was, and no other is there.
  """
  folder = os.fspath(folder)
  try:
    with tf.io.gfile.GFile(os.path.join(folder, SUMS_FILE), "rb") as file:
      lines = file.read().decode().splitlines()
  except (tf.errors.OpError, UnicodeDecodeError) as e:
    return [f"{SUMS_FILE} must be there and be text. Got: {type(e).__name__}."]
  sums = {}
  for line in lines:
    found = _LINE.fullmatch(line)
    if not found:
      return [f"{SUMS_FILE} must have a sum and a path a line. Got: {line!r}."]
    sums[found[2]] = found[1]
  present = set(_files(folder))
  result = [
    f"{path} must be in both the folder and {SUMS_FILE}. Got: only in "
    f"{'the folder' if path in present else SUMS_FILE}."
    for path in sorted(present ^ sums.keys())
  ]
  for path in sorted(present & sums.keys()):
    found = _sha256(os.path.join(folder, path))
    if found != sums[path]:
      result.append(
        f"{path} must be as it was written. Got: SHA-256 {found[:16]}..., in "
        f"{SUMS_FILE} {sums[path][:16]}..."
      )
  return result


def _files(folder: str) -> list[str]:
  """Returns the files in a folder and below it, as paths from there, sorted."""
  found = []
  for parent, _, names in tf.io.gfile.walk(folder):
    below = os.path.relpath(parent, folder)
    found += [os.path.normpath(os.path.join(below, name)) for name in names]
  return sorted(path for path in found if path != SUMS_FILE)


def _sha256(path: str) -> str:
  sha256 = hashlib.sha256()
  with tf.io.gfile.GFile(path, "rb") as file:
    while chunk := file.read(_CHUNK):
      sha256.update(chunk)
  return sha256.hexdigest()
