"""Sign tokens as Fiskil does, with a locally generated key. Never for production: only this machine trusts the key."""

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
"""The file beside a configuration with the key that ``openholder token`` and ``serve --dev`` share."""
LIFETIME = 300
"""Default lifetime of a token in seconds."""
_ALGORITHMS = {
    f"{family}{bits}": algorithm(getattr(algorithm, f"SHA{bits}"))
    for family, algorithm in (("PS", RSAPSSAlgorithm), ("RS", RSAAlgorithm))
    for bits in (256, 384, 512)
}


class Signer:
    """An RSA key that signs tokens."""

    def __init__(self, key: rsa.RSAPrivateKey, kid: str) -> None:
        self._key = key
        self.kid = kid

    @classmethod
    def generate(cls, kid: str | None = None) -> Signer:
        """Generate a signer with a new 2048-bit key."""
        return cls(rsa.generate_private_key(public_exponent=65_537, key_size=2048), kid or str(uuid.uuid4()))

    @classmethod
    def load(cls, pem: bytes, kid: str) -> Signer:
        """Load a signer from its private key, in PEM.

        Raises:
            ValueError: The PEM does not contain an RSA key.
        """
        key = serialization.load_pem_private_key(pem, password=None)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise ValueError("the PEM does not contain an RSA key")
        return cls(key, kid)

    @classmethod
    def load_or_generate(cls, path: Path) -> Signer:
        """Load the signer's key from the file, which is created on first use and readable by its owner only."""
        if not path.exists():
            signer = cls.generate()
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(signer.private_bytes())
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise ValueError(f"{path} does not contain an RSA key")
        return cls(key, f"development-{key.public_key().public_numbers().n % 10**8:08d}")

    def private_bytes(self) -> bytes:
        """Encode the private key in PEM, for another process of this machine."""
        return self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def public_bytes(self, encoding: serialization.Encoding) -> bytes:
        """Encode the public key as a SubjectPublicKeyInfo."""
        return self._key.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)

    def public_jwk(self, **members: Any) -> dict[str, Any]:
        """Return the public key as a JWK, with ``members`` added. Without ``alg`` it is valid for PS256 and RS256."""
        jwk: dict[str, Any] = RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return {name: jwk[name] for name in ("kty", "n", "e")} | {"kid": self.kid, "use": "sig"} | members

    def jwks(self) -> bytes:
        """Return a JWK Set with only this key."""
        return json.dumps({"keys": [self.public_jwk()]}).encode()

    def sign_token(
        self, issuer: str, audience: str, *, lifetime: float = LIFETIME, algorithm: str = "PS256", **claims: Any
    ) -> str:
        """Sign a token for a request to ``audience`` (no query). ``claims`` replace claims; None removes one."""
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
        """Sign any header and payload, valid or not: bytes are used unchanged, anything else as JSON."""
        signed = f"{encode_part(header)}.{encode_part(payload)}"
        signature = _ALGORITHMS[algorithm].sign(signed.encode(), self._key)
        return f"{signed}.{encode_part(signature)}"


def encode_part(content: object) -> str:
    """Encode one part of a token: base64url of the bytes, or of the JSON of anything else (RFC 7515 section 2)."""
    encoded = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64url_encode(encoded).decode()
