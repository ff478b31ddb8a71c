"""The short-time Fourier transform, with the engine that suits the device."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfspec.coefficients import fourier, framing, rules, windows
from tfspec.ops import check_ops, padding_ops, shape_ops, stages, tracing
from tfspec.ops.engines import devices, fft, kernel, tpu


@tracing.as_written
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
    padding: "valid", "same", "center" or "hop_center".
    engine: "kernel", "fft", or "auto", which is fft here.
    precision: "default", "high" or "highest", for the kernel engine.
    pad_mode: What the last two add: "reflect", "symmetric" or "constant"; see
      `SpectrogramConfig`.
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
    TypeError: If an argument is of the wrong type, or the signals are not of a
      floating-point dtype.

  Example:
    >>> real, imag = tfspec.stft(tf.ones([1024]), frame_length=512)
    >>> real.shape, imag.shape
    (TensorShape([3, 257]), TensorShape([3, 257]))
  """
  frame_length = _length("frame_length", frame_length, rules.MAX_FFT_LENGTH)
  if frame_step is None:
    frame_step = framing.default_frame_step(frame_length)
  if fft_length is None:
    fft_length = framing.default_fft_length(frame_length)
  frame_step = _length("frame_step", frame_step, frame_length, "frame_length")
  fft_length = _length("fft_length", fft_length, rules.MAX_FFT_LENGTH)
  rules.check_fft_length(frame_length, fft_length)
  if window_length is not None:
    window_length = _length(
      "window_length", window_length, frame_length, "frame_length"
    )
  periodic = rules.check_flag("periodic", periodic)
  choices = dict(
    scaling=scaling, padding=padding, engine=engine, precision=precision
  )
  if pad_mode is not None:
    choices["pad_mode"] = pad_mode
  for field, value in choices.items():
    rules.check_choice(field, value, rules.CHOICES[field])
  if pad_value is not None:
    pad_value = rules.check_number("pad_value", pad_value)
    rules.check_range("pad_value", pad_value, -1e18, 1e18)
  rules.check_padding(padding, pad_mode, pad_value)
  rules.check_engine(engine, precision, frame_length, fft_length)
  values = windows.window(
    rules.normalise_window(window),
    frame_length,
    periodic,
    scaling,
    window_length,
  )
  with tf.name_scope(name or "stft"):
    signals = check_ops.floating(signals)
    if signals.shape.rank is None or signals.shape.rank < 1:
      raise ValueError(
        "signals must have rank 1 or more. Got: "
        f"shape={check_ops.shape_text(signals.shape)}."
      )
    real, imag = transform(
      widen(signals),
      stages.Kept(),
      values,
      frame_step,
      fft_length,
      padding=padding,
      pad_mode=pad_mode,
      pad_value=pad_value,
      engine=rules.resolved_engine(engine),
      precision=precision,
    )
    return tf.cast(real, signals.dtype), tf.cast(imag, signals.dtype)


def transform(
  signals: tf.Tensor,
  stage: stages.Stage,
  window: np.ndarray,
  frame_step: int,
  fft_length: int,
  *,
  padding: str = "valid",
  pad_mode: str | None = None,
  pad_value: float | None = None,
  drop_last_frame: bool = False,
  engine: str = "fft",
  precision: str = "default",
  kernels: Sequence[tf.Tensor] = (),
  bins: slice = slice(None),
  lengths: tf.Tensor | None = None,
  condition: shape_ops.Condition | None = None,
) -> stages.Results:
  """Returns the result of a stage for the transform of each frame.

  Args:
    signals: `[..., samples]`, float32 or float64; with lengths
      `[batch, channels, samples]`.
    stage: What follows the engine.
    window: The scaled window, float64 `[frame_length]`.
    frame_step: Samples between the starts of two frames.
    fft_length: Length of the transform in samples.
    padding: See `padding_ops.pad`, as for the next three.
    pad_mode: What "center" and "hop_center" add.
    pad_value: The sample that "constant" adds.
    drop_last_frame: Whether the last frame is left out.
    engine: "fft" or "kernel".
    precision: "default", "high" or "highest", for the kernel engine.
    kernels: Trained kernels of the kernel engine, `[frame_length, num_bins]`,
      for each of `stages.kernel_parts(stage.needs)` one; or none for the
      Fourier kernels.
    bins: The bins that the kernel engine computes.
    lengths: Valid samples of each clip, int32 `[batch]`, or None: all.
    condition: What to do with frames before they meet the window; see
      `shape_ops.windowed_frames`.

  Returns:
    Tensors `[..., num_frames, features]`.
  """
  signals = padding_ops.pad(
    signals,
    len(window),
    frame_step,
    padding,
    pad_mode,
    pad_value,
    lengths,
    drop_last_frame,
  )
  inside = stage if stage.frame_alone else stages.Kept(stage.needs)
  if engine == "fft":
    window = tf.constant(window, signals.dtype)
    values = fft.fft(signals, window, frame_step, fft_length, inside, condition)
  else:
    if kernels:
      matrices = [tf.cast(k, signals.dtype) for k in kernels]
    else:
      parts = stages.kernel_parts(stage.needs)
      both = fourier.fourier_kernels(window, fft_length)
      own = dict(zip(stages.PARTS, both, strict=True))
      matrices = [tf.constant(own[part], signals.dtype) for part in parts]
    matrices = [matrix[:, bins] for matrix in matrices]
    arguments = signals, matrices, frame_step, inside, precision
    if devices.is_tpu():
      values = tpu.kernel(*arguments, condition)
    else:
      flat = windows.is_flat(window)
      values = kernel.kernel(*arguments, flat, condition)
  if stage.frame_alone:
    return values
  return stage(stages.Spectrum(**dict(zip(stage.needs, values, strict=True))))


def widen(signals: tf.Tensor) -> tf.Tensor:
  """Casts the short dtypes to float32, in which they are computed."""
  if signals.dtype in (tf.float16, tf.bfloat16):
    return tf.cast(signals, tf.float32)
  return signals


def _length(name: str, value: object, most: int, most_name: str = "") -> int:
  """Returns a number of samples, which must be an integer in `[1, most]`."""
  length = rules.check_integer(name, value)
  rules.check_range(name, length, 1, most, most_name)
  return length
