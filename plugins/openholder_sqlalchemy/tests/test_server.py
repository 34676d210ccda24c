"""The source and its server: permissions, TLS, settings, timeouts, locks, and restarts of the server."""

from __future__ import annotations

import asyncio
import logging
import re
import tomllib
from contextlib import ExitStack
from pathlib import Path

import pytest
import trustme
from pydantic import ValidationError

from maria import PASSWORD
from openholder import Filter, Query, SourceFault, SourceUnavailable
from openholder_sqlalchemy import AlchemySettings, AlchemySource
from sources import build_query, fetch_once, fetch_records, make_source, open_bank

FEW = Query(collection="few")

# -- permissions --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "error", "message"),
    [
        ("mysql+asyncmy://reader@127.0.0.1:{port}/own", SourceFault, "login refused, check user, .*, code 1045"),
        ("mysql+asyncmy://nobody-here@127.0.0.1:{port}/own", SourceFault, "login refused"),
        ("mysql+asyncmy://owner:{password}@127.0.0.1:{port}/nowhere", SourceFault, "login refused, .*, code 1049"),
        ("mysql+asyncmy://reader@127.0.0.1:1/own", SourceUnavailable, "the database is unavailable"),
        ("mysql+asyncmy://reader@no-such-host.invalid/own", SourceUnavailable, "the database is unavailable"),
    ],
)
def test_a_refused_login_says_why_without_a_secret(maria, bank, url, error, message):
    bank("CREATE TABLE few (id int)")
    url = url.format(port=maria.port, password=PASSWORD)
    with pytest.raises(error, match=message) as raised:
        fetch_once(lambda: open_bank({"url": url, "tls": "disable"}), FEW)
    assert PASSWORD not in str(raised.value)
    assert PASSWORD not in repr(AlchemySettings(url=url, password=PASSWORD))


def test_nothing_can_be_written_even_as_the_owner(maria, bank):
    opened = bank("CREATE TABLE few (id int); INSERT INTO few VALUES (1)")
    url = f"mysql+asyncmy://owner@127.0.0.1:{maria.port}/own"

    async def scenario():
        async with opened(url=url) as source:
            for statement in ("DELETE FROM few", "CREATE TABLE more (id int)", "SELECT id FROM few FOR UPDATE"):
                with pytest.raises(Exception, match="READ ONLY transaction"):
                    await source._select(statement, ())
            assert (await source.fetch(FEW)).total == 1

    asyncio.run(scenario())


def test_neither_a_fault_nor_the_log_quotes_a_value(bank, caplog):
    opened = bank(
        "CREATE TABLE texts (at varchar(20)); INSERT INTO texts VALUES ('no date 4711');"
        "CREATE VIEW warned AS SELECT CAST(at AS DECIMAL(9)) AS id FROM texts;"
        "\nDELIMITER //\nCREATE FUNCTION fail(at varchar(20)) RETURNS int "
        "BEGIN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = at; RETURN 1; END //\nDELIMITER ;\n"
        "CREATE VIEW failed AS SELECT fail(at) AS id FROM texts; GRANT EXECUTE ON own.* TO reader@'127.0.0.1'"
    )
    with caplog.at_level(logging.DEBUG, logger=""):
        assert fetch_once(opened, Query(collection="warned")).total == 1
        with pytest.raises(SourceFault, match=r"^table 'failed': \w+, code 1644$") as raised:
            fetch_once(opened, Query(collection="failed"))
    assert "4711" not in caplog.text + str(raised.value)


# -- TLS ----------------------------------------------------------------------------------------------------------


