"""Build HTML and SVG with function calls. All text is escaped unless it is `Markup`."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape


class Markup(str):
    """Text that is HTML already and is not escaped again."""

    __slots__ = ()


def tag(name: str, *content: str, **attributes: str) -> Markup:
    """Build an element. Underscores in attribute names become hyphens; write ``class`` as ``class_``."""
    written = "".join(f' {key.strip("_").replace("_", "-")}="{escape(value)}"' for key, value in attributes.items())
    return Markup(f"<{name}{written}>{join(*content)}</{name}>")


def join(*content: str) -> Markup:
    """Concatenate parts, escaping those that are not markup."""
    return Markup("".join(part if isinstance(part, Markup) else escape(part) for part in content))


def tag_code(text: str) -> Markup:
    """Build a ``code`` element that may wrap before each slash."""
    first, *others = text.split("/")
    return tag("code", first, *(part for other in others for part in (Markup("<wbr>"), f"/{other}")))


def tag_table(caption: str, heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Markup:
    """Build a table that scrolls if it is too wide. The first cell of a row is its header."""
    head = tag("tr", *(tag("th", text, scope="col") for text in heads))
    body = (tag("tr", tag("th", first, scope="row"), *(tag("td", cell) for cell in cells)) for first, *cells in rows)
    parts = (tag("caption", caption), tag("thead", head), tag("tbody", *body))
    return tag("div", tag("table", *parts), class_="scroll", tabindex="0", role="region", aria_label=caption)


def tag_definitions(pairs: Sequence[tuple[str, str]], **attributes: str) -> Markup:
    """Build a ``dl`` element of names and values."""
    return tag("dl", *(join(tag("dt", name), tag("dd", value)) for name, value in pairs), **attributes)
