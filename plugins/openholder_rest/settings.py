"""Settings of the REST source, and URL templates that cannot leave the place they were made for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from string import Formatter
from typing import Annotated, Any
from urllib.parse import quote

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field

from openholder import NotFound, Secret, split_url

VARIABLES = frozenset({"customerId", "accountId", "id", "email"})


@dataclass(frozen=True, slots=True)
class Template:
    """A path (and query) below ``base_url`` with variables in braces."""

    text: str
    variables: frozenset[str]

    def url(self, base_url: str, values: Mapping[str, str]) -> str:
        """The URL with each value percent-encoded. Raises `NotFound` rather than leave ``base_url``."""
        filled = {name: quote(values[name], safe="") for name in self.variables}
        path = self.text.format_map(filled)
        # quote("..", safe="") is ".." still, and HTTP clients resolve it.
        if any(segment in {".", ".."} for segment in path.partition("?")[0].split("/")):
            raise NotFound("a value that would lead out of the URL template")
        return base_url.rstrip("/") + path


def _template(text: str) -> Template:
    try:
        parts = list(Formatter().parse(text))
    except ValueError as exc:
        raise ValueError(f"is no URL template: {exc}") from None
    names = frozenset(name for _, name, _, _ in parts if name is not None)
    plain = all(not form and not conversion for _, _, form, conversion in parts)
    if not text.startswith("/") or "#" in text or not plain or not names <= VARIABLES:
        known = ", ".join(f"{{{name}}}" for name in sorted(VARIABLES))
        raise ValueError(f"must begin with / and name no variables but {known}")
    return Template(text, names)


def _single_template(value: Any) -> Any:
    return _template(value) if isinstance(value, str) else value


def _templates(value: Any) -> Any:
    texts = value if isinstance(value, list) else [value]
    return tuple(_template(text) if isinstance(text, str) else text for text in texts)


def _http_url(url: str) -> str:
    if split_url(url).scheme not in {"http", "https"}:
        raise ValueError("must be http or https")
    return url


class RESTSettings(BaseModel):
    """``[sources.X]`` with ``kind = "rest"``."""

    base_url: Annotated[str, AfterValidator(_http_url)]
    collections: dict[str, Annotated[tuple[Template, ...], BeforeValidator(_templates)]] = Field(min_length=1)
    """For each collection one URL template below ``base_url``, or several: the first that can be filled is used."""
    documents: dict[str, Annotated[Template, BeforeValidator(_single_template)]] = {}
    """For a collection whose records have a document, the URL template of that: it answers with the document itself."""
    records: str = ""
    """Where in an answer the records stand: ``data.items``. Empty: the answer itself."""
    columns: dict[str, dict[str, str]] = {}
    """For a collection, the upstream's names of members: ``accountId = "acct_no"``."""
    token: Secret | None = None
    """Sent as ``Authorization: Bearer``."""
    headers: dict[str, Secret] = {}
    """Further headers of every request, such as an API key."""
    connections: int = Field(default=100, ge=1, le=1000)
    connect_timeout: float = Field(default=3.0, gt=0, le=60)
    max_bytes: int = Field(default=8_388_608, ge=1024)
    """The largest answer that is read."""

    def request_headers(self) -> dict[str, str]:
        """What every request to the upstream carries."""
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        headers |= {name: secret.get_secret_value() for name, secret in self.headers.items()}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token.get_secret_value()}"
        return headers
