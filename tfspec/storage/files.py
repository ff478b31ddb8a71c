"""Files and folders: local, or in any file system that TensorFlow knows.

Every path of the API and of the command line passes through `as_path`. A path
is text from there on; `os.fsdecode` puts the bytes of a local name that is no
UTF-8 into it. TensorFlow is imported for remote paths alone.
"""

import contextlib
import errno
import os
import re
import shutil
from collections.abc import Iterator
from typing import Any, BinaryIO, Literal

Path = str | bytes | os.PathLike  # type: ignore[type-arg]

# TensorFlow's files in memory. This module works around their faults.
_RAM = "ram://"
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/(/?)")


def as_path(path: Path) -> str:
  """Returns a path as text.

  Args:
    path: A str, bytes or `os.PathLike`: a local path, or one such as
      "gs://bucket/folder" with a scheme.

  Raises:
    ValueError: If TensorFlow does not know the scheme, or `pathlib` has made
      one slash of the two behind it.
  """
  text = os.fsdecode(path).removeprefix("file://")
  scheme = _SCHEME.match(text)
  if not scheme:
    return text
  if not scheme[2]:
    raise ValueError(
      f"path must have two slashes behind {scheme[1]}:, which pathlib takes "
      f"away: give a str. Got: {shown(text)}. A local folder of that name is "
      f"./{scheme[1]}:."
    )
  import tensorflow as tf

  known = sorted(set(tf.io.gfile.get_registered_schemes()) - {"", "file"})
  if scheme[1] not in known:
    raise ValueError(
      f"path must be local or have a scheme that TensorFlow knows: "
      f"{', '.join(known)}; packages such as tensorflow-io add others when "
      f"they are imported. Got: {shown(text)}."
    )
  return text


def is_remote(path: str) -> bool:
  """Returns whether a path has a scheme."""
  return _SCHEME.match(path) is not None


def encoded(path: str) -> bytes:
  """Returns a path as the operations of TensorFlow take it."""
  return os.fsencode(path)


def shown(path: Path) -> str:
  r"""Returns a path as it can be printed: "\xff" for a byte that is no text."""
  return os.fsencode(path).decode(errors="backslashreplace")


def check_text(path: str) -> None:
  """Refuses a path that is no UTF-8.

  Raises:
    ValueError: If it is none.
  """
  try:
    path.encode()
  except UnicodeEncodeError as e:
    raise ValueError(f"path must be UTF-8. Got: {shown(path)}.") from e


def check_new(path: Path, name: str) -> str:
  """Returns the path of something new.

  Args:
    path: The path. There must be nothing yet, not even a link.
    name: What errors call it.

  Raises:
    FileExistsError: If there is something.
    NotADirectoryError: If the path above it is no folder.
    PermissionError: If that folder cannot be written to.
    ValueError: See `as_path`.
  """
  target = as_path(path)
  target = target.rstrip("/") or target
  if exists(target) or os.path.lexists(target):
    raise FileExistsError(
      f"{name} must not exist yet: nothing is overwritten. Got: "
      f"{shown(target)}."
    )
  if not is_remote(target):
    parent = os.path.dirname(os.path.abspath(target))
    while not os.path.lexists(parent):
      parent = os.path.dirname(parent)
    _check_parent(parent, name, target)
  return target


def check_writable(path: Path, name: str) -> str:
  """Returns the path of a file that is to be written, perhaps anew.

  Args:
    path: The path.
    name: What errors call it.

  Raises:
    IsADirectoryError: If it is a folder.
    NotADirectoryError: If its folder does not exist.
    PermissionError: If it or its folder cannot be written to.
    ValueError: See `as_path`.
  """
  target = as_path(path)
  if is_folder(target):
    raise IsADirectoryError(
      f"{name} must be a file. Got: {shown(target)}, a folder."
    )
  if not is_remote(target):
    real = os.path.realpath(target)  # A link is written through.
    _check_parent(os.path.dirname(real), name, target)
    if os.path.exists(real) and not os.access(real, os.W_OK):
      raise PermissionError(f"{name} must be writable. Got: {shown(target)}.")
  return target


def _check_parent(parent: str, name: str, target: str) -> None:
  rule = f"{name} must be in a folder that can be written to. Got: "
  if not os.path.isdir(parent):
    raise NotADirectoryError(
      f"{rule}{shown(target)}, and {shown(parent)} is no folder."
    )
  if not os.access(parent, os.W_OK | os.X_OK):
    raise PermissionError(f"{rule}{shown(target)}, and {shown(parent)} cannot.")


def exists(path: str) -> bool:
  """Returns whether there is a file or folder."""
  if not is_remote(path):
    return os.path.exists(path)
  with _gfile(path) as gfile:
    if not path.startswith(_RAM):
      return gfile.exists(path)
    # In `ram://` the beginning of a name exists too.
    parent, _, name = path.rstrip("/").rpartition("/")
    return gfile.exists(path) and name in gfile.listdir(f"{parent}/")


def is_folder(path: str) -> bool:
  """Returns whether there is a folder."""
  if not is_remote(path):
    return os.path.isdir(path)
  with _gfile(path) as gfile:
    return gfile.isdir(path) and exists(path)


def size(path: str) -> int:
  """Returns the bytes of a file.

  Raises:
    OSError: If there is none.
  """
  if not is_remote(path):
    return os.path.getsize(path)
  with _gfile(path) as gfile:
    return gfile.stat(path).length


