"""Tests of `tools/tpu_check.py`: the goldens in the real TPU compiler."""

import dataclasses
import importlib.util
import re

import pytest
import tensorflow as tf

import tfspec
from tests.paths import ROOT
from tfspec.contract.registry import GOLDENS
from tools import tpu_check, tpu_compiler
from tools.benchmark import suite

# Looked for, not imported: `tpu_compiler` says to jax what it needs before.
pytestmark = pytest.mark.skipif(
  not all(map(importlib.util.find_spec, ("jax", "libtpu"))),
  reason="With Python 3.11: pip install '.[tpu-check]'.",
)


def named(*names):
  return [golden for golden in GOLDENS if golden.name in names]


@pytest.mark.slow
@pytest.mark.parametrize("kind", tpu_check.KINDS)
def test_every_golden_compiles(kind):
  """For one chip forward, and for the other with its gradient."""
  chips = ["v5e", "v6e"]
  if kind != tpu_check.KINDS[0]:
    chips.reverse()
  for i, chip in enumerate(chips):
    assert tpu_check.run(GOLDENS[i::2], [chip], [kind]) == []


def test_goldens_of_the_same_program_are_compiled_once():
  goldens = named("log_kernel", "precision_default", "impulse")
  cases = tpu_check.cases(goldens, "forward")
  assert [case.names for case in cases] == [
    ["log_kernel", "precision_default"],
    ["log_kernel with lengths"],
    ["impulse"],
  ]


def test_what_is_wrong_is_noticed(monkeypatch):
  (case,) = tpu_check.cases(named("psd_kernel"), "forward")
  assert "precision default" in tpu_check.check(case, "v5e")
  config = dataclasses.replace(case.config, precision="highest")
  with pytest.raises(RuntimeError, match="must be highest. Got: default."):
    tpu_check.check(dataclasses.replace(case, config=config), "v5e")
  monkeypatch.setitem(tpu_check.REFUSED, ("kernel", "float32"), ("no", "no."))
  with pytest.raises(RuntimeError, match="psd_kernel.* takes it now"):
    tpu_check.check(case, "v5e")
  (case,) = tpu_check.cases(named("float64_fft"), "forward")
  assert "refused, as expected" in tpu_check.check(case, "v5e")
  monkeypatch.setattr(tpu_check, "REFUSED", {})
  with pytest.raises(RuntimeError, match="says: .*FFT"):
    tpu_check.check(case, "v5e")


def test_a_program_without_its_product_is_noticed():
  (case,) = tpu_check.cases(named("empty_kernel"), "forward")
  assert not case.has_values
  assert "precision of no product" in tpu_check.check(case, "v5e")
  case = dataclasses.replace(case, has_values=True)
  with pytest.raises(RuntimeError, match="default. Got: no product."):
    tpu_check.check(case, "v5e")


def test_dynamic_shapes_are_refused():
  spectrogram = tfspec.Spectrogram(tfspec.SpectrogramConfig())
  spec = tf.TensorSpec([2, None, 1], tf.float32)
  with pytest.raises(ValueError, match="static"):
    tpu_compiler.lower(lambda signals: spectrogram(signals), spec)


def published(form):
  """Returns the megabytes of a form in docs/tpu.md, forward and of a step."""
  sizes = "/".join(map(str, tpu_check._lengths(suite.WORKS[0]).values()))
  row = f"| {form.name} | {sizes} | "
  (text,) = re.findall(
    re.escape(row) + r"(\d+) \|.*\| (\d+) \|",
    (ROOT / "docs/tpu.md").read_text(),
  )
  return [float(megabytes) for megabytes in text]


@pytest.mark.slow
def test_traffic_is_as_published_and_near_the_floor():
  work, chip = suite.WORKS[0], "v5e"
  forms = {form.name: form for form in tpu_check.FORMS}
  ours, keras = forms["tfspec, kernel"], forms["Keras' layer"]
  megabytes = [
    tpu_check.measure(ours, work, kind, chip).bytes_accessed / 1e6
    for kind in tpu_check.KINDS
  ]
  assert megabytes == pytest.approx(published(ours), rel=0.02)
  assert megabytes[0] <= 4 * tpu_check.floor_bytes(work) / 1e6
  theirs = tpu_check.measure(keras, work, "step", chip).bytes_accessed
  assert theirs / 1e6 == pytest.approx(published(keras)[1], rel=0.02)
  assert megabytes[1] <= theirs / 1e6 / 2
  short = forms["tfspec, kernel, mixed_bfloat16"]
  traffic = tpu_check.measure(short, work, "step", chip).bytes_accessed
  assert traffic / 1e6 == pytest.approx(published(short)[1], rel=0.02)
  assert traffic / 1e6 < megabytes[1]
  with pytest.raises(TypeError, match="float16"):
    tpu_check.measure(tpu_check.FORMS[-1], work, "step", chip)
