"""TLS on the public port: which certificates are used, what is said of them, and how they are renewed."""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
import os
import ssl
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from tornado.httpserver import HTTPServer
from tornado.web import Application

from helpers.clocks import Clock
from helpers.commands import run_command
from helpers.people import BALANCE
from helpers.processes import Server, configuration
from helpers.support import SQLITE, print_nothing, sample_rows, start_with, write_sqlite
from openholder.config import Configuration
from openholder.errors import ConfigurationError
from openholder.gate.stores.redis import RedisSettings, RedisStore
from openholder.server.app import serve
from openholder.server.connections import bind
from openholder.server.tls import Certificate, CertificateFiles, UnusableCertificate, load_certificate

HOST = "data.example"
PAIR = 'tls_certificate = "tls.crt"\ntls_key = "tls.key"'
CUSTOMERS = {"customers": sample_rows()["customers"]}
SERVED = SQLITE + '[serve]\ncustomers = "bank"\n'
"""One collection, for tests that are about the certificate alone."""
NOW = datetime.now(UTC)
AUTHORITY = trustme.CA()
GOOD, OTHER = AUTHORITY.issue_cert(HOST), AUTHORITY.issue_cert("other.example")


@pytest.fixture
def files(tmp_path):
    """A certificate and its key, as files."""
    put(tmp_path, GOOD)
    return tmp_path / "tls.crt", tmp_path / "tls.key"


def put(folder, certificate, key=None):
    """Write a certificate and a key: its own one, unless it is that of another."""
    certificate.cert_chain_pems[0].write_to_path(folder / "tls.crt")
    (key or certificate).private_key_pem.write_to_path(folder / "tls.key")


def encrypt(key):
    """Put a passphrase on the key."""
    loaded = load_pem_private_key(key.read_bytes(), None)
    form = (Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"open sesame"))
    key.write_bytes(loaded.private_bytes(*form))


# -- pairs that cannot be used ------------------------------------------------------------------------------------

UNUSABLE = {
    "key of another": (lambda crt, key: put(crt.parent, GOOD, OTHER), "tls_key is not the key of tls_certificate"),
    "passphrase": (lambda crt, key: encrypt(key), "tls_key has a passphrase"),
    "no certificate": (lambda crt, key: crt.write_text("nothing"), "tls_certificate is not a PEM certificate"),
    "empty certificate": (lambda crt, key: crt.write_text(""), "tls_certificate is not a PEM certificate"),
    "certificate cut off": (lambda crt, key: os.truncate(crt, 300), "tls_certificate is not a PEM certificate"),
    "no key": (lambda crt, key: key.write_text("nothing"), "tls_key is not a PEM private key"),
    "key cut off": (lambda crt, key: os.truncate(key, 100), "tls_key is not a PEM private key"),
    "exchanged": (lambda crt, key: (crt.rename("x"), key.rename(crt), os.rename("x", key)), "is not a PEM certificate"),
    "certificate gone": (lambda crt, key: crt.unlink(), "tls_certificate cannot be read: FileNotFoundError"),
    "key gone": (lambda crt, key: key.unlink(), "tls_key cannot be read: FileNotFoundError"),
}


@pytest.mark.parametrize(("spoil", "told"), UNUSABLE.values(), ids=UNUSABLE)
def test_an_unusable_pair_is_refused_with_the_reason(files, monkeypatch, spoil, told):
    monkeypatch.chdir(files[0].parent)
    spoil(*files)
    with pytest.raises(UnusableCertificate, match=told):
        load_certificate(*files)


@pytest.mark.parametrize(("spoil", "told"), list(UNUSABLE.values())[:2], ids=list(UNUSABLE)[:2])
@pytest.mark.gen_test
async def test_check_and_serve_name_the_reason(io_loop, files, spoil, told):
    folder = files[0].parent
    write_sqlite(folder / "bank.db", CUSTOMERS)
    spoil(*files)
    path = configuration(folder, listen=PAIR, more=SERVED)
    checked = run_command("check", "--dev", cwd=folder)
    assert checked.returncode == 3
    (line,) = [line for line in checked.stdout.splitlines() if line.startswith("TLS certificate")]
    assert told in line
    with pytest.raises(ConfigurationError, match=told):
        async with serve(Configuration.load(path)):
            pass


def test_redis_never_asks_for_a_passphrase_either(files):
    """An empty one makes OpenSSL fail for an encrypted key; without any it would ask on the terminal."""
    encrypt(files[1])
    url = f"rediss://127.0.0.1:1?ssl_certfile={files[0]}&ssl_keyfile={files[1]}"
    store = RedisStore(RedisSettings(url=url))
    tls = store._redis.connection_pool.make_connection().ssl_context
    assert tls.password == ""
    with pytest.raises(ssl.SSLError):
        tls.get()


