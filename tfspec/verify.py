"""The proof that training and serving compute the same spectrogram."""

import dataclasses
import io
import os
import zipfile
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfspec import (
  checksums,
  errors,
  front_end,
  litert,
  serving_requests,
  verify_replay,
  verify_routes,
)
from tfspec import goldens as goldens_lib
from tfspec.config import SpectrogramConfig
from tfspec.config_rules import brief
from tfspec.data import records
from tfspec.explain import compare
from tfspec.exportable import CONFIG_ASSET, GOLDENS_ASSET, PREDICTIONS_ASSET
from tfspec.front_end import FrontEnd
from tfspec.goldens import Golden
from tfspec.spectrogram import Spectrogram
from tfspec.verify_replay import RouteResult

# What a damaged archive makes NumPy raise.
_NO_ARCHIVE = (
  OSError,
  tf.errors.OpError,
  ValueError,
  KeyError,
  EOFError,
  zipfile.BadZipFile,
  zlib.error,
)


@dataclasses.dataclass(frozen=True)
class Report:
  """What `verify` found.

  Attributes:
    path: The SavedModel, `.tflite` file or prepared dataset.
    fingerprint: Fingerprint of its config, empty if it could not be read.
    problems: What is wrong with the files, a sentence each.
    results: One result a route; none of a prepared dataset.
    mode: The mode of its config.
    notes: What was not done, a sentence each.
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
        f"{'route':<22}{'worst clip':<12}{'largest error':>14}{'bound':>10}"
      )
    for result in self.results:
      lines.append(
        f"{result.route:<22}{result.golden:<12}{result.error:>14.1e}"
        f"{result.bound:>10.1e}  {'ok' if result.ok else 'FAILED'}"
        f"{' ' if result.note else ''}{result.note}"
      )
    lines += self.notes
    agree = "All routes agree." if self.results else "All files are unchanged."
    lines.append(agree if self.ok else "Not verified.")
    return "\n".join(lines)


def verify(path: str | os.PathLike[str], against: Any = None) -> Report:
  """Proves that an export or a prepared dataset is what it was.

  Each file of a folder must be the one that was written, bit for bit. Then the
  golden vectors of an export are replayed through every route: the ops run
  eagerly, in a `tf.function`, compiled by XLA, in `dataset.map`, in the Keras
  layer and, where ai-edge-litert is installed, converted to LiteRT, all built
  from the exported config and the exported kernels; and the signatures of the
  SavedModel. Each value of each must be within its bound of the float64 result
  that was stored at export. For a Keras model that takes fewer samples than a
  clip has, the clip is cut and its result computed from the exported kernels.
  The predictions of a Keras model must be those of its export, to a relative
  1e-4 of the largest value of the output.

  A `.tflite` file must be the one that was written too, and is run by LiteRT.
  If its kernels are fixed, the float64 result is computed from the config that
  the file carries: the file, and each of the routes above, do what the config
  says. Trained kernels cannot be read back from it: the file alone is compared,
  with what was stored at export, and with the float64 result of the kernels of
  `against` if it has some. A Keras model gives predictions alone: there that
  result is compared with the one that was stored.

  Of a prepared dataset only the files are checked: it has no routes.

  Args:
    path: Folder that `tfspec.export_saved_model` or `tfspec prepare` wrote, or
      `.tflite` file that `tfspec.export_litert` wrote.
    against: Anything that `tfspec.explain` takes, or None: its config, and its
      kernels if it has some of its own, must be the same.

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
  folder = os.fspath(path)
  expected = None if against is None else front_end.load(against)
  if folder.endswith(litert.ENDING) and _is_file(folder):
    return _verify_litert(folder, expected)
  if tf.io.gfile.exists(os.path.join(folder, "saved_model.pb")):
    return _verify_export(folder, expected)
  if tf.io.gfile.exists(os.path.join(folder, records.MANIFEST_FILE)):
    return _verify_prepared(folder, expected)
  raise FileNotFoundError(
    f"path must be a SavedModel, a {litert.ENDING} file or a prepared dataset. "
    f"Got: {folder}."
  )


def _is_file(path: str) -> bool:
  return tf.io.gfile.exists(path) and not tf.io.gfile.isdir(path)


