"""The chain of a config: the operation of each stage around the transform."""

import dataclasses
from collections.abc import Callable
from typing import ClassVar

import numpy as np
import tensorflow as tf

from tfspec.coefficients import filter_banks
from tfspec.config import (
  Cepstrum,
  Compression,
  Conditioning,
  Deltas,
  FilterBank,
  Normalization,
  ResolvedConfig,
  Stacking,
)
from tfspec.config.cepstrum import LEAST_ENERGY
from tfspec.config.fields import Stage
from tfspec.ops import (
  compression_ops,
  conditioning_ops,
  frame_ops,
  normalization_ops,
  shape_ops,
  stages,
  weighted_sum_ops,
)
from tfspec.ops.engines import devices

# Takes values `[..., num_frames, features]`, or where it needs the whole clip
# and there are lengths `[batch, channels, num_frames, features]` and the frames
# of each clip.
Operation = Callable[[tf.Tensor, tf.Tensor | None], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class OfFrames:
  """The mode, and the operations behind it that need the frame alone."""

  mode: stages.Mode
  operations: tuple[Operation, ...] = ()
  frame_alone: ClassVar[bool] = True

  @property
  def needs(self) -> stages.Needs:
    """What the mode is a function of."""
    return self.mode.needs

  def __call__(self, spectrum: stages.Spectrum) -> stages.Results:
    """Returns the values, `[..., num_features]`."""
    (values,) = self.mode(spectrum)
    for operation in self.operations:
      values = operation(values, None)
    return (values,)


def of(
  config: ResolvedConfig, energy: Callable[[], tf.Tensor]
) -> tuple[OfFrames, list[Operation]]:
  """Returns the stage that follows an engine, and what is left for the clip.

  Args:
    config: The config.
    energy: Returns `log_energy` of the clip.
  """
  operations: list[tuple[bool, Operation]] = []
  for stage in config.stages:
    operations += _OPERATIONS[type(stage)](stage, config)
    if stage is config.cepstrum and config.has_energy:
      operations.append(
        (False, lambda v, _: tf.concat([energy(), v[..., 1:]], axis=-1))
      )
  count = next(
    (i for i, (is_of_frames, _) in enumerate(operations) if not is_of_frames),
    len(operations),
  )
  found = [operation for _, operation in operations]
  mode = stages.Mode(config.mode, config.fft_length, config.least)
  return OfFrames(mode, tuple(found[:count])), found[count:]


def bins(config: ResolvedConfig) -> slice:
  """Returns the bins that the kernel engine computes: no filter uses others."""
  bank = config.filter_bank
  # Which bins a "psd" doubles, it must see from the first one.
  if bank is None or config.engine != "kernel" or config.mode == "psd":
    return slice(None)
  return slice(*filter_banks.used_bins(bank.weights(config)))


def condition_clip(signals: tf.Tensor, stage: Conditioning | None) -> tf.Tensor:
  """Returns `[..., samples]` as they are padded and cut into frames."""
  if stage is None:
    return signals
  if stage.gain != 1.0:
    signals *= stage.gain
  if stage.is_of_frames:
    return signals
  return conditioning_ops.preemphasis(
    signals, stage.preemphasis, stage.first_sample
  )


def condition_frames(stage: Conditioning | None) -> shape_ops.Condition | None:
  """Returns what is to be done to frames before they meet the window."""
  if stage is None or not stage.changes_frames:
    return None

  def condition(frames: tf.Tensor) -> tf.Tensor:
    if stage.remove_dc:
      frames = conditioning_ops.remove_dc(frames)
    if stage.is_of_frames and stage.preemphasis:
      frames = conditioning_ops.preemphasis(
        frames, stage.preemphasis, stage.first_sample
      )
    return frames

  return condition


def log_energy(signals: tf.Tensor, config: ResolvedConfig) -> tf.Tensor:
  """Returns the logarithm of the energy of frames, `[..., num_frames, 1]`.

  Args:
    signals: `[..., samples]`, conditioned and padded.
    config: The config.
  """
  stage = config.conditioning
  removes_dc = stage is not None and stage.remove_dc
  return frame_ops.log_energy(
    signals,
    config.frame_length,
    config.frame_step,
    LEAST_ENERGY,
    conditioning_ops.remove_dc if removes_dc else None,
  )


def _weighted_sums(
  stage: FilterBank | Cepstrum, config: ResolvedConfig
) -> list[tuple[bool, Operation]]:
  weights = stage.weights(config)
  if isinstance(stage, FilterBank):
    weights = weights[bins(config)]

  def add_up(values: tf.Tensor, _: tf.Tensor | None) -> tf.Tensor:
    precision = config.precision
    # A TPU would round the power, which its Fourier transform does not.
    if config.engine == "fft" and devices.is_tpu():
      precision = "highest"
    return weighted_sum_ops.weighted_sums(values, weights, precision)

  return [(True, add_up)]


def _compression(
  stage: Compression, config: ResolvedConfig
) -> list[tuple[bool, Operation]]:
  # To the bit what the config calls silence.
  least = float(stage.compress(np.zeros(1), config)[0])

  def compress(values: tf.Tensor, _: tf.Tensor | None) -> tf.Tensor:
    if stage.kind == "power":
      return compression_ops.power_law(
        values, stage.exponent, stage.floor, stage.offset, least
      )
    factor, constant = stage.function(config)
    return compression_ops.log(
      values, stage.floor, stage.offset, factor, constant, least
    )

  def limit(values: tf.Tensor, num_frames: tf.Tensor | None) -> tf.Tensor:
    return compression_ops.limit_range(
      values, stage.dynamic_range or 0.0, stage.peak, num_frames
    )

  found: list[tuple[bool, Operation]] = [(True, compress)]
  if stage.dynamic_range is not None:
    found.append((stage.is_of_frames, limit))
  return found


def _normalization(
  stage: Normalization, config: ResolvedConfig
) -> list[tuple[bool, Operation]]:
  del config

  def shift_and_scale(values: tf.Tensor, _: tf.Tensor | None) -> tf.Tensor:
    return (values - stage.mean) / tf.constant(stage.std, values.dtype)

  def by_statistics(
    values: tf.Tensor, num_frames: tf.Tensor | None
  ) -> tf.Tensor:
    return normalization_ops.of_clip(
      values,
      num_frames,
      stage.unit_variance,
      stage.ddof,
      stage.epsilon,
      stage.epsilon_of,
    )

  is_of_frames = stage.is_of_frames
  return [(is_of_frames, shift_and_scale if is_of_frames else by_statistics)]


def _deltas(
  stage: Deltas, config: ResolvedConfig
) -> list[tuple[bool, Operation]]:
  del config

  def add_slopes(values: tf.Tensor, num_frames: tf.Tensor | None) -> tf.Tensor:
    found = [values]
    for _ in range(stage.order):
      found.append(frame_ops.deltas(found[-1], stage.width, num_frames))
    return tf.concat(found, axis=-1)

  return [(False, add_slopes)]


def _stacking(
  stage: Stacking, config: ResolvedConfig
) -> list[tuple[bool, Operation]]:
  del config
  return [(False, lambda v, _: frame_ops.stack(v, stage.size, stage.step))]


_OPERATIONS: dict[type[Stage], Callable[..., list[tuple[bool, Operation]]]] = {
  FilterBank: _weighted_sums,
  Compression: _compression,
  Cepstrum: _weighted_sums,
  Normalization: _normalization,
  Deltas: _deltas,
  Stacking: _stacking,
}
