"""The stages of a config: their rules, and what they mean in float64."""

import dataclasses
import math
import warnings

import numpy as np
import pytest
import tensorflow as tf

import tfspec
from tfspec import (
  Cepstrum,
  Compression,
  Conditioning,
  Deltas,
  FilterBank,
  Normalization,
  SpectrogramConfig,
  Stacking,
)
from tfspec.config import PATHS

_MEL = SpectrogramConfig(
  "power", 400, 160, 512, sample_rate_hz=16000, filter_bank=FilterBank()
)

BAD_STAGES = [
  (FilterBank, dict(num_bands=0), ValueError, ["num_bands must be in [1,"]),
  (FilterBank, dict(num_bands=8.0), TypeError, ["num_bands must be an int"]),
  (FilterBank, dict(scale="mel"), ValueError, ["scale must be one of 'htk'"]),
  (FilterBank, dict(slopes=None), ValueError, ["slopes must be one of"]),
  (FilterBank, dict(norm="l1"), ValueError, ["norm must be one of", "'l1'"]),
  (FilterBank, dict(low_hz=-1.0), ValueError, ["low_hz must be in [0,", "-1"]),
  (FilterBank, dict(high_hz=math.nan), ValueError, ["high_hz must be", "nan"]),
  (FilterBank, dict(first_bin=-1), ValueError, ["first_bin must be in [0,"]),
  (FilterBank, dict(empty="warn"), ValueError, ["empty must be one of"]),
  (FilterBank, dict(table=3), TypeError, ["table must be a matrix"]),
  (FilterBank, dict(table=[]), ValueError, ["table must have at least one"]),
  (FilterBank, dict(table=np.ones(3)), ValueError, ["table must be", "(3,)"]),
  (FilterBank, dict(table=np.ones([3, 9])), ValueError, ["no more bands", "9"]),
  (FilterBank, dict(table=np.ones([3, 2], complex)), TypeError, ["complex128"]),
  (FilterBank, dict(table=[(0, "12")]), TypeError, ["table must be a matrix"]),
  (
    FilterBank,
    dict(table=[(0, [math.nan])]),
    ValueError,
    ["table.weight must be in [0, 1e18]", "nan"],
  ),
  (
    FilterBank,
    dict(table=[(-1, [1.0])]),
    ValueError,
    ["table.first_bin must be in [0,", "-1"],
  ),
  (Compression, dict(kind="mel"), ValueError, ["kind must be one of 'log'"]),
  (Compression, dict(floor=0.0), ValueError, ["floor must be in [1e-36,"]),
  (Compression, dict(floor=10**400), ValueError, ["floor must fit into a"]),
  (Compression, dict(offset=-1.0), ValueError, ["offset must be in [0,"]),
  (Compression, dict(base=1.0), ValueError, ["base must be in [1.001,"]),
  (Compression, dict(reference=0.0), ValueError, ["reference must be in"]),
  (Compression, dict(exponent=0.0), ValueError, ["exponent must be in"]),
  (Compression, dict(dynamic_range=-1.0), ValueError, ["dynamic_range must"]),
  (Compression, dict(peak="1"), TypeError, ["peak must be a number"]),
  (Conditioning, dict(gain=0.0), ValueError, ["gain must be in [1e-06, 1e06]"]),
  (Conditioning, dict(remove_dc=1), TypeError, ["remove_dc must be True or"]),
  (Conditioning, dict(preemphasis=1.1), ValueError, ["preemphasis must be in"]),
  (Conditioning, dict(preemphasis_of="x"), ValueError, ["of must be one of"]),
  (Conditioning, dict(first_sample=None), ValueError, ["sample must be one"]),
  (Cepstrum, dict(num_coefficients=0), ValueError, ["coefficients must be in"]),
  (Cepstrum, dict(dct_norm="none"), ValueError, ["dct_norm must be one of"]),
  (Cepstrum, dict(lifter=-1.0), ValueError, ["lifter must be in [0, 1e06]"]),
  (Cepstrum, dict(lifter_start=2), ValueError, ["lifter_start must be in [0"]),
  (Cepstrum, dict(energy=1), TypeError, ["energy must be True or False"]),
  (Normalization, dict(source="batch"), ValueError, ["source must be one of"]),
  (Normalization, dict(mean=[1, [2]]), TypeError, ["mean must be a number"]),
  (Normalization, dict(mean=()), ValueError, ["mean must have at least one"]),
  (Normalization, dict(std=[1.0, 0.0]), ValueError, ["std must be in [1e-09"]),
  (
    Normalization,
    dict(std="one"),
    TypeError,
    ["std must be a number", "'one'"],
  ),
  (Normalization, dict(unit_variance=0), TypeError, ["unit_variance must be"]),
  (Normalization, dict(ddof=2), ValueError, ["ddof must be in [0, 1]", "=2"]),
  (Normalization, dict(epsilon=0.0), ValueError, ["epsilon must be in [1e-12"]),
  (Normalization, dict(epsilon_of="x"), ValueError, ["epsilon_of must be one"]),
  (Deltas, dict(order=3), ValueError, ["order must be in [1, 2]", "=3"]),
  (Deltas, dict(width=0), ValueError, ["width must be in [1, 100]", "=0"]),
  (Stacking, dict(size=0), ValueError, ["size must be in [1, 100]", "=0"]),
  (Stacking, dict(step=0.5), TypeError, ["step must be an integer", "0.5"]),
]


