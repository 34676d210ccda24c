"""Whose request a proxy has passed on. For the log only: anybody can send the header, so no decision depends on it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from tornado.httputil import HTTPHeaders

Network = IPv4Network | IPv6Network


class TrustedProxies:
    """Finds the address of the caller behind proxies whose ``X-Forwarded-For`` is believed.

    Args:
        networks: The addresses of the proxies.
    """

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks = networks
        self._is_trusted = lru_cache(1000)(self._is_in_networks)

    def find_caller(self, peer: str, headers: HTTPHeaders) -> str:
        """Return the address nearest to this server that is no trusted proxy.

        Each proxy appends the address that it has seen, so the header is read from its end. What is no address ends
        the search: nobody trusted has written it.

        Args:
            peer: The address of the connection.
            headers: The headers of the request.
        """
        if not self._networks or not self._is_trusted(peer):
            return peer
        for entry in reversed(",".join(headers.get_list("X-Forwarded-For")).split(",")):
            address = _parse_address(entry)
            if address is None:
                return peer
            peer = str(address)
            if not self._is_trusted(peer):
                return peer
        return peer

    def _is_in_networks(self, text: str) -> bool:
        address = _parse_address(text)
        return address is not None and any(address in network for network in self._networks)


def _parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """Parse an address. Some proxies write a port behind it: ``192.0.2.1:4711``, ``[2001:db8::1]:4711``."""
    text = text.strip(" \t")
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
