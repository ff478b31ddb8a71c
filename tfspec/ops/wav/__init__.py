"""WAV files in a graph.

Start at `decoding`; `headers` reads the header, `chunks` the chain of chunks.
"""
