"""The configuration: defaults, rules, formats, fingerprint."""

import dataclasses
import math
import pickle
import subprocess
import sys

import keras
import numpy as np
import pytest
from google.protobuf import json_format, text_format

import tfspec
from tests.fingerprints import FINGERPRINTS
from tfspec.config import (
  EXECUTION_FIELDS,
  FIELDS,
  PATHS,
  Cepstrum,
  Compression,
  Conditioning,
  Deltas,
  FilterBank,
  Normalization,
  ResolvedConfig,
  SpectrogramConfig,
  Stacking,
  fields,
  messages,
)
from tfspec.contract.registry import GOLDENS
from tfspec.proto import spectrogram_config_pb2 as config_pb2

# Arguments, the error, and what its sentence must hold.
BAD_VALUES = [
  (dict(mode="loud"), ValueError, ["mode must be one of 'log'", "'loud'"]),
  (dict(mode=None), ValueError, ["mode must be one of", "mode=None"]),
  (dict(mode=3), TypeError, ["mode must be a string", "3"]),
  (dict(frame_length=0), ValueError, ["frame_length must be in [1,", "=0"]),
  (dict(frame_length=-5), ValueError, ["frame_length must be in [1,", "=-5"]),
  (
    dict(frame_length=2**20 + 1),
    ValueError,
    ["frame_length must be in [1, 1048576]", "=1048577"],
  ),
  (dict(frame_length=None), TypeError, ["frame_length must be an integer"]),
  (dict(frame_length=256.0), TypeError, ["frame_length must be an", "256.0"]),
  (dict(frame_length=True), TypeError, ["frame_length must be an", "True"]),
  (dict(frame_length="256"), TypeError, ["frame_length must be an", "'256'"]),
  (
    dict(frame_step=300),
    ValueError,
    ["frame_step must be in [1, frame_length]", "=300", "frame_length=256"],
  ),
  (dict(frame_step=0), ValueError, ["frame_step must be in", "frame_step=0"]),
  (dict(frame_step=1.5), TypeError, ["frame_step must be an integer", "1.5"]),
  (
    dict(fft_length=255),
    ValueError,
    ["fft_length must be at least frame_length", "=255", "frame_length=256"],
  ),
  (
    dict(fft_length=2**20 + 1),
    ValueError,
    ["fft_length must be in [1, 1048576]", "=1048577"],
  ),
  (
    dict(window="no such window"),
    ValueError,
    ["window must be a window that scipy", "'no such window'"],
  ),
  (dict(window=""), ValueError, ["window must be a window that scipy"]),
  (
    dict(window="kaiser"),
    ValueError,
    ["window must be a window that", "kaiser"],
  ),
  (dict(window=("kaiser", "8")), TypeError, ["finite numbers behind", "'8'"]),
  (
    dict(window=("kaiser", math.inf)),
    TypeError,
    ["finite numbers behind", "inf"],
  ),
  (dict(window=("hann", None)), TypeError, ["finite numbers behind", "None"]),
  (
    dict(window=[1.0, 2.0], frame_length=3),
    ValueError,
    ["window must have frame_length values", "[2]", "frame_length=3"],
  ),
  (
    dict(window=[1.0, math.nan], frame_length=2),
    ValueError,
    ["window must be finite", "nan", "frame_length=2"],
  ),
  (
    dict(window=[1.0, -math.inf], frame_length=2),
    ValueError,
    ["window must be finite", "-inf"],
  ),
  (
    dict(window=[1e30, 1.0], frame_length=2, scaling=None),
    ValueError,
    ["window must have its largest magnitude in [1e-18, 1e18]", "1e+30"],
  ),
  (
    dict(window=[0.0, 0.0], frame_length=2),
    ValueError,
    ["window must not be zero everywhere", "frame_length=2"],
  ),
  (
    dict(window="hann", frame_length=2),
    ValueError,
    ["window must not be zero everywhere", "'hann'", "periodic=False"],
  ),
  (dict(window=[]), ValueError, ["window must have frame_length values"]),
  (dict(window=np.ones((2, 128))), TypeError, ["window must be a name"]),
  (dict(window=8.6), TypeError, ["window must be a name", "8.6"]),
  (dict(window=b"hann"), TypeError, ["window must be a name", "b'hann'"]),
  (dict(window=[1, "a"]), TypeError, ["window must be a name"]),
  (dict(periodic=1), TypeError, ["periodic must be True or False", "1"]),
  (dict(periodic="no"), TypeError, ["periodic must be True or False", "'no'"]),
  (dict(scaling="power"), ValueError, ["scaling must be one of", "None"]),
  (dict(padding="reflect"), ValueError, ["padding must be one of 'valid'"]),
  (dict(padding=None), ValueError, ["padding must be one of 'valid'"]),
  (dict(expand_dims=0), TypeError, ["expand_dims must be True or False"]),
  (dict(data_format="NHWC"), ValueError, ["data_format must be one of"]),
  (dict(trainable=None), TypeError, ["trainable must be True or False"]),
  (dict(sample_rate_hz=0), ValueError, ["sample_rate_hz must be in [1,"]),
  (dict(sample_rate_hz=16e3), TypeError, ["sample_rate_hz must be an integer"]),
  (dict(engine="gpu"), ValueError, ["engine must be one of 'auto'", "'gpu'"]),
  (
    dict(engine="fft", trainable=True),
    ValueError,
    ["engine must be 'auto' or 'kernel' if trainable", "engine='fft'"],
  ),
  (
    dict(engine="kernel", frame_length=2**13),
    ValueError,
    ["frame_length * num_bins must be at most 2**24", "=8192", "=4097"],
  ),
  (dict(precision="low"), ValueError, ["precision must be one of 'default'"]),
  (
    dict(precision="high"),
    ValueError,
    ["precision must be 'default' for the fft engine", "'high'", "'auto'"],
  ),
  (dict(floor=0.0), ValueError, ["floor must be in [1e-18, 1e18]", "=0.0"]),
  (dict(floor=-1.0), ValueError, ["floor must be in [1e-18, 1e18]"]),
  (dict(floor=math.nan), ValueError, ["floor must be in", "nan"]),
  (dict(floor=math.inf), ValueError, ["floor must be in", "inf"]),
  (dict(floor="low"), TypeError, ["floor must be a number", "'low'"]),
  (
    dict(padding="center", pad_mode="wrap"),
    ValueError,
    ["pad_mode must be one of 'reflect', 'constant', 'symmetric'", "'wrap'"],
  ),
  (dict(pad_mode=3), TypeError, ["pad_mode must be a string", "3"]),
  (
    dict(padding="same", pad_mode="reflect"),
    ValueError,
    ["pad_mode must be None unless padding is 'center'", "'reflect'", "'same'"],
  ),
  (
    dict(padding="center", pad_value=0.0),
    ValueError,
    ["pad_value must be None unless pad_mode is 'constant'", "0.0", "None"],
  ),
  (
    dict(padding="center", pad_mode="constant", pad_value=math.nan),
    ValueError,
    ["pad_value must be in [-1e18, 1e18]", "nan"],
  ),
  (
    dict(padding="center", pad_mode="constant", pad_value=math.inf),
    ValueError,
    ["pad_value must be in [-1e18, 1e18]", "inf"],
  ),
  (dict(pad_value="0"), TypeError, ["pad_value must be a number", "'0'"]),
  (
    dict(window_length=300),
    ValueError,
    [
      "window_length must be in [1, frame_length]",
      "window_length=300",
      "frame_length=256",
    ],
  ),
  (dict(window_length=0), ValueError, ["window_length must be in [1,", "=0"]),
  (dict(window_length=9.0), TypeError, ["window_length must be an integer"]),
  (
    dict(window=[1.0, 2.0], frame_length=3, window_length=3),
    ValueError,
    ["window must have window_length values", "[2]", "window_length=3"],
  ),
  (
    dict(window="hann", window_length=2),
    ValueError,
    ["window must not be zero everywhere", "window_length=2"],
  ),
  (dict(filter_bank=3), TypeError, ["filter_bank must be a FilterBank", "3"]),
  (dict(compression="log"), TypeError, ["compression must be a Compression"]),
  (dict(drop_last_frame=1), TypeError, ["drop_last_frame must be True or"]),
  (dict(conditioning=0.97), TypeError, ["conditioning must be a Conditioning"]),
  (dict(cepstrum=13), TypeError, ["cepstrum must be a Cepstrum", "13"]),
  (dict(normalization="clip"), TypeError, ["normalization must be a Norm"]),
  (dict(deltas=2), TypeError, ["deltas must be a Deltas", "2"]),
  (dict(stacking={"frames": 2}), ValueError, ["fields of Stacking", "'frames"]),
  (
    dict(compression={"base": 10.0, "top_db": 80}),
    ValueError,
    ["compression must hold fields of Compression", "'top_db'"],
  ),
]