def test_only_a_trusted_certificate_proves_the_server(own_maria, tmp_path):
    authority, stranger = trustme.CA(), trustme.CA()
    for name, issuer in (("ours", authority), ("another", stranger)):
        issuer.cert_pem.write_to_path(tmp_path / name)
    plain = own_maria.settings("own")
    with pytest.raises(SourceFault, match=r"TLS"):
        fetch_once(lambda: open_bank(plain | {"tls": "verify-full"}), FEW)
    own_maria.enable_tls(authority.issue_cert("127.0.0.1"))
    elsewhere = plain["url"].replace("127.0.0.1", "localhost")
    for wrong in ({"tls_ca": tmp_path / "another"}, {"tls_ca": tmp_path / "ours", "url": elsewhere}):
        with pytest.raises(SourceFault, match=r"TLS failed \(\w+.*\): check tls_ca"):
            fetch_once(lambda wrong=wrong: open_bank(plain | wrong | {"tls": "verify-full"}), FEW)
    own_maria.execute("ALTER USER reader@'127.0.0.1' REQUIRE SSL")
    for right in ({"tls": "verify-full"}, {"tls": "verify-ca", "url": elsewhere}):
        settings = plain | {"tls_ca": tmp_path / "ours"} | right
        assert fetch_once(lambda settings=settings: open_bank(settings), FEW).total == 1
    own_maria.execute("ALTER USER reader@'127.0.0.1' REQUIRE NONE")


@pytest.mark.parametrize(
    ("host", "tls", "warned"),
    [("no-such-host.invalid", "disable", True), ("no-such-host.invalid", "verify-full", False)],
)
def test_a_plain_connection_elsewhere_is_a_warning(caplog, host, tls, warned):
    source = make_source({"url": f"mysql+asyncmy://reader:{PASSWORD}@{host}/bank", "tls": tls})
    with pytest.raises(SourceUnavailable):
        asyncio.run(source.open())
    assert ("tls is disabled to another machine" in caplog.text) is warned
    assert PASSWORD not in caplog.text


# -- settings -----------------------------------------------------------------------------------------------------

README = Path(__file__).parents[1] / "README.md"


def test_the_readme_has_every_setting_and_a_valid_example(tmp_path):
    page = README.read_text(encoding="utf-8")
    (text,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    for name in ("mariadb", "bank-ca.pem"):
        (tmp_path / name).write_text(PASSWORD)
        text = re.sub(rf'"/[a-z/]+/{name}"', f'"{tmp_path / name}"', text)
    given = tomllib.loads(text)["sources"]["bank"]
    assert given.pop("kind") == "sqlalchemy"
    assert AlchemySettings.model_validate(given).build_url().password == PASSWORD
    cells = re.findall(r"^\| (`.*?) \|", page, re.MULTILINE)
    named = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    assert AlchemySettings.model_fields.keys() - named == set()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"url": "4711"}, "url must name a database and a driver of SQLAlchemy, such as mysql"),
        ({"url": "bank+4711://x"}, "url must name a database and a driver"),
        ({"url": "mysql+pymysql://u:4711@h/b"}, r"url: the driver must be mysql\+asyncmy"),
        ({"url": "mysql+aiomysql://u:4711@h/b"}, r"url: the driver must be mysql\+asyncmy"),
        ({"url": "oracle+oracledb://u:4711@h/b"}, r"url: the driver must be oracle\+oracledb_async"),
        ({"url": "mysql+asyncmy://u:4711@h/b", "schema_name": "x"}, "schema_name: mysql has none"),
        ({"url": "mysql+asyncmy://u:4711@h/b", "tls": "off"}, "verify-full"),
    ],
)
def test_wrong_settings_are_refused_without_the_url(settings, message):
    with pytest.raises(ValidationError, match=message) as raised:
        AlchemySettings.model_validate(settings)
    assert "4711" not in str(raised.value)


def test_a_missing_driver_is_named():
    source = make_source({"url": "oracle+oracledb_async://u@h/b"})
    with pytest.raises(SourceFault, match="the driver 'oracledb' is not installed: pip install oracledb"):
        asyncio.run(source.open())


# -- timeouts and locks -------------------------------------------------------------------------------------------

