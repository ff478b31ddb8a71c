"""The worker process of the benchmark, and the peers outside TensorFlow.

As a program, `python benchmark_peers.py PEER`, it serves one peer. It then runs
under the Python that has the peer, so it imports NumPy and nothing of tfspec.
"""

import dataclasses
import importlib.metadata
import json
import math
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

# So much of a result is compared with the float64 transform: clips, frames.
_CLIPS = 8
_FRAMES = 1000

# Greatest relative L2 error with which a run still does the same work.
_TOLERANCE = 1e-2

# Works whose values are bands or coefficients.
FRONT_ENDS = ("log_mel", "whisper", "mfcc")

# Calls of less than this are repeated, so that the clock is fine enough.
_SHORTEST_SECONDS = 0.05


@dataclasses.dataclass(frozen=True)
class Run:
  """A way to do a work.

  Attributes:
    call: Does the work once and returns the result.
    values: Turns the result into an array, to be checked.
    expected: The float64 array that it must be, or None for no check.
    by_bin: Whether the error is the median of those of the bins, the last axis:
      the gradient of log is without bound where a bin almost vanishes.
  """

  call: Callable[[], Any]
  values: Callable[[Any], np.ndarray] | None = None
  expected: np.ndarray | None = None
  by_bin: bool = False


# For each run's name what makes it; made only if it is asked for.
Makers = dict[str, Callable[[], Run]]


def noise(work: dict) -> np.ndarray:
  """Returns the signals of a work, float32 `[batch, samples]`."""
  random = np.random.default_rng(0)
  shape = (work["batch"], work["samples"])
  return 0.1 * random.standard_normal(shape, dtype=np.float32)


def window(work: dict) -> np.ndarray:
  """Returns the periodic hann window, float64 `[frame_length]`."""
  length = work["frame_length"]
  return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)


def frames(signals: np.ndarray, work: dict) -> np.ndarray:
  """Returns a view of the frames, `[batch, num_frames, frame_length]`."""
  rows = np.lib.stride_tricks.sliding_window_view(
    signals, work["frame_length"], axis=-1
  )
  return rows[:, :: work["frame_step"]]


def num_bands(work: dict) -> int:
  """Returns how many filters a front end has."""
  return 80 if work["kind"] in ("log_mel", "whisper") else 40


def sample_rate_hz(work: dict) -> int:
  """Returns the sample rate of a work: the corpus has 8 kHz."""
  return 8000 if work["kind"] == "dataset" else 16000


