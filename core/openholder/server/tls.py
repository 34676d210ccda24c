"""TLS for the public port: 1.2 at least, and a renewed certificate taken up without a restart."""

from __future__ import annotations

import asyncio
import logging
import ssl
from pathlib import Path

log = logging.getLogger(__name__)

INTERVAL = 30.0
"""Seconds between two looks at the files."""


def make_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """A server's context with the files loaded. Raises `ssl.SSLError` or `OSError` when they do not fit."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    return context


async def keep_current(context: ssl.SSLContext, certificate: Path, key: Path, interval: float = INTERVAL) -> None:
    """Load the files again whenever they change. Files that do not fit leave the old certificate in use."""
    seen = _state(certificate, key)
    while True:
        await asyncio.sleep(interval)
        try:
            state = _state(certificate, key)
            if state == seen:
                continue
            context.load_cert_chain(certificate, key)
            seen = state
            log.info("the TLS certificate was loaded again")
        except OSError as exc:  # ssl.SSLError is one
            log.error("the TLS certificate was not loaded again: %s", type(exc).__name__)


def _state(certificate: Path, key: Path) -> tuple[int, int, int, int]:
    first, second = certificate.stat(), key.stat()
    return first.st_ino, first.st_mtime_ns, second.st_ino, second.st_mtime_ns
