"""The PostgreSQL source and its server: who may do what, how long it may take, and a server that comes and goes."""

from __future__ import annotations

import asyncio
import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest
import trustme

from asking import answer, bank, records
from cluster import PASSWORD
from openholder import Filter, Query, SourceFault, SourceUnavailable
from openholder_postgres import PostgresSettings

# -- who may do what ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "error", "said"),
    [
        ({"password": "wr0ng-secret"}, SourceFault, "refuses the user .*InvalidPasswordError, SQLSTATE 28P01"),
        ({"user": "nobody-here"}, SourceFault, "refuses the user"),
        ({"database": "nowhere"}, SourceFault, "InvalidCatalogNameError"),
        ({"schema_name": "nowhere"}, SourceFault, "schema 'nowhere' has no table or view that the user may read"),
        ({"port": 1}, SourceUnavailable, "the database is away"),
        ({"host": "no-such-host.invalid"}, SourceUnavailable, "the database is away"),
        ({"tls": "verify-full"}, SourceFault, "the server does not offer TLS"),
    ],
    ids=str,
)
def test_what_cannot_be_opened_says_why_and_no_secret(cluster, wrong, error, said):
    with pytest.raises(error, match=said) as raised:
        answer(lambda: bank(cluster, **wrong), Query(collection="x"))
    assert PASSWORD not in str(raised.value) and "wr0ng" not in str(raised.value)
    assert PASSWORD not in repr(PostgresSettings.model_validate(cluster.settings()))


def test_a_server_is_believed_for_its_certificate_and_nothing_else(own_cluster, tmp_path):
    authority, stranger = trustme.CA(), trustme.CA()
    for name, made in (("ours", authority), ("another", stranger)):
        made.cert_pem.write_to_path(tmp_path / name)
    own_cluster.serve_with(authority.issue_cert("127.0.0.1"))
    empty = {"schema_name": "pg_catalog", "host": "127.0.0.1"}
    for wrong in ({"tls_ca": tmp_path / "another"}, {"tls_ca": tmp_path / "ours", "host": "localhost"}):
        with pytest.raises(SourceUnavailable, match="SSLCertVerificationError"):
            answer(
                lambda wrong=wrong: bank(own_cluster, **empty | wrong | {"tls": "verify-full"}), Query(collection="x")
            )
    for right in ({"tls": "verify-full"}, {"tls": "verify-ca", "host": "localhost"}):
        settings = empty | {"tls_ca": tmp_path / "ours"} | right
        query = Query(collection="pg_stat_ssl", filters=(Filter("ssl", "eq", True),))
        assert answer(lambda settings=settings: bank(own_cluster, **settings), query).total == 1


def test_a_database_of_another_encoding_is_refused(cluster):
    cluster.execute("DROP DATABASE IF EXISTS latin")
    cluster.execute("CREATE DATABASE latin ENCODING LATIN1 TEMPLATE template0 LOCALE_PROVIDER libc LOCALE 'C'")
    with pytest.raises(SourceFault, match=r"^the database is encoded in LATIN1, where UTF8 is needed$"):
        answer(lambda: bank(cluster, database="latin"), Query(collection="x"))


def test_nothing_can_be_written_even_as_the_owner(schema, cluster):
    opened = schema("CREATE TABLE customers (id text)")

    async def scenario():
        async with opened(user="owner") as source:
            for statement in ("DELETE FROM customers", "CREATE TABLE more (id text)", "SELECT nextval('own.s')"):
                with pytest.raises(Exception, match="read-only transaction"):
                    await source._rows(statement, ())

    cluster.execute("CREATE SEQUENCE own.s")
    asyncio.run(scenario())


def test_a_fault_quotes_no_value(schema):
    table = "CREATE TABLE texts (at text); INSERT INTO texts VALUES ('no date 4711');"
    opened = schema(f"{table} CREATE VIEW things AS SELECT at::date FROM texts")
    with pytest.raises(SourceFault, match=r"^table 'things': InvalidDatetimeFormatError, SQLSTATE 22007$"):
        answer(opened, Query(collection="things"))


# -- settings -----------------------------------------------------------------------------------------------------

README = Path(__file__).parents[1] / "README.md"