SLOW = "CREATE TABLE few (id text); INSERT INTO few VALUES ('1'); CREATE VIEW slow AS SELECT CONCAT(SLEEP(60)) AS id"


def test_the_server_cancels_a_query_that_takes_too_long(bank):
    opened = bank(SLOW)
    with pytest.raises(SourceFault, match=r"^table 'slow': the server cancelled the query after statement_timeout$"):
        fetch_once(lambda: opened(statement_timeout=1), Query(collection="slow"))


def test_a_cancelled_query_leaves_its_answer_to_nobody(bank):
    opened = bank(SLOW)

    async def scenario():
        async with opened(connections=1, statement_timeout=2) as source:
            for _ in range(5):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(source.fetch(Query(collection="slow")), 0.1)
                assert await fetch_records(source, FEW) == [{"id": "1"}]

    asyncio.run(scenario())


def test_a_query_without_a_free_connection_waits_and_is_refused(bank):
    """It is `SourceUnavailable`, which clients get as 503."""
    opened = bank(SLOW)

    async def scenario():
        async with opened(connections=1, connect_timeout=1, statement_timeout=2) as source:
            slow = asyncio.create_task(source.fetch(Query(collection="slow")))
            await asyncio.wait([slow], timeout=0.2)
            with pytest.raises(SourceUnavailable, match="no free connection within connect_timeout"):
                await source.fetch(FEW)
            with pytest.raises(SourceFault):
                await slow
            assert await fetch_records(source, FEW) == [{"id": "1"}]

    asyncio.run(scenario())


class Releasing(AlchemySource):
    """A source that ends a lock when it has waited for it once."""

    release = None

    async def _select_once(self, statement, parameters):
        try:
            return await super()._select_once(statement, parameters)
        except Exception:
            self.release()
            raise


@pytest.mark.parametrize("released", [True, False])
def test_a_locked_table_is_asked_once_more(maria, bank, released):
    bank("CREATE TABLE few (id int); INSERT INTO few VALUES (1)")
    settings = AlchemySettings.model_validate(maria.settings("own", statement_timeout=2))

    async def scenario():
        source = Releasing("bank", settings)
        await source.open()
        with ExitStack() as held:
            held.enter_context(maria.hold("LOCK TABLES own.few WRITE"))
            source.release = held.close if released else lambda: None
            try:
                return await source.fetch(FEW)
            finally:
                held.close()
                await source.close()

    if released:
        assert asyncio.run(scenario()).total == 1
    else:
        with pytest.raises(SourceUnavailable, match=r"^table 'few': locked by another transaction \(.*, code 1205\)$"):
            asyncio.run(scenario())


FAILING = """
CREATE TABLE few (id int); INSERT INTO few VALUES (1); CREATE TABLE tries (n int);
DELIMITER //
CREATE FUNCTION fail() RETURNS int READS SQL DATA BEGIN SIGNAL SQLSTATE '{0}' SET MYSQL_ERRNO = {1}; RETURN 1; END //
DELIMITER ;
CREATE VIEW failing AS SELECT fail() AS id FROM few;
"""


@pytest.mark.parametrize(
    ("state", "code", "error", "message"),
    [
        ("40001", 1213, SourceUnavailable, "locked by another transaction"),
        ("HY000", 1020, SourceUnavailable, "locked by another transaction"),
        ("08004", 1040, SourceUnavailable, "the database is unavailable"),
        ("45000", 1644, SourceFault, "code 1644"),
    ],
)
def test_a_deadlock_is_503_and_not_500(bank, maria, state, code, error, message):
    opened = bank(FAILING.format(state, code) + "GRANT EXECUTE ON own.* TO reader@'127.0.0.1'")
    with pytest.raises(error, match=rf"^table 'failing': .*{message}"):
        fetch_once(opened, Query(collection="failing"))


# -- restarts of the server, and changes of the schema --------------------------------------------------------------


