"""Settings: one TOML file, overridden by the environment, checked as a whole.

Every mistake is reported at once, with the file (or the environment variable) and the key, and never with the value:
it may be a secret.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, EnvSettingsSource, NoDecode, SettingsConfigDict, SettingsError
from typing_extensions import TypedDict

from openholder.errors import ConfigurationError, Mistake
from openholder.sources.kinds import UnusableKind, find_kind
from openholder.sources.settings import (
    ExistingFile,
    NewFile,
    Secret,
    SourceEntry,
    paths_relative_to,
    split_url,
)

ENV_PREFIX = "OPENHOLDER_"
REPLAY_STORES = "openholder.replay_stores"
"""The entry-point group of stores of used tokens."""
CANDIDATES = (Path("openholder.toml"), Path("/etc/openholder/openholder.toml"))


def is_loopback(host: str | None) -> bool:
    """Whether ``host`` can only be this machine: the name ``localhost``, 127.0.0.0/8 or ::1."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def _listed(value: Any) -> Any:
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

    issuer: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], NoDecode, BeforeValidator(_listed)] = Field(
        min_length=1
    )
    jwks_url: Annotated[str, AfterValidator(_secure_url)]
    algorithms: Annotated[tuple[Literal["PS256", "RS256"], ...], NoDecode, BeforeValidator(_listed)] = Field(
        default=("PS256", "RS256"), min_length=1
    )
    authentication_failure_status: Annotated[Literal[401, 403], BeforeValidator(_status)] = 401
    audience_match: Literal["exact", "normalised"] = "exact"
    """Whether ``aud`` must be the URI character by character, or may be written as RFC 3986 section 6.2.2 allows."""
    token_types: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)] = ("JWT", "at+jwt")
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


class Settings(BaseSettings):
    """The whole configuration."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
    )

    public_url: Annotated[tuple[Annotated[str, AfterValidator(_base_url)], ...], NoDecode, BeforeValidator(_listed)] = (
        Field(min_length=1)
    )
    fiskil: Fiskil
    listen: Listen = Listen()
    replay: Replay = Field(default_factory=Replay)
    log: Log = Log()
    sources: dict[str, Any] = Field(min_length=1)
    serve: dict[str, str] = {}
    plugins: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)] = ()
    id_characters: Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f-\x9f]*$", max_length=100)] = ""
    """Characters that ids have besides letters, digits and ``._~-``."""
    auth_alias: bool = False
    """Whether the consent endpoints answer under the prefix ``/v1/auth/`` too."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """What was loaded, and from where."""

    path: Path
    settings: Settings

    @property
    def sources(self) -> dict[str, SourceEntry]:
        """The settings of each source: an instance of its kind's ``Settings`` with the common keys beside them."""
        return self.settings.sources

    @property
    def serve(self) -> Mapping[str, str]:
        """Which source serves which collection; a single source serves all without being told."""
        if not self.settings.serve and len(self.sources) == 1:
            return {"*": next(iter(self.sources))}
        return self.settings.serve

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Find, read and check the configuration. Raises `ConfigurationError` with all mistakes."""
        path = _find(path)
        tables = _read(path)
        with paths_relative_to(path.parent.absolute()):
            overridden, mistakes = _environment(path)
            raw = _merged(tables, overridden)
            model, more = _model_for(raw, path)
            mistakes += [*more, *_relations(raw, path)]
            try:
                settings = model.model_validate(raw)
            except ValidationError as exc:
                mistakes += _mistakes(exc, path, model)
        if mistakes:
            raise ConfigurationError(sorted(set(mistakes)))
        return cls(path, settings)


def _find(path: Path | None) -> Path:
    named = path or (Path(os.environ[f"{ENV_PREFIX}CONFIG"]) if os.environ.get(f"{ENV_PREFIX}CONFIG") else None)
    candidates = [named] if named else CANDIDATES
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    tried = ", ".join(str(candidate) for candidate in candidates)
    raise ConfigurationError([Mistake(tried, "", "no configuration file there; `openholder init` writes one")])


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigurationError([Mistake(str(path), "", f"cannot be read: {type(exc).__name__}")]) from None
    except tomllib.TOMLDecodeError as exc:
        raise ConfigurationError([Mistake(str(path), "", f"is not TOML: {exc}")]) from None


def _environment(path: Path) -> tuple[dict[str, Any], list[Mistake]]:
    """What the environment overrides, and variables that look like keys but name none."""
    mistakes = []
    for name in os.environ:
        table = name.removeprefix(ENV_PREFIX).partition("__")[0].lower()
        if name.startswith(ENV_PREFIX) and "__" in name and table not in Settings.model_fields:
            mistakes.append(Mistake(f"environment variable {name}", table, _unknown(table, Settings.model_fields)))
    try:
        return EnvSettingsSource(Settings)(), mistakes
    except SettingsError as exc:
        # pydantic-settings names the field in this message, and nothing else does.
        key = next((name for name in Settings.model_fields if f'"{name}"' in str(exc)), "")
        where = f"environment variable {ENV_PREFIX}{key.upper()}"
        return {}, [*mistakes, Mistake(where, key, "is a table: set its keys, as with two underscores, or give JSON")]


def _merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            value = _merged(below, value)
        merged[key] = value
    return merged


def _table(raw: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = raw.get(key)
    return value if isinstance(value, Mapping) else {}


def _model_for(raw: Mapping[str, Any], path: Path) -> tuple[type[Settings], list[Mistake]]:
    """The settings with each source typed by its kind, so that one validation finds everything."""
    types: dict[str, Any] = {}
    replay, mistakes = _replay_type(raw, path)
    for name, entry in _table(raw, "sources").items():
        types[name] = SourceEntry
        kind = entry.get("kind") if isinstance(entry, Mapping) else None
        if isinstance(entry, Mapping) and not isinstance(kind, str):
            types[name] = Any  # which further keys it may have is not known
            message = "is missing" if kind is None else "must be a string, the name of a kind"
            mistakes.append(Mistake(_where(("sources", name, "kind"), path), f"sources.{name}.kind", message))
        if isinstance(kind, str):
            try:
                types[name] = _entry_type(find_kind(kind).load(), SourceEntry)
            except UnusableKind as exc:
                types[name] = Any
                mistakes.append(Mistake(_where(("sources", name, "kind"), path), f"sources.{name}.kind", str(exc)))
    annotations = {"replay": replay} | ({"sources": TypedDict("Sources", types)} if types else {})  # type: ignore[operator]
    fields = {"__annotations__": annotations, "replay": Field(default_factory=replay)}
    return type("Settings", (Settings,), fields), mistakes


def _replay_type(raw: Mapping[str, Any], path: Path) -> tuple[Any, list[Mistake]]:
    """The settings of the chosen store of used tokens. One for a single process does not serve several."""
    name = _table(raw, "replay").get("store", "sqlite")
    if not isinstance(name, str):
        return Replay, []
    where, key = _where(("replay", "store"), path), "replay.store"
    try:
        store = find_kind(name, REPLAY_STORES).load()
    except UnusableKind as exc:
        return Any, [Mistake(where, key, str(exc))]
    mistakes = []
    if getattr(store, "reach", "process") == "process" and str(_table(raw, "listen").get("workers", 1)) != "1":
        message = f"{name} serves one process only: with several workers each would accept every token once"
        mistakes.append(Mistake(where, key, message))
    return _entry_type(store, Replay), mistakes


def _entry_type(plugin: type[Any], common: type[BaseModel]) -> type[BaseModel]:
    """The plugin's own settings with the keys that all of its sort have."""
    own = getattr(plugin, "Settings", None)
    bases = (own, common) if own else (common,)
    return type(plugin.__name__, bases, {"__module__": plugin.__module__})


