"""What the values of ``openholder rehearse``'s options come to: checked, read and looked up before anything is sent."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import re
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import aiohttp
import click

from openholder.contract.operations import OPERATIONS, Operation
from openholder.errors import Unreachable, UntrustedJSON
from openholder.fiskil.signer import Signer
from openholder.rehearsal.caller import Caller
from openholder.rehearsal.exchange import Request
from openholder.rehearsal.report.summary import address
from openholder.rehearsal.server_document import parse_document, select_operations
from openholder.rehearsal.session import UNKNOWN_ID
from openholder.strict_json import parse_json

UNITS = {"s": 1, "m": 60, "": 1}
PATIENCE = 30
"""Seconds, at least, that a server gets to fetch the keys, which it may have asked for in vain until now."""
LARGEST_DOCUMENT = 8_388_608
"""Bytes of an OpenAPI document: 8 MiB."""


def base(value: str) -> str:
    """The URL of a server, without a slash at its end."""
    try:
        parts = urlsplit(value)
        named = bool(parts.scheme in ("http", "https") and parts.hostname and parts.port != 0)
    except ValueError:
        named = False
    if not named or re.search(r"[\s?#@]", value):
        raise click.BadParameter("give http:// or https://, a host, and no user, query or fragment")
    return value.rstrip("/")


def duration(value: str) -> float:
    """A time such as 60s or 2m, in seconds."""
    found = re.fullmatch(r"([0-9]{1,6})([sm]?)", value)
    if not found or not int(found[1]):
        raise click.BadParameter("write it as 60s or 2m")
    return int(found[1]) * UNITS[found[2]]


def place(value: str) -> str:
    """A host and a port to listen on."""
    found = re.fullmatch(r"([\w.-]+|\[[0-9a-fA-F:]+\]):([0-9]{1,5})", value)
    if not found or not 0 < int(found[2]) < 65_536:
        raise click.BadParameter("write it as 127.0.0.1:8899")
    return value


def on_this_machine(url: str) -> bool:
    """Whether every address of the URL's host is this machine's own. Raises `Unreachable` where it has none."""
    host = urlsplit(url).hostname or ""
    try:
        found = {row[4][0] for row in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        raise Unreachable(f"the host of {url} has no address") from None
    return all(ipaddress.ip_address(str(each).partition("%")[0]).is_loopback for each in found)


def signing(key: Path | None, published: Path | None) -> Signer:
    """Who signs: a new key, the one that is kept, or that with the kid under which it is published."""
    try:
        signer = Signer.kept_in(key) if key else Signer.generate()
    except (OSError, ValueError, TypeError) as exc:
        raise click.BadParameter(f"no RSA key can be kept there: {type(exc).__name__}", param_hint="--key") from None
    if published:
        signer.kid = _kid(signer, published)
    return signer


def _kid(signer: Signer, published: Path) -> str:
    own = json.loads(signer.jwks())["keys"][0]
    try:
        rows = parse_json(published.read_bytes())["keys"]
        kids = [row["kid"] for row in rows if (row.get("n"), row.get("e")) == (own["n"], own["e"])]
    except (OSError, UntrustedJSON, LookupError, TypeError, AttributeError) as exc:
        raise click.BadParameter(f"no JWK Set with kids: {type(exc).__name__}", param_hint="--jwks") from None
    if not kids:
        raise click.BadParameter("the public part of --key is not among its keys", param_hint="--jwks")
    return cast(str, kids[0])


def trusted(authority: Path | None) -> ssl.SSLContext | bool:
    """Whose certificates are good: the system's authorities, or this one."""
    try:
        return ssl.create_default_context(cafile=authority) if authority else True
    except (OSError, ssl.SSLError) as exc:
        raise click.BadParameter(f"no certificate in PEM: {type(exc).__name__}", param_hint="--ca") from None


async def operations_for(
    sectors: Sequence[str], document: str | None, session: aiohttp.ClientSession
) -> tuple[Operation, ...]:
    """The operations to rehearse: those of the document or else all that are current, of the sectors."""
    try:
        known = select_operations(parse_document(await _content(document, session))) if document else _current()
    except (OSError, ValueError, aiohttp.ClientError, TimeoutError) as exc:
        reason = exc if type(exc) is ValueError else type(exc).__name__
        raise click.BadParameter(str(reason), param_hint="--openapi") from None
    wanted = {*sectors, "auth", "custom"}
    return tuple(each for each in known if not sectors or each.sector in wanted)


def _current() -> tuple[Operation, ...]:
    # Deprecated lists are behind a setting of the servers: only a document tells that they are there.
    return tuple(each for each in OPERATIONS if not each.deprecated)


async def _content(document: str, session: aiohttp.ClientSession) -> bytes:
    if not document.startswith(("http://", "https://")):
        return Path(document).read_bytes()  # noqa: ASYNC240 - nothing else runs yet
    async with session.get(document, allow_redirects=False) as response:
        content = await response.content.read(LARGEST_DOCUMENT + 1)
        while len(content) <= LARGEST_DOCUMENT and (part := await response.content.read(LARGEST_DOCUMENT)):
            content += part
        if response.status != 200 or len(content) > LARGEST_DOCUMENT:
            raise ValueError(f"status {response.status}, {len(content)} bytes")
    return content


async def reach(url: str, session: aiohttp.ClientSession) -> None:
    """See whether anything answers there, whatever it says. Raises `Unreachable`."""
    try:
        async with session.get(url, allow_redirects=False):
            pass
    except (aiohttp.ClientError, OSError, TimeoutError) as exc:
        hint = "; for a certificate of your own give --ca" if isinstance(exc, aiohttp.ClientSSLError) else ""
        raise Unreachable(f"{address(url)} does not answer: {type(exc).__name__}{hint}") from None


async def ready(caller: Caller) -> None:
    """Wait while the server answers with 503, as one does that has no keys yet."""
    request = Request(method="GET", path=f"/auth/v1/customer/{UNKNOWN_ID}/accounts")
    for _ in range(PATIENCE):
        if (await caller.send(request)).status != 503:
            break
        await asyncio.sleep(1)
