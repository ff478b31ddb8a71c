"""Compiles what tfspec computes with the real TPU compiler, without a TPU.

  python -m tools.tpu_check --chips v4,v5e,v5p,v6e
  python -m tools.tpu_check --table

The first compiles each golden's forward pass and training step, prints what the
compiler says of them, and fails on an operation, dtype or dynamic shape that it
refuses, and on a precision that is not the config's. The second prints the
tables of docs/tpu.md. It needs: pip install '.[tpu-check]'
"""

import dataclasses
import math
import re
import sys
from collections.abc import Callable, Iterator, Sequence

import keras
import tensorflow as tf
from absl import app, flags

import tfspec
from tfspec.contract.registry import GOLDENS, Golden
from tools import tpu_compiler
from tools.benchmark import suite

_CHIPS = flags.DEFINE_list("chips", ["v5e", "v6e"], "Some of v4,v5e,v5p,v6e.")
_GOLDENS = flags.DEFINE_list("goldens", None, "Names of goldens; all if unset.")
_TABLE = flags.DEFINE_bool("table", False, "Print the tables of docs/tpu.md.")

KINDS = ("forward", "step")
BATCH = 16  # Clips of the tables.

# Compiled with `lengths` too: each padding with each engine.
WITH_LENGTHS = {
  "log_fft",
  "log_kernel",
  "padding_same",
  "padding_same_kernel",
  "padding_center",
  "padding_center_kernel",
  "padding_center_constant_clip_fft",
  "padding_center_constant_clip_kernel",
}

# What the compiler must refuse, by the engine and the dtype, and what it says:
# that it still does is checked, so that a change is noticed.
REFUSED = {
  ("fft", "float64"): (
    "Unexpected operand type for FFT: f64",
    "a TPU has no Fourier transform of float64; use the kernel engine.",
  ),
}

# Golden, kind and chip of programs that compile, but that jax cannot read back:
# "async-update instruction should have 1 operands". Their precision is unknown.
UNREADABLE = {
  ("frame_step_one", "step", "v6e"),
  ("frame_step_one_kernel", "step", "v6e"),
  *(
    (f"preset_{name}", "step", "v6e")
    for name in (
      "whisper",
      "whisper_large_v3",
      "lhotse_fbank",
      "torchaudio_mel",
      "torchaudio_mfcc",
      "keras_mel",
      "clap",
      "panns",
      "granite_speech",
    )
  ),
  *(
    (f"{name} with lengths", kind, "v6e")
    for name in (
      "padding_same",
      "padding_same_kernel",
      "padding_center",
      "padding_center_kernel",
    )
    for kind in ("forward", "step")
  ),
}


@dataclasses.dataclass(frozen=True)
class Case:
  """A program of one or more goldens.

  Attributes:
    names: The goldens; those with `lengths` say so.
    kind: "forward", or "step": the gradients to the signals and the kernels.
    config: The config of the first golden.
    dtype: That of its signals.
    has_values: Whether there is any value to compute.
    text: The program.
  """

  names: list[str]
  kind: str
  config: tfspec.SpectrogramConfig
  dtype: str
  has_values: bool
  text: str


def step(function: Callable, variables: Sequence[tf.Variable]) -> Callable:
  """Returns a training step: the gradients of a function's squared values.

  Args:
    function: Takes signals, and maybe more, and returns their spectrogram.
    variables: What is trained.

  Returns:
    A function of the same that returns the loss, and the gradients to the
    signals and to the variables.
  """

  def run(signals: tf.Tensor, *rest: tf.Tensor) -> list[tf.Tensor]:
    with tf.GradientTape() as tape:
      tape.watch(signals)
      values = function(signals, *rest)
      # Squares of float16 overflow, whatever the function.
      loss = tf.reduce_sum(tf.square(tf.cast(values, _wide(values.dtype))))
    return [loss, *tape.gradient(loss, [signals, *variables])]

  return run


