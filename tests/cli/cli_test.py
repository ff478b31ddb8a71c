"""Tests of the command line."""

import dataclasses
import importlib
import io
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfspec
from tests import wav_files
from tests.paths import ROOT
from tfspec import config
from tfspec.cli import config_options
from tfspec.cli import main as cli

_FIELDS = [
  field.name
  for field in config.FIELDS
  if not isinstance(field.kind, config.fields.Group)
]


def _run(*arguments):
  """Runs a command in this process and returns its exit status."""
  return cli.main(cli.parse(["tfspec", *map(str, arguments)]))


def _config(*arguments):
  """Returns the config that flags stand for."""
  return config_options.config(
    cli.parse(["tfspec", "export", "path", *arguments])
  )


def _python(*arguments):
  # As in a shell of a user, who has set nothing.
  environment = os.environ.copy()
  environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
  return subprocess.run(
    [sys.executable, *map(str, arguments)],
    capture_output=True,
    text=True,
    cwd=ROOT,
    env=environment,
    check=False,
  )


def _python_m_tfspec(*arguments):
  return _python("-m", "tfspec", *arguments)


def _write_wav(path, samples=500, channels=1, sample_rate=8000):
  random = np.random.default_rng(samples)
  signals = 0.1 * random.standard_normal([samples, channels])
  contents = wav_files.riff(
    [
      wav_files.fmt(wav_files.FLOAT, channels, sample_rate, bits=32),
      wav_files.chunk(b"data", signals.astype("<f4").tobytes()),
    ]
  )
  path.write_bytes(contents)
  return path


@pytest.fixture
def clips(tmp_path):
  """A folder of two files that give a spectrogram and one that is text."""
  folder = tmp_path / "clips"
  folder.mkdir()
  _write_wav(folder / "a.wav", 500)
  _write_wav(folder / "b.wav", 600)
  (folder / "c.wav").write_text("These are minutes of a meeting.")
  return folder


@pytest.fixture
def config_file(tmp_path):
  path = tmp_path / "speech.textproto"
  path.write_text("frame_length: 64 frame_step: 24 mode: MODE_PSD")
  return path


# What a user types, and what it means.
_FLAGS = {
  "mode": [("psd", "psd"), ("stft", "stft"), ("power", "power")],
  "frame_length": [("200", 200)],
  "frame_step": [("80", 80)],
  "fft_length": [("1024", 1024)],
  "window": [
    ("blackman", "blackman"),
    ("none", None),
    ("kaiser,8.6", ("kaiser", 8.6)),
    ("general_cosine,0.5,0.4,0.1", ("general_cosine", (0.5, 0.4, 0.1))),
    ("general_gaussian,1.5,40", ("general_gaussian", 1.5, 40)),
  ],
  "periodic": [("true", True), ("false", False), ("True", True)],
  "scaling": [("spectrum", "spectrum"), ("none", None), ("density", "density")],
  "padding": [("same", "same"), ("valid", "valid"), ("center", "center")],
  "expand_dims": [("true", True), ("false", False)],
  "data_format": [("channels_first", "channels_first")],
  "trainable": [("true", True), ("false", False)],
  "sample_rate_hz": [("44100", 44100)],
  "engine": [("kernel", "kernel"), ("fft", "fft"), ("auto", "auto")],
  "precision": [("default", "default")],
  "floor": [("1e-5", 1e-5), ("2", 2.0)],
  "pad_mode": [("none", None)],
  "pad_value": [("none", None)],
  "window_length": [("200", 200), ("none", None)],
  "drop_last_frame": [("true", True), ("false", False)],
}


def test_every_field_has_flags_to_try():
  assert list(_FLAGS) == _FIELDS


@pytest.mark.parametrize(
  ("name", "text", "value"),
  [
    (name, text, value)
    for name, cases in _FLAGS.items()
    for text, value in cases
  ],
)
def test_flag_sets_its_field_only(name, text, value):
  config = _config(f"--{name}={text}")
  assert config == dataclasses.replace(
    tfspec.SpectrogramConfig(), **{name: value}
  )


