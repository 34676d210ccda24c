"""The opaque cursor of FDX lists: where the next part begins, encrypted so that callers can neither read nor forge it.

It names the last record of the part before, by its place in the list's order. Whatever is added or removed in the
meantime, the next part begins after that record.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from functools import cached_property
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken

from openholder.contract.errors import ErrorKind, RequestError

log = logging.getLogger(__name__)

MAX_CURSOR = 4096


@dataclass(frozen=True, slots=True)
class Cursor:
    """The record after which a part begins. The first part of a list has an empty one."""

    position: int = 0
    """The number of records returned before, for lists that have no order of their own."""
    last: str = ""
    """The id of the last of them."""
    moment: int | None = None
    """Its time in microseconds since 1970, if the list is sorted by one and it has one."""
    total: int = 0
    """The number of records in the list when its first part was requested."""
    place: int = 0
    """The number of records of that same moment up to this one, when its part was returned."""


class Cursors:
    """Seals and opens cursors with the key in a file, which all processes that serve together must share.

    The key is read, or created, for the first cursor: a holder without FDX data needs no such file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @cached_property
    def _fernet(self) -> Fernet:
        return Fernet(base64.urlsafe_b64encode(hashlib.sha256(load_key(self._path)).digest()))

    def seal(self, cursor: Cursor, scope: Sequence[object]) -> str:
        """Encrypt a cursor. It opens only for the same ``scope``: what makes this list different from others."""
        content = json.dumps([*astuple(cursor), _digest(scope)], ensure_ascii=False)
        return self._fernet.encrypt(content.encode()).decode("ascii").rstrip("=")

    def open(self, text: str, scope: Sequence[object], name: str = "offset") -> Cursor:
        """Decrypt a cursor.

        Args:
            text: The cursor.
            scope: What makes this list different from others.
            name: The parameter that had it, for the error.

        Raises:
            RequestError: It was not issued here for this list.
        """
        try:
            if len(text) > MAX_CURSOR:
                raise ValueError
            padded = text + "=" * (-len(text) % 4)
            *members, digest = json.loads(self._fernet.decrypt(padded.encode("ascii")))
            if digest != _digest(scope):
                raise ValueError
            return Cursor(*members)
        except (InvalidToken, ValueError, TypeError):
            raise RequestError(ErrorKind.FIELD_INVALID, "offset_invalid", detail=name) from None


def load_key(path: Path) -> bytes:
    """Read the key from its file, creating that (mode 0600) if it does not exist. Several processes get the same key.

    If the file can be neither read nor created, the key is a new one and cursors expire with the process.
    """
    try:
        if not path.exists():
            _create_key(path)
        key = path.read_bytes()
        if len(key) < len(Fernet.generate_key()):
            raise ValueError("too short")
    except (OSError, ValueError) as exc:
        log.warning("cursor_key: cannot use %s (%s); cursors will expire with this process", path, exc)
        return Fernet.generate_key()
    return key


def _create_key(path: Path) -> None:
    """Write a new key atomically. If another process was faster, its key stays."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name) as fresh:
        fresh.write(Fernet.generate_key())
        fresh.flush()
        with contextlib.suppress(FileExistsError):
            os.link(fresh.name, path)


def _digest(scope: Sequence[object]) -> str:
    return hashlib.sha256(json.dumps(scope, sort_keys=True).encode()).hexdigest()[:16]
