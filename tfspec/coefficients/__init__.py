"""Arrays and numbers that a config stands for, in NumPy float64 and integers.

Imports NumPy and SciPy alone. Start at `windows`; `fourier` has the kernels,
`framing` the number of frames, `rules` what arguments and fields must keep.
"""
