"""Signs tokens as Fiskil does, with a key made here. Never for production: nobody else knows this key."""

from __future__ import annotations

import json
import os
import time
import uuid
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm, RSAPSSAlgorithm
from jwt.utils import base64url_encode

DEVELOPMENT_KEY = "development-key.pem"
"""The file beside a configuration in which ``openholder token`` and ``serve --dev`` share a key."""
LIFETIME = 300
"""Seconds that a token is good for."""
_ALGORITHMS = {
    f"{family}{bits}": algorithm(getattr(algorithm, f"SHA{bits}"))
    for family, algorithm in (("PS", RSAPSSAlgorithm), ("RS", RSAAlgorithm))
    for bits in (256, 384, 512)
}


class Signer:
    """An RSA key and the tokens made with it."""

    def __init__(self, key: rsa.RSAPrivateKey, kid: str) -> None:
        self._key = key
        self.kid = kid

    @classmethod
    def generate(cls, kid: str | None = None) -> Signer:
        """A signer with a new key of 2048 bits."""
        return cls(rsa.generate_private_key(public_exponent=65_537, key_size=2048), kid or str(uuid.uuid4()))

    @classmethod
    def kept_in(cls, path: Path) -> Signer:
        """The signer whose key is in the file, which is made on first use and readable by its owner only."""
        if not path.exists():
            made = cls.generate()
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(made._private_pem())
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise ValueError(f"{path} holds no RSA key")
        return cls(key, f"development-{key.public_key().public_numbers().n % 10**8:08d}")

    def _private_pem(self) -> bytes:
        return self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def public_bytes(self, encoding: serialization.Encoding) -> bytes:
        """The public key as a SubjectPublicKeyInfo."""
        return self._key.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)

    def public_jwk(self, **members: Any) -> dict[str, Any]:
        """The public key as a member of a JWK Set. It names no algorithm, so it serves PS256 and RS256."""
        jwk: dict[str, Any] = RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return {name: jwk[name] for name in ("kty", "n", "e")} | {"kid": self.kid, "use": "sig"} | members

    def jwks(self) -> bytes:
        """A JWK Set with this key alone."""
        return json.dumps({"keys": [self.public_jwk()]}).encode()

    def token(
        self, issuer: str, audience: str, *, lifetime: float = LIFETIME, algorithm: str = "PS256", **claims: Any
    ) -> str:
        """A token for one request to the URI ``audience`` (no query). ``claims`` replace members; None removes one."""
        now = int(time.time())
        payload = {
            "iss": issuer,
            "sub": issuer,
            "aud": audience,
            "iat": now,
            "exp": now + lifetime,
            "jti": str(uuid.uuid4()),
            **claims,
        }
        present = {name: value for name, value in payload.items() if value is not None}
        return jwt.encode(present, self._key, algorithm=algorithm, headers={"kid": self.kid})

    def sign(self, header: object, payload: object, algorithm: str = "PS256") -> str:
        """A token of these parts, right or wrong: bytes as they are, all else as JSON. ``header`` need not fit."""
        signed = f"{part(header)}.{part(payload)}"
        signature = _ALGORITHMS[algorithm].sign(signed.encode(), self._key)
        return f"{signed}.{part(signature)}"


def part(content: object) -> str:
    """One part of a token: base64url of the bytes, or of what is not bytes as JSON (RFC 7515 section 2)."""
    written = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64url_encode(written).decode()
