"""The PostgreSQL source and its server: permissions, settings, timeouts, and restarts of the server."""

from __future__ import annotations

import asyncio
import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest
import trustme

from cluster import PASSWORD
from openholder import Filter, Query, SourceFault, SourceUnavailable
from openholder_postgres import PostgresSettings, PostgresSource
from queries import fetch_once, fetch_records, open_bank

# -- permissions --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (
            {"password": "wr0ng-secret"},
            SourceFault,
            "login refused, check user, .*InvalidPasswordError, SQLSTATE 28P01",
        ),
        ({"user": "nobody-here"}, SourceFault, "login refused"),
        ({"database": "nowhere"}, SourceFault, "InvalidCatalogNameError"),
        ({"schema_name": "nowhere"}, SourceFault, "schema 'nowhere' has no table or view that the user may read"),
        ({"port": 1}, SourceUnavailable, "the database is unavailable"),
        ({"host": "no-such-host.invalid"}, SourceUnavailable, "the database is unavailable"),
        ({"tls": "verify-full"}, SourceFault, "the server does not offer TLS"),
    ],
    ids=str,
)
def test_a_refused_login_says_why_without_a_secret(cluster, wrong, error, message):
    with pytest.raises(error, match=message) as raised:
        fetch_once(lambda: open_bank(cluster, **wrong), Query(collection="x"))
    assert PASSWORD not in str(raised.value) and "wr0ng" not in str(raised.value)
    assert PASSWORD not in repr(PostgresSettings.model_validate(cluster.settings()))


def test_only_a_trusted_certificate_proves_the_server(own_cluster, tmp_path):
    authority, stranger = trustme.CA(), trustme.CA()
    for name, issuer in (("ours", authority), ("another", stranger)):
        issuer.cert_pem.write_to_path(tmp_path / name)
    own_cluster.enable_tls(authority.issue_cert("127.0.0.1"))
    empty = {"schema_name": "pg_catalog", "host": "127.0.0.1"}
    for wrong in ({"tls_ca": tmp_path / "another"}, {"tls_ca": tmp_path / "ours", "host": "localhost"}):
        with pytest.raises(SourceUnavailable, match="SSLCertVerificationError"):
            fetch_once(
                lambda wrong=wrong: open_bank(own_cluster, **empty | wrong | {"tls": "verify-full"}),
                Query(collection="x"),
            )
    for right in ({"tls": "verify-full"}, {"tls": "verify-ca", "host": "localhost"}):
        settings = empty | {"tls_ca": tmp_path / "ours"} | right
        query = Query(collection="pg_stat_ssl", filters=(Filter("ssl", "eq", True),))
        assert fetch_once(lambda settings=settings: open_bank(own_cluster, **settings), query).total == 1


def test_a_database_of_another_encoding_is_refused(cluster):
    cluster.execute("DROP DATABASE IF EXISTS latin")
    cluster.execute("CREATE DATABASE latin ENCODING LATIN1 TEMPLATE template0 LOCALE_PROVIDER libc LOCALE 'C'")
    with pytest.raises(SourceFault, match=r"^the database encoding is LATIN1; it must be UTF8$"):
        fetch_once(lambda: open_bank(cluster, database="latin"), Query(collection="x"))


def test_nothing_can_be_written_even_as_the_owner(schema, cluster):
    opened = schema("CREATE TABLE customers (id text)")

    async def scenario():
        async with opened(user="owner") as source:
            for statement in ("DELETE FROM customers", "CREATE TABLE more (id text)", "SELECT nextval('own.s')"):
                with pytest.raises(Exception, match="read-only transaction"):
                    await source._select(statement, ())

    cluster.execute("CREATE SEQUENCE own.s")
    asyncio.run(scenario())


def test_a_fault_quotes_no_value(schema):
    table = "CREATE TABLE texts (at text); INSERT INTO texts VALUES ('no date 4711');"
    opened = schema(f"{table} CREATE VIEW things AS SELECT at::date FROM texts")
    with pytest.raises(SourceFault, match=r"^table 'things': InvalidDatetimeFormatError, SQLSTATE 22007$"):
        fetch_once(opened, Query(collection="things"))


# -- settings -----------------------------------------------------------------------------------------------------

README = Path(__file__).parents[1] / "README.md"


