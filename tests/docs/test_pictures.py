"""The pictures of the documents: small, readable in light and dark, and nothing but pictures."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "docs/pictures"
SVG = "{http://www.w3.org/2000/svg}"
DRAWINGS = sorted(PICTURES.glob("*.svg"))
PAGES = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")))


@pytest.mark.parametrize("path", DRAWINGS, ids=lambda path: path.name)
def test_a_drawing_can_be_read_by_everybody(path):
    """In the dark, on a phone, and by a screen reader."""
    text = path.read_text(encoding="utf-8")
    drawing = ElementTree.fromstring(text)
    assert all(drawing.find(f"{SVG}{name}").text.strip() for name in ("title", "desc"))
    assert drawing.get("role") == "img"
    light, _, dark = text.partition("@media (prefers-color-scheme: dark)")
    drawn = {word for one in drawing.iter() for word in one.get("class", "").split()}
    coloured = {"page", "band", "house", "box", "plugin", "line", "life", "tip", "small", "bad", "over"} & drawn
    assert [name for name in coloured if f".{name} {{" not in light or f".{name} {{" not in dark] == []
    # On a phone of 390 pixels the page is 358 wide: the smallest text has at least 8 of them.
    width = float(drawing.get("viewBox").split()[2])
    sizes = [float(size) for size in re.findall(r"([0-9.]+)px(?: ui-monospace|; \}| \})", text)]
    assert sizes
    assert min(sizes) * 358 / width >= 8


@pytest.mark.parametrize("path", DRAWINGS, ids=lambda path: path.name)
def test_a_drawing_loads_and_runs_nothing(path):
    drawing = ElementTree.fromstring(path.read_text(encoding="utf-8"))
    names = {one.tag.removeprefix(SVG) for one in drawing.iter()}
    assert names <= {"svg", "title", "desc", "style", "defs", "marker", "path", "rect", "text"}
    assert [value for one in drawing.iter() for value in one.attrib.values() if "//" in value] == []


@pytest.mark.parametrize("name", ["console.png", "report.png", "stand-in.png"])
def test_a_screenshot_is_small_and_wide_enough(name):
    content = (PICTURES / name).read_bytes()
    width, _ = struct.unpack(">II", content[16:24])
    assert (content[:8], 900 <= width <= 1300, len(content) < 250_000) == (b"\x89PNG\r\n\x1a\n", True, True)


def test_every_picture_is_shown_somewhere():
    """A picture that no page shows is one that nobody looks at when it has become wrong."""
    files = {path.name for path in PICTURES.iterdir() if path.suffix != ".py" and path.is_file()}
    assert {name for name in files if not re.search(rf'pictures/{name}[)"]', PAGES)} == set()
