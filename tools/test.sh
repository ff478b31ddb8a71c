#!/usr/bin/env bash
# Sets up what is needed, then lints and tests tfspec.
#
#   bash tools/test.sh            lint, all tests, and the fast tests under
#                                 the oldest TensorFlow that is supported
#   bash tools/test.sh --fast     lint and the fast tests
#   bash tools/test.sh --oldest   the fast tests under the oldest TensorFlow
#   bash tools/test.sh --nightly  the fast tests under its newest pre-release
#
# Further arguments go to pytest: bash tools/test.sh --fast -k window
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

lane="full"
case "${1:-}" in
  --fast | --oldest | --nightly)
    lane="${1#--}"
    shift
    ;;
esac

export TF_CPP_MIN_LOG_LEVEL="${TF_CPP_MIN_LOG_LEVEL:-3}"

# Slow tests are in several runs, and so in new processes: what TensorFlow keeps
# of all the graphs that it traces and compiles would fill the memory of one.
slow_runs=(
  "tests/contract"
  "tests/ops/engines_test.py"
  "tests/coefficients tests/config tests/layers tests/ops tests/spectrogram
    --ignore=tests/ops/engines_test.py"
  "tests/cli tests/data tests/project tests/storage tests/tools tests/view"
  "tests/export tests/verification"
)
has_path=0
for argument in "$@"; do
  if [[ "$argument" != -* && -e "${argument%%::*}" ]]; then
    has_path=1
  fi
done

# Two tests at a time: most of a test is Python that builds graphs.
# Returns 5, as pytest does, if the arguments select no test.
run_tests() {
  local python="$1" marked="$2" result=5 code run runs=("tests")
  shift 2
  if ((has_path)); then
    runs=("")
  elif [[ "$marked" == "slow" ]]; then
    runs=("${slow_runs[@]}")
  fi
  for run in "${runs[@]}"; do
    code=0
    # Unquoted: the folders of the run, or nothing for none.
    "$python" -m pytest -n 2 --dist worksteal -m "$marked" $run "$@" || code=$?
    if ((code != 0 && code != 5)); then
      result=1
    elif ((code == 0 && result == 5)); then
      result=0
    fi
  done
  return "$result"
}

lint() {
  local clean=0
  .venv/bin/python -m ruff format --check . || {
    echo "Run .venv/bin/ruff format to get the layout right."
    clean=1
  }
  .venv/bin/python -m ruff check . || clean=1
  .venv/bin/python -m mypy || clean=1
  return "$clean"
}

# Runs the fast tests in .venv-oldest or .venv-nightly.
test_other() {
  local other="$1"
  shift
  bash tools/venv.sh test,plot "--$other" || return 1
  local python=".venv-$other/bin/python"
  echo "The fast tests under TensorFlow" \
    "$("$python" -m pip show tensorflow | sed -n 's/^Version: //p'):"
  run_tests "$python" "not slow" "$@"
}

if [[ "$lane" == "oldest" || "$lane" == "nightly" ]]; then
  test_other "$lane" "$@"
  exit
fi

# A failed step does not hide the result of the next one.
status=0
extras="test,plot,tpu-check"
if [[ "$lane" == "full" ]]; then
  extras+=",docs"
fi
bash tools/venv.sh "$extras" || exit 1
lint || status=1
if [[ "$lane" == "fast" ]]; then
  run_tests .venv/bin/python "not slow" "$@" || status=1
else
  selected=0
  for marked in "not slow" "slow"; do
    code=0
    run_tests .venv/bin/python "$marked" "$@" || code=$?
    case "$code" in
      0) selected=1 ;;
      5) ;;  # The arguments select none of these.
      *) selected=1 status=1 ;;
    esac
  done
  ((selected)) || status=1
  if bash tools/venv.sh --find --oldest >/dev/null 2>&1; then
    # 5: the arguments select no test of this lane.
    test_other oldest "$@" || { code=$? && ((code == 5)) || status=1; }
  else
    echo "Not covered here: the oldest TensorFlow, 2.16, which needs Python 3.10 to 3.12."
  fi
fi
if [[ "$lane" == "full" ]] && ! command -v bazel >/dev/null; then
  echo "Not covered here: Bazel, which is not installed."
fi
if ! .venv/bin/python -c "import libtpu" 2>/dev/null; then
  echo "Not covered here: the TPU compiler, which needs Python 3.11."
fi
if ((status)); then
  echo "tools/test.sh: something failed, see above." >&2
fi
exit "$status"
