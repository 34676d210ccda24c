"""What settings of plugins are made of: the keys that all have, secrets that are not written down, paths that must be
there."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr

_URL = re.compile(r"[a-z]+://[^\s?#@\x00-\x20\x7f]+", re.IGNORECASE)
_folder: ContextVar[Path] = ContextVar("openholder_configuration_folder")


@contextmanager
def paths_relative_to(folder: Path) -> Iterator[None]:
    """While this lasts, relative paths in settings start at ``folder``: that of the configuration file."""
    token = _folder.set(folder)
    try:
        yield
    finally:
        _folder.reset(token)


def _anchored(path: Path) -> Path:
    return _folder.get(Path()) / path.expanduser()


def _file(path: Path) -> Path:
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    return path


def _folder_there(path: Path) -> Path:
    if not path.is_dir():
        raise ValueError(f"there is no folder {path}")
    return path


def _creatable(path: Path) -> Path:
    if not path.parent.is_dir():
        raise ValueError(f"there is no folder {path.parent} to hold the file")
    return path


def _resolve(value: Any) -> Any:
    """Follow ``{ env = "NAME" }`` and ``{ file = "/run/secrets/x" }``. A missing one is an error, never empty."""
    if not isinstance(value, Mapping):
        return value
    if list(value) == ["env"]:
        return _from_environment(str(value["env"]))
    if list(value) == ["file"]:
        return _from_file(_file(_anchored(Path(str(value["file"])))))
    raise ValueError('write the secret as { env = "NAME" } or { file = "PATH" }')


def _from_environment(name: str) -> str:
    found = os.environ.get(name)
    if not found:
        raise ValueError(f"the environment variable {name} is not set")
    return found


def _from_file(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as exc:
        raise ValueError(f"the file {path} cannot be read: {type(exc).__name__}") from None


def split_url(url: str) -> SplitResult:
    """Take a URL of scheme, host and path apart. Raises `ValueError`, which does not repeat it."""
    wrong = ValueError("must be a URL of scheme, host and path")
    if not _URL.fullmatch(url):
        raise wrong
    try:
        parts = urlsplit(url)
        if not parts.hostname or parts.port == 0:
            raise wrong
    except ValueError:
        raise wrong from None
    return parts


def _not_empty(secret: SecretStr) -> SecretStr:
    if not secret.get_secret_value():
        raise ValueError("the secret is empty")
    return secret


ExistingFile = Annotated[Path, AfterValidator(_anchored), AfterValidator(_file)]
"""A file that is there. Relative paths start at the folder of the configuration file."""

ExistingFolder = Annotated[Path, AfterValidator(_anchored), AfterValidator(_folder_there)]
"""A folder that is there. Relative paths start at the folder of the configuration file."""

NewFile = Annotated[Path, AfterValidator(_anchored), AfterValidator(_creatable)]
"""A file that openholder may create; its folder is there already."""

Secret = Annotated[SecretStr, BeforeValidator(_resolve), AfterValidator(_not_empty)]
"""A value that is never printed; written as ``{ env = "NAME" }`` or ``{ file = "PATH" }``."""
