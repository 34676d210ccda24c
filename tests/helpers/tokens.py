"""Tokens that are right, or wrong in any part, and the signer whom nobody knows."""

from __future__ import annotations

import base64
import json
import time
import uuid
from dataclasses import dataclass
from typing import Any

from jwt.algorithms import RSAAlgorithm, RSAPSSAlgorithm

from helpers.people import BALANCE
from helpers.support import ISSUER
from openholder.fiskil.signer import Signer

ABSENT = object()
"""Leaves a member of a token out; None is null."""

STRANGER = Signer.generate("k1")
"""Somebody else, who calls his key what Fiskil calls its own."""

ALGORITHMS = {"PS256": RSAPSSAlgorithm(RSAPSSAlgorithm.SHA256), "RS256": RSAAlgorithm(RSAAlgorithm.SHA256)}


def encode_base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode_base64url(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


@dataclass
class Mint:
    """Makes tokens, right or wrong in any part, signed with ``signer`` for the URI of ``path``."""

    signer: Signer
    base_url: str
    path: str = BALANCE
    algorithm: str = "PS256"
    stopped_at: int | None = None
    """The time of all tokens, if time stands still."""

    @property
    def uri(self) -> str:
        return self.base_url + self.path

    @property
    def now(self) -> int:
        return int(time.time()) if self.stopped_at is None else self.stopped_at

    def header(self, **changes: Any) -> dict[str, Any]:
        members = {"alg": self.algorithm, "kid": self.signer.kid, "typ": "JWT", **changes}
        return {name: value for name, value in members.items() if value is not ABSENT}

    def claims(self, **changes: Any) -> dict[str, Any]:
        members = {
            "iss": ISSUER,
            "sub": ISSUER,
            "aud": self.uri,
            "iat": self.now,
            "exp": self.now + 300,
            "jti": str(uuid.uuid4()),
            **changes,
        }
        return {name: value for name, value in members.items() if value is not ABSENT}

    def token(self, *, header: Any = None, **claims: Any) -> str:
        """Return a token with a good signature over a header and claims with these changes."""
        return self.sign(self.header(**(header or {})), self.claims(**claims))

    def sign(self, header: Any, payload: Any) -> str:
        """Sign parts given as objects, text or bytes."""
        parts = ".".join(encode_base64url(_serialize(part)) for part in (header, payload))
        signature = ALGORITHMS[self.algorithm].sign(parts.encode(), self.signer._key)
        return f"{parts}.{encode_base64url(signature)}"


def _serialize(part: Any) -> bytes:
    if isinstance(part, bytes):
        return part
    return part.encode() if isinstance(part, str) else json.dumps(part).encode()