@pytest.mark.parametrize("kind, arguments, error, parts", BAD_STAGES)
def test_bad_value_is_named_by_its_path(kind, arguments, error, parts):
  with pytest.raises(error) as caught:
    kind(**arguments)
  message = str(caught.value)
  assert message.startswith(f"{kind.PATH}.") and message.endswith(".")
  for part in parts:
    assert part in message


def test_every_field_of_a_stage_has_a_bad_value():
  tested = {
    f"{kind.PATH}.{name}"
    for kind, arguments, _, _ in BAD_STAGES
    for name in arguments
  }
  assert tested == {path for path in PATHS if "." in path}


@pytest.mark.parametrize(
  "changes, parts",
  [
    (
      dict(filter_bank=FilterBank(high_hz=9000)),
      [
        "filter_bank.high_hz must be at most sample_rate_hz / 2",
        "filter_bank.high_hz=9000",
        "sample_rate_hz=16000",
      ],
    ),
    (
      dict(filter_bank=FilterBank(low_hz=500, high_hz=500)),
      ["filter_bank.low_hz must be less than filter_bank.high_hz", "=500"],
    ),
    (
      dict(filter_bank=FilterBank(low_hz=8000)),
      ["filter_bank.low_hz must be less", "high_hz=8000", "low_hz=8000"],
    ),
    (
      dict(filter_bank=FilterBank(num_bands=128)),
      [
        "filter_bank must have a bin between the edges of each filter",
        "in band 0",
        "filter_bank.num_bands=128",
        "fft_length=512",
        "sample_rate_hz=16000",
      ],
    ),
    (dict(sample_rate_hz=None), ["sample_rate_hz must be given", "None"]),
    (dict(mode="log"), ["mode must be one of 'magnitude'", "filter_bank"]),
    (dict(floor=1e-3), ["floor must be None beside filter_bank", "0.001"]),
    (
      dict(fft_length=1 << 17, filter_bank=FilterBank(num_bands=300)),
      ["num_bins times the bands of filter_bank must be", "65537", "300"],
    ),
    (
      dict(cepstrum=Cepstrum(81)),
      ["cepstrum.num_coefficients must be at most", "=81", "80 values"],
    ),
    (
      dict(fft_length=1 << 15, filter_bank=None, cepstrum=Cepstrum()),
      ["cepstrum must have at most 8192 values", "16385"],
    ),
    (
      dict(normalization=Normalization(mean=(1.0, 2.0))),
      ["normalization.mean must be one number, or one for each", "80", "2"],
    ),
    (
      dict(normalization=Normalization("clip", mean=1.0)),
      ["normalization.mean and normalization.std must be left out", "=1.0"],
    ),
    (
      dict(stacking=Stacking(1, 1)),
      ["stacking must put frames together or leave some out", "size=1"],
    ),
    (
      dict(compression=Compression("power", floor=1e18, exponent=10.0)),
      ["compression.floor ** compression.exponent must be in", "1e+18", "10"],
    ),
    (
      dict(
        mode="stft",
        fft_length=1 << 17,
        filter_bank=None,
        stacking=Stacking(100, 1),
      ),
      ["num_features must be at most 4194304", "13107400"],
    ),
    (
      dict(mode="angle", filter_bank=None, deltas=Deltas()),
      ["mode must not be 'angle' for deltas"],
    ),
    (
      dict(mode="magnitude", compression=Compression(floor=1e-30)),
      ["compression.floor must be at least 1e-18 in mode", "1e-30"],
    ),
    (
      dict(
        filter_bank=FilterBank(
          num_bands=1, scale="linear", low_hz=float(np.nextafter(8000.0, 0.0))
        )
      ),
      ["must be far enough apart", "num_bands=1"],
    ),
    (
      dict(filter_bank=FilterBank(table=np.ones([258, 2]))),
      ["filter_bank.table must have no weights behind the last bin", "257"],
    ),
    (
      dict(filter_bank=FilterBank(table=np.ones([9, 2]), num_bands=2)),
      ["table must stand without the other", "filter_bank.num_bands"],
    ),
    (
      dict(filter_bank=None, mode="stft", compression=Compression()),
      ["mode must be one of", "for compression", "'stft'"],
    ),
    (
      dict(compression=Compression(peak=3.0)),
      ["compression.peak must be None without compression.dynamic_range", "3"],
    ),
  ],
)
def test_stage_beside_the_config(changes, parts):
  with pytest.raises(ValueError) as caught:
    dataclasses.replace(_MEL, **changes)
  for part in parts:
    assert part in str(caught.value)
  assert "\n" not in str(caught.value)