def test_fields_of_stages_are_set_by_their_paths():
  config = _config(
    "--mode=power",
    "--sample_rate_hz=16000",
    "--set=filter_bank.num_bands=40",
    "--set",
    "filter_bank.norm=slaney",
    "--set=compression=",
    "--set=fft_length=512",
  )
  assert config == tfspec.SpectrogramConfig(
    "power",
    sample_rate_hz=16000,
    fft_length=512,
    filter_bank=tfspec.FilterBank(num_bands=40, norm="slaney"),
    compression=tfspec.Compression(),
  )
  removed = ["--set=filter_bank=none", "--set=filter_bank.num_bands=3"]
  config = _config(
    "--mode=power", *removed[::-1], "--set=compression.kind=decibel"
  )
  assert config.filter_bank is None and config.compression.kind == "decibel"


def test_preset_with_other_fields():
  config = _config("--preset", "whisper", "--set=filter_bank.num_bands=128")
  assert config == tfspec.preset("whisper_large_v3")
  with pytest.raises(ValueError, match="one of 'whisper'.* Got: 'wisper'"):
    _config("--preset=wisper")


def test_one_of_a_file_and_a_preset(config_file, capsys):
  with pytest.raises(SystemExit):
    _config("--preset=whisper", f"--config={config_file}")
  assert "not allowed with argument" in capsys.readouterr().err


def test_filters_are_drawn(tmp_path, capsys):
  output = tmp_path / "bank.png"
  arguments = ["--preset=nemo", f"--output={output}"]
  assert _run("plot", "--filter_bank", *arguments) == 0
  assert output.stat().st_size and "drew " in capsys.readouterr().out
  with pytest.raises(SystemExit):
    _run("plot", *arguments)
  assert "inputs --filter_bank is required" in capsys.readouterr().err


def test_presets_are_listed(capsys):
  assert _run("presets") == 0
  lines = capsys.readouterr().out.splitlines()
  names = [line.split()[0] for line in lines if line[0] != " "]
  assert names == [preset.name for preset in tfspec.presets()]
  assert "16000 Hz, 80 features. openai-whisper" in lines[0]


@pytest.mark.parametrize(
  ("text", "parts"),
  [
    ("filter_bank.num_band=3", ["PATH=VALUE", "filter_bank.num_bands?"]),
    ("filter_bank.num_bands", ["PATH=VALUE"]),
    ("filter_bank.num_bands=x", ["a whole number", "x"]),
    ("filter_bank=mel", ["none, or its fields by --set", "mel"]),
    ("filter_bank.table=1", ["must come from a file", "1"]),
  ],
)
def test_wrong_path_is_named(text, parts, capsys):
  with pytest.raises(SystemExit):
    _config("--mode=power", f"--set={text}")
  message = capsys.readouterr().err
  for part in parts:
    assert part in message


def test_precision_with_its_engine():
  config = _config("--engine", "kernel", "--precision", "highest")
  assert (config.engine, config.precision) == ("kernel", "highest")


def test_pad_mode_and_value_with_their_padding():
  config = _config(
    "--padding", "center", "--pad_mode", "constant", "--pad_value", "0.5"
  )
  assert (config.padding, config.pad_mode, config.pad_value) == (
    "center",
    "constant",
    0.5,
  )


@pytest.mark.parametrize("name", _FIELDS)
def test_default_of_the_help_can_be_typed(name):
  default = getattr(tfspec.SpectrogramConfig(), name)
  assert getattr(_config(f"--{name}={str(default).lower()}"), name) == default


def test_flags_replace_the_fields_of_the_file(config_file):
  config = _config("--config", str(config_file))
  assert config == tfspec.SpectrogramConfig(
    mode="psd", frame_length=64, frame_step=24
  )
  config = _config("--mode", "log", "--config", str(config_file))
  assert config == tfspec.SpectrogramConfig(frame_length=64, frame_step=24)


def test_no_flags_are_the_defaults():
  assert _config() == tfspec.SpectrogramConfig()


