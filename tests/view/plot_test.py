"""Tests of `tfspec.view.plot`."""

import dataclasses
import sys

import matplotlib.image
import numpy as np
import pytest
import tensorflow as tf
from matplotlib import figure

import tfspec
from tests import wav_files
from tfspec import config as config_lib
from tfspec.view import plot

_RATE = 8000
_CONFIG = tfspec.SpectrogramConfig(frame_length=64, frame_step=24)
_LAYOUTS = {
  "flat": {},
  "image": {"expand_dims": True},
  "first": {"data_format": "channels_first"},
  "first_image": {"data_format": "channels_first", "expand_dims": True},
}


@pytest.fixture
def drawn(monkeypatch):
  """Returns the figures that are drawn, and keeps them from being saved."""
  figures = []
  monkeypatch.setattr(
    figure.Figure, "savefig", lambda self, *_, **__: figures.append(self)
  )
  monkeypatch.setattr(plot.files, "write_bytes", lambda *_: None)
  return figures


def _noise(samples=1200, channels=1):
  random = np.random.default_rng(samples)
  return (0.1 * random.standard_normal([samples, channels])).astype(np.float32)


def _panel(signals, config=_CONFIG, title="clip", rate=_RATE):
  if config.data_format == "channels_first":
    signals = signals.T
  values = tfspec.Spectrogram(config)(tf.constant(signals)).numpy()
  return plot.Panel(title, values, rate)