def _verify_export(folder: str, expected: FrontEnd | None) -> Report:
  problems = checksums.problems(folder)
  assets = os.path.join(folder, "assets")
  config = None
  try:
    config = front_end.read_config(os.path.join(assets, CONFIG_ASSET))
    goldens = goldens_lib.load(os.path.join(assets, GOLDENS_ASSET), config)
  except (OSError, ValueError) as e:
    problems.append(str(e))
  if problems:  # What is damaged is not run.
    return _report(folder, config, problems)
  try:
    model = tf.saved_model.load(folder)
    own = front_end.of_export(folder, config, model)
    routes = {
      **verify_routes.own(config, own.kernels),
      **verify_routes.served(config, model, own.kernels),
    }
  except Exception as e:  # Whatever a damaged file makes TensorFlow raise.
    problems.append(f"The model must load. Got: {errors.first_line(e)}")
    return _report(folder, config, problems)
  notes = []
  try:
    routes |= verify_routes.converted(config, own.kernels)
  except ImportError:
    notes.append("LiteRT not run: pip install tfspec[litert]")
  except (RuntimeError, ValueError) as e:
    problems.append(f"LiteRT must run it. Got: {errors.first_line(e)}")
  problems += _differences(own, expected)
  results = [
    verify_replay.replay(name, run, config, goldens)
    for name, run in routes.items()
  ]
  if "spectrogram" in model.signatures:
    path = os.path.join(assets, PREDICTIONS_ASSET)
    try:
      results += verify_replay.served_predictions(config, model, goldens, path)
    except _NO_ARCHIVE as e:
      problems.append(
        f"{path}: the file must hold every prediction. Got: {e!r}."
      )
  return _report(folder, config, problems, results, notes)


def _verify_litert(path: str, expected: FrontEnd | None) -> Report:
  config, kernels, problems = None, {}, []
  try:
    config = litert.load_config(path)
    problems += litert.problems(path)
    stored = litert.assets(path)
    is_model = PREDICTIONS_ASSET in stored
    goldens = goldens_lib.make(Spectrogram(config))
    if config.trainable:
      archive = io.BytesIO(stored.get(GOLDENS_ASSET, b""))
      goldens = goldens_lib.load(archive, config, f"{path}/{GOLDENS_ASSET}")
    if config.trainable and expected is not None:
      # The file has trained kernels too, but as LiteRT runs them.
      kernels = expected.kernels
      expected = dataclasses.replace(expected, kernels={})
  except (OSError, ValueError) as e:
    problems.append(str(e))
  if problems:  # What is damaged is not run.
    return _report(path, config, problems)
  routes = {} if config.trainable else verify_routes.own(config, {})
  try:
    interpreter = litert.interpreter(path)
    shape = litert.signals_shape(interpreter)
    if not is_model:
      routes |= verify_routes.on_device(config, interpreter)
  except ImportError:
    raise
  except Exception as e:  # Whatever another program makes of these.
    problem = f"The model must load. Got: {errors.first_line(e)}"
    return _report(path, config, [problem])
  problems = _differences(FrontEnd(path, config, {}), expected)
  results = [
    verify_replay.replay(name, run, config, goldens)
    for name, run in routes.items()
  ]
  if kernels and not problems:
    results.append(
      verify_replay.against(kernels, routes.get("LiteRT"), config, goldens)
    )
  if is_model:

    def run(golden: Golden) -> dict[str, np.ndarray]:
      signals = serving_requests.rows(golden.signals, shape, config)
      return litert.run(interpreter, signals)

    try:
      archive = goldens_lib.read_archive(io.BytesIO(stored[PREDICTIONS_ASSET]))
      # Those that the model takes.
      names = {key.partition("/")[0] for key in archive}
      clips = [golden for golden in goldens if golden.name in names]
      if not clips:
        raise ValueError("none of the clips")
      results.append(
        verify_replay.predictions("model LiteRT", run, clips, archive)
      )
    except _NO_ARCHIVE as e:
      name = f"{path}/{PREDICTIONS_ASSET}"
      problems.append(
        f"{name}: the file must hold every prediction. Got: {e!r}."
      )
  return _report(path, config, problems, results)


def _verify_prepared(folder: str, expected: FrontEnd | None) -> Report:
  problems = checksums.problems(folder)
  try:
    own = front_end.load(folder)
  except (OSError, ValueError) as e:
    return _report(folder, None, [*problems, str(e)])
  problems += _differences(own, expected)
  return _report(folder, own.config, problems)


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
    folder, fingerprint, tuple(problems), tuple(results), mode, tuple(notes)
  )


def _differences(own: FrontEnd, expected: FrontEnd | None) -> list[str]:
  """Returns a sentence for each difference from what is expected."""
  if expected is None:
    return []
  found = compare(own, expected)
  problems = [
    f"{field} must be that of {expected.name}. Got: {brief(value)}, there "
    f"{brief(theirs)}."
    for field, value, theirs in ((d.field, d.a, d.b) for d in found.fields)
  ]
  # A config does not say where training moves the kernels.
  if found.kernels_differ and expected.kernels:
    problems.append(
      f"The kernels must be those of {expected.name}. Got: "
      f"{own.distance():.2g} from the Fourier kernels (relative L2), there "
      f"{expected.distance():.2g}, and not equal."
    )
  return problems
