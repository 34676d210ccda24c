"""URL templates, whose values cannot lead to another path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from string import Formatter
from typing import Any
from urllib.parse import quote

from openholder import NotFound
from openholder_rest.paths import has_dot_segment, has_separator, is_harmless

VARIABLES = frozenset({"customerId", "accountId", "id", "email", "from", "to"})


@dataclass(frozen=True, slots=True)
class Template:
    """A path (and query string) below ``base_url`` with variables in braces."""

    text: str
    variables: frozenset[str]
    path_variables: frozenset[str]
    """The variables in the path. Those in the query string only ask an upstream to filter."""

    def build_url(self, base_url: str, values: Mapping[str, str], id_characters: str = "") -> str:
        """Return the URL with each value percent-encoded.

        A value in the path has no slash or backslash in any spelling, unless ``id_characters`` allows it, and never
        adds a dot segment. Percent-encoding alone does not help: many proxies decode a path, and then resolve it.

        Raises:
            NotFound: A value is no id, or no e-mail address. There is no such record.
        """
        used = {name: values[name] for name in self.variables}
        if "email" in used and not _is_address(used["email"]):
            raise NotFound("the address does not have exactly one @, or it has a slash")
        in_path = [used[name] for name in self.path_variables]
        if not all(map(is_harmless, in_path)):
            path = self.text.partition("?")[0].format_map(used)
            if any(not value or has_separator(value, id_characters) for value in in_path) or has_dot_segment(path):
                raise NotFound("the value of a template variable would lead to another path")
        encoded = {name: quote(value, safe="") for name, value in used.items()}
        return base_url.rstrip("/") + self.text.format_map(encoded)


def _is_address(text: str) -> bool:
    return text.count("@") == 1 and "/" not in text and "\\" not in text


def _find_variables(text: str) -> frozenset[str]:
    return frozenset(name for _, name, _, _ in Formatter().parse(text) if name is not None)


def parse_template(value: Any) -> Any:
    """Parse a text as a template. Raises `ValueError`; pydantic itself refuses other types."""
    if not isinstance(value, str):
        return value
    try:
        parts = list(Formatter().parse(value))
    except ValueError as exc:
        raise ValueError(f"is not a URL template: {exc}") from None
    names = _find_variables(value)
    is_plain = all(not form and not conversion for _, _, form, conversion in parts)
    if not value.startswith("/") or "#" in value or not is_plain or not names <= VARIABLES:
        known = ", ".join(f"{{{name}}}" for name in sorted(VARIABLES))
        raise ValueError(f"must begin with /, without #, and use only the variables {known}")
    path = value.partition("?")[0]
    if has_dot_segment(path.format_map(dict.fromkeys(names, "x"))):
        raise ValueError("must not have a segment . or .. in its path")
    return Template(value, names, _find_variables(path))


def parse_templates(value: Any) -> Any:
    """Parse one text, or a list of them, as templates."""
    return tuple(parse_template(each) for each in (value if isinstance(value, list) else [value]))
