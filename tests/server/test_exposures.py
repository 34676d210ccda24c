"""What an operator may not have meant is said aloud: listeners in the open, development keys, data in the clear."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import suppress

import pytest

from helpers.commands import run_command
from helpers.processes import Server, configuration
from helpers.support import SQLITE, sample_rows, write_sqlite
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
