"""The command line."""

import argparse
import dataclasses
import importlib.metadata
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

# What needs TensorFlow, whose import takes seconds, is imported by the command
# that needs it, after it has checked its arguments.
from tfspec import benchmark, benchmark_report, cli_logs
from tfspec import config as config_lib
from tfspec.cli_parser import Parser
from tfspec.config import SpectrogramConfig
from tfspec.version import __version__


def run() -> None:
  """Runs the command line; the entry point of `tfspec`."""
  # Bytes of a path that are no text must not stop the answer.
  sys.stdout.reconfigure(errors="backslashreplace")
  arguments = parse(sys.argv)
  if not arguments.verbose:
    cli_logs.silence()
  sys.exit(main(arguments))


def parse(argv: Sequence[str]) -> argparse.Namespace:
  """Returns the arguments of a command line, the program's name first."""
  parser, commands = _parsers()
  arguments = parser.parse(argv[1:], commands)
  if arguments.version:
    print(_versions())
    parser.exit()
  if arguments.command is None:
    parser.print_help()
    parser.exit()
  return arguments


def _versions() -> str:
  """Returns the versions of tfspec and, without its import, of TensorFlow."""
  try:
    tensorflow = f", TensorFlow {importlib.metadata.version('tensorflow')}"
  except importlib.metadata.PackageNotFoundError:  # Or by another name there.
    tensorflow = ""
  return f"tfspec {__version__}{tensorflow}"


def _parsers() -> tuple[Parser, dict[str, Parser]]:
  """Returns the parser of the command line, and those of the commands."""
  parser = Parser(
    prog="tfspec",
    description="One spectrogram for training, preparing data and serving.",
  )
  parser.add_argument(
    "--version", action="store_true", help="show the versions and exit"
  )
  _add_verbose(parser, False)
  commands = parser.add_subparsers(dest="command")

  command = commands.add_parser(
    "prepare", help="WAV files in, sharded TFRecords and a manifest out"
  )
  command.add_argument("input", help="folder of WAV files")
  command.add_argument("output", help="folder to make")
  command.add_argument(
    "--shard_mb",
    type=int,
    default=128,
    help="size of a shard in megabytes (default: 128)",
  )
  command.add_argument(
    "--workers",
    type=int,
    default=2,
    help="files in work at a time (default: 2)",
  )
  command.add_argument(
    "--max_skipped",
    type=float,
    default=0.5,
    help="share of the WAV files that may be skipped: with more, the command "
    "fails (default: 0.5)",
  )
  _add_config_arguments(command)
  command.set_defaults(run=_prepare)

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
  _add_config_arguments(command, "the fields that follow, one at least")
  command.set_defaults(run=_export)

  command = commands.add_parser(
    "verify",
    help="prove that an export computes what it did when it was made",
    description="Exit status 0: verified, 1: not, for the reason it prints.",
  )
  command.add_argument(
    "path", help="a SavedModel, .tflite file or prepared dataset"
  )
  command.add_argument(
    "--against",
    help="a config, export, prepared dataset, .keras or .tflite file: its "
    "fields and trained kernels must be the same",
  )
  command.set_defaults(run=_verify)

  command = commands.add_parser(
    "explain",
    help="what makes two spectrograms differ, and by how much",
    description="Exit status 0: the same, 1: different, 2: trouble.",
  )
  for name in ("a", "b"):
    command.add_argument(
      name,
      help="a config, export, prepared dataset, .keras or .tflite file",
    )
  command.set_defaults(run=_explain, trouble=2)

  command = commands.add_parser("plot", help="draw WAV files into a PNG")
  command.add_argument("inputs", nargs="+", help="WAV files")
  command.add_argument("--output", required=True, help="PNG file to write")
  _add_config_arguments(command)
  command.set_defaults(run=_plot)

  command = commands.add_parser(
    "benchmark", help="tfspec and its peers side by side, timed"
  )
  command.add_argument(
    "--output", required=True, help="folder for the tables and charts"
  )
  command.add_argument(
    "--works",
    type=_names,
    help=f"some of {','.join(benchmark.KEYS)} (default: all)",
  )
  command.add_argument(
    "--peers",
    type=_names,
    help=f"some of {','.join(benchmark.PEERS)} (default: all)",
  )
  command.add_argument(
    "--threads",
    default="all",
    help="all or a number, for each of them (default: all)",
  )
  command.add_argument(
    "--rounds",
    type=int,
    default=15,
    help="how often each is timed (default: 15)",
  )
  command.add_argument(
    "--peer_python",
    help="Python that has the peers (tools/benchmark_peers.txt); unset: this",
  )
  command.add_argument(
    "--corpus", help="folder of tools/fetch_corpus.sh, for W8"
  )
  command.add_argument(
    "--scale",
    type=float,
    default=1.0,
    help="below 1, a quick trial with shorter clips (default: 1.0)",
  )
  command.set_defaults(run=_benchmark)
  for command in commands.choices.values():
    _add_verbose(command, argparse.SUPPRESS)
  return parser, commands.choices


