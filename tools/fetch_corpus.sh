#!/usr/bin/env bash
# Fetches the corpus of the benchmark's work W8: 2,831 voice prompts in five
# languages, WAV files of 8 kHz and 16 bits, from the Asterisk project
# (CC-BY-SA 3.0). They come as Debian packages, which are unpacked and not
# installed; a second start finds them there and is quick.
#
#   bash tools/fetch_corpus.sh DIR
#   python -m tools.benchmark --works W8 --corpus DIR --output benchmark_output
set -euo pipefail

fail() {
  echo "fetch_corpus.sh: $1" >&2
  exit 1
}

(($# == 1)) || fail "the folder to fill must be given, as in: bash tools/fetch_corpus.sh corpus"
folder="$1"
stamp="$folder/fetched"
languages=(en es fr it ru)

if [[ ! -f "$stamp" ]]; then
  for tool in apt-get dpkg; do
    command -v "$tool" >/dev/null ||
      fail "$tool must be there: the corpus comes as Debian packages, so fetch it on Debian or Ubuntu and copy the folder."
  done
  rm -rf "$folder/packages"
  mkdir -p "$folder/packages"
  cd "$folder/packages"
  for language in "${languages[@]}"; do
    package="asterisk-core-sounds-$language-wav"
    echo "Fetching $package ..." >&2
    log="$(apt-get download -q "$package" 2>&1)" ||
      fail "$package could not be fetched ($(tail -n 1 <<<"$log")); if apt does not know it, run: apt-get update"
    dpkg -x "$package"_*.deb .. ||
      fail "$package could not be unpacked: remove $folder and start again."
  done
  cd - >/dev/null
  rm -r "$folder/packages"
  date -u >"$stamp"
fi
echo "$(find "$folder" -name '*.wav' | wc -l) WAV files in $folder"
