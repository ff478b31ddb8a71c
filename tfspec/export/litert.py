"""The file that runs on phones and other devices, in LiteRT [1].

References:
  [1]: https://ai.google.dev/edge/litert
"""

import dataclasses
import hashlib
import io
import re
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import text_format

from tfspec import errors
from tfspec.config import SpectrogramConfig, messages
from tfspec.contract import archive, vectors
from tfspec.export import answers as answers_lib
from tfspec.export import litert_schema, process_state, sources
from tfspec.export.answers import Answers
from tfspec.export.sources import (
  ANSWERS_ASSET,
  CONFIG_ASSET,
  GOLDENS_ASSET,
  Source,
)
from tfspec.ops.engines import devices
from tfspec.spectrogram import Spectrogram, layouts
from tfspec.spectrogram import module as spectrogram_lib
from tfspec.storage import files

ENDING = ".tflite"

_FINGERPRINT_ASSET = "fingerprint.txt"
_SUM_ASSET = "sha256.txt"
# The sum is that of the file with this text in its place.
_NO_SUM = b"SHA-256 of this file with this text in its place".ljust(64, b".")
_SIGNATURE = "serving_default"
# The names of tfspec's metadata entries start with it.
_PREFIX = "tfspec/"
# The place in Python that a message of the converter names.
_LOCATION = re.compile(r"\S+:\d+:\d+: (error: )?")


@process_state.graphs_run()
def export_litert(
  source: SpectrogramConfig | Spectrogram | Any,
  path: files.Path,
  channels: int | None = None,
) -> None:
  """Writes a `.tflite` file that needs only LiteRT to run.

  Its signature `serving_default` takes `signals`, float32 `[batch, samples]`,
  and gives `spectrogram`, float32 in the layout of `tfspec.Spectrogram` for a
  batch, and `num_frames`, int32 `[batch]`. With `channels` the signals are
  `[batch, samples, channels]`, or with channels first
  `[batch, channels, samples]`. Batch and samples are free: the interpreter is
  resized to them. A Keras model returns its own outputs instead: `predictions`,
  or the names that it gives them.

  All operators are builtin ones, in float32. LiteRT has Fourier transforms of
  powers of two only. The kernel engine computes other lengths, with the same
  error bound, in a file as large as the kernels. `precision` has no effect:
  LiteRT on a CPU does not round the operands of products.

  The file carries the config, its fingerprint and its own SHA-256 sum. It also
  carries golden vectors of trained kernels, and predictions of a Keras model.
  With them `tfspec.verify` proves later that the file computes what it should.
  The file appears when it is complete.

  Args:
    source: What to export: a config; a `Spectrogram`, say with trained kernels;
      or a Keras model with one `tfspec.layers.STFTSpectrogram`, which takes a
      batch of signals. If it takes `lengths` too, all rows are whole.
    path: File that does not exist yet and ends in `.tflite`.
    channels: Channels of the signals, or None for mono without a channels axis.
      A Keras model has its own number.

  Raises:
    FileExistsError: If the path exists.
    TypeError: If the source is none of the three.
    ValueError: If the path or the channels break these rules, or a Keras model
      has other inputs, not one layer that makes spectrograms, or has what
      LiteRT cannot run.

  Example:
    >>> config = tfspec.SpectrogramConfig(fft_length=512)
    >>> tfspec.export_litert(config, "speech.tflite")
    >>> with open("speech.tflite", "rb") as file:
    ...   len(file.read()) < 20_000
    True
  """
  target = sources.check_new(path)
  if not target.endswith(ENDING):
    raise ValueError(f"path must end in {ENDING}. Got: {target}.")
  exported = sources.as_source(source, channels)
  with files.written_aside(target, "path", folder=False) as partial:
    program = _Program(exported)
    content = _with_metadata(_convert(program), _assets(exported))
    files.write_bytes(partial, content)


def load_config(path: files.Path) -> SpectrogramConfig:
  """Returns the config that a `.tflite` file carries.

  Raises:
    ValueError: If `export_litert` did not write the file, or the config is not
      the one that was exported.
  """
  stored = assets(path)
  try:
    proto = messages.parse(stored[CONFIG_ASSET], CONFIG_ASSET)
    config = SpectrogramConfig.from_proto(proto)
    fingerprint = stored[_FINGERPRINT_ASSET].decode()
  except KeyError as e:
    raise ValueError(
      f"{files.shown(path)}: the file must be one that tfspec.export_litert "
      f"wrote. Got: no {e.args[0]} in it."
    ) from e
  except (TypeError, ValueError) as e:
    raise ValueError(f"{files.shown(path)}: {e}") from e
  if config.fingerprint() != fingerprint:
    raise ValueError(
      f"{files.shown(path)}: the config must be the one that was exported. "
      f"Got: fingerprint {config.fingerprint()} of the config, {fingerprint} "
      f"in {_FINGERPRINT_ASSET}. A file of an older tfspec has to be exported "
      "again."
    )
  return config