@pytest.mark.parametrize("arguments, error, parts", BAD_VALUES)
def test_bad_value_gives_one_sentence(arguments, error, parts):
  with pytest.raises(error) as caught:
    SpectrogramConfig(**arguments)
  message = str(caught.value)
  for part in parts:
    assert part in message
  assert "\n" not in message
  assert message.endswith(".")


def test_every_field_has_a_bad_value():
  tested = {name for arguments, _, _ in BAD_VALUES for name in arguments}
  assert tested == {field.name for field in FIELDS}


# What None stands for is that there is no such thing.
_OFF = (
  "filter_bank.norm",
  "filter_bank.table",
  "compression.dynamic_range",
  "compression.peak",
)


def test_every_declaration_is_whole():
  for field in PATHS.values():
    owner = SpectrogramConfig
    if "." in field.path:
      owner = PATHS[field.path.partition(".")[0]].kind.type
    assert f"\n    {field.name}: " in owner.__doc__
    assert field.effect.endswith(".") and field.effect.count(".") == 1
    # A default that stands for something else says so in words.
    if isinstance(field.kind, fields.Group) or field.path in _OFF:
      continue
    stands_for_itself = field.default is not None and field.derive is None
    assert bool(field.unset) is not stands_for_itself


def test_defaults_are_those_of_keras():
  ours = SpectrogramConfig(trainable=True).to_keras()
  keras_config = keras.layers.STFTSpectrogram().get_config()
  assert ours == {name: keras_config[name] for name in ours}


