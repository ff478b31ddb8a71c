"""Tests of `tools/train_example.py`: from WAV files to a served model."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.paths import SPEECH
from tools import prompts, train_example, trained_kernels


def test_clips_and_their_split():
  clips = prompts.load(SPEECH, shortest=200)[0]
  # Three of each language, but for the Russian is.wav, which is empty.
  assert np.bincount(clips.labels).tolist() == [3, 3, 3, 3, 2]
  for i, file in enumerate(clips.files):
    assert file.split("/")[-2] == prompts.LANGUAGES[clips.labels[i]]
    assert not clips.signals[i, clips.lengths[i] :].any()
  training, held_out = prompts.split(clips, seed=1)
  assert np.bincount(held_out.labels).tolist() == [1] * 5
  assert sorted([*training.files, *held_out.files]) == sorted(clips.files)
  again = prompts.split(clips, seed=1)
  assert again[1].files.tolist() == held_out.files.tolist()
  others = [prompts.split(clips, seed)[1].files for seed in range(2, 6)]
  assert any(other.tolist() != held_out.files.tolist() for other in others)


def test_front_end_of_bands():
  layer = train_example.front_end("log_mel")
  assert layer.spectrogram_config.num_features == 40
  # The same floor, of power.
  log = train_example.front_end().spectrogram_config
  bands = layer.spectrogram_config
  assert bands.silence == pytest.approx(2 * log.silence)


def test_what_pads_a_clip_does_not_matter():
  keras.utils.set_random_seed(1)
  model = train_example.make_model()
  clip = prompts.load(SPEECH, shortest=200)[0].signals[:1, :5003]
  lengths = np.array([5003], np.int32)
  expected = model({"signals": clip, "lengths": lengths})
  for value, samples in ((0.0, 6000), (0.5, 9001)):
    padded = np.full([1, samples, 1], value, np.float32)
    padded[:, :5003] = clip
    actual = model({"signals": padded, "lengths": lengths})
    np.testing.assert_allclose(actual, expected, atol=1e-6)
  none = model({"signals": clip[:, :0], "lengths": 0 * lengths})
  assert np.isfinite(none).all()


def test_what_a_bin_hears_far_from_its_frequency():
  kernels = trained_kernels.kernels_of(train_example.front_end())
  assert trained_kernels.heard_far(kernels) < -80
  kernels[:, 10] += 0.01 * kernels[:, 90]
  found = trained_kernels.heard_far(kernels)
  assert found == pytest.approx(-40, abs=0.1)


@pytest.mark.slow
def test_the_whole_way(tmp_path, capsys):
  output = tmp_path / "trained"
  found = train_example.run(SPEECH, output, seeds=[1], epochs=2, rate=1e-4)
  assert found["verified"]
  assert found["difference"] is None or found["difference"] <= 1e-4
  assert 1e-4 < found["moved"] < 0.1
  printed = capsys.readouterr().out
  assert "no g++" in printed or "C++ loader answers as Keras does" in printed
  assert "All routes agree." in printed
  table = (output / "accuracy.md").read_text()
  assert table in printed and " of 5; " in table
  assert (output / "kernels.png").read_bytes()[1:4] == b"PNG"
  signatures = tf.saved_model.load(str(output / "models/language/1")).signatures
  contents = (SPEECH / "fr" / "queue-thankyou.wav").read_bytes()
  served = signatures["wav"](wav_bytes=[contents])
  best = int(np.argmax(served["probabilities"]))
  assert served["language"].numpy()[0].decode() == prompts.LANGUAGES[best]
  model = keras.saving.load_model(output / "model.keras", compile=False)
  trained = trained_kernels.kernels_of(model.get_layer("spectrogram"))
  fourier = trained_kernels.kernels_of(train_example.front_end())
  moved = trained_kernels.relative_change(fourier, trained)
  assert np.max(moved) == pytest.approx(found["moved"])


def test_a_wrong_answer_is_noticed(monkeypatch, tmp_path):
  model = train_example.served_model(train_example.make_model())
  wrong = {"probabilities": np.full([1, 5], 0.9), "language": [b"en"]}
  monkeypatch.setattr(train_example.cpp_loader, "build", lambda path: None)
  monkeypatch.setattr(train_example.cpp_loader, "run", lambda *_: [wrong])
  with pytest.raises(RuntimeError, match="must answer as Keras does"):
    train_example.check_answers(
      model, tmp_path, [str(SPEECH / "fr" / "queue-thankyou.wav")]
    )