@pytest.mark.parametrize(
  ("flag", "text"),
  [
    ("periodic", "yes"),
    ("frame_length", "long"),
    ("window", "kaiser,beta"),
    ("floor", "low"),
  ],
)
def test_flag_that_cannot_be_read(flag, text, capsys):
  with pytest.raises(SystemExit) as error:
    _config(f"--{flag}={text}")
  assert error.value.code not in (0, None)
  last = capsys.readouterr().err.splitlines()[-1]
  assert f"--{flag}" in last and text in last
  assert "invalid _" not in last  # The name of a function of ours.


@pytest.mark.parametrize(
  "command",
  ["prepare", "export", "verify", "explain", "plot", "benchmark", "presets"],
)
def test_help_lists_every_field(command, capsys):
  with pytest.raises(SystemExit) as error:
    _run(command, "--help")
  assert not error.value.code
  text = capsys.readouterr().out
  listed = [name for name in _FIELDS if f"--{name} " in text]
  without = ("verify", "explain", "presets")
  assert listed == ([] if command in without else _FIELDS)


def test_prepare(clips, config_file, tmp_path, capsys):
  output = tmp_path / "prepared"
  flags = ("--config", config_file, "--expand_dims=true", "--workers=1")
  assert _run("prepare", clips, output, *flags) == 0
  found = capsys.readouterr()
  assert found.out.startswith("2 written, 1 skipped (")
  assert f"{output}/manifest.jsonl" in found.out
  assert str(output / "contact_sheet.png") in found.out
  assert "3/3 files" in found.err
  config = tfspec.SpectrogramConfig(
    mode="psd", frame_length=64, frame_step=24, expand_dims=True
  )
  shapes = [
    tuple(example["spectrogram"].shape)
    for example in tfspec.data.read_examples(output, config)
  ]
  assert shapes == [(19, 33, 1), (23, 33, 1)]


def test_prepare_without_enough_files(clips, tmp_path, capsys):
  output = tmp_path / "prepared"
  assert _run("prepare", clips, output, "--max_skipped=0.2") == 1
  first, *reasons = capsys.readouterr().err.splitlines()[-2:]
  assert "Got: max_skipped=0.2, 1 of 3 skipped when 2 were written." in first
  assert reasons[0].startswith("1 file: wav: contents must start with RIFF")
  assert not output.exists()


@pytest.mark.slow
def test_export_and_verify(config_file, tmp_path, capsys):
  path = tmp_path / "models" / "1"
  flags = ("--channels=2", "--mode=log", "--config", config_file)
  assert _run("export", path, *flags) == 0
  config = tfspec.SpectrogramConfig(frame_length=64, frame_step=24)
  told = capsys.readouterr()
  assert f"exported {path}, config {config.fingerprint()}" in told.out
  assert not told.err
  serve = tf.saved_model.load(str(path)).signatures["serving_default"]
  shape = serve.structured_input_signature[1]["signals"].shape
  assert shape.as_list() == [None, None, 2]

  assert _run("verify", path) == 0
  assert "All routes agree." in capsys.readouterr().out

  assert _run("verify", path, "--against", config_file) == 1
  assert "mode must be that of " in capsys.readouterr().out

  (path / "assets" / "config.textproto").write_text("frame_length: 64")
  assert _run("verify", path) == 1
  assert "Not verified." in capsys.readouterr().out


def test_explain(config_file, tmp_path, capsys):
  other = tmp_path / "other.json"
  tfspec.save_config(tfspec.load_config(config_file), other)
  assert _run("explain", config_file, other) == 0
  assert capsys.readouterr().out.endswith("\nThe same.\n")
  tfspec.save_config(
    dataclasses.replace(tfspec.load_config(config_file), engine="kernel"), other
  )
  assert _run("explain", config_file, other) == 0
  text = capsys.readouterr().out
  assert "\n  engine: 'fft' against 'kernel'. " in text
  assert text.endswith("\nThe same.\n")
  tfspec.save_config(
    dataclasses.replace(tfspec.load_config(config_file), frame_step=12), other
  )
  assert _run("explain", config_file, other) == 1
  text = capsys.readouterr().out
  assert "frame_step: 24 against 12. B has 2 times as many frames" in text
  # As with diff, 2 is trouble.
  assert _run("explain", config_file, "--against", "whisper") == 1
  found = capsys.readouterr()
  assert "B  preset whisper" in found.out
  assert _run("explain", config_file, tmp_path / "none") == 2
  found = capsys.readouterr()
  assert not found.out and found.err.count("\n") == 1
  assert found.err.startswith("tfspec explain: There must be ")


