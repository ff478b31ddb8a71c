"""What MkDocs does to the pages: a hook, named in `mkdocs.yml`.

The files of the top folder become pages too. A page links to files as a code
host shows them; the site has no source files, so that a link to one becomes
its path in words.
"""

import os
import pathlib
import re

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

_ROOT = pathlib.Path(__file__).resolve().parents[1]
_TOP = {
  "README.md": "index.md",
  "CONTRIBUTING.md": "contributing.md",
  "SECURITY.md": "security.md",
  "RELEASE.md": "release.md",
}
# A link to a file, or code, in which nothing is a link.
_LINK = re.compile(
  r"(!?)\[([^\]]+)\]\((?!https?:|#)([^)#\s]+)(#[^)]*)?\)"
  r"|```.*?```|`[^`]*`",
  re.DOTALL,
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
  """Adds the files of the top folder."""
  for source, name in _TOP.items():
    files.append(
      File.generated(config, name, content=(_ROOT / source).read_text())
    )
  return files


def on_page_markdown(
  markdown: str, page: Page, config: MkDocsConfig, files: Files
) -> str:
  """Turns links to files into links to pages."""
  top = page.file.src_uri in _TOP.values()
  folder = (
    pathlib.Path() if top else pathlib.Path("docs", page.file.src_uri).parent
  )

  def replace(link: re.Match) -> str:
    image, text, target, anchor = link.groups("")
    if not target:
      return link[0]
    path = os.path.normpath(folder / target)
    name = _TOP.get(path, path.removeprefix("docs/"))
    if files.get_file_from_path(name) is None:
      return f"{text} (`{path}`)"
    here = pathlib.Path(page.file.src_uri).parent
    return f"{image}[{text}]({os.path.relpath(name, here)}{anchor})"

  return _LINK.sub(replace, markdown)