def test_resolved_fills_in_what_keras_derives():
  resolved = SpectrogramConfig(frame_length=300).resolved()
  assert (resolved.frame_step, resolved.fft_length) == (150, 512)
  assert resolved.floor == math.sqrt(1e-7)
  assert resolved.engine == "fft"
  assert SpectrogramConfig(trainable=True).resolved().engine == "kernel"
  one = SpectrogramConfig(frame_length=1).resolved()
  assert (one.frame_step, one.fft_length) == (1, 1)
  assert SpectrogramConfig(frame_length=256).resolved().fft_length == 256
  assert SpectrogramConfig(frame_length=257).resolved().fft_length == 512
  assert SpectrogramConfig(frame_length=300).resolved().window_length == 300


@pytest.mark.parametrize("padding", ["valid", "center"])
def test_a_resolved_config_is_a_type_of_its_own(padding):
  config = SpectrogramConfig(frame_length=300, padding=padding)
  resolved = config.resolved()
  assert isinstance(resolved, ResolvedConfig)
  assert not isinstance(config, ResolvedConfig)
  assert resolved.resolved() == resolved == pickle.loads(pickle.dumps(resolved))
  assert ResolvedConfig(frame_length=300, padding=padding) == resolved
  again = dataclasses.replace(resolved, floor=None, window="hamming")
  assert again == dataclasses.replace(config, window="hamming").resolved()
  assert (
    SpectrogramConfig.from_proto(resolved.to_proto()).resolved() == resolved
  )
  left = {name for name, value in vars(resolved).items() if value is None}
  stages = {f.name for f in FIELDS if isinstance(f.kind, fields.Group)}
  free = {"sample_rate_hz", "pad_value", *stages}
  assert left == (free | {"pad_mode"} if padding == "valid" else free)


