"""The lines of an audit trail: JSON objects, each with a hash over itself and the hash of the line before.

Whoever changes, removes or inserts a line has to compute all later hashes anew, and with a key cannot.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

FIRST = "0" * 64
"""What stands for the hash of the line before the first one."""
_END = b',"hash":"'
_LENGTH = len(_END) + 64 + len(b'"}\n')


class BrokenLine(ValueError):
    """A line is not what an audit trail has written. The message does not quote it."""


class Chain:
    """Seals lines and checks them.

    Args:
        key: The secret of the trail; empty for hashes that anybody can compute.
    """

    def __init__(self, key: bytes) -> None:
        # A key of its own: that of the pseudonyms is told to more people.
        self._key = hmac.digest(key, b"openholder audit chain", "sha256") if key else b""

    def seal(self, members: Mapping[str, Any], previous: str) -> tuple[bytes, str]:
        """Make the line of some members. Return it with its hash."""
        body = json.dumps(members, separators=(",", ":")).encode()
        found = self._hash(body, previous)
        return body[:-1] + _END + found.encode() + b'"}\n', found

    def is_intact(self, line: bytes, previous: str) -> bool:
        """Return whether the hash of a line is that of its content, after a line with the hash ``previous``."""
        found = line[-_LENGTH + len(_END) : -len(b'"}\n')].decode("ascii", "replace")
        return hmac.compare_digest(self._hash(line[:-_LENGTH] + b"}", previous).encode(), found.encode())

    def _hash(self, body: bytes, previous: str) -> str:
        content = previous.encode() + body
        return hmac.digest(self._key, content, "sha256").hex() if self._key else hashlib.sha256(content).hexdigest()


def read_line(line: bytes) -> dict[str, Any]:
    """Read a line without a look at its hash.

    Raises:
        BrokenLine: It is torn, or is no line of an audit trail.
    """
    if not line.endswith(b'"}\n') or line[-_LENGTH : -_LENGTH + len(_END)] != _END:
        raise BrokenLine("is torn, or was not written by an audit trail")
    try:
        members = json.loads(line)
    except ValueError:
        raise BrokenLine("is not JSON") from None
    if not isinstance(members, dict):
        raise BrokenLine("is not a JSON object")
    return members
