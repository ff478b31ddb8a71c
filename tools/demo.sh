#!/usr/bin/env bash
# Shows tfspec at work on the voice prompts in tests/testdata/speech: prepares
# a dataset, exports a SavedModel, and verifies that both agree.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bash tools/venv.sh plot

config="tools/speech.textproto"
prepared="demo_output/prepared"
model="demo_output/models/speech/1"

tfspec() {
  echo "\$ tfspec $*"
  .venv/bin/tfspec "$@"
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
