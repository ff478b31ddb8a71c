#!/usr/bin/env bash
# Sets up the project's virtual environment; quick when nothing has changed.
#
#   bash tools/venv.sh EXTRAS            .venv, with the extras (say test,plot)
#   bash tools/venv.sh EXTRAS --oldest   .venv-oldest, with TensorFlow 2.16
#   bash tools/venv.sh EXTRAS --nightly  .venv-nightly, with the newest
#                                        pre-release of TensorFlow, once a day
#   bash tools/venv.sh --find [--oldest] only prints the Python it would use
#
# PYTHON=... in the environment names the Python to use.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

fail() {
  echo "$1" >&2
  exit 1
}

extras=""
find_only=0
oldest=0
nightly=0
for argument in "$@"; do
  case "$argument" in
    --find) find_only=1 ;;
    --oldest) oldest=1 ;;
    --nightly) nightly=1 ;;
    -*) fail "venv.sh does not know the option $argument." ;;
    *) extras="$argument" ;;
  esac
done

# The last TensorFlow 2.16 came before Python 3.13, and before protobuf 5.
if ((oldest)); then
  venv="$root/.venv-oldest"
  newest_minor=12
  requirements=("tensorflow==2.16.*" "grpcio-tools==1.62.3" "setuptools<81")
else
  venv="$root/.venv"
  newest_minor=13
  requirements=()
fi
# A version that is a pre-release itself lets pip take others.
if ((nightly)); then
  venv="$root/.venv-nightly"
  requirements=("--upgrade" "tensorflow>=2.16rc0")
fi

# Prints MAJOR.MINOR of a Python, its range, and whether it can make a
# virtual environment: "3.11 fits venv". Fails if it does not run.
describe() {
  "$1" - "$newest_minor" 2>/dev/null <<'PYTHON'
import sys

version = sys.version_info[:2]
fits = (3, 10) <= version <= (3, int(sys.argv[1]))
try:
  import ensurepip
  import venv
  complete = True
except ImportError:
  complete = False
print("%d.%d %s %s" % (
  version + ("fits" if fits else "other", "venv" if complete else "bare")
))
PYTHON
}

# Prints the first Python that fits and can make a virtual environment.
find_python() {
  local candidate description bare="" minor
  local candidates=(python3)
  for ((minor = newest_minor; minor >= 10; minor--)); do
    candidates+=("python3.$minor")
  done
  if [[ -n "${PYTHON:-}" ]]; then
    description="$(describe "$PYTHON")" || description=""
    case "$description" in
      *" fits venv")
        command -v "$PYTHON"
        return
        ;;
      *" fits bare") bare="$PYTHON" ;;
      *)
        if ! ((oldest)); then
          [[ -n "$description" ]] || fail "PYTHON=$PYTHON does not run: tfspec needs Python 3.10 to 3.13."
          fail "PYTHON=$PYTHON is Python ${description%% *}: tfspec needs Python 3.10 to 3.13."
        fi
        ;;
    esac
    # The second lane may look further: PYTHON is about the first one.
    if ! ((oldest)); then
      candidates=()
    fi
  fi
  for candidate in ${candidates[@]+"${candidates[@]}"}; do
    description="$(describe "$candidate")" || continue
    case "$description" in
      *" fits venv")
        command -v "$candidate"
        return
        ;;
      *" fits bare") bare="${bare:-$candidate}" ;;
    esac
  done
  if [[ -n "$bare" ]]; then
    fail "$bare has no complete venv module: install it (on Debian and Ubuntu the package python3-venv), or name another Python 3.10 to 3.$newest_minor with PYTHON=..."
  fi
  fail "tfspec needs Python 3.10 to 3.$newest_minor here, and found none: install one, or name it with PYTHON=..."
}

if ((find_only)); then
  find_python
  exit
fi
[[ -n "$extras" ]] || fail "Usage: bash tools/venv.sh EXTRAS [--oldest|--nightly]"

# An environment that works stays, unless PYTHON asks for another version.
python="$venv/bin/python"
version=""
if [[ -x "$python" ]]; then
  version="$(describe "$python")" || version=""
  [[ "$version" == *" fits "* ]] || version=""
  version="${version%% *}"
  if [[ -n "$version" && -n "${PYTHON:-}" ]] && ! ((oldest)); then
    found="$(find_python)"
    [[ "$(describe "$found")" == "$version "* ]] || version=""
  fi
fi

# What is installed: a line for the project and one for the extras.
stamp="$venv/tfspec-stamp"
state() {
  local day=""
  ((nightly)) && day=" $(date +%F)"
  echo "$version $root ${requirements[*]-} $(cksum <"$root/setup.py")$day"
}
installed_state=""
installed_extras=""
if [[ -n "$version" && -f "$stamp" ]]; then
  {
    read -r installed_state || true
    read -r installed_extras || true
  } <"$stamp"
  if [[ "$installed_state" == "$(state)" ]]; then
    missing=0
    for extra in ${extras//,/ }; do
      [[ ",$installed_extras," == *",$extra,"* ]] || missing=1
    done
    ((missing)) || exit 0
  fi
fi

if [[ -n "$version" ]] && ! "$python" -m pip --version >/dev/null 2>&1; then
  version=""
fi
if [[ -z "$version" ]]; then
  base="$(find_python)"
  if [[ -e "$venv" && ! -e "$venv/pyvenv.cfg" ]]; then
    fail "$venv is in the way and is no virtual environment: move it aside and start again."
  fi
  echo "Making ${venv##*/} with $base ..." >&2
  output="$("$base" -m venv --clear "$venv" 2>&1)" ||
    fail "$base could not make ${venv##*/}: $(tail -n 1 <<<"$output")"
  version="$(describe "$python")"
  version="${version%% *}"
  installed_extras=""
fi

# What was asked for before stays: the demo must not undo the tests.
wanted="$extras"
for extra in ${installed_extras//,/ }; do
  [[ ",$wanted," == *",$extra,"* ]] || wanted="$wanted,$extra"
done
rm -f "$stamp"
log="$venv/pip.log"
echo "Installing tfspec[$wanted] into ${venv##*/}: some minutes the first time ..." >&2
if ! (
  cd "$root"
  "$python" -m pip install --disable-pip-version-check --no-input \
    --use-pep517 --config-settings editable_mode=compat -e ".[$wanted]" ${requirements[@]+"${requirements[@]}"} || exit 1
  # The messages of TF Serving; their package asks for another TensorFlow.
  if [[ ",$wanted," == *",test,"* ]] && ! ((oldest)); then
    "$python" -m pip install --disable-pip-version-check --no-input \
      --no-deps tensorflow-serving-api
  fi
) >"$log" 2>&1; then
  reason="$(grep -iE '^ *(error|ERROR):' "$log" | grep -v 'subprocess-exited' |
    tail -n 1 | sed 's/^ *//')" || true
  fail "The packages that tfspec needs could not be installed (log: ${venv##*/}/pip.log): ${reason:-$(tail -n 1 "$log")}"
fi
{
  state
  echo "$wanted"
} >"$stamp"
