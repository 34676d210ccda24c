"""The page for operators: each block of it is run, on the schemas that it shows, which are none of ours."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

from helpers.commands import run_command
from helpers.processes import free_port
from helpers.support import World
from openholder.contract.collections import COLLECTIONS
from openholder.contract.operations import OPERATIONS
from openholder.inspection.column_names import list_columns
from openholder.server.app import bind

PAGE = (Path(__file__).parents[2] / "docs/sources.md").read_text(encoding="utf-8")
SQL, CSV, WORDS, MARIADB, REST, SEVERAL = re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]


def blocks(chapter: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", chapter, re.DOTALL)


def named(chapter: str) -> dict[str, str]:
    """The JSON that stands behind each request which the text says it answers."""
    said = r"`GET\s+(\S+)`(?: and `GET\s+(\S+)`)?[^`]*returns?[^`]*:\n\n```json\n(.*?)```"
    found = re.findall(said, chapter, re.DOTALL)
    return {path: answer for *paths, answer in found for path in paths if path}


def test_every_block_of_the_page_is_in_a_language_that_is_run():
    assert set(re.findall(r"^```(\w+)$", PAGE, re.MULTILINE)) == {"sql", "csv", "toml", "json"}


def core_db(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "core.db")) as connection:
        for script in blocks(SQL, "sql"):
            connection.executescript(script)


def exports(folder: Path) -> None:
    (folder / "exports").mkdir()
    written = re.findall(r"`(\S+\.csv)`[^`]*(?:`\w+`[^`]*)*:\n\n```csv\n(.*?)```", CSV, re.DOTALL)
    assert [name for name, _ in written] == ["customers.csv", "accounts.csv", "energy.balances.csv"]
    for name, content in written:
        (folder / "exports" / name).write_text(content, encoding="utf-8")


async def verified(world: World, chapter: str) -> int:
    answers = named(chapter)
    for path, answer in answers.items():
        assert (await world.call(path)).json == json.loads(answer), path
    return len(answers)


@pytest.mark.gen_test
async def test_the_core_banking_schema_is_served_through_its_views(world: World, tmp_path):
    core_db(tmp_path)
    configured, _ = blocks(SQL, "toml")
    await world.start(configured)
    assert await verified(world, SQL) == 2
    found = await world.call("/auth/v1/customer/search", body={"email": "noor.haddad@EXAMPLE.com"})
    assert found.json["data"] == [{"id": "70012", "name": "Noor Haddad", "phoneNumber": "+61491570110"}]
    assert (await world.call("/customer/70012/accounts/062000-11/balances")).json["available"] == 1180.5
    refused = await world.call("/v1/banking/customer/70012/accounts/062000-12")
    assert (refused.status, refused.headers["X-Sharing-Refused"]) == (404, "true")


def test_local_times_get_the_offset_of_their_moment(tmp_path):
    core_db(tmp_path)
    with closing(sqlite3.connect(tmp_path / "core.db")) as connection:
        assert [time for (time,) in connection.execute("SELECT POST_TM FROM TXN_TIME ORDER BY SEQ")] == [
            "2026-01-15T09:30:00+11:00",
            "2026-04-05T02:30:00+11:00",
            "2026-04-05T03:00:00+10:00",
            None,
        ]
        (view,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'TXN_TIME'").fetchone()
        connection.executescript(f"DROP VIEW TXN_TIME; {view.replace('o.SINCE LIMIT', 'o.SINCE DESC LIMIT')}")
        (second,) = connection.execute("SELECT POST_TM FROM TXN_TIME WHERE SEQ = 2").fetchone()
        assert second == "2026-04-05T02:30:00+10:00"


@pytest.mark.gen_test
async def test_a_row_of_two_accounts_is_a_record_of_each(world: World, tmp_path):
    core_db(tmp_path)
    with closing(sqlite3.connect(tmp_path / "core.db")) as connection, connection:
        connection.execute("INSERT INTO ACCT VALUES ('062000-13', 'S1', 'Savings', 'A', 20200101, 0, 0)")
        connection.execute("INSERT INTO ACCT_PTY VALUES ('062000-13', 70013, 'OWN')")
        plan = connection.execute("EXPLAIN QUERY PLAN SELECT * FROM SIDES WHERE \"accountId\" = 'x'").fetchall()
        assert len([row for row in plan if "USING INDEX JOURNAL_" in row[3]]) == 2
    await world.start("\n".join(blocks(SQL, "toml")))

    async def list_amounts(customer, account):
        answer = await world.call(
            f"/v1/banking/customer/{customer}/accounts/{account}/transactions?oldest-time=2026-09-01T00:00:00Z"
        )
        return [(row["transactionId"], row["amount"]) for row in answer.json["data"]["transactions"]]

    assert await list_amounts(70012, "062000-11") == [("2-D", "-500.00"), ("1-D", "-7.05")]
    assert await list_amounts(70013, "062000-13") == [("2-C", "500.00")]


@pytest.mark.gen_test
async def test_the_recipes_keep_what_is_unknown_unknown(world: World, tmp_path):
    core_db(tmp_path)
    with closing(sqlite3.connect(tmp_path / "core.db")) as connection:
        connection.executescript(
            "INSERT INTO ACCT VALUES ('62-1', 'S1', NULL, 'A', 20200101, NULL, 0);"
            "INSERT INTO ACCT VALUES ('62-2', 'S1', NULL, 'X', 20200101, 0, 0);"
            "INSERT INTO ACCT_PTY VALUES ('62-1', 70013, 'OWN'), ('62-2', 70014, 'OWN');"
            "INSERT INTO CUST (CUST_NO) VALUES (70014);"
            "INSERT INTO TXN VALUES (3, '062000-11', '2026-10-05T00:10:00', '+11:00', 'D', 0, 'NOTHING', 'POS')"
        )
        amounts = dict(connection.execute('SELECT "transactionId", amount FROM banking_transactions'))
        assert amounts == {1: "-7.05", 2: "2500.00", 3: "0.00"}
        balances = connection.execute("SELECT current, available FROM balances WHERE accountId = '62-1'").fetchall()
        assert balances == [(None, None)]
    configured, _ = blocks(SQL, "toml")
    await world.start(configured)
    unknown = await world.call("/auth/v1/customer/70014/accounts")
    assert unknown.status == 500  # a status that nobody has mapped


@pytest.mark.gen_test
async def test_the_nightly_exports_are_served_under_their_own_headers(world: World, tmp_path):
    exports(tmp_path)
    (configured,) = blocks(CSV, "toml")
    await world.start(configured)
    assert await verified(world, CSV) == 1
    assert (await world.call("/auth/v1/customer/C-881")).json["address"] == {
        "locality": "Geelong",
        "postalCode": "3220",
    }
    offered = (await world.call("/auth/v1/customer/C-881/accounts")).json["accounts"]
    assert [account["displayName"] for account in offered] == ["Home"]


@pytest.mark.gen_test
async def test_the_export_is_served_by_words_alone(world: World, tmp_path):
    (tmp_path / "core").mkdir()
    written = re.findall(
        r"`(\S+\.asc)` has[^`]*:\n\n```csv\n(.*?)```|`(\S+\.asc)`:\n\n```csv\n(.*?)```", WORDS, re.DOTALL
    )
    for first, content, other, text in written:
        (tmp_path / "core" / (first or other)).write_text(content or text, encoding="utf-8")
    (configured,) = blocks(WORDS, "toml")
    await world.start(configured)
    assert await verified(world, WORDS) == 2
    found = await world.call("/auth/v1/customer/search", body={"email": "noor@EXAMPLE.com"})
    assert found.json["data"] == [{"id": "70012", "name": "Noor Haddad"}]
    refused = await world.call("/v1/banking/customer/70013/accounts/62000-12/balance")
    assert (refused.status, refused.headers["X-Sharing-Refused"]) == (404, "true")


class Upstream(RequestHandler):
    """Answers with what the page says; whoever asks for something else, or without the token, learns that."""

    def initialize(self, answers: dict[str, str]) -> None:
        self.answers = answers

    def get(self) -> None:
        asked = self.request.uri.removeprefix("/api").replace("%40", "@")
        if self.request.headers.get("Authorization") != "Bearer agreed":
            self.set_status(401)
        elif asked not in self.answers:
            self.set_status(404)
        else:
            self.set_header("Content-Type", "application/json")
            self.finish(self.answers[asked])


@pytest.mark.gen_test
async def test_the_internal_api_is_served_under_our_names(world: World, monkeypatch):
    monkeypatch.setenv("AGREEMENTS_TOKEN", "agreed")
    answers = named(REST)
    ours = {path for path in answers if path.startswith("/customer/")}
    upstream = {path: answer for path, answer in answers.items() if path not in ours}
    assert (len(ours), len(upstream)) == (1, 4)
    sockets = bind("127.0.0.1", 0)
    server = HTTPServer(Application([("/api/.*", Upstream, {"answers": upstream})]))
    server.add_sockets(sockets)
    (configured,) = blocks(REST, "toml")
    address = f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
    await world.start(configured.replace("https://agreements.internal", address))
    assert (await world.call("/auth/v1/customer/P9")).json == {
        "id": "P9",
        "name": "Ravi Oduya",
        "email": "ravi@example.com",
    }
    found = await world.call("/auth/v1/customer/search", body={"email": "ravi@example.com"})
    assert [customer["id"] for customer in found.json["data"]] == ["P9"]
    for path in ours:
        assert (await world.call(path)).json == json.loads(answers[path])
    server.stop()


@pytest.mark.gen_test
async def test_two_of_the_sources_serve_side_by_side(world: World, tmp_path):
    core_db(tmp_path)
    exports(tmp_path)
    (core, _), (files,), (served,) = (blocks(chapter, "toml") for chapter in (SQL, CSV, SEVERAL))
    holder = await world.start(f"{core}\n{files}\n{served}")
    assert holder.sources.find_source("energy.balances").name == "exports"
    assert holder.sources.find_source("banking.balances").name == "core"


@pytest.mark.slow
def test_check_finds_no_mistake_and_no_missing_index(tmp_path):
    core_db(tmp_path)
    keys = f"http://127.0.0.1:{free_port()}/jwks.json"
    head = f'public_url = "https://a.example"\n[fiskil]\nissuer = "a"\njwks_url = "{keys}"\n'
    configured, _ = blocks(SQL, "toml")
    (tmp_path / "openholder.toml").write_text(head + configured)
    checked = run_command("check", "--dev", "--data", "--json", cwd=tmp_path)
    found = json.loads(checked.stdout)
    assert found["looked_at"]["collections"].keys() >= {"customers", "banking.transactions"}
    # The records of the page become older each day.
    said = [row["wanted"] for row in found["findings"] if row["fault"] != "nothing-new"]
    assert [text.partition(",")[0] for text in said] == [
        f"view 'banking_{name}' has no order of its own" for name in ("accounts", "balances", "transactions")
    ]


def test_the_command_of_the_page_lists_collections_and_columns(tmp_path):
    listed = json.loads(run_command("columns", "--json", cwd=tmp_path).stdout)
    assert [row["collection"] for row in listed] == list(COLLECTIONS)
    told = run_command("columns", "banking.accounts", cwd=tmp_path).stdout
    assert re.search(r"^productCategory +yes +[A-Z_| \n]*TRANS_AND_SAVINGS_ACCOUNTS", told, re.MULTILINE)


@pytest.mark.slow
@pytest.mark.parametrize("collection", [name for name in COLLECTIONS if name != "logins"])
def test_the_columns_are_the_members_and_the_owner(collection):
    rows = {column.name: (column.required, column.type) for column in list_columns(collection)}
    assert len(rows) == len(list_columns(collection))
    for owner in COLLECTIONS[collection].owners.values():
        assert rows[owner][0] == "yes"
    for operation in (row for row in OPERATIONS if row.collection == collection):
        names = {member.encode_name for member in msgspec.structs.fields(operation.record)}
        columns = {operation.record.columns.get(name, name) for name in rows}
        assert names <= columns, names - columns


def test_columns_tell_amounts_days_times_and_lists_apart():
    collections = ("banking.instalment_plans", "banking.transactions")
    rows = {column.name: column.type for name in collections for column in list_columns(name)}
    assert rows["amount"] == "amount: 1200.50"
    assert rows["creationDate"].startswith("day: ")
    assert rows["postingDateTime"].startswith("time: ")
    assert rows["schedule"] == "list of object, as JSON"
    assert rows["schedule[].isPaid"] == "true or false"


def test_columns_of_one_operation_are_not_required_of_records():
    required = {column.name: column.required for column in list_columns("banking.transactions")}
    names = ("amount", "extendedData", "extendedData.payer", "extendedData.nppPayload.service")
    assert [required[name] for name in names] == ["yes", "", "if", "within"]
