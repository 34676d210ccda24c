"""What a server may read as another path: dot segments and separators, in every spelling that some server decodes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from urllib.parse import unquote

SEPARATORS = frozenset("/\\")
MAX_DECODINGS = 5
"""How often a text is decoded. Nobody escapes more often than that without meaning harm."""
_HARMLESS = re.compile(r"[A-Za-z0-9_~@+:-][A-Za-z0-9._~@+:-]*")
"""A text that has no other spelling. It does not begin with a dot, so it is no part of a dot segment either."""
_IGNORED = re.compile(r"[\x00-\x20\x7f]")
"""Characters that URL parsers remove (WHATWG URL section 4.4)."""


def is_harmless(text: str) -> bool:
    """Tell at a glance whether a text is an ordinary id, which needs no closer look."""
    return _HARMLESS.fullmatch(text) is not None


def has_separator(text: str, allowed: str = "") -> bool:
    """Tell whether a text has ``/`` or a backslash in any spelling, or cannot be decoded. Those in ``allowed`` may be.

    An overlong UTF-8 sequence, such as %C0%AF for the slash, counts as undecodable.
    """
    forbidden = SEPARATORS.difference(allowed)
    return any(forbidden.intersection(spelling) or "\ufffd" in spelling for spelling in _spell_out(text))


def has_dot_segment(path: str) -> bool:
    """Tell whether a path has a segment ``.`` or ``..`` in any spelling, or cannot be decoded.

    What follows a semicolon in a segment is a parameter, which some servers (Tomcat) remove first.
    """
    for spelling in _spell_out(path):
        for segment in spelling.replace("\\", "/").split("/"):
            if _IGNORED.sub("", segment.partition(";")[0]) in {".", ".."} or "\ufffd" in segment:
                return True
    return False


def _spell_out(text: str) -> Iterator[str]:
    """Yield the text, then what it becomes by decoding it until nothing changes.

    Full-width characters count as the ones that they are compatible with (Unicode NFKC). Text that is still escaped
    after `MAX_DECODINGS` ends in the replacement character.
    """
    yield text
    for _ in range(MAX_DECODINGS):
        decoded = unquote(unicodedata.normalize("NFKC", text))
        if decoded == text:
            return
        text = decoded
        yield text
    yield "\ufffd"
