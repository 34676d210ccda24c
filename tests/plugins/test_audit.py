"""The audit trail: what it records, what it survives, and what its reader finds."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import shutil
import signal
import stat
from http.client import HTTPException
from pathlib import Path

import pytest

from helpers.commands import run_command
from helpers.people import BALANCE, JANE, SEARCH, rows_with_blocked
from helpers.processes import Server, configuration, find_worker
from helpers.support import ISSUER, SQLITE, sample_rows, start_with, write_sqlite
from openholder import FinishedRequest, make_pseudonym
from openholder_audit import AuditSettings, AuditTrail
from openholder_audit import segments as module
from openholder_audit.chain import Chain
from openholder_audit.reading import read_records, verify

KEY = "a key of thirty-two characters.."
TRAIL = f'[observers.trail]\nkind = "audit"\nfolder = "trail"\nkey = "{KEY}"\n'
CUSTOMER = "/auth/v1/customer/cust-1001"


def make_event(**members):
    return FinishedRequest(
        **{
            "interaction_id": "1",
            "operation": "getCustomerDetails",
            "method": "GET",
            "customer_id": "c1",
            "account_id": None,
            "status": 200,
            "reason": "",
            "seconds": 0.0,
            "admitted": True,
            "customer_ids": ("c1",),
            "records": 1,
            **members,
        }
    )


def make_trail(folder, **members):
    settings = AuditSettings(**{"folder": folder / "trail", "key": KEY, "sync": "never", **members})
    return AuditTrail("trail", settings)


async def write(trail, *events):
    await trail.open()
    for event in events or (make_event(),):
        await trail.record_answer(event)
    await trail.close()


def check(folder, key=KEY):
    """The faults and the notes of a trail."""
    writers = verify(folder / "trail", Chain(key.encode()))
    return [fault for writer in writers for fault in writer.faults], [n for writer in writers for n in writer.notes]


def files(folder):
    return sorted((folder / "trail").glob("*.jsonl"))


# -- what is recorded ---------------------------------------------------------------------------------------------


@pytest.mark.gen_test
async def test_disclosures_and_refusals_are_recorded(world):
    await start_with(world, "sqlite", rows_with_blocked(), tables=TRAIL + 'ids = "plain"\nsync = "each"\n')
    await world.call(BALANCE)
    await world.call(SEARCH, body=JANE)
    bulk = "/v1/banking/customer/cust-1001/accounts/balances"
    await world.call(bulk, body={"data": {"accountIds": ["acc-2001", "acc-2002"]}})
    await world.call("/customer/cust-1001/accounts/acc-2901/balances")
    await world.call(BALANCE, token="forged")
    balance, search, list_, refusal = read_records(world.folder / "trail")
    assert (balance["operation"], balance["customers"], balance["accounts"]) == (
        "getStarterBalance",
        ["cust-1001"],
        ["acc-2001"],
    )
    assert (search["customers"], search["records"], search["status"]) == (["cust-1001", "cust-1002"], 2, 200)
    assert (list_["accounts"], list_["records"]) == (["acc-2001", "acc-2002"], 2)
    assert (refusal["status"], refusal["reason"], refusal["refused"]) == (404, "account_refused", True)
    text = "".join(path.read_text() for path in files(world.folder))
    assert "@" not in text and "Citizen" not in text
    await world.stop()
    assert check(world.folder) == ([], [])
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in (world.folder / "trail").iterdir())
    assert stat.S_IMODE((world.folder / "trail").stat().st_mode) == 0o700


@pytest.mark.gen_test
async def test_ids_are_pseudonyms_unless_plain_ones_are_wanted(tmp_path):
    await write(make_trail(tmp_path), make_event(account_ids=("a1",)))
    (record,) = read_records(tmp_path / "trail")
    assert (record["customers"], record["accounts"]) == (
        [make_pseudonym(KEY.encode(), "c1")],
        [make_pseudonym(KEY.encode(), "a1")],
    )


@pytest.mark.gen_test
async def test_requests_without_a_token_are_recorded_on_request(tmp_path):
    unadmitted = make_event(admitted=False, status=401, reason="no_token", customer_ids=())
    await write(make_trail(tmp_path), unadmitted)
    assert files(tmp_path) == []
    await write(make_trail(tmp_path, unadmitted=True), unadmitted)
    assert [record["reason"] for record in read_records(tmp_path / "trail")] == ["no_token"]


REFUSED_SETTINGS = {
    "pseudonyms without a key": {"key": None},
    "a short key": {"key": "fifteen bytes.."},
    "an unknown way to sync": {"sync": "often"},
}


@pytest.mark.parametrize("members", REFUSED_SETTINGS.values(), ids=REFUSED_SETTINGS)
def test_settings_that_would_not_protect_are_refused(tmp_path, members):
    with pytest.raises(ValueError, match=r"needs a key|at least 16 bytes|'each', 'second' or 'never'"):
        make_trail(tmp_path, **members)


# -- writers and files --------------------------------------------------------------------------------------------


@pytest.mark.gen_test
async def test_each_writer_has_files_of_its_own(tmp_path):
    first, second = make_trail(tmp_path), make_trail(tmp_path)
    for trail in (first, second):
        await trail.open()
        await trail.record_answer(make_event())
    for trail in (first, second):
        await trail.close()
    assert [path.name for path in files(tmp_path)] == ["audit-00-000001.jsonl", "audit-01-000001.jsonl"]
    await write(make_trail(tmp_path))
    assert files(tmp_path)[1].name == "audit-00-000002.jsonl"
    assert check(tmp_path) == ([], [])


@pytest.mark.gen_test
async def test_a_reload_goes_on_as_another_writer(world):
    await start_with(world, "sqlite", sample_rows(), tables=TRAIL)
    await world.call(CUSTOMER)
    await world.holder.reload()
    await world.call(CUSTOMER)
    await world.stop()
    assert [path.name for path in files(world.folder)] == ["audit-00-000001.jsonl", "audit-01-000001.jsonl"]
    assert len(list(read_records(world.folder / "trail"))) == 2
    assert check(world.folder) == ([], [])


@pytest.mark.parametrize("members", [{"max_bytes": 4096}, {"max_hours": 1e-9}], ids=["size", "age"])
@pytest.mark.gen_test
async def test_a_full_or_old_file_is_followed_by_a_new_one(tmp_path, monkeypatch, caplog, members):
    monkeypatch.setattr("openholder_audit.TICK", 0.001)
    caplog.set_level("INFO")
    trail = make_trail(tmp_path, **members)
    await trail.open()
    while len(files(tmp_path)) < 3:
        await trail.record_answer(make_event())
        await asyncio.sleep(0.002)
    await trail.close()
    assert check(tmp_path) == ([], [])
    (writer,) = verify(tmp_path / "trail", Chain(KEY.encode()))
    assert f"audit file {files(tmp_path)[-1].name} closed" in caplog.text and writer.head in caplog.text


@pytest.mark.parametrize("change", ["moved", "shortened"])
@pytest.mark.gen_test
async def test_a_file_that_is_changed_meanwhile_is_given_up(tmp_path, monkeypatch, caplog, change):
    monkeypatch.setattr("openholder_audit.TICK", 0.001)
    trail = make_trail(tmp_path)
    await trail.open()
    await trail.record_answer(make_event())
    (path,) = files(tmp_path)
    if change == "moved":
        path.rename(tmp_path / "away")
    else:
        os.truncate(path, 100)
    while "a new one begins" not in caplog.text:
        await asyncio.sleep(0.001)
    await trail.record_answer(make_event())
    await trail.close()
    assert files(tmp_path)[-1].name == "audit-00-000002.jsonl"
    faults, notes = check(tmp_path)
    assert faults if change == "shortened" else notes == ["begins with audit-00-000002.jsonl: older files are not here"]


# -- what goes wrong ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("partly", [True, False], ids=["a part fits", "nothing fits"])
@pytest.mark.gen_test
async def test_a_full_disk_is_503_and_leaves_no_half_line(world, monkeypatch, partly):
    await start_with(world, "sqlite", sample_rows(), tables=TRAIL)
    assert (await world.call(CUSTOMER)).status == 200
    fill = {"full": True}
    real = os.write

    def write(descriptor, data):
        if fill["full"] and data.startswith(b'{"time"'):
            if not partly:
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(descriptor, data[:10])
        return real(descriptor, data)

    monkeypatch.setattr(module.os, "write", write)
    assert (await world.call(CUSTOMER)).status == 503
    fill["full"] = False
    assert (await world.call(CUSTOMER)).status == 200
    failures = {"observer": "observers.trail", "hook": "record_answer"}
    count = world.holder.state.journal.registry.get_sample_value
    assert count("openholder_observer_failures_total", failures) == 1
    assert count("openholder_http_refusals_total", {"reason": "not_recorded"}) == 1
    await world.stop()
    assert check(world.folder) == ([], [])
    assert len(list(read_records(world.folder / "trail"))) == 2


@pytest.mark.gen_test
async def test_a_disk_that_fails_is_not_believed_again(tmp_path, monkeypatch):
    trail = make_trail(tmp_path, sync="each")
    await trail.open()
    await trail.record_answer(make_event())
    sync = os.fdatasync
    monkeypatch.setattr(module.os, "fdatasync", lambda _: (_ for _ in ()).throw(OSError(errno.EIO, "I/O error")))
    with pytest.raises(OSError, match="I/O error"):
        await trail.record_answer(make_event())
    monkeypatch.setattr(module.os, "fdatasync", sync)
    await trail.record_answer(make_event())
    await trail.close()
    assert len(files(tmp_path)) == 2
    assert check(tmp_path) == ([], [])


@pytest.mark.gen_test
async def test_many_records_share_a_write_to_the_disk(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(module.os, "fdatasync", synced.append)
    trail = make_trail(tmp_path, sync="each")
    await trail.open()
    await trail.record_answer(make_event())
    await asyncio.gather(*(trail.record_answer(make_event()) for _ in range(50)))
    await trail.close()
    assert 2 <= len(synced) < 10
    assert len(list(read_records(tmp_path / "trail"))) == 51


@pytest.mark.parametrize("torn", [b'{"time":"2026', b"", b"\n"], ids=["half a line", "an empty file", "a line feed"])
@pytest.mark.gen_test
async def test_after_a_crash_a_new_file_goes_on(tmp_path, torn):
    await write(make_trail(tmp_path))
    (path,) = files(tmp_path)
    if torn:
        with path.open("ab") as file:
            file.write(torn)
    else:
        (tmp_path / "trail/audit-00-000002.jsonl").touch()
    await write(make_trail(tmp_path))
    faults, notes = check(tmp_path)
    if torn == b"\n":
        assert faults == ["audit-00-000001.jsonl line 3 is torn, or was not written by an audit trail"]
    else:
        assert faults == []
        assert len(notes) == bool(torn)
    assert len(list(read_records(tmp_path / "trail"))) == 2


@pytest.mark.slow
@pytest.mark.subprocess
def test_what_left_is_recorded_even_if_a_worker_is_killed(tmp_path):
    """Every answer that arrived has its line; a line may have an answer that never arrived."""
    write_sqlite(tmp_path / "bank.db", sample_rows())
    configuration(tmp_path, listen="workers = 2", more=SQLITE + TRAIL)
    answered = []
    with Server(tmp_path) as server:
        try:
            server.event("listening on")
            signer, uri = server.signer, server.public_url + BALANCE
            for number in range(40):
                if number == 20:
                    os.kill(find_worker(server.process.pid), signal.SIGKILL)
                with contextlib.suppress(OSError, HTTPException):  # the worker that was killed had it
                    connection = server.connect()
                    connection.request(
                        "GET", BALANCE, headers={"Authorization": f"Bearer {signer.sign_token(ISSUER, uri)}"}
                    )
                    response = connection.getresponse()
                    response.read()
                    answered.append(response.headers["x-fapi-interaction-id"])
                    connection.close()
        finally:
            server.stop()
    assert len(answered) > 30
    recorded = {record["interaction_id"] for record in read_records(tmp_path / "trail")}
    assert set(answered) <= recorded
    assert check(tmp_path)[0] == []


@pytest.mark.gen_test
async def test_commands_that_read_data_leave_the_trail_alone(world):
    await start_with(world, "sqlite", sample_rows(), tables=TRAIL)
    await world.stop()
    before = sorted((world.folder / "trail").iterdir())
    for command in (("check", "--data", "--offline"), ("routes",)):
        run_command(*command, "-c", str(world.folder / "openholder.toml"), cwd=world.folder)
    assert sorted((world.folder / "trail").iterdir()) == before
    shutil.rmtree(world.folder / "trail")
    run_command("routes", "-c", str(world.folder / "openholder.toml"), cwd=world.folder)
    assert not (world.folder / "trail").exists()


# -- verify -------------------------------------------------------------------------------------------------------


def change(lines):
    lines[1] = lines[1].replace(b'"records":1', b'"records":0')


def remove(lines):
    del lines[2]


def insert(lines):
    lines.insert(2, lines[1])


def swap(lines):
    lines[1], lines[2] = lines[2], lines[1]


TAMPERING = {
    "a changed record": (change, "line 2 was changed"),
    "a removed one": (remove, "line 3 was changed, or lines before it"),
    "one twice": (insert, "line 3 was changed"),
    "two in another order": (swap, "line 2 was changed"),
}


@pytest.mark.parametrize(("tamper", "fault"), TAMPERING.values(), ids=TAMPERING)
@pytest.mark.parametrize("key", [KEY, ""], ids=["with a key", "without"])
@pytest.mark.gen_test
async def test_tampering_is_found(tmp_path, tamper, fault, key):
    events = [make_event(interaction_id=str(number)) for number in range(4)]
    await write(make_trail(tmp_path, key=key or None, ids="plain"), *events)
    assert check(tmp_path, key) == ([], [])
    (path,) = files(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    tamper(lines)
    path.write_bytes(b"".join(lines))
    faults, _ = check(tmp_path, key)
    assert fault in faults[0]


@pytest.mark.gen_test
async def test_files_that_are_missing_or_renamed_are_found(tmp_path):
    for _ in range(3):
        await write(make_trail(tmp_path))
    first, second, third = files(tmp_path)
    content = second.read_bytes()
    second.unlink()
    faults, _ = check(tmp_path)
    assert faults[0] == "audit-00-000002.jsonl is missing"
    second.write_bytes(content)
    first.unlink()
    assert check(tmp_path) == ([], ["begins with audit-00-000002.jsonl: older files are not here"])
    third.rename(third.with_name("audit-00-000001.jsonl"))
    assert check(tmp_path)[0]


@pytest.mark.gen_test
async def test_another_key_opens_nothing(tmp_path):
    await write(make_trail(tmp_path))
    faults, _ = check(tmp_path, "another key of 32 characters....")
    assert "the key is another" in faults[0]


# -- the commands -------------------------------------------------------------------------------------------------


@pytest.fixture
def trail(world, io_loop):
    """A server that has answered a few requests and ended; gives the arguments that name its configuration."""

    async def serve():
        log = f'[log]\npseudonym_key = "{KEY}"\n'
        await start_with(world, "sqlite", rows_with_blocked(), tables=log + TRAIL)
        await world.call(CUSTOMER)
        await world.call(CUSTOMER)
        await world.call(BALANCE)
        await world.call("/auth/v1/customer/cust-9999")
        await world.call("/customer/cust-1001/accounts/acc-2901/balances")
        await world.stop()

    io_loop.run_sync(serve)
    return ("-c", str(world.folder / "openholder.toml"))


def run(*arguments):
    """Run a command. Return its exit code and what it printed."""
    ended = run_command(*arguments, cwd=Path())
    return ended.returncode, ended.stdout


def test_show_answers_who_saw_what_of_a_customer(trail):
    code, shown = run("audit", "show", *trail, "--customer", "cust-1001")
    assert code == 0
    assert [line.split()[1:4] for line in shown.splitlines()[1:]] == [
        ["getCustomerDetails", "200", "1"],
        ["getCustomerDetails", "200", "1"],
        ["getStarterBalance", "200", "1"],
        ["getStarterBalance", "404", "0"],
    ]
    code, shown = run("audit", "show", *trail, "--account", "acc-2001", "--json")
    (record,) = map(json.loads, shown.splitlines())
    assert record["accounts"] == [make_pseudonym(KEY.encode(), "acc-2001")]
    interaction = record["interaction_id"]
    assert interaction in run("audit", "show", *trail, "--interaction", interaction, "--from", "2020-01-01")[1]
    assert run("audit", "show", *trail, "--customer", "cust-1001", "--to", "2020-01-01") == (0, "no record\n")


def test_report_counts_disclosures_and_refusals(trail):
    code, shown = run("audit", "report", *trail, "--json")
    assert (code, json.loads(shown)) == (
        0,
        {
            "from": "",
            "to": "",
            "requests": 5,
            "disclosures": [
                {"operation": "getCustomerDetails", "answers": 2, "records": 2, "customers": 1},
                {"operation": "getStarterBalance", "answers": 1, "records": 1, "customers": 1},
            ],
            "refusals": [{"status": 404, "reason": "account_refused", "answers": 1}],
            "others": [{"status": 404, "reason": "record_unknown", "answers": 1}],
        },
    )
    code, shown = run("audit", "report", *trail)
    assert "Refusals to share (rule 9.4): 1\nSTATUS  REASON           ANSWERS\n404     account_refused  1" in shown


def test_verify_compares_with_the_heads_of_the_run_before(trail, world, tmp_path):
    heads = tmp_path / "heads.json"
    code, shown = run("audit", "verify", *trail, "--heads", str(heads))
    assert (code, shown.splitlines()[-1]) == (0, "the trail is whole")
    (path,) = files(world.folder)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    assert run("audit", "verify", *trail)[0] == 0
    code, shown = run("audit", "verify", *trail, "--heads", str(heads))
    assert code == 1 and "its last one before, is gone" in shown
    code, shown = run("audit", "verify", "--json", *trail, "--heads", str(heads))
    assert code == 1 and json.loads(shown)["writers"][0]["records"] == 4


def test_the_folder_and_the_key_can_be_named(trail, world, tmp_path):
    (tmp_path / "trail.key").write_text(KEY)
    place = ("--folder", str(world.folder / "trail"), "--key-file", str(tmp_path / "trail.key"))
    assert run("audit", "verify", *place)[0] == 0
    assert run("audit", "verify", *place[:2])[0] == 1


def test_pseudonym_prints_what_the_log_and_the_trail_call_an_id(trail, monkeypatch):
    assert run("pseudonym", *trail, "cust-1001") == (0, make_pseudonym(KEY.encode(), "cust-1001") + "\n")
    monkeypatch.setenv("OPENHOLDER_LOG__PSEUDONYM_KEY", "another")
    _, shown = run("pseudonym", *trail, "cust-1001")
    assert [line.split() for line in shown.splitlines()[1:]] == [
        ["log.pseudonym_key", make_pseudonym(b"another", "cust-1001")],
        ["observers.trail.key", make_pseudonym(KEY.encode(), "cust-1001")],
    ]