# -- what is said of a certificate --------------------------------------------------------------------------------


def certificate(*names, days=365.0, since=-1.0):
    """A certificate with these names that ends ``days`` from now."""
    ends, begins = NOW + timedelta(days=days), NOW + timedelta(days=since)
    return Certificate(ssl.create_default_context(), begins, ends, frozenset(names))


JUDGED = {
    "good": (certificate(HOST), []),
    "wildcard": (certificate("*.example"), []),
    "one of several": (certificate("a.example", HOST), []),
    "ends in 31 days": (certificate(HOST, days=31), []),
    "ends in 29 days": (certificate(HOST, days=29), [(logging.WARNING, "in 29.0 days: renew it")]),
    "ended": (certificate(HOST, days=-0.1), [(logging.ERROR, "expired on")]),
    "ends this moment": (certificate(HOST, days=0), [(logging.ERROR, "expired on")]),
    "not yet": (certificate(HOST, since=1), [(logging.ERROR, "is not valid before")]),
    "another name": (certificate("other.example"), [(logging.WARNING, f"does not name {HOST}")]),
    "wildcard for two labels": (certificate("*.data.example", "*"), [(logging.WARNING, "it names *, *.data.example")]),
    "no name": (certificate(), [(logging.WARNING, "it names no host at all")]),
    "ended, another name": (
        certificate("other.example", days=-1),
        [(logging.ERROR, "expired on"), (logging.WARNING, "does not name")],
    ),
}


@pytest.mark.parametrize(("judged", "expected"), JUDGED.values(), ids=JUDGED)
def test_dates_and_names_are_judged(judged, expected):
    found = list(judged.find_problems([HOST], NOW))
    assert [level for level, _ in found] == [level for level, _ in expected]
    assert [text for (_, text), (_, words) in zip(found, expected, strict=True) if words not in text] == []


def test_names_and_dates_are_read_from_the_file(tmp_path):
    ends = (NOW + timedelta(days=7)).replace(microsecond=0)
    put(tmp_path, AUTHORITY.issue_cert("Data.Example", "*.a.example", "192.0.2.7", "2001:db8::7", not_after=ends))
    loaded = load_certificate(tmp_path / "tls.crt", tmp_path / "tls.key")
    assert loaded.not_after == ends
    assert loaded.names == {"data.example", "*.a.example", "192.0.2.7", "2001:db8::7"}


@pytest.mark.parametrize(
    ("days", "verdict", "code", "told"),
    [(-1, "failed", 1, "expired on"), (2, "warning", 0, "renew it"), (90, "ok", 0, "valid until")],
)
def test_check_reports_when_a_certificate_expires(tmp_path, days, verdict, code, told):
    write_sqlite(tmp_path / "bank.db", CUSTOMERS)
    put(tmp_path, AUTHORITY.issue_cert("127.0.0.1", not_after=NOW + timedelta(days=days)))
    configuration(tmp_path, listen=PAIR, more=SERVED)
    checked = run_command("check", "--dev", "--json", cwd=tmp_path)
    (found,) = [finding for finding in json.loads(checked.stdout) if finding["what"] == "TLS certificate"]
    assert (checked.returncode, found["verdict"]) == (code, verdict)
    assert told in found["detail"]


# -- renewal ------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def serving(loaded):
    """A server with the certificate, which follows its files: gives what a new connection sees."""
    server = HTTPServer(Application(log_function=print_nothing), ssl_options=loaded.current.context)
    sockets = bind("127.0.0.1", 0)
    server.add_sockets(sockets)
    follows = asyncio.create_task(loaded.follow(lambda context: setattr(server, "ssl_options", context), interval=0.01))
    try:
        yield lambda: name_seen(sockets[0].getsockname()[1])
    finally:
        follows.cancel()
        await asyncio.gather(follows, return_exceptions=True)
        server.stop()
        await server.close_all_connections()


async def name_seen(port):
    context = ssl.create_default_context()
    context.check_hostname = False
    AUTHORITY.configure_trust(context)
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    names = writer.get_extra_info("peercert")["subjectAltName"]
    writer.transport.abort()
    await asyncio.sleep(0)  # the transport is let go on the loop's next turn
    return names[0][1]


async def until(condition):
    async with asyncio.timeout(4):
        while not condition():
            await asyncio.sleep(0.01)


SPOILT = {name: case for name, case in UNUSABLE.items() if name != "exchanged"}


