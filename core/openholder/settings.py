"""The settings: one class per table of the file. Unknown keys are mistakes, and no message repeats a value."""

from __future__ import annotations

import re
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    IPvAnyNetwork,
    SecretStr,
    model_validator,
)

from openholder.contract.open_members import split_open_member
from openholder.errors import UntrustedJSON
from openholder.outbound import Outbound, parse_proxy
from openholder.setting_types import (
    ExistingFile,
    ExistingFolder,
    NewFile,
    Secret,
    SecureURL,
    check_secure_url,
    place_state_file,
)
from openholder.strict_json import parse_json

ENV_PREFIX = "OPENHOLDER_"


def split_list(value: Any) -> Any:
    """Split text at its commas. The environment has no lists, and in a file one value needs no brackets."""
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


Texts = Annotated[tuple[str, ...], BeforeValidator(split_list)]
"""A list of texts."""


def _convert_status(value: Any) -> Any:
    """Convert the text of the environment to a number: `Literal` does not."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def _check_open_members(paths: tuple[str, ...]) -> tuple[str, ...]:
    for path in paths:
        split_open_member(path)
    return paths


def _check_base_url(url: str) -> str:
    if url.endswith("/"):
        raise ValueError("must not end with a slash: the path of a request is appended to it")
    return check_secure_url(url)


BaseURL = Annotated[str, AfterValidator(_check_base_url)]


class Section(BaseModel):
    """A table of the file. Unknown keys are mistakes, and no message repeats a value."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Fiskil(Section):
    """``[fiskil]``: who signs the tokens, and where the keys are."""

    issuer: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(split_list)] = Field(
        min_length=1, examples=['issuer = "examplebank.cdr.fiskil.com"']
    )
    jwks_url: SecureURL = Field(examples=['jwks_url = "https://examplebank.cdr.fiskil.com/jwks.json"'])
    algorithms: Annotated[tuple[Literal["PS256", "RS256"], ...], BeforeValidator(split_list)] = Field(
        default=("PS256", "RS256"), min_length=1
    )
    authentication_failure_status: Annotated[Literal[401, 403], BeforeValidator(_convert_status)] = 401
    audience_match: Literal["exact", "normalised"] = "exact"
    """Compare ``aud`` with the URI character by character, or after normalisation (RFC 3986 section 6.2.2)."""
    token_types: Texts = ("JWT", "at+jwt")
    """Allowed values of ``typ``, ignoring case and a prefix ``application/``. A token without ``typ`` is allowed."""
    clock_tolerance: int = Field(default=30, ge=0, le=300)
    """Seconds by which the clocks of Fiskil and this server may differ."""
    max_token_lifetime: int = Field(default=3600, ge=1, le=86_400)
    """Seconds that ``exp`` may be in the future. It limits the size of the replay store."""
    jwks_refresh: int = Field(default=300, ge=60, le=3600)
    """Seconds between two fetches of the keys in the background."""
    jwks_max_stale: int = Field(default=172_800, ge=300)
    """Seconds for which known keys stay valid while their host does not respond."""
    known_keys: NewFile = Field(default_factory=partial(place_state_file, "known-keys.json"), validate_default=True)
    """The file with the last valid keys, for a restart while their host does not respond."""


def _check_transport(name: str) -> str:
    if name == "llhttp" and find_spec("httptools") is None:
        raise ValueError("llhttp is not installed: pip install openholder[fast], or leave the setting out")
    return name


def _check_proxy(secret: SecretStr) -> SecretStr:
    parse_proxy(secret.get_secret_value())
    return secret


def _check_tracing(is_on: bool) -> bool:
    if is_on and not find_spec("opentelemetry"):
        raise ValueError("needs the extra otel, which is not installed: in a checkout, pip install '.[otel]'")
    return is_on


Months = Annotated[int, Field(ge=0, le=1200)]
"""Calendar months after a day; 0 ends with that day."""


class ClosedAccounts(Section):
    """``[closed_accounts]``: months after its closing for which an account is shared, by sector. Default: for ever."""

    banking: Months | None = None
    energy: Months | None = None
    fdx: Months | None = None

    @property
    def periods(self) -> dict[str, int]:
        """The months of each sector that has a rule."""
        return self.model_dump(exclude_none=True)


class OutboundSettings(Section):
    """``[outbound]``: the proxy that requests to other hosts go through."""

    proxy: Annotated[Secret, AfterValidator(_check_proxy)] | None = None
    no_proxy: Texts | None = None

    def build(self) -> Outbound:
        """Return what they say, for those who make requests."""
        return Outbound(self.proxy.get_secret_value() if self.proxy else None, self.no_proxy)


