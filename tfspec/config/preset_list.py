"""Presets: the configs of front ends that models were trained with.

A preset is data: the values of a config, its source, and what a reader must
know of it. docs/presets.md has how equal each is to its library.
"""

import dataclasses
import warnings
from typing import Any

from tfspec.config.spectrogram_config import SpectrogramConfig


@dataclasses.dataclass(frozen=True)
class Preset:
  """A published front end.

  Signals are those of its sample rate, in [-1, 1].

  Attributes:
    name: Its name, for `tfspec.preset`.
    source: Where its definition comes from: a class or a function of a library.
    leaves_out: What the source does besides, which no config says.
    differs: In what the numbers differ from the source by more than rounding.
    values: The values of its config that are not the defaults, by field.
    unlike: Clips of the tests for which `differs` holds.
  """

  name: str
  source: str
  leaves_out: str
  differs: str
  values: dict[str, Any]
  unlike: tuple[str, ...] = ()

  @property
  def config(self) -> SpectrogramConfig:
    """The config."""
    with warnings.catch_warnings():
      # An empty filter that the front end was published with.
      warnings.filterwarnings("ignore", "filter_bank must have a bin")
      return SpectrogramConfig(**self.values)


_BASE: dict[str, Any] = dict(mode="power", scaling=None)
_SPEECH = _BASE | dict(
  frame_length=400, frame_step=160, fft_length=512, sample_rate_hz=16000
)
_PERIODIC = dict(periodic=True)
_CENTER = _PERIODIC | dict(padding="center")
_SLANEY = dict(scale="slaney", norm="slaney")
# Without the bin of 0 Hz, and straight on the scale, as tf.signal has it.
_OF_TENSORFLOW = dict(scale="htk", slopes="scale", first_bin=1)
_DECIBEL = dict(kind="decibel", floor=1e-10)


def _whisper(num_bands: int) -> dict[str, Any]:
  return _BASE | dict(
    frame_length=400,
    frame_step=160,
    fft_length=400,
    periodic=True,
    padding="center",
    drop_last_frame=True,
    sample_rate_hz=16000,
    filter_bank=_SLANEY | dict(num_bands=num_bands),
    compression=dict(base=10.0, floor=1e-10, dynamic_range=8.0),
    normalization=dict(mean=-4.0, std=4.0),
  )


def _kaldi(
  num_bands: int = 80,
  gain: float = 32768.0,
  window: str = "povey",
  high_hz: float | None = None,
) -> dict[str, Any]:
  return _SPEECH | dict(
    window=window,
    conditioning=dict(gain=gain, remove_dc=True, preemphasis=0.97),
    filter_bank=dict(
      num_bands=num_bands,
      scale="htk",
      slopes="scale",
      low_hz=20.0,
      high_hz=high_hz,
      empty="allow" if num_bands > 100 else "error",
    ),
    compression=dict(floor=2.0**-23),
  )


def _nemo(num_bands: int) -> dict[str, Any]:
  return _SPEECH | dict(
    frame_length=512,
    window_length=400,
    padding="center",
    pad_mode="constant",
    drop_last_frame=True,
    conditioning=dict(
      preemphasis=0.97, preemphasis_of="clip", first_sample="kept"
    ),
    filter_bank=_SLANEY | dict(num_bands=num_bands),
    compression=dict(offset=2.0**-24),
    normalization=dict(source="clip", ddof=1, epsilon=1e-5),
  )


def _librosa(**others: Any) -> dict[str, Any]:
  return (
    _BASE
    | _CENTER
    | dict(
      frame_length=2048,
      frame_step=512,
      pad_mode="constant",
      sample_rate_hz=22050,
      filter_bank=_SLANEY | dict(num_bands=128),
    )
    | others
  )


def _torchaudio(**others: Any) -> dict[str, Any]:
  return (
    _BASE
    | _CENTER
    | dict(
      frame_length=400,
      frame_step=200,
      fft_length=400,
      sample_rate_hz=16000,
      filter_bank=dict(num_bands=128, empty="allow"),
    )
    | others
  )


def _of_magnitude(offset: float) -> dict[str, Any]:
  return (
    _SPEECH
    | _PERIODIC
    | dict(
      mode="magnitude",
      filter_bank=_OF_TENSORFLOW
      | dict(num_bands=64, low_hz=125.0, high_hz=7500.0),
      compression=dict(offset=offset),
    )
  )


_MFCC = _kaldi(23) | dict(cepstrum=dict(num_coefficients=13, lifter=22.0))
_TO_FIXED_LENGTH = "The clip padded with zeros, or cut, to 30 s."
_DITHER = "Dither."
_LAST_OF_NEMO = (
  f"{_DITHER} The frame behind the last whole hop, which the library sets to 0."
)
_SILENCE_OF_NEMO = (
  "A clip of silence is 0. The library divides the rounding of its mean by"
  " epsilon, and gives about -0.16. A clip of one frame is 0, there NaN."
)
_FLOAT32_BANK = "The library computes its filter bank in float32."

