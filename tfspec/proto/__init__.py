"""The schema of the configuration; `tfspec.config` is its only reader."""
