"""Tests of `tfspec.explain`: it names each difference and measures it."""

import dataclasses
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfspec
from tfspec.config import CHOICES, FIELDS, PATHS, fields
from tfspec.data import prepare
from tfspec.export import sample_requests
from tfspec.verification import effects

_CONFIG = tfspec.SpectrogramConfig(frame_length=64, frame_step=24)
_TRAINABLE = dataclasses.replace(_CONFIG, trainable=True)
_ARGUMENTS = {"frame_length": 64, "frame_step": 24}


def _with(**changes):
  return dataclasses.replace(_CONFIG, **changes)


def _explain(*, base=_CONFIG, **changes):
  """Explains fields of the config, which must be all that differs."""
  found = tfspec.explain(base, dataclasses.replace(base, **changes))
  assert not found.same and not found.kernels_differ and not found.execution
  assert [d.field for d in found.fields] == [
    name for name in found.a.config.__dataclass_fields__ if name in changes
  ]
  for difference in found.fields:
    assert difference.b == changes[difference.field]
    assert str(difference) in str(found)
  return found


def _moved(spectrogram, by=0.1):
  random = np.random.default_rng(7)
  for kernel in spectrogram.kernels:
    noise = by * random.standard_normal(kernel.shape)
    kernel.assign_add(tf.cast(noise, kernel.dtype))
  return spectrogram


def test_equal_configs_written_differently():
  written = _with(fft_length=64, floor=math.sqrt(1e-7), engine="fft")
  assert written != _CONFIG
  found = tfspec.explain(_CONFIG, written)
  assert found.same and not found.fields
  assert found.numbers.largest == found.numbers.median == 0.0
  lines = str(found).splitlines()
  assert lines[0].split()[-1] == lines[1].split()[-1] == _CONFIG.fingerprint()
  assert lines[2:] == ["numbers: no difference in float64.", "The same."]
  half = tfspec.SpectrogramConfig(frame_length=64, frame_step=32)
  assert tfspec.explain(tfspec.SpectrogramConfig(frame_length=64), half).same


def test_a_default_that_follows_another_field_is_named_too():
  found = tfspec.explain(
    tfspec.SpectrogramConfig(frame_length=64),
    tfspec.SpectrogramConfig(frame_length=128),
  )
  assert [(d.field, d.a, d.b) for d in found.fields] == [
    ("frame_length", 64, 128),
    ("frame_step", 32, 64),
    ("fft_length", 64, 128),
  ]


def test_an_effect_is_that_of_the_declaration_where_it_needs_no_numbers():
  a, b = _CONFIG.resolved(), _with(frame_step=12).resolved()
  told = {
    path for path, f in PATHS.items() if effects.effect(path, a, b) == f.effect
  }
  own = {path for path in told if path in CHOICES or path == "pad_value"}
  assert own == {"precision", "pad_mode", "pad_value"}
  stages = {f.name for f in FIELDS if isinstance(f.kind, fields.Group)}
  others = {path.partition(".")[0] for path in told - own}
  assert others == stages | {"drop_last_frame"}


def test_scaling_is_one_factor():
  window = np.hanning(64)
  factor = 20 * math.log10(np.sqrt(np.sum(window**2)))
  found = _explain(scaling=None, base=_with(floor=1e-18))
  assert f"{factor:+.2f} dB; phases stay." in found.fields[0].effect
  assert found.numbers.unit == "dB"
  assert found.numbers.median == pytest.approx(factor)
  # The kernel of a scaled window has nothing but that factor either.
  linear = _explain(scaling=None, base=_with(mode="real"))
  assert linear.numbers.unit == "of the largest value"
  assert linear.numbers.largest == pytest.approx(1 - 10 ** (-factor / 20))


def test_floor_moves_silence_alone():
  found = _explain(floor=1e-5)
  assert found.numbers.largest == pytest.approx(30.0)
  assert found.numbers.median == 0.0
  assert "-70.0 against -100.0 dB" in found.fields[0].effect
  psd = _with(mode="psd")
  assert tfspec.explain(psd, dataclasses.replace(psd, floor=1e-5)).same