def test_derived_sizes():
  assert SpectrogramConfig(fft_length=512).num_bins == 257
  assert SpectrogramConfig(frame_length=99, fft_length=175).num_bins == 88
  assert SpectrogramConfig(mode="stft").num_features == 258


@pytest.mark.parametrize("samples", range(0, 40))
def test_num_frames_counts_the_frames_that_fit(samples):
  valid = SpectrogramConfig(frame_length=8, frame_step=3)
  starts = [s for s in range(0, samples, 3) if s + 8 <= samples]
  assert valid.num_frames(samples) == len(starts)
  same = dataclasses.replace(valid, padding="same")
  assert same.num_frames(samples) == len(range(0, samples, 3))
  for frame_length in (7, 8):
    center = dataclasses.replace(
      valid, frame_length=frame_length, padding="center"
    )
    padded = samples + frame_length // 2 * 2
    starts = [s for s in range(0, padded, 3) if s + frame_length <= padded]
    assert center.num_frames(samples) == (len(starts) if samples else 0)


def test_num_frames_refuses_what_is_no_length():
  with pytest.raises(ValueError, match="samples must be at least 0. Got: .*-1"):
    SpectrogramConfig().num_frames(-1)
  with pytest.raises(TypeError, match="samples must be an integer"):
    SpectrogramConfig().num_frames(1.5)


def test_config_is_frozen_and_hashable():
  config = SpectrogramConfig(window=np.hamming(256))
  assert len({config, SpectrogramConfig(window=list(np.hamming(256)))}) == 1
  with pytest.raises(dataclasses.FrozenInstanceError):
    config.mode = "psd"
  assert pickle.loads(pickle.dumps(config)) == config


def test_window_forms_are_normalised():
  assert SpectrogramConfig(window=("hann",)).window == "hann"
  assert SpectrogramConfig(window=["kaiser", 8.0]).window == ("kaiser", 8)
  cosine = ("general_cosine", [0.5, 0.5])
  assert SpectrogramConfig(window=cosine).window == (
    "general_cosine",
    (0.5, 0.5),
  )


def test_window_takes_no_memory_without_bounds():
  assert SpectrogramConfig(window=("taylor", 4, 30)).window[1] == 4
  with pytest.raises(ValueError, match=r"at most 128 .* Got: .*1000000000"):
    SpectrogramConfig(window=("taylor", 1e9))


@pytest.mark.parametrize("golden", GOLDENS, ids=lambda golden: golden.name)
@pytest.mark.parametrize(
  "ending", ["textproto", "pbtxt", "binpb", "pb", "json"]
)
def test_files_keep_the_config(golden, ending, tmp_path):
  config = golden.config()
  path = tmp_path / f"config.{ending}"
  tfspec.save_config(config, path)
  assert tfspec.load_config(path) == config
  assert tfspec.load_config(path).fingerprint() == config.fingerprint()


