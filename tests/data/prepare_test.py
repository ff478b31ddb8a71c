"""Tests of `tfspec.data.prepare` and `tfspec.data.read_examples`."""

import dataclasses
import io
import json
import os
import pathlib
import re
import shutil
import sys

import matplotlib.image
import numpy as np
import pytest
import soundfile
import tensorflow as tf

import tfspec
from tests import wav_files
from tests.paths import SPEECH
from tfspec.contract import bounds, registry
from tfspec.data import prepare, prepare_clips, prepare_report, records
from tfspec.storage import files

_TEXT = (
  "frame_length: 200 frame_step: 80 fft_length: 256 sample_rate_hz: 8000 "
  "periodic: true"
)
_CONFIG = registry.Golden("speech", _TEXT).config()
_CONTACT_SHEET = prepare.plot.contact_sheet
# Cheap files for the tests that are not about speech.
_SMALL = tfspec.SpectrogramConfig(frame_length=64, frame_step=24)


def _samples(samples, channels=1):
  random = np.random.default_rng([samples, channels])
  return (0.3 * random.standard_normal([samples, channels])).astype(np.float32)


def _write_wav(path, samples=500, channels=1, sample_rate=8000):
  path.parent.mkdir(parents=True, exist_ok=True)
  contents = wav_files.riff(
    [
      wav_files.fmt(wav_files.FLOAT, channels, sample_rate, bits=32),
      wav_files.chunk(b"data", _samples(samples, channels).tobytes()),
    ]
  )
  path.write_bytes(contents)


def _manifest(folder):
  lines = (folder / "manifest.jsonl").read_text("utf-8").splitlines()
  return [json.loads(line) for line in lines]


def _shards(folder):
  return sorted(path.name for path in folder.glob("*.tfrecord"))


def _sources(folder):
  examples = tfspec.data.read_examples(folder)
  return [example["source"].numpy().decode() for example in examples]


def _assert_agrees_with_oracle(values, text, signals):
  golden = registry.Recording("clip", text, values=signals[np.newaxis])
  expected, bound = golden.expected()
  assert values.dtype == np.float32
  deviation = bounds.deviation(golden.config(), values, expected[0], bound[0])
  assert deviation.ok, deviation


@pytest.fixture(scope="module")
def progress():
  return io.StringIO()


@pytest.fixture(scope="module")
def speech(tmp_path_factory, progress):
  """The voice prompts, prepared; and what `prepare` returned."""
  folder = tmp_path_factory.mktemp("speech") / "prepared"
  summary = prepare.prepare(
    SPEECH, folder, _CONFIG, workers=1, progress=progress
  )
  return folder, summary


@pytest.fixture(scope="module")
def sharded(tmp_path_factory):
  """The same in several shards, by four workers."""
  folder = tmp_path_factory.mktemp("sharded") / "prepared"
  summary = prepare.prepare(
    SPEECH, folder, _CONFIG, workers=4, shard_bytes=200_000
  )
  return folder, summary


@pytest.fixture
def copied(sharded, tmp_path):
  """A copy of the sharded folder, to damage."""
  return pathlib.Path(shutil.copytree(sharded[0], tmp_path / "copy"))


@pytest.fixture
def clips(tmp_path, monkeypatch):
  """A folder of a few short files, of which no picture is drawn."""
  monkeypatch.setattr(prepare.plot, "contact_sheet", lambda *_: None)
  folder = tmp_path / "clips"
  for i in range(3):
    _write_wav(folder / f"{i}.wav", samples=300 + 10 * i)
  return folder


def test_counts(speech):
  folder, summary = speech
  assert (summary.written, summary.skipped) == (14, 2)
  samples = sum(soundfile.info(p).frames for p in SPEECH.glob("*/*.wav"))
  assert summary.audio_seconds == pytest.approx(samples / 8000)
  assert summary.seconds > 0
  assert sorted(os.listdir(folder)) == [
    "config.textproto",
    "contact_sheet.png",
    "manifest.jsonl",
    "sha256sums.txt",
    "spectrograms-00000-of-00001.tfrecord",
  ]


def test_manifest_has_every_file_once_in_order(speech):
  folder, _ = speech
  files = sorted(
    path.relative_to(SPEECH).as_posix()
    for path in SPEECH.glob("**/*")
    if path.is_file()
  )
  rows = _manifest(folder)
  assert [row["source"] for row in rows] == files
  skipped = [row for row in rows if row["status"] != "written"]
  assert skipped == [
    {
      "source": "LICENSE.md",
      "status": "skipped",
      "reason": "The name does not end in .wav.",
    },
    {
      "source": "ru/is.wav",
      "status": "skipped",
      "reason": "The file holds no samples.",
    },
  ]


