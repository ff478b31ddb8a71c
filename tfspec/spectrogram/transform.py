"""The transform of a config: where its fields meet the operations."""

import functools
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfspec.coefficients import fourier, windows
from tfspec.config import SpectrogramConfig
from tfspec.ops import padding_ops, spectrum_ops
from tfspec.ops.engines import devices, fft, kernel, tpu

# The modes that are functions of real^2 + imag^2.
_POWER_MODES = ("log", "magnitude", "psd", "power")

FLOATS = (tf.float16, tf.bfloat16, tf.float32, tf.float64)


def stft(
  signals: tf.Tensor,
  frame_length: int = 256,
  frame_step: int | None = None,
  fft_length: int | None = None,
  window: str | tuple | None = "hann",
  periodic: bool = False,
  scaling: str | None = "density",
  padding: str = "valid",
  engine: str = "auto",
  precision: str = "default",
  pad_mode: str | None = None,
  pad_value: float | None = None,
  window_length: int | None = None,
  name: str | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
  """Returns the short-time Fourier transform as two real tensors.

  It is differentiable with respect to the signals, to any order, by
  `tf.GradientTape`, `tf.autodiff.ForwardAccumulator` and inside
  `tf.vectorized_map`.

  Args:
    signals: `[..., samples]`, float16, bfloat16, float32 or float64. The two
      short dtypes are computed in float32. There is no channels axis: rank 2 is
      a batch, `[batch, samples]`, other than for `Spectrogram`.
    frame_length: Samples in a frame.
    frame_step: Samples between the starts of two frames. None: half of
      `frame_length`.
    fft_length: Length of the transform in samples, at least `frame_length`.
      None: the smallest power of two that is.
    window: A name or tuple for `scipy.signal.get_window`, `window_length`
      values, or None.
    periodic: True for a periodic window, False for a symmetric one.
    scaling: "density", "spectrum" or None; see `SpectrogramConfig`.
    padding: "valid", "same" or "center".
    engine: "kernel", "fft", or "auto", which is fft here.
    precision: "default", "high" or "highest", for the kernel engine.
    pad_mode: What "center" adds: "reflect" (as None) or "constant".
    pad_value: The sample that "constant" adds; None: 0.0.
    window_length: Samples in the window, which stands in the middle of its
      frame; None: `frame_length`.
    name: Name scope of the operation.

  Returns:
    The real and the imaginary part, each `[..., num_frames, num_bins]`, of the
    dtype of `signals`. Entry `[m, k]` belongs to the frame that starts at
    sample `m * frame_step` ("valid" padding) and to the frequency
    `k / fft_length` cycles per sample.

  Raises:
    ValueError: If an argument breaks a rule; see `SpectrogramConfig`.
    TypeError: If the signals are not of a floating-point dtype.

  Example:
    >>> real, imag = tfspec.stft(tf.ones([1024]), frame_length=512)
    >>> real.shape, imag.shape
    (TensorShape([3, 257]), TensorShape([3, 257]))
  """
  config = SpectrogramConfig(
    mode="stft",
    frame_length=frame_length,
    frame_step=frame_step,
    fft_length=fft_length,
    window=window,
    periodic=periodic,
    scaling=scaling,
    padding=padding,
    engine=engine,
    precision=precision,
    pad_mode=pad_mode,
    pad_value=pad_value,
    window_length=window_length,
  )
  with tf.name_scope(name or "stft"):
    signals = check_dtype(signals)
    if signals.shape.rank is None or signals.shape.rank < 1:
      raise ValueError(
        "signals must have rank 1 or more. Got: "
        f"shape={shape_text(signals.shape)}."
      )
    real, imag = apply(
      widen(signals), config, [], lambda parts: (parts["real"], parts["imag"])
    )
    return tf.cast(real, signals.dtype), tf.cast(imag, signals.dtype)


def apply(
  signals: tf.Tensor,
  config: SpectrogramConfig,
  kernels: list[tf.Tensor],
  finish: Callable[[dict[str, tf.Tensor]], tuple[tf.Tensor, ...]],
  lengths: tf.Tensor | None = None,
) -> tuple[tf.Tensor, ...]:
  """Returns what `finish` makes of the parts of the transform.

  The signals are `[..., samples]`, with lengths `[batch, channels, samples]`.
  The parts have the names that the mode needs; they are
  `[..., num_frames, num_bins]`, of all frames or of a block. Where that is all
  that the mode needs, there may be their "power" instead.
  """
  config = config.resolved()
  signals, padding = _pad(signals, config, lengths)
  if config.engine == "fft":
    return fft.fft(
      signals,
      tf.constant(config.window_values(), signals.dtype),
      config.frame_step,
      config.fft_length,
      padding,
      lambda real, imag: finish({"real": real, "imag": imag}),
    )
  parts = kernel_parts(config.mode)
  if kernels:
    matrices = [tf.cast(k, signals.dtype)[:, 0, :] for k in kernels]
  else:
    matrices = [tf.constant(_kernels(config)[p], signals.dtype) for p in parts]
  arguments = signals, matrices, config.frame_step, padding, config.precision

  def finish_parts(*values: tf.Tensor) -> tuple[tf.Tensor, ...]:
    return finish(dict(zip(parts, values, strict=True)))

  if not devices.is_tpu():
    flat = windows.is_flat(config.window_values())
    return kernel.kernel(*arguments, flat, finish_parts)
  if config.mode in _POWER_MODES:
    return finish({"power": tpu.power(*arguments)})
  return finish_parts(*tpu.kernel(*arguments))


def apply_mode(
  parts: dict[str, tf.Tensor], config: SpectrogramConfig
) -> tf.Tensor:
  """Returns the values of the config's mode, `[..., num_features]`."""
  config = config.resolved()
  if config.mode in ("real", "imag"):
    return parts[config.mode]
  if config.mode == "angle":
    return spectrum_ops.angle(parts["real"], parts["imag"])
  if config.mode == "stft":
    return spectrum_ops.stft(parts["real"], parts["imag"])
  power = parts.get("power")
  if power is None:
    power = spectrum_ops.power(parts["real"], parts["imag"])
  if config.mode == "power":
    return power
  if config.mode == "psd":
    return spectrum_ops.psd(power, config.fft_length)
  if config.mode == "log":
    return spectrum_ops.log(power, config.floor)
  return spectrum_ops.magnitude(power, config.floor)


def kernel_parts(mode: str) -> tuple[str, ...]:
  """Returns which kernels a mode needs: "real", "imag" or both."""
  return (mode,) if mode in ("real", "imag") else ("real", "imag")


def initial_kernel(config: SpectrogramConfig, part: str) -> np.ndarray:
  """Returns the Fourier kernel of a config in the layout of Keras.

  Args:
    config: The config.
    part: "real" or "imag".

  Returns:
    Float64 `[frame_length, 1, num_bins]`.
  """
  return _kernels(config)[part][:, np.newaxis, :]


@functools.lru_cache(maxsize=2)
def _kernels(config: SpectrogramConfig) -> dict[str, np.ndarray]:
  real, imag = fourier.fourier_kernels(
    config.window_values(), config.resolved().fft_length
  )
  real.setflags(write=False)
  imag.setflags(write=False)
  return {"real": real, "imag": imag}


def _pad(
  signals: tf.Tensor, config: SpectrogramConfig, lengths: tf.Tensor | None
) -> tuple[tf.Tensor, str]:
  """Returns padded signals, and the padding that is left to the engine."""
  length, padding = config.frame_length, config.padding
  if lengths is not None:
    if padding == "same" or config.pad_mode == "reflect":
      placed = padding_ops.place(
        signals, lengths, length, config.frame_step, padding
      )
      return placed, "valid"
    signals = padding_ops.fill(signals, lengths, config.pad_value or 0.0)
  if padding == "center":
    signals = padding_ops.center(
      signals, length, config.pad_mode, config.pad_value
    )
    padding = "valid"
  return signals, padding


def check_dtype(signals: tf.Tensor) -> tf.Tensor:
  """Returns the signals as a tensor, which must be of a dtype of `FLOATS`."""
  if isinstance(signals, tf.RaggedTensor | tf.SparseTensor):
    raise TypeError(
      f"signals must be a dense tensor. Got: {type(signals).__name__}."
    )
  signals = tf.convert_to_tensor(signals)
  if signals.dtype not in FLOATS:
    hint = ""
    if signals.dtype.is_integer and signals.dtype.min < 0:
      hint = (
        " Cast integer samples first, and divide them by the scale of the "
        "recording, which their dtype does not tell: tf.cast(signals, "
        "tf.float32) / 2.0**15 if it had 16 bits, / 2.0**31 if it had 32."
      )
    raise TypeError(
      "signals must be float16, bfloat16, float32 or float64. Got: "
      f"{signals.dtype.name}.{hint}"
    )
  return signals


def widen(signals: tf.Tensor) -> tf.Tensor:
  """Casts the short dtypes to float32, in which they are computed."""
  if signals.dtype in (tf.float16, tf.bfloat16):
    return tf.cast(signals, tf.float32)
  return signals


def shape_text(shape: tf.TensorShape) -> str:
  """Returns a shape as the errors show it."""
  return "unknown" if shape.rank is None else str(shape.as_list())