def test_the_readme_has_every_setting_and_a_valid_example(tmp_path):
    page = README.read_text(encoding="utf-8")
    (text,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    for name in ("postgres", "bank-ca.pem"):
        (tmp_path / name).write_text(PASSWORD)
        text = re.sub(rf'"/[a-z/]+/{name}"', f'"{tmp_path / name}"', text)
    given = tomllib.loads(text)["sources"]["bank"]
    assert given.pop("kind") == "postgres"
    assert PostgresSettings.model_validate(given).password.get_secret_value() == PASSWORD
    cells = re.findall(r"^\| (`.*?) \|", page, re.MULTILINE)
    named = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    assert PostgresSettings.model_fields.keys() - named == set()


def test_it_works_without_prepared_statements(schema):
    opened = schema("CREATE TABLE few (id text); INSERT INTO few VALUES ('1'), ('2')")
    query = Query(collection="few", filters=(Filter("id", "in", ("1", "3")),))
    assert fetch_once(lambda: opened(statement_cache=0), query).records == [{"id": "1"}]


# -- timeouts -----------------------------------------------------------------------------------------------------

SLOW = "CREATE TABLE few (id text); INSERT INTO few VALUES ('1'); CREATE VIEW slow AS SELECT pg_sleep(60)::text AS id"
CONNECTIONS = "FROM pg_stat_activity WHERE application_name = 'openholder'"
RUNNING = f"SELECT count(*) {CONNECTIONS} AND state = 'active'"


def test_the_server_cancels_a_query_that_takes_too_long(schema):
    opened = schema(SLOW)
    with pytest.raises(SourceFault, match=r"^table 'slow': the server cancelled the query after statement_timeout$"):
        fetch_once(lambda: opened(statement_timeout=0.2), Query(collection="slow"))


def test_a_cancelled_query_ends_at_the_server(schema, cluster):
    """Its connection serves further queries."""
    opened = schema(SLOW)

    async def scenario():
        async with opened(connections=1) as source:
            for _ in range(3):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(source.fetch(Query(collection="slow")), 0.3)
                assert await fetch_records(source, Query(collection="few")) == [{"id": "1"}]
                assert await cluster.fetch_value(RUNNING) == 0

    asyncio.run(scenario())


def test_a_query_without_a_free_connection_waits_and_is_refused(schema):
    """It is `SourceUnavailable`, which clients get as 503."""
    opened = schema(SLOW)

    async def scenario():
        async with opened(connections=1, connect_timeout=0.5, statement_timeout=2) as source:
            slow = asyncio.create_task(source.fetch(Query(collection="slow")))
            await asyncio.wait([slow], timeout=0.2)
            with pytest.raises(SourceUnavailable, match="no free connection within connect_timeout"):
                await source.fetch(Query(collection="few"))
            with pytest.raises(SourceFault):
                await slow
            assert await fetch_records(source, Query(collection="few")) == [{"id": "1"}]

    asyncio.run(scenario())


# -- restarts of the server ---------------------------------------------------------------------------------------


def test_no_query_fails_after_a_restart_of_the_server(own_cluster):
    few = Query(collection="few")

    async def scenario():
        async with open_bank(own_cluster, schema_name="own", connections=4) as source:
            await asyncio.gather(*(source.fetch(few) for _ in range(20)))
            await asyncio.to_thread(own_cluster.stop)
            for _ in range(5):
                with pytest.raises(SourceUnavailable):
                    await source.fetch(few)
            with pytest.raises(SourceUnavailable):
                await source.health()
            await asyncio.to_thread(own_cluster.start)
            pages = await asyncio.gather(*(source.fetch(few) for _ in range(20)))
            assert {page.total for page in pages} == {1}
            await source.health()

    asyncio.run(scenario())


class Callers:
    """Eight callers that send queries all the time, and count the results and the refusals."""

    def __init__(self, source):
        self.source = source
        self.outcomes = Counter()
        self.may_fail = False

    async def __aenter__(self):
        self.tasks = [asyncio.create_task(self.send_queries()) for _ in range(8)]
        return self

    async def __aexit__(self, *_):
        for task in self.tasks:
            task.cancel()
        ends = await asyncio.gather(*self.tasks, return_exceptions=True)
        assert {type(end) for end in ends} == {asyncio.CancelledError}, ends

    async def send_queries(self):
        while True:
            try:
                assert (await self.source.fetch(Query(collection="few"))).total == 1
                self.outcomes["fetched"] += 1
            except SourceUnavailable:
                assert self.may_fail
                self.outcomes["refused"] += 1
                await asyncio.sleep(0.01)

    async def wait_for(self, outcome, more):
        target = self.outcomes[outcome] + more
        while self.outcomes[outcome] < target:
            assert not any(task.done() for task in self.tasks)
            await asyncio.sleep(0.01)


def test_a_restart_under_load_fails_queries_only_meanwhile(own_cluster):
    async def scenario():
        async with open_bank(own_cluster, schema_name="own", connections=4) as source, Callers(source) as callers:
            await callers.wait_for("fetched", 100)
            callers.may_fail = True
            await asyncio.to_thread(own_cluster.stop)
            await callers.wait_for("refused", 20)
            await asyncio.to_thread(own_cluster.start)
            await callers.wait_for("fetched", 100)
            callers.may_fail = False
            await callers.wait_for("fetched", 100)

    asyncio.run(scenario())


def test_terminated_connections_fail_no_query(own_cluster):
    async def scenario():
        async with open_bank(own_cluster, schema_name="own", connections=4) as source:
            for _ in range(5):
                await asyncio.gather(*(source.fetch(Query(collection="few")) for _ in range(8)))
                assert await own_cluster.fetch_value(f"SELECT count(pg_terminate_backend(pid)) {CONNECTIONS}") > 0
                assert (await source.fetch(Query(collection="few"))).total == 1

    asyncio.run(scenario())


def test_a_server_without_free_slots_is_unavailable(own_cluster):
    async def scenario():
        async with open_bank(own_cluster, schema_name="own", connections=1) as source:
            others = [await own_cluster.connect() for _ in range(28)]
            try:
                with pytest.raises(SourceUnavailable, match="TooManyConnectionsError"):
                    async with open_bank(own_cluster, schema_name="own", connections=2):
                        raise AssertionError
                assert (await source.fetch(Query(collection="few"))).total == 1
            finally:
                await asyncio.gather(*(other.close() for other in others))

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("host", "tls", "warned"),
    [
        ("no-such-host.invalid", "disable", True),
        ("no-such-host.invalid", "verify-full", False),
        ("127.0.0.1", "disable", False),
        ("/nowhere", "disable", False),
    ],
)
def test_a_plain_connection_elsewhere_is_a_warning(caplog, host, tls, warned):
    settings = PostgresSettings(host=host, port=1, database="bank", user="reader", password=PASSWORD, tls=tls)
    with pytest.raises(SourceUnavailable):
        asyncio.run(PostgresSource("bank", settings).open())
    assert ("tls is disabled to another machine" in caplog.text) is warned
    assert PASSWORD not in caplog.text