def test_weights():
  window, other = np.hanning(64), np.hamming(64)
  window, other = (w / np.linalg.norm(w) for w in (window, other))
  found = _explain(window="hamming")
  assert f"{np.linalg.norm(other - window):.2g} from" in found.fields[0].effect
  assert found.numbers.largest > found.numbers.median > 0.1
  assert "window is" in _explain(periodic=True).fields[0].effect
  flat = _explain(window="boxcar", base=_with(window=None))
  assert flat.fields[0].effect == "The windows are equal: nothing changes."
  assert flat.numbers.largest == 0.0
  short = _explain(window_length=40)
  assert "other weights: with this field alone" in short.fields[0].effect
  assert short.numbers.largest > short.numbers.median > 0.1
  # Windows of one length have no counterpart in the other frame.
  long = _explain(base=_with(fft_length=64), frame_length=32, window_length=16)
  assert long.fields[-1].effect.startswith("The samples of a frame have other")
  values = _explain(window=tuple(np.linspace(0.1, 1.0, 64)))
  assert "window: 'hann' against 64 given values. " in str(values)


def test_fields_that_do_not_stand_alone():
  # Values of 32 samples fit no frame of 64, and this Hann window is all zero.
  found = _explain(
    base=_with(fft_length=64), frame_length=32, window=(1.0,) * 32
  )
  assert "every value changes" in found.fields[-1].effect
  tiny = tfspec.SpectrogramConfig(frame_length=2, periodic=True)
  other = tfspec.SpectrogramConfig(frame_length=2, window="boxcar")
  fields = {d.field: d.effect for d in tfspec.explain(tiny, other).fields}
  assert "every value changes" in fields["periodic"]
  weak = _with(window=(1e-20,) * 64)
  found = tfspec.explain(weak, _with(scaling=None))
  assert "by one factor" in {d.field: d.effect for d in found.fields}["scaling"]


@pytest.mark.parametrize(
  ("changes", "effect", "note"),
  [
    (
      {"frame_step": 12},
      "2 times as many frames",
      "[67, 33] against [134, 33]",
    ),
    ({"fft_length": 100}, "33 against 51 bins: bin k stands for k / 64", "51]"),
    (
      {"frame_length": 32},
      "0.5 times the time of one of A, and its spectral lines are 2 times",
      "shapes differ",
    ),
    ({"padding": "same"}, "6665 against 6667 frames", "shapes differ"),
    ({"padding": "center", "pad_mode": "reflect"}, "the middle of fra", "dif"),
    ({"mode": "power"}, "logarithm, against |X|^2.", "'log' against 'power'"),
    ({"mode": "psd"}, "the natural logarithm, against |X|^2", "'log' against"),
  ],
)
def test_what_cannot_be_compared(changes, effect, note):
  found = _explain(base=_with(fft_length=64), **changes)
  assert any(effect in difference.effect for difference in found.fields)
  assert found.numbers.largest is None and note in found.numbers.note
  assert str(found).endswith(f"{found.numbers.note}.\nDifferent.")


@pytest.mark.parametrize(
  ("base", "changes", "effect"),
  [
    ({}, {"expand_dims": True}, "against [frames, features, channels]"),
    ({}, {"data_format": "channels_first"}, "[channels * features, frames]"),
    ({}, {"sample_rate_hz": 8000}, "any rate, in B bin k stands for k * 125 H"),
  ],
)
def test_fields_that_leave_the_numbers(base, changes, effect):
  found = _explain(base=_with(**base), **changes)
  assert effect in found.fields[0].effect
  assert found.numbers.largest == 0.0
  assert str(found).endswith("Different.")


@pytest.mark.parametrize(
  ("base", "changes", "effect"),
  [
    ("fft", {"engine": "kernel"}, "Speed and rounding only, each within 5e-07"),
    ("kernel", {"precision": "high"}, "on devices that round operands"),
    ("kernel", {"trainable": True}, "Training moves the kernels of B alone."),
  ],
)
def test_the_same_computed_otherwise(base, changes, effect):
  base = _with(engine=base)
  found = tfspec.explain(base, dataclasses.replace(base, **changes))
  assert found.same and not found.fields and not found.kernels_differ
  (difference,) = found.execution
  assert {difference.field: difference.b} == changes
  assert effect in difference.effect
  assert str(found).splitlines()[2:] == [
    "execution, which is no part of the definition:",
    f"  {difference}",
    "numbers: no difference in float64.",
    "The same.",
  ]