def test_manifest_rows_describe_the_files(speech):
  for row in _manifest(speech[0]):
    if row["status"] == "written":
      assert row.pop("record_bytes") > 4 * row["shape"][0] * row["shape"][1]
      info = soundfile.info(SPEECH / row["source"])
      frames = (info.frames - 200) // 80 + 1
      assert row == {
        "source": row["source"],
        "status": "written",
        "shard": "spectrograms-00000-of-00001.tfrecord",
        "shape": [frames, 129],
        "samples": info.frames,
        "missing_samples": 0,
        "channels": 1,
        "sample_rate_hz": 8000,
      }


@pytest.mark.slow
@pytest.mark.parametrize("fixture", ["speech", "sharded"])
def test_every_example_agrees_with_oracle(fixture, request):
  folder, _ = request.getfixturevalue(fixture)
  written = [row for row in _manifest(folder) if row["status"] == "written"]
  examples = list(tfspec.data.read_examples(folder, _CONFIG))
  assert len(examples) == len(written) == 14
  for example, row in zip(examples, written, strict=True):
    assert sorted(example) == ["sample_rate_hz", "source", "spectrogram"]
    assert example["source"].numpy().decode() == row["source"]
    assert example["sample_rate_hz"].numpy() == row["sample_rate_hz"]
    values = example["spectrogram"].numpy()
    assert list(values.shape) == row["shape"]
    signals, _ = soundfile.read(
      SPEECH / row["source"], dtype="float32", always_2d=True
    )
    _assert_agrees_with_oracle(values, _TEXT, signals)


def test_stored_examples_have_the_documented_features(speech):
  record = next(
    iter(tf.data.TFRecordDataset([str(p) for p in speech[0].glob("*.tfr*")]))
  )
  feature = tf.train.Example.FromString(record.numpy()).features.feature
  assert sorted(feature) == ["sample_rate_hz", "shape", "source", "spectrogram"]
  assert feature["source"].bytes_list.value == [b"en/conf-locked.wav"]
  frames, bins = feature["shape"].int64_list.value
  assert len(feature["spectrogram"].float_list.value) == frames * bins


@pytest.mark.parametrize("shape", [(37, 130), (5, 33, 2), (1, 1)])
def test_record_is_what_protobuf_makes(shape):
  random = np.random.default_rng(0)
  values = random.standard_normal(shape).astype(np.float32)
  values.flat[0] = np.inf
  content, own = records.make_example(shape, "\udcff/b.wav", 44100)
  own[:] = values

  def integers(numbers):
    return tf.train.Feature(int64_list=tf.train.Int64List(value=numbers))

  feature = {
    "spectrogram": tf.train.Feature(
      float_list=tf.train.FloatList(value=values.ravel())
    ),
    "shape": integers(shape),
    "source": tf.train.Feature(
      bytes_list=tf.train.BytesList(value=[b"\xff/b.wav"])
    ),
    "sample_rate_hz": integers([44100]),
  }
  expected = tf.train.Example(features=tf.train.Features(feature=feature))
  assert tf.train.Example.FromString(bytes(content)) == expected
  assert len(content) == expected.ByteSize()
  names = [name.encode() for name in sorted(feature)]
  assert [content.index(name) for name in names] == sorted(
    content.index(name) for name in names
  )


@pytest.mark.slow
def test_bytes_are_the_same_in_every_run(clips, tmp_path):
  for name, workers in (("one", 1), ("four", 4)):
    prepare.prepare(clips, tmp_path / name, _SMALL, workers=workers)
  assert (tmp_path / "one" / "sha256sums.txt").read_text() == (
    tmp_path / "four" / "sha256sums.txt"
  ).read_text()


def test_workers_and_shards_do_not_change_the_rows(speech, sharded):
  one, four = _manifest(speech[0]), _manifest(sharded[0])
  for row in one + four:
    row.pop("shard", None)
  assert one == four
  assert _sources(speech[0]) == _sources(sharded[0])