def assets(path: files.Path) -> dict[str, bytes]:
  """Returns the assets of tfspec in a `.tflite` file, by name."""
  identifier = litert_schema.IDENTIFIER
  content = _read(path)
  try:
    if content[4:8] != identifier:
      raise ValueError(f"{content[4:8]!r} for {identifier!r}")
    model = litert_schema.root(content)
    found = {}
    for i in range(model.MetadataLength()):
      name = model.Metadata(i).Name().decode()
      if name.startswith(_PREFIX):
        buffer = model.Buffers(model.Metadata(i).Buffer())
        found[name.removeprefix(_PREFIX)] = buffer.DataAsNumpy().tobytes()
  except Exception as e:  # Whatever a damaged file makes the reader raise.
    raise ValueError(
      f"{files.shown(path)}: the file must be a {ENDING} file. Got: {e!r}."
    ) from e
  return found


def problems(path: files.Path) -> list[str]:
  """Returns a sentence if a `.tflite` file is not as it was written.

  Raises:
    ValueError: If `export_litert` did not write the file.
  """
  stored = assets(path).get(_SUM_ASSET, b"")
  if len(stored) != len(_NO_SUM):
    raise ValueError(
      f"{files.shown(path)}: the file must be one that tfspec.export_litert "
      f"wrote. Got: {len(stored)} bytes for the {len(_NO_SUM)} of {_SUM_ASSET}."
    )
  found = _sha256(_read(path).replace(stored, _NO_SUM))
  if found == stored:
    return []
  return [
    f"{files.shown(path)} must be as it was written. Got: SHA-256 "
    f"{found[:16].decode()}..., in {_SUM_ASSET} "
    f"{stored[:16].decode(errors='replace')!r}..."
  ]


def interpreter(path: files.Path) -> Any:
  """Returns a LiteRT interpreter of a file.

  Raises:
    ImportError: If ai-edge-litert is not installed.
    ValueError: If the file is damaged.
  """
  load = _interpreter_class()
  return load(model_content=_read(path))


def interpreter_of(spectrogram: Spectrogram) -> Any:
  """Returns a LiteRT interpreter of what a file of a spectrogram would hold.

  Raises:
    ImportError: If ai-edge-litert is not installed.
    ValueError: If it does not convert.
  """
  load = _interpreter_class()
  program = _Program(sources.as_source(spectrogram, None))
  return load(model_content=_convert(program))


def signals_shape(interpreter: Any) -> list[int | None]:
  """Returns the shape of the input `signals`, None where a size is free."""
  (details,) = interpreter.get_input_details()
  return [None if n < 0 else int(n) for n in details["shape_signature"]]


def run(interpreter: Any, signals: np.ndarray) -> dict[str, np.ndarray]:
  """Returns the outputs for a batch by name.

  It returns empty outputs too, as of clips shorter than a frame. LiteRT's own
  signature runner does not.

  Args:
    interpreter: What `interpreter` returned.
    signals: A batch, float32.
  """
  (details,) = interpreter.get_input_details()
  interpreter.resize_tensor_input(details["index"], signals.shape)
  interpreter.allocate_tensors()
  interpreter.set_tensor(details["index"], signals)
  interpreter.invoke()
  runner = interpreter.get_signature_runner(_SIGNATURE)
  outputs = {}
  for name, details in runner.get_output_details().items():
    shape = details["shape"]
    outputs[name] = (
      interpreter.get_tensor(details["index"])
      if np.all(shape)
      else np.zeros(shape, details["dtype"])
    )
  return outputs


def _interpreter_class() -> Any:
  try:
    from ai_edge_litert.interpreter import Interpreter
  except ImportError as e:
    raise errors.missing(
      "ai-edge-litert", "litert", f"to run {ENDING} files"
    ) from e
  return Interpreter


def _sha256(content: bytes) -> bytes:
  return hashlib.sha256(content).hexdigest().encode()


def _read(path: files.Path) -> bytes:
  return files.read_bytes(files.as_path(path))


