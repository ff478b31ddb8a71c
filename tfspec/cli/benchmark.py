"""`tfspec benchmark`: which engine to choose for a config on this machine."""

import argparse
import dataclasses
import random
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

from tfspec.cli import config_options
from tfspec.config import SpectrogramConfig

_WARM_UPS = 3
# The task, the engine, and how it runs.
_Contestant = tuple[str, str, str]


def add(commands: Any) -> None:
  """Adds the parser of the command.

  Args:
    commands: What `add_subparsers` returned.
  """
  command = commands.add_parser(
    "benchmark",
    help="time the engines for a config, and say which to choose",
    description="Times each engine in a graph and compiled by XLA, in turns: "
    "the spectrogram, and if the config is trainable a training step too.",
  )
  command.add_argument(
    "--batch", type=int, default=8, help="clips at a time (default: 8)"
  )
  command.add_argument(
    "--seconds",
    type=float,
    default=10.0,
    help="length of a clip, at 16 kHz if the config has no rate (default: 10)",
  )
  command.add_argument(
    "--rounds", type=int, default=15, help="runs of each (default: 15)"
  )
  config_options.add(command)
  command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
  """Runs the command and returns its exit status."""
  config = config_options.config(arguments)
  for name in ("batch", "rounds"):
    if getattr(arguments, name) < 1:
      raise ValueError(
        f"{name} must be at least 1. Got: {name}={getattr(arguments, name)}."
      )
  samples = round(arguments.seconds * (config.sample_rate_hz or 16000))
  if samples < 0 or not config.num_frames(samples):
    raise ValueError(
      "seconds must give a frame at least. Got: "
      f"seconds={arguments.seconds}, which are {samples} samples, "
      f"frame_length={config.frame_length}."
    )
  medians = _measure(
    _contestants(config, arguments.batch, samples), arguments.rounds
  )
  print(_table(medians, arguments.batch * samples))
  return 0


def _contestants(
  config: SpectrogramConfig, batch: int, samples: int
) -> dict[_Contestant, Callable[[], Any]]:
  """Returns what is timed, by what it computes, engine and way to run."""
  import numpy as np
  import tensorflow as tf

  from tfspec.spectrogram import Spectrogram, layouts

  noise = np.random.default_rng(0).standard_normal([batch, samples])
  noise = np.expand_dims(0.1 * noise, 3 - layouts.time_axis(config))
  signals = tf.constant(noise, tf.float32)
  found = {}
  for engine in ("kernel",) if config.trainable else ("fft", "kernel"):
    precision = config.precision if engine == "kernel" else "default"
    try:
      changed = dataclasses.replace(config, engine=engine, precision=precision)
    except ValueError:  # Kernels that are too large.
      continue
    spectrogram = Spectrogram(changed)

    def step(spectrogram: Spectrogram = spectrogram) -> list[tf.Tensor]:
      with tf.GradientTape() as tape:
        loss = tf.reduce_mean(spectrogram(signals))
      return tape.gradient(loss, spectrogram.trainable_variables)

    def forward(spectrogram: Spectrogram = spectrogram) -> tf.Tensor:
      return spectrogram(signals)

    for way in ("graph", "XLA"):
      for task, function in (("spectrogram", forward), ("step", step)):
        if task == "spectrogram" or config.trainable:
          found[task, engine, way] = tf.function(
            function, jit_compile=way == "XLA"
          )
  return found


def _measure(
  contestants: Mapping[_Contestant, Callable[[], Any]], rounds: int
) -> dict[_Contestant, float]:
  """Returns the median time of each in seconds; they run in turns."""
  import tensorflow as tf

  names = list(contestants)
  times: dict[_Contestant, list[float]] = {name: [] for name in names}
  for i in range(_WARM_UPS + rounds):
    random.Random(i).shuffle(names)
    for name in names:
      start = time.perf_counter()
      # To read one value waits for the device.
      tf.nest.flatten(contestants[name]())[0].numpy().item(0)
      if i >= _WARM_UPS:
        times[name].append(time.perf_counter() - start)
  return {name: statistics.median(values) for name, values in times.items()}


def _table(medians: Mapping[_Contestant, float], samples: int) -> str:
  """Returns the times as text, and which of them are the shortest."""
  lines = [f"{'':<13}{'engine':<8}{'run':<7}{'ms':>9}{'times the best':>16}"]
  advice = []
  for task in dict.fromkeys(task for task, _, _ in medians):
    own = {k: v for k, v in medians.items() if k[0] == task}
    best = min(own, key=lambda name: own[name])
    for (_, engine, way), seconds in sorted(own.items(), key=lambda i: i[1]):
      lines.append(
        f"{task:<13}{engine:<8}{way:<7}{1e3 * seconds:>9.2f}"
        f"{seconds / own[best]:>16.2f}"
      )
    advice.append(
      f"Fastest {task}: --engine={best[1]}, "
      + ("compiled by XLA." if best[2] == "XLA" else "in a graph.")
    )
  return "\n".join([*lines, f"{samples} samples a run.", *advice])