def _add_verbose(parser: argparse.ArgumentParser, default: Any) -> None:
  parser.add_argument(
    "--verbose",
    action="store_true",
    default=default,
    help="show what TensorFlow logs",
  )


def main(arguments: argparse.Namespace) -> int:
  """Runs a parsed command and returns its exit status."""
  try:
    return arguments.run(arguments)
  except KeyboardInterrupt:
    message = "interrupted"
  except OSError as e:
    message = f"{e.filename}: {e.strerror}" if e.filename else str(e)
  except (ImportError, TypeError, ValueError) as e:
    message = str(e)
  except Exception as e:
    import tensorflow as tf

    from tfspec import errors

    if isinstance(e, tf.errors.OpError):
      message = errors.sentence(e)
    elif hasattr(arguments, "trouble"):
      message = errors.first_line(e)  # 1 would say that there is an answer.
    else:
      raise
  print(f"tfspec {arguments.command}: {message}", file=sys.stderr)
  return getattr(arguments, "trouble", 1)


def _prepare(arguments: argparse.Namespace) -> int:
  config = _config(arguments)
  from tfspec.data import prepare

  summary = prepare.prepare(
    arguments.input,
    arguments.output,
    config,
    shard_bytes=arguments.shard_mb << 20,
    workers=arguments.workers,
    max_skipped=arguments.max_skipped,
    progress=sys.stderr,
  )
  print(summary)
  return 0


def _export(arguments: argparse.Namespace) -> int:
  source = _source(arguments)
  from tfspec import front_end, litert
  from tfspec.export import export_saved_model

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
  config = front_end.load(source).config
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
  given = ["config"] if arguments.config else []
  given += _fields(arguments)
  if arguments.model is None:
    if not given:
      raise ValueError(
        "There must be a config to export: --config, a field of it such as "
        "--frame_length, or --model. Got: none of them."
      )
    return _config(arguments)
  if given:
    names = ", ".join(f"--{name}" for name in given)
    raise ValueError(
      f"A model has its own config: there must be no other. Got: {names} with "
      f"--model={arguments.model}."
    )
  from tfspec import front_end

  return front_end.load_model(arguments.model)


def _verify(arguments: argparse.Namespace) -> int:
  from tfspec.verify import verify

  report = verify(arguments.path, arguments.against)
  print(report)
  return 0 if report.ok else 1


def _explain(arguments: argparse.Namespace) -> int:
  from tfspec.explain import explain

  explanation = explain(arguments.a, arguments.b)
  print(explanation)
  return 0 if explanation.same else 1


def _plot(arguments: argparse.Namespace) -> int:
  config = _config(arguments)
  from tfspec import files, plot

  notes = plot.plot(arguments.inputs, config, arguments.output)
  for note in notes:
    print(f"note: {note}", file=sys.stderr)
  print(f"drew {files.shown(arguments.output)}")
  return 0


