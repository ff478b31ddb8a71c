"""The proof that training and serving compute the same spectrogram."""

import dataclasses
import io
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfspec import errors
from tfspec.coefficients.rules import brief
from tfspec.config import SpectrogramConfig, load_config
from tfspec.contract import archive, replay, vectors
from tfspec.contract.replay import Route, RouteResult
from tfspec.contract.vectors import GoldenVector
from tfspec.data import records
from tfspec.export import answer_replay, litert, process_state, sample_requests
from tfspec.export import answers as answers_lib
from tfspec.export.answers import Answer, Answers
from tfspec.export.sources import ANSWERS_ASSET, CONFIG_ASSET, GOLDENS_ASSET
from tfspec.layers import stft_spectrogram
from tfspec.spectrogram import Spectrogram
from tfspec.storage import checksums, files
from tfspec.verification import definitions
from tfspec.verification import routes as routes_lib
from tfspec.verification.definitions import Definition
from tfspec.verification.explain import compare


@dataclasses.dataclass(frozen=True)
class Report:
  """What `verify` found.

  Attributes:
    path: The SavedModel, `.tflite` file or prepared dataset.
    fingerprint: Fingerprint of its config, empty if it could not be read.
    problems: What is wrong with the files, a sentence each.
    results: One result a route; none of a prepared dataset.
    mode: The mode of its config.
    notes: Sentences on what was not done, and on what differs without being
      wrong.
  """

  path: str
  fingerprint: str
  problems: tuple[str, ...]
  results: tuple[RouteResult, ...]
  mode: str = ""
  notes: tuple[str, ...] = ()

  @property
  def ok(self) -> bool:
    """Whether nothing is wrong with the files and every route is right."""
    return not self.problems and all(result.ok for result in self.results)

  def __str__(self) -> str:
    mode = f", mode {self.mode}" if self.mode else ""
    lines = [f"{self.path}, config {self.fingerprint or 'unreadable'}{mode}"]
    lines += [f"FAILED {problem}" for problem in self.problems]
    if self.results:
      lines.append(
        f"{'route':<28}{'worst clip':<12}{'relative error':>14}{'bound':>9}"
      )
    for result in self.results:
      lines.append(
        f"{result.route:<28}{result.golden:<12}{result.error:>14.1e}"
        f"{result.bound:>9.1e}  {'ok' if result.ok else 'FAILED'}"
        f"{' ' if result.note else ''}{result.note}"
      )
    lines += self.notes
    agree = "All routes agree." if self.results else "All files are unchanged."
    lines.append(agree if self.ok else "Not verified.")
    return "\n".join(lines)


@process_state.graphs_run()
def verify(path: files.Path, against: Any = None) -> Report:
  """Proves that an export or a prepared dataset is what it was.

  Each file of a folder must be the one that was written, bit for bit. Then the
  golden vectors of an export are replayed through every route: the ops run
  eagerly, in a `tf.function`, compiled by XLA, in `dataset.map`, in the Keras
  layer and, where ai-edge-litert is installed, converted to LiteRT, all built
  from the exported config and the exported kernels; and, if no Keras model was
  exported, the signatures of the SavedModel. Each value of each must be within
  its bound of the float64 result that was stored at export.

  The signatures of a Keras model must answer what Keras answered to each clip
  alone at the export, to 1e-4 of the largest value of the output. `verify`
  sends each clip alone, and all clips in batches of different lengths with
  rubbish in the padding. It checks the output of the layer inside the model
  likewise. The signatures must refuse clips that Keras cannot answer with
  finite values.

  A `.tflite` file must be the one that was written, too. LiteRT runs it. If its
  kernels are fixed, the float64 result is computed from the config that the
  file carries: the file, and each of the routes above, do what the config says.
  Trained kernels cannot be read back from it. `verify` then compares only the
  file, with the values stored at export and with the float64 result of the
  kernels of `against`. It compares the outputs of a Keras model with those of
  Keras at the export.

  A prepared dataset has no routes: `verify` checks only its files.

  Args:
    path: Folder that `tfspec.export_saved_model` or `tfspec prepare` wrote, or
      `.tflite` file that `tfspec.export_litert` wrote.
    against: Anything that `tfspec.explain` takes, or None: its definition and
      its kernels must be the same. Fixed kernels are the Fourier kernels. A
      trainable config does not say where training moves the kernels: against
      one they are not compared, and a note says so. Other notes name fields
      that only say how the numbers are computed.

  Returns:
    The report; `report.ok` tells whether all is well, `str(report)` is a table.

  Raises:
    FileNotFoundError: If there is none of them at the path.
    ImportError: If ai-edge-litert, which runs `.tflite` files, is not
      installed.
    TypeError: If there is no spectrogram in `against`.
    ValueError: If what lies at the path `against` is damaged.
    OSError: If there is nothing at the path `against`.

  Example:
    >>> config = tfspec.SpectrogramConfig()
    >>> tfspec.export_saved_model(config, "models/mine/1")
    >>> verify("models/mine/1").ok
    True
    >>> other = tfspec.SpectrogramConfig(frame_step=64)
    >>> verify("models/mine/1", against=other).problems
    ('frame_step must be that of SpectrogramConfig. Got: 128, there 64.',)
  """
  folder = files.as_path(path)
  expected = None if against is None else definitions.load(against)
  if folder.endswith(litert.ENDING) and _is_file(folder):
    return _verify_litert(folder, expected)
  if files.exists(os.path.join(folder, "saved_model.pb")):
    return _verify_export(folder, expected)
  if files.exists(os.path.join(folder, records.MANIFEST_FILE)):
    return _verify_prepared(folder, expected)
  raise FileNotFoundError(
    f"path must be a SavedModel, a {litert.ENDING} file or a prepared dataset. "
    f"Got: {folder}."
  )