def test_shards_are_numbered_and_bounded(sharded):
  folder, _ = sharded
  names = _shards(folder)
  assert len(names) > 3
  total = f"{len(names):05d}"
  assert names == [
    f"spectrograms-{i:05d}-of-{total}.tfrecord" for i in range(len(names))
  ]
  rows = [row for row in _manifest(folder) if row["status"] == "written"]
  assert [row["shard"] for row in rows] == sorted(row["shard"] for row in rows)
  for name in names:
    path = str(folder / name)
    stored = [
      tf.train.Example.FromString(r.numpy()).features.feature
      for r in tf.data.TFRecordDataset(path)
    ]
    sources = [f["source"].bytes_list.value[0].decode() for f in stored]
    assert sources == [r["source"] for r in rows if r["shard"] == name]
    sizes = [4 * len(f["spectrogram"].float_list.value) for f in stored]
    # A shard is closed by the example that fills it.
    assert sum(sizes[:-1]) < 200_000
    assert name == names[-1] or sum(sizes) > 190_000


def test_stored_config_is_the_same(speech):
  stored = tfspec.load_config(speech[0] / "config.textproto")
  assert stored == _CONFIG


def test_contact_sheet_is_a_picture(speech):
  folder, summary = speech
  path = folder / "contact_sheet.png"
  assert summary.contact_sheet == str(path)
  assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
  pixels = matplotlib.image.imread(path)[..., :3]
  height, width, _ = pixels.shape
  assert 500 < height < 4000 and 500 < width < 4000
  assert np.mean(np.all(pixels == 1.0, axis=-1)) < 0.7  # White paper.
  assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 200


def test_progress_reaches_the_end(speech, progress):
  del speech
  line = progress.getvalue().splitlines()[-1]
  assert re.match(
    r"\[#{20}\] 16/16 files, 0 s left, \d+ x real time *$", line
  ), line


def test_progress_grows(clips, tmp_path, monkeypatch):
  class Terminal(io.StringIO):
    def isatty(self):
      return True

  stream = Terminal()
  # A clock by which every look takes three seconds: each file is drawn.
  seconds = iter(range(0, 3000, 3))
  monkeypatch.setattr(prepare.time, "monotonic", lambda: next(seconds))
  prepare.prepare(clips, tmp_path / "out", _SMALL, progress=stream)
  lines = stream.getvalue().split("\r")
  found = [
    re.match(r"\[(#*)\.*\] (\d)/3 files(, \d+ s left)?, \d+ x", line)
    for line in lines[:3]
  ]
  assert [(len(m[1]), m[2], m[3]) for m in found] == [
    (6, "1", None),  # After three seconds nobody knows yet.
    (13, "2", ", 3 s left"),
    (20, "3", ", 0 s left"),
  ]
  assert len({len(line) for line in lines[:3]}) == 1
  assert lines[3:] == ["\n"]


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
  """The rows of a folder in which most files are broken, by source."""
  folder = tmp_path_factory.mktemp("mixed")
  clips = folder / "clips"
  _write_wav(clips / "good.wav", 400)
  _write_wav(clips / "deep" / "er" / "UPPER.WAV", 400)
  _write_wav(clips / "short.wav", 199)
  _write_wav(clips / "empty.wav", 0)
  _write_wav(clips / "rate.wav", 400, sample_rate=16000)
  (clips / "broken.wav").write_bytes(
    wav_files.riff([wav_files.fmt(bits=12, block_align=2)])
  )
  (clips / "nothing.wav").write_bytes(b"")
  (clips / "text.wav").write_text("These are minutes of a meeting.")
  (clips / "notes.txt").write_text("Not audio, and not to be listed.")
  os.symlink(folder / "gone", clips / "gone.wav")
  summary = prepare.prepare(clips, folder / "out", _CONFIG, max_skipped=1)
  rows = {row["source"]: row for row in _manifest(folder / "out")}
  assert len(rows) == summary.written + summary.skipped
  assert _sources(folder / "out") == ["deep/er/UPPER.WAV", "good.wav"]
  return rows


def test_all_files_are_listed(mixed):
  assert list(mixed) == [
    "broken.wav",
    "deep/er/UPPER.WAV",
    "empty.wav",
    "gone.wav",
    "good.wav",
    "notes.txt",
    "nothing.wav",
    "rate.wav",
    "short.wav",
    "text.wav",
  ]


@pytest.mark.parametrize(
  ("source", "reason"),
  [
    ("broken.wav", "wav: .*"),
    ("empty.wav", r"The file holds no samples\."),
    ("gone.wav", r"The file cannot be read: No such file or directory\."),
    ("notes.txt", r"The name does not end in \.wav\."),
    ("nothing.wav", r"wav: contents must have at least 12 bytes\. Got: 0\."),
    ("rate.wav", r".* sample rate must be (?=.*8000)(?=.*16000).*\."),
    (
      "short.wav",
      r"The clip is shorter than a frame\. Got: samples=199, "
      r"frame_length=200\.",
    ),
    ("text.wav", r"wav: contents must start with RIFF.* Got: Thes.*"),
  ],
)
def test_skipped_file_has_its_reason(mixed, source, reason):
  row = mixed[source]
  assert row["status"] == "skipped"
  assert sorted(row) == ["reason", "source", "status"]
  assert re.fullmatch(reason, row["reason"]), row


