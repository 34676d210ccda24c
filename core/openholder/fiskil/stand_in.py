"""A stand-in for Fiskil on loopback: it serves the keys, and signs and forwards requests to one server.

It makes every customer's data available without a token, to whoever can connect. So it listens on loopback only, and
refuses what a page of another site can make a browser send.
"""

from __future__ import annotations

import socket
import ssl
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPServerRequest
from tornado.web import Application, RequestHandler
from yarl import URL

from openholder.contract.operation import JSON
from openholder.contract.operations import Operation
from openholder.fiskil.examples import describe_operations
from openholder.fiskil.signer import Signer
from openholder.server.connections import bind
from openholder.server.pages import PAGE_HEADERS, is_of_another_site
from openholder.setting_types import is_loopback

CLAIMS_HEADER = "Openholder-Token"
"""The header of a response with header and claims of the token that was sent: encoded, and without the signature."""
MAX_BODY = 1_048_576
"""Bytes of a request: more than any operation accepts."""
TIMEOUT = 60
"""Seconds to wait for the server: longer than it takes for any request."""
INTERACTION = "X-Fapi-Interaction-Id"
RETURNED = ("Content-Type", INTERACTION, "Retry-After", "Allow", "WWW-Authenticate")
"""Headers of the server's response that are returned."""
ASSETS = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
}
"""The files of the page by path."""


@dataclass(frozen=True, slots=True)
class Target:
    """The server that a stand-in forwards to, and what its tokens say."""

    url: str
    """Where it listens."""
    public_url: str
    """The ``aud`` of a token, without the path of the request."""
    issuer: str
    certificate: Path | None = None
    """The server's own certificate. No other one is trusted, whatever name it has."""

    @classmethod
    def listening_on(
        cls, host: str, port: int, public_url: str, issuer: str, certificate: Path | None = None
    ) -> Target:
        """Describe the server that listens at an address, or at all addresses."""
        host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - what to call instead
        scheme = "https" if certificate else "http"
        return cls(f"{scheme}://{_bracket(host)}:{port}", public_url, issuer, certificate)

    def load_trust(self) -> ssl.SSLContext | bool:
        """Load the certificate, which may have been renewed since the last request."""
        if self.certificate is None:
            return True
        context = ssl.create_default_context(cafile=self.certificate)
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        return context


@dataclass(frozen=True, slots=True)
class StandIn:
    """What the handlers share."""

    signer: Signer
    target: Target
    http: aiohttp.ClientSession
    operations: dict[str, Any]
    hosts: frozenset[str]
    """The values of Host that only this machine uses for the stand-in."""


class _Handler(RequestHandler):
    """Refuses requests that a page of another site may have sent."""

    def initialize(self, stand_in: StandIn) -> None:
        self._stand_in = stand_in

    def set_default_headers(self) -> None:
        for name, value in PAGE_HEADERS.items():
            self.set_header(name, value)
        self.clear_header("Server")

    def prepare(self) -> None:
        if fault := find_foreign_origin(self.request, self._stand_in.hosts):
            self.refuse(403, fault)

    def refuse(self, status: int, reason: str) -> None:
        """Answer with a reason instead."""
        self.set_status(status)
        self.finish({"error": reason})

    def write_error(self, status_code: int, **_: Any) -> None:
        self.refuse(status_code, "the stand-in for Fiskil does not take this request: it forwards GET and POST")

    def compute_etag(self) -> None:
        """Return none: nothing is kept."""


class _Keys(_Handler):
    def get(self) -> None:
        self.set_header("Content-Type", JSON)
        self.finish(self._stand_in.signer.jwks())


class _Asset(_Handler):
    def get(self) -> None:
        name, media = ASSETS[self.request.path]
        self.set_header("Content-Type", f"{media}; charset=utf-8")
        self.finish((files("openholder.fiskil") / name).read_bytes())


class _Operations(_Handler):
    def get(self) -> None:
        self.finish(self._stand_in.operations)


