#!/usr/bin/env bash
# Runs the fast tests under Bazel, without a network.
#
#   bash tools/bazel_test.sh              all targets
#   bash tools/bazel_test.sh //tests:...  the arguments go to `bazel test`
#
# Made for the Bazel 4.2 of Debian and Ubuntu (package bazel-bootstrap).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if ! command -v bazel >/dev/null; then
  echo "Bazel is not installed: on Debian and Ubuntu it is the package bazel-bootstrap." >&2
  exit 1
fi
bash tools/venv.sh test,plot

# The tests run under the Python that comes first on PATH.
export PATH="$PWD/.venv/bin:$PATH"
export TF_CPP_MIN_LOG_LEVEL="${TF_CPP_MIN_LOG_LEVEL:-3}"

overrides=()
for repository in rules_cc rules_java remote_coverage_tools; do
  overrides+=("--override_repository=$repository=$PWD/tools/bazel/$repository")
done
targets=("$@")
if (($# == 0)); then
  targets=(//...)
fi

exec bazel --output_user_root="$PWD/.bazel" --max_idle_secs=60 test \
  "${overrides[@]}" \
  --symlink_prefix=/ \
  --nosandbox_debug \
  --noshow_progress \
  --action_env=PATH \
  --test_env=PATH \
  --test_env=TF_CPP_MIN_LOG_LEVEL \
  --test_output=errors \
  "${targets[@]}"
