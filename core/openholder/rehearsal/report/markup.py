"""HTML and SVG as function calls: whatever is not markup already is escaped, so nothing can be forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape


class Markup(str):
    """Text that is HTML."""

    __slots__ = ()


def tag(name: str, *content: str, **attributes: str) -> Markup:
    """An element. Underscores of attribute names stand for hyphens; ``class`` is written ``class_``."""
    named = "".join(f' {key.strip("_").replace("_", "-")}="{escape(value)}"' for key, value in attributes.items())
    return Markup(f"<{name}{named}>{joined(*content)}</{name}>")


def joined(*content: str) -> Markup:
    """Several parts, one after the other."""
    return Markup("".join(part if isinstance(part, Markup) else escape(part) for part in content))


def code(words: str) -> Markup:
    """A route or a name, which may be broken before a slash."""
    first, *others = words.split("/")
    return tag("code", first, *(part for other in others for part in (Markup("<wbr>"), f"/{other}")))


def table(caption: str, heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Markup:
    """A table that scrolls by itself where it is too wide. The first cell of a row is its header."""
    head = tag("tr", *(tag("th", words, scope="col") for words in heads))
    body = (tag("tr", tag("th", first, scope="row"), *(tag("td", cell) for cell in cells)) for first, *cells in rows)
    parts = (tag("caption", caption), tag("thead", head), tag("tbody", *body))
    return tag("div", tag("table", *parts), class_="scroll", tabindex="0", role="region", aria_label=caption)