def _answers(path: str) -> Answers | None:
  """Returns the answers of a Keras model, None where none was exported."""
  if not files.exists(path):
    return None
  return answers_lib.load(files.read_bytes(path), path)


def _is_file(path: str) -> bool:
  return files.exists(path) and not files.is_folder(path)


def _verify_export(folder: str, expected: Definition | None) -> Report:
  problems = checksums.problems(folder)
  assets = os.path.join(folder, "assets")
  config = None
  try:
    config = load_config(os.path.join(assets, CONFIG_ASSET))
    goldens = archive.load(os.path.join(assets, GOLDENS_ASSET), config)
    answers = _answers(os.path.join(assets, ANSWERS_ASSET))
  except (OSError, ValueError) as e:
    problems.append(str(e))
  if config is None or problems:  # Do not run damaged files.
    return _report(folder, config, problems)
  try:
    model = tf.saved_model.load(folder)
    own = definitions.of_export(folder, config, model)
    routes = {
      **routes_lib.own(config, own.kernels),
      **({} if answers else routes_lib.served(config, model)),
    }
  except Exception as e:  # Whatever a damaged file makes TensorFlow raise.
    problems.append(f"The model must load. Got: {errors.first_line(e)}")
    return _report(folder, config, problems)
  notes = []
  if not stft_spectrogram.on_tensorflow():
    notes.append("Keras layer not run: Keras is not on TensorFlow here.")
  try:
    routes |= routes_lib.converted(config, own.kernels)
  except ImportError as e:
    notes.append(f"LiteRT not run: {e}")
  except (RuntimeError, ValueError) as e:
    problems.append(f"LiteRT must run it. Got: {errors.first_line(e)}")
  found, told = _differences(own, expected)
  problems += found
  notes += told
  results = [
    replay.replay(name, run, config, goldens) for name, run in routes.items()
  ]
  if answers is not None:
    results += answer_replay.served_answers(
      config, model.signatures, routes_lib.signals_shape(model), answers
    )
  return _report(folder, config, problems, results, notes)