def test_every_setting_is_in_the_readme_and_its_example_is_a_good_one(tmp_path):
    page = README.read_text(encoding="utf-8")
    (text,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    for name in ("postgres", "bank-ca.pem"):
        (tmp_path / name).write_text(PASSWORD)
        text = re.sub(rf'"/[a-z/]+/{name}"', f'"{tmp_path / name}"', text)
    given = tomllib.loads(text)["sources"]["bank"]
    assert given.pop("kind") == "postgres"
    assert PostgresSettings.model_validate(given).password.get_secret_value() == PASSWORD
    assert [name for name in PostgresSettings.model_fields if f"| `{name}` |" not in page] == []


def test_it_answers_without_prepared_statements_too(schema):
    opened = schema("CREATE TABLE few (id text); INSERT INTO few VALUES ('1'), ('2')")
    query = Query(collection="few", filters=(Filter("id", "in", ("1", "3")),))
    assert answer(lambda: opened(statement_cache=0), query).records == [{"id": "1"}]


# -- time ---------------------------------------------------------------------------------------------------------

SLOW = "CREATE TABLE few (id text); INSERT INTO few VALUES ('1'); CREATE VIEW slow AS SELECT pg_sleep(60)::text AS id"
CONNECTIONS = "FROM pg_stat_activity WHERE application_name = 'openholder'"
RUNNING = f"SELECT count(*) {CONNECTIONS} AND state = 'active'"


def test_the_server_ends_what_takes_too_long(schema):
    opened = schema(SLOW)
    with pytest.raises(SourceFault, match=r"^table 'slow': ended by the server after statement_timeout$"):
        answer(lambda: opened(statement_timeout=0.2), Query(collection="slow"))


def test_a_question_that_is_given_up_ends_at_the_server_and_its_connection_serves_again(schema, cluster):
    opened = schema(SLOW)

    async def scenario():
        async with opened(connections=1) as source:
            for _ in range(3):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(source.fetch(Query(collection="slow")), 0.3)
                assert await records(source, Query(collection="few")) == [{"id": "1"}]
                assert await cluster.ask(RUNNING) == 0

    asyncio.run(scenario())


def test_where_all_connections_are_busy_questions_wait_and_then_are_told_to_come_again(schema):
    opened = schema(SLOW)

    async def scenario():
        async with opened(connections=1, connect_timeout=0.5, statement_timeout=2) as source:
            slow = asyncio.create_task(source.fetch(Query(collection="slow")))
            await asyncio.wait([slow], timeout=0.2)
            with pytest.raises(SourceUnavailable, match="no connection in time"):
                await source.fetch(Query(collection="few"))
            with pytest.raises(SourceFault):
                await slow
            assert await records(source, Query(collection="few")) == [{"id": "1"}]

    asyncio.run(scenario())


# -- a server that comes and goes ---------------------------------------------------------------------------------


def test_after_a_restart_of_the_server_no_question_fails(own_cluster):
    few = Query(collection="few")

    async def scenario():
        async with bank(own_cluster, schema_name="own", connections=4) as source:
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
    """Eight who ask all the time, and count how often they are answered and how often told to come again."""

    def __init__(self, source):
        self.source = source
        self.outcomes = Counter()
        self.may_fail = False

    async def __aenter__(self):
        self.tasks = [asyncio.create_task(self.ask()) for _ in range(8)]
        return self

    async def __aexit__(self, *_):
        for task in self.tasks:
            task.cancel()
        ends = await asyncio.gather(*self.tasks, return_exceptions=True)
        assert {type(end) for end in ends} == {asyncio.CancelledError}, ends

    async def ask(self):
        while True:
            try:
                assert (await self.source.fetch(Query(collection="few"))).total == 1
                self.outcomes["answered"] += 1
            except SourceUnavailable:
                assert self.may_fail
                self.outcomes["away"] += 1
                await asyncio.sleep(0.01)

    async def until(self, outcome, more):
        wanted = self.outcomes[outcome] + more
        while self.outcomes[outcome] < wanted:
            assert not any(task.done() for task in self.tasks)
            await asyncio.sleep(0.01)


def test_a_restart_under_load_fails_questions_only_while_it_lasts(own_cluster):
    async def scenario():
        async with bank(own_cluster, schema_name="own", connections=4) as source, Callers(source) as callers:
            await callers.until("answered", 100)
            callers.may_fail = True
            await asyncio.to_thread(own_cluster.stop)
            await callers.until("away", 20)
            await asyncio.to_thread(own_cluster.start)
            await callers.until("answered", 100)
            callers.may_fail = False
            await callers.until("answered", 100)

    asyncio.run(scenario())


def test_connections_that_somebody_ended_cost_no_question(own_cluster):
    async def scenario():
        async with bank(own_cluster, schema_name="own", connections=4) as source:
            for _ in range(5):
                await asyncio.gather(*(source.fetch(Query(collection="few")) for _ in range(8)))
                assert await own_cluster.ask(f"SELECT count(pg_terminate_backend(pid)) {CONNECTIONS}") > 0
                assert (await source.fetch(Query(collection="few"))).total == 1

    asyncio.run(scenario())


def test_a_server_without_a_place_is_away_and_no_fault(own_cluster):
    async def scenario():
        async with bank(own_cluster, schema_name="own", connections=1) as source:
            others = [await own_cluster.connect() for _ in range(28)]
            try:
                with pytest.raises(SourceUnavailable, match="TooManyConnectionsError"):
                    async with bank(own_cluster, schema_name="own", connections=2):
                        raise AssertionError
                assert (await source.fetch(Query(collection="few"))).total == 1
            finally:
                await asyncio.gather(*(other.close() for other in others))

    asyncio.run(scenario())
