"""Whose address the log has, behind proxies that are trusted to tell it and behind others."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from tornado.httputil import HTTPHeaders

from openholder.edge.proxies import TrustedProxies

PROXIES = TrustedProxies([ip_network("127.0.0.1"), ip_network("10.0.0.0/8"), ip_network("fd00::/8")])


@pytest.mark.parametrize(
    ("peer", "forwarded", "caller"),
    [
        ("127.0.0.1", ["192.0.2.1"], "192.0.2.1"),
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", ["192.0.2.1, 10.1.1.1"], "192.0.2.1"),
        ("127.0.0.1", ["192.0.2.1", "10.1.1.1"], "192.0.2.1"),
        ("127.0.0.1", ["10.9.9.9, 10.1.1.1"], "10.9.9.9"),
        ("127.0.0.1", ["6.6.6.6, 192.0.2.1"], "192.0.2.1"),  # what the caller has written itself is not believed
        ("198.51.100.9", ["192.0.2.1"], "198.51.100.9"),
        ("127.0.0.1", ["192.0.2.1:4711"], "192.0.2.1"),
        ("127.0.0.1", ["[2001:db8::1]:4711"], "2001:db8::1"),
        ("fd00::7", ["2001:db8::1"], "2001:db8::1"),
        ("::ffff:10.2.3.4", ["192.0.2.1"], "192.0.2.1"),
        ("127.0.0.1", ["unknown"], "127.0.0.1"),
        ("127.0.0.1", ["192.0.2.1, <script>, 10.1.1.1"], "10.1.1.1"),
        ("127.0.0.1", ["192.0.2.1,"], "127.0.0.1"),
    ],
)
def test_the_nearest_untrusted_address_is_the_caller(peer, forwarded, caller):
    headers = HTTPHeaders()
    for value in forwarded:
        headers.add("X-Forwarded-For", value)
    assert PROXIES.find_caller(peer, headers) == caller


def test_without_trusted_proxies_nothing_is_believed():
    headers = HTTPHeaders({"X-Forwarded-For": "192.0.2.1"})
    assert TrustedProxies(()).find_caller("127.0.0.1", headers) == "127.0.0.1"
