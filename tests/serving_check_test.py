"""Tests of `tools/serving_check.py`: an export behind gRPC."""

import pytest

pytest.importorskip(
  "tensorflow_serving.apis.predict_pb2",
  reason="pip install --no-deps tensorflow-serving-api",
)

from tools import serving_check


@pytest.mark.slow
def test_good_and_bad_requests_over_grpc():
  found = serving_check.check(requests=400, clients=8)
  assert found["good"] == 360 and found["refused"] == 40
  assert 0 < found["p50_ms"] <= found["p99_ms"]


def test_a_wrong_answer_is_noticed(monkeypatch):
  def wrong(golden, config):
    return original(golden, config) + 0.01

  original = serving_check.goldens.Golden.expected
  monkeypatch.setattr(serving_check.goldens.Golden, "expected", wrong)
  with pytest.raises(RuntimeError, match="the answer must be right"):
    serving_check.check(requests=20, clients=2)
