"""``openholder rehearse`` as somebody types it, against a server in a process of its own."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import StreamRequestHandler, ThreadingTCPServer
from xml.etree import ElementTree

import pytest

from helpers.commands import run_command
from helpers.processes import COMMAND, PATIENCE, Server, configuration, free_port, openholder
from helpers.support import SQLITE, sample_rows, write_sqlite
from openholder.cli import main
from openholder.fiskil import sample
from openholder.fiskil.signer import Signer
from openholder.rehearsal.conversation import TOKEN_ACCEPTED
from openholder.rehearsal.results import Report, fail_rule

MODEST = ("--no-attacks", "--sector", "common")
"""What makes a rehearsal short."""
WHO = ("--email", sample.EMAIL)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server that is configured for the keys of its development key file, and serves them itself."""
    folder, port = tmp_path_factory.mktemp("holder"), free_port()
    write_sqlite(folder / "bank.db", sample_rows())
    url = f"http://127.0.0.1:{port}"
    path = configuration(folder, more=SQLITE, url=url)
    path.write_text(path.read_text().replace("[listen]\nport = 0", f"[listen]\nport = {port}"))
    with Server(folder, public_url=url) as running:
        (folder / "jwks.json").write_bytes(running.signer.jwks())
        yield running


@pytest.fixture
def keys(server):
    """The options with which the server takes our tokens."""
    return ("--key", str(server.folder / "development-key.pem"), "--jwks", str(server.folder / "jwks.json"))


@pytest.mark.slow
@pytest.mark.subprocess
def test_a_good_server_is_ready_and_every_report_is_written(server, keys, tmp_path):
    files = ("--html", "report.html", "--junit", "report.xml")
    ended = run_command("rehearse", server.public_url, *WHO, *MODEST, *keys, *files, cwd=tmp_path)
    assert (ended.returncode, ended.stdout.splitlines()[0]) == (0, "Ready to go live"), ended.stdout + ended.stderr
    assert "\x1b" not in ended.stdout + ended.stderr
    assert "\r" not in ended.stderr
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    root = ElementTree.fromstring((tmp_path / "report.xml").read_bytes())
    assert "Ready to go live" in page
    assert (root.get("failures"), int(root.get("tests")) > 20) == ("0", True)
    written = ended.stdout + page + (tmp_path / "report.xml").read_text(encoding="utf-8")
    assert [secret for secret in (sample.EMAIL, "cust-1001", "acc-2001", "eyJ") if secret in written] == []


@pytest.mark.subprocess
def test_json_is_all_that_standard_output_has(server, keys, tmp_path):
    ended = run_command("rehearse", server.public_url, *WHO, *MODEST, *keys, "--json", cwd=tmp_path)
    told = json.loads(ended.stdout)
    assert (ended.returncode, told["good"], told["target"]) == (0, True, server.public_url)
    assert "GET /v1/common/customer/{customerId}" in told["served"]
    assert not [route for route in told["served"] if "banking" in route]


@pytest.mark.subprocess
@pytest.mark.slow
def test_attacks_and_a_load_on_this_machine_need_no_permission(server, keys, tmp_path):
    load = ("--rate", "20", "--for", "1s")
    asked = ("rehearse", server.public_url, *WHO, "--sector", "common", *keys, *load, "--json")
    told = json.loads(run_command(*asked, cwd=tmp_path).stdout)
    assert told["good"], told["findings"]
    assert (told["load"]["sent"], told["options"]["Attacks"]) == (20, "included")
    assert {row["verdict"] for row in told["outcomes"] if row["rule"] == "alg-none"} == {"passed"}


@pytest.mark.subprocess
def test_customers_given_by_id_are_not_searched_for(server, keys, tmp_path):
    """The rehearsal skips the search and customer-details requests."""
    ended = run_command(
        "rehearse", server.public_url, "--customer", "cust-1001", *MODEST, *keys, "--json", cwd=tmp_path
    )
    told = json.loads(ended.stdout)
    assert ended.returncode == 0
    assert "GET /auth/v1/customer/{customerId}/accounts" in told["served"]
    assert "POST /auth/v1/customer/search" not in told["served"]
    assert "cust-1001" not in ended.stdout


@pytest.mark.subprocess
@pytest.mark.slow
def test_the_openapi_document_decides_what_is_asked(server, keys, tmp_path):
    document = run_command("openapi", "-c", "openholder.toml", cwd=server.folder)
    (tmp_path / "openapi.json").write_text(document.stdout, encoding="utf-8")
    asked = (*WHO, *MODEST, *keys, "--openapi", "openapi.json", "--json")
    told = json.loads(run_command("rehearse", server.public_url, *asked, cwd=tmp_path).stdout)
    assert (told["good"], told["options"]["OpenAPI document"]) == (True, "given")
    assert "GET /v1/common/customer/{customerId}/detail" in told["served"]