def cases(goldens: Sequence[Golden], kind: str) -> list[Case]:
  """Returns the programs of goldens; one for those that differ in values only.

  Args:
    goldens: What to lower. Of their signals only the shape counts.
    kind: One of `KINDS`.

  Raises:
    ValueError: If a shape is not static.
  """
  found = {}
  for golden in goldens:
    config = golden.config()
    # The step trains the kernels, of which the fft engine has none.
    if kind == "step" and config.resolved().engine == "kernel":
      config = dataclasses.replace(config, trainable=True)
    spectrogram = tfspec.Spectrogram(config, dtype=_wide(golden.dtype))
    spec = tf.TensorSpec(golden.signals().shape, golden.dtype)
    lengths = tf.TensorSpec(spec.shape[:1], tf.int32)
    programs = {golden.name: (spectrogram.__call__, [spec])}
    if golden.name in WITH_LENGTHS:
      programs[f"{golden.name} with lengths"] = (
        lambda *inputs, s=spectrogram: s(*inputs)[0],
        [spec, lengths],
      )
    batch, samples, _ = golden.shape
    has_values = batch * config.num_frames(samples) > 0
    for name, (function, specs) in programs.items():
      if kind == "step":
        function = step(function, spectrogram.trainable_variables)
      text = tpu_compiler.lower(lambda *inputs, f=function: f(*inputs), *specs)
      key = re.sub(r"dense<[^>]*>", "dense<>", text), config.precision
      if key in found:
        found[key].names.append(name)
      else:
        found[key] = Case([name], kind, config, golden.dtype, has_values, text)
  return list(found.values())


def check(case: Case, chip: str) -> str:
  """Compiles a program and checks what comes out.

  Args:
    case: The program.
    chip: What to compile it for.

  Returns:
    A line to print.

  Raises:
    RuntimeError: If the compiler refuses what it should take, or takes what it
      was seen to refuse, or if the precision is not that of the config.
  """
  names = f"{case.names[0]}{f' +{n}' if (n := len(case.names) - 1) else ''}"
  label = f"{chip:4} {case.kind:8} {names:36}"
  where = f"{', '.join(case.names)} ({case.kind}, {chip})"
  engine = case.config.resolved().engine
  message, reason = REFUSED.get((engine, case.dtype), (None, None))
  try:
    program = tpu_compiler.compile_for(case.text, chip)
  except tpu_compiler.RefusedError as error:
    if message is not None and message in str(error):
      return f"{label} refused, as expected: {reason}"
    raise RuntimeError(f"{where}: the TPU compiler says: {error}") from error
  if message is not None:
    raise RuntimeError(
      f"{where}: the TPU compiler takes it now. Was: {message}. Remove it from "
      "REFUSED, and from docs/tpu.md."
    )
  expected = any((n, case.kind, chip) in UNREADABLE for n in case.names)
  if (program.text is None) != expected:
    raise RuntimeError(
      f"{where}: UNREADABLE must hold what jax cannot read back, and no more."
    )
  # The compiler's own products, in a Fourier transform, are always exact.
  wanted = "highest" if engine == "fft" else case.config.precision
  allowed = [{wanted}]
  if engine == "fft" or not case.has_values or program.text is None:
    allowed.append(set())  # There may be no product to be seen.
  if program.precisions not in allowed:
    raise RuntimeError(
      f"{where}: the precision of its products must be {wanted}. Got: "
      f"{', '.join(sorted(program.precisions)) or 'no product'}."
    )
  return f"{label} {_figures(program)}"


def run(
  goldens: Sequence[Golden],
  chips: Sequence[str],
  kinds: Sequence[str] = KINDS,
) -> list[str]:
  """Checks goldens, printing a line a program; returns what failed."""
  failures = []
  for kind in kinds:
    for case in cases(goldens, kind):
      for chip in chips:
        try:
          print(check(case, chip), flush=True)
        except RuntimeError as error:
          failures.append(str(error))
  return failures


@dataclasses.dataclass(frozen=True)
class Form:
  """A way to compute a spectrogram, in a row of the tables.

  Attributes:
    name: What the row calls it.
    make: Takes the lengths as keywords, and returns a function of signals, with
      its variables.
    dtype: Of signals and values.
    type_error: What it must raise, if it does not take the dtype.
  """

  name: str
  make: Callable
  dtype: str = "float32"
  type_error: str | None = None


def _layer(layer_class: type, **options: object) -> Callable:
  def make(**lengths: int) -> tuple:
    layer = layer_class(mode="log", **lengths, **options)
    layer.build((None, None, 1))
    return layer, layer.trainable_variables

  return make


def _rfft(**lengths: int) -> tuple:
  """Makes the usual recipe of `tf.signal`, of all frames at once."""

  def run(signals: tf.Tensor) -> tf.Tensor:
    spectrum = tf.signal.stft(signals[..., 0], **lengths)
    return tf.math.log(tf.maximum(tf.abs(spectrum), 1e-6))

  return run, []


_OURS, _KERAS = tfspec.layers.STFTSpectrogram, keras.layers.STFTSpectrogram
_MIXED = {"dtype": "mixed_bfloat16"}
FORMS = (
  Form("tfspec, kernel", _layer(_OURS)),
  Form("tfspec, kernel, highest", _layer(_OURS, precision="highest")),
  Form("tfspec, fft", _layer(_OURS, engine="fft", trainable=False)),
  Form("tf.signal, rfft", _rfft),
  Form("Keras' layer", _layer(_KERAS)),
  Form("tfspec, kernel, mixed_bfloat16", _layer(_OURS, **_MIXED), "bfloat16"),
  Form(
    "Keras' layer, mixed_bfloat16",
    _layer(_KERAS, **_MIXED),
    "bfloat16",
    "Expected `float16`, `float32` or `float64`",
  ),
)


