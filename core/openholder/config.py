"""The configuration: one TOML file, overridden by the environment, checked as a whole.

Every mistake is reported at once, with the file (or the environment variable) and the key, and never with the value:
it may be a secret.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, Field, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import EnvSettingsSource, SettingsError
from typing_extensions import TypedDict

from openholder.contract.operations import OPERATIONS
from openholder.errors import ConfigurationError, Mistake
from openholder.setting_types import paths_relative_to
from openholder.settings import ENV_PREFIX, Replay, Settings, listed
from openholder.sources.entry import SourceEntry
from openholder.sources.kinds import UnusableKind, find_kind

REPLAY_STORES = "openholder.replay_stores"
"""The entry-point group of stores of used tokens."""
CANDIDATES = (Path("openholder.toml"), Path("/etc/openholder/openholder.toml"))


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
    observers = listed(raw.get("plugins"))
    for kind in map(str, observers if isinstance(observers, list) else ()):
        try:
            find_kind(kind).load()
        except UnusableKind as exc:
            yield Mistake(_where(("plugins",), path), "plugins", str(exc))
    yield from _paths_taken(raw, path)
    listen = _table(raw, "listen")
    if ("tls_certificate" in listen) != ("tls_key" in listen):
        yield Mistake(str(path), "listen.tls_certificate", "certificate and key go together: give both or neither")


def _paths_taken(raw: Mapping[str, Any], path: Path) -> Iterator[Mistake]:
    """Custom endpoints whose path is one of Fiskil's own, or that of another one."""
    taken = {_form(operation.path): "one of Fiskil's own" for operation in OPERATIONS}
    endpoints = raw.get("endpoints")
    for number, endpoint in enumerate(endpoints if isinstance(endpoints, list) else ()):
        template = endpoint.get("path") if isinstance(endpoint, Mapping) else None
        if isinstance(template, str):
            key = f"endpoints.{number}.path"
            if _form(template) in taken:
                yield Mistake(str(path), key, f"is {taken[_form(template)]}")
            taken[_form(template)] = f"that of endpoints.{number} too"


def _form(template: str) -> str:
    """A path template whatever its ids are called."""
    return re.sub(r"\{\w+\}", "{}", template)


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