def test_proto_formats_keep_the_config():
  config = SpectrogramConfig(
    mode="psd",
    frame_length=400,
    frame_step=160,
    fft_length=715,
    window=("exponential", None, 3.5),
    periodic=True,
    scaling=None,
    padding="center",
    expand_dims=True,
    data_format="channels_first",
    trainable=True,
    sample_rate_hz=16000,
    engine="kernel",
    precision="highest",
    floor=1e-5,
    pad_mode="constant",
    pad_value=0.5,
    window_length=300,
    drop_last_frame=True,
  )
  stages = dict(
    conditioning=Conditioning(
      gain=32768.0,
      remove_dc=True,
      preemphasis=0.97,
      preemphasis_of="clip",
      first_sample="kept",
    ),
    filter_bank=FilterBank(
      num_bands=20,
      scale="slaney",
      slopes="scale",
      norm="slaney",
      low_hz=10.0,
      high_hz=7000.0,
      first_bin=1,
      empty="allow",
    ),
    compression=Compression(
      kind="decibel",
      floor=1e-3,
      offset=1.0,
      base=2.0,
      reference=3.0,
      exponent=0.25,
      dynamic_range=80.0,
      peak=10.0,
    ),
    cepstrum=Cepstrum(
      num_coefficients=12,
      dct_norm="htk",
      lifter=22.0,
      lifter_start=1,
      energy=True,
    ),
    normalization=Normalization(
      source="clip",
      unit_variance=False,
      ddof=1,
      epsilon=1e-3,
      epsilon_of="variance",
    ),
    deltas=Deltas(order=1, width=4),
    stacking=Stacking(size=3, step=1),
  )
  config = dataclasses.replace(config, mode="psd", floor=None, **stages)
  none = dict.fromkeys(stages)
  bare = dataclasses.replace(config, floor=0.1, **none)
  table = FilterBank(table=np.eye(3))
  plain = dict(cepstrum=None, normalization=None)
  constants = Normalization(mean=(1.5,) * 12, std=2.0)
  for each in (
    config,
    bare,
    dataclasses.replace(config, normalization=constants),
    dataclasses.replace(config, filter_bank=table, **plain),
    dataclasses.replace(config, compression=Compression()),
  ):
    _check_stored(each)
  # All fields are at other than their defaults, so that none can be forgotten.
  found = {}
  for one in (bare, config, table, constants):
    for field, value, _ in fields.leaves(one):
      if value != field.default:
        found[field.path] = value
  assert found.keys() == PATHS.keys()


def _check_stored(config):
  proto = config.to_proto()
  binary = config_pb2.SpectrogramConfig.FromString(proto.SerializeToString())
  text = text_format.Parse(
    text_format.MessageToString(proto), config_pb2.SpectrogramConfig()
  )
  json = json_format.Parse(
    json_format.MessageToJson(proto), config_pb2.SpectrogramConfig()
  )
  for copy in (proto, binary, text, json):
    assert SpectrogramConfig.from_proto(copy) == config


BAD_FILES = [
  ("a.textproto", b"frame_size: 3", ["frame_size"]),
  ("a.textproto", b"frame_length: -1", ["frame_length must be in [1,", "-1"]),
  ("a.textproto", b"frame_length: 3.5", ["3.5"]),
  ("a.textproto", b"mode: LOUD", ["LOUD"]),
  ("a.textproto", b"mode: MODE_UNSPECIFIED", ["mode must be a value that"]),
  ("a.textproto", b"mode: 99", ["99"]),
  ("a.textproto", b"window {}", ["window must hold one of named, values"]),
  ("a.textproto", b"window { named {} }", ["window must be a window that"]),
  ("a.textproto", b"\xff\xfe", ["must be a SpectrogramConfig"]),
  ("a.json", b'{"frameSize": 3}', ["frameSize"]),
  ("a.json", b"{", ["must be a SpectrogramConfig"]),
  ("a.json", b"[]", ["must be a SpectrogramConfig", "JSON list"]),
  pytest.param("a.json", b"[" * 99999, ["recursion depth"], id="nested"),
  ("a.binpb", b"\xff\xff\xff", ["must be a SpectrogramConfig"]),
  ("a.binpb", b"\x98\x06\x01", ["field number 99", "newer tfspec"]),
  ("a.binpb", b"\x08\x63", ["mode must be a value that this", "mode=99"]),
  # An unknown field inside the window message.
  ("a.binpb", b"\x2a\x03\x98\x06\x01", ["Window must hold", "number 99"]),
  ("a.yaml", b"", ["path must end in .textproto", "a.yaml"]),
]


@pytest.mark.parametrize("name, content, parts", BAD_FILES)
def test_bad_file_gives_an_error_that_names_it(name, content, parts, tmp_path):
  path = tmp_path / name
  path.write_bytes(content)
  with pytest.raises(ValueError) as caught:
    tfspec.load_config(path)
  for part in [name, *parts]:
    assert part in str(caught.value)


