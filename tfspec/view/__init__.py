"""Pictures of spectrograms.

Imports `config` and `storage`; matplotlib only where it draws. Start at `plot`.
"""