@pytest.mark.parametrize("table", [False, True])
def test_resolved_stage_can_be_stored_and_changed(table):
  bank = FilterBank(table=np.eye(257)) if table else FilterBank()
  config = dataclasses.replace(_MEL, filter_bank=bank)
  resolved = config.resolved()
  assert (
    SpectrogramConfig.from_proto(resolved.to_proto()).resolved() == resolved
  )
  other = dataclasses.replace(resolved, window="hamming")
  assert other.differences(config) == {"window": ("hamming", "hann")}


def test_log_is_explained_against_mel():
  found = tfspec.explain(SpectrogramConfig(), _MEL)
  assert {"mode", "filter_bank"} <= {d.field for d in found.fields}
  assert found.numbers.note


def test_empty_filter_that_is_allowed_is_told_of():
  bank = FilterBank(num_bands=128, empty="allow")
  with pytest.warns(UserWarning, match="none in band 0"):
    dataclasses.replace(_MEL, filter_bank=bank)
  with warnings.catch_warnings():
    warnings.simplefilter("error")
    dataclasses.replace(_MEL, filter_bank=FilterBank())


def test_features_are_the_bands():
  assert _MEL.num_features == 80
  table = FilterBank(table=np.ones([257, 3]))
  assert dataclasses.replace(_MEL, filter_bank=table).num_features == 3


@pytest.mark.parametrize(
  "changes, expected",
  [
    (dict(), 0.0),
    (dict(mode="magnitude"), 0.0),
    (
      dict(
        mode="magnitude",
        filter_bank=None,
        compression=Compression(kind="decibel", floor=1e-8),
      ),
      -160.0,
    ),
    (dict(compression=Compression()), math.log(1e-10)),
    (dict(compression=Compression(base=10.0)), -10.0),
    (dict(compression=Compression(offset=1e-3)), math.log(1e-3)),
    (dict(compression=Compression(kind="decibel", reference=10)), -110.0),
    (dict(compression=Compression(kind="power", floor=0.25)), 0.5),
    (dict(compression=Compression(dynamic_range=3.0, peak=1.0)), -2.0),
    (dict(compression=Compression(base=10.0, dynamic_range=3.0)), -10.0),
  ],
)
def test_silence(changes, expected):
  config = dataclasses.replace(_MEL, **changes)
  assert config.silence == pytest.approx(expected, abs=1e-12)
  values = tfspec.Spectrogram(config)(np.zeros([800], np.float32))
  assert np.all(values == np.float32(config.silence))


_MFCC = dataclasses.replace(
  _MEL, compression=Compression(), cepstrum=Cepstrum(num_coefficients=3)
)


