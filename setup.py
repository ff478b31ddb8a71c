"""Packaging of tfspec."""

import pathlib
import re

import setuptools

_ROOT = pathlib.Path(__file__).resolve().parent


def _version() -> str:
  """Reads `__version__` as text: importing tfspec would need TensorFlow."""
  text = (_ROOT / "tfspec" / "version.py").read_text(encoding="utf-8")
  match = re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
  if match is None:
    raise RuntimeError('tfspec/version.py has no line `__version__ = "..."`.')
  return match.group(1)


_PLOT = ["matplotlib"]
_LITERT = ["ai-edge-litert"]

# The check uses internals of jax, which change. It was tried with this Python
# alone; for others the extra is empty.
_TPU_CHECK = [
  'jax==0.10.2; python_version == "3.11"',
  'libtpu==0.0.52; python_version == "3.11"',
]

# The site of docs/.
_DOCS = ["mkdocs-material>=9.6,<10", "mkdocstrings[python]>=1,<2"]

# `ruff format` changes its mind between minor versions: keep it to one.
_TEST = [
  *_PLOT,
  *_LITERT,
  "grpcio-tools",
  "hypothesis",
  "mypy>=2,<3",
  "pytest",
  "pytest-xdist",
  "ruff>=0.17,<0.18",
  "soundfile",
]

setuptools.setup(
  name="tfspec",
  version=_version(),
  description=(
    "Spectrograms for TensorFlow: one config and one implementation for"
    " tf.data, the model and the SavedModel."
  ),
  long_description=(_ROOT / "README.md").read_text(encoding="utf-8"),
  long_description_content_type="text/markdown",
  license="Apache-2.0",
  license_files=["LICENSE"],
  packages=setuptools.find_packages(include=["tfspec", "tfspec.*"]),
  package_data={"tfspec": ["py.typed"], "tfspec.proto": ["*.proto"]},
  python_requires=">=3.10,<3.14",
  install_requires=[
    "absl-py",
    "numpy",
    "protobuf>=3.20.3",
    "scipy",
    "tensorflow>=2.16",
  ],
  extras_require={
    "docs": _DOCS,
    "litert": _LITERT,
    "plot": _PLOT,
    "test": _TEST,
    "tpu-check": _TPU_CHECK,
  },
  entry_points={"console_scripts": ["tfspec=tfspec.cli.main:run"]},
  classifiers=[
    "Development Status :: 4 - Beta",
    "Intended Audience :: Developers",
    "Intended Audience :: Science/Research",
    "License :: OSI Approved :: Apache Software License",
    "Programming Language :: Python :: 3",
    "Programming Language :: Python :: 3.10",
    "Programming Language :: Python :: 3.11",
    "Programming Language :: Python :: 3.12",
    "Programming Language :: Python :: 3.13",
    "Topic :: Multimedia :: Sound/Audio :: Analysis",
    "Topic :: Scientific/Engineering :: Artificial Intelligence",
  ],
  keywords="tensorflow keras spectrogram stft audio tpu",
)
