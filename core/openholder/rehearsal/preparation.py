"""Prepare a rehearsal: read keys and documents, select the operations, and wait for the server."""

from __future__ import annotations

import asyncio
import difflib
import ipaddress
import json
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from openholder.contract.operations import OPERATIONS, Operation
from openholder.errors import Unreachable, UntrustedJSON
from openholder.fiskil.signer import Signer
from openholder.rehearsal.caller import Caller
from openholder.rehearsal.exchange import Request
from openholder.rehearsal.report.summary import redact_url
from openholder.rehearsal.server_document import parse_document, select_operations
from openholder.rehearsal.session import UNKNOWN_ID
from openholder.strict_json import parse_json

PATIENCE = 30
"""The minimum number of seconds that a server gets to fetch the keys: it may have tried in vain before."""
LARGEST_DOCUMENT = 8_388_608
"""The largest OpenAPI document, in bytes: 8 MiB."""


class UnusableOption(ValueError):
    """The value of an option names something that cannot be used."""

    def __init__(self, option: str, message: str) -> None:
        super().__init__(message)
        self.option = option


def is_on_this_machine(url: str) -> bool:
    """Tell whether all addresses of the URL's host are loopback addresses.

    Raises:
        Unreachable: The host has no address.
    """
    host = urlsplit(url).hostname or ""
    try:
        addresses = {row[4][0] for row in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        raise Unreachable(f"the host of {url} has no address") from None
    return all(ipaddress.ip_address(str(address).partition("%")[0]).is_loopback for address in addresses)


def load_signer(key: Path | None, jwks: Path | None) -> Signer:
    """Load or create the signer of the tokens.

    Args:
        key: File of the private key, created if it does not exist. Without it the key is new for each rehearsal.
        jwks: Key set in which the key is published already, which determines the key id.

    Raises:
        UnusableOption: A file cannot be read or written, or the key is not in the key set.
    """
    try:
        signer = Signer.load_or_generate(key) if key else Signer.generate()
    except (OSError, ValueError, TypeError) as exc:
        raise UnusableOption("--key", f"no RSA key can be read or created: {type(exc).__name__}") from None
    if jwks is None:
        return signer
    own = json.loads(signer.jwks())["keys"][0]
    try:
        published = parse_json(jwks.read_bytes())["keys"]
        kids = [key["kid"] for key in published if (key.get("n"), key.get("e")) == (own["n"], own["e"])]
    except (OSError, UntrustedJSON, LookupError, TypeError, AttributeError) as exc:
        raise UnusableOption(
            "--jwks", f"expected a JWK Set whose keys have a kid; found {type(exc).__name__}"
        ) from None
    if not kids:
        raise UnusableOption("--jwks", "the key set does not contain the public key of --key")
    signer.kid = kids[0]
    return signer


def load_trust(authority: Path | None) -> ssl.SSLContext | bool:
    """Load the certificate authority of the server; without a file, the system's authorities are trusted.

    Raises:
        UnusableOption: The file cannot be read, or is not a certificate.
    """
    try:
        return ssl.create_default_context(cafile=authority) if authority else True
    except (OSError, ssl.SSLError) as exc:
        raise UnusableOption("--ca", f"expected certificates in PEM; found {type(exc).__name__}") from None


async def load_operations(
    sectors: Sequence[str], document: str | None, http: aiohttp.ClientSession
) -> tuple[Operation, ...]:
    """Return the operations to rehearse.

    Args:
        sectors: If not empty, only operations of these sectors, the login and custom endpoints are returned.
        document: File or URL of the server's OpenAPI document. Without it, all current operations are returned:
            deprecated ones are behind a setting, so that only a document can show that they are served.
        http: Fetches the document.

    Raises:
        UnusableOption: The document cannot be read.
    """
    try:
        if document:
            operations = select_operations(parse_document(await _read_document(document, http)))
        else:
            operations = tuple(operation for operation in OPERATIONS if not operation.deprecated)
    except (OSError, ValueError, aiohttp.ClientError, TimeoutError) as exc:
        # Only the texts of a plain ValueError are the project's own.
        raise UnusableOption("--openapi", str(exc) if type(exc) is ValueError else type(exc).__name__) from None
    wanted = {*sectors, "auth", "custom"}
    return tuple(operation for operation in operations if not sectors or operation.sector in wanted)


def choose_only(operations: Sequence[Operation], names: Sequence[str]) -> tuple[Operation, ...]:
    """Return the named operations with those whose responses have the ids for them: the login, accounts and lists.

    Raises:
        UnusableOption: There is no operation of a name.
    """
    by_name = {operation.name: operation for operation in operations}
    for name in names:
        if name not in by_name and name in {operation.name for operation in OPERATIONS}:
            raise UnusableOption("--only", f"{name} is not one of the operations that --sector and --openapi select")
        if name not in by_name:
            near = difflib.get_close_matches(name, by_name, 1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise UnusableOption("--only", f"no operation has this name: {hint}openholder routes prints all of them")
    named = [by_name[name] for name in names]
    lists = {each.collection for each in named} | {f"{each.sector}.accounts" for each in named}
    return tuple(
        operation
        for operation in operations
        if operation in named or operation.sector == "auth" or (operation.collection in lists and operation.reply.many)
    )


async def _read_document(document: str, http: aiohttp.ClientSession) -> bytes:
    if not document.startswith(("http://", "https://")):
        return Path(document).read_bytes()  # noqa: ASYNC240 - nothing else runs yet
    async with http.get(document, allow_redirects=False) as response:
        content = bytearray()
        async for part in response.content.iter_chunked(65_536):
            content += part
            if len(content) > LARGEST_DOCUMENT:
                raise ValueError(f"the document is larger than {LARGEST_DOCUMENT >> 20} MiB")
        if response.status != 200:
            raise ValueError(f"the document was answered with status {response.status}")
    return bytes(content)


async def check_reachable(url: str, http: aiohttp.ClientSession) -> None:
    """Send one request to the server and ignore the response.

    Raises:
        Unreachable: There was no response.
    """
    try:
        async with http.get(url, allow_redirects=False):
            pass
    except (aiohttp.ClientError, OSError, TimeoutError) as exc:
        hint = "start the server, or correct the URL"
        if isinstance(exc, aiohttp.ClientConnectorCertificateError):
            hint = "for a private certificate authority use --ca"
        elif isinstance(exc, aiohttp.ClientSSLError):
            hint = "this port speaks no TLS that this machine accepts: is the URL one of http?"
        elif isinstance(exc, aiohttp.ServerDisconnectedError | aiohttp.ClientResponseError):
            hint = "this port speaks no HTTP: is the URL one of https?"
        raise Unreachable(f"{redact_url(url)} does not answer ({type(exc).__name__}): {hint}") from None


async def wait_until_ready(caller: Caller) -> None:
    """Wait while the server answers with 503, because it has not fetched the keys yet."""
    request = Request(method="GET", path=f"/auth/v1/customer/{UNKNOWN_ID}/accounts")
    for _ in range(PATIENCE):
        if (await caller.send(request)).status != 503:
            break
        await asyncio.sleep(1)