def _relations(raw: Mapping[str, Any], path: Path) -> Iterator[Mistake]:
    """Mistakes that no single key shows."""
    sources = _table(raw, "sources")
    for pattern, source in _table(raw, "serve").items():
        if isinstance(source, str) and source not in sources:
            message = f"names the source {source!r}, which is not configured{_hint(source, sources)}"
            yield Mistake(_where(("serve", pattern), path), f'serve."{pattern}"', message)
    if len(sources) > 1 and not raw.get("serve"):
        yield Mistake(str(path), "serve", "several sources are configured: say which one serves which collection")
    observers = _listed(raw.get("plugins"))
    for kind in map(str, observers if isinstance(observers, list) else ()):
        try:
            find_kind(kind).load()
        except UnusableKind as exc:
            yield Mistake(_where(("plugins",), path), "plugins", str(exc))
    listen = _table(raw, "listen")
    if ("tls_certificate" in listen) != ("tls_key" in listen):
        yield Mistake(str(path), "listen.tls_certificate", "certificate and key go together: give both or neither")


def _mistakes(exc: ValidationError, path: Path, model: type[Settings]) -> list[Mistake]:
    errors = exc.errors(include_input=False, include_url=False)
    deeper = {error["loc"][:-1] for error in errors}
    # A list whose items are refused is also reported as too short: one of the two says it all.
    return [_mistake(error, path, model) for error in errors if error["loc"] not in deeper]


def _mistake(error: ErrorDetails, path: Path, model: type[Settings]) -> Mistake:
    location = error["loc"]
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        message = _unknown(str(location[-1]), _siblings(location, model))
    elif error["type"] == "missing":
        message = "is missing"
    return Mistake(_where(location, path), ".".join(str(part) for part in location), message)


def _siblings(location: tuple[int | str, ...], model: type[Settings]) -> Mapping[str, Any]:
    """The keys that are known at the place where an unknown one stands."""
    fields: Mapping[str, Any] = model.model_fields
    for part in location[:-1]:
        field = fields.get(str(part))
        annotation = getattr(field, "annotation", field)
        fields = getattr(annotation, "model_fields", None) or getattr(annotation, "__annotations__", {})
    return fields


def _unknown(key: str, known: Mapping[str, Any]) -> str:
    return f"unknown key{_hint(key, known)}"


def _hint(word: str, known: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _where(location: tuple[int | str, ...], path: Path) -> str:
    """The environment variable that set the key, where one did, else the file."""
    for length in range(len(location), 0, -1):
        name = ENV_PREFIX + "__".join(str(part).upper() for part in location[:length])
        if name in os.environ:
            return f"environment variable {name}"
    return str(path)