_PRESETS = (
  Preset(
    "whisper",
    "openai-whisper 20250625, audio.py; transformers, WhisperFeatureExtractor",
    _TO_FIXED_LENGTH,
    "",
    _whisper(80),
  ),
  Preset(
    "whisper_large_v3",
    "openai-whisper 20250625, audio.py; transformers, WhisperFeatureExtractor"
    " with feature_size=128",
    _TO_FIXED_LENGTH,
    "",
    _whisper(128),
  ),
  Preset(
    "kaldi_fbank",
    "Kaldi, compute-fbank-feats --num-mel-bins=80 --dither=0;"
    " kaldi-native-fbank, OnlineFbank",
    _DITHER,
    "",
    _kaldi(),
  ),
  Preset(
    "kaldi_mfcc",
    "Kaldi, compute-mfcc-feats --dither=0; kaldi-native-fbank, OnlineMfcc",
    _DITHER,
    "",
    _MFCC | dict(cepstrum=_MFCC["cepstrum"] | dict(energy=True)),
  ),
  Preset(
    "lhotse_fbank",
    "lhotse, Fbank",
    _DITHER,
    "",
    _kaldi(gain=1.0, high_hz=7600.0) | dict(padding="hop_center"),
  ),
  Preset(
    "ast",
    "transformers, ASTFeatureExtractor",
    "Padding with zeros, or a cut, to 1024 frames.",
    _FLOAT32_BANK,
    _kaldi(128, gain=1.0, window="hann")
    | dict(normalization=dict(mean=-4.2677393, std=2 * 4.5689974)),
  ),
  Preset(
    "beats",
    "BEATs, BEATs.py, with torchaudio, compliance.kaldi.fbank",
    "",
    _FLOAT32_BANK,
    _kaldi(128) | dict(normalization=dict(mean=15.41663, std=2 * 6.55582)),
  ),
  Preset(
    "seamless_m4t",
    "transformers, SeamlessM4TFeatureExtractor (also of w2v-BERT 2.0)",
    "A last stack of one frame and zeros, which the library marks as padding.",
    "",
    _kaldi()
    | dict(
      normalization=dict(
        source="clip", ddof=1, epsilon=1e-7, epsilon_of="variance"
      ),
      stacking=dict(size=2, step=2),
    ),
  ),
  Preset(
    "wespeaker",
    "pyannote.audio, WeSpeakerResNet34, with torchaudio,"
    " compliance.kaldi.fbank",
    "",
    _FLOAT32_BANK,
    _kaldi(window="hamming")
    | dict(normalization=dict(source="clip", unit_variance=False)),
  ),
  Preset(
    "hubert_mfcc",
    "fairseq, HuBERT of iteration 1, with torchaudio, compliance.kaldi.mfcc",
    "",
    _FLOAT32_BANK,
    _MFCC
    | dict(
      conditioning=dict(remove_dc=True, preemphasis=0.97),
      deltas=dict(order=2, width=2),
    ),
  ),
  Preset(
    "librosa_mel",
    "librosa, feature.melspectrogram (pad_mode='constant', as of 0.9)",
    "",
    "",
    _librosa(),
  ),
  Preset(
    "librosa_mfcc",
    "librosa, feature.mfcc",
    "",
    "",
    _librosa(
      compression=_DECIBEL | dict(dynamic_range=80.0),
      cepstrum=dict(num_coefficients=20),
    ),
  ),
  Preset(
    "torchaudio_mel",
    "torchaudio, transforms.MelSpectrogram",
    "",
    _FLOAT32_BANK,
    _torchaudio(),
  ),
  Preset(
    "torchaudio_mfcc",
    "torchaudio, transforms.MFCC",
    "",
    "The limit of 80 dB is below the peak of the clip; in the library it is"
    f" below that of the whole batch. {_FLOAT32_BANK}",
    _torchaudio(
      compression=_DECIBEL | dict(dynamic_range=80.0),
      cepstrum=dict(num_coefficients=40),
    ),
  ),
  Preset(
    "nemo",
    "NeMo, AudioToMelSpectrogramPreprocessor as its ASR configs set it;"
    " transformers, ParakeetFeatureExtractor",
    _LAST_OF_NEMO,
    _SILENCE_OF_NEMO,
    _nemo(80),
    ("silence",),
  ),
  Preset(
    "parakeet",
    "NeMo, parakeet-tdt-0.6b-v2; transformers, ParakeetFeatureExtractor with"
    " feature_size=128",
    _LAST_OF_NEMO,
    _SILENCE_OF_NEMO,
    _nemo(128),
    ("silence",),
  ),
  Preset(
    "yamnet",
    "TensorFlow models, research/audioset/yamnet/features.py",
    "Zeros at the end of the clip; patches of 96 frames every 48.",
    "",
    _of_magnitude(0.001),
  ),
  Preset(
    "vggish",
    "torchvggish, mel_features.py, as TensorFlow models,"
    " research/audioset/vggish",
    "Patches of 96 frames.",
    "",
    _of_magnitude(0.01),
  ),
  Preset(
    "speech_commands",
    "TensorFlow, AudioSpectrogram and Mfcc, as examples/speech_commands sets"
    " them",
    "",
    "The operations compute in float64. In float32 the rounding of a loud"
    " constant stands far above their floor.",
    _SPEECH
    | _PERIODIC
    | dict(
      mode="magnitude",
      frame_length=480,
      filter_bank=dict(
        num_bands=40,
        scale="htk",
        slopes="scale",
        low_hz=20.0,
        high_hz=4000.0,
        first_bin=2,
      ),
      compression=dict(floor=1e-12),
      cepstrum=dict(num_coefficients=40, dct_norm="htk"),
    ),
    ("dc",),
  ),
  Preset(
    "keras_mel",
    "Keras, layers.MelSpectrogram",
    "",
    "The limit of 80 dB is below the peak of the clip; in the library it is"
    f" below that of the whole batch. {_FLOAT32_BANK}",
    _BASE
    | _CENTER
    | dict(
      frame_length=2048,
      frame_step=512,
      sample_rate_hz=16000,
      filter_bank=_OF_TENSORFLOW
      | dict(num_bands=128, low_hz=20.0, high_hz=8000.0),
      compression=_DECIBEL | dict(dynamic_range=80.0),
    ),
  ),
  Preset(
    "clap",
    "transformers, ClapFeatureExtractor with truncation='rand_trunc' and the"
    " frequencies of laion/clap-htsat-unfused",
    "The clip repeated to 10 s, or a random part of it.",
    "",
    _BASE
    | _CENTER
    | dict(
      frame_length=1024,
      frame_step=480,
      sample_rate_hz=48000,
      filter_bank=_SLANEY | dict(num_bands=64, low_hz=50.0, high_hz=14000.0),
      compression=_DECIBEL,
    ),
  ),
  Preset(
    "panns",
    "PANNs, CNN14, with torchlibrosa, LogmelFilterBank",
    "",
    "",
    _BASE
    | _CENTER
    | dict(
      frame_length=1024,
      frame_step=320,
      sample_rate_hz=32000,
      filter_bank=_SLANEY | dict(num_bands=64, low_hz=50.0, high_hz=14000.0),
      compression=_DECIBEL,
    ),
  ),
  Preset(
    "speechbrain_fbank",
    "SpeechBrain, lobes.features.Fbank with n_mels=80",
    "",
    _FLOAT32_BANK,
    _BASE
    | _CENTER
    | dict(
      frame_length=400,
      frame_step=160,
      fft_length=400,
      window="hamming",
      pad_mode="constant",
      sample_rate_hz=16000,
      filter_bank=dict(num_bands=80, slopes="lower"),
      compression=_DECIBEL | dict(dynamic_range=80.0),
    ),
  ),
  Preset(
    "lasr",
    "transformers, LasrFeatureExtractor (MedASR)",
    "",
    "",
    _SPEECH
    | dict(
      filter_bank=_OF_TENSORFLOW
      | dict(num_bands=128, low_hz=125.0, high_hz=7500.0, empty="allow"),
      compression=dict(floor=1e-5),
    ),
  ),
  Preset(
    "granite_speech",
    "transformers, GraniteSpeechFeatureExtractor",
    "",
    _FLOAT32_BANK,
    _BASE
    | _CENTER
    | dict(
      frame_length=512,
      frame_step=160,
      window_length=400,
      sample_rate_hz=16000,
      filter_bank=dict(num_bands=80),
      compression=dict(base=10.0, dynamic_range=8.0),
      normalization=dict(mean=-4.0, std=4.0),
      stacking=dict(size=2, step=2),
    ),
  ),
  Preset(
    "phi4",
    "transformers, Phi4MultimodalFeatureExtractor",
    "",
    "",
    _SPEECH
    | dict(
      window="hamming",
      conditioning=dict(gain=32768.0, preemphasis=0.97),
      filter_bank=dict(num_bands=80, slopes="scale", high_hz=7690.0),
      compression=dict(floor=1.0),
    ),
  ),
)


def presets() -> tuple[Preset, ...]:
  """Returns all presets, with their sources.

  Example:
    >>> presets()[0].name
    'whisper'
  """
  return _PRESETS


def preset(name: str) -> SpectrogramConfig:
  """Returns the config of a published front end.

  It is a config as any other: it can be printed, saved, and changed with
  `dataclasses.replace`. Signals are those of its sample rate, in [-1, 1].

  Args:
    name: One of the names of `presets`.

  Returns:
    The config.

  Raises:
    ValueError: If there is no such preset.

  Example:
    >>> config = preset("whisper")
    >>> config.num_features, config.num_frames(30 * 16000)
    (80, 3000)
  """
  for each in _PRESETS:
    if each.name == name:
      return each.config
  names = ", ".join(repr(each.name) for each in _PRESETS)
  raise ValueError(f"name must be one of {names}. Got: {name!r}.")
