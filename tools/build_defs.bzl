"""The rules of tfspec's BUILD files.

All BUILD files load their rules from here, so that another version of Bazel
or of its Python rules changes this one file. TensorFlow, NumPy and the other
packages come from the Python on PATH and are not targets.
"""

# What pytest needs beside the file with the tests.
_PYTEST = [
    "//tests:__init__.py",
    "//tests:conftest.py",
    "//tests:pytest_main.py",
]

def tfspec_library(name, srcs, deps = [], data = [], visibility = None):
    """One folder of tfspec, or a helper of its tests.

    Args:
      name: The name of the folder, or of the helper.
      srcs: The files.
      deps: The targets of the tfspec folders that it imports, no more.
      data: Files that it reads.
      visibility: Who may use it; the package's default if None.
    """
    native.py_library(
        name = name,
        srcs = srcs,
        data = data,
        srcs_version = "PY3",
        visibility = visibility,
        deps = deps,
    )

def tfspec_test(name, srcs, deps = [], data = [], size = "medium"):
    """One pytest file; its tests marked `slow` do not run.

    Args:
      name: The file's name without its ending.
      srcs: The file with the tests.
      deps: The targets of the modules that it imports.
      data: Files that it reads.
      size: Of the time it may take; "medium" is five minutes.
    """
    native.py_test(
        name = name,
        size = size,
        srcs = srcs + _PYTEST,
        args = ["$(rootpath %s)" % srcs[0]],
        data = data,
        # The tests see the same packages as outside Bazel, and no others.
        legacy_create_init = False,
        main = "//tests:pytest_main.py",
        python_version = "PY3",
        srcs_version = "PY3",
        deps = deps,
    )
