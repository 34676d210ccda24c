"""Several servers, one that is in the way of another, and pgBouncer between them."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket

import asyncpg
import pytest
from pydantic import ValidationError

from cluster import PASSWORD, find_free_port
from openholder import Query, SourceFault, SourceUnavailable
from openholder_postgres import PostgresSettings, PostgresSource
from queries import fetch_once, open_bank

FEW = Query(collection="few")
BUSY = (
    "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%slow%' AND pid <> pg_backend_pid()"
)


@pytest.fixture(scope="module")
def pair(own_cluster):
    """A primary server, and its standby."""
    own_cluster.execute(
        "CREATE TABLE own.rows (id int); INSERT INTO own.rows SELECT generate_series(1, 1000);"
        "CREATE VIEW own.slow AS SELECT id FROM own.rows, LATERAL (SELECT pg_sleep(id * 0 + 0.001)) s"
    )
    with own_cluster.run_standby() as standby:
        yield own_cluster, standby


def open_pair(servers, **more):
    first = servers[0]
    hosts = ["127.0.0.1"] * len(servers)
    return open_bank(first, host=hosts, port=[server.port for server in servers], schema_name="own", **more)


@pytest.mark.parametrize(
    ("wanted", "is_standby"), [("any", False), ("primary", False), ("standby", True), ("prefer-standby", True)]
)
def test_a_host_that_is_wanted_serves(pair, wanted, is_standby):
    async def scenario():
        async with open_pair(pair, target_session_attrs=wanted) as source:
            ((found,),) = await source._select("SELECT pg_is_in_recovery()", ())
            return found

    assert asyncio.run(scenario()) is is_standby


def test_a_host_that_is_away_is_passed_over(own_cluster):
    async def scenario():
        ports = [find_free_port(), own_cluster.port]
        async with open_bank(own_cluster, host=["127.0.0.1"] * 2, port=ports, schema_name="own") as source:
            return (await source.fetch(FEW)).total

    assert asyncio.run(scenario()) == 1


def test_a_host_that_does_not_answer_is_passed_over(own_cluster):
    """Its part of the time is what it takes, not all of it."""

    async def scenario(silent):
        ports = [silent.getsockname()[1], own_cluster.port]
        more = {"host": ["127.0.0.1"] * 2, "port": ports, "schema_name": "own", "connect_timeout": 2}
        async with open_bank(own_cluster, **more) as source:
            return (await source.fetch(FEW)).total

    with socket.create_server(("127.0.0.1", 0)) as silent:  # which nobody accepts from
        assert asyncio.run(scenario(silent)) == 1


def test_no_host_that_is_wanted_is_unavailable(own_cluster):
    with pytest.raises(SourceUnavailable, match="no host is what target_session_attrs wants"):
        fetch_once(lambda: open_bank(own_cluster, schema_name="own", target_session_attrs="standby"), FEW)


def test_ports_are_one_for_all_or_one_for_each(cluster):
    settings = cluster.settings(host=["a", "b"])
    assert PostgresSettings.model_validate(settings).list_addresses() == [("a", cluster.port), ("b", cluster.port)]
    with pytest.raises(ValidationError, match="port: must be one for all hosts, or 2: one for each"):
        PostgresSettings.model_validate(settings | {"port": [1, 2, 3]})


# -- other transactions -------------------------------------------------------------------------------------------


class Interrupted(PostgresSource):
    """A source that tells of each failed attempt."""

    def __init__(self, settings, release):
        super().__init__("bank", PostgresSettings.model_validate(settings))
        self.release = release
        self.attempts = 0

    async def _select_once(self, statement, parameters):
        self.attempts += 1
        try:
            return await super()._select_once(statement, parameters)
        except Exception:
            await self.release()
            raise


async def fetch_interrupted(settings, release, query):
    source = Interrupted(settings, release)
    await source.open()
    source.attempts = 0
    try:
        return await source.fetch(query)
    finally:
        assert source.attempts == 2
        await source.close()


RAISE = """
CREATE TABLE few (id text); INSERT INTO few VALUES ('1'); CREATE TABLE tries (id int);
CREATE FUNCTION fail() RETURNS int LANGUAGE plpgsql AS $$ BEGIN
    IF NOT EXISTS (SELECT 1 FROM own.tries) THEN RAISE EXCEPTION '4711' USING ERRCODE = '{0}'; END IF; RETURN 1; END $$;
