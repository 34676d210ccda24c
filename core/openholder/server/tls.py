"""TLS for the public port: version 1.2 or later, and renewed certificates without a restart."""

from __future__ import annotations

import asyncio
import logging
import ssl
from pathlib import Path

log = logging.getLogger(__name__)

INTERVAL = 30.0
"""Seconds between two checks of the files."""


def make_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Make a server context from PEM files. Raises `ssl.SSLError` or `OSError` if they cannot be used."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    return context


async def reload_on_change(context: ssl.SSLContext, certificate: Path, key: Path, interval: float = INTERVAL) -> None:
    """Reload the files whenever they change. If they cannot be used, the current certificate stays."""
    seen = _stat_files(certificate, key)
    while True:
        await asyncio.sleep(interval)
        try:
            state = _stat_files(certificate, key)
            if state == seen:
                continue
            context.load_cert_chain(certificate, key)
            seen = state
            log.info("TLS certificate reloaded")
        except OSError as exc:  # ssl.SSLError is one
            log.error("TLS certificate not reloaded; keeping the current one: %s", type(exc).__name__)


def _stat_files(certificate: Path, key: Path) -> tuple[int, int, int, int]:
    first, second = certificate.stat(), key.stat()
    return first.st_ino, first.st_mtime_ns, second.st_ino, second.st_mtime_ns
