"""The demo: every operation walked for three sectors, what must be refused, and lines to paste."""

from __future__ import annotations

import json
import re
import subprocess

import aiohttp
import pytest

from openholder.cli.demo import INVITATIONS
from openholder.fiskil import sample
from openholder.fiskil.reading import Answer, Leg
from openholder.fiskil.walk import PEOPLE, Caller, walk
from openholder.operations import OPERATIONS
from processes import COMMAND, PATIENCE, openholder
from support import ISSUER, SQLITE, sample_rows, write_sqlite

OPERATION = {row.name: row for row in OPERATIONS}


def steps(output):
    """The lines of the table below its heading, as cells."""
    return [re.split(r"\s{2,}", line) for line in output.splitlines() if line.startswith(("ok ", "WRONG "))]


@pytest.mark.parametrize("source", ["sqlite", "csv"])
def test_the_demo_asks_every_operation_gets_data_and_leaves_nothing_behind(tmp_path, source):
    ended = openholder("demo", "--check", "--source", source, cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    told = steps(ended.stdout)
    answered = {route for verdict, _, route, status, _ in told if (verdict, status) == ("ok", "200")}
    assert answered == {f"{row.method} {row.path}" for row in OPERATIONS}
    assert f"\n{len(told)} of {len(told)} as expected\n" in ended.stdout
    assert (list(tmp_path.iterdir()), ended.stderr) == ([], "")


def test_the_demo_tells_of_people_of_pages_of_a_document_and_of_refusals(tmp_path):
    output = openholder("demo", "--check", cwd=tmp_path).stdout
    people = [f"{person.email}: {', '.join(person.sectors)}" for person in PEOPLE]
    assert [line for line in output.splitlines() if "@" in line] == [
        *people,
        f"{PEOPLE[0].email}: what must be refused",
    ]
    answers = {}
    for _, _, route, status, answer in steps(output):
        answers.setdefault(route, []).append((status, answer))
    for operation in ("listBankingTransactions", "listPayees", "listEnergyBillingSpecific", "fdxListTransactions"):
        status, answer = answers[route_of(operation)][0]
        records, pages = re.match(r"(\d+) .* on (\d+) pages$", answer).groups()
        assert int(records) > int(pages) > 1
    assert answers[route_of("listBankingAccountsSpecific")] == [("200", "4 accounts on 1 page")]
    (document,) = sample.documents().values()
    assert answers[route_of("fdxGetStatement")] == [("200", f"PDF of {len(document)} bytes")]
    jane, _, dana, *refused = answers[route_of("getStarterBalance")]
    assert (jane[1].startswith("1200.50 AUD; "), dana[1].startswith("7903.45 USD; ")) == (True, True)
    assert refused == [
        *(("401", "invalid_token"),) * 3,
        ("404", "account_not_found"),
        ("404", "account_unavailable, X-Sharing-Refused: true"),
    ]
    assert ("422", "cds-all:Field/InvalidPage") in answers[route_of("listBankingTransactions")]
    assert answers[route_of("listBankingBalancesSpecific")][-1][0] == "422"


def route_of(operation):
    return f"{OPERATION[operation].method} {OPERATION[operation].path}"


def test_the_curl_lines_of_the_demo_work_as_pasted(tmp_path):
    process = subprocess.Popen(
        [*COMMAND, "demo"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    lines = []
    for line in process.stdout:
        if line.startswith("curl"):
            lines.append(line)
        if line.startswith("Ctrl-C"):
            break
    answers = [json.loads(subprocess.run(["sh", "-c", line], capture_output=True, text=True).stdout) for line in lines]
    process.send_signal(2)
    _, log = process.communicate(timeout=PATIENCE)
    assert (process.returncode, len(lines)) == (0, len(INVITATIONS))
    assert [answer for answer in answers if "errors" in answer] == []
    assert {name for answer in answers for name in answer} >= {"data", "accounts", "account_id", "links", "page"}
    assert log.count('"event": "request"') == len(INVITATIONS)


# -- a walk that finds something wrong ----------------------------------------------------------------------------


def wrong_steps(world, io_loop, rows, settings="deprecated_lists = true"):
    """What is asked and answered in the steps that are not as expected, where these rows are served."""
    write_sqlite(world.folder / "bank.db", rows)

    async def walked():
        await world.start(SQLITE, settings=settings)
        async with aiohttp.ClientSession() as session:
            return [step async for step in walk(Caller(session, world.url, world.signer, ISSUER))]

    return [(step.asked, step.status, step.answer) for step in io_loop.run_sync(walked, PATIENCE) if not step.good]


def test_a_walk_is_wrong_where_lists_are_empty_and_where_they_leave_nothing_to_ask_for(world, io_loop):
    rows = sample_rows()
    rows["banking.payees"] = [row | {"customerId": "cust-1002"} for row in rows["banking.payees"]]
    rows["fdx.statements"] = [row | {"accountId": "acc-2001"} for row in rows["fdx.statements"]]
    wrong = wrong_steps(world, io_loop, rows)
    assert ("Payees", 200, "nothing there") in wrong
    assert ("Payee detail", 0, "nothing there") in wrong
    assert ("Statements of an account", 200, "nothing there") in wrong


def test_a_walk_is_wrong_where_a_refusal_is_missing(world, io_loop):
    rows = sample_rows()
    for row in rows["accounts"]:
        row["status"] = None
    assert ("A blocked account", 200, "data") in wrong_steps(world, io_loop, rows)


def test_a_walk_is_wrong_where_operations_are_not_served(world, io_loop):
    wrong = wrong_steps(world, io_loop, sample_rows(), settings="")
    lists = [row.summary for row in OPERATIONS if row.deprecated]
    assert [(asked, status) for asked, status, _ in wrong if asked in lists] == [(name, 405) for name in lists]


def page(*payees, total):
    return {"data": {"payees": [{"payeeId": name} for name in payees]}, "links": {}, "meta": {"totalRecords": total}}


@pytest.mark.parametrize(
    ("operation", "contents", "wrong"),
    [
        ("listPayees", [page("a", "b", total=3), page("c", total=3)], ""),
        ("listPayees", [page("a", "b", total=3)], "2 records, announced: 3"),
        ("listPayees", [page("a", "b", total=3), page("b", total=3)], "a record comes twice"),
        ("listPayees", [page("a", total=1)["data"]], "0 records, announced: None"),
        ("fdxGetStatement", [b"%PDF-1.4"], ""),
        ("fdxGetStatement", [b"<html>"], "no PDF"),
        ("fdxGetStatement", [{}], "no PDF"),
    ],
)
def test_pages_are_counted_and_documents_looked_into(operation, contents, wrong):
    leg = Leg(OPERATION[operation], {}, [Answer(200, {}, content) for content in contents])
    assert leg.wrong == wrong
