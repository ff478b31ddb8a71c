"""The chain of a config: the operation of each stage that follows the mode."""

import dataclasses
from collections.abc import Callable
from typing import ClassVar

import numpy as np
import tensorflow as tf

from tfspec.config import Compression, FilterBank, ResolvedConfig
from tfspec.config.fields import Stage
from tfspec.ops import compression_ops, filter_bank_ops, stages
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


def of(config: ResolvedConfig) -> tuple[OfFrames, list[Operation]]:
  """Returns the stage that follows an engine, and what is left for the clip."""
  operations: list[tuple[bool, Operation]] = []
  for stage in config.stages:
    operations += _OPERATIONS[type(stage)](stage, config)
  count = next(
    (i for i, (is_of_frames, _) in enumerate(operations) if not is_of_frames),
    len(operations),
  )
  found = [operation for _, operation in operations]
  mode = stages.Mode(config.mode, config.fft_length, config.least)
  return OfFrames(mode, tuple(found[:count])), found[count:]


def _filter_bank(
  stage: FilterBank, config: ResolvedConfig
) -> list[tuple[bool, Operation]]:
  weights = stage.weights(config)

  def add_up(values: tf.Tensor, _: tf.Tensor | None) -> tf.Tensor:
    precision = config.precision
    # A TPU would round the power, which its Fourier transform does not.
    if config.engine == "fft" and devices.is_tpu():
      precision = "highest"
    return filter_bank_ops.apply_filter_bank(values, weights, precision)

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


_OPERATIONS: dict[type[Stage], Callable[..., list[tuple[bool, Operation]]]] = {
  FilterBank: _filter_bank,
  Compression: _compression,
}