def test_reasons_are_sentences(mixed):
  for row in mixed.values():
    if row["status"] == "skipped":
      # Neither TensorFlow's brackets and nodes nor its escapes.
      assert not re.search(r"\\|\] \[|\{\{|Op:|\n", row["reason"]), row
      assert row["reason"].endswith("."), row


def test_file_without_permission_is_skipped(clips, tmp_path, monkeypatch):
  def open_but_one(path, *arguments, **keywords):
    if str(path).endswith("1.wav"):  # Root may read what has no permission.
      raise PermissionError(13, "Permission denied", path)
    return open(path, *arguments, **keywords)

  monkeypatch.setattr(files, "open", open_but_one, raising=False)
  prepare.prepare(clips, tmp_path / "out", _SMALL)
  row = _manifest(tmp_path / "out")[1]
  assert row["source"] == "1.wav" and row["status"] == "skipped"
  assert row["reason"] == "The file cannot be read: Permission denied."


def test_what_is_no_file_is_skipped(clips, tmp_path):
  os.mkfifo(clips / "pipe.wav")
  (clips / "link").symlink_to(tmp_path)
  prepare.prepare(clips, tmp_path / "out", _SMALL)
  reasons = {
    row["source"]: row.get("reason") for row in _manifest(tmp_path / "out")
  }
  assert reasons["pipe.wav"] == "It is not a regular file."
  assert "link" in reasons and reasons["link"]


def test_clip_that_is_not_finite_is_skipped(clips, tmp_path):
  signals = _samples(500)
  signals[250] = np.nan
  fmt = wav_files.fmt(wav_files.FLOAT, 1, 8000, bits=32)
  data = wav_files.chunk(b"data", signals.tobytes())
  (clips / "1.wav").write_bytes(wav_files.riff([fmt, data]))
  summary = prepare.prepare(clips, tmp_path / "out", _SMALL)
  assert (summary.written, summary.skipped) == (2, 1)
  assert "must be finite" in _manifest(tmp_path / "out")[1]["reason"]


def test_a_failing_picture_does_not_lose_the_data(
  clips, tmp_path, monkeypatch, capsys
):
  def fail(*_):
    raise RuntimeError("no fonts")

  monkeypatch.setattr(prepare.plot, "contact_sheet", fail)
  summary = prepare.prepare(clips, tmp_path / "out", _SMALL)
  assert summary.written == 3 and summary.contact_sheet is None
  assert "No contact sheet: no fonts" in capsys.readouterr().err


def test_kinds_of_clips_are_told(clips, tmp_path):
  _write_wav(clips / "stereo.wav", channels=2, sample_rate=44100)
  summary = prepare.prepare(clips, tmp_path / "out", _SMALL)
  assert summary.sample_rates_hz == (8000, 44100)
  assert summary.channels == (1, 2)


@pytest.mark.slow
def test_bins_are_static_if_all_clips_agree(clips, tmp_path):
  prepare.prepare(clips, tmp_path / "mono", _SMALL)
  spec = tfspec.data.read_examples(tmp_path / "mono").element_spec
  assert spec["spectrogram"].shape.as_list() == [None, 33]
  _write_wav(clips / "stereo.wav", channels=2)
  prepare.prepare(clips, tmp_path / "mixed", _SMALL)
  mixed = tfspec.data.read_examples(tmp_path / "mixed")
  assert mixed.element_spec["spectrogram"].shape.as_list() == [None, None]
  with pytest.raises(ValueError, match="a known size on each axis but that of"):
    tfspec.data.padded_batch(mixed, _SMALL, 2, "spectrogram")


def test_batches_of_examples_are_padded_with_silence(sharded):
  examples = tfspec.data.read_examples(sharded[0], _CONFIG)
  dataset = tfspec.data.padded_batch(examples, _CONFIG, 14, "spectrogram")
  (batch,) = dataset
  assert len(set(batch["num_frames"].numpy())) > 1
  for i, example in enumerate(examples):
    values, count = batch["spectrogram"][i].numpy(), int(batch["num_frames"][i])
    np.testing.assert_array_equal(values[:count], example["spectrogram"])
    assert np.all(values[count:] == np.float32(_CONFIG.silence))
    assert batch["source"][i] == example["source"]


