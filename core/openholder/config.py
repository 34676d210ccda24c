"""The configuration: one TOML file, overridden by the environment, validated as a whole.

All mistakes are reported at once, each with the file (or the environment variable) and the key, but without the value:
it may be a secret.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import UnionType
from typing import Any, Self, Union, get_args, get_origin

from pydantic import BaseModel, Field, TypeAdapter, ValidationError, create_model
from pydantic_core import ErrorDetails
from typing_extensions import TypedDict, is_typeddict

from openholder.contract.operations import OPERATIONS
from openholder.errors import ConfigurationError, Mistake
from openholder.host_settings import HostSettings, provide_host_settings
from openholder.setting_types import paths_relative_to
from openholder.settings import ENV_PREFIX, OutboundSettings, Replay, Settings, split_list
from openholder.sources.entry import ObserverEntry, SourceEntry
from openholder.sources.kinds import UnusableKind, find_kind, list_kinds

REPLAY_STORES = "openholder.replay_stores"
"""The entry-point group of replay stores."""
_PHRASES = {
    "bool_parsing": "found {found}, expected true or false",
    "bool_type": "found {found}, expected true or false",
    "dict_type": "found {found}, expected a table",
    "float_parsing": "found {found}, expected a number",
    "float_type": "found {found}, expected a number",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "int_from_float": "found {found}, expected a whole number",
    "int_parsing": "found {found}, expected a whole number",
    "int_type": "found {found}, expected a whole number",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "expected {expected}",
    "model_attributes_type": "found {found}, expected a table",
    "model_type": "found {found}, expected a table",
    "path_type": "found {found}, expected a path, as text",
    "string_too_long": "must have at most {max_length} characters",
    "string_too_short": "must not be empty",
    "string_type": "found {found}, expected text",
    "too_short": "must have at least {min_length} value",
    "tuple_type": "found {found}, expected a list",
}
"""What is said instead of pydantic's own messages, by the type of the error."""
_TYPE_NAMES: Mapping[type, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "a table",
}
CANDIDATES = (Path("openholder.toml"), Path("/etc/openholder/openholder.toml"))
"""Where the file is looked for if neither an option nor the environment names one."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """A valid configuration, and the file that it was loaded from."""

    path: Path
    settings: Settings
    digest: str = ""
    """The start of the SHA-256 of the file, as `sha256sum` prints it. The environment is no part of it."""

    @property
    def sources(self) -> dict[str, SourceEntry]:
        """The settings of each source: an instance of its kind's ``Settings`` that also has the common keys."""
        return self.settings.sources

    @property
    def observers(self) -> dict[str, ObserverEntry]:
        """The settings of each observer: an instance of its kind's ``Settings`` that also has the common keys."""
        return self.settings.observers

    @property
    def serve(self) -> Mapping[str, str]:
        """The source of each collection. A single source serves all collections by default."""
        if not self.settings.serve and len(self.sources) == 1:
            return {"*": next(iter(self.sources))}
        return self.settings.serve

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Find, read and validate the configuration. Raises `ConfigurationError` with all mistakes."""
        path = _find_file(path)
        content = _read_file(path)
        tables = _read_toml(path, content)
        overrides, mistakes = _read_environment()
        raw = _merge(tables, overrides)
        state = raw.get("state_folder")
        with paths_relative_to(path.parent.absolute(), Path(state) if state and isinstance(state, str) else None):
            model, model_mistakes = _make_model(raw, path)
            mistakes += [*model_mistakes, *_find_conflicts(raw, path)]
            try:
                with provide_host_settings(_read_host_settings(raw)):
                    settings = model.model_validate(raw)
            except ValidationError as exc:
                mistakes += _convert_errors(exc, path, model)
        if mistakes:
            raise ConfigurationError(sorted(set(mistakes)))
        return cls(path, settings, hashlib.sha256(content).hexdigest()[:12])


def _find_file(path: Path | None) -> Path:
    candidates: tuple[Path, ...] = CANDIDATES
    if path or os.environ.get(f"{ENV_PREFIX}CONFIG"):
        candidates = (path or Path(os.environ[f"{ENV_PREFIX}CONFIG"]),)
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    tried = ", ".join(str(candidate) for candidate in candidates)
    raise ConfigurationError([Mistake(tried, "", "no configuration file found; `openholder init` writes one")])


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise ConfigurationError([Mistake(str(path), "", f"cannot be read: {type(exc).__name__}")]) from None


def _read_toml(path: Path, content: bytes) -> dict[str, Any]:
    try:
        return tomllib.loads(content.decode("utf-8"))
    except UnicodeDecodeError as exc:
        raise ConfigurationError([Mistake(str(path), "", f"cannot be read: {type(exc).__name__}")]) from None
    except tomllib.TOMLDecodeError as exc:
        raise ConfigurationError([Mistake(str(path), "", f"not valid TOML: {exc}")]) from None


def _read_environment() -> tuple[dict[str, Any], list[Mistake]]:
    """Read the keys that the environment overrides, and report variables that look like a key but match none."""
    overrides: dict[str, Any] = {}
    mistakes = []
    # A variable for a whole table comes before those for its keys, which override it.
    for name in sorted(os.environ, key=lambda name: (name.count("__"), name)):
        if not name.upper().startswith(ENV_PREFIX):
            continue
        *tables, key = name[len(ENV_PREFIX) :].lower().split("__")
        table = (tables or [key])[0]
        if table in Settings.model_fields:
            value = _read_variable(os.environ[name])
            for part in (key, *reversed(tables)):
                value = {part: value}
            overrides = _merge(overrides, value)
        elif tables:
            message = _describe_unknown_key(table, Settings.model_fields)
            mistakes.append(Mistake(f"environment variable {name}", table, message))
    return overrides, mistakes


def _read_variable(text: str) -> Any:
    """Read a table or list if the text is one in JSON. Any other text is left to the setting's own type."""
    if not text.startswith(("{", "[")):
        return text
    try:
        return json.loads(text) or text  # without members, it may be the two characters of `id_characters`
    except ValueError:
        return text