CREATE VIEW failing AS SELECT id FROM few WHERE fail() = 1;
"""


@pytest.mark.parametrize("state", ["40001", "40P01", "55P03", "55006"])
@pytest.mark.parametrize("is_over", [True, False])
def test_an_interrupted_query_is_tried_once_more(schema, cluster, state, is_over):
    schema(RAISE.format(state))

    async def release():
        if is_over:
            await cluster.execute_async("INSERT INTO own.tries VALUES (1)")

    fetching = fetch_interrupted(cluster.settings(schema_name="own"), release, Query(collection="failing"))
    if is_over:
        assert asyncio.run(fetching).total == 1
    else:
        message = rf"^table 'failing': interrupted by another transaction \(\w+, SQLSTATE {state}\)$"
        with pytest.raises(SourceUnavailable, match=message):
            asyncio.run(fetching)


def test_a_locked_table_is_503_and_not_500(schema, cluster):
    schema("CREATE TABLE few (id text)")

    async def release():
        """Keep the lock."""

    settings = cluster.settings(schema_name="own", statement_timeout=1)

    async def scenario():
        with cluster.lock_tables("own.few"), pytest.raises(SourceUnavailable, match="SQLSTATE 55P03"):
            await fetch_interrupted(settings, release, FEW)

    asyncio.run(scenario())


def test_a_standby_that_replays_a_vacuum_is_no_fault(pair):
    """An answer is complete, or 503 if the standby has to cancel the second attempt too."""
    primary, standby = pair

    async def scenario():
        outcomes = []
        async with open_bank(standby, schema_name="own") as source:
            for _ in range(2):
                slow = asyncio.create_task(source.fetch(Query(collection="slow")))
                while not slow.done() and not await standby.fetch_value(BUSY):
                    await asyncio.sleep(0.01)
                await primary.execute_async("UPDATE own.rows SET id = id")
                await primary.execute_async("VACUUM own.rows")
                try:
                    outcomes.append((await slow).total)
                except SourceUnavailable as exc:
                    outcomes.append(exc.retry_after)
        return outcomes

    assert set(asyncio.run(scenario())) <= {1000, 5}
    assert asyncio.run(
        standby.fetch_value("SELECT sum(confl_bufferpin + confl_snapshot) FROM pg_stat_database_conflicts")
    )


# -- pgBouncer ----------------------------------------------------------------------------------------------------

PARAMETERS = "default_transaction_read_only, jit, lock_timeout, search_path, statement_timeout"


@pytest.fixture(scope="module")
def pgbouncer():
    found = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        reason = "pgBouncer is not installed (Debian: apt install pgbouncer)"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    return found


async def leave_statements(cluster, port):
    """Prepare what another process of openholder did before it ended: asyncpg numbers its statements from 1."""
    own = {"host": "127.0.0.1", "port": port, "user": "reader", "password": PASSWORD, "database": "postgres"}
    connection = await asyncpg.connect(**own, ssl=False, statement_cache_size=0)
    for number in range(asyncpg.connection._uid, asyncpg.connection._uid + 99):
        await connection.execute(f"PREPARE __asyncpg_stmt_{number:x}__ AS SELECT 1")
    await connection.close()


def test_pgbouncer_and_its_settings_are_named(schema, cluster, pgbouncer):
    schema("CREATE TABLE few (id text); INSERT INTO few VALUES ('1')")
    cluster.execute("ALTER ROLE reader SET search_path = own")

    async def fetch_often(port, **more):
        async with open_bank(cluster, port=port, schema_name="own", **more) as source:
            return {page.total for page in await asyncio.gather(*(source.fetch(FEW) for _ in range(9)))}

    refused = r"pgBouncer refuses the parameter '\w+': list it in `ignore_startup_parameters`"
    with cluster.run_pgbouncer(pgbouncer) as port, pytest.raises(SourceFault, match=refused):
        asyncio.run(fetch_often(port))
    pooled = r"behind a pgBouncer that pools transactions, set `statement_cache = 0`$"
    with cluster.run_pgbouncer(pgbouncer, ignore_startup_parameters=PARAMETERS) as port:
        assert asyncio.run(fetch_often(port, statement_cache=0)) == {1}
        asyncio.run(leave_statements(cluster, port))
        with pytest.raises(SourceFault, match=pooled):
            asyncio.run(fetch_often(port))
    cluster.execute("ALTER ROLE reader RESET search_path")