def measure(
  form: Form, work: suite.Work, kind: str, chip: str
) -> tpu_compiler.Program:
  """Compiles a form for the size of a work of the benchmark."""
  function, variables = form.make(**_lengths(work))
  if kind == "step":
    function = step(function, variables)
  samples = round(work.seconds * 16000)
  spec = tf.TensorSpec([BATCH, samples, 1], form.dtype)
  text = tpu_compiler.lower(lambda signals: function(signals), spec)
  return tpu_compiler.compile_for(text, chip)


def floor_bytes(work: suite.Work, dtype: str = "float32") -> int:
  """Returns the bytes of input, output and kernels, which is the least."""
  config = tfspec.SpectrogramConfig(**_lengths(work))
  samples = round(work.seconds * 16000)
  values = config.num_frames(samples) * config.num_bins
  kernels = 2 * config.frame_length * config.num_bins
  size = tf.as_dtype(dtype).size
  return BATCH * (samples + values) * size + kernels * 4


def table(chip: str) -> Iterator[str]:
  """Yields the lines of the table of a chip, a row as soon as it is known."""
  yield (
    f"| {chip} | lengths | forward: MB | of the floor | GFLOP "
    "| step: MB | GFLOP |"
  )
  yield "|---|---|---|---|---|---|---|"
  for work in suite.WORKS[:3]:
    sizes = "/".join(map(str, _lengths(work).values()))
    for form in FORMS:
      try:
        programs = [measure(form, work, kind, chip) for kind in KINDS]
        cells = _cells(*programs, floor_bytes(work, form.dtype))
      except TypeError as error:
        if form.type_error is None or form.type_error not in str(error):
          raise
        cells = ["TypeError", *[""] * 4]
      yield f"| {form.name} | {sizes} | {' | '.join(cells)} |"


def _cells(
  forward: tpu_compiler.Program, step: tpu_compiler.Program, floor: int
) -> list[str]:
  cells = []
  for program in (forward, step):
    figures = [
      f"{program.bytes_accessed / 1e6:.0f}",
      f"{program.bytes_accessed / floor:.2f}",
      f"{program.flops / 1e9:.1f}",
    ]
    # The body of a loop the compiler would count once.
    if program.text is None or " while(" in program.text:
      figures = ["unknown"] * 3
    cells += figures if program is forward else [figures[0], figures[2]]
  return cells


def _lengths(work: suite.Work) -> dict[str, int]:
  names = ("frame_length", "frame_step", "fft_length")
  return {name: getattr(work, name) for name in names}


def _wide(dtype: tf.DType | str) -> tf.DType:
  return tf.float64 if tf.as_dtype(dtype) == tf.float64 else tf.float32


def _figures(program: tpu_compiler.Program) -> str:
  digits = max(0, 2 - math.floor(math.log10(max(program.flops, 1e6) / 1e9)))
  return (
    f"{program.seconds:5.1f} s {program.flops / 1e9:8.{min(digits, 4)}f} GFLOP "
    f"{program.bytes_accessed / 1e6:8.2f} MB, "
    f"{program.temporary_bytes / 1e6:.2f} MB temporary, "
    f"precision {_precisions(program)}"
  )


def _precisions(program: tpu_compiler.Program) -> str:
  if program.text is None:
    return "unknown: jax cannot read the program"
  return ", ".join(sorted(program.precisions)) or "of no product"


def main(argv: Sequence[str]) -> int:
  """Prints the figures, and what failed."""
  del argv
  for chip in _CHIPS.value:
    if chip not in tpu_compiler.TOPOLOGIES:
      raise app.UsageError(
        f"chips must be among {', '.join(tpu_compiler.TOPOLOGIES)}. "
        f"Got: chips={chip}."
      )
  names = {golden.name: golden for golden in GOLDENS}
  for name in _GOLDENS.value or ():
    if name not in names:
      raise app.UsageError(f"goldens must be known. Got: goldens={name}.")
  try:
    if _TABLE.value:
      for chip in _CHIPS.value:
        for line in table(chip):
          print(line, flush=True)
      return 0
    failures = run(
      [names[name] for name in _GOLDENS.value or names], _CHIPS.value
    )
  except ImportError as error:
    failures = [str(error)]
  for failure in failures:
    print(failure, file=sys.stderr)
  return 1 if failures else 0


if __name__ == "__main__":
  app.run(main)
