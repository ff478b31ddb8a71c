"""The operations: plain keywords in, tensors or arrays out."""