class _Forward(_Handler):
    async def get(self) -> None:
        await self._forward()

    async def post(self) -> None:
        await self._forward()

    async def _forward(self) -> None:
        """Send the request to the server, as Fiskil does: with a token of its own, and a body that is JSON."""
        target, uri, body = self._stand_in.target, self.request.uri or "", self.request.body
        if not uri.startswith("/"):  # RFC 9112 section 3.2.2: a request to a proxy names another host
            self.refuse(400, "the target of the request must be a path")
            return
        token = self._stand_in.signer.sign_token(target.issuer, target.public_url + uri.partition("?")[0])
        headers = {
            "Authorization": f"Bearer {token}",
            "Accept": self.request.headers.get("Accept", "*/*"),
            INTERACTION: self.request.headers.get(INTERACTION, str(uuid.uuid4())),
            **({"Content-Type": JSON} if body else {}),
        }
        began = time.perf_counter()
        try:
            async with self._stand_in.http.request(
                self.request.method or "GET",
                URL(target.url + uri, encoded=True),
                data=body or None,
                headers=headers,
                ssl=target.load_trust(),
                allow_redirects=False,
            ) as response:
                content = await response.read()
        except (aiohttp.ClientError, OSError, ValueError, TimeoutError) as exc:
            self.refuse(502, f"the server does not answer: {type(exc).__name__}")
            return
        seconds = time.perf_counter() - began
        self.set_status(response.status)
        for name in RETURNED:
            if name in response.headers:
                self.set_header(name, response.headers[name])
        self.set_header("Server-Timing", f"server;dur={1000 * seconds:.1f}")
        self.set_header(CLAIMS_HEADER, token.rpartition(".")[0])
        self.finish(content)


def _bracket(host: str) -> str:
    """Write a host as URLs do: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


def find_foreign_origin(request: HTTPServerRequest, hosts: frozenset[str]) -> str:
    """Find out whether a page of another site may have sent a request.

    Args:
        request: The request, of which only headers are read.
        hosts: The values of Host that are allowed, in lower case.

    Returns:
        What is wrong, or an empty text.
    """
    host = request.host.lower()
    if host not in hosts:  # a name of somebody else that leads to this machine: DNS rebinding
        return f"the header Host must be one of {', '.join(sorted(hosts))}"
    if is_of_another_site(request):
        return "requests of other sites are refused"
    return ""


@asynccontextmanager
async def stand_in(
    jwks_url: str,
    signer: Signer,
    target: Target,
    operations: Sequence[Operation],
    sockets: list[socket.socket] | None = None,
) -> AsyncIterator[str]:
    """Stand in for Fiskil for the duration of the block, which gets the URL of the page.

    Args:
        jwks_url: Where the keys are served. Everything else at this host and port is the page, or forwarded.
        signer: Signs the tokens.
        target: The server to forward to.
        operations: What the page offers.
        sockets: Listening sockets to use instead of the URL's host and port.

    Raises:
        Unreachable: The port is unavailable.
        ValueError: The sockets are not on loopback.
    """
    parts = urlsplit(jwks_url)
    sockets = sockets or bind(parts.hostname or "127.0.0.1", parts.port or 80)
    if not all(is_loopback(one.getsockname()[0]) for one in sockets):
        raise ValueError("the stand-in for Fiskil must listen on a loopback address")
    port, name = sockets[0].getsockname()[1], _bracket(parts.hostname or "127.0.0.1")
    names = {"127.0.0.1", "localhost", "[::1]", name}
    hosts = frozenset(f"{each}:{port}" for each in names) | (names if port == 80 else frozenset())
    timeout = aiohttp.ClientTimeout(total=TIMEOUT)
    async with aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as http:
        shared = StandIn(signer, target, http, describe_operations(operations, target.public_url), hosts)
        given = {"stand_in": shared}
        routes: list[Any] = [(parts.path or "/", _Keys, given), (r"/operations\.json", _Operations, given)]
        routes += [(path.replace(".", r"\."), _Asset, given) for path in ASSETS]
        application = Application([*routes, (r".*", _Forward, given)], log_function=lambda _: None)
        server = HTTPServer(application, max_body_size=MAX_BODY, max_buffer_size=2 * MAX_BODY)
        server.add_sockets(sockets)
        try:
            yield f"http://{name}:{port}/"
        finally:
            server.stop()
            await server.close_all_connections()