def test_missing_file_is_an_os_error(tmp_path):
  with pytest.raises(FileNotFoundError):
    tfspec.load_config(tmp_path / "none.textproto")


def test_from_proto_refuses_other_messages():
  with pytest.raises(TypeError, match="proto must be a tfspec Spectrogram"):
    SpectrogramConfig.from_proto(config_pb2.Window())


def test_unset_proto_is_all_defaults():
  empty = config_pb2.SpectrogramConfig()
  assert SpectrogramConfig.from_proto(empty) == SpectrogramConfig()


_MESSAGES = [
  (config_pb2.SpectrogramConfig, SpectrogramConfig),
  (config_pb2.Conditioning, Conditioning),
  (config_pb2.FilterBank, FilterBank),
  (config_pb2.Compression, Compression),
  (config_pb2.Cepstrum, Cepstrum),
  (config_pb2.Normalization, Normalization),
  (config_pb2.Deltas, Deltas),
  (config_pb2.Stacking, Stacking),
]


@pytest.mark.parametrize("message, kind", _MESSAGES)
def test_schema_is_that_of_the_declarations(message, kind):
  declared = {field.name: field for field in fields.of(kind)}
  assert [f.name for f in message.DESCRIPTOR.fields] == list(declared)
  for name, field in declared.items():
    enum = message.DESCRIPTOR.fields_by_name[name].enum_type
    choices = getattr(field.kind, "choices", None)
    assert (enum is None) == (choices is None)
    if enum is not None:
      labels = {value.name for value in enum.values if value.number}
      assert labels == {f"{name}_{c or 'none'}".upper() for c in choices}


def test_every_stage_has_its_message():
  kinds = {f.kind.type for f in FIELDS if isinstance(f.kind, fields.Group)}
  assert kinds == {kind for _, kind in _MESSAGES[1:]}


def test_fingerprints_of_all_goldens_are_pinned():
  found = {golden.name: golden.config().fingerprint() for golden in GOLDENS}
  assert found == FINGERPRINTS
  by_print = {}
  for golden in GOLDENS:
    by_print.setdefault(FINGERPRINTS[golden.name], []).append(golden.config())
  for first, *others in by_print.values():
    assert not any(first.differences(other) for other in others)


def test_fingerprint_of_center_is_of_the_resolved_values():
  center = SpectrogramConfig(padding="center")
  reflect = dataclasses.replace(center, pad_mode="reflect")
  constant = dataclasses.replace(center, pad_mode="constant")
  zeros = dataclasses.replace(constant, pad_value=-0.0)
  assert center.fingerprint() == reflect.fingerprint()
  assert constant.fingerprint() == zeros.fingerprint()
  assert center.fingerprint() != constant.fingerprint()


def test_fingerprint_differs_in_every_field_of_the_definition():
  others = dict(
    mode="psd",
    frame_length=200,
    frame_step=127,
    fft_length=512,
    window="hamming",
    periodic=True,
    scaling="spectrum",
    padding="same",
    expand_dims=True,
    data_format="channels_first",
    sample_rate_hz=8000,
    floor=1e-3,
    pad_mode="constant",
    pad_value=0.5,
    window_length=200,
    filter_bank=FilterBank(table=np.eye(129)),
    compression=Compression(),
    drop_last_frame=True,
    conditioning=Conditioning(gain=2.0),
    cepstrum=Cepstrum(),
    normalization=Normalization(),
    deltas=Deltas(),
    stacking=Stacking(),
  )
  names = {field.name for field in FIELDS}
  assert set(others) == names - set(EXECUTION_FIELDS)
  base = SpectrogramConfig()
  center = dataclasses.replace(base, padding="center")
  bases = {
    "pad_mode": center,
    "pad_value": dataclasses.replace(center, pad_mode="constant"),
    "filter_bank": dataclasses.replace(base, mode="power"),
    "compression": dataclasses.replace(base, mode="power"),
  }
  prints = {each.fingerprint() for each in (base, *bases.values())}
  for name, value in others.items():
    start = bases.get(name, base)
    changed = dataclasses.replace(start, **{name: value})
    assert name in start.differences(changed)
    assert not start.execution_differences(changed)
    prints.add(changed.fingerprint())
  assert len(prints) == len(others) + 4 - 1  # "constant" is among both.