def _benchmark(arguments: argparse.Namespace) -> int:
  results = benchmark.benchmark(
    arguments.output,
    arguments.works,
    arguments.peers,
    arguments.threads,
    arguments.rounds,
    arguments.peer_python,
    arguments.corpus,
    arguments.scale,
    progress=sys.stderr,
  )
  print(benchmark_report.markdown(results))
  print(f"wrote {arguments.output}")
  return 0


def _names(text: str) -> list[str]:
  """Reads names with commas between them."""
  return text.split(",")


def _add_config_arguments(
  parser: argparse.ArgumentParser, unset: str = "all defaults"
) -> None:
  """Adds `--config` and a flag for every field of the config."""
  group = parser.add_argument_group(
    "config", "a file, and fields that replace those of the file"
  )
  group.add_argument(
    "--config", help=f"a .textproto, .binpb or .json file; unset: {unset}"
  )
  for field in dataclasses.fields(SpectrogramConfig):
    group.add_argument(
      f"--{field.name}",
      type=_FIELD_TYPES.get(field.name, str),
      default=argparse.SUPPRESS,
      help=_field_help(field),
    )


def _config(arguments: argparse.Namespace) -> SpectrogramConfig:
  config = SpectrogramConfig()
  if arguments.config:
    config = config_lib.load_config(arguments.config)
  return dataclasses.replace(config, **_fields(arguments))


def _fields(arguments: argparse.Namespace) -> dict[str, Any]:
  """Returns the fields of a config that flags give."""
  return {
    field.name: getattr(arguments, field.name)
    for field in dataclasses.fields(SpectrogramConfig)
    if hasattr(arguments, field.name)
  }


def _field_help(field: dataclasses.Field) -> str:
  if field.name in config_lib.CHOICES:
    choices = ", ".join(str(c).lower() for c in config_lib.CHOICES[field.name])
    return f"{choices} (default: {str(field.default).lower()})"
  if field.name in config_lib.FLAGS:
    return f"true or false (default: {str(field.default).lower()})"
  if field.name == "window":
    return "a SciPy name, as kaiser,8.6 with numbers, or none (default: hann)"
  default = _DERIVED.get(field.name, str(field.default).lower())
  return f"a number (default: {default})"


def _boolean(text: str) -> bool:
  if text.lower() not in ("true", "false"):
    raise argparse.ArgumentTypeError(f"must be true or false. Got: {text}.")
  return text.lower() == "true"


def _optional(text: str) -> str | None:
  return None if text.lower() == "none" else text


def _number(kind: type) -> Callable[[str], int | float | None]:
  def read(text: str) -> int | float | None:
    try:
      return None if text.lower() == "none" else kind(text)
    except ValueError as e:
      raise argparse.ArgumentTypeError(
        f"must be a number ({kind.__name__}) or none. Got: {text}."
      ) from e

  return read


def _window(text: str) -> str | tuple | None:
  """Reads "hann", "none", or a name and its numbers: "kaiser,8.6"."""
  name, *numbers = text.split(",")
  if not numbers:
    return _optional(name)
  try:
    parameters = [float(number) for number in numbers]
  except ValueError as e:
    raise argparse.ArgumentTypeError(
      f"must be a name and numbers, as kaiser,8.6. Got: {text}."
    ) from e
  return (name, parameters) if name == "general_cosine" else (name, *parameters)


# What "none" stands for, where it stands for a number.
_DERIVED = {
  "frame_step": "none, half of frame_length",
  "fft_length": "none, the power of two that holds frame_length",
  "floor": "none, the root of 1e-7",
  "pad_value": "none, 0 where pad_mode is constant",
}
_FIELD_TYPES = {
  "frame_length": int,
  "frame_step": _number(int),
  "fft_length": _number(int),
  "sample_rate_hz": _number(int),
  "periodic": _boolean,
  "expand_dims": _boolean,
  "trainable": _boolean,
  "scaling": _optional,
  "window": _window,
  "floor": _number(float),
  "pad_mode": _optional,
  "pad_value": _number(float),
}
