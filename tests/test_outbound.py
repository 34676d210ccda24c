"""Which requests go through a proxy, and which settings and variables say so."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from openholder.outbound import Outbound
from openholder.settings import OutboundSettings

PROXY, OTHER = "http://proxy.example:3128", "http://other.example:8080"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("environment", "settings", "url", "found"),
    [
        ({}, {}, "https://a.example/x", None),
        ({"HTTPS_PROXY": PROXY}, {}, "https://a.example/x", PROXY),
        ({"https_proxy": PROXY, "HTTPS_PROXY": OTHER}, {}, "https://a.example/x", PROXY),
        ({"HTTPS_PROXY": PROXY}, {}, "http://a.example/x", None),
        ({"HTTP_PROXY": PROXY}, {}, "http://a.example/x", PROXY),
        ({"HTTP_PROXY": "proxy.example:3128"}, {}, "http://a.example/x", PROXY),
        ({"HTTP_PROXY": ""}, {}, "http://a.example/x", None),
        ({"HTTPS_PROXY": OTHER}, {"proxy": PROXY}, "https://a.example/x", PROXY),
        ({}, {"proxy": PROXY}, "http://a.example/x", PROXY),
        ({"NO_PROXY": "a.example"}, {"proxy": PROXY}, "http://a.example/x", None),
        ({"NO_PROXY": "a.example"}, {"proxy": PROXY, "no_proxy": []}, "http://a.example/x", PROXY),
        ({"HTTPS_PROXY": PROXY}, {"no_proxy": "b.example, a.example"}, "https://a.example/x", None),
    ],
)
def test_settings_come_before_the_environment(monkeypatch, environment, settings, url, found):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert OutboundSettings(**settings).build().find_proxy(url) == found


@pytest.mark.parametrize(
    ("exceptions", "url", "is_direct"),
    [
        ("*", "https://a.example", True),
        ("example", "https://a.example", True),
        (".example", "https://a.example", True),
        ("*.example", "https://a.example", True),
        ("A.EXAMPLE", "https://a.example", True),
        ("b.example", "https://a.example", False),
        ("a.example", "https://ba.example", False),
        ("a.example:443", "https://a.example", True),
        ("a.example:8443", "https://a.example", False),
        ("a.example:8443", "https://a.example:8443", True),
        ("10.1.2.3", "https://10.1.2.3", True),
        ("10.0.0.0/8", "https://10.1.2.3", True),
        ("10.0.0.0/8", "https://11.1.2.3", False),
        ("10.0.0.0/8", "https://a.example", False),
        ("2001:db8::/32", "https://[2001:db8::7]", True),
        ("", "https://a.example", False),
        (" , ", "https://a.example", False),
        ("a.example/24", "https://a.example", False),
    ],
)
def test_no_proxy_names_hosts_domains_and_networks(monkeypatch, exceptions, url, is_direct):
    monkeypatch.setenv("NO_PROXY", exceptions)
    assert Outbound(proxy=PROXY).find_proxy(url) == (None if is_direct else PROXY)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "localhost", "LOCALHOST", "[::1]"])
def test_this_machine_is_never_reached_through_a_proxy(monkeypatch, host):
    monkeypatch.setenv("HTTP_PROXY", PROXY)
    assert Outbound(proxy=PROXY, no_proxy=()).find_proxy(f"http://{host}:8080/x") is None


@pytest.mark.parametrize(
    "proxy",
    [
        "socks5://proxy.example:1080",
        "proxy.example:3128",
        "http://",
        "http://proxy.example:0",
        "http://proxy.example:99999",
        "http://proxy.example/path",
        "http://proxy.example?SECRET",
        "http://[SECRET",
        "",
    ],
)
def test_what_is_no_http_proxy_is_refused(monkeypatch, proxy):
    with pytest.raises(ValidationError) as refusal:
        OutboundSettings(proxy=proxy)
    assert "SECRET" not in str(refusal.value)
    if "://" in proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        with pytest.raises(ValueError, match="HTTPS_PROXY must be the URL of an HTTP proxy") as told:
            Outbound().find_proxy("https://a.example")
        assert "SECRET" not in str(told.value)
