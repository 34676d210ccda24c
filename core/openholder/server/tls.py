"""TLS for the public port: version 1.2 or later, and a certificate that is judged, and renewed without a restart."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

from cryptography import x509

log = logging.getLogger(__name__)

INTERVAL = 30.0
"""Seconds between two checks of the files."""
SOON = timedelta(days=30)
"""A certificate that expires within this time is reported."""
DAY = timedelta(days=1)

_EXPLANATIONS = {
    "": "tls_key is not a PEM private key",
    "EE_KEY_TOO_SMALL": "the certificate's key is too short: OpenSSL requires 2048 bits of RSA, or an elliptic curve",
    "KEY_VALUES_MISMATCH": "tls_key is not the key of tls_certificate: use the key that the certificate was issued for",
}
"""What OpenSSL's reasons mean. Without one, the key file could not be parsed."""


class UnusableCertificate(Exception):
    """The files are not a certificate and its key. The message says why and quotes neither."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate with its key, as a context for new connections, and what the certificate says of itself."""

    context: ssl.SSLContext
    not_before: datetime
    not_after: datetime
    names: frozenset[str]
    """Host names and addresses, such as ``data.example``, ``*.data.example`` and ``192.0.2.1``."""

    def covers(self, host: str) -> bool:
        """Return whether the certificate names ``host``. A wildcard stands for one label (RFC 9525 section 6.3)."""
        return host in self.names or f"*.{host.partition('.')[2]}" in self.names

    def find_problems(self, hosts: Collection[str], now: datetime) -> Iterator[tuple[int, str]]:
        """Find what callers will refuse, now (`logging.ERROR`) or soon or perhaps (`logging.WARNING`).

        Behind a proxy that connects with TLS, another name may be right.
        """
        left = self.not_after - now
        if left <= timedelta():
            yield logging.ERROR, f"expired on {_format(self.not_after)}: callers refuse it; install a renewed one"
        elif left <= SOON:
            yield logging.WARNING, f"expires on {_format(self.not_after)}, in {left / DAY:.1f} days: renew it"
        if now < self.not_before:
            message = f"is not valid before {_format(self.not_before)}: callers refuse it; check this machine's clock"
            yield logging.ERROR, message
        for host in hosts:
            if not self.covers(host):
                named = ", ".join(sorted(self.names)[:5]) or "no host at all"
                yield logging.WARNING, f"does not name {host}, the host of public_url; it names {named}"


def list_hosts(urls: Iterable[str]) -> list[str]:
    """Return the hosts of ``public_url``, which the certificate must name."""
    return list(dict.fromkeys(urlsplit(url).hostname or "" for url in urls))


def load_certificate(certificate: Path, key: Path) -> Certificate:
    """Load PEM files into a new context. Raises `UnusableCertificate` if they do not fit, never asks a passphrase."""
    try:
        leaf = x509.load_pem_x509_certificates(certificate.read_bytes())[0]
        names = _read_names(leaf)
    except OSError as exc:
        raise UnusableCertificate(f"tls_certificate cannot be read: {type(exc).__name__}") from exc
    except ValueError as exc:
        raise UnusableCertificate("tls_certificate is not a PEM certificate") from exc
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key, password=_refuse_to_ask)
    except ssl.SSLError as exc:
        reason = getattr(exc, "reason", None) or ""
        raise UnusableCertificate(_EXPLANATIONS.get(reason, f"OpenSSL refuses the pair: {reason}")) from exc
    except OSError as exc:
        raise UnusableCertificate(f"tls_key cannot be read: {type(exc).__name__}") from exc
    return Certificate(context, leaf.not_valid_before_utc, leaf.not_valid_after_utc, names)


def _read_names(leaf: x509.Certificate) -> frozenset[str]:
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()
    hosts = names.get_values_for_type(x509.DNSName)
    addresses = names.get_values_for_type(x509.IPAddress)
    return frozenset([*(host.lower() for host in hosts), *map(str, addresses)])


def _refuse_to_ask() -> NoReturn:
    """Refuse in place of OpenSSL's prompt, which would stop the event loop of a server on a terminal."""
    raise UnusableCertificate(
        "tls_key has a passphrase, which a server cannot ask for:"
        " store the key without one, readable only by the server's user (openssl pkey -in OLD -out NEW)"
    )


def _format(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


class CertificateFiles:
    """The files of a certificate and its key, and the last usable pair that was in them.

    Raises `UnusableCertificate` if there is none to start with.
    """

    def __init__(
        self,
        certificate: Path,
        key: Path,
        hosts: Collection[str],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._paths = (certificate, key)
        self._hosts = hosts
        self._now = now
        self._state = self._read_state()
        self._failure = ""
        self._told: date | None = None
        self.current = load_certificate(*self._paths)

    def count_days_left(self) -> float:
        """Return the days until the certificate in use expires, negative if it has."""
        return (self.current.not_after - self._now()) / DAY

    def find_problems(self) -> Iterator[tuple[int, str]]:
        """Find what is wrong with the certificate in use, and with files that were not taken into use."""
        if self._failure:
            yield logging.ERROR, f"not reloaded, the previous one stays in use: {self._failure}"
        yield from self.current.find_problems(self._hosts, self._now())

    def log_problems(self) -> None:
        """Log what is wrong with certificate and files."""
        self._told = self._now().date()
        for level, text in self.find_problems():
            log.log(level, "TLS certificate %s", text)

    async def follow(self, use: Callable[[ssl.SSLContext], None], interval: float = INTERVAL) -> None:
        """Hand each new usable pair to ``use``, and log problems at every change and once a day.

        A pair goes into a context of its own: loading one into the context in use would leave that without a key if
        the pair did not fit, as between the two copies of a renewal.
        """
        while True:
            await asyncio.sleep(interval)
            if await asyncio.to_thread(self._refresh):
                use(self.current.context)
            if self._now().date() != self._told:
                self.log_problems()

    def _refresh(self) -> bool:
        """Load the files if they have changed. Return whether there is a new pair to use."""
        state = self._read_state()
        if state == self._state:
            return False
        # Read before the files are: whatever changes in between is seen the next time.
        self._state = state
        try:
            self.current = load_certificate(*self._paths)
            self._failure = ""
            log.info("TLS certificate reloaded")
        except UnusableCertificate as exc:
            self._failure = str(exc)
        self.log_problems()
        return not self._failure

    def _read_state(self) -> list[tuple[int, int] | str]:
        """Read what changes with the files: ctime also with their mode and owner."""
        state: list[tuple[int, int] | str] = []
        for path in self._paths:
            try:
                found = path.stat()
                state.append((found.st_ino, found.st_ctime_ns))
            except OSError as exc:
                state.append(type(exc).__name__)
        return state
