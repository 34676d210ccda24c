"""The opaque cursor of FDX lists: where the next part begins, sealed so that nobody else can make or change one.

It names the last record of the part before, by its place in the list's order. Whatever comes or goes in between, the
next part begins behind that record.
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
    """Behind which record a part begins. The first part of a list has an empty one."""

    position: int = 0
    """How many records were handed over before, for lists that have no order of their own."""
    last: str = ""
    """The id of the last one."""
    moment: int | None = None
    """Its time (microseconds since 1970), where the list is ordered by one and it has one."""
    total: int = 0
    """How many records the list had when its first part was asked for."""


class Cursors:
    """Seals and opens cursors with the key in a file, which all processes that serve together must share.

    It is read, or made, for the first cursor: a holder without FDX data needs no such file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @cached_property
    def _fernet(self) -> Fernet:
        return Fernet(base64.urlsafe_b64encode(hashlib.sha256(kept_key(self._path)).digest()))

    def seal(self, cursor: Cursor, scope: Sequence[object]) -> str:
        """The text of a cursor, which opens for the same ``scope`` only: what makes this list and no other."""
        content = json.dumps([*astuple(cursor), _digest(scope)], ensure_ascii=False)
        return self._fernet.encrypt(content.encode()).decode("ascii").rstrip("=")

    def open(self, text: str, scope: Sequence[object]) -> Cursor:
        """The cursor in a text. Raises `RequestError` for one that was not made here for this list."""
        try:
            if len(text) > MAX_CURSOR:
                raise ValueError
            padded = text + "=" * (-len(text) % 4)
            *members, digest = json.loads(self._fernet.decrypt(padded.encode("ascii")))
            if digest != _digest(scope):
                raise ValueError
            return Cursor(*members)
        except (InvalidToken, ValueError, TypeError):
            raise RequestError(ErrorKind.FIELD_INVALID, "offset_invalid", detail="offset") from None


def kept_key(path: Path) -> bytes:
    """The key in the file, which is made (mode 0600) where it is not there yet. Several processes get the same one.

    Where the file can be neither read nor made the key is a new one: cursors then end with the process.
    """
    try:
        if not path.exists():
            _make_key(path)
        key = path.read_bytes()
        if len(key) < len(Fernet.generate_key()):
            raise ValueError("too short")
    except (OSError, ValueError) as exc:
        log.warning("no key of cursors can be kept in %s (%s): cursors end with this process", path, exc)
        return Fernet.generate_key()
    return key


def _make_key(path: Path) -> None:
    """Put a new key there, whole or not at all; another process may have been faster."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name) as fresh:
        fresh.write(Fernet.generate_key())
        fresh.flush()
        with contextlib.suppress(FileExistsError):
            os.link(fresh.name, path)


def _digest(scope: Sequence[object]) -> str:
    return hashlib.sha256(json.dumps(scope, sort_keys=True).encode()).hexdigest()[:16]