@pytest.mark.skipif(sys.platform != "linux", reason="names are text there")
def test_file_name_that_is_no_text(clips, tmp_path):
  (clips / "1.wav").rename(os.fsdecode(os.fsencode(clips) + b"/1\xff.wav"))
  prepare.prepare(clips, tmp_path / "out", _SMALL)
  rows = _manifest(tmp_path / "out")
  assert [row["source"] for row in rows] == ["0.wav", "1\udcff.wav", "2.wav"]
  assert len(list(tfspec.data.read_examples(tmp_path / "out"))) == len(
    [row for row in rows if row["status"] == "written"]
  )


def test_nothing_readable(tmp_path):
  clips = tmp_path / "clips"
  clips.mkdir()
  (clips / "a.wav").write_text("not a wav file at all")
  _write_wav(clips / "b.wav", 10)
  with pytest.raises(ValueError, match="and not all.* 2 of 2 skipped when 0"):
    prepare.prepare(clips, tmp_path / "out", _SMALL, max_skipped=1)
  assert sorted(os.listdir(tmp_path)) == ["clips", "out.skipped.jsonl"]


def test_no_wav_files_and_no_folder(tmp_path):
  (tmp_path / "in").mkdir()
  with pytest.raises(FileNotFoundError, match=r"must hold \*\.wav files"):
    prepare.prepare(tmp_path / "in", tmp_path / "out", _SMALL)
  with pytest.raises(FileNotFoundError, match="input_folder must be a folder"):
    prepare.prepare(tmp_path / "none", tmp_path / "out", _SMALL)
  assert os.listdir(tmp_path) == ["in"]


def test_existing_output_is_untouched(clips, tmp_path):
  output = tmp_path / "out"
  output.mkdir()
  (output / "manifest.jsonl").write_text("precious")
  with pytest.raises(FileExistsError, match=re.escape(str(output))):
    prepare.prepare(clips, output, _SMALL)
  assert os.listdir(output) == ["manifest.jsonl"]
  assert (output / "manifest.jsonl").read_text() == "precious"
  assert sorted(os.listdir(tmp_path)) == ["clips", "out"]


