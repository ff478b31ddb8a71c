"""What errors say to a person."""

import re

# A failed check reads "... assertion failed: [the sentence]\n [[a node]] ...".
_ASSERTION = re.compile(r"assertion failed: \[(.*?)\]\s*(?:\[\[|$)", re.DOTALL)
_NODE = re.compile(r"^\{\{.*?\}\}\s*|\s*\[Op:\w+\].*$", re.DOTALL)


def sentence(error: Exception) -> str:
  """Returns the sentence of an error, without the graph around it."""
  message = getattr(error, "message", str(error))  # Of TensorFlow's errors.
  found = _ASSERTION.search(message)
  if found:
    return found.group(1).replace("] [", "")
  return _NODE.sub("", message) or type(error).__name__


def first_line(error: Exception) -> str:
  """Returns the type of an error and the first line of what it says."""
  lines = str(error).splitlines()
  return f"{type(error).__name__}: {lines[0] if lines else ''}"


def missing(package: str, extra: str, purpose: str) -> ImportError:
  """Returns the error that tells how to install a package.

  Args:
    package: Its name in the package index.
    extra: The extra of tfspec in `setup.py` that has it.
    purpose: What it must be installed for.
  """
  return ImportError(
    f"{package} must be installed {purpose}. Run: pip install '.[{extra}]' in "
    f"a clone of tfspec, or pip install {package}"
  )
