"""The version of tfspec."""

__version__ = "0.1.0"