def test_trainable_config_is_refused(clips, tmp_path):
  config = dataclasses.replace(_SMALL, trainable=True)
  with pytest.raises(ValueError, match="config must not be trainable"):
    prepare.prepare(clips, tmp_path / "out", config)
  assert os.listdir(tmp_path) == ["clips"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_failure_leaves_nothing_behind(clips, tmp_path, monkeypatch, error):
  write = prepare.records.ShardWriter.write
  calls = []

  def fail_at_second(self, *args):
    calls.append(args)
    if len(calls) == 2:
      raise error("the disk is full")
    return write(self, *args)

  monkeypatch.setattr(prepare.records.ShardWriter, "write", fail_at_second)
  with pytest.raises(error, match="the disk is full"):
    prepare.prepare(clips, tmp_path / "out", _SMALL)
  assert len(calls) == 2
  assert os.listdir(tmp_path) == ["clips"]


def test_output_of_another_run_is_left_alone(clips, tmp_path):
  partial = tmp_path / "out.partial"
  partial.mkdir()
  (partial / "spectrograms-00007.tfrecord").write_bytes(b"half")
  with pytest.raises(FileExistsError, match=r"one proc.*out\.partial exi"):
    prepare.prepare(clips, tmp_path / "out", _SMALL)
  assert _shards(partial) == ["spectrograms-00007.tfrecord"]
  assert sorted(os.listdir(tmp_path)) == ["clips", "out.partial"]


def test_output_that_nothing_can_be_is_refused_at_once(
  clips, tmp_path, monkeypatch
):
  monkeypatch.chdir(tmp_path)
  monkeypatch.setattr(prepare, "_find_files", lambda _: pytest.fail("worked"))
  (tmp_path / "gone").symlink_to("nothing")
  for path in ("gone", "clips/0.wav/out", "gone/out"):
    with pytest.raises(
      OSError, match=rf"output_folder must .* Got: {path}[.,]"
    ):
      prepare.prepare(clips, path, _SMALL)
  assert sorted(os.listdir(tmp_path)) == ["clips", "gone"]


def test_output_may_be_below_the_input(clips):
  prepare.prepare(clips, clips / "out", _SMALL)
  names = ["0.wav", "1.wav", "2.wav"]
  assert [row["source"] for row in _manifest(clips / "out")] == names
  assert sorted(os.listdir(clips)) == [*names, "out"]


@pytest.mark.slow
def test_a_run_without_enough_files_fails(clips, tmp_path):
  for i in range(4):
    _write_wav(clips / f"x{i}.wav", sample_rate=11025 if i else 44100)
  (clips / "notes.txt").write_text("not meant to be read")
  config = dataclasses.replace(_SMALL, sample_rate_hz=8000)
  with pytest.raises(ValueError) as error:
    prepare.prepare(clips, tmp_path / "out", config)
  first, *reasons = str(error.value).splitlines()
  skipped = tmp_path / "out.skipped.jsonl"
  assert first == (
    "The WAV files that are skipped must be a share of at most max_skipped, "
    "and not all. Got: max_skipped=0.5, 4 of 7 skipped when 3 were written. "
    f"Nothing is kept but {skipped}, which lists them."
  )
  assert reasons == [
    "4 files: wav: the sample rate must be 8000 Hz. Got: 11025 Hz in the file "
    "(3); 44100 Hz in the file (1). The first is x0.wav. Resample them, or "
    "prepare each rate into a dataset of its own."
  ]
  assert [json.loads(line)["source"] for line in skipped.open()] == [
    "notes.txt",
    *(f"x{i}.wav" for i in range(4)),
  ]
  assert sorted(os.listdir(tmp_path)) == ["clips", "out.skipped.jsonl"]
  # As many as are allowed do no harm, and are told in the same way.
  summary = prepare.prepare(clips, tmp_path / "out", config, max_skipped=4 / 7)
  assert summary.skipped_reasons[0] == reasons[0]
  assert summary.skipped_reasons[1].startswith("1 file: The name does not end")
  assert f"skipped {reasons[0]}" in str(summary).splitlines()


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_share_that_is_none_is_refused(clips, tmp_path, share):
  with pytest.raises(ValueError, match=r"max_skipped must be in \[0, 1\]"):
    prepare.prepare(clips, tmp_path / "out", _SMALL, max_skipped=share)


def test_many_values_of_a_reason_are_not_all_told():
  rows = [
    {"source": f"{i}.wav", "reason": f"It must be good. Got: {i // 2}."}
    for i in range(12)
  ]
  assert prepare_report.grouped_reasons(rows) == [
    "12 files: It must be good. Got: 0 (2); 1 (2); 2 (2); and 3 other values. "
    "The first is 0.wav."
  ]


def test_file_that_is_cut_short_is_written_and_told(clips, tmp_path):
  for name, keep in (("1.wav", 4 * 200), ("2.wav", 4 * 63)):
    content = (clips / name).read_bytes()
    (clips / name).write_bytes(content[: content.index(b"data") + 8 + keep])
  summary = prepare.prepare(clips, tmp_path / "out", _SMALL)
  whole, cut, short = _manifest(tmp_path / "out")
  assert (whole["samples"], whole["missing_samples"]) == (300, 0)
  assert (cut["samples"], cut["missing_samples"]) == (200, 110)
  assert short["reason"] == (
    "The clip is shorter than a frame. Got: samples=63, and 257 missing, as "
    "the file is cut short, frame_length=64."
  )
  assert (summary.cut_short, summary.missing_samples) == (1, 110)
  assert "1 file is cut short: 110 samples less" in str(summary)


def test_clip_that_fits_no_record_is_skipped(clips, tmp_path, monkeypatch):
  _write_wav(clips / "2.wav", 400)
  largest = 4 * 33 * _SMALL.num_frames(310)
  monkeypatch.setattr(prepare_clips, "_MAX_EXAMPLE_BYTES", largest)
  prepare.prepare(clips, tmp_path / "out", _SMALL)
  assert [row.get("reason") for row in _manifest(tmp_path / "out")] == [
    None,
    None,
    f"A spectrogram must have at most {largest} bytes. Got: {4 * 33 * 15}.",
  ]


@pytest.mark.parametrize(("budget", "in_work"), [(1 << 20, 3), (1, 1)])
def test_long_clips_are_in_work_alone(clips, monkeypatch, budget, in_work):
  monkeypatch.setattr(prepare_clips, "_BYTES_IN_WORK", budget)
  started = []
  pool = prepare_clips.concurrent.futures.ThreadPoolExecutor
  submit = pool.submit
  monkeypatch.setattr(
    pool, "submit", lambda *args: started.append(args) or submit(*args)
  )
  sources = ["0.wav", "1.wav", "2.wav"]
  results = prepare_clips.clips(str(clips), sources, _SMALL, 1)
  first = next(results)
  assert len(started) == in_work
  assert [clip.source for clip in (first, *results)] == sources


def test_without_matplotlib(clips, tmp_path, monkeypatch, capsys):
  for name in [n for n in sys.modules if n.split(".")[0] == "matplotlib"]:
    monkeypatch.setitem(sys.modules, name, None)
  monkeypatch.setattr(prepare.plot, "contact_sheet", _CONTACT_SHEET)
  summary = prepare.prepare(clips, tmp_path / "out", _SMALL)
  assert summary.contact_sheet is None and summary.written == 3
  assert "pip install matplotlib" in capsys.readouterr().err
  assert sorted(os.listdir(tmp_path / "out")) == [
    "config.textproto",
    "manifest.jsonl",
    "sha256sums.txt",
    "spectrograms-00000-of-00001.tfrecord",
  ]
  assert len(_sources(tmp_path / "out")) == 3


@pytest.mark.parametrize(
  ("text", "shape"),
  [
    ("", [19, 66]),
    ("expand_dims: true", [19, 33, 2]),
    ("data_format: DATA_FORMAT_CHANNELS_FIRST mode: MODE_STFT", [132, 19]),
    (
      "data_format: DATA_FORMAT_CHANNELS_FIRST expand_dims: true "
      "engine: ENGINE_KERNEL",
      [2, 19, 33],
    ),
  ],
  ids=["flat", "image", "first", "first_image"],
)
def test_stereo_in_each_layout(text, shape, tmp_path):
  text = f"frame_length: 64 frame_step: 24 {text}"
  config = registry.Golden("stereo", text).config()
  _write_wav(tmp_path / "clips" / "stereo.wav", channels=2)
  prepare.prepare(tmp_path / "clips", tmp_path / "out", config)
  (row,) = _manifest(tmp_path / "out")
  assert row["shape"] == shape
  assert (row["samples"], row["channels"]) == (500, 2)
  (example,) = tfspec.data.read_examples(tmp_path / "out", config)
  values = example["spectrogram"].numpy()
  _assert_agrees_with_oracle(values, text, _samples(500, 2))


def test_read_with_an_equal_config(sharded):
  # What the config leaves to its defaults, written out.
  equal = dataclasses.replace(_CONFIG, engine="fft", floor=1e-7**0.5)
  # What the layer that is trained on them computes otherwise.
  layer = tfspec.layers.STFTSpectrogram.from_spectrogram_config(
    dataclasses.replace(_CONFIG, trainable=True)
  )
  for config in (equal, layer.spectrogram_config):
    assert config != _CONFIG and config.fingerprint() == _CONFIG.fingerprint()
    assert len(list(tfspec.data.read_examples(sharded[0], config))) == 14


def test_read_with_another_config(sharded):
  other = dataclasses.replace(_CONFIG, mode="psd", engine="kernel")
  with pytest.raises(ValueError) as error:
    tfspec.data.read_examples(sharded[0], other)
  assert str(error.value) == (
    "config must be the one that the examples were made with. Got: mode='psd', "
    f"in {sharded[0]} 'log' (fingerprints {other.fingerprint()}, "
    f"{_CONFIG.fingerprint()})."
  )


def test_read_missing_shard(copied):
  name = _shards(copied)[1]
  (copied / name).unlink()
  with pytest.raises(ValueError, match=re.escape(name)):
    tfspec.data.read_examples(copied)


def test_read_truncated_shard(copied):
  path = copied / _shards(copied)[1]
  size = path.stat().st_size
  path.write_bytes(path.read_bytes()[:-10])
  sizes = f"Got: {size - 10} bytes, in manifest.jsonl {size}"
  with pytest.raises(ValueError, match=f"{path.name} must be as it .*{sizes}"):
    _sources(copied)


def test_read_changed_byte(copied):
  path = copied / _shards(copied)[1]
  content = bytearray(path.read_bytes())
  content[1000] ^= 1
  path.write_bytes(content)
  with pytest.raises(tf.errors.DataLossError):
    _sources(copied)


@pytest.mark.parametrize("shard", [0, -1])
@pytest.mark.parametrize("change", [-1, 1])
def test_read_with_a_record_lost_or_doubled(copied, shard, change):
  path = str(copied / _shards(copied)[shard])
  stored = [record.numpy() for record in tf.data.TFRecordDataset(path)]
  changed = stored[:-1] if change < 0 else [*stored, stored[-1]]
  with tf.io.TFRecordWriter(path) as writer:
    for record in changed:
      writer.write(record)
  with pytest.raises(ValueError, match="must be as it was written"):
    _sources(copied)


@pytest.mark.slow
def test_read_behind_a_data_service(sharded):
  service = tf.data.experimental.service
  dispatcher = service.DispatchServer()
  address = dispatcher.target.split("://")[1]
  workers = [
    service.WorkerServer(service.WorkerConfig(dispatcher_address=address))
    for _ in range(2)
  ]
  examples = tfspec.data.read_examples(sharded[0]).apply(
    service.distribute(service.ShardingPolicy.DYNAMIC, dispatcher.target)
  )
  found = sorted(example["source"].numpy().decode() for example in examples)
  assert found == sorted(_sources(sharded[0]))
  for server in (*workers, dispatcher):
    server._stop()  # What `tf.data` has for it.


@pytest.mark.parametrize("name", ["manifest.jsonl", "config.textproto"])
def test_read_without_manifest_or_config(copied, name):
  (copied / name).unlink()
  with pytest.raises(FileNotFoundError, match=name):
    tfspec.data.read_examples(copied)


@pytest.mark.parametrize("samples", [2000, 2013])
@pytest.mark.parametrize(
  "text",
  [
    "",
    "padding: PADDING_SAME expand_dims: true",
    "padding: PADDING_CENTER data_format: DATA_FORMAT_CHANNELS_FIRST",
    "padding: PADDING_CENTER pad_mode: PAD_MODE_CONSTANT pad_value: 0.5 "
    "data_format: DATA_FORMAT_CHANNELS_FIRST expand_dims: true",
    "padding: PADDING_SAME engine: ENGINE_KERNEL mode: MODE_STFT",
    "padding: PADDING_SAME frame_length: 63 frame_step: 63",
    "padding: PADDING_CENTER frame_length: 15 frame_step: 1",
  ],
  ids=["valid", "same", "center", "constant", "kernel", "odd", "step_one"],
)
def test_clip_in_pieces_is_the_whole_clip(text, samples, tmp_path, monkeypatch):
  if "frame_length" not in text:
    text = f"frame_length: 64 frame_step: 24 {text}"
  config = registry.Golden("pieces", text).config()
  _write_wav(tmp_path / "long.wav", samples, channels=2)
  pieces = []
  find = prepare_clips._pieces
  monkeypatch.setattr(prepare_clips, "_PIECE_VALUES", 500)
  monkeypatch.setattr(prepare_clips.wav_file, "_MOST_BYTES", 100)
  monkeypatch.setattr(
    prepare_clips, "_pieces", lambda *a: pieces.extend(find(*a)) or pieces
  )
  (clip,) = prepare_clips.clips(str(tmp_path), ["long.wav"], config, 1)
  assert len(pieces) > 5
  assert sum(piece.stop - piece.start for piece in pieces) > samples
  _assert_agrees_with_oracle(clip.values, text, _samples(samples, 2))


def test_clip_whose_values_depend_on_all_of_it_is_one_piece(
  tmp_path, monkeypatch
):
  text = (
    "mode: MODE_POWER frame_length: 64 frame_step: 24 "
    "compression { dynamic_range: 3 }"
  )
  config = registry.Golden("whole", text).config()
  _write_wav(tmp_path / "long.wav", 3000, channels=2)
  monkeypatch.setattr(prepare_clips, "_PIECE_VALUES", 500)
  assert len(list(prepare_clips._pieces(3000, 2, config))) == 1
  (clip,) = prepare_clips.clips(str(tmp_path), ["long.wav"], config, 1)
  _assert_agrees_with_oracle(clip.values, text, _samples(3000, 2))
  constant = dataclasses.replace(
    config, compression=tfspec.Compression(dynamic_range=3.0, peak=1.0)
  )
  assert len(list(prepare_clips._pieces(3000, 2, constant))) > 1


def test_pieces_have_as_many_samples_as_channels(tmp_path, monkeypatch):
  monkeypatch.setattr(prepare_clips, "_PIECE_VALUES", 1)
  config = tfspec.SpectrogramConfig(frame_length=16, frame_step=8)
  for samples in (1000, 1003, 1007):
    for piece in prepare_clips._pieces(samples, 64, config):
      assert piece.stop - piece.start >= 64
  _write_wav(tmp_path / "a.wav", 1000, channels=64)
  (clip,) = prepare_clips.clips(str(tmp_path), ["a.wav"], config, 1)
  assert clip.reason == "" and clip.values.shape == (124, 64 * 9)
