"""The SHA-256 sums of the files of a folder, as `sha256sum -c` reads them."""

import hashlib
import os
import re

from tfspec.storage import files

SUMS_FILE = "sha256sums.txt"
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")
_CHUNK = 1 << 20


def write(folder: files.Path) -> None:
  """Writes the sums of all files in a folder and below it.

  Args:
    folder: The folder; its `sha256sums.txt`, if there is one, is replaced.
  """
  folder = files.as_path(folder)
  lines = [
    f"{_sha256(os.path.join(folder, path))}  {path}\n"
    for path in _files(folder)
  ]
  content = os.fsencode("".join(lines))
  files.write_bytes(os.path.join(folder, SUMS_FILE), content)


def problems(folder: str) -> list[str]:
  """Returns a sentence for each file that is not as it was when sums were made.

  Args:
    folder: A folder that `write` was called for.

  Returns:
    The sentences; none if every file is as it was, and no other is there.
  """
  try:
    content = files.read_bytes(os.path.join(folder, SUMS_FILE))
  except OSError as e:
    return [f"{SUMS_FILE} must be readable. Got: {type(e).__name__}."]
  sums = {}
  for line in content.splitlines():
    found = _LINE.fullmatch(os.fsdecode(line))
    if not found:
      return [f"{SUMS_FILE} must have a sum and a path a line. Got: {line!r}."]
    sums[found[2]] = found[1]
  present = set(_files(folder))
  result = [
    f"{files.shown(path)} must be in both the folder and {SUMS_FILE}. Got: "
    f"only in {'the folder' if path in present else SUMS_FILE}."
    for path in sorted(present ^ sums.keys())
  ]
  for path in sorted(present & sums.keys()):
    name = files.shown(path)
    try:
      actual = _sha256(os.path.join(folder, path))
    except OSError as e:
      result.append(f"{name} must be readable. Got: {type(e).__name__}.")
      continue
    if actual != sums[path]:
      result.append(
        f"{name} must be as it was written. Got: SHA-256 {actual[:16]}..., in "
        f"{SUMS_FILE} {sums[path][:16]}..."
      )
  return result


def _files(folder: str) -> list[str]:
  """Returns the files in a folder and below it, as paths from there, sorted."""
  return [path for path in files.below(folder) if path != SUMS_FILE]


def _sha256(path: str) -> str:
  sha256 = hashlib.sha256()
  with files.opened(path, "rb") as file:
    while chunk := file.read(_CHUNK):
      sha256.update(chunk)
  return sha256.hexdigest()