@pytest.mark.parametrize(("spoil", "told"), SPOILT.values(), ids=SPOILT)
@pytest.mark.gen_test
async def test_a_pair_that_does_not_fit_leaves_the_old_one(files, caplog, spoil, told):
    """With the log saying why, once. Then a good pair is taken."""
    loaded = CertificateFiles(*files, [])
    async with serving(loaded) as see_name:
        spoil(*files)
        await until(lambda: told in caplog.text)
        assert await see_name() == HOST
        await asyncio.sleep(0.05)
        assert caplog.text.count(told) == 1
        put(files[0].parent, OTHER)
        await until(lambda: loaded.current.names == {"other.example"})
        assert await see_name() == "other.example"


@pytest.mark.gen_test
async def test_a_renewal_in_two_steps_is_served_throughout(files):
    """First the certificate, later its key: connections are answered before, between and after."""
    renewed = AUTHORITY.issue_cert("renewed.example")
    loaded = CertificateFiles(*files, [])
    async with serving(loaded) as see_name:
        renewed.cert_chain_pems[0].write_to_path(files[0])
        for _ in range(5):
            assert await see_name() == HOST
            await asyncio.sleep(0.01)
        renewed.private_key_pem.write_to_path(files[1])
        await until(lambda: loaded.current.names == {"renewed.example"})
        assert await see_name() == "renewed.example"


@pytest.mark.gen_test
async def test_a_problem_is_repeated_once_a_day(tmp_path, caplog):
    put(tmp_path, AUTHORITY.issue_cert(HOST, not_after=NOW + timedelta(days=20)))
    clock = Clock(NOW.timestamp())
    now = lambda: datetime.fromtimestamp(clock(), UTC)  # noqa: E731
    loaded = CertificateFiles(tmp_path / "tls.crt", tmp_path / "tls.key", [HOST], now)
    assert 19.9 < loaded.count_days_left() <= 20
    loaded.log_problems()
    async with serving(loaded):
        for days in (19, 18):
            clock.now += 86_400
            await until(lambda left=f"in {days}.0 days": left in caplog.text)
        await asyncio.sleep(0.05)
        assert caplog.text.count("renew it") == 3


# -- the process --------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.subprocess
@pytest.mark.usefixtures("transport")
def test_with_a_certificate_only_tls_1_2_and_newer_are_served(tmp_path):
    """And a name that callers will refuse is in the log."""
    write_sqlite(tmp_path / "bank.db", sample_rows())
    put(tmp_path, AUTHORITY.issue_cert("127.0.0.1", not_after=NOW + timedelta(days=40)))
    configuration(tmp_path, listen=PAIR, more=SQLITE, url="https://data.example")
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    with Server(tmp_path, context=context, public_url="https://data.example") as server:
        assert server.call(BALANCE)[0] == 200
        assert version_spoken(server.port, context).startswith("TLSv1.")
        old = ssl.create_default_context()
        AUTHORITY.configure_trust(old)
        with pytest.warns(DeprecationWarning):
            old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            version_spoken(server.port, old)
        assert server.stop() == 0
    assert "TLS certificate does not name data.example" in server.log


def version_spoken(port: int, context: ssl.SSLContext) -> str:
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)
    connection.connect()
    version = connection.sock.version()
    connection.close()
    return version


@pytest.mark.parametrize("encrypted", [True, False], ids=["TLS", "plain"])
def test_days_left_are_a_metric_where_there_is_tls(world, io_loop, monkeypatch, encrypted):
    if encrypted:
        put(world.folder, AUTHORITY.issue_cert("127.0.0.1", not_after=NOW + timedelta(days=40)))
        monkeypatch.setenv("OPENHOLDER_LISTEN__TLS_CERTIFICATE", str(world.folder / "tls.crt"))
        monkeypatch.setenv("OPENHOLDER_LISTEN__TLS_KEY", str(world.folder / "tls.key"))
    io_loop.run_sync(lambda: start_with(world, "sqlite", {}))
    left = world.holder.state.journal.registry.get_sample_value("openholder_tls_certificate_days_left")
    assert (39.9 < left <= 40) if encrypted else left is None


@pytest.mark.parametrize("http_server", ["tornado", "llhttp"])
@pytest.mark.gen_test
async def test_new_connections_get_the_renewed_pair(io_loop, world, monkeypatch, http_server):
    """Whichever of the HTTP servers takes them."""
    put(world.folder, GOOD)
    monkeypatch.setenv("OPENHOLDER_LISTEN__TLS_CERTIFICATE", str(world.folder / "tls.crt"))
    monkeypatch.setenv("OPENHOLDER_LISTEN__TLS_KEY", str(world.folder / "tls.key"))
    monkeypatch.setenv("OPENHOLDER_LISTEN__HTTP", http_server)
    await start_with(world, "sqlite", {})
    assert await name_seen(world.holder.port) == HOST
    put(world.folder, OTHER)
    world.holder.use_tls(load_certificate(world.folder / "tls.crt", world.folder / "tls.key").context)
    assert await name_seen(world.holder.port) == "other.example"
