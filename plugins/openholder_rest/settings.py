"""Settings of the REST source."""

from __future__ import annotations

from itertools import cycle
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainValidator,
    PrivateAttr,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from openholder import ExistingFile, HostSettings, Secret, get_host_settings, split_url
from openholder.mapping import MappingSettings, name_table
from openholder_rest.credentials import Basic, OAuth
from openholder_rest.pagination import ListShape, PagingSettings
from openholder_rest.records import OWN_ID
from openholder_rest.responses import Nothing, parse_nothing
from openholder_rest.templates import Template, parse_template, parse_templates

CREDENTIALS = ("token", "basic", "oauth")
"""The settings of which a source has at most one."""


def _check_http_url(url: str) -> str:
    if split_url(url).scheme not in {"http", "https"}:
        raise ValueError("must be an http or https URL")
    return url


def _parse_pointers(value: Any) -> Any:
    """Parse a pointer for all collections, or a table of them, each with one pointer or a list."""
    if isinstance(value, str):
        return {"*": (value,)}
    if not isinstance(value, dict):
        raise ValueError('must be a pointer such as "data.items", or a table of them by collection')
    return {name: (pointers,) if isinstance(pointers, str) else pointers for name, pointers in value.items()}


class RESTSettings(MappingSettings):
    """``[sources.X]`` with ``kind = "rest"``."""

    base_url: Annotated[str, AfterValidator(_check_http_url)]
    collections: dict[str, Annotated[tuple[Template, ...], BeforeValidator(parse_templates)]] = Field(min_length=1)
    """For each collection a URL template below ``base_url``, or several: the first that can be filled is used."""
    documents: dict[str, Annotated[Template, BeforeValidator(parse_template)]] = Field(default={})
    """For a collection whose records have a document, the URL template of the document."""
    records: Annotated[dict[str, tuple[str, ...]], BeforeValidator(_parse_pointers)] = Field(default={})
    """Where the records are in a response: ``data.items``. Empty: the response itself.

    One pointer for all collections; or one for each, or for each of its templates, and ``*`` for the others.
    """
    nothing: Annotated[Nothing, PlainValidator(parse_nothing)] = Nothing()
    """Which responses mean that there is no such record: by default those with status 404."""
    ignored_signs: frozenset[str] = frozenset()
    """Members and headers of responses that look like a total or a next page, and are none."""
    trusts_query: tuple[str, ...] = ()
    """Collections whose records need not repeat what a parameter in the query string selected them by."""
    token: Secret | None = None
    """Sent as ``Authorization: Bearer``."""
    basic: Basic | None = None
    oauth: OAuth | None = None
    headers: dict[str, Secret] = Field(default={})
    """Further headers of every request, such as an API key."""
    tls_ca: ExistingFile | None = None
    """The authorities to check the upstream's certificate against, instead of those of the system."""
    tls_certificate: ExistingFile | None = None
    """The source's own certificate, for upstreams that require one (mTLS), and its key."""
    tls_key: ExistingFile | None = Field(default=None, validate_default=True)
    paging: PagingSettings | None = None
    retries: int = Field(default=1, ge=0, le=5)
    """Further attempts after one that got no response, or status 502, 503, 504, or 429 with Retry-After."""
    retry_budget: float = Field(default=2.0, ge=0, le=60)
    """Seconds after the start of the first attempt in which another one may start."""
    breaker_failures: int = Field(default=5, ge=1, le=1000)
    """Failed queries in a row that open the circuit breaker."""
    breaker_seconds: float = Field(default=10.0, gt=0, le=3600)
    """Seconds that it stays open before one query is let through as a trial."""
    connections: int = Field(default=100, ge=1, le=1000)
    connect_timeout: float = Field(default=3.0, gt=0, le=60)
    """Seconds to connect."""
    read_timeout: float = Field(default=4.0, gt=0, le=60)
    """Seconds without a byte of the response. Less than ``timeout``, so that a silent upstream counts as a failure."""
    max_bytes: int = Field(default=8_388_608, ge=1024)
    """The largest response in bytes."""
    _host: HostSettings = PrivateAttr(default_factory=get_host_settings)

    @model_validator(mode="after")
    def _check_mapped(self) -> Self:
        known = set(map(name_table, self.collections))
        for collection in (*self.columns, *self.mapping):
            if name_table(collection) not in known:
                raise ValueError(f"{collection}, which columns or mapping name, is not one of the source's collections")
        return self

    @field_validator("records")
    @classmethod
    def _check_pointers(cls, value: dict[str, tuple[str, ...]], info: ValidationInfo) -> dict[str, tuple[str, ...]]:
        collections = info.data.get("collections", {})
        for name, pointers in value.items():
            if name not in {*collections, "*"}:
                raise ValueError(f"{name} is not one of the source's collections, and not *")
            if len(pointers) > 1 and len(pointers) != len(collections.get(name, ())):
                raise ValueError(f"{name} has {len(pointers)} pointers: write one for each of its templates, or one")
        return value

    @field_validator("trusts_query")
    @classmethod
    def _check_trust(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        for collection in value:
            if collection in OWN_ID:
                raise ValueError(
                    f"{collection} decides who may see what, so its records must name their owner; remove it"
                )
            if collection not in info.data.get("collections", {}):
                raise ValueError(f"{collection} is not one of the source's collections")
        return value

    @field_validator("basic", "oauth")
    @classmethod
    def _check_only_credentials(cls, value: Any, info: ValidationInfo) -> Any:
        other = _find_credentials(info)
        if value is not None and other:
            raise ValueError(f"conflicts with {other}: set only one of {', '.join(CREDENTIALS)}")
        return value

    @field_validator("headers")
    @classmethod
    def _check_no_authorization(cls, value: dict[str, SecretStr], info: ValidationInfo) -> dict[str, SecretStr]:
        other = _find_credentials(info)
        if other and any(name.lower() == "authorization" for name in value):
            raise ValueError(f"Authorization conflicts with {other}, which is sent in that header: remove one of them")
        return value

    @field_validator("tls_key")
    @classmethod
    def _check_pair(cls, value: Any, info: ValidationInfo) -> Any:
        if "tls_certificate" in info.data and (value is None) != (info.data["tls_certificate"] is None):
            raise ValueError("tls_certificate and tls_key go together: set both or neither")
        return value

    @field_validator("tls_ca", "tls_certificate")
    @classmethod
    def _check_https(cls, value: Any, info: ValidationInfo) -> Any:
        if value is not None and split_url(info.data.get("base_url", "https://a")).scheme != "https":
            raise ValueError("requires an https base_url")
        return value

    @property
    def sends_credentials(self) -> bool:
        """Whether requests carry a secret: a token, a password, or a header such as an API key."""
        return bool(self.token or self.basic or self.oauth or self.headers)

    @property
    def host(self) -> HostSettings:
        """What the configuration says to all sources."""
        return self._host

    def build_shapes(self) -> dict[tuple[str, Template], ListShape]:
        """Return how the upstream returns the lists of each collection's templates."""
        shapes: dict[tuple[str, Template], ListShape] = {}
        for collection, templates in self.collections.items():
            pointers = self.records.get(collection) or self.records.get("*") or ("",)
            paging = self.paging
            if paging and paging.collections and collection not in paging.collections:
                paging = None
            for template, pointer in zip(templates, cycle(pointers), strict=False):
                shape = ListShape(self.base_url, pointer, paging, self.nothing, self.ignored_signs)
                # Of two equal templates the first is used.
                shapes.setdefault((collection, template), shape)
        return shapes

    def build_headers(self) -> dict[str, str]:
        """Return the headers of every request to the upstream, without credentials."""
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        return headers | {name: secret.get_secret_value() for name, secret in self.headers.items()}

    def build_authorization(self) -> str:
        """Return the fixed value of ``Authorization``, empty if there is none."""
        if self.basic:
            return self.basic.build_header()
        return f"Bearer {self.token.get_secret_value()}" if self.token else ""


def _find_credentials(info: ValidationInfo) -> str | None:
    """Return the name of the credentials that were set before this field, if any."""
    return next((name for name in CREDENTIALS if info.data.get(name) is not None), None)