def _merge(tables: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(tables)
    for key, value in overrides.items():
        overridden = merged.get(key)
        if isinstance(value, Mapping) and isinstance(overridden, Mapping):
            value = _merge(overridden, value)
        merged[key] = value
    return merged


def _get_table(raw: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = raw.get(key)
    return value if isinstance(value, Mapping) else {}


def _read_host_settings(raw: Mapping[str, Any]) -> HostSettings:
    """Read what the settings of plugins depend on. Mistakes in it are found with all others."""
    characters = raw.get("id_characters", "")
    try:
        outbound = OutboundSettings.model_validate(raw.get("outbound", {}))
    except ValidationError:
        outbound = OutboundSettings()
    try:
        traced = TypeAdapter(bool).validate_python(raw.get("tracing", False))
    except ValidationError:
        traced = False
    return HostSettings(
        characters if isinstance(characters, str) else "",
        replace(outbound.build(), traced=traced),
    )


def _make_model(raw: Mapping[str, Any], path: Path) -> tuple[type[Settings], list[Mistake]]:
    """Make a subclass of `Settings` in which each source, observer and the replay store has the type of its plugin.

    Which keys are allowed depends on the plugins that the file names. With their types in one model, one validation
    finds all mistakes.
    """
    replay, mistakes = _find_replay_type(raw, path)
    fields: dict[str, Any] = {"replay": (replay, Field(default_factory=replay))}
    for table, common in (("sources", SourceEntry), ("observers", ObserverEntry)):
        types, found = _find_plugin_types(raw, path, table, common)
        mistakes += found
        if types:
            fields[table] = (TypedDict(table.capitalize(), types), ...)  # type: ignore[operator]
    return create_model("Settings", __base__=Settings, **fields), mistakes


def _find_plugin_types(
    raw: Mapping[str, Any], path: Path, table: str, common: type[BaseModel]
) -> tuple[dict[str, Any], list[Mistake]]:
    """Find the settings type of each plugin that a table configures."""
    types: dict[str, Any] = {}
    mistakes = []
    for name, entry in _get_table(raw, table).items():
        types[name] = common  # reports an entry that is not a table
        if not isinstance(entry, Mapping):
            continue
        kind = entry.get("kind")
        try:
            if isinstance(kind, str):
                types[name] = _combine_settings(find_kind(kind).load(), common)
                continue
            known = ", ".join(sorted({kind.name for kind in list_kinds()}))
            message = f"{'is missing' if kind is None else 'expected text'}: one of the installed kinds, {known}"
        except UnusableKind as exc:
            message = str(exc)
        types[name] = Any  # without a kind, its other keys cannot be checked
        mistakes.append(Mistake(_locate((table, name, "kind"), path), f"{table}.{name}.kind", message))
    return types, mistakes


def _find_replay_type(raw: Mapping[str, Any], path: Path) -> tuple[Any, list[Mistake]]:
    """Find the settings type of the replay store. A store for a single process is a mistake with several workers."""
    name = _get_table(raw, "replay").get("store", "sqlite")
    if not isinstance(name, str):
        return Replay, []
    where, key = _locate(("replay", "store"), path), "replay.store"
    try:
        store = find_kind(name, REPLAY_STORES).load()
    except UnusableKind as exc:
        return Any, [Mistake(where, key, str(exc))]
    mistakes = []
    if getattr(store, "reach", "process") == "process" and str(_get_table(raw, "listen").get("workers", 1)) != "1":
        message = (
            f"{name} works for one process only: several workers would each accept the same token once;"
            " use a shared store, or set listen.workers to 1"
        )
        mistakes.append(Mistake(where, key, message))
    return _combine_settings(store, Replay), mistakes


def _combine_settings(plugin: type[Any], common: type[BaseModel]) -> type[BaseModel]:
    """Combine the plugin's own ``Settings``, if any, with the keys that all plugins of its group have."""
    own = getattr(plugin, "Settings", None)
    # A plugin's Settings need not know the common keys, so the combination exists only at run time.
    return create_model(
        plugin.__name__,
        __base__=(own, common) if own else common,
        __module__=plugin.__module__,
    )


def _find_conflicts(raw: Mapping[str, Any], path: Path) -> Iterator[Mistake]:
    """Find mistakes that involve more than one key."""
    sources = _get_table(raw, "sources")
    for pattern, source in _get_table(raw, "serve").items():
        if isinstance(source, str) and source not in sources:
            message = f"source {source!r} is not configured{_suggest(source, sources)}"
            yield Mistake(_locate(("serve", pattern), path), f'serve."{pattern}"', message)
    if len(sources) > 1 and not raw.get("serve"):
        message = "several sources are configured: add a table [serve] with the source of each collection"
        yield Mistake(str(path), "serve", message)
    plugins = split_list(raw.get("plugins"))
    for kind in map(str, plugins if isinstance(plugins, list) else ()):
        try:
            find_kind(kind).load()
        except UnusableKind as exc:
            yield Mistake(_locate(("plugins",), path), "plugins", str(exc))
    yield from _find_path_conflicts(raw, path)
    listen = _get_table(raw, "listen")
    if ("tls_certificate" in listen) != ("tls_key" in listen):
        message = "certificate and key belong together: set both or neither"
        yield Mistake(str(path), "listen.tls_certificate", message)


def _find_path_conflicts(raw: Mapping[str, Any], path: Path) -> Iterator[Mistake]:
    """Find custom endpoints with the path of a Fiskil operation or of another endpoint. Names of ids do not matter."""
    taken = {re.sub(r"\{\w+\}", "{}", operation.path): "a Fiskil operation" for operation in OPERATIONS}
    endpoints = raw.get("endpoints")
    for number, endpoint in enumerate(endpoints if isinstance(endpoints, list) else ()):
        template = endpoint.get("path") if isinstance(endpoint, Mapping) else None
        if isinstance(template, str):
            pattern = re.sub(r"\{\w+\}", "{}", template)
            if pattern in taken:
                message = f"is already the path of {taken[pattern]}; choose another"
                yield Mistake(str(path), f"endpoints.{number}.path", message)
            taken[pattern] = f"endpoints.{number}"


def _convert_errors(exc: ValidationError, path: Path, model: type[Settings]) -> list[Mistake]:
    errors = exc.errors(include_url=False)
    # For a list with invalid items pydantic also reports that it is too short: the items say it all.
    parents = {error["loc"][:-1] for error in errors}
    return [_convert_error(error, path, model) for error in errors if error["loc"] not in parents]


def _convert_error(error: ErrorDetails, path: Path, model: type[Settings]) -> Mistake:
    location = error["loc"]
    where = _locate(location, path)
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] in _PHRASES:
        found = _TYPE_NAMES.get(type(error["input"]), "a value of another type")  # never the value: it may be a secret
        message = _PHRASES[error["type"]].format(found=found, **error.get("ctx", {}))
        if where != str(path) and message.endswith("expected a table"):
            variable = where.removeprefix("environment variable ")
            message = f"must be a JSON object, because it is a table; or set its keys one by one ({variable}__KEY)"
    elif error["type"] == "extra_forbidden":
        message = _describe_unknown_key(str(location[-1]), _find_allowed_keys(location, model))
    elif error["type"] == "missing":
        message = _describe_missing_key(location, model)
    return Mistake(where, ".".join(str(part) for part in location), message)


def _describe_missing_key(location: tuple[int | str, ...], model: type[Settings]) -> str:
    field = _find_allowed_keys(location, model).get(str(location[-1]))
    examples = getattr(field, "examples", None) or ()
    return "is missing: add it" + "".join(f", such as {example}" for example in examples)


def _find_allowed_keys(location: tuple[int | str, ...], model: type[Settings]) -> Mapping[str, Any]:
    """Find the keys that are allowed beside an unknown one."""
    kinds: list[Any] = [model]
    for part in location[:-1]:
        # pydantic also names the type of a union that it tried, which is no key of the file.
        kinds = [inner for kind in kinds for inner in _list_types_at(kind, str(part))] or kinds
    return {key: field for kind in kinds for key, field in _list_keys(kind).items()}


def _list_keys(kind: Any) -> Mapping[str, Any]:
    """Return the keys of a table: a model, or a TypedDict as `sources` and `observers` are."""
    return getattr(kind, "model_fields", None) or (kind.__annotations__ if is_typeddict(kind) else {})


def _list_types_at(kind: Any, part: str) -> list[Any]:
    """Return the types that the value of a key may have, or the items of a list."""
    field = _list_keys(kind).get(part)
    inner = getattr(field, "annotation", field)
    if inner is None:
        # A table whose keys are free, or a list: all values have the last of its types.
        arguments = [each for each in get_args(kind) if each is not Ellipsis]
        inner = arguments[-1] if arguments else None
    return [] if inner is None else _split_union(inner)


def _split_union(kind: Any) -> list[Any]:
    """Return the members of a union, without what annotates them."""
    if hasattr(kind, "__metadata__"):
        return _split_union(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        return [inner for each in get_args(kind) for inner in _split_union(each)]
    return [kind]


def _describe_unknown_key(key: str, allowed: Mapping[str, Any]) -> str:
    return f"unknown key{_suggest(key, allowed)}"


def _suggest(word: str, known: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; expected one of {', '.join(known)}" if known else ""


def _locate(location: tuple[int | str, ...], path: Path) -> str:
    """Return the environment variable that set the key, or else the file."""
    for length in range(len(location), 0, -1):
        name = ENV_PREFIX + "__".join(str(part).upper() for part in location[:length])
        if name in os.environ:
            return f"environment variable {name}"
    return str(path)