@contextlib.contextmanager
def opened(path: str, mode: Literal["rb", "wb"]) -> Iterator[BinaryIO]:
  """Opens a file.

  Args:
    path: The file.
    mode: "rb" or "wb".

  Raises:
    OSError: If it cannot be opened, read or written.
  """
  if not is_remote(path):
    with open(path, mode) as file:
      yield file
  else:
    with _gfile(path) as gfile, gfile.GFile(path, mode) as file:
      yield file


def read_bytes(path: str, most: int = -1, start: int = 0) -> bytes:
  """Returns the bytes of a file, or some of them.

  Args:
    path: The file.
    most: How many bytes to read at most; -1: all.
    start: Where to begin.

  Raises:
    OSError: If it cannot be read.
  """
  with opened(path, "rb") as file:
    if start:
      file.seek(start)
    return file.read(most)


def write_bytes(path: str, content: bytes) -> None:
  """Writes a file, over one that may be there.

  Raises:
    OSError: If it cannot be written.
  """
  if path.startswith(_RAM) and exists(path):  # TensorFlow would append.
    _remove_file(path)
  with opened(path, "wb") as file:
    file.write(content)


def make_folder(path: str) -> None:
  """Makes a folder that is not there yet, and those above it.

  If two processes make a local folder at the same time, one fails.

  Raises:
    FileExistsError: If there is something at the path.
    OSError: If it cannot be made.
  """
  if not is_remote(path):
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    os.mkdir(path)
    return
  with _gfile(path) as gfile:
    if exists(path):
      raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
    gfile.makedirs(path)


def _make_file(path: str) -> None:
  """Makes an empty file, and the folders above it: see `make_folder`."""
  if not is_remote(path):
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    open(path, "xb").close()
    return
  if exists(path):
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
  write_bytes(path, b"")


def _remove_file(path: str) -> None:
  if not is_remote(path):
    os.remove(path)
    return
  with _gfile(path) as gfile:
    gfile.remove(path)


def remove_folder(path: str) -> None:
  """Removes a folder and all that is in it."""
  if not is_remote(path):
    shutil.rmtree(path)
    return
  with _gfile(path) as gfile:
    gfile.rmtree(path)


def rename(source: str, target: str) -> None:
  """Renames a file or folder.

  Raises:
    FileExistsError: If there is something at the new path.
    OSError: If it cannot be renamed.
  """
  if exists(target):
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target)
  if not is_remote(source):
    os.rename(source, target)
    return
  with _gfile(source) as gfile:
    if source.startswith(_RAM) and gfile.isdir(source):
      # In `ram://` the files in a folder do not move with it.
      for path in below(source):
        moved = os.path.join(target, path)
        gfile.makedirs(os.path.dirname(moved))
        gfile.rename(os.path.join(source, path), moved)
      gfile.rmtree(source)
    else:
      gfile.rename(source, target, overwrite=True)


@contextlib.contextmanager
def written_aside(target: str, name: str, folder: bool = True) -> Iterator[str]:
  """Gives a path to write to, which becomes the target at the end.

  The target appears when it is complete. A failure leaves nothing behind. If
  two processes write one local target at the same time, the second fails before
  its work begins.

  Args:
    target: What `check_new` returned.
    name: What errors call it.
    folder: Whether it is a folder, which is made, or a file.

  Raises:
    FileExistsError: If another is writing it, or it came to exist meanwhile.
    OSError: If it cannot be written.
  """
  partial = f"{target}.partial"
  try:
    if folder:
      make_folder(partial)
    else:
      _make_file(partial)
  except FileExistsError as e:
    raise FileExistsError(
      f"{name} must be written by one process at a time. Got: {shown(partial)} "
      "exists. If none is at work, one was killed: delete that."
    ) from e
  try:
    yield partial
    check_new(target, name)
    rename(partial, target)
  except BaseException:
    with contextlib.suppress(OSError):
      remove_folder(partial) if folder else _remove_file(partial)
    raise


def below(folder: str) -> list[str]:
  """Returns all files in a folder and below it.

  Returns:
    Paths from the folder, sorted. They include links to folders, and local
    folders that cannot be listed.
  """
  found = []
  if is_remote(folder):
    with _gfile(folder) as gfile:
      for parent, _, names in gfile.walk(folder):
        found += [os.path.join(parent, name) for name in names]
  else:
    closed = []
    for parent, folders, names in os.walk(
      folder, onerror=lambda e: closed.append(e.filename)
    ):
      links = [n for n in folders if os.path.islink(os.path.join(parent, n))]
      found += [os.path.join(parent, name) for name in [*names, *links]]
    found += closed
  return sorted(os.path.relpath(path, folder) for path in found)


@contextlib.contextmanager
def _gfile(path: str) -> Iterator[Any]:
  """Gives `tf.io.gfile`, and makes its errors those of local files."""
  import tensorflow as tf

  try:
    yield tf.io.gfile
  except tf.errors.OpError as e:
    numbers = {
      tf.errors.NOT_FOUND: errno.ENOENT,
      tf.errors.ALREADY_EXISTS: errno.EEXIST,
      tf.errors.PERMISSION_DENIED: errno.EACCES,
    }
    number = numbers.get(e.error_code, errno.EIO)
    raise OSError(number, e.message or os.strerror(number), path) from e
