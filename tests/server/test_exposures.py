"""What an operator may not have meant is said aloud: listeners in the open, development keys, data in the clear."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import sys
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

import pytest

from helpers.commands import run_command
from helpers.people import BALANCE
from helpers.processes import Server, configuration
from helpers.support import ISSUER, SQLITE, sample_rows, start_with, write_sqlite
from openholder.gate.stores.redis import RedisSettings, RedisStore
from openholder.server.connections import find_exposures
from openholder.settings import Listen
from openholder_rest import RESTSettings, RESTSource

ADMIN, PLAIN = "the admin listener", "plain HTTP"


@pytest.mark.parametrize(
    ("listen", "told"),
    [
        ({}, []),
        ({"address": "localhost", "admin_address": "::1"}, []),
        ({"address": "0.0.0.0"}, [PLAIN]),
        ({"address": ""}, [f"{PLAIN} on all addresses"]),
        ({"address": "data.example"}, [PLAIN]),
        ({"admin_address": "0.0.0.0"}, [f"{ADMIN} is on 0.0.0.0"]),
        ({"admin_address": "::"}, [ADMIN]),
        ({"admin_address": ""}, [f"{ADMIN} is on all addresses"]),
        ({"admin_address": "admin.example"}, [ADMIN]),
        ({"admin_address": "8.8.8.8"}, [ADMIN]),
        ({"admin_address": "10.1.2.3"}, []),
        ({"admin_address": "fd00::7"}, []),
        ({"address": "10.1.2.3", "admin_address": "::"}, [PLAIN, ADMIN]),
    ],
)
def test_a_listener_in_the_open_is_found(listen, told):
    found = list(find_exposures(Listen(**listen)))
    assert [text.startswith(words) for text, words in zip(found, told, strict=True)] == [True] * len(told)


def test_a_listener_with_a_certificate_is_meant_for_all(tmp_path):
    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).touch()
    listen = Listen(address="0.0.0.0", tls_certificate=tmp_path / "tls.crt", tls_key=tmp_path / "tls.key")
    assert list(find_exposures(listen)) == []


def test_check_reports_listeners_in_the_open(tmp_path):
    write_sqlite(tmp_path / "bank.db", {"customers": sample_rows()["customers"]})
    served = SQLITE + '[serve]\ncustomers = "bank"\n'
    configuration(tmp_path, listen='address = "0.0.0.0"\nadmin_address = ""', more=served)
    checked = run_command("check", "--dev", "--json", cwd=tmp_path)
    found = [finding for finding in json.loads(checked.stdout) if finding["what"] == "listeners"]
    assert (checked.returncode, [finding["verdict"] for finding in found]) == (0, ["warning"] * 2)


@pytest.mark.slow
@pytest.mark.subprocess
def test_development_keys_in_the_open_are_a_critical_line(tmp_path):
    write_sqlite(tmp_path / "bank.db", {"customers": sample_rows()["customers"]})
    configuration(tmp_path, listen='address = "0.0.0.0"\nadmin_address = "0.0.0.0"', more=SQLITE)
    with Server(tmp_path) as server:
        assert server.stop() == 0
    levels = {json.loads(line)["event"].partition(":")[0]: json.loads(line)["level"] for line in server.lines}
    assert levels["--dev"] == "warning"
    assert levels["--dev on 0.0.0.0"] == "critical"
    assert levels["plain HTTP on 0.0.0.0"] == levels["the admin listener is on 0.0.0.0, without TLS or a password"]
    assert levels["plain HTTP on 0.0.0.0"] == "warning"


@pytest.mark.gen_test
async def test_the_server_connects_only_where_it_is_told(io_loop, world):
    """To the keys and the sources; also when a token or a header names another place."""
    seen = []
    upstream = await start_with(world, "mixed", sample_rows())
    listening = world.holder.port
    with watch_connections(seen):
        jwk = {"jku": "http://203.0.113.7/keys", "x5u": "http://203.0.113.7/cert", "kid": "nobody"}
        claims = {"iss": ISSUER, "sub": ISSUER, "aud": world.url + BALANCE}
        stranger = world.signer.sign({"alg": "PS256", "typ": "JWT", **jwk}, claims)
        for path in (BALANCE, "/auth/v1/customer/cust-1001"):
            assert (await world.call(path)).status == 200
        forwarded = {"X-Forwarded-Host": "203.0.113.7", "Referer": "http://203.0.113.7/"}
        assert (await world.call(BALANCE, token=stranger, headers=forwarded)).status == 401
        await world.holder.reload()
    told = {
        listening,
        urlsplit(upstream.url).port,
        urlsplit(world.holder.generation.configuration.settings.fiskil.jwks_url).port,
    }
    assert {("127.0.0.1", port) for port in told} == set(seen)


@contextmanager
def watch_connections(seen):
    """Note the address of every connection that this process opens. An audit hook stays for ever, so it is told."""
    watching = True

    def note(event, arguments):
        if watching and event == "socket.connect" and arguments[0].family != socket.AF_UNIX:
            seen.append(arguments[1][:2])

    sys.addaudithook(note)
    yield
    watching = False


# -- data in the clear --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"base_url": "http://core.example", "token": "secret"}, "credentials and data are not encrypted"),
        ({"base_url": "http://core.example", "headers": {"X-Api-Key": "secret"}}, "credentials and data"),
        ({"base_url": "http://core.example"}, ": data are not encrypted"),
        ({"base_url": "http://127.0.0.1:1", "token": "secret"}, ""),
        ({"base_url": "http://[::1]:1", "token": "secret"}, ""),
        ({"base_url": "https://core.example", "token": "secret"}, ""),
    ],
)
@pytest.mark.gen_test
async def test_an_http_upstream_elsewhere_is_a_warning(io_loop, caplog, settings, told):
    source = RESTSource("core", RESTSettings(collections={"customers": "/customers"}, **settings))
    await source.open()
    await source.close()
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert ([told in line for line in lines] == [True]) if told else lines == []
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        ("redis://:secret@redis.invalid:1/0", True),
        ("rediss://:secret@redis.invalid:1/0", False),
        ("redis://127.0.0.1:1/0", False),
        ("redis://", False),
        ("unix:///nowhere/redis.sock", False),
    ],
)
@pytest.mark.gen_test
async def test_a_plain_redis_elsewhere_is_a_warning(io_loop, caplog, url, warned):
    store = RedisStore(RedisSettings(url=url))
    with suppress(Exception):
        async with asyncio.timeout(1):
            await store.open()
    assert ("redis:// to another machine" in caplog.text) is warned
    assert "secret" not in caplog.text