@pytest.mark.subprocess
@pytest.mark.slow
def test_one_operation_and_one_account_can_be_rehearsed_alone(server, keys, tmp_path):
    alone = ("--no-attacks", "--only", "getBankingBalance", "--account", "acc-2002", "--json")
    ended = run_command("rehearse", server.public_url, *WHO, *keys, *alone, cwd=tmp_path)
    told = json.loads(ended.stdout)
    assert (ended.returncode, told["good"]) == (0, True)
    assert set(told["served"]) == {
        "POST /auth/v1/customer/search",
        "GET /auth/v1/customer/{customerId}",
        "GET /auth/v1/customer/{customerId}/accounts",
        "POST /v1/banking/customer/{customerId}/accounts",
        "POST /v1/banking/customer/{customerId}/accounts/balances",
        "GET /v1/banking/customer/{customerId}/accounts/{accountId}/balance",
    }
    measured = {row["subject"]: row["count"] for row in told["timings"]}
    assert measured["GET /v1/banking/customer/{customerId}/accounts/{accountId}/balance"] == 2  # asked, and asked again
    assert "acc-2002" not in ended.stdout


@pytest.mark.subprocess
@pytest.mark.slow
def test_accounts_of_a_list_that_is_left_out_are_no_finding(server, keys, tmp_path):
    """The accounts of a customer of the US bank are in a list that is not asked for."""
    people = (*WHO, "--email", "dana.holbrook@example.com")
    alone = ("--no-attacks", "--only", "getBankingBalance", "--json")
    told = json.loads(run_command("rehearse", server.public_url, *people, *keys, *alone, cwd=tmp_path).stdout)
    assert [finding["rule"] for finding in told["findings"]] == []


@pytest.mark.subprocess
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--only", "getBankingBalances"), "no operation has this name: did you mean getBankingBalance?"),
        (("--only", "Kontostand"), "no operation has this name: openholder routes prints all of them"),
        (("--only", "getBankingBalance", "--sector", "energy"), "is not one of the operations that --sector"),
        (("--only", "getStarterBalance", "--account", "acc-9999"), "offers none of these accounts"),
        (("--only", "getStarterBalance", "--account", "acc-2001", "--account", "acc-2"), "offers not all of these"),
    ],
)
def test_an_operation_or_account_that_is_not_there_is_refused(server, keys, tmp_path, arguments, told):
    ended = run_command("rehearse", server.public_url, *WHO, *keys, "--no-attacks", *arguments, cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, ""), ended.stdout
    words = " ".join(ended.stderr.split())
    assert told in words
    assert f"Invalid value for {'--account' if '--account' in arguments else '--only'}: " in words


@pytest.mark.subprocess
def test_a_baseline_accepts_what_is_known(server, keys, tmp_path):
    """The issuer is wrong: that is a failure which every server has."""
    asked = ("rehearse", server.public_url, *WHO, *keys, "--no-attacks", "--issuer", "other.example")
    (tmp_path / "known.json").write_text(run_command(*asked, "--json", cwd=tmp_path).stdout, encoding="utf-8")
    files = ("--baseline", "known.json", "--sarif", "report.sarif")
    ended = run_command(*asked, *files, cwd=tmp_path)
    assert (ended.returncode, ended.stdout.splitlines()[0]) == (0, "No new failure: 1 known")
    assert "\nKnown: in the baseline\n  CRITICAL token-accepted (once)\n" in ended.stdout
    (run,) = json.loads((tmp_path / "report.sarif").read_text(encoding="utf-8"))["runs"]
    assert [result["baselineState"] for result in run["results"]] == ["unchanged"]


@pytest.mark.subprocess
def test_a_refused_token_fails_with_what_to_configure(server, tmp_path):
    port = free_port()
    ended = run_command("rehearse", server.public_url, *WHO, *MODEST, "--listen", f"127.0.0.1:{port}", cwd=tmp_path)
    assert ended.returncode == 1
    assert ended.stdout.startswith("Not ready: 1 critical\n")
    assert "Rule        token-accepted" in ended.stdout
    assert f"http://127.0.0.1:{port}/jwks.json" in ended.stderr
    assert re.search(r"iss, sub +examplebank\.cdr\.fiskil\.com\n", ended.stderr)
    assert f"{server.public_url} plus the path of the request" in ended.stderr


