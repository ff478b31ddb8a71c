"""What an error of TensorFlow says to a person."""

import re

import tensorflow as tf

# A failed check reads "... assertion failed: [the sentence]\n\t [[a node]] ...".
_ASSERTION = re.compile(r"assertion failed: \[(.*?)\]\s*(?:\[\[|$)", re.DOTALL)
_NODE = re.compile(r"^\{\{.*?\}\}\s*|\s*\[Op:\w+\].*$", re.DOTALL)


def sentence(error: tf.errors.OpError) -> str:
  """Returns the sentence of an error, without the graph around it."""
  found = _ASSERTION.search(error.message)
  if found:
    return found.group(1)
  return _NODE.sub("", error.message) or type(error).__name__