def _colours(path, left, right):
  """Returns the colours halfway up a picture, between shares of its width."""
  pixels = matplotlib.image.imread(path)[..., :3]
  height, width, _ = pixels.shape
  rows = slice(height * 2 // 5, height // 2)
  part = pixels[rows, int(left * width) : int(right * width)]
  return np.unique(part.reshape(-1, 3), axis=0)


def _brightest(image):
  """Returns the seconds and hertz of the middle of the brightest pixel."""
  values = np.asarray(image.get_array())
  left, right, bottom, top = image.get_extent()
  row, column = np.unravel_index(np.argmax(values), values.shape)
  assert image.origin == "lower"  # The first row is at the bottom.
  rows, columns = values.shape
  return (
    left + (column + 0.5) * (right - left) / columns,
    bottom + (row + 0.5) * (top - bottom) / rows,
  )


def test_axes_are_seconds_and_hertz(drawn):
  panel = _panel(_noise(8 * 24 + 64))
  plot.contact_sheet([panel], _CONFIG, "unused.png")
  axis = drawn[0].axes[0]
  assert axis.get_xlabel() == "time (seconds)"
  assert axis.get_ylabel() == "frequency (Hz)"
  assert axis.get_title() == "clip"
  assert axis.get_ylim() == (0, 4000)
  # Nine frames of 3 ms around the middle of an 8 ms frame each.
  assert axis.get_xlim() == pytest.approx((0.0025, 0.0295))
  # Bin k of 33 is drawn around k * 125 Hz.
  extent = axis.get_images()[0].get_extent()
  assert extent[2:] == pytest.approx((-62.5, 4062.5))


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("second", [0.03, 0.111, 0.142])
def test_click_is_where_it_sounds(drawn, second, padding):
  config = dataclasses.replace(_CONFIG, padding=padding)
  signals = np.zeros([1200, 1], np.float32)
  signals[round(second * _RATE)] = 1.0
  plot.contact_sheet([_panel(signals, config)], config, "unused.png")
  found, _ = _brightest(drawn[0].axes[0].get_images()[0])
  assert found == pytest.approx(second, abs=24 / _RATE)


@pytest.mark.parametrize("rate", [8000, 44100])
@pytest.mark.parametrize("turn", [0.05, 0.25, 0.45])
def test_tone_is_where_it_sounds(drawn, turn, rate):
  config = dataclasses.replace(_CONFIG, fft_length=512)
  signals = np.sin(2 * np.pi * turn * np.arange(1200, dtype=np.float32))
  panel = _panel(signals[:, np.newaxis], config, rate=rate)
  plot.contact_sheet([panel], config, "unused.png")
  _, found = _brightest(drawn[0].axes[0].get_images()[0])
  assert found == pytest.approx(turn * rate, abs=rate / 512)


def test_tone_is_in_its_band(drawn):
  config = dataclasses.replace(
    _CONFIG,
    mode="power",
    fft_length=512,
    sample_rate_hz=_RATE,
    filter_bank=tfspec.FilterBank(num_bands=9, scale="linear"),
    compression=tfspec.Compression(kind="decibel"),
  )
  # The middle of the band with the number 6 is 7 tenths of half the rate.
  signals = np.sin(2 * np.pi * 0.35 * np.arange(1200, dtype=np.float32))
  plot.contact_sheet(
    [_panel(signals[:, np.newaxis], config)], config, "unused.png"
  )
  axis, bar = drawn[0].axes
  assert axis.get_ylabel() == "peak of the band (Hz)"
  assert axis.get_ylim() == (-0.5, 8.5)
  # The middle of the first one is a tenth of half the rate, up to a bin.
  first = float(axis.get_yticklabels()[0].get_text())
  assert first == pytest.approx(_RATE / 20, abs=_RATE / 512)
  assert bar.get_ylabel() == "level (dB)"
  image = axis.get_images()[0]
  assert _brightest(image)[1] == pytest.approx(6.0)
  low, high = image.get_clim()
  assert high - low == pytest.approx(80.0)


def test_filters_are_drawn_over_their_hertz(drawn):
  config = tfspec.preset("whisper")
  plot.plot_filter_bank(config, "unused.png")
  (axis,) = drawn[0].axes
  lines = axis.get_lines()
  assert len(lines) == 80 and axis.get_xlabel() == "frequency (Hz)"
  weights = config.filter_bank.weights(config)
  for band in (0, 79):
    hertz, drawn_weights = lines[band].get_data()
    np.testing.assert_array_equal(drawn_weights, weights[:, band])
    assert hertz[-1] == 8000.0
  with pytest.raises(ValueError, match="filter_bank must be set"):
    plot.plot_filter_bank(tfspec.SpectrogramConfig(), "unused.png")


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("layout", _LAYOUTS)
@pytest.mark.parametrize("mode", config_lib.MODES)
def test_first_channel_of_every_mode_and_layout(drawn, mode, layout, channels):
  plain = dataclasses.replace(_CONFIG, mode=mode)
  config = dataclasses.replace(plain, **_LAYOUTS[layout])
  signals = _noise(300, channels)
  plot.contact_sheet([_panel(signals, config)], config, "unused.png")
  expected = tfspec.Spectrogram(plain)(signals[:, 0]).numpy().T
  if mode == "stft":
    expected = np.hypot(expected[:33], expected[33:])
  assert expected.shape == (33, 10)
  (image,) = drawn[0].axes[0].get_images()
  np.testing.assert_allclose(image.get_array(), expected, atol=1e-5)


@pytest.mark.parametrize("mode", config_lib.MODES)
def test_colour_scale_is_one_and_fits(drawn, mode):
  config = dataclasses.replace(_CONFIG, mode=mode)
  panels = [_panel(_noise(500) * gain, config) for gain in (1, 0.3, 10)]
  plot.contact_sheet(panels, config, "unused.png")
  images = [image for axis in drawn[0].axes[:3] for image in axis.get_images()]
  assert len(images) == 3
  assert len({image.get_clim() for image in images}) == 1
  low, high = images[0].get_clim()
  values = np.concatenate([np.ravel(image.get_array()) for image in images])
  assert low < high
  # Few values are beyond the scale, and the scale goes little beyond them.
  assert np.mean((values >= low) & (values <= high)) > 0.9
  if mode == "angle":
    assert (low, high) == pytest.approx((-np.pi, np.pi))
  else:
    assert high <= values.max() and low >= min(values.min(), -values.max())


def test_colour_scale_of_log_spans_80_db(drawn):
  panels = [_panel(_noise(500) * gain) for gain in (0, 1, 1000)]
  plot.contact_sheet(panels, _CONFIG, "unused.png")
  low, high = drawn[0].axes[0].get_images()[0].get_clim()
  assert high == pytest.approx(panels[2].values.max())
  assert high - low == pytest.approx(np.log(10**4))
  assert low > panels[0].values.max() + 1


@pytest.mark.parametrize("mode", config_lib.MODES)
def test_every_mode_is_written(mode, tmp_path):
  config = dataclasses.replace(_CONFIG, mode=mode)
  path = tmp_path / "sheet.png"
  plot.contact_sheet([_panel(_noise(), config)], config, path)
  assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
  pixels = matplotlib.image.imread(path)[..., :3]
  assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 100


@pytest.mark.parametrize(
  ("clips", "columns", "rows"), [(1, 1, 1), (3, 3, 1), (4, 3, 2), (12, 3, 4)]
)
def test_size_follows_the_number_of_clips(clips, columns, rows, tmp_path):
  path = tmp_path / "sheet.png"
  panels = [_panel(_noise(200 + i), title=f"{i}") for i in range(clips)]
  plot.contact_sheet(panels, _CONFIG, path)
  height, width, _ = matplotlib.image.imread(path).shape
  assert 350 * columns < width < 700 * columns
  assert 200 * rows < height < 400 * rows
  assert path.stat().st_size < 1 << 20


def test_unused_axes_are_off(drawn):
  panels = [_panel(_noise(200 + i), title=f"{i}") for i in range(4)]
  plot.contact_sheet(panels, _CONFIG, "unused.png")
  axes = drawn[0].axes
  assert [axis.get_title() for axis in axes[:4]] == ["0", "1", "2", "3"]
  assert [axis.axison for axis in axes[:6]] == [True] * 4 + [False] * 2


@pytest.mark.parametrize("mode", config_lib.MODES)
def test_silence_is_drawn(mode, tmp_path):
  config = dataclasses.replace(_CONFIG, mode=mode)
  panel = _panel(np.zeros([500, 1], np.float32), config)
  plot.contact_sheet([panel], config, tmp_path / "sheet.png")
  # Inside the axes there is one colour, which is not that of the paper.
  (colour,) = _colours(tmp_path / "sheet.png", 0.25, 0.5)
  assert tuple(colour) != (1.0, 1.0, 1.0)


def test_infinite_values_do_not_hide_the_others(drawn):
  signals = _noise(500)
  panel = _panel(signals)
  panel.values[2, 5] = np.nan
  panel.values[3, 6] = np.inf
  plot.contact_sheet([panel], _CONFIG, "unused.png")
  low, high = drawn[0].axes[0].get_images()[0].get_clim()
  finite = panel.values[np.isfinite(panel.values)]
  assert (low, high) == pytest.approx((finite.min(), finite.max()))


def test_clip_without_frames_is_drawn_beside_others(tmp_path):
  panels = [_panel(_noise(500)), _panel(_noise(63), title="short")]
  assert panels[1].values.shape == (0, 33)
  plot.contact_sheet(panels, _CONFIG, tmp_path / "sheet.png")
  assert len(_colours(tmp_path / "sheet.png", 0.15, 0.35)) > 20
  (paper,) = _colours(tmp_path / "sheet.png", 0.6, 0.75)
  assert tuple(paper) == (1.0, 1.0, 1.0)


def test_without_matplotlib(monkeypatch, tmp_path):
  for name in [n for n in sys.modules if n.split(".")[0] == "matplotlib"]:
    monkeypatch.setitem(sys.modules, name, None)
  with pytest.raises(ImportError, match=r"Run: pip install '\.\[plot\]' in a"):
    plot.contact_sheet([_panel(_noise())], _CONFIG, tmp_path / "sheet.png")
  assert not list(tmp_path.iterdir())


def _write_wav(path, samples, channels=1):
  fmt = wav_files.fmt(wav_files.FLOAT, channels, _RATE, bits=32)
  data = wav_files.chunk(b"data", _noise(samples, channels).tobytes())
  path.write_bytes(wav_files.riff([fmt, data]))


@pytest.mark.parametrize("layout", ["flat", "first_image"])
def test_files_are_drawn_whole(drawn, layout, tmp_path):
  config = dataclasses.replace(_CONFIG, **_LAYOUTS[layout])
  path = tmp_path / "a.wav"
  _write_wav(path, 1000, channels=2)
  assert not plot.plot([path, str(path)], config, tmp_path / "sheet.png")
  expected = tfspec.Spectrogram(_CONFIG)(_noise(1000, 2)[:, 0]).numpy().T
  for axis in drawn[0].axes[:2]:
    assert axis.get_title() == str(path)
    (image,) = axis.get_images()
    np.testing.assert_allclose(image.get_array(), expected, atol=1e-5)


@pytest.mark.parametrize(
  ("limit", "value", "samples"),
  [
    ("_MOST_BYTES", 2000, 489),
    ("_MOST_VALUES", 33 * 10, 10 * 24 + 64),
    ("_MOST_VALUES_OF_ALL", 33 * 20, 10 * 24 + 64),
  ],
)
def test_only_the_beginning_of_a_long_file_is_drawn(
  drawn, limit, value, samples, tmp_path, monkeypatch
):
  monkeypatch.setattr(plot, limit, value)
  path = tmp_path / "a.wav"
  _write_wav(path, 16000)
  told = f"first {samples / _RATE:.1f} s of 2.0 s"
  notes = plot.plot([path, path], _CONFIG, tmp_path / "sheet.png")
  assert notes == [f"{path}: the {told} are drawn."] * 2
  assert drawn[0].axes[0].get_title() == f"{path} ({told})"
  expected = tfspec.Spectrogram(_CONFIG)(_noise(16000)[:samples, 0]).numpy().T
  (image,) = drawn[0].axes[0].get_images()
  np.testing.assert_allclose(image.get_array(), expected, atol=1e-5)


def test_file_that_is_cut_short_is_drawn_and_told(drawn, tmp_path):
  path = tmp_path / "a.wav"
  _write_wav(path, 1000)
  path.write_bytes(path.read_bytes()[:-400])
  assert plot.plot([path], _CONFIG, tmp_path / "sheet.png") == [
    f"{path} is cut short: it has 900 samples, and its header promises 100 "
    "more."
  ]
  assert drawn


def test_picture_that_cannot_be_written_is_refused_at_once(
  tmp_path, monkeypatch
):
  monkeypatch.setattr(plot, "_read", lambda *_: pytest.fail("worked"))
  for output, error in (
    ("none/sheet.png", NotADirectoryError),
    ("sheet.xyz", ValueError),
    (".", IsADirectoryError),
  ):
    with pytest.raises(error, match="output must "):
      plot.plot(["a.wav"], _CONFIG, tmp_path / output)
