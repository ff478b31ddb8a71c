"""The site of docs/ is built without warnings and shows all public names."""

import html
import os
import re
import subprocess
import sys

import pytest

import tfspec
from tests.paths import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory):
  pytest.importorskip(
    "mkdocs", reason="MkDocs is not installed: pip install '.[docs]'."
  )
  folder = tmp_path_factory.mktemp("site")
  command = [sys.executable, "-m", "mkdocs", "build", "--strict"]
  result = subprocess.run(
    [*command, "--config-file", ROOT / "mkdocs.yml", "--site-dir", folder],
    capture_output=True,
    check=False,
    cwd=ROOT,
    env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    text=True,
  )
  assert result.returncode == 0, result.stderr
  return folder


def test_reference_has_all_public_names(site):
  pages = "".join(p.read_text() for p in site.glob("api/*/index.html"))
  shown = set(re.findall(r'<h2 id="([^"]+)"', pages))
  public = {f"tfspec.{name}" for name in tfspec.__all__}
  for module in (tfspec.data, tfspec.layers):
    public |= {f"{module.__name__}.{name}" for name in module.__all__}
  # A function of two homes is shown once.
  public -= {"tfspec.data", "tfspec.layers", "tfspec.data.spectrogram_fn"}
  assert shown == public


def test_pages_load_nothing_from_elsewhere(site):
  pages = list(site.rglob("*.html"))
  assert len(pages) > 15
  for page in pages:
    loaded = r'<(?:script|img|link rel="stylesheet")[^>]*(?:src|href)="http'
    assert not re.search(loaded, page.read_text()), page


def test_pages_show_the_top_files(site):
  start = (site / "index.html").read_text()
  assert 'href="serving/"' in start and 'src="speech.png"' in start
  assert "<code>RELEASE.md" not in start and 'href="release/"' in start
  code = re.sub("<[^>]+>", "", start)
  assert 'signatures["wav"](wav_bytes=contents)' in html.unescape(code)
  guide = (site / "migrate_keras/index.html").read_text()
  assert "<code>tests/testdata/speech/LICENSE.md</code>" in guide
