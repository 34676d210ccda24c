"""The site of the documents: complete, readable without a network, and searchable."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MISSING = [name for name in ("sphinx", "furo", "myst_parser") if not find_spec(name)]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.subprocess,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}; `make docs` installs it"),
]
ASSETS = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "audio": "src"}
"""The attribute by which an element loads something. A link that a reader follows is no asset."""


def build(folder, source=ROOT):
    """Build the site as `make docs` does, into a folder."""
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-E", "-b", "html", "-c"]
    return subprocess.run(
        [*command, str(source / "docs"), str(source), str(folder)], capture_output=True, text=True, timeout=100
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    built = build(folder)
    assert (built.returncode, built.stderr) == (0, "")
    return folder


class AssetReader(HTMLParser):
    """Collects the URLs that a browser loads to show a page."""

    def __init__(self):
        super().__init__()
        self.urls = []

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        if tag == "link" and found.get("rel") not in {"index", "search", "next", "prev", "canonical"}:
            self.urls.append(found["href"])
        if tag in ASSETS and found.get(ASSETS[tag]):
            self.urls.append(found[ASSETS[tag]])


def list_pages(site):
    return [path for path in site.rglob("*.html") if "_static" not in path.parts]


def test_pages_load_nothing_from_elsewhere(site):
    pages = list_pages(site)
    assert len(pages) > 10
    for page in pages:
        reader = AssetReader()
        reader.feed(page.read_text(encoding="utf-8"))
        for url in reader.urls:
            assert not re.match(r"(https?:)?//", url), (page.name, url)
            assert (page.parent / url.partition("?")[0]).resolve().is_file(), (page.name, url)


def test_style_sheets_load_nothing_from_elsewhere(site):
    for sheet in site.rglob("*.css"):
        text = sheet.read_text(encoding="utf-8")
        assert "@import" not in text
        assert [url for url in re.findall(r"url\(\s*['\"]?([^)]{0,40})", text) if re.match(r"(https?:)?//", url)] == []


def test_scripts_name_no_address_that_they_could_load(site):
    """Comments and the name of SVG are not addresses that a browser loads."""
    for script in site.rglob("*.js"):
        text = re.sub(r"^\s*(//|\*|/\*).*$", "", script.read_text(encoding="utf-8"), flags=re.MULTILINE)
        assert set(re.findall(r"[\"'](?:https?:)?//[\w.-]+", text)) <= {'"http://www.w3.org'}, script.name


def test_pages_fit_a_phone(site):
    for page in list_pages(site):
        if page.parent != site or page.name != "index.html":
            assert '<meta name="viewport" content="width=device-width' in page.read_text(encoding="utf-8"), page


def test_the_search_finds_words_of_the_pages(site):
    text = (site / "searchindex.js").read_text(encoding="utf-8")
    index = json.loads(re.fullmatch(r"Search\.setIndex\((.*)\)", text, re.DOTALL)[1])
    assert {"docs/configuration", "docs/security", "CHANGELOG"} <= set(index["docnames"])
    assert {"docs/configuration"} <= {index["docnames"][number] for number in index["terms"]["known_key"]}


def test_the_navigation_has_the_kinds_of_pages(site):
    text = (site / "docs/index.html").read_text(encoding="utf-8")
    captions = re.findall(r'<span class="caption-text">(.+?)</span>', text)
    assert captions == ["Tutorial", "How-to", "Reference", "Explanation", "Project"]


def test_the_first_page_leads_to_the_documents(site):
    assert 'content="0; url=docs/index.html"' in (site / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("page", "told"),
    [
        ("# A\n\n[b](nowhere.md)\n", "'nowhere.md'"),
        ("# A\n\n[b](#nowhere)\n", "'nowhere'"),
        ("# A\n\n[b](index.md#nowhere)\n", "'nowhere'"),
        ("# A\n", "lost.md: WARNING: document isn't included in any toctree"),
    ],
)
def test_a_bad_page_fails_the_build(tmp_path, page, told):
    docs = tmp_path / "source/docs"
    (docs / "site_root").mkdir(parents=True)
    (docs / "conf.py").write_bytes((ROOT / "docs/conf.py").read_bytes())
    listed = "## How-to\n\n- [Lost](lost.md): a page\n" if "[b]" in page else ""
    (docs / "index.md").write_text(f"# Index\n\n{listed}")
    (docs / "lost.md").write_text(page)
    built = build(tmp_path / "site", tmp_path / "source")
    assert built.returncode != 0
    assert told in built.stderr
