"""The key set that a rehearsal serves: its key, and a second one that appears and disappears."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field

from openholder.fiskil.signer import Signer


@dataclass
class PublishedKeys:
    """The signers whose keys are published, and how often they were fetched."""

    signer: Signer
    added: Signer | None = None
    """A signer whose key was published later."""
    is_published: bool = False
    """Whether the key of `added` is in the set."""
    changed: float = 0.0
    """When it was published or withdrawn, in seconds of the monotonic clock."""
    fetches: list[float] = field(default_factory=list)
    """When the set was fetched, in seconds of the monotonic clock."""

    def serve(self) -> bytes:
        """Return the JWK Set, and count the fetch."""
        self.fetches.append(time.monotonic())
        signers = [self.signer, *([self.added] if self.added and self.is_published else ())]
        return json.dumps({"keys": [signer.public_jwk() for signer in signers]}).encode()

    def publish(self, signer: Signer) -> None:
        """Add the key of a signer behind that of the first."""
        self.added, self.is_published, self.changed = signer, True, time.monotonic()

    def withdraw(self) -> None:
        """Remove the key of the signer that was added."""
        self.is_published, self.changed = False, time.monotonic()

    @property
    def fetches_since(self) -> int:
        """The number of fetches since the set changed."""
        return sum(moment > self.changed for moment in self.fetches)