def _verify_litert(path: str, expected: Definition | None) -> Report:
  config, kernels, problems = None, {}, []
  try:
    config = litert.load_config(path)
    problems += litert.problems(path)
    stored = litert.assets(path)
    answers = None
    if ANSWERS_ASSET in stored:
      name = f"{path}/{ANSWERS_ASSET}"
      answers = answers_lib.load(stored[ANSWERS_ASSET], name)
    goldens = vectors.make(Spectrogram(config))
    if config.trainable:
      content = io.BytesIO(stored.get(GOLDENS_ASSET, b""))
      goldens = archive.load(content, config, f"{path}/{GOLDENS_ASSET}")
  except (OSError, ValueError) as e:
    problems.append(str(e))
  if config is None or problems:  # Do not run damaged files.
    return _report(path, config, problems)
  routes = {} if config.trainable else routes_lib.own(config, {})
  try:
    interpreter = litert.interpreter(path)
    shape = litert.signals_shape(interpreter)
    if answers is None:
      routes |= routes_lib.on_device(config, interpreter)
  except ImportError:
    raise
  except Exception as e:  # Whatever another program makes of these.
    problem = f"The model must load. Got: {errors.first_line(e)}"
    return _report(path, config, [problem])
  own = Definition(path, config, {})
  if expected is not None and config.trainable:
    # The file has trained kernels, but as LiteRT runs them: they are compared
    # by what they give.
    if not expected.is_to_be_trained:
      kernels = expected.kernels or expected.fourier_kernels()
    own = dataclasses.replace(own, kernels=expected.kernels)
  problems, notes = _differences(own, expected)
  results = [
    replay.replay(name, run, config, goldens) for name, run in routes.items()
  ]
  if kernels and not problems:
    results.append(
      _kernels_against(kernels, routes.get("LiteRT"), config, goldens)
    )
  if answers is not None:

    def run(clips: list[Answer]) -> dict[str, np.ndarray]:
      signals = [clip.signals for clip in clips]
      rows = sample_requests.rows(signals, shape, config)
      return litert.run(interpreter, rows)

    results.append(
      answer_replay.replay_answers(
        "model LiteRT", run, [[clip] for clip in answers.answered]
      )
    )
  return _report(path, config, problems, results, notes)


def _verify_prepared(folder: str, expected: Definition | None) -> Report:
  problems = checksums.problems(folder)
  try:
    own = definitions.load(folder)
  except (OSError, ValueError) as e:
    return _report(folder, None, [*problems, str(e)])
  found, notes = _differences(own, expected)
  return _report(folder, own.config, problems + found, notes=notes)


def _report(
  folder: str,
  config: SpectrogramConfig | None,
  problems: list[str],
  results: Sequence[RouteResult] = (),
  notes: Sequence[str] = (),
) -> Report:
  fingerprint = config.fingerprint() if config else ""
  mode = config.mode if config else ""
  return Report(
    files.shown(folder),
    fingerprint,
    tuple(problems),
    tuple(results),
    mode,
    tuple(notes),
  )


def _differences(
  own: Definition, expected: Definition | None
) -> tuple[list[str], list[str]]:
  """Returns what differs from what is expected: problems, and notes."""
  if expected is None:
    return [], []
  found = compare(own, expected)
  problems = [
    f"{field} must be that of {expected.name}. Got: {brief(value)}, there "
    f"{brief(theirs)}."
    for field, value, theirs in ((d.field, d.a, d.b) for d in found.fields)
  ]
  notes = [
    f"{d.field} is {brief(d.a)}, in {expected.name} {brief(d.b)}: it says how "
    "the numbers are computed, not what they mean."
    for d in found.execution
  ]
  if expected.is_to_be_trained:
    notes.append(
      f"Kernels not compared: {expected.name} is trainable, and does not say "
      "where training moves them."
    )
  elif found.kernels_differ:
    problems.append(
      f"The kernels must be those of {expected.name}. Got: "
      f"{own.distance():.2g} from the Fourier kernels (relative L2), there "
      f"{expected.distance():.2g}, and not equal."
    )
  return problems, notes


def _kernels_against(
  kernels: Mapping[str, np.ndarray],
  run: Route | None,
  config: SpectrogramConfig,
  goldens: list[GoldenVector],
) -> RouteResult:
  """Compares a route with what other kernels give in float64.

  Args:
    kernels: The other kernels by part.
    run: The route, or None for the golden vectors themselves.
    config: The config.
    goldens: The golden vectors.
  """
  stored = {golden.name: golden.expected(config) for golden in goldens}
  theirs = [
    vectors.golden(golden.name, golden.signals, config, kernels)
    for golden in goldens
  ]
  if run:
    return replay.replay("LiteRT against", run, config, theirs)
  return replay.replay(
    "goldens against",
    lambda clips: [(clip, stored[clip.name]) for clip in clips],
    config,
    theirs,
  )