class Listen(Section):
    """``[listen]``: addresses, ports, TLS and limits. Port 0 lets the system choose one."""

    address: str = "127.0.0.1"
    port: int = Field(default=8443, ge=0, le=65_535)
    tls_certificate: ExistingFile | None = None
    tls_key: ExistingFile | None = None
    admin_address: str = "127.0.0.1"
    admin_port: int = Field(default=9443, ge=0, le=65_535)
    console: bool = True
    """Whether the admin listener has a page that shows the server to its operator."""
    console_hosts: Texts = ()
    """Names by which browsers reach the page, besides addresses, ``localhost`` and ``admin_address``."""
    http: Annotated[Literal["auto", "llhttp", "tornado"], AfterValidator(_check_transport)] = "auto"
    """Who parses requests: llhttp, which is an extra, or Tornado. ``auto`` is llhttp where it is installed."""
    workers: int = Field(default=1, ge=1, le=64)
    max_connections: int = Field(default=1000, ge=1, le=100_000)
    """Open connections per worker. A further one takes the place of the one that has been idle longest."""
    max_connections_per_address: int | None = Field(default=None, ge=1, le=100_000)
    """Of them, those of one address. Default: a quarter where this server terminates TLS; all where a proxy does."""
    max_requests: int = Field(default=500, ge=1, le=100_000)
    """Concurrent requests per worker; further ones get 503."""
    request_timeout: float = Field(default=30, ge=1, le=300)
    """Seconds for a whole request, whatever its queries take; then it is cancelled and gets 500."""
    drain_delay: float = Field(default=0, ge=0, le=300)
    """Seconds that a stopping server still accepts connections while ``/ready`` is 503, for balancers to notice."""
    trusted_proxies: Annotated[tuple[IPvAnyNetwork, ...], BeforeValidator(split_list)] = ()
    """Addresses of proxies whose ``X-Forwarded-For`` gives the caller's address in the log, and nothing else."""


class Replay(Section):
    """``[replay]``: the store of used tokens, an installed plugin that defines the other keys."""

    store: str = "sqlite"


class Log(Section):
    """``[log]``: format and level. ``auto`` is text on a terminal and JSON elsewhere."""

    format: Literal["auto", "json", "console"] = "auto"
    level: Literal["debug", "info", "warning", "error"] = "info"
    pseudonym_key: Secret | None = None
    """Key of the pseudonyms that replace customer and account ids. Default: a new key at each start."""


_SEGMENT = re.compile(r"[A-Za-z0-9._~-]+|\{[A-Za-z][A-Za-z0-9]*\}", re.ASCII)


def _check_custom_path(path: str) -> str:
    segments = path.split("/")[1:]
    names = [segment[1:-1] for segment in segments if segment.startswith("{")]
    if "/customer/{customerId}" not in path:
        raise ValueError("must contain /customer/{customerId}")
    if not path.startswith("/") or not all(map(_SEGMENT.fullmatch, segments)) or len(set(names)) < len(names):
        raise ValueError("must be a path such as /v1/customer/{customerId}/cards/{cardId}, with each id named once")
    return path


def load_schema(path: Path) -> dict[str, Any]:
    """Read the JSON Schema of a record from a file. Raises `ValueError` if it is not one."""
    from jsonschema import Draft202012Validator  # not above, for the reason in `openholder.contract.records.custom`
    from jsonschema.exceptions import SchemaError

    try:
        schema = parse_json(path.read_bytes())
        Draft202012Validator.check_schema(schema)
    except (OSError, UntrustedJSON) as exc:
        raise ValueError(f"the file {path} cannot be read as JSON: {type(exc).__name__}") from None
    except SchemaError as exc:
        raise ValueError(f"the file {path} is not a JSON Schema (draft 2020-12): {exc.json_path}") from None
    if not isinstance(schema, dict):
        raise ValueError(f"the file {path} is not the JSON Schema of a record: it must contain a JSON object")
    _check_references(schema, path)
    return schema


def _check_references(schema: dict[str, Any], path: Path) -> None:
    """Look up every reference once: one that leads nowhere would fail each request. Nothing is fetched."""
    from referencing import Registry
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import DRAFT202012

    root = DRAFT202012.create_resource(schema)
    pending = [(root, Registry().resolver_with_root(root))]
    seen = set()
    while pending:
        resource, resolver = pending.pop()
        contents = resource.contents
        if not isinstance(contents, dict) or id(contents) in seen:
            continue
        seen.add(id(contents))
        pending += [(part, resolver.in_subresource(part)) for part in resource.subresources()]
        references = [contents.get(keyword) for keyword in ("$ref", "$dynamicRef")]
        for reference in (text for text in references if isinstance(text, str)):
            try:
                found = resolver.lookup(reference)
            except Unresolvable:
                message = f"{reference} is not in the file {path}: put it under $defs; other documents are not fetched"
                raise ValueError(message) from None
            pending.append((DRAFT202012.create_resource(found.contents), found.resolver))


