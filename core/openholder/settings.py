"""What can be set: one class a table of the file. Unknown keys are mistakes, and no message repeats a value."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from openholder.errors import UntrustedJSON
from openholder.setting_types import ExistingFile, NewFile, Secret, split_url
from openholder.strict_json import parse_json

ENV_PREFIX = "OPENHOLDER_"


def is_loopback(host: str | None) -> bool:
    """Whether ``host`` can only be this machine: the name ``localhost``, 127.0.0.0/8 or ::1."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def listed(value: Any) -> Any:
    """One value, a list, or (from the environment) several separated by commas."""
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


def _secure_url(url: str) -> str:
    parts = split_url(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname)):
        raise ValueError("must be https (http is for loopback addresses only)")
    return url


def _status(value: Any) -> Any:
    """A number, which the environment can only give as text."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def _base_url(url: str) -> str:
    if url.endswith("/"):
        raise ValueError("must not end with a slash: paths are appended to it as they come")
    return _secure_url(url)


class Section(BaseModel):
    """A table of the file: unknown keys are mistakes, and no message repeats a value."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Fiskil(Section):
    """The other side: who signs the tokens, and where its keys are."""

    issuer: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], NoDecode, BeforeValidator(listed)] = Field(
        min_length=1
    )
    jwks_url: Annotated[str, AfterValidator(_secure_url)]
    algorithms: Annotated[tuple[Literal["PS256", "RS256"], ...], NoDecode, BeforeValidator(listed)] = Field(
        default=("PS256", "RS256"), min_length=1
    )
    authentication_failure_status: Annotated[Literal[401, 403], BeforeValidator(_status)] = 401
    audience_match: Literal["exact", "normalised"] = "exact"
    """Whether ``aud`` must be the URI character by character, or may be written as RFC 3986 section 6.2.2 allows."""
    token_types: Annotated[tuple[str, ...], NoDecode, BeforeValidator(listed)] = ("JWT", "at+jwt")
    """What a token's ``typ`` may be, in any letter case and with or without ``application/``; it may be absent."""
    clock_tolerance: int = Field(default=30, ge=0, le=300)
    """Seconds by which Fiskil's clock and ours may differ."""
    max_token_lifetime: int = Field(default=3600, ge=1, le=86_400)
    """Seconds that ``exp`` may lie ahead: it bounds the replay record."""
    jwks_refresh: int = Field(default=300, ge=60, le=3600)
    """Seconds after which the keys are fetched again in the background."""
    jwks_max_stale: int = Field(default=172_800, ge=300)
    """Seconds for which known keys serve on while their host does not answer."""
    known_keys: NewFile = Field(default=Path("known-keys.json"), validate_default=True)
    """Where the last good keys are kept for a restart while their host does not answer."""


class Listen(Section):
    """Where the server listens. Port 0 lets the system choose one."""

    address: str = "127.0.0.1"
    port: int = Field(default=8443, ge=0, le=65_535)
    tls_certificate: ExistingFile | None = None
    tls_key: ExistingFile | None = None
    admin_address: str = "127.0.0.1"
    admin_port: int = Field(default=9443, ge=0, le=65_535)
    workers: int = Field(default=1, ge=1, le=64)
    max_connections: int = Field(default=1000, ge=1, le=100_000)
    """Open connections of one worker; further ones are closed at once."""
    max_requests: int = Field(default=500, ge=1, le=100_000)
    """Requests that one worker answers at the same time; further ones get 503."""


class Replay(Section):
    """Where used tokens are remembered: an installed store. The other keys belong to it."""

    store: str = "sqlite"


class Log(Section):
    """What is logged, and how: ``auto`` is readable on a terminal and JSON elsewhere."""

    format: Literal["auto", "json", "console"] = "auto"
    level: Literal["debug", "info", "warning", "error"] = "info"
    pseudonym_key: Secret | None = None
    """Key of the pseudonyms that stand for customer and account ids; by default a new one at each start."""


_SEGMENT = re.compile(r"[A-Za-z0-9._~-]+|\{[A-Za-z][A-Za-z0-9]*\}", re.ASCII)


