"""The wire format of protocol buffers, for messages without a class.

References:
  [1]: https://protobuf.dev/programming-guides/encoding/
"""


def varint(value: int) -> bytes:
  """Returns a number that is not negative, seven bits a byte."""
  content = b""
  while value > 127:
    content += bytes([value & 127 | 128])
    value >>= 7
  return content + bytes([value])


def field_start(number: int, size: int) -> bytes:
  """Returns what stands before the bytes of a field.

  Args:
    number: The number of the field, up to 15.
    size: How many bytes follow.
  """
  return bytes([number << 3 | 2]) + varint(size)


def field(number: int, content: bytes) -> bytes:
  """Returns a field: a message, a string, bytes, or packed numbers."""
  return field_start(number, len(content)) + content
