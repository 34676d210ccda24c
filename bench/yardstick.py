"""A fixed piece of work, to compare what was measured on one machine with what is measured on another."""

from __future__ import annotations

import json
import time

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa


class Yardstick:
    """The piece of work: one RSA-2048 verification, and one page of transactions to JSON and back."""

    def __init__(self) -> None:
        key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
        self._padding = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
        self._signature = key.sign(b"token", self._padding, hashes.SHA256())
        self._key = key.public_key()
        self._page = [{f"member{n}": f"value {n} of {row}" for n in range(10)} for row in range(25)]
        self.us = 0.0

    def measure(self, times: int = 60, tries: int = 3) -> float:
        """Return the CPU microseconds of the piece, the best of some tries."""
        best = min(self._run(times) for _ in range(tries))
        self.us = min(best, self.us or best)
        return best

    def _run(self, times: int) -> float:
        started = time.process_time()
        for _ in range(times):
            self._key.verify(self._signature, b"token", self._padding, hashes.SHA256())
            # With an indent the encoder is Python code: how fast the interpreter is counts, too.
            json.loads(json.dumps(self._page, indent=1))
        return (time.process_time() - started) / times * 1e6
