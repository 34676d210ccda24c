"""Settings of the REST source, and URL templates that cannot leave the place they were made for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from string import Formatter
from typing import Annotated, Any
from urllib.parse import quote

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
)

from openholder import ExistingFile, NotFound, Secret, split_url
from openholder_rest.credentials import Basic, OAuth
from openholder_rest.following import Paging

VARIABLES = frozenset({"customerId", "accountId", "id", "email", "from", "to"})
WAYS = ("token", "basic", "oauth")
"""The credentials of which a source has one at most."""


@dataclass(frozen=True, slots=True)
class Template:
    """A path (and query) below ``base_url`` with variables in braces."""

    text: str
    variables: frozenset[str]

    @property
    def path_variables(self) -> frozenset[str]:
        """The variables in the path. Those of the query string only ask an upstream to select."""
        return _variables(self.text.partition("?")[0])

    def url(self, base_url: str, values: Mapping[str, str]) -> str:
        """The URL with each value percent-encoded. Raises `NotFound` rather than leave ``base_url``."""
        filled = {name: quote(values[name], safe="") for name in self.variables}
        path = self.text.format_map(filled)
        # quote("..", safe="") is ".." still, and HTTP clients resolve it.
        if any(segment in {".", ".."} for segment in path.partition("?")[0].split("/")):
            raise NotFound("a value that would lead out of the URL template")
        return base_url.rstrip("/") + path


def _variables(text: str) -> frozenset[str]:
    return frozenset(name for _, name, _, _ in Formatter().parse(text) if name is not None)


def _template(text: str) -> Template:
    try:
        parts = list(Formatter().parse(text))
    except ValueError as exc:
        raise ValueError(f"is no URL template: {exc}") from None
    names = _variables(text)
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
    basic: Basic | None = None
    oauth: OAuth | None = None
    headers: dict[str, Secret] = {}
    """Further headers of every request, such as an API key."""
    tls_ca: ExistingFile | None = None
    """The authorities that the upstream's certificate is checked against, in place of those of the system."""
    tls_certificate: ExistingFile | None = None
    """The source's own certificate, for upstreams that want one (mTLS), and its key."""
    tls_key: ExistingFile | None = Field(default=None, validate_default=True)
    paging: Paging | None = None
    retries: int = Field(default=1, ge=0, le=5)
    """Further attempts where one fails before there is an answer, or with 502, 503, 504, or 429 with Retry-After."""
    retry_budget: float = Field(default=2.0, ge=0, le=60)
    """Seconds after the first attempt began in which another one may begin."""
    breaker_failures: int = Field(default=5, ge=1, le=1000)
    """Questions that fail in a row before the upstream is left alone."""
    breaker_seconds: float = Field(default=10.0, gt=0, le=3600)
    """For how long it is, before one question is let through as a trial."""
    connections: int = Field(default=100, ge=1, le=1000)
    connect_timeout: float = Field(default=3.0, gt=0, le=60)
    read_timeout: float = Field(default=4.0, gt=0, le=60)
    """Seconds without a byte after which an answer is given up: less than ``timeout``, so that it is a failure."""
    max_bytes: int = Field(default=8_388_608, ge=1024)
    """The largest answer that is read."""

    @field_validator("basic", "oauth")
    @classmethod
    def _only_one(cls, value: Any, info: ValidationInfo) -> Any:
        given = [name for name in WAYS if info.data.get(name) is not None]
        if value is not None and given:
            raise ValueError(f"{given[0]} is given too: a source has one of {', '.join(WAYS)}")
        return value

    @field_validator("headers")
    @classmethod
    def _no_second_authorization(cls, value: dict[str, SecretStr], info: ValidationInfo) -> dict[str, SecretStr]:
        given = [name for name in WAYS if info.data.get(name) is not None]
        if given and any(name.lower() == "authorization" for name in value):
            raise ValueError(f"Authorization is what {given[0]} is sent as")
        return value

    @field_validator("tls_key")
    @classmethod
    def _both_or_neither(cls, value: Any, info: ValidationInfo) -> Any:
        if "tls_certificate" in info.data and (value is None) != (info.data["tls_certificate"] is None):
            raise ValueError("certificate and key go together: give both or neither")
        return value

    @field_validator("tls_ca", "tls_certificate")
    @classmethod
    def _needs_https(cls, value: Any, info: ValidationInfo) -> Any:
        if value is not None and split_url(info.data.get("base_url", "https://a")).scheme != "https":
            raise ValueError("needs a base_url that is https")
        return value

    def request_headers(self) -> dict[str, str]:
        """What every request to the upstream carries besides credentials."""
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        return headers | {name: secret.get_secret_value() for name, secret in self.headers.items()}

    def authorization(self) -> str:
        """The value of ``Authorization`` that never changes, empty where there is none."""
        if self.basic:
            return self.basic.header()
        return f"Bearer {self.token.get_secret_value()}" if self.token else ""