class _Program(tf.Module):
  """What the file computes."""

  def __init__(self, exported: Source) -> None:
    super().__init__(name="tfspec")
    self._exported = exported
    self._config = _device_config(exported)
    self._variables = [*exported.spectrogram.kernels, *exported.variables]
    self._model = exported.model
    spec = tf.TensorSpec(exported.signals_shape, tf.float32, "signals")
    self.serve = tf.function(
      self._serve, autograph=False, input_signature=[spec]
    )

  def _serve(self, signals: tf.Tensor) -> dict[str, tf.Tensor]:
    signals = self._exported.with_channels(signals)
    if self._model is not None:
      return self._exported.predict(signals)
    values = spectrogram_lib.spectrogram(
      signals, self._config, self._exported.spectrogram.kernels
    )
    shape = tf.shape(values)
    frames = shape[layouts.time_axis(self._config)]
    return {"spectrogram": values, "num_frames": tf.fill([shape[0]], frames)}


def _device_config(exported: Source) -> SpectrogramConfig:
  """Returns the config with what LiteRT can run."""
  config = exported.spectrogram.config
  resolved = config.resolved()
  length = resolved.fft_length
  changes: dict[str, Any] = {}
  if config.precision != "default":
    changes["precision"] = "default"
  # The transform of one sample is silently wrong in LiteRT.
  if resolved.engine == "fft" and (length < 2 or length & (length - 1)):
    changes["engine"] = "kernel"
  if changes and exported.model is not None:
    wanted = ", ".join(f"{k}={v!r}" for k, v in changes.items())
    found = ", ".join(f"{k}={getattr(resolved, k)!r}" for k in changes)
    raise ValueError(
      f"The layer of the model must have {wanted} for LiteRT, which transforms "
      f"powers of two alone. Got: {found}, fft_length={length}."
    )
  return dataclasses.replace(config, **changes)


def _convert(program: _Program) -> bytes:
  """Returns the file without what tfspec adds to it."""
  with devices.for_litert():
    function = program.serve.get_concrete_function()
  converter = tf.lite.TFLiteConverter.from_concrete_functions(
    [function], program
  )
  converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
  # tfspec refuses them here, by their names.
  converter.allow_custom_ops = True
  try:
    content = converter.convert()
  except Exception as e:  # ConverterError, and whatever else it raises.
    raise ValueError(
      "The graph must convert to LiteRT. Got: "
      f"{_LOCATION.sub('', errors.first_line(e))}"
    ) from e
  model = litert_schema.parse(content)
  custom = [c.customCode for c in model.operatorCodes if c.customCode]
  if custom:
    names = ", ".join(sorted(name.decode() for name in custom))
    raise ValueError(
      f"All operators must be builtin ones of LiteRT. Got: {names}."
    )
  return content


def _with_metadata(content: bytes, entries: dict[str, bytes]) -> bytes:
  """Returns the file with what tfspec adds to it, and with its own sum."""
  schema = litert_schema.schema()
  model = litert_schema.parse(content)
  for name, value in {**entries, _SUM_ASSET: _NO_SUM}.items():
    buffer, metadata = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(value, np.uint8)
    metadata.name, metadata.buffer = _PREFIX + name, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), metadata]
  content = litert_schema.serialize(model)
  return content.replace(_NO_SUM, _sha256(content))


def _assets(exported: Source) -> dict[str, bytes]:
  """Returns what proves the file later."""
  config = exported.spectrogram.config
  text = text_format.MessageToString(config.to_proto())
  found = {
    CONFIG_ASSET: text.encode(),
    _FINGERPRINT_ASSET: config.fingerprint().encode(),
  }
  goldens = vectors.make(exported.spectrogram)
  if exported.model is not None:
    content = io.BytesIO()
    answers_lib.save(Answers(_answers(exported)), content)
    found[ANSWERS_ASSET] = content.getvalue()
  if config.trainable:  # Else they follow from the config.
    content = io.BytesIO()
    archive.save(goldens, config, content)
    found[GOLDENS_ASSET] = content.getvalue()
  return found


def _answers(exported: Source) -> list[answers_lib.Answer]:
  """Returns what a Keras model answers, to clips that LiteRT can run too."""
  least = answers_lib.least_samples(exported)
  config = exported.spectrogram.config
  # Of no frames, models that answer in TensorFlow may fail in LiteRT.
  least = max(least, config.frame_length)
  clips = answers_lib.clips(config, least, exported.samples)
  asked = answers_lib.make(exported, clips, least)
  found = [clip for clip in asked if clip.outputs is not None]
  if not found:
    raise ValueError(
      "The model must answer one of the clips that are asked. Got: none."
    )
  return found