def test_explain_that_breaks_down(config_file, monkeypatch, capsys):
  def break_down(a, b):
    raise RuntimeError("the machine stops\nin the middle")

  module = importlib.import_module("tfspec.verification.explain")
  monkeypatch.setattr(module, "explain", break_down)
  assert _run("explain", config_file, config_file) == 2
  found = capsys.readouterr()
  assert not found.out
  assert found.err == "tfspec explain: RuntimeError: the machine stops\n"


@pytest.mark.slow
def test_export_and_verify_for_litert(config_file, tmp_path, capsys):
  pytest.importorskip(
    "ai_edge_litert",
    reason="ai-edge-litert is not installed: pip install '.[litert]'.",
  )
  path = tmp_path / "speech.tflite"
  flags = ("--format=litert", "--channels=2", "--config", config_file)
  assert _run("export", path, *flags) == 0
  config = tfspec.load_config(config_file)
  told = capsys.readouterr().out
  assert told == f"exported {path}, config {config.fingerprint()}\n"
  assert _run("verify", path) == 0
  assert "LiteRT" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(
  ("frozen", "name"),
  [("layer", "1"), ("model", "1"), ("model", "model.tflite")],
)
def test_export_of_a_frozen_keras_model(frozen, name, tmp_path, capsys):
  layer = tfspec.layers.STFTSpectrogram(
    frame_length=64, frame_step=24, trainable=frozen != "layer"
  )
  model = keras.Sequential([keras.Input((None, 1)), layer])
  model.trainable = frozen != "model"
  kernel = layer.get_weights()[0]
  layer.set_weights([1.5 * kernel, *layer.get_weights()[1:]])
  file, path = tmp_path / "model.keras", tmp_path / name
  model.save(file)
  flags = ["--format=litert"] if name.endswith(".tflite") else []
  if flags:
    pytest.importorskip(
      "ai_edge_litert",
      reason="ai-edge-litert is not installed: pip install '.[litert]'.",
    )
  assert _run("export", path, "--model", file, *flags) == 0
  told = capsys.readouterr().out
  assert _run("verify", path, "--against", file) == 0
  fingerprint = capsys.readouterr().out.split()[2].rstrip(",")
  assert told == f"exported {path}, config {fingerprint}\n"
  if not flags:
    assert _run("explain", path, file) == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["q2", "model.tflite"])
def test_export_of_a_keras_model(name, tmp_path, capsys):
  model = keras.Sequential(
    [
      keras.Input((None, 1)),
      tfspec.layers.STFTSpectrogram(frame_length=64, frame_step=24),
      keras.layers.GlobalAveragePooling1D(),
    ]
  )
  file, path = tmp_path / "model.keras", tmp_path / name
  model.save(file)
  flags = ["--format=litert"] if name.endswith(".tflite") else []
  assert _run("export", path, "--model", file, *flags) == 0
  config = tfspec.SpectrogramConfig(
    frame_length=64, frame_step=24, trainable=True
  )
  told = capsys.readouterr()
  assert told.out.endswith(f"exported {path}, config {config.fingerprint()}\n")
  if flags:
    assert b"predictions" in path.read_bytes()
  else:
    # TensorFlow Serving ignores the folder.
    assert told.err.endswith(f"such as {path}/1. Got: q2.\n")
    signatures = tf.saved_model.load(str(path)).signatures
    clip = tf.random.stateless_normal([1, 300], [1, 2])
    outputs = signatures["serving_default"](
      signals=clip, lengths=tf.zeros([0], tf.int32)
    )
    np.testing.assert_allclose(
      outputs["predictions"], model(clip[..., tf.newaxis]), atol=1e-5
    )


def test_plot(clips, tmp_path, capsys):
  path = tmp_path / "sheet.png"
  inputs = (clips / "a.wav", clips / "b.wav")
  assert _run("plot", *inputs, "--output", path, "--window=none") == 0
  assert f"drew {path}" in capsys.readouterr().out
  assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


