#!/usr/bin/env bash
# Shows tfspec at work on the voice prompts in tests/testdata/speech: prepares
# a dataset, exports a SavedModel, and verifies that both agree.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bash tools/venv.sh plot
export TF_CPP_MIN_LOG_LEVEL="${TF_CPP_MIN_LOG_LEVEL:-3}"
export PYTHONWARNINGS="${PYTHONWARNINGS:-ignore}"

config="tools/speech.textproto"
prepared="demo_output/prepared"
model="demo_output/models/speech/1"

# Runs tfspec without the lines that TensorFlow logs at import, whatever the
# log level, about oneDNN and missing GPUs.
tfspec() {
  echo "\$ tfspec $*"
  {
    .venv/bin/tfspec "$@" 2>&1 >&3 |
      sed -u -e '/^I0000 /d' -e '/^WARNING: All log messages before absl/d' >&2
  } 3>&1
  echo
}

rm -rf demo_output
tfspec prepare tests/testdata/speech "$prepared" --config "$config"
tfspec export --config "$config" "$model"
tfspec verify "$model"

cat <<END
One config, $config, drove all three steps:
  prepare  turned the voice prompts into TFRecords   $prepared
           what became of each file                  $prepared/manifest.jsonl
           their pictures                            $prepared/contact_sheet.png
  export   wrote a SavedModel for TF Serving         $model
  verify   replayed the model's golden vectors through every route
Look further: .venv/bin/tfspec --help
END
