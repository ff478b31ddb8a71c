"""The SavedModel that TF Serving loads."""

import os
import tempfile
import uuid

import tensorflow as tf

from tfspec import goldens as goldens_lib
from tfspec import spectrogram as spectrogram_lib
from tfspec.config import SpectrogramConfig, save_config
from tfspec.ops import length_ops
from tfspec.spectrogram import Spectrogram

CONFIG_ASSET = "config.textproto"
GOLDENS_ASSET = "goldens.npz"


def export_saved_model(
  config: SpectrogramConfig | Spectrogram,
  path: str | os.PathLike[str],
  channels: int | None = None,
) -> None:
  """Writes a spectrogram as a SavedModel that needs only TensorFlow to run.

  | signature | input | output |
  |---|---|---|
  | `serving_default` | `signals`, float32 `[batch, samples]` | `spectrogram` |
  | `wav` | `wav_bytes`, string `[batch]` | `spectrogram`, `num_frames` |

  With `channels` the signals are `[batch, samples, channels]`, or with channels
  first `[batch, channels, samples]`. Batch and samples are free. `spectrogram`
  is float32, in the layout of `tfspec.Spectrogram` for a batch. Of `wav` each
  row is what its file gives alone; beyond its `num_frames`, int32 `[batch]`, a
  row is zero. A file that cannot be read, or has other channels or another
  sample rate than the config, fails the request with INVALID_ARGUMENT and a
  sentence that says why.

  The assets are the config, `config.textproto`, and golden vectors,
  `goldens.npz`, with which `tfspec.verify` proves later that the model computes
  what it did here. The folder appears when it is complete.

  All operations are stock ones. A `precision` other than "default" brings in
  one of XLA, which a server must have linked in.

  Args:
    config: What to export; a `Spectrogram` where kernels were trained.
    path: Folder that does not exist yet, such as "models/speech/1".
    channels: Channels of the signals, or None for mono without a channels axis.

  Raises:
    FileExistsError: If the path exists.
    ValueError: If `channels` is less than 1.

  Example:
    >>> config = tfspec.SpectrogramConfig()
    >>> tfspec.export_saved_model(config, "models/speech/1")
    >>> served = tf.saved_model.load("models/speech/1")
    >>> serve = served.signatures["serving_default"]
    >>> serve(signals=tf.zeros([2, 16000]))["spectrogram"].shape
    TensorShape([2, 124, 129])
  """
  if channels is not None and channels < 1:
    raise ValueError(f"channels must be at least 1. Got: channels={channels}.")
  target = os.fspath(path).rstrip("/")
  if tf.io.gfile.exists(target):
    raise FileExistsError(
      f"path must not exist yet: exports are never overwritten. Got: {target}."
    )
  spectrogram = (
    config if isinstance(config, Spectrogram) else Spectrogram(config)
  )
  # TF Serving takes only folders whose name is a number for versions.
  partial = f"{target}.partial-{uuid.uuid4().hex[:8]}"
  try:
    with tempfile.TemporaryDirectory() as folder:
      config_path = os.path.join(folder, CONFIG_ASSET)
      save_config(spectrogram.config, config_path)
      goldens_path = os.path.join(folder, GOLDENS_ASSET)
      goldens_lib.save(
        goldens_lib.make(spectrogram),
        spectrogram.config.fingerprint(),
        goldens_path,
      )
      model = _Servable(spectrogram, channels, (config_path, goldens_path))
      signatures = {"serving_default": model.serve, "wav": model.wav}
      tf.saved_model.save(model, partial, signatures)
    try:
      tf.io.gfile.rename(partial, target)
    except tf.errors.AlreadyExistsError as e:
      raise FileExistsError(f"path must not exist yet. Got: {target}.") from e
  except BaseException:
    if tf.io.gfile.exists(partial):
      tf.io.gfile.rmtree(partial)
    raise


class _Servable(tf.Module):
  """What is saved: the spectrogram, its signatures and its assets."""

  def __init__(
    self,
    spectrogram: Spectrogram,
    channels: int | None,
    assets: tuple[str, ...],
  ) -> None:
    super().__init__(name="tfspec")
    self.spectrogram = spectrogram
    self.assets = [tf.saved_model.Asset(path) for path in assets]
    config = spectrogram.config
    shape = [None, None]
    if channels is not None:
      last = config.data_format == "channels_last"
      shape = [None, None, channels] if last else [None, channels, None]
    signals = tf.TensorSpec(shape, tf.float32, name="signals")
    wav_bytes = tf.TensorSpec([None], tf.string, name="wav_bytes")

    @tf.function(input_signature=[signals])
    def serve(signals: tf.Tensor) -> dict[str, tf.Tensor]:
      if channels is None:
        axis = 2 if config.data_format == "channels_last" else 1
        signals = tf.expand_dims(signals, axis)
      return {"spectrogram": spectrogram(signals)}

    @tf.function(input_signature=[wav_bytes])
    def wav(wav_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
      return _wav_batch(spectrogram, channels or 1, wav_bytes)

    self.serve = serve
    self.wav = wav


def _wav_batch(
  spectrogram: Spectrogram, channels: int, wav_bytes: tf.Tensor
) -> dict[str, tf.Tensor]:
  """Decodes and transforms each file by itself, and pads the results."""
  config = spectrogram.config.resolved()
  last = config.data_format == "channels_last"

  def decode(contents: tf.Tensor) -> tf.Tensor:
    signals, _ = spectrogram_lib.decode_wav(contents, config, channels)
    # Samples first, since only the first axis can be ragged.
    return signals if last else tf.transpose(signals)

  clips = tf.map_fn(
    decode,
    wav_bytes,
    fn_output_signature=tf.RaggedTensorSpec(
      [None, channels], tf.float32, ragged_rank=0
    ),
  )
  # One clip without samples more, whose result is dropped: the results of no
  # clip at all could not be stacked, and have lost their channels.
  lengths = tf.concat([clips.row_lengths(), [0]], 0)
  samples = tf.reshape(clips.values, [tf.reduce_sum(lengths), channels])
  clips = tf.RaggedTensor.from_row_lengths(samples, lengths)
  num_frames = length_ops.num_frames(
    tf.cast(lengths, tf.int32),
    config.frame_length,
    config.frame_step,
    config.padding,
    tf.maximum,
  )
  most = tf.reduce_max(num_frames)
  axis = spectrogram_lib.time_axis(config)

  def transform(clip: tf.Tensor) -> tf.Tensor:
    signals = clip if last else tf.transpose(clip)
    values = spectrogram(signals[tf.newaxis])
    missing = most - tf.shape(values)[axis]
    paddings = [[0, 0]] * values.shape.rank
    paddings[axis] = [0, missing]
    return tf.pad(values, paddings)[0]

  shape = [None, channels * config.num_features]
  if config.expand_dims:
    shape = [None, config.num_features, channels]
    if not last:
      shape = [channels, None, config.num_features]
  elif not last:
    shape = shape[::-1]
  values = tf.map_fn(
    transform, clips, fn_output_signature=tf.TensorSpec(shape, tf.float32)
  )
  return {"spectrogram": values[:-1], "num_frames": num_frames[:-1]}