def test_each_field_alone_and_the_largest_first():
  whisper = tfspec.preset("whisper")
  bank = tfspec.FilterBank(80, "htk", norm="slaney")
  mine = dataclasses.replace(whisper, periodic=False, filter_bank=bank)
  found = tfspec.explain(mine, "whisper")
  assert found.b.name == "preset whisper"
  assert [d.field for d in found.fields] == ["filter_bank.scale", "periodic"]
  scale, periodic = (d.alone for d in found.fields)
  assert scale.largest > 10 * periodic.largest > 0.0 and scale.unit == ""
  assert scale.largest == pytest.approx(found.numbers.largest, rel=0.1)
  assert f"Alone: largest difference {scale.largest:.3g}, median" in str(found)
  # A hop that is longer than the frame is no config.
  short = tfspec.SpectrogramConfig(frame_length=64, frame_step=20)
  long = tfspec.SpectrogramConfig(frame_length=256, frame_step=200)
  found = {d.field: d.alone for d in tfspec.explain(short, long).fields}
  assert "alone it is no config: frame_step must" in found["frame_step"].note
  assert "shapes differ" in found["frame_length"].note
  # What a default stands for is measured, not the default.
  wide = tfspec.explain(_with(frame_length=32), _with(frame_length=64))
  assert all(d.alone.note for d in wide.fields)


def test_padding_values():
  base = _with(padding="center", pad_mode="constant", pad_value=0.0)
  found = _explain(base=base, pad_value=1.0)
  assert "beyond the ends of a clip" in found.fields[0].effect
  assert found.numbers.largest > 1.0 and found.numbers.median == 0.0


def test_phases_at_the_ends_of_the_circle_are_near_each_other():
  base = _with(mode="angle", trainable=True)
  one = tfspec.Spectrogram(base)
  other = _moved(tfspec.Spectrogram(base), 1e-4)
  found = tfspec.explain(one, other)
  assert found.numbers.unit == "radians"
  assert found.numbers.largest <= np.pi and found.numbers.median < 0.01


def test_too_large_to_measure():
  config = tfspec.SpectrogramConfig(
    frame_length=1 << 20, frame_step=1, padding="same"
  )
  found = tfspec.explain(config, dataclasses.replace(config, floor=1e-5))
  assert found.fields and "too many frames" in found.numbers.note


def test_trained_kernels():
  fresh = tfspec.Spectrogram(_TRAINABLE)
  trained = _moved(tfspec.Spectrogram(_TRAINABLE))
  # A config says where kernels begin; new ones are there, in any dtype.
  for dtype in (tf.float32, tf.float64, tf.bfloat16, tf.float16):
    new = tfspec.Spectrogram(_TRAINABLE, dtype)
    for other in (_TRAINABLE, fresh):
      assert tfspec.explain(other, new).same
    # A fixed spectrogram does not round its kernels to a short dtype.
    assert tfspec.explain(_CONFIG, new).kernels_differ == (dtype.size < 4)
  for other in (_TRAINABLE, _CONFIG, fresh):
    found = tfspec.explain(other, trained)
    assert not found.fields and found.kernels_differ and not found.same
    assert bool(found.execution) == (other is _CONFIG)
    assert found.numbers.largest > 1.0
    pairs = zip(trained.kernels, fresh.kernels, strict=True)
    moved = [np.square(kernel - begun) for kernel, begun in pairs]
    size = [np.square(f) for f in fresh.kernels]
    far = math.sqrt(np.sum(moved) / np.sum(size))
    assert found.b.distance() == pytest.approx(far, rel=1e-5)
    assert found.a.distance() < 1e-7
    assert f"B's are {far:.2g} from the Fourier kernels" in str(found)
    assert "the two sets are not equal." in str(found)
  assert tfspec.explain(trained, _moved(tfspec.Spectrogram(_TRAINABLE))).same
  # In another mode there may be one kernel, or none to compare with.
  real = tfspec.Spectrogram(dataclasses.replace(_TRAINABLE, mode="real"))
  assert "are not equal" in str(tfspec.explain(real, trained))
  narrow = tfspec.Spectrogram(dataclasses.replace(_TRAINABLE, fft_length=100))
  assert "are not equal" in str(tfspec.explain(narrow, trained))