@pytest.mark.parametrize(
  "config, expected",
  [
    (_MFCC, [math.log(1e-10) * math.sqrt(80), 0.0, 0.0]),
    (
      dataclasses.replace(
        _MFCC, normalization=Normalization(mean=(0.0, 1.0, 2.0), std=2.0)
      ),
      [math.log(1e-10) * math.sqrt(20), -0.5, -1.0],
    ),
    (dataclasses.replace(_MFCC, normalization=Normalization("clip")), 0.0),
    (
      dataclasses.replace(_MFCC, deltas=Deltas(order=1), stacking=Stacking()),
      [math.log(1e-10) * math.sqrt(80), *[0.0] * 5] * 2,
    ),
  ],
  ids=str,
)
def test_silence_that_differs_by_feature(config, expected):
  assert config.silence == pytest.approx(expected, abs=1e-12)
  values, num_frames = tfspec.Spectrogram(config)(
    np.zeros([2, 900, 1], np.float32), lengths=[900, 700]
  )
  silence = np.broadcast_to(np.float32(config.silence), [config.num_features])
  assert np.all(values[1, num_frames[1] :] == silence)
  # A product with cosines rounds.
  np.testing.assert_allclose(
    values, np.broadcast_to(silence, values.shape), rtol=2e-6, atol=1e-4
  )


@pytest.mark.parametrize("engine", ["fft", "kernel"])
@pytest.mark.parametrize("level", [0.5, 0.3, 1e4])
def test_a_constant_is_silence_without_dc(engine, level):
  config = dataclasses.replace(
    _MEL,
    engine=engine,
    conditioning=Conditioning(gain=32768.0, remove_dc=True, preemphasis=0.97),
    compression=Compression(floor=2.0**-23),
  )
  values = tfspec.Spectrogram(config)(np.full([2000], level, np.float32))
  assert np.all(values == np.float32(config.silence))


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("engine", ["fft", "kernel"])
def test_a_clip_that_does_not_vary_is_normalized_to_nothing(
  engine, jit_compile
):
  config = dataclasses.replace(tfspec.preset("nemo"), engine=engine)
  run = tf.function(tfspec.Spectrogram(config), jit_compile=jit_compile)
  for samples in (1120, 3200, 47 * 160):
    # Divided by an epsilon of 1e-5, the rounding of a mean would be 0.1.
    assert np.max(np.abs(run(np.zeros([samples], np.float32)))) < 1e-6


def test_stacks_and_last_frames_are_counted():
  config = dataclasses.replace(_MEL, padding="center", drop_last_frame=True)
  assert [config.num_frames(n) for n in (0, 1, 159, 160, 320)] == [
    0,
    0,
    0,
    1,
    2,
  ]
  stacked = dataclasses.replace(config, stacking=Stacking(size=3, step=2))
  assert [stacked.num_frames(160 * n) for n in range(8)] == [
    *(0, 0, 0, 1, 1, 2, 2, 3)
  ]
  assert stacked.num_features == 240


def test_differences_name_paths():
  other = dataclasses.replace(
    _MEL,
    filter_bank=FilterBank(high_hz=8000.0, norm="slaney"),
    compression=Compression(),
  )
  assert _MEL.differences(other) == {
    "filter_bank.norm": (None, "slaney"),
    "compression": (None, "compression"),
  }
  with pytest.raises(ValueError, match=r"filter_bank must be None for Keras"):
    dataclasses.replace(_MEL, mode="magnitude").to_keras()


def test_fingerprint_counts_what_has_an_effect():
  def print_of(**fields):
    compression = Compression(**fields)
    return dataclasses.replace(_MEL, compression=compression).fingerprint()

  assert print_of() != _MEL.fingerprint()
  assert print_of() == print_of(reference=3.0) == print_of(exponent=3.0)
  assert print_of() != print_of(base=2.0)
  assert len({print_of(kind=k) for k in ("log", "decibel", "power")}) == 3
  high = dataclasses.replace(_MEL, filter_bank=FilterBank(high_hz=8000.0))
  assert high != _MEL and high.fingerprint() == _MEL.fingerprint()


def test_explain_measures_a_field_of_a_stage():
  mel = dataclasses.replace(_MEL, compression=Compression())
  found = tfspec.explain(
    mel, dataclasses.replace(mel, filter_bank=FilterBank(norm="slaney"))
  )
  assert [d.field for d in found.fields] == ["filter_bank.norm"]
  assert found.numbers.unit == "dB" and found.numbers.largest > 10.0
  decibels = dataclasses.replace(
    _MEL, compression=Compression(kind="decibel", floor=1e-10)
  )
  assert tfspec.explain(mel, decibels).numbers.note
