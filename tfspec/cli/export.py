"""`tfspec export`."""

import argparse
import os
import sys
from typing import Any

from tfspec.cli import config_options


def add(commands: Any) -> None:
  """Adds the parser of the command.

  Args:
    commands: What `add_subparsers` returned.
  """
  command = commands.add_parser(
    "export", help="a SavedModel for TF Serving, or a file for LiteRT"
  )
  command.add_argument(
    "path", help="what to make, say models/speech/1 or speech.tflite"
  )
  command.add_argument(
    "--format",
    choices=["saved_model", "litert"],
    default="saved_model",
    help="saved_model or litert (default: saved_model)",
  )
  command.add_argument(
    "--model",
    help="a .keras file to export whole, from sound to prediction, in place of "
    "a config",
  )
  command.add_argument(
    "--channels", type=int, help="channels of the signals; unset: mono"
  )
  limits = command.add_argument_group("limits", "of a SavedModel")
  limits.add_argument(
    "--max_samples",
    type=int,
    default=argparse.SUPPRESS,
    help="rows times samples of a request; unset: 30 minutes",
  )
  limits.add_argument(
    "--max_wav_bytes",
    type=int,
    default=argparse.SUPPRESS,
    help="bytes of WAV files of a request; unset: max_samples in 32 bits",
  )
  limits.add_argument(
    "--min_samples",
    type=int,
    default=argparse.SUPPRESS,
    help="samples of a row, at least; unset: what a Keras model can answer",
  )
  limits.add_argument(
    "--non_finite",
    default=argparse.SUPPRESS,
    help="what to do with NaN and infinities, reject or pass (default: reject)",
  )
  limits.add_argument(
    "--cut_wav",
    default=argparse.SUPPRESS,
    help="what to do with WAV files shorter than their header says, reject or "
    "pass (default: pass)",
  )
  limits.add_argument(
    "--jit_compile",
    action="store_true",
    default=argparse.SUPPRESS,
    help="compile by XLA, which the server must have",
  )
  config_options.add(command, "the fields that follow, one at least")
  command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
  """Runs the command and returns its exit status."""
  source = _source(arguments)
  from tfspec.export import litert
  from tfspec.export.saved_model import export_saved_model
  from tfspec.verification import definitions

  names = (
    "max_samples",
    "max_wav_bytes",
    "min_samples",
    "non_finite",
    "cut_wav",
    "jit_compile",
  )
  limits = {n: getattr(arguments, n) for n in names if hasattr(arguments, n)}
  if arguments.format == "saved_model":
    if arguments.path.endswith(litert.ENDING):
      raise ValueError(
        f"format must be litert for a path that ends in {litert.ENDING}. Got: "
        f"--format={arguments.format}, {arguments.path}."
      )
    export_saved_model(source, arguments.path, arguments.channels, **limits)
  elif limits:
    given = ", ".join(f"--{name}" for name in limits)
    raise ValueError(
      f"format must be saved_model for the limits of one. Got: {given} with "
      f"--format={arguments.format}."
    )
  else:
    litert.export_litert(source, arguments.path, arguments.channels)
  config = definitions.load(source).config
  print(f"exported {arguments.path}, config {config.fingerprint()}")
  version = os.path.basename(os.path.normpath(arguments.path))
  if arguments.format == "saved_model" and not version.isdecimal():
    print(
      "note: TensorFlow Serving loads only folders with a number for a name, "
      f"such as {os.path.join(arguments.path, '1')}. Got: {version}.",
      file=sys.stderr,
    )
  return 0


def _source(arguments: argparse.Namespace) -> Any:
  """Returns the Keras model or the config that is to be exported."""
  given = [k for k in ("config", "preset") if getattr(arguments, k)]
  given += config_options.fields(arguments)
  if arguments.model is None:
    if not given:
      raise ValueError(
        "There must be a config to export: --config, a field of it such as "
        "--frame_length, or --model. Got: none of them."
      )
    return config_options.config(arguments)
  if given:
    names = ", ".join(f"--set {n}" if "." in n else f"--{n}" for n in given)
    raise ValueError(
      f"A model has its own config: there must be no other. Got: {names} with "
      f"--model={arguments.model}."
    )
  from tfspec.verification import definitions

  return definitions.load_model(arguments.model)