# Each with what the sentence must tell; {} is the folder of the test.
_ERRORS = {
  "frame_step": (
    "export {}/new --frame_step=300",
    r"frame_step must be in [1, frame_length]. "
    "Got: frame_step=300, frame_length=256.",
  ),
  "unknown_mode": ("export {}/new --mode=loud", "Got: mode='loud'."),
  "unknown_window": ("export {}/new --window=hamster", "'hamster'"),
  "channels": ("export {}/new --mode=log --channels=0", "Got: channels=0."),
  "existing_export": ("export {}/clips --mode=log", "path must not exist yet"),
  "export_below_a_file": (
    "export {}/clips/a.wav/1 --mode=log",
    "{}/clips/a.wav",
  ),
  "nothing_to_export": (
    "export {}/new --channels=2",
    "--config, a field of it such as --frame_length, or --model. Got: none",
  ),
  "no_config": ("export {}/new --config={}/no.textproto", "{}/no.textproto"),
  "bad_config": ("export {}/new --config={}/bad.textproto", "{}/bad.textproto"),
  "config_ending": ("export {}/new --config={}/clips/c.wav", "must end in"),
  "model_and_config": (
    "export {}/new --model={}/m.keras --config={}/c.json --mode=psd",
    "Got: --config, --mode with --model={}/m.keras.",
  ),
  "no_model_file": ("export {}/new --model={}/m.keras", "{}/m.keras"),
  "no_input": ("prepare {}/none {}/new", "Got: {}/none."),
  "existing_output": ("prepare {}/clips {}/clips", "Got: {}/clips."),
  "trainable": ("prepare {}/clips {}/new --trainable=true", "trainable=True"),
  "share": ("prepare {}/clips {}/new --max_skipped=2", "Got: max_skipped=2.0."),
  "scheme": ("prepare {}/clips foo://new", "scheme that TensorFlow knows"),
  "no_model": (
    "verify {}/none",
    "path must be a SavedModel, a .tflite file or a prepared dataset. "
    "Got: {}/none.",
  ),
  "no_file": (
    "verify {}/none.tflite",
    "prepared dataset. Got: {}/none.tflite.",
  ),
  "limits_of_litert": (
    "export {}/new.tflite --format=litert --mode=log --max_samples=9 "
    "--jit_compile",
    "Got: --max_samples, --jit_compile with --format=litert.",
  ),
  "ending_of_litert": (
    "export {}/new --format=litert --mode=log",
    "path must end in .tflite. Got: {}/new.",
  ),
  "format": (
    "export {}/new.tflite --mode=log",
    "format must be litert for a path that ends in .tflite. Got: ",
  ),
  "no_wav": ("plot {}/none.wav --output={}/new.png", "{}/none.wav"),
  "text": ("plot {}/clips/c.wav --output={}/new.png", "RIFF"),
  "sample_rate": (
    "plot {}/clips/a.wav --output={}/new.png --sample_rate_hz=16000",
    "sample rate must be",
  ),
  "picture": ("plot {}/clips/a.wav --output={}/new.xyz", "must end in one of"),
  "no_folder": (
    "plot {}/clips/a.wav --output={}/none/new.png",
    "{}/none/new.png",
  ),
  "no_frames": (
    "plot {}/clips/a.wav --output={}/new.png --frame_length=700",
    "at least one frame",
  ),
  "batch": ("benchmark --batch=0", "batch must be at least 1. Got: batch=0."),
  "rounds": ("benchmark --rounds=0", "Got: rounds=0."),
  "seconds": (
    "benchmark --seconds=0.001",
    "seconds=0.001, which are 16 samples, frame_length=256.",
  ),
}