def test_kernels_that_diverged():
  for dtype in (tf.float32, tf.bfloat16):
    for mode in ("log", "real"):
      config = dataclasses.replace(_TRAINABLE, mode=mode)
      broken = tfspec.Spectrogram(config, dtype)
      broken.real_kernel.assign(np.nan * broken.real_kernel)
      assert tfspec.explain(config, broken).numbers.largest == np.inf
      found = tfspec.explain(broken, broken)
      assert found.same and found.numbers.largest == 0.0


def test_distance_from_kernels_of_zeros():
  config = tfspec.SpectrogramConfig(
    mode="imag", frame_length=1, frame_step=1, window=None, trainable=True
  )
  moved = tfspec.Spectrogram(config)
  assert tfspec.explain(config, moved).b.distance() == 0.0
  moved.imag_kernel.assign_add(tf.ones_like(moved.imag_kernel))
  found = tfspec.explain(config, moved)
  assert found.b.distance() == np.inf and not found.same
  assert "B's are inf from the Fourier kernels" in str(found)


@pytest.fixture(scope="module")
def places(tmp_path_factory):
  """The same spectrogram, and a trained one, in each place that keeps one."""
  folder = tmp_path_factory.mktemp("places")
  for ending in ("textproto", "binpb", "json"):
    tfspec.save_config(_CONFIG, folder / f"config.{ending}")
  tfspec.export_saved_model(_CONFIG, folder / "export")
  tfspec.export_litert(_CONFIG, folder / "file.tflite")
  (folder / "clips").mkdir()
  clip = np.random.default_rng(1).uniform(-0.5, 0.5, [500, 1])
  (folder / "clips" / "a.wav").write_bytes(
    sample_requests.wav_file(clip, 16000)
  )
  prepare.prepare(folder / "clips", folder / "prepared", _CONFIG)
  trained = _moved(tfspec.Spectrogram(_TRAINABLE))
  tfspec.export_saved_model(trained, folder / "trained_export")
  tfspec.export_litert(trained, folder / "trained.tflite")
  layer = tfspec.layers.STFTSpectrogram(**_ARGUMENTS)
  inner = keras.Sequential([keras.Input((None, 1)), layer])
  layer.set_weights([kernel.numpy() for kernel in trained.kernels])
  model = keras.Sequential([keras.Input((None, 1)), inner])
  model.save(folder / "trained.keras")
  keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save(
    folder / "dense.keras"
  )
  return folder


@pytest.mark.slow
@pytest.mark.parametrize(
  "name",
  [
    "config.textproto",
    "config.binpb",
    "config.json",
    "export",
    "file.tflite",
    "prepared",
  ],
)
def test_places_of_the_same_spectrogram(name, places):
  found = tfspec.explain(places / name, _CONFIG)
  assert found.same, str(found)
  assert found.a.name == str(places / name)
  found = tfspec.explain(str(places / name), _with(frame_step=20))
  assert [d.field for d in found.fields] == ["frame_step"]


@pytest.mark.slow
def test_places_of_trained_kernels(places):
  found = tfspec.explain(places / "trained_export", places / "trained.keras")
  # Of these variables each is 0.1 of the Fourier kernels off, or far more.
  assert found.same and 0.1 < found.a.distance() == found.b.distance()
  assert not tfspec.explain(places / "trained_export", _TRAINABLE).same
  model = keras.saving.load_model(places / "trained.keras")
  assert tfspec.explain(model, places / "trained_export").same
  # Frozen they are still no Fourier kernels, and exported as they are.
  model.trainable = False
  found = tfspec.explain(model, places / "trained_export")
  assert found.same and "sets are equal" in str(found)
  assert not found.a.config.trainable
  assert found.a.config.fingerprint() == found.b.config.fingerprint()
  assert not tfspec.explain(model, _CONFIG).same