@pytest.mark.parametrize(
  "base, changes",
  [
    (dict(), dict(engine="kernel")),
    (dict(), dict(trainable=True)),
    (dict(engine="kernel"), dict(precision="high")),
    (dict(mode="psd"), dict(floor=1e-3)),
    (dict(mode="angle"), dict(floor=1e-3)),
    (dict(mode="power"), dict(floor=1e-3)),
    (dict(window=None), dict(periodic=True)),
    (dict(window=np.hanning(256)), dict(periodic=True)),
    # What a default stands for.
    (dict(), dict(frame_step=128, fft_length=256, floor=math.sqrt(1e-7))),
    (dict(), dict(window_length=256)),
  ],
)
def test_fields_that_are_not_of_the_definition(base, changes):
  one = SpectrogramConfig(**base)
  other = dataclasses.replace(one, **changes)
  assert one != other and one.fingerprint() == other.fingerprint()
  assert one.differences(other) == {}
  named = set(changes) & set(EXECUTION_FIELDS)
  assert named <= set(one.execution_differences(other)) <= set(EXECUTION_FIELDS)


def test_config_does_not_import_tensorflow():
  # The package's own __init__ does; the module by itself must not need it.
  code = (
    "import sys, types; package = types.ModuleType('tfspec');"
    "package.__path__ = ['tfspec']; sys.modules['tfspec'] = package;"
    "import tfspec.config as c;"
    "print(c.SpectrogramConfig().fingerprint(), 'tensorflow' in sys.modules)"
  )
  output = subprocess.run(
    [sys.executable, "-c", code], check=True, capture_output=True, text=True
  ).stdout
  assert output.split() == [SpectrogramConfig().fingerprint(), "False"]


KERAS_ARGUMENTS = [
  {},
  dict(mode="stft", frame_length=400, frame_step=160, fft_length=512),
  dict(window=None, scaling=None, periodic=True, padding="same"),
  dict(window="blackman", expand_dims=True, data_format="channels_first"),
  dict(window=np.hamming(64), frame_length=64, trainable=False),
  dict(window=[1.0, 2.0, 3.0], frame_length=3, scaling="spectrum"),
]


@pytest.mark.parametrize("arguments", KERAS_ARGUMENTS, ids=str)
def test_keras_config_survives_both_ways(arguments):
  theirs = keras.layers.STFTSpectrogram(**arguments).get_config()
  config = SpectrogramConfig.from_keras(theirs)
  ours = config.to_keras()
  assert set(theirs) - set(ours) == {"name", "dtype"}
  for name, value in ours.items():
    np.testing.assert_array_equal(value, theirs[name])
  again = keras.layers.STFTSpectrogram(**ours).get_config()
  assert SpectrogramConfig.from_keras(again) == config


def test_keras_config_from_a_file_with_array_window():
  layer = keras.layers.STFTSpectrogram(window=np.hamming(64), frame_length=64)
  serialized = keras.saving.serialize_keras_object(layer)["config"]
  config = SpectrogramConfig.from_keras(serialized)
  assert config.window == tuple(np.hamming(64))


def test_keras_config_of_a_mode_that_keras_lacks_is_refused():
  with pytest.raises(
    ValueError, match="mode must be one that Keras has.*power"
  ):
    SpectrogramConfig(mode="power").to_keras()


def test_keras_config_with_other_entries_is_refused():
  with pytest.raises(ValueError, match="arguments of STFTSpectrogram.*'units'"):
    SpectrogramConfig.from_keras({"units": 3})


def test_values_are_taken_from_the_proto_alone():
  proto = config_pb2.SpectrogramConfig(frame_length=64)
  assert messages.to_values(proto) == {"frame_length": 64}
