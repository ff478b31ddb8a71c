"""Writes what the libraries of the presets compute, for the tests.

  python3 -m venv libraries
  libraries/bin/pip install -r tools/preset_libraries.txt
  libraries/bin/python tools/preset_references.py
  .venv/bin/python tools/preset_references.py speech_commands keras_mel

It takes the names of presets, or none for all but these two, which need
TensorFlow; it does not need tfspec. In `tests/testdata/presets/`,
`signals.npz` has the clips of each sample rate, int16; each `PRESET.npz` has
what a library makes of them, float32 `[num_frames, num_features]`, and in
`library` its version. A clip that a library refuses is not in it.
"""

import importlib.metadata
import pathlib
import sys
import wave
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.signal

_DATA = pathlib.Path(__file__).resolve().parents[1] / "tests" / "testdata"
_SPEECH = _DATA / "speech" / "en" / "queue-thankyou.wav"

# Takes samples in [-1, 1].
Run = Callable[[np.ndarray], Any]


def clips(rate: int, frame_length: int) -> dict[str, np.ndarray]:
  """Returns the clips of a sample rate by name, int16 `[samples]`."""
  with wave.open(str(_SPEECH)) as file:
    speech = np.frombuffer(file.readframes(file.getnframes()), "<i2")
  random = np.random.default_rng(0)
  count = rate // 5
  # Speech of 8 kHz has nothing above 4 kHz. Noise of 70 dB below the largest
  # sample stands there, as that of a microphone does.
  resampled = scipy.signal.resample_poly(speech.astype(float), rate, 8000)
  resampled = resampled[rate // 10 : rate * 9 // 10]
  resampled = resampled + 10.0 * random.standard_normal(len(resampled))
  impulse = np.zeros(count)
  impulse[count // 2] = 20000.0
  found = {
    "speech": resampled,
    "silence": np.zeros(count),
    "impulse": impulse,
    "dc": np.full(count, 8000.0),
    "clipped": 60000.0 * random.standard_normal(count),
    "short": 3000.0 * random.standard_normal(frame_length * 3 // 4),
  }
  return {
    name: np.clip(np.round(values), -32768, 32767).astype(np.int16)
    for name, values in found.items()
  }


def whisper(num_bands: int) -> Run:
  """Returns the front end of Whisper, of clips as long as they are."""
  import transformers

  extract = transformers.WhisperFeatureExtractor(feature_size=num_bands)
  return lambda s: extract._torch_extract_fbank_features(s[np.newaxis])[0].T


def kaldi(kind: str, set_options: Callable[[Any], None]) -> Run:
  """Returns the features "Fbank" or "Mfcc" of kaldi-native-fbank."""
  import kaldi_native_fbank

  options = getattr(kaldi_native_fbank, f"{kind}Options")()
  options.frame_opts.dither = 0.0
  set_options(options)

  def run(signals: np.ndarray) -> Any:
    computer = getattr(kaldi_native_fbank, f"Online{kind}")(options)
    computer.accept_waveform(16000, (signals * 32768.0).tolist())
    computer.input_finished()
    count = computer.num_frames_ready
    frames = [computer.get_frame(i) for i in range(count)]
    return np.reshape(frames, [count, -1] if count else [0, computer.dim])

  return run


def _set_bands(options: Any) -> None:
  options.mel_opts.num_bins = 80


def torchaudio_kaldi(
  kind: str, gain: float, function: Callable[[Any], Any], **options: Any
) -> Run:
  """Returns a function of what `torchaudio.compliance.kaldi` gives."""
  import torch
  from torchaudio.compliance import kaldi

  def run(signals: np.ndarray) -> Any:
    signals = torch.from_numpy(signals * np.float32(gain))[None]
    return function(
      getattr(kaldi, kind)(signals, sample_frequency=16000, **options)
    )

  return run


def _with_deltas(values: Any) -> Any:
  from torchaudio import functional

  first = functional.compute_deltas(values.T)
  second = functional.compute_deltas(first)
  return np.concatenate([values, first.T, second.T], axis=1)


def lhotse_fbank() -> Run:
  """Returns the extractor of lhotse."""
  import lhotse

  extract = lhotse.Fbank(lhotse.FbankConfig(dither=0.0))
  return lambda s: extract.extract(s, 16000)


def ast() -> Run:
  """Returns the extractor of AST, of clips as long as they are."""
  import transformers

  def run(signals: np.ndarray) -> Any:
    frames = (len(signals) - 400) // 160 + 1
    extract = transformers.ASTFeatureExtractor(max_length=frames)
    return extract(signals, sampling_rate=16000)["input_values"][0]

  return run


def librosa(name: str) -> Run:
  """Returns a feature of librosa."""
  import librosa

  return lambda s: getattr(librosa.feature, name)(y=s, sr=22050).T


def torchaudio(name: str) -> Run:
  """Returns a transform of torchaudio."""
  import torch
  import torchaudio

  transform = getattr(torchaudio.transforms, name)()
  return lambda s: transform(torch.from_numpy(s)).T


def vggish(offset: float) -> Run:
  """Returns the features of VGGish, which those of YAMNet nearly are."""
  from torchvggish import mel_features

  return lambda s: mel_features.log_mel_spectrogram(
    s,
    audio_sample_rate=16000,
    log_offset=offset,
    window_length_secs=0.025,
    hop_length_secs=0.010,
    num_mel_bins=64,
    lower_edge_hertz=125.0,
    upper_edge_hertz=7500.0,
  )


def clap() -> Run:
  """Returns the extractor of CLAP, of clips as long as they are."""
  import transformers

  extract = transformers.ClapFeatureExtractor(
    frequency_min=50, frequency_max=14000, truncation="rand_trunc"
  )
  filters = extract.mel_filters_slaney
  return lambda s: extract._np_extract_fbank_features(s, filters)


def panns() -> Run:
  """Returns the features of PANNs."""
  import torch
  import torchlibrosa

  spectrogram = torchlibrosa.Spectrogram(1024, 320, 1024)
  bands = torchlibrosa.LogmelFilterBank(
    32000, 1024, 64, 50, 14000, ref=1.0, amin=1e-10, top_db=None
  )
  return lambda s: bands(spectrogram(torch.from_numpy(s)[None]))[0, 0].detach()


def speechbrain_fbank() -> Run:
  """Returns the features of SpeechBrain."""
  import torch
  from speechbrain.lobes.features import Fbank

  extract = Fbank(n_mels=80)
  return lambda s: extract(torch.from_numpy(s)[None])[0]


def of_transformers(name: str, cut: int = 1, **options: Any) -> Run:
  """Returns an extractor of transformers.

  Args:
    name: Its class.
    cut: Frames behind the last `cut` samples of a clip are left out.
    **options: Its options.
  """
  import transformers

  extract = getattr(transformers, name)(**options)

  def run(signals: np.ndarray) -> Any:
    found = extract(signals, sampling_rate=16000, return_tensors="np")
    key = next(k for k in found if "features" in k or "embeds" in k)
    values = found[key][0]
    return values if cut == 1 else values[: len(signals) // cut]

  return run


def granite_speech() -> Run:
  """Returns the extractor of Granite Speech."""
  import torch
  import transformers

  extract = transformers.GraniteSpeechFeatureExtractor()
  return lambda s: extract(torch.from_numpy(s))["input_features"][0]


def speech_commands() -> Run:
  """Returns the two operations of TensorFlow, which compute in float64."""
  import tensorflow as tf

  def run(signals: np.ndarray) -> Any:
    power = tf.raw_ops.AudioSpectrogram(
      input=signals[:, np.newaxis],
      window_size=480,
      stride=160,
      magnitude_squared=True,
    )
    return tf.raw_ops.Mfcc(
      spectrogram=power,
      sample_rate=16000,
      filterbank_channel_count=40,
      dct_coefficient_count=40,
    )[0]

  return run


def keras_mel() -> Run:
  """Returns the layer of Keras."""
  import keras

  layer = keras.layers.MelSpectrogram()

  def run(signals: np.ndarray) -> Any:
    if len(signals) <= 1024:
      raise ValueError("It needs more than half a frame.")
    return np.asarray(layer(signals[np.newaxis])[0]).T

  return run


# Of each preset its sample rate, how to make what computes it, the package, and
# what that computes with.
_TRANSFORMERS = ("transformers", "torch")
_TORCHAUDIO = ("torchaudio", "torch")
PRESETS: dict[str, tuple[int, Callable[[], Run], tuple[str, ...]]] = {
  "whisper": (16000, lambda: whisper(80), _TRANSFORMERS),
  "whisper_large_v3": (16000, lambda: whisper(128), _TRANSFORMERS),
  "kaldi_fbank": (
    16000,
    lambda: kaldi("Fbank", _set_bands),
    ("kaldi_native_fbank",),
  ),
  "kaldi_mfcc": (
    16000,
    lambda: kaldi("Mfcc", lambda options: None),
    ("kaldi_native_fbank",),
  ),
  "lhotse_fbank": (16000, lhotse_fbank, ("lhotse", "torch")),
  "ast": (16000, ast, ("transformers", *_TORCHAUDIO)),
  "beats": (
    16000,
    lambda: torchaudio_kaldi(
      "fbank",
      32768,
      lambda v: (v - 15.41663) / (2 * 6.55582),
      num_mel_bins=128,
    ),
    _TORCHAUDIO,
  ),
  "seamless_m4t": (
    16000,
    lambda: of_transformers("SeamlessM4TFeatureExtractor"),
    ("transformers",),
  ),
  "wespeaker": (
    16000,
    lambda: torchaudio_kaldi(
      "fbank",
      32768,
      lambda v: v - v.mean(0),
      num_mel_bins=80,
      window_type="hamming",
    ),
    _TORCHAUDIO,
  ),
  "hubert_mfcc": (
    16000,
    lambda: torchaudio_kaldi("mfcc", 1, _with_deltas),
    _TORCHAUDIO,
  ),
  "librosa_mel": (22050, lambda: librosa("melspectrogram"), ("librosa",)),
  "librosa_mfcc": (22050, lambda: librosa("mfcc"), ("librosa",)),
  "torchaudio_mel": (16000, lambda: torchaudio("MelSpectrogram"), _TORCHAUDIO),
  "torchaudio_mfcc": (16000, lambda: torchaudio("MFCC"), _TORCHAUDIO),
  "nemo": (
    16000,
    lambda: of_transformers("ParakeetFeatureExtractor", 160),
    _TRANSFORMERS,
  ),
  "parakeet": (
    16000,
    lambda: of_transformers("ParakeetFeatureExtractor", 160, feature_size=128),
    _TRANSFORMERS,
  ),
  "yamnet": (16000, lambda: vggish(0.001), ("torchvggish",)),
  "vggish": (16000, lambda: vggish(0.01), ("torchvggish",)),
  "clap": (48000, clap, ("transformers",)),
  "panns": (32000, panns, ("torchlibrosa", "torch")),
  "speechbrain_fbank": (16000, speechbrain_fbank, ("speechbrain", "torch")),
  "lasr": (
    16000,
    lambda: of_transformers("LasrFeatureExtractor"),
    _TRANSFORMERS,
  ),
  "granite_speech": (
    16000,
    granite_speech,
    ("transformers", *_TORCHAUDIO),
  ),
  "phi4": (
    16000,
    lambda: of_transformers("Phi4MultimodalFeatureExtractor"),
    _TRANSFORMERS,
  ),
  "speech_commands": (16000, speech_commands, ("tensorflow",)),
  "keras_mel": (16000, keras_mel, ("keras", "tensorflow")),
}


def main() -> None:
  """Writes the files."""
  names = sys.argv[1:]
  if not names:
    names = [n for n, (*_, p) in PRESETS.items() if "tensorflow" not in p]
  folder = _DATA / "presets"
  folder.mkdir(parents=True, exist_ok=True)
  lengths = {16000: 400, 22050: 2048, 32000: 1024, 48000: 1024}
  of_rate = {rate: clips(rate, length) for rate, length in lengths.items()}
  np.savez_compressed(
    folder / "signals.npz",
    **{
      f"{rate}/{name}": values
      for rate, named in of_rate.items()
      for name, values in named.items()
    },
  )
  for name in names:
    rate, make, packages = PRESETS[name]
    run = make()
    outputs = {}
    for clip, values in of_rate[rate].items():
      try:
        found = run((values / 32768.0).astype(np.float32))
        outputs[clip] = np.asarray(found, np.float32)
      except (AssertionError, RuntimeError, ValueError) as e:
        print(f"{name} refuses {clip}: {str(e).splitlines()[0]}")
    versions = ", ".join(
      f"{p} {importlib.metadata.version(p)}" for p in packages
    )
    np.savez_compressed(folder / f"{name}.npz", library=versions, **outputs)
    shapes = {clip: values.shape for clip, values in outputs.items()}
    print(f"{name}: {versions}; {shapes}")


if __name__ == "__main__":
  main()
