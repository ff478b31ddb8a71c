"""Configs in files: text, binary and JSON."""

from tfspec.config import messages
from tfspec.config.spectrogram_config import SpectrogramConfig
from tfspec.storage import files


def load_config(path: files.Path) -> SpectrogramConfig:
  """Reads a config from a file.

  Args:
    path: A file that ends in `.textproto` or `.pbtxt` (text), `.binpb` or `.pb`
      (binary), or `.json`.

  Returns:
    The config.

  Raises:
    ValueError: If the file is not a valid config; the message starts with its
      path.
    OSError: If the file cannot be read.

  Example:
    >>> config = load_config("speech.textproto")
    >>> config.frame_length, config.sample_rate_hz
    (200, 8000)
  """
  path = files.as_path(path)
  content = files.read_bytes(path)
  try:
    return SpectrogramConfig.from_proto(messages.parse(content, path))
  except (TypeError, ValueError) as e:
    raise ValueError(f"{files.shown(path)}: {e}") from e


def save_config(config: SpectrogramConfig, path: files.Path) -> None:
  """Writes a config to a file that `load_config` reads.

  Args:
    config: The config.
    path: Where to write; the ending chooses the format, see `load_config`.

  Raises:
    ValueError: If the ending is none of these.
    OSError: If the file cannot be written.

  Example:
    >>> save_config(SpectrogramConfig(mode="psd"), "psd.textproto")
    >>> load_config("psd.textproto").mode
    'psd'
  """
  messages.write(config.to_proto(), files.as_path(path))
