"""The proof that training and serving agree, and what makes two configs differ.

Imports `export`, `data` and what is above them. Start at `verify`; `routes` has
the ways to compute a spectrogram that it compares.
"""