def test_no_query_fails_after_a_restart_of_the_server(own_maria):
    async def scenario():
        async with open_bank(own_maria.settings("own", connections=4)) as source:
            await asyncio.gather(*(source.fetch(FEW) for _ in range(20)))
            await asyncio.to_thread(own_maria.stop)
            for _ in range(3):
                with pytest.raises(SourceUnavailable):
                    await source.fetch(FEW)
            with pytest.raises(SourceUnavailable):
                await source.health()
            await asyncio.to_thread(own_maria.start)
            pages = await asyncio.gather(*(source.fetch(FEW) for _ in range(20)))
            assert {page.total for page in pages} == {1}
            await source.health()

    asyncio.run(scenario())


def test_connections_that_the_server_ends_fail_no_query(own_maria):
    async def scenario():
        async with open_bank(own_maria.settings("own", connections=4)) as source:
            for _ in range(3):
                await asyncio.gather(*(source.fetch(FEW) for _ in range(8)))
                await asyncio.to_thread(own_maria.execute, "KILL CONNECTION USER reader@'127.0.0.1'")
                assert (await source.fetch(FEW)).total == 1

    asyncio.run(scenario())


def test_a_server_without_free_slots_is_unavailable(own_maria):
    own_maria.execute("SET GLOBAL max_connections = 10; ALTER USER reader@'127.0.0.1' WITH MAX_USER_CONNECTIONS 2")

    async def scenario():
        async with open_bank(own_maria.settings("own", connections=4)) as source:
            async with source._engine.connect(), source._engine.connect():
                with pytest.raises(SourceUnavailable, match=r"the database is unavailable \(.*, code 1226\)"):
                    await source.fetch(FEW)
            assert (await source.fetch(FEW)).total == 1

    asyncio.run(scenario())
    own_maria.execute("ALTER USER reader@'127.0.0.1' WITH MAX_USER_CONNECTIONS 0")


def test_changed_columns_are_noticed(bank, maria):
    opened = bank("CREATE TABLE things (id text, gone text); INSERT INTO things VALUES ('1', 'x')")

    async def scenario():
        async with opened() as source:
            query = build_query("things", id="1")
            assert await fetch_records(source, query) == [{"id": "1", "gone": "x"}]
            maria.execute("ALTER TABLE own.things DROP COLUMN gone, ADD COLUMN fresh text DEFAULT 'y'")
            assert await fetch_records(source, query) == [{"id": "1", "fresh": "y"}]
            maria.execute("DROP TABLE own.things; CREATE TABLE own.others (id int)")
            with pytest.raises(SourceFault, match="there is no table or view for 'things'"):
                await source.fetch(query)

    asyncio.run(scenario())


MANY = """
CREATE TABLE things (number bigint PRIMARY KEY, accountId varchar(20), email varchar(300), memo text);
INSERT INTO things SELECT seq, CONCAT('a', seq % 1000), CONCAT('Kim', seq, '@example.com'), seq FROM seq_1_to_12000;
ANALYZE TABLE things;
"""


def test_a_missing_index_is_advised_and_used(bank, maria):
    opened = bank(MANY)
    queries = [
        build_query("things", accountId="a7"),
        build_query("things", Filter("email", "ieq", "kim7@example.com")),
        build_query("things", Filter("memo", "in", ("7", "8"))),
    ]

    async def fetch_advice():
        async with opened() as source:
            return [await source.advice(query) for query in queries]

    advised = asyncio.run(fetch_advice())
    assert advised == [
        ["CREATE INDEX `things_accountId` ON `things` (`accountId`);"],
        ["CREATE INDEX `things_email` ON `things` (`email`(64));"],
        ["CREATE INDEX `things_memo` ON `things` (`memo`(64));"],
    ]
    maria.execute("USE own; " + " ".join(text for (text,) in advised) + " ANALYZE TABLE things")
    assert asyncio.run(fetch_advice()) == [[], [], []]
    assert fetch_once(opened, queries[1]).total == 1
