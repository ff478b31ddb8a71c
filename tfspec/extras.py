"""What to say where a package is missing that not every user needs."""


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