def bank(work: dict) -> np.ndarray:
  """Returns the filters of a front end, float64 `[num_bins, num_bands]`.

  Whisper's are Slaney's, others lie on the scale of HTK.
  """
  whisper = work["kind"] == "whisper"
  rate = sample_rate_hz(work)

  def to_hz(mel: np.ndarray) -> np.ndarray:
    if not whisper:
      return 700.0 * np.expm1(mel / 1127.0)
    return np.where(
      mel < 15.0, 200.0 * mel / 3.0, 1000.0 * 6.4 ** ((mel - 15.0) / 27.0)
    )

  top = 1127.0 * math.log1p(rate / 1400.0)
  if whisper:
    top = 15.0 + 27.0 * math.log(rate / 2000.0, 6.4)
  edges = to_hz(np.linspace(0.0, top, num_bands(work) + 2))
  hertz = np.arange(work["fft_length"] // 2 + 1)[:, np.newaxis]
  hertz = hertz * rate / work["fft_length"]
  low, middle, high = edges[:-2], edges[1:-1], edges[2:]
  rise, fall = (hertz - low) / (middle - low), (high - hertz) / (high - middle)
  weights = np.maximum(np.minimum(rise, fall), 0.0)
  return weights * 2.0 / (high - low) if whisper else weights


def _front_end(signals: np.ndarray, work: dict) -> np.ndarray:
  """Returns all frames of a front end, computed in float64."""
  if work["kind"] == "whisper":
    half = work["fft_length"] // 2
    signals = np.pad(signals, [[0, 0], [half, half]], "reflect")
  rows = frames(signals, work) * window(work)
  power = np.abs(np.fft.rfft(rows, work["fft_length"])) ** 2
  bands = np.maximum(power @ bank(work), 1e-10)
  if work["kind"] == "whisper":
    logs = np.log10(bands[:, :-1])
    peak = np.max(logs, axis=(1, 2), keepdims=True)
    return (np.maximum(logs, peak - 8.0) + 4.0) / 4.0
  if work["kind"] != "mfcc":
    return np.log(bands)
  angles = np.pi / 40 * np.outer(np.arange(40) + 0.5, np.arange(13))
  scale = np.sqrt([1 / 40] + [2 / 40] * 12)
  found = [np.log(bands) @ (np.cos(angles) * scale)]
  for _ in range(2):
    wide = np.pad(found[-1], [[0, 0], [2, 2], [0, 0]], "edge")
    slope = 2 * (wide[:, 4:] - wide[:, :-4]) + wide[:, 3:-1] - wide[:, 1:-3]
    found.append(slope / 10.0)
  return np.concatenate(found, axis=-1)


def unchecked() -> None:
  """Stands for the values of a run that computes something else."""


def expected(signals: np.ndarray, work: dict) -> np.ndarray:
  """Returns the first frames of the spectrogram, computed in float64."""
  if work["kind"] in FRONT_ENDS or work["mode"] == "log_mel":
    return _front_end(signals[:_CLIPS], work)[:, :_FRAMES]
  rows = frames(signals[:_CLIPS], work)[:, :_FRAMES] * window(work)
  spectrum = np.fft.rfft(rows, work["fft_length"])
  if work["mode"] == "stft":
    return _parts(spectrum)
  return np.log(np.maximum(np.abs(spectrum), work["floor"]))


def checked(result: Any, bins_first: bool = False) -> np.ndarray:
  """Returns the first frames of a result, in the layout of `expected`."""
  if bins_first:
    values = np.asarray(result[:_CLIPS, :, :_FRAMES]).swapaxes(-1, -2)
  else:
    values = np.asarray(result[:_CLIPS, :_FRAMES])
  return _parts(values) if np.iscomplexobj(values) else values


def _parts(spectrum: np.ndarray) -> np.ndarray:
  return np.concatenate([spectrum.real, spectrum.imag], axis=-1)


def _torch(work: dict) -> tuple[Any, Any, Any]:
  """Returns the module, and the padded signals and window as tensors."""
  import torch

  torch.set_num_threads(work["threads"])
  signals = torch.from_numpy(_padded_noise(work))
  return torch, signals, torch.from_numpy(_padded_window(work))


def _padded_window(work: dict) -> np.ndarray:
  """Returns the window with zeros behind it, float32 `[fft_length]`.

  Peers put a short window in the middle of the transform, and so move the
  frames. With this one, and with `_padded_noise`, frames start where the others
  have them.
  """
  values = window(work).astype(np.float32)
  return np.pad(values, (0, _missing(work)))


def _padded_noise(work: dict, before: int = 0) -> np.ndarray:
  """Returns the signals with the zeros that a short window is short of."""
  return np.pad(noise(work), ((0, 0), (before, _missing(work) - before)))


def _missing(work: dict) -> int:
  return work["fft_length"] - work["frame_length"]


def _torch_bands(work: dict) -> Run:
  """Returns the formula of a front end, written with torch."""
  torch, signals, values = _torch(work)
  weights = torch.from_numpy(bank(work).astype(np.float32))
  whisper = work["kind"] == "whisper"

  @torch.inference_mode()
  def call() -> Any:
    spectrum = torch.stft(
      signals,
      work["fft_length"],
      work["frame_step"],
      window=values,
      center=whisper,
      return_complex=True,
    )
    real, imag = torch.view_as_real(spectrum).unbind(-1)
    power = (real * real).addcmul_(imag, imag).transpose(-1, -2)
    bands = (power @ weights).clamp_min_(1e-10)
    if not whisper:
      return bands.log_()
    logs = bands[:, :-1].log10_()
    peak = logs.amax(dim=(1, 2), keepdim=True)
    return (torch.maximum(logs, peak - 8.0) + 4.0) / 4.0

  return Run(call, checked, expected(noise(work), work))


def _torch_stft(work: dict) -> Makers:
  if work["kind"] == "mfcc":
    return {}
  if work["kind"] in FRONT_ENDS:
    return {"torch.stft": lambda: _torch_bands(work)}

  def make() -> Run:
    torch, signals, values = _torch(work)

    @torch.inference_mode()
    def call() -> Any:
      spectrum = torch.stft(
        signals,
        work["fft_length"],
        work["frame_step"],
        window=values,
        center=False,
        return_complex=True,
      )
      if work["mode"] == "stft":
        return spectrum
      # The fastest of the ways tried: three times that of view_as_real(),
      # square() and sum(-1).
      real, imag = torch.view_as_real(spectrum).unbind(-1)
      power = (real * real).addcmul_(imag, imag)
      return power.clamp_min_(work["floor"] ** 2).log_().mul_(0.5)

    return _spectrogram_run(call, work)

  return {"torch.stft": make}


def _transformers(work: dict) -> Makers:
  def make() -> Run:
    import torch
    import transformers

    torch.set_num_threads(work["threads"])
    extract = transformers.WhisperFeatureExtractor()
    signals = noise(work)[0]

    def call() -> np.ndarray:
      found = extract(signals, sampling_rate=16000, return_tensors="np")
      return found["input_features"]

    return _spectrogram_run(call, work)

  return {"transformers": make} if work["kind"] == "whisper" else {}


def _kaldi(work: dict) -> Makers:
  def make() -> Run:
    import kaldi_native_fbank

    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.dither = 0.0
    options.mel_opts.num_bins = 80
    signals = [32768.0 * clip for clip in noise(work)]

    def call() -> list[Any]:
      found = []
      for clip in signals:
        computer = kaldi_native_fbank.OnlineFbank(options)
        computer.accept_waveform(16000, clip)
        computer.input_finished()
        frames = range(computer.num_frames_ready)
        found.append([computer.get_frame(i) for i in frames])
      return found

    return Run(call)  # Other values: with pre-emphasis, and without DC.

  return {"kaldi-native-fbank": make} if work["kind"] == "log_mel" else {}


def _torchaudio(work: dict) -> Makers:
  def make() -> Run:
    torch, signals, values = _torch(work)
    import torchaudio

    transform = torchaudio.transforms.Spectrogram(
      work["fft_length"],
      hop_length=work["frame_step"],
      window_fn=lambda _: values,
      power=None if work["mode"] == "stft" else 1.0,
      center=False,
    )

    @torch.inference_mode()
    def call() -> Any:
      spectrum = transform(signals)
      if work["mode"] == "stft":
        return spectrum
      return spectrum.clamp_min_(work["floor"]).log_()

    return _spectrogram_run(call, work)

  return {"torchaudio": make}


def _nnaudio(work: dict) -> Makers:
  def make() -> Run:
    torch, signals, _ = _torch(work)
    from nnAudio import features

    stft = work["mode"] == "stft"
    layer = features.STFT(
      n_fft=work["fft_length"],
      win_length=work["frame_length"],
      hop_length=work["frame_step"],
      center=False,
      output_format="Complex" if stft else "Magnitude",
      verbose=False,
    )
    if stft:  # It has no say in where the window lies, so its kernels move.
      for kernel in (layer.wcos, layer.wsin):
        kernel.copy_(_turned(torch, work, kernel is layer.wsin))
    else:
      signals = torch.from_numpy(_padded_noise(work, _missing(work) // 2))

    @torch.inference_mode()
    def call() -> Any:
      values = layer(signals)
      return values if stft else values.clamp_min_(work["floor"]).log_()

    if stft:
      return Run(
        call,
        lambda r: checked(torch.view_as_complex(r.contiguous()), True),
        expected(noise(work), work),
      )
    return _spectrogram_run(call, work)

  return {"nnAudio": make}


def _turned(torch: Any, work: dict, sine: bool) -> Any:
  """Returns a kernel of nnAudio, its window at the start of the transform."""
  length = work["fft_length"]
  turns = np.outer(np.arange(length // 2 + 1), np.arange(length)) % length
  angles = 2 * np.pi * turns / length
  kernel = (np.sin if sine else np.cos)(angles) * _padded_window(work)
  return torch.from_numpy(kernel[:, np.newaxis].astype(np.float32))


def _librosa(work: dict) -> Makers:
  if work["kind"] in ("whisper", "mfcc"):
    return {}

  def make() -> Run:
    import librosa

    signals, values = _padded_noise(work), _padded_window(work)
    weights = bank(work).astype(np.float32).T

    def call() -> np.ndarray:
      spectrum = librosa.stft(
        signals,
        n_fft=work["fft_length"],
        hop_length=work["frame_step"],
        window=values,
        center=False,
      )
      if work["kind"] == "log_mel":
        power = spectrum.real**2 + spectrum.imag**2
        return np.log(np.maximum(weights @ power, 1e-10))
      return _log(spectrum, work)

    return _spectrogram_run(call, work)

  return {"librosa": make}


def _scipy(work: dict) -> Makers:
  def make() -> Run:
    import scipy.signal

    signals = noise(work)
    transform = scipy.signal.ShortTimeFFT(
      window(work).astype(np.float32),
      work["frame_step"],
      fs=1,
      mfft=work["fft_length"],
      phase_shift=None,
    )
    num_frames = frames(signals, work).shape[1]

    def call() -> np.ndarray:
      spectrum = transform.stft(
        signals, 0, num_frames, k_offset=transform.m_num_mid
      )
      return _log(spectrum, work)

    return _spectrogram_run(call, work)

  return {"scipy": make}


def _kapre(work: dict) -> Makers:
  def make() -> Run:
    os.environ["TF_USE_LEGACY_KERAS"] = "1"  # It was written for Keras 2.
    import tensorflow as tf

    limit_threads(tf, work["threads"])
    import kapre

    signals = tf.constant(noise(work)[..., np.newaxis])
    layer = kapre.STFT(
      work["fft_length"], work["frame_length"], work["frame_step"]
    )

    @tf.function
    def call() -> Any:
      spectrum = layer(signals)[..., 0]
      if work["mode"] == "stft":
        return spectrum
      return tf.math.log(tf.maximum(tf.abs(spectrum), work["floor"]))

    return Run(call, checked, expected(noise(work), work))

  return {"kapre": make}


def _of_bins(prepare: Callable[[dict], Makers]) -> Callable[[dict], Makers]:
  """Returns a peer that does the works alone whose values are bins."""
  return lambda work: {} if work["kind"] in FRONT_ENDS else prepare(work)


def _log(spectrum: np.ndarray, work: dict) -> np.ndarray:
  if work["mode"] == "stft":
    return spectrum
  values = np.abs(spectrum)
  np.maximum(values, work["floor"], out=values)
  return np.log(values, out=values)


def _spectrogram_run(call: Callable[[], Any], work: dict) -> Run:
  """Returns the run of a peer that puts the bins before the frames."""
  return Run(call, lambda r: checked(r, True), expected(noise(work), work))


# Each with the packages whose versions it reports.
PEERS = {
  "torch.stft": (_torch_stft, ["torch"]),
  "torchaudio": (_of_bins(_torchaudio), ["torchaudio"]),
  "librosa": (_librosa, ["librosa"]),
  "scipy": (_of_bins(_scipy), ["scipy"]),
  "nnAudio": (_of_bins(_nnaudio), ["nnAudio"]),
  "kapre": (_of_bins(_kapre), ["kapre"]),
  "transformers": (_transformers, ["transformers"]),
  "kaldi-native-fbank": (_kaldi, ["kaldi-native-fbank"]),
}


def limit_threads(tf: Any, threads: int) -> None:
  """Sets the threads of TensorFlow, which must not have started yet."""
  if tf.config.threading.get_intra_op_parallelism_threads() != threads:
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)


def serve(prepare: Callable[[dict], Makers], packages: list[str]) -> None:
  """Answers requests, a line of JSON each, until there are no more.

  `{"prepare": work, "runs": names or None}` makes and checks runs and answers
  with `{name: {"error": number or None} or {"absent": reason}}`. `{"time":
  name}` answers with "seconds". `{"memory": work, "runs": names}` answers for
  each name with the "bytes" by which a first call raises the memory. `{}` is
  answered with the versions of the packages.

  Args:
    prepare: Returns what makes the runs of a work.
    packages: Names of the packages.
  """
  answers = os.fdopen(os.dup(1), "w")
  os.dup2(2, 1)  # What peers print is no answer.
  runs: dict[str, Run] = {}
  repeats: dict[str, int] = {}
  for line in sys.stdin:
    request = json.loads(line)
    work = request.get("prepare") or request.get("memory")
    answer: dict[str, Any] = {}
    if work:
      runs.clear()
      for name, make in prepare(work).items():
        if request["runs"] is not None and name not in request["runs"]:
          continue
        try:
          run = make()
          if "memory" in request:
            answer[name] = {"bytes": _peak_bytes(run)}
            continue
          answer[name] = {"error": _error(run)}
          repeats[name] = count_repeats(run.call)
          runs[name] = run
        except Exception as e:  # A peer may fail in any way of its own.
          text = str(e).splitlines() or [""]
          answer[name] = {"absent": f"{type(e).__name__}: {text[0]}"[:200]}
    elif "time" in request:
      name = request["time"]
      answer["seconds"] = mean_seconds(runs[name].call, repeats[name])
    else:
      answer = {name: _version(name) for name in packages}
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


def _error(run: Run) -> float | None:
  """Returns the relative L2 error of a run; raises if it is too great."""
  result = run.call()
  if run.expected is None or run.values is None:
    return None
  found = run.values(result)
  if found.shape != run.expected.shape:
    raise ValueError(f"shape {found.shape}, expected {run.expected.shape}")
  axes = tuple(range(found.ndim - 1)) if run.by_bin else None
  difference, size = (
    np.sqrt(np.sum(np.square(values), axis=axes))
    for values in (found - run.expected, run.expected)
  )
  error = float(np.median(difference / size))
  if not error <= _TOLERANCE:
    raise ValueError(f"other values: relative error {error:.1e}")
  return error


def count_repeats(call: Callable[[], Any]) -> int:
  """Returns how many calls one timing should take the mean of."""
  start = time.perf_counter()
  call()
  return math.ceil(_SHORTEST_SECONDS / (time.perf_counter() - start))


def mean_seconds(call: Callable[[], Any], repeats: int) -> float:
  """Returns the mean seconds of a call."""
  call()  # The caches still hold what another run left there.
  start = time.perf_counter()
  for _ in range(repeats):
    call()
  return (time.perf_counter() - start) / repeats


def _peak_bytes(run: Run) -> int | None:
  """Returns by how much a call raises the resident memory at its peak."""
  try:
    with open("/proc/self/clear_refs", "w") as file:
      file.write("5")  # The peak starts anew.
    before = _status_bytes("VmRSS")
    run.call()
    return _status_bytes("VmHWM") - before
  except OSError:
    return None  # Not Linux.


def _status_bytes(field: str) -> int:
  with open("/proc/self/status") as file:
    for line in file:
      if line.startswith(field):
        return int(line.split()[1]) * 1024
  raise OSError(f"/proc/self/status has no {field}")


def _version(name: str) -> str | None:
  try:
    return importlib.metadata.version(name)
  except importlib.metadata.PackageNotFoundError:
    return None


if __name__ == "__main__":
  sys.path.pop(0)  # The folder of tfspec's modules, which are not for peers.
  makers, names = PEERS[sys.argv[1]]
  serve(makers, [*names, "numpy"])
