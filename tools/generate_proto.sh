#!/usr/bin/env bash
# Writes tfspec/proto/spectrogram_config_pb2.py anew from its .proto file.
#
# protoc 25.1, pinned by grpcio-tools 1.62.3: its code runs under every
# protobuf from 3.20.3 on, while code of newer compilers refuses older ones.
# It needs packages that tfspec itself does not want, so that it gets a
# virtual environment of its own, which is removed afterwards.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
  echo "$1" >&2
  exit 1
}

proto="tfspec/proto/spectrogram_config.proto"
[[ -f "$proto" ]] || fail "There is no $proto to generate code from."
python="$(bash tools/venv.sh --find --oldest)" || exit 1

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
"$python" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --disable-pip-version-check --no-input \
  "grpcio-tools==1.62.3" "protobuf<5" "setuptools<81" >"$work/pip.log" 2>&1 ||
  fail "The protobuf compiler could not be installed: $(grep -i '^error' "$work/pip.log" | tail -n 1)"
# The path decides the name under which the file registers: tfspec/proto/...
"$work/venv/bin/python" -m grpc_tools.protoc --proto_path=. \
  --python_out="$work" "$proto" ||
  fail "The protobuf compiler rejects $proto: see above."
cp "$work/tfspec/proto/spectrogram_config_pb2.py" tfspec/proto/
echo "Wrote tfspec/proto/spectrogram_config_pb2.py."