def _check_json_schema(path: Path) -> Path:
    load_schema(path)
    return path


class Endpoint(Section):
    """``[[endpoints]]``: a custom data endpoint."""

    path: Annotated[str, AfterValidator(_check_custom_path)]
    """Contains ``/customer/{customerId}``. If it contains ``{accountId}``, the account must belong to the customer.
    Any other id in braces selects by the member of that name."""
    collection: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?$")]
    returns: Literal["record", "list"] | None = None
    """Default: a record if the path ends with an id other than those of customer and account, otherwise a list."""
    envelope: Annotated[str, Field(pattern=r"^([A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)*)?$")] = ""
    """The members that enclose the data, such as ``data.payslips``. Empty: none."""
    paging: Literal["none", "page", "offset"] = "none"
    """Paging of a list: by ``page`` as in the CDR, or by ``offset`` as in FDX. Both need an envelope."""
    summary: str = ""
    scopes: Texts = ()
    """Scopes that users must grant. `openholder openapi` prints them; Fiskil enforces them, the server does not."""
    schema_file: Annotated[ExistingFile, AfterValidator(_check_json_schema)] | None = None
    """A JSON Schema that every record must match. Without one, records are returned unchecked."""

    @model_validator(mode="after")
    def _check_paging(self) -> Self:
        if self.paging != "none" and not (self.envelope and self.many):
            raise ValueError(
                'paging needs a list and an envelope: set `envelope`, and `returns` to "list" or leave it out'
            )
        return self

    @property
    def many(self) -> bool:
        """True for a list, False for a single record."""
        if self.returns:
            return self.returns == "list"
        return not self.path.endswith("}") or self.path.endswith(("{customerId}", "{accountId}"))


class Scope(Section):
    """``[[scopes]]``: a scope of custom endpoints, with the texts of the consent screen."""

    name: str
    cluster_language: str
    """The heading of the scope."""
    permissions_language: Texts
    """The permissions listed below the heading."""


class Settings(Section):
    """The whole configuration."""

    public_url: Annotated[tuple[BaseURL, ...], BeforeValidator(split_list)] = Field(
        min_length=1, examples=['public_url = "https://data.examplebank.com.au"']
    )
    fiskil: Fiskil = Field(examples=["a table [fiskil] with issuer and jwks_url"])
    outbound: OutboundSettings = OutboundSettings()
    listen: Listen = Listen()
    replay: Replay = Field(default_factory=Replay)
    log: Log = Log()
    sources: dict[str, Any] = Field(min_length=1, examples=["a table [sources.bank] with a kind"])
    serve: dict[str, str] = {}
    observers: dict[str, Any] = {}
    plugins: Texts = ()
    id_characters: Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f-\x9f]*$", max_length=100)] = ""
    """Characters that ids may have besides letters, digits and ``._~-``."""
    auth_alias: bool = False
    """Also serve the consent endpoints under the prefix ``/v1/auth/``."""
    deprecated_lists: bool = False
    """Also serve the deprecated account lists, which the consent accounts replace."""
    closed_accounts: ClosedAccounts = ClosedAccounts()
    conditions: Literal["count", "refuse"] = "count"
    """Records that break a condition of the CDS: counted and logged, or, if it is an error, answered with 500."""
    links: Literal["query", "uri"] = "query"
    """Links to other pages of a CDR list: query strings that Fiskil completes, or full URIs."""
    open_members: Annotated[Texts, AfterValidator(_check_open_members)] = ()
    """Members that records of FDX may have beside the declared ones: ``fdx.accounts.branch``."""
    tracing: Annotated[bool, AfterValidator(_check_tracing)] = False
    """Whether requests have spans of OpenTelemetry, whose variables ``OTEL_*`` say where they go."""
    state_folder: ExistingFolder | None = None
    """Where the files that the server writes are, unless they have settings of their own. Default: beside the file."""
    cursor_key: NewFile = Field(default_factory=partial(place_state_file, "cursor.key"), validate_default=True)
    """The file with the key of FDX cursors, created on first use. All servers behind one address need the same key."""
    endpoints: tuple[Endpoint, ...] = ()
    scopes: tuple[Scope, ...] = ()
