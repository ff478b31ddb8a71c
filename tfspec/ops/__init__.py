"""TensorFlow operations, one concept a file: plain keywords in, no config.

Imports `coefficients`. Start at `engines`, which compute the transform;
`padding_ops` stands before them, `spectrum_ops` behind.
"""
