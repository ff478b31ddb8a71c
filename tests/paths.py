"""Where files lie that tests read."""

import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[1]
SPEECH = ROOT / "tests" / "testdata" / "speech"
