"""The command line.

Imports everything, and TensorFlow only in the command that needs it. Start at
`main`.
"""
