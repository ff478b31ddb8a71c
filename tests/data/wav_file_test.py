"""Tests of `tfspec.data.wav_file`: a file in pieces is the file as a whole."""

import numpy as np
import pytest
import tensorflow as tf

import tfspec
from tests import wav_files
from tfspec.data import wav_file
from tfspec.storage import files

_SAMPLES = np.arange(-900, 900, dtype="<i2")
_FMT = wav_files.fmt(channels=2)
_DATA = wav_files.chunk(b"data", _SAMPLES.tobytes())


def _data(size):
  return wav_files.chunk(b"data", _SAMPLES.tobytes(), size)


_FILES = {
  "plain": wav_files.riff([_FMT, _DATA]),
  "odd size": wav_files.riff([_FMT, _data(3599)]),
  "chunk behind": wav_files.riff([_FMT, _DATA, _FMT]),
  "chunk before": wav_files.riff([_FMT, wav_files.chunk(b"junk", b"x"), _DATA]),
  "far data": wav_files.riff(
    [_FMT, wav_files.chunk(b"junk", b"x" * 999), _DATA]
  ),
  "far format": wav_files.riff([_DATA, _FMT]),
  "cut": wav_files.riff([_FMT, _data(5001)]),
  "no size": wav_files.riff([_FMT, _data(0)], 0),
  "unknown size": wav_files.riff([_FMT, _data(wav_files.UNKNOWN_SIZE)]),
  "empty, then chunks": wav_files.riff(
    [_FMT, wav_files.chunk(b"data", b""), wav_files.chunk(b"junk", b"x" * 999)]
  ),
  "rf64": wav_files.riff(
    [wav_files.ds64(3700, 3600), _FMT, _data(wav_files.UNKNOWN_SIZE)],
    tag=b"RF64",
  ),
}
# Where the beginning ends: among others in the header of the data chunk.
_ENDS = [12, 36, 38, 40, 42, 44, 100]


@pytest.mark.parametrize("name", _FILES)
def test_samples_are_those_of_the_whole(name, tmp_path, monkeypatch):
  path = tmp_path / "a.wav"
  path.write_bytes(_FILES[name])
  signals, rate, missing = tfspec.decode_wav(_FILES[name], return_missing=True)
  for end in [*_ENDS, 1 << 20]:
    monkeypatch.setattr(wav_file, "_MOST_BYTES", end)
    file = wav_file.WavFile(str(path))
    assert (file.samples, file.channels) == signals.shape
    assert (file.sample_rate_hz, file.missing) == (rate, missing)
    middle = file.samples // 3
    parts = [file.read(0, middle), file.read(middle, file.samples)]
    np.testing.assert_array_equal(np.concatenate(parts), signals)


@pytest.mark.parametrize(
  "name", ["plain", "chunk before", "unknown size", "no size", "rf64"]
)
def test_long_file_is_not_read_as_a_whole(name, tmp_path, monkeypatch):
  path = tmp_path / "a.wav"
  path.write_bytes(_FILES[name])
  monkeypatch.setattr(wav_file, "_MOST_BYTES", 100)
  sizes = []
  read = files.read_bytes
  monkeypatch.setattr(
    files, "read_bytes", lambda *a: sizes.append(a[1]) or read(*a)
  )
  wav_file.WavFile(str(path)).read(10, 30)
  assert sizes == [101, 20 * 4]


def test_refused_file_is_not_read_as_a_whole(tmp_path, monkeypatch):
  path = tmp_path / "a.wav"
  path.write_bytes(b"RIFX" + _FILES["plain"][4:])
  monkeypatch.setattr(wav_file, "_MOST_BYTES", 100)
  monkeypatch.setattr(wav_file, "_read_whole", lambda _: pytest.fail("read"))
  with pytest.raises(tf.errors.InvalidArgumentError, match="start with RIFF"):
    wav_file.WavFile(str(path))


def test_file_that_became_shorter(tmp_path, monkeypatch):
  path = tmp_path / "a.wav"
  path.write_bytes(_FILES["plain"])
  monkeypatch.setattr(wav_file, "_MOST_BYTES", 100)
  file = wav_file.WavFile(str(path))
  path.write_bytes(_FILES["plain"][:1000])
  with pytest.raises(OSError, match="became shorter"):
    file.read(0, 900)


def test_file_too_large_to_be_read_is_refused(tmp_path, monkeypatch):
  path = tmp_path / "a.wav"
  path.write_bytes(_FILES["far data"])
  monkeypatch.setattr(wav_file, "_MOST_BYTES", 100)
  monkeypatch.setattr(files, "size", lambda _: 3 << 30)
  with pytest.raises(tf.errors.InvalidArgumentError, match="Got: 3221225472"):
    wav_file.WavFile(str(path))


def test_errors_are_those_of_the_whole(tmp_path, monkeypatch):
  path = tmp_path / "a.wav"
  path.write_bytes(_FILES["plain"])
  for end in (100, 1 << 20):
    monkeypatch.setattr(wav_file, "_MOST_BYTES", end)
    with pytest.raises(tf.errors.InvalidArgumentError, match="8000 Hz. Got: 1"):
      wav_file.WavFile(str(path), 8000)
    assert wav_file.WavFile(str(path), 16000).samples == 900
