"""Types for settings: secrets, URLs, files and folders."""

from __future__ import annotations

import ipaddress
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
_state_folder: ContextVar[Path] = ContextVar("openholder_state_folder")


@contextmanager
def paths_relative_to(folder: Path, state_folder: Path | None = None) -> Iterator[None]:
    """Resolve relative paths in settings for the duration of the block.

    Args:
        folder: Where they start: the folder of the configuration file.
        state_folder: Where files are that the server writes and no setting names. Default: the same folder.
    """
    token = _folder.set(folder)
    state_token = _state_folder.set(_make_absolute(state_folder) if state_folder else folder)
    try:
        yield
    finally:
        _state_folder.reset(state_token)
        _folder.reset(token)


def place_state_file(name: str) -> Path:
    """Return the default path of a file that the server writes.

    Args:
        name: Its name.
    """
    return _state_folder.get(Path()) / name


def _make_absolute(path: Path) -> Path:
    return _folder.get(Path()) / path.expanduser()


def _check_file(path: Path) -> Path:
    if not path.is_file():
        raise ValueError(f"file not found: {path}; create it, or correct the path")
    return path


def _check_folder(path: Path) -> Path:
    if not path.is_dir():
        raise ValueError(f"folder not found: {path}; create it, or correct the path")
    return path


def _check_parent(path: Path) -> Path:
    if not path.parent.is_dir():
        raise ValueError(f"folder not found: {path.parent}; create it first")
    return path


def _resolve_secret(value: Any) -> Any:
    """Read ``{ env = "NAME" }`` or ``{ file = "/run/secrets/x" }``. A missing one is an error; it is never empty."""
    if not isinstance(value, Mapping):
        return value
    if list(value) == ["env"]:
        name = str(value["env"])
        found = os.environ.get(name)
        if not found:
            raise ValueError(f'the environment variable {name} is not set: set it, or write {{ file = "PATH" }}')
        return found
    if list(value) == ["file"]:
        path = _check_file(_make_absolute(Path(str(value["file"]))))
        try:
            return path.read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as exc:
            raise ValueError(f"the file {path} cannot be read: {type(exc).__name__}") from None
    raise ValueError('a secret is written as { env = "NAME" } or { file = "PATH" }')


def split_url(url: str) -> SplitResult:
    """Parse a URL that has a scheme, a host and optionally a port and a path.

    Args:
        url: The URL. User, password, query and fragment are not allowed.

    Returns:
        Its parts, as `urllib.parse.urlsplit` returns them.

    Raises:
        ValueError: It is not such a URL. The message does not quote it: it may contain a secret.
    """
    try:
        parts = urlsplit(url)
        is_valid = bool(_URL.fullmatch(url) and parts.hostname and parts.port != 0)
    except ValueError:
        is_valid = False
    if not is_valid:
        raise ValueError("must be a URL of scheme, host and path, such as https://data.example.com")
    return parts


def is_loopback(host: str | None) -> bool:
    """Tell whether a host can only be this machine: ``localhost``, 127.0.0.0/8 or ::1.

    Args:
        host: A name or address, such as the ``hostname`` of a split URL. No name is looked up.

    Returns:
        False for every other host, and for none.
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def check_secure_url(url: str) -> str:
    """Return the URL if what is sent there is encrypted, or stays on this machine. Raise `ValueError` otherwise."""
    parts = split_url(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname)):
        raise ValueError("must be https (http is allowed for loopback addresses only)")
    return url


SecureURL = Annotated[str, AfterValidator(check_secure_url)]
"""A setting with a URL to which secrets may be sent: https, or http to this machine."""


def _check_not_empty(secret: SecretStr) -> SecretStr:
    if not secret.get_secret_value():
        raise ValueError("the secret is empty")
    return secret


ExistingFile = Annotated[Path, AfterValidator(_make_absolute), AfterValidator(_check_file)]
"""A setting: the path of an existing file. Relative paths start at the folder of the configuration file."""

ExistingFolder = Annotated[Path, AfterValidator(_make_absolute), AfterValidator(_check_folder)]
"""A setting: the path of an existing folder. Relative paths start at the folder of the configuration file."""

NewFile = Annotated[Path, AfterValidator(_make_absolute), AfterValidator(_check_parent)]
"""A setting: the path of a file that may be created, in an existing folder. Relative paths as in `ExistingFile`."""

Secret = Annotated[SecretStr, BeforeValidator(_resolve_secret), AfterValidator(_check_not_empty)]
"""A setting: a `pydantic.SecretStr`, which is never printed; get its text with ``get_secret_value()``.

In the configuration write ``{ env = "NAME" }`` or ``{ file = "PATH" }``. A missing or empty value is a mistake, and so
is an environment variable that is not set.
"""