@pytest.mark.slow
@pytest.mark.subprocess
def test_a_kept_key_is_served_and_used_again_the_next_time(tmp_path):
    """The server starts before its keys can be fetched, and gets time to fetch them."""
    listen, port = free_port(), free_port()
    write_sqlite(tmp_path / "bank.db", sample_rows())
    url = f"http://127.0.0.1:{port}"
    path = configuration(tmp_path, more=SQLITE, url=url, jwks_port=listen)
    path.write_text(path.read_text().replace("[listen]\nport = 0", f"[listen]\nport = {port}"))
    asked = ("rehearse", url, *WHO, *MODEST, "--listen", f"127.0.0.1:{listen}", "--key", "kept.pem")
    with Server(tmp_path, (), public_url=url):
        first, second = (run_command(*asked, cwd=tmp_path) for _ in range(2))
    assert (first.returncode, second.returncode) == (0, 0), first.stdout + first.stderr + second.stdout
    assert first.stderr == second.stderr
    assert f"kid       {Signer.load_or_generate(tmp_path / 'kept.pem').kid}\n" in first.stderr
    assert (tmp_path / "kept.pem").stat().st_mode & 0o077 == 0


@pytest.mark.slow
@pytest.mark.subprocess
def test_on_a_terminal_the_line_is_rewritten_and_gone_at_the_end(server, keys, tmp_path):
    master, slave = pty.openpty()
    with os.fdopen(master, "rb", buffering=0) as terminal:
        process = subprocess.Popen(
            [*COMMAND, "rehearse", server.public_url, *WHO, *MODEST, *keys],
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stderr=slave,
        )
        os.close(slave)
        shown = read_all(terminal)
        assert process.wait(PATIENCE) == 0
    assert "Login, consent and data: " in shown
    assert shown.endswith("\r\x1b[K")


def read_all(terminal):
    """What a terminal shows until its other end is closed, which Linux tells as an error."""
    shown, deadline = b"", time.monotonic() + PATIENCE
    while select.select([terminal], [], [], max(0, deadline - time.monotonic()))[0]:
        try:
            shown += terminal.read(65_536)
        except OSError:
            return shown.decode()
    raise AssertionError(f"the command does not end: {shown!r}")


@pytest.fixture
def silent():
    """A server that finds somebody, and answers nothing from the fourth request on: its URL, and when it has one."""
    reached, released, requests = threading.Event(), threading.Event(), []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            requests.append(self.path)
            if len(requests) > 4:
                reached.set()
                released.wait(PATIENCE)
            content = b'{"data": [{"id": "cust-1001", "name": "Jane Citizen"}]}'
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET  # noqa: N815 - the name is that of http.server

        def log_message(self, *_):
            """Nothing: standard error is the test's."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}", reached
        released.set()
        server.shutdown()


@pytest.mark.subprocess
def test_ctrl_c_ends_with_what_is_known_so_far(silent, tmp_path):
    url, reached = silent
    listen = ("--listen", f"127.0.0.1:{free_port()}", "--junit", "report.xml")
    process = subprocess.Popen(
        [*COMMAND, "rehearse", url, *WHO, *listen],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert reached.wait(PATIENCE)
    process.send_signal(signal.SIGINT)
    told, asides = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, asides
    assert "Not ready: " in told
    assert "(the rehearsal was stopped)" in told
    assert "Rule        interaction-id" in told
    assert "Stopping: Ctrl-C again ends at once" in asides
    assert "Traceback" not in asides
    assert (tmp_path / "report.xml").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "give --email or --customer"),
        ((*WHO, "--rate", "5"), "--rate and --for must be given together"),
        ((*WHO, "--rate", "5", "--for", "soon"), "expected a duration such as 60s or 2m"),
        ((*WHO, "--listen", "8899"), "expected HOST:PORT, such as 127.0.0.1:8899"),
        ((*WHO, "--html", "no/such/folder/x.html"), "does not exist"),
        ((*WHO, "--baseline", "data.txt"), "Invalid value for --baseline: not a report of --json"),
        ((*WHO, "--baseline", "nothing.json"), "does not exist"),
        ((*WHO, "--sarif", "."), "is a directory"),
        ((*WHO, "--rule", "exq"), "no rule has this name: did you mean exp?"),
        ((*WHO, "--dev"), "no development-key.pem in this folder: start `openholder serve --dev` in it first"),
        ((*WHO, "--dev", "--key", "made.pem"), "--dev is a key already"),
        ((*WHO, "--jwks", "data.txt"), "--jwks requires --key"),
        ((*WHO, "--jwks", "data.txt", "--key", "made.pem"), "expected a JWK Set"),
        ((*WHO, "--key", "data.txt"), "no RSA key"),
        ((*WHO, "--ca", "data.txt"), "expected certificates"),
    ],
)
def test_options_that_make_no_sense_are_refused(refused, arguments, told):
    assert told in refused("http://127.0.0.1:9", *arguments)


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "127.0.0.1:8080", "http://127.0.0.1/?a=1", "http://a:b@127.0.0.1"])
def test_only_the_plain_url_of_a_server_is_taken(refused, url):
    assert "without user, query and fragment" in refused(url, *WHO)


@pytest.mark.parametrize("more", [(), ("--no-attacks", "--rate", "5", "--for", "1s")])
def test_remote_servers_are_not_attacked_or_loaded_by_default(refused, more):
    # 192.0.2.1 is nobody's (RFC 5737): nothing is sent there before the options are judged.
    assert "--target-is-mine" in refused("http://192.0.2.1", *WHO, *more)


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys):
    """Type a command that is wrong, in a folder that has a file of no use, and give what it says."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.txt").write_text("neither this nor that")

    def typed(*arguments):
        assert main(["rehearse", *arguments]) == 2
        told = capsys.readouterr()
        assert told.out == ""
        return " ".join(told.err.split())

    return typed