def test_layers_of_tfspec():
  new = tfspec.layers.STFTSpectrogram(**_ARGUMENTS)
  assert tfspec.explain(new, _TRAINABLE).same
  for trainable in (True, False):
    new.trainable = trainable
    found = tfspec.explain(new, _CONFIG)
    assert found.same
    assert [d.field for d in found.execution] == (
      ["trainable", "engine"] if trainable else ["engine"]
    )
  fixed = tfspec.layers.STFTSpectrogram(
    **_ARGUMENTS, engine="fft", trainable=False
  )
  assert tfspec.explain(fixed, _CONFIG).same


@pytest.mark.skipif(
  not hasattr(keras.layers, "STFTSpectrogram"),
  reason="This Keras is too old to have the layer.",
)
def test_layers_of_keras():
  theirs = keras.layers.STFTSpectrogram(**_ARGUMENTS, trainable=False)
  found = tfspec.explain(_TRAINABLE, theirs)
  # Float32 angles are all that is wrong with them.
  assert not found.fields and found.kernels_differ
  assert 1e-7 < found.b.distance() < 1e-4
  # Keras' scaling does nothing without a window; its kernels tell.
  theirs = keras.layers.STFTSpectrogram(**_ARGUMENTS, window=None)
  found = tfspec.explain(theirs, dataclasses.replace(_TRAINABLE, window=None))
  assert not found.fields and found.a.distance() == pytest.approx(7.0, rel=1e-3)
  array = keras.layers.STFTSpectrogram(**_ARGUMENTS, window=np.hanning(64))
  found = tfspec.explain(array, tfspec.layers.STFTSpectrogram(**_ARGUMENTS))
  assert [d.field for d in found.fields] == ["window"]
  model = keras.Sequential([keras.Input((None, 1)), array])
  assert tfspec.explain(model, array).same


@pytest.mark.slow
@pytest.mark.parametrize(
  ("name", "error", "told"),
  [
    ("none", FileNotFoundError, "Got: nothing at "),
    ("clips", ValueError, "a prepared dataset, with manifest.jsonl. Got: "),
    ("clips/a.wav", ValueError, "must end in"),
    ("dense.keras", TypeError, "Got: 0 STFTSpectrogram in "),
    ("trained.tflite", ValueError, "the kernels must not be trained"),
    ("text.keras", ValueError, "must hold a Keras model that loads. Got: "),
  ],
)
def test_paths_of_nothing_to_explain(name, error, told, places):
  (places / "text.keras").write_text("no archive")
  with pytest.raises(error) as caught:
    tfspec.explain(_CONFIG, places / name)
  message = str(caught.value)
  assert told in message and str(places / name) in message
  assert len(message.splitlines()) == 1


def _two_layers():
  inputs = keras.Input((None, 1))
  layers = [tfspec.layers.STFTSpectrogram(**_ARGUMENTS) for _ in range(2)]
  return keras.Model(inputs, [layer(inputs) for layer in layers])


@pytest.mark.parametrize("make", [int, tf.Module, _two_layers])
def test_objects_that_make_no_spectrogram(make):
  thing = make()
  with pytest.raises(TypeError, match="There must be a SpectrogramConfig"):
    tfspec.explain(_CONFIG, thing)


@pytest.mark.slow
def test_damaged_export(places, tmp_path):
  folder = tmp_path / "export"
  for path in (places / "trained_export").rglob("*"):
    target = folder / path.relative_to(places / "trained_export")
    if path.is_file():
      target.parent.mkdir(parents=True, exist_ok=True)
      target.write_bytes(path.read_bytes())
  (data,) = (folder / "variables").glob("*.data-*")
  data.write_bytes(data.read_bytes()[:100])
  with pytest.raises(ValueError, match=r"export: the model must load. Got: "):
    tfspec.explain(_CONFIG, folder)
