"""Engines: real and imaginary parts of the windowed DFT of each frame.

All of them take signals `[..., samples]`, keep one error bound, and give zero
frames for clips that have none. Start at `fft`, `kernel` or `tpu`. `blockwise`
runs long signals in blocks and says how large these are, `partition` where they
are; `devices` knows what a graph is for.
"""