@pytest.mark.parametrize("case", _ERRORS)
def test_error_is_one_sentence(case, clips, tmp_path, capsys):
  del clips
  (tmp_path / "bad.textproto").write_text("frame_step: 300")
  before = sorted(os.walk(tmp_path))
  command, told = (text.replace("{}", str(tmp_path)) for text in _ERRORS[case])
  assert _run(*command.split()) == 1
  found = capsys.readouterr()
  lines = [
    line for line in found.err.splitlines() if not line.startswith("[")
  ]  # Without the progress line.
  assert len(lines) == 1, found.err
  assert lines[0].startswith(f"tfspec {command.split()[0]}: ")
  assert told in lines[0]
  for noise in ("Traceback", "{{", "[Op:", "tf.Tensor", "] [", "\\'"):
    assert noise not in lines[0]
  assert not found.out
  assert sorted(os.walk(tmp_path)) == before  # Nothing new.


def test_without_matplotlib(clips, tmp_path, monkeypatch, capsys):
  for name in [n for n in sys.modules if n.split(".")[0] == "matplotlib"]:
    monkeypatch.setitem(sys.modules, name, None)
  path = tmp_path / "sheet.png"
  assert _run("plot", clips / "a.wav", "--output", path) == 1
  assert "pip install '.[plot]' in a clone" in capsys.readouterr().err


def test_dashes_are_underscores():
  config = _config("--frame-length=64", "--frame-step", "24", "--fft_length=64")
  assert config == tfspec.SpectrogramConfig(
    frame_length=64, frame_step=24, fft_length=64
  )
  arguments = cli.parse(["tfspec", "verify", "a-b", "--against=c-d"])
  assert (arguments.path, arguments.against) == ("a-b", "c-d")
  arguments = cli.parse(["tfspec", "verify", "--", "--a-b"])
  assert arguments.path == "--a-b"


@pytest.mark.parametrize(
  ("line", "told"),
  [
    ("verfy", "tfspec: unknown command verfy. Did you mean verify?"),
    ("sing", "tfspec: unknown command sing. Run: tfspec --help"),
    ("--verison", "tfspec: unknown option --verison. Did you mean --version?"),
    (
      "export --frame-lenght 9",
      "tfspec export: unknown option --frame_lenght. "
      "Did you mean --frame_length?",
    ),
    (
      "verify x --loud=1",
      "tfspec verify: unknown option --loud. Run: tfspec verify --help",
    ),
    (
      "export",
      "tfspec export: the following arguments are required: path",
    ),
  ],
)
def test_what_cannot_be_parsed(line, told, capsys):
  with pytest.raises(SystemExit) as error:
    _run(*line.split())
  assert error.value.code == 2
  assert capsys.readouterr() == ("", f"{told}\n")


def test_no_command_is_the_help(capsys):
  for line in ((), ("--help",)):
    with pytest.raises(SystemExit) as error:
      _run(*line)
    assert not error.value.code
  first, second = capsys.readouterr().out.split("usage: tfspec ")[1:]
  assert first == second and "  verify " in first


def test_version(capsys):
  with pytest.raises(SystemExit) as error:
    _run("--version")
  assert not error.value.code
  assert capsys.readouterr().out == (
    f"tfspec {tfspec.__version__}, TensorFlow {tf.__version__}\n"
  )


def test_path_that_is_no_text_is_printed(monkeypatch):
  raw = io.BytesIO()
  monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, "utf-8"))
  monkeypatch.setattr(sys, "argv", ["tfspec", "verify", "\udcff", "--verbose"])
  monkeypatch.setattr(cli, "main", lambda arguments: print(arguments.path))
  with pytest.raises(SystemExit):
    cli.run()
  sys.stdout.flush()
  assert raw.getvalue() == b"\\udcff\n"


def test_logs_are_dropped_but_no_failure():
  script = """
import os, sys
from tfspec.cli import logs
logs.silence()
print("Python", file=sys.stderr)
os.write(2, b"I0000 00:00:1795888304.166144   16337 port.cc:153] oneDNN\\n")
os.write(2, b"WARNING: All log messages before absl\\nINFO: XNNPACK\\n")
os.write(2, b"F0000 00:00:1795888304.166144   16337 cpu.cc:15] no AVX\\n")
os.abort()
"""
  result = _python("-c", f"import sys; sys.argv = ['tfspec']{script}")
  assert result.returncode < 0
  assert "Python\n" in result.stderr and "no AVX\n" in result.stderr
  assert result.stderr.count("\n") == 2


