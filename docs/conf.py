"""The site of the documents: how Sphinx builds it from the Markdown files. `make docs` does."""

from __future__ import annotations

import re
from importlib.metadata import version as installed_version
from typing import TYPE_CHECKING

from pygments.lexers.special import TextLexer

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "openholder"
release = version = installed_version("openholder")
extensions = ["myst_parser"]
root_doc = "docs/index"
# The source folder is the repository: pages link to documents beside docs/, and Sphinx checks those links too.
include_patterns = ["*.md", "docs/*.md", "plugins/*/README.md", "tests/catalogue/*.md"]
exclude_patterns = ["README.md", "core", "conf", "bench", "requirements", "build", "dist", "site", ".*"]
# The anchors of a forge, so that a link to a heading works in both places.
myst_heading_anchors = 4
html_theme = "furo"
html_title = f"openholder {release}"
html_extra_path = ["site_root"]
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False
templates_path: list[str] = []


def read_navigation(text: str) -> list[tuple[str, list[tuple[str, str]]]]:
    """Read the navigation from the front page: each heading, with the title and path of each page below it."""
    return [
        (heading, re.findall(r"^- \[(.+?)\]\((.+?)\.md\)", pages, re.MULTILINE))
        for heading, pages in re.findall(r"^## ([^\n]+)\n(.+?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    ]


def add_navigation(app: Sphinx, page: str, source: list[str]) -> None:
    """Append the navigation to the front page, as the hidden trees that Sphinx reads."""
    if page == root_doc:
        for heading, pages in read_navigation(source[0]):
            entries = "\n".join(f"{title} <{path}>" for title, path in pages)
            source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {heading}\n\n{entries}\n```\n"


def setup(app: Sphinx) -> None:
    """Register what is added to Sphinx."""
    app.add_lexer("csv", TextLexer)
    app.connect("source-read", add_navigation)