def _custom_path(path: str) -> str:
    segments = path.split("/")[1:]
    names = [segment[1:-1] for segment in segments if segment.startswith("{")]
    if "/customer/{customerId}" not in path:
        raise ValueError("must hold /customer/{customerId}")
    if not path.startswith("/") or not all(map(_SEGMENT.fullmatch, segments)) or len(set(names)) < len(names):
        raise ValueError("must be a path of plain segments and ids in braces, each named once")
    return path


def load_schema(path: Path) -> dict[str, Any]:
    """Read the JSON Schema of a record from a file. Raises `ValueError` if it is not one."""
    try:
        schema = parse_json(path.read_bytes())
        Draft202012Validator.check_schema(schema)
    except (OSError, UntrustedJSON) as exc:
        raise ValueError(f"the file {path} cannot be read as JSON: {type(exc).__name__}") from None
    except SchemaError as exc:
        raise ValueError(f"the file {path} is not a JSON Schema (draft 2020-12): {exc.json_path}") from None
    if not isinstance(schema, dict):
        raise ValueError(f"the file {path} is not a JSON Schema of a record, which must be an object")
    return schema


def _json_schema(path: Path) -> Path:
    load_schema(path)
    return path


class Endpoint(Section):
    """``[[endpoints]]``: a data endpoint of the holder's own."""

    path: Annotated[str, AfterValidator(_custom_path)]
    """Holds ``/customer/{customerId}``. With ``{accountId}`` the account must be the customer's; any other id in braces
    is the member of that name."""
    collection: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?$")]
    returns: Literal["record", "list"] | None = None
    """By default a record where the path ends in an id other than the customer's and the account's, else a list."""
    envelope: Annotated[str, Field(pattern=r"^([A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)*)?$")] = ""
    """What the answer is wrapped in: ``data.payslips``. Empty: nothing."""
    paging: Literal["none", "page", "offset"] = "none"
    """Pages of a list: as the CDR has them (``page``) or the FDX (``offset``). Both need an envelope."""
    summary: str = ""
    scopes: Annotated[tuple[str, ...], NoDecode, BeforeValidator(listed)] = ()
    """Scopes that users must have granted, for `openholder openapi`; nothing is enforced here."""
    schema_file: Annotated[ExistingFile, AfterValidator(_json_schema)] | None = None
    """A JSON Schema that every record must fulfil. Without one they leave as they are."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.paging != "none" and not (self.envelope and self.many):
            raise ValueError("pages are for lists that have an envelope")
        return self

    @property
    def many(self) -> bool:
        """Whether a list is returned."""
        if self.returns:
            return self.returns == "list"
        return not self.path.endswith("}") or self.path.endswith(("{customerId}", "{accountId}"))


class Scope(Section):
    """``[[scopes]]``: a scope of custom endpoints, in the words that users read before they grant it."""

    name: str
    cluster_language: str
    """The heading of the data."""
    permissions_language: Annotated[tuple[str, ...], NoDecode, BeforeValidator(listed)]
    """The items under it."""


class Settings(BaseSettings):
    """The whole configuration."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
    )

    public_url: Annotated[tuple[Annotated[str, AfterValidator(_base_url)], ...], NoDecode, BeforeValidator(listed)] = (
        Field(min_length=1)
    )
    fiskil: Fiskil
    listen: Listen = Listen()
    replay: Replay = Field(default_factory=Replay)
    log: Log = Log()
    sources: dict[str, Any] = Field(min_length=1)
    serve: dict[str, str] = {}
    plugins: Annotated[tuple[str, ...], NoDecode, BeforeValidator(listed)] = ()
    id_characters: Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f-\x9f]*$", max_length=100)] = ""
    """Characters that ids have besides letters, digits and ``._~-``."""
    auth_alias: bool = False
    """Whether the consent endpoints answer under the prefix ``/v1/auth/`` too."""
    deprecated_lists: bool = False
    """Whether the account lists that the consent accounts have superseded are served."""
    links: Literal["query", "uri"] = "query"
    """Links to other pages of a list of the CDR: query strings that Fiskil completes, or full URIs."""
    cursor_key: NewFile = Field(default=Path("cursor.key"), validate_default=True)
    """Where the key of FDX cursors is kept: made when first needed, the same for all servers behind one address."""
    endpoints: tuple[Endpoint, ...] = ()
    scopes: tuple[Scope, ...] = ()
