"""Filter banks against TensorFlow's, against the oracle, and by their shape."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

import tfspec
from tfspec.coefficients import filter_banks
from tfspec.contract import oracle

_SIZES = [(512, 16000, 40, 20.0, 7600.0), (1024, 22050, 128, 0.0, 11025.0)]


@pytest.mark.parametrize("size", _SIZES)
def test_is_that_of_tf_signal(size):
  fft_length, rate, bands, low_hz, high_hz = size
  theirs = tf.signal.linear_to_mel_weight_matrix(
    bands, fft_length // 2 + 1, rate, low_hz, high_hz, tf.float64
  )
  ours = tfspec.mel_filter_bank(
    fft_length, rate, bands, "htk", "scale", None, low_hz, high_hz
  )
  np.testing.assert_allclose(ours, theirs, atol=1e-11)


@pytest.mark.parametrize("size", _SIZES)
@pytest.mark.parametrize(
  ("scale", "slopes", "norm"),
  list(
    itertools.product(
      *(filter_banks.CHOICES[name] for name in ("scale", "slopes", "norm"))
    )
  ),
)
def test_is_that_of_the_oracle(size, scale, slopes, norm):
  fft_length, rate, bands, low_hz, high_hz = size
  ours = tfspec.mel_filter_bank(
    fft_length, rate, bands, scale, slopes, norm, low_hz, high_hz, first_bin=2
  )
  fields = dict(
    num_bands=bands,
    scale=f"SCALE_{scale.upper()}",
    slopes=f"SLOPES_{slopes.upper()}",
    norm=f"NORM_{norm or 'none'}".upper(),
    low_hz=low_hz,
    high_hz=high_hz,
    first_bin=2,
  )
  expected = oracle.bank(fields, fft_length, rate)
  np.testing.assert_allclose(ours, expected, atol=1e-10)
  assert not ours[:2].any() and ours.any()


@pytest.mark.parametrize(
  ("arguments", "parts"),
  [
    (dict(scale="mel"), ["scale must be one of", "'mel'"]),
    (dict(slopes="mel"), ["slopes must be one of"]),
    (dict(norm="l2"), ["norm must be one of", "'l2'"]),
    (dict(num_bands=0), ["num_bands must be in [1,", "=0"]),
    (dict(low_hz=-1), ["low_hz must be at least 0", "low_hz=-1"]),
    (dict(low_hz=300, high_hz=300), ["less than high_hz", "high_hz=300"]),
    (dict(high_hz=8001), ["at most sample_rate_hz / 2", "rate_hz=16000"]),
  ],
)
def test_bad_argument_is_named(arguments, parts):
  with pytest.raises(ValueError) as caught:
    tfspec.mel_filter_bank(512, 16000, **arguments)
  for part in parts:
    assert part in str(caught.value)


def test_half_of_the_rate_is_the_default_edge():
  one = tfspec.mel_filter_bank(512, 16000, 40)
  np.testing.assert_array_equal(
    one, tfspec.mel_filter_bank(512, 16000, 40, high_hz=8000.0)
  )


def test_slaney_norm_gives_every_filter_the_same_area():
  bank = tfspec.mel_filter_bank(1 << 14, 16000, 30, norm="slaney")
  areas = np.sum(bank, axis=0) * 16000 / (1 << 14)
  np.testing.assert_allclose(areas, 1.0, rtol=1e-3)


def test_triangles_without_norm_add_up_to_one_between_the_middles():
  bank = tfspec.mel_filter_bank(512, 16000, 20, "linear")
  # The middles of the first and the last band.
  low, high = 8000 / 21, 8000 * 20 / 21
  hertz = np.arange(257) * 31.25
  inside = (low <= hertz) & (hertz <= high)
  np.testing.assert_allclose(np.sum(bank, axis=1)[inside], 1.0)


def test_a_table_is_the_matrix_again():
  bank = tfspec.mel_filter_bank(128, 16000, 30)  # Some filters are empty.
  assert not np.all(bank.any(axis=0))
  table = filter_banks.to_table(bank)
  assert len(table) == 30 and sum(len(w) for _, w in table) < 130
  np.testing.assert_array_equal(filter_banks.of_table(table, 65), bank)


def test_bins_that_no_filter_uses():
  bank = tfspec.mel_filter_bank(512, 16000, 10, low_hz=300, high_hz=4000)
  first, last = filter_banks.used_bins(bank)
  assert bank[first].any() and bank[last - 1].any()
  assert not bank[:first].any() and not bank[last:].any()
  assert (first, last) == (10, 128)
  assert filter_banks.used_bins(np.zeros([9, 3])) == (0, 1)