@pytest.mark.slow
def test_commands_that_succeed_log_nothing(clips, config_file, tmp_path):
  with_config = ["--config", str(config_file)]
  export = str(tmp_path / "models" / "1")
  lines = [
    ["export", export, *with_config],
    ["verify", export],
    ["explain", export, str(config_file)],
  ]
  png = str(tmp_path / "a.png")
  lines.append(["plot", str(clips / "a.wav"), "--output", png, *with_config])
  script = f"""
import sys
sys.argv = ["tfspec"]
from tfspec.cli import logs
from tfspec.cli import main as cli
logs.silence()
sys.exit(any(cli.main(cli.parse(["tfspec", *line])) for line in {lines}))
"""
  result = _python("-c", script)
  assert (result.returncode, result.stderr) == (0, "")
  assert "All routes agree." in result.stdout


def test_help_needs_no_tensorflow():
  lines = [[], ["--version"], *([c, "--help"] for c in cli._parsers()[1])]
  script = f"""
import contextlib, os, sys
sys.argv = ["/usr/bin/tfspec"]  # As the installed script.
from tfspec.cli import main as cli
for line in {lines}:
  with contextlib.suppress(SystemExit), contextlib.redirect_stdout(sys.stderr):
    cli.parse(["tfspec", *line])
print(sorted({{"tensorflow", "keras", "scipy"}} & set(sys.modules)))
"""
  result = _python("-c", script)
  assert result.stdout == "[]\n", result.stderr
  assert result.stderr.count("usage: ") == 8
  result = _python("-X", "importtime", "-m", "tfspec", "export", "--help")
  assert "tfspec.config" in result.stderr
  assert "tensorflow" not in result.stderr


@pytest.mark.slow
def test_as_a_program(clips, tmp_path):
  output = tmp_path / "prepared"
  result = _python_m_tfspec(
    "prepare", clips, output, "--frame_length=64", "--window=kaiser,8.6"
  )
  assert result.returncode == 0, result.stderr
  assert result.stdout.startswith("2 written, 1 skipped (")
  assert "3/3 files, 0 s left, " in result.stderr
  lines = result.stderr.splitlines()
  assert [line for line in lines if line[0] != "["] == []
  rows = (output / "manifest.jsonl").read_text().splitlines()
  assert json.loads(rows[2])["reason"].startswith("wav: ")
  config = tfspec.load_config(output / "config.textproto")
  assert config == tfspec.SpectrogramConfig(
    frame_length=64, window=("kaiser", 8.6)
  )


def test_as_a_program_that_fails(tmp_path):
  result = _python_m_tfspec("export", tmp_path / "new", "--frame_step=300")
  assert result.returncode == 1
  assert not result.stdout
  assert result.stderr == (
    "tfspec export: frame_step must be in [1, frame_length]. "
    "Got: frame_step=300, frame_length=256.\n"
  )
  assert not os.listdir(tmp_path)


@pytest.mark.parametrize("trainable", [False, True])
def test_benchmark_says_which_engine_to_choose(trainable, capsys):
  fields = ["--frame_length=32", "--data_format=channels_first"]
  if trainable:
    fields.append("--trainable=true")
  sizes = ["--batch=2", "--seconds=0.01", "--rounds=2"]
  assert _run("benchmark", *sizes, *fields) == 0
  lines = capsys.readouterr().out.splitlines()
  rows = [line.split() for line in lines[1:5]]
  engines = ["kernel"] if trainable else ["fft", "kernel"]
  tasks = ["spectrogram", "step"] if trainable else ["spectrogram"]
  assert sorted(row[:3] for row in rows) == sorted(
    [task, engine, way]
    for task in tasks
    for engine in engines
    for way in ("graph", "XLA")
  )
  assert float(rows[0][4]) == 1.0 <= float(rows[1][4])
  assert lines[5] == "320 samples a run."
  _, engine, way, *_ = rows[0]
  way = "compiled by XLA" if way == "XLA" else "in a graph"
  assert lines[6] == f"Fastest spectrogram: --engine={engine}, {way}."
  assert len(lines) == 6 + len(tasks)
