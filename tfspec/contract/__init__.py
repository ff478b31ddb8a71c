"""The float64 truth: what every route must give, and how exactly.

Imports `spectrogram` and what is above it. Start at `registry`, the goldens
that all tests run; `bounds` says how far a value may be off, `vectors` and
`archive` are the golden vectors that an export carries.
"""
