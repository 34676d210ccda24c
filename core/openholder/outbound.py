"""Requests that this server makes of others: through which proxy, under which name, and what to say when they fail."""

from __future__ import annotations

import ipaddress
import re
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import SplitResult, urlsplit

if TYPE_CHECKING:
    import aiohttp

from openholder._version import __version__
from openholder.errors import OpenholderError
from openholder.setting_types import is_loopback

_CODING = re.compile(r"[A-Za-z0-9._+, -]{0,40}")
_HOST = re.compile(r"[A-Za-z0-9.:_-]{1,255}")
_PORTS = {"http": 80, "https": 443}


class UnusableProxy(OpenholderError, ValueError):
    """The environment names a proxy that cannot be used. The message says which variable, without its value."""


def parse_proxy(url: str) -> SplitResult:
    """Parse the URL of a proxy, which may have a user and a password. Raises `ValueError` without quoting it."""
    try:
        parts = urlsplit(url)
        is_valid = parts.scheme in _PORTS and parts.hostname and parts.port != 0 and parts.path in ("", "/")
    except ValueError:
        is_valid = False
    if not is_valid or parts.query or parts.fragment:
        raise ValueError("must be the URL of an HTTP proxy, such as http://proxy.example.com:3128")
    return parts


@dataclass(frozen=True, slots=True)
class Outbound:
    """How this server reaches other hosts. What the configuration leaves out, the environment says."""

    user_agent: ClassVar[str] = f"openholder/{__version__}"
    """The ``User-Agent`` of every request."""

    proxy: str | None = field(default=None, repr=False)
    """The URL of the proxy for http and https, instead of ``HTTP_PROXY`` and ``HTTPS_PROXY``."""
    no_proxy: tuple[str, ...] | None = None
    """Hosts to reach directly, instead of those in ``NO_PROXY``."""
    traced: bool = False
    """Whether requests are traced."""

    def make_trace_configs(self) -> list[aiohttp.TraceConfig]:
        """Return the ``trace_configs`` of a session of aiohttp whose requests carry ``traceparent``.

        Returns:
            None at all unless requests are traced. Only ``traceparent`` is sent: no ``tracestate``, no ``baggage``.
        """
        if not self.traced:
            return []
        import aiohttp
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        propagator = TraceContextTextMapPropagator()

        async def add_traceparent(session: object, context: object, request: aiohttp.TraceRequestStartParams) -> None:
            propagator.inject(request.headers)

        config = aiohttp.TraceConfig()
        config.on_request_start.append(add_traceparent)
        return [config]

    def find_proxy(self, url: str) -> str | None:
        """Find the proxy for requests to a URL.

        Args:
            url: Where the requests go.

        Returns:
            The URL of the proxy; None if the host is reached directly, as this machine always is.

        Raises:
            ValueError: The environment names something that is no HTTP proxy. The message does not quote it.
        """
        from urllib.request import getproxies_environment  # whoever reaches nobody need not wait for it

        target = urlsplit(url)
        if is_loopback(target.hostname):
            return None
        environment = getproxies_environment()
        exceptions = environment.get("no", "").split(",") if self.no_proxy is None else self.no_proxy
        if _is_excepted(target, exceptions):
            return None
        if self.proxy:
            return self.proxy
        proxy = environment.get(target.scheme, "")
        if not proxy:
            return None
        proxy = proxy if "://" in proxy else f"http://{proxy}"
        try:
            parse_proxy(proxy)
        except ValueError as exc:
            raise UnusableProxy(f"the environment variable {target.scheme.upper()}_PROXY {exc}") from None
        return proxy


def _is_excepted(target: SplitResult, exceptions: Iterable[str]) -> bool:
    """Tell whether the list has the host, a domain above it, a network that its address is in, or ``*``."""
    host = target.hostname or ""
    names = {host, f"{host}:{target.port or _PORTS.get(target.scheme)}"}
    for entry in map(str.strip, exceptions):
        domain = entry.lower().removeprefix("*").removeprefix(".")
        if entry == "*" or (domain and any(f".{name}".endswith(f".{domain}") for name in names)):
            return True
        if "/" in entry and _is_in_network(host, entry):
            return True
    return False


def _is_in_network(host: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:  # a host name, or no network
        return False


def describe_way(proxy: str | None) -> str:
    """Name the proxy, at the end of a message: by host and port, because its URL may contain a password.

    Args:
        proxy: Its URL; None if there is none.
    """
    if not proxy:
        return ""
    parts = urlsplit(proxy)
    return f" (through the proxy {parts.hostname}:{parts.port or _PORTS[parts.scheme]})"


def describe_response(status: int, headers: Mapping[str, str]) -> str:
    """Say why a response cannot be used: its status, where it redirects to, or its encoding. Empty if it can be.

    Nothing of the response is repeated but the host of a redirect and the name of an encoding.

    Args:
        status: Its status. Only 200 can be used.
        headers: Its headers, whose names may be in any letter case.
    """
    if 300 <= status < 400 and "Location" in headers:
        return f"status {status}, a redirect to {_name_host(headers['Location'])}, which is not followed"
    if status != 200:
        return f"status {status}"
    coding = headers.get("Content-Encoding", "identity")
    if coding == "identity":
        return ""
    named = repr(coding) if _CODING.fullmatch(coding) else "something unreadable"
    return f"a response encoded as {named}, although Accept-Encoding was identity"


def _name_host(location: str) -> str:
    try:
        host = urlsplit(location).hostname
    except ValueError:
        return "an invalid URL"
    if host is None:
        return "another path of this host"
    return host if _HOST.fullmatch(host) else "an invalid URL"


def describe_failure(exc: BaseException, proxy: str | None = None) -> str:
    """Say why a request of aiohttp's got no response, in words that contain nothing of the request.

    Args:
        exc: What aiohttp raised.
        proxy: The URL of the proxy, if the request went through one.
    """
    import aiohttp  # by now it is loaded; whoever only reads settings should not wait for it

    way = describe_way(proxy)
    match exc:
        case aiohttp.ClientHttpProxyError():
            return f"refused by the proxy with status {exc.status}{way}"
        case aiohttp.ClientProxyConnectionError():
            return f"proxy not reached: {type(exc.os_error).__name__}{way}"
        case aiohttp.ClientConnectorCertificateError(certificate_error=ssl.SSLCertVerificationError() as error):
            return f"certificate not trusted: {error.verify_message}{way}"
        case aiohttp.ClientConnectorDNSError():
            return f"host name not found{way}"
        case aiohttp.ClientConnectorError():
            return f"no connection: {type(exc.os_error).__name__}{way}"
        case TimeoutError():
            return f"no response in time{way}"
        case UnusableProxy():
            return str(exc)
    return f"{type(exc).__name__}{way}"