@pytest.mark.subprocess
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--rate", "1000", "--for", "40m"), "at most"),
        (("--openapi", "data.txt"), "not an OpenAPI document"),
        (("--openapi", "nothing.json"), "FileNotFoundError"),
    ],
)
def test_what_is_found_wrong_later_is_refused_as_well(server, tmp_path, arguments, told):
    (tmp_path / "data.txt").write_text("neither this nor that")
    listen = ("--listen", f"127.0.0.1:{free_port()}")
    ended = run_command("rehearse", server.public_url, *WHO, *arguments, *listen, cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert told in " ".join(ended.stderr.split())


def end_with(result, monkeypatch, tmp_path, is_interrupted=False, files=()):
    """Run the command with a rehearsal that ends like this, and return its exit code."""

    async def run(*_):
        if isinstance(result, Exception):
            raise result
        return result, is_interrupted

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("openholder.cli.rehearse._run", run)
    return main(["rehearse", "http://127.0.0.1:9", *WHO, *files])


def test_exit_codes_say_what_an_ending_means(monkeypatch, tmp_path, capsys):
    done = Report("http://127.0.0.1:9", 0)
    bad = replace(done, results=[fail_rule(TOKEN_ACCEPTED, "the server", "401")])
    assert end_with(done, monkeypatch, tmp_path) == 0
    assert end_with(bad, monkeypatch, tmp_path) == 1
    assert end_with(replace(done, is_finished=False), monkeypatch, tmp_path) == 5
    assert end_with(replace(bad, is_finished=False), monkeypatch, tmp_path) == 1
    assert end_with(replace(bad, is_finished=False), monkeypatch, tmp_path, is_interrupted=True) == 130
    assert "Not looked at to the end" in capsys.readouterr().out
    assert end_with(KeyError("acc-2001"), monkeypatch, tmp_path) == 70
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("a fault of the rehearsal itself: KeyError\n")
    assert "acc-2001" not in told.err


def test_a_report_that_cannot_be_written_loses_no_other(monkeypatch, tmp_path, capsys):
    """Nobody can write into /proc, and a rehearsal takes too long to be lost for that."""
    done, files = Report("http://127.0.0.1:9", 0), ("--html", "/proc/no.html", "--junit", str(tmp_path / "x.xml"))
    assert end_with(done, monkeypatch, tmp_path, files=files) == 1
    told = capsys.readouterr()
    assert told.out.startswith("Ready to go live\n")
    assert re.fullmatch(r"/proc/no\.html could not be written: .+\n", told.err)
    assert (tmp_path / "x.xml").exists()


@pytest.mark.parametrize(
    ("scheme", "hint"), [("http", "is the URL one of https?"), ("https", "is the URL one of http?")]
)
def test_a_url_of_the_wrong_scheme_is_told(tmp_path, scheme, hint):
    """The server of `http` answers with bytes that are not HTTP, as one that speaks TLS does."""

    class Handler(StreamRequestHandler):
        def handle(self):
            self.request.recv(1024)
            self.wfile.write(b"\x15\x03\x03\x00\x02\x02\x46")

    with ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        listen = f"127.0.0.1:{free_port()}"
        url = f"{scheme}://127.0.0.1:{server.server_address[1]}"
        ended = run_command("rehearse", url, *WHO, "--listen", listen, cwd=tmp_path)
        server.shutdown()
    assert (ended.returncode, ended.stdout) == (4, "")
    assert hint in ended.stderr


def test_a_server_that_does_not_answer_is_unreachable(tmp_path):
    url, listen = f"http://127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    ended = run_command("rehearse", url, *WHO, "--listen", listen, cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (4, "")
    assert f"{url} does not answer" in ended.stderr


@pytest.mark.slow
@pytest.mark.subprocess
def test_a_port_that_is_taken_for_the_keys_is_told(server, tmp_path):
    taken = server.public_url.removeprefix("http://")
    ended = openholder("rehearse", server.public_url, *WHO, "--listen", taken, cwd=tmp_path)
    assert (ended.returncode, "cannot listen on" in ended.stderr) == (4, True)
