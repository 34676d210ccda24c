"""nginx and HAProxy as they are shipped: what they pass on, what they answer themselves, and the rehearsal behind."""

from __future__ import annotations

import json
import re
import socketserver
import threading
import uuid

import pytest

from helpers.balancers import CONFIGURE, Balancer, run_balancer
from helpers.commands import run_command
from helpers.people import BALANCE
from helpers.processes import Server, configuration, free_port
from helpers.support import SQLITE, sample_rows, write_sqlite

pytestmark = [pytest.mark.slow, pytest.mark.subprocess]

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


@pytest.fixture(scope="module", params=CONFIGURE)
def served(request, tmp_path_factory):
    """openholder behind a proxy that terminates TLS: the name of the proxy, the server, the proxy."""
    folder = tmp_path_factory.mktemp(request.param)
    write_sqlite(folder / "bank.db", sample_rows())
    balancer = Balancer(folder / "proxy")
    configuration(folder, listen='trusted_proxies = "127.0.0.1"', more=SQLITE, url=balancer.url)
    with (
        Server(folder, public_url=balancer.url) as server,
        run_balancer(request.param, balancer, [(server.port, server.admin_port)]),
    ):
        yield request.param, server, balancer


def call(balancer, path, token, **headers):
    connection = balancer.connect()
    connection.request("GET", path, headers={"Authorization": f"Bearer {token}", **headers})
    response = connection.getresponse()
    body = json.loads(response.read())
    connection.close()
    return response, body


@pytest.mark.parametrize("path", [BALANCE, BALANCE.replace("acc-2001", "%61cc%2D2001")])
def test_the_token_for_the_called_url_is_let_in(served, path):
    """Its `aud` is the path as it was sent, escapes and all."""
    _, server, balancer = served
    response, body = call(balancer, path, server.token(path))
    assert (response.status, body["available"]) == (200, 1200.5)


def test_an_answer_keeps_the_callers_interaction_id_and_length(served):
    _, server, balancer = served
    sent = str(uuid.uuid4())
    response, _ = call(balancer, BALANCE, server.token(BALANCE), **{"x-fapi-interaction-id": sent})
    assert response.getheader("x-fapi-interaction-id") == sent
    assert response.getheader("Content-Length")


def test_the_log_has_the_address_of_the_caller(served):
    _, server, balancer = served
    connection = balancer.connect()
    connection.source_address = ("127.0.0.2", 0)
    sent = str(uuid.uuid4())
    headers = {"X-Forwarded-For": "6.6.6.6", "x-fapi-interaction-id": sent}
    connection.request("GET", BALANCE, headers=headers)
    assert connection.getresponse().status == 401
    connection.close()
    while (line := server.event("request"))["fapi_interaction_id"] != sent:
        pass
    assert line["ip"] == "127.0.0.2"


# -- what reaches the server ------------------------------------------------------------------------------------------


class Recorder(socketserver.ThreadingTCPServer):
    """A server that keeps what it is sent, and answers with little."""

    heads: list[bytes]

    class RequestHandlerClass(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            head = b""
            while not head.endswith(b"\r\n\r\n") and (line := self.rfile.readline()):
                head += line
            self.server.heads.append(head)
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), self.RequestHandlerClass)
        self.heads = []


TARGETS = (
    "/a%2Fb//c/./d/%7e;v=1?x=%20y&&x=+&empty=",
    "/a/../b/%C3%A9/%25?q=%2525",
    "/%61cc%2D2001",
)
HEADERS = (
    "x-fapi-interaction-id: 1",
    "X-FAPI-Auth-Date: a",
    "X_UNDER_score: b",
    "Accept: a/b",
    "Accept: c/d",
    "X-V: 2",
)


@pytest.mark.parametrize("name", CONFIGURE)
def test_path_and_headers_are_passed_on_as_they_came(tmp_path, name):
    recorder = Recorder()
    thread = threading.Thread(target=recorder.serve_forever)
    thread.start()
    try:
        with run_balancer(name, Balancer(tmp_path / "proxy"), [(recorder.server_address[1], 0)]) as balancer:
            for target in TARGETS:
                head = "\r\n".join([f"GET {target} HTTP/1.1", "Host: data.example:8443", *HEADERS, "Connection: close"])
                assert balancer.talk(f"{head}\r\n\r\n".encode()).startswith(b"HTTP/1.1 200")
    finally:
        recorder.shutdown()
        thread.join()
        recorder.server_close()
    lines = [head.decode().split("\r\n") for head in recorder.heads if not head.startswith(b"GET /ready ")]
    assert [line[0] for line in lines] == [f"GET {target} HTTP/1.1" for target in TARGETS]
    passed = [line.lower() for line in lines[-1]]
    assert [line for line in passed if line.startswith("accept:")] == ["accept: a/b", "accept: c/d"]
    assert {line.lower() for line in HEADERS} <= set(passed)
    assert "host: data.example:8443" in passed
    assert "x-forwarded-for: 127.0.0.1" in passed


# -- what is refused --------------------------------------------------------------------------------------------------

CLOSE = b"Host: data.example\r\nConnection: close\r\n"
REFUSED = {
    "two hosts": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", {400}),
    "NUL": (b"GET /a\x00b HTTP/1.1\r\n" + CLOSE + b"\r\n", {400}),
    "NUL, escaped": (b"GET /a%00b HTTP/1.1\r\n" + CLOSE + b"\r\n", {400, 404}),
    "above the root": (b"GET /../../x HTTP/1.1\r\n" + CLOSE + b"\r\n", {400, 404}),
    "no escape": (b"GET /%zz HTTP/1.1\r\n" + CLOSE + b"\r\n", {400, 404}),
    "two tokens": (
        b"GET / HTTP/1.1\r\n" + CLOSE + b"Authorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n",
        {400, 404},
    ),
    "head": (b"GET / HTTP/1.1\r\n" + CLOSE + b"X: " + b"a" * 17_000 + b"\r\n\r\n", {400, 431}),
    "address": (b"GET /" + b"a" * 17_000 + b" HTTP/1.1\r\n" + CLOSE + b"\r\n", {414, 431}),
    "TRACE": (b"TRACE / HTTP/1.1\r\n" + CLOSE + b"\r\n", {404, 405}),
    "no method": (b"G{} / HTTP/1.1\r\n" + CLOSE + b"\r\n", {400}),
    "CONNECT": (b"CONNECT a:1 HTTP/1.1\r\n" + CLOSE + b"\r\n", {400}),
    "version": (b"GET / HTTP/3.0\r\n" + CLOSE + b"\r\n", {404, 505}),
    "coding": (b"POST / HTTP/1.1\r\n" + CLOSE + b"Transfer-Encoding: gzip\r\n\r\n", {400, 501}),
    "body": (b"POST /auth/v1/customer/search HTTP/1.1\r\n" + CLOSE + b"Content-Length: 3000000\r\n\r\n", {413}),
    "no HTTP": (b"\x16\x03\x01\r\n\r\n", {400}),
}
"""What is sent, and the statuses with which one of the proxies or openholder refuses it."""
NOT_A_REQUEST = {"two hosts", "NUL", "no method", "CONNECT", "coding", "no HTTP"}
"""What HAProxy refuses before it has a request: no directive changes that answer."""


@pytest.mark.parametrize("sent", REFUSED)
def test_whoever_refuses_does_so_in_the_error_body(served, sent):
    name, _, balancer = served
    head, _, body = balancer.talk(REFUSED[sent][0]).partition(b"\r\n\r\n")
    assert int(head.split(b" ")[1]) in REFUSED[sent][1]
    if name == "haproxy" and sent in NOT_A_REQUEST:
        return
    (error,) = json.loads(body)["errors"]
    assert set(error) == {"code", "title", "detail", "meta"}
    assert error["code"].startswith("urn:au-cds:error:cds-all:")
    (found,) = re.findall(rf"\nx-fapi-interaction-id: ({UUID})\r", head.decode() + "\r")
    assert error["meta"]["correlationId"] == found
    assert b"cache-control: no-store" in head.lower()
    if int(head.split(b" ")[1]) == 405:
        assert b"\r\nallow: get, post" in head.lower()


@pytest.mark.parametrize(("name", "status"), [("nginx", 502), ("haproxy", 503)])
def test_without_a_server_the_caller_is_told_to_come_again(tmp_path, name, status):
    sent = str(uuid.uuid4())
    with run_balancer(name, Balancer(tmp_path / "proxy"), [(free_port(), free_port())]) as balancer:
        response, body = call(balancer, BALANCE, "x", **{"x-fapi-interaction-id": sent})
    assert (response.status, response.getheader("Retry-After")) == (status, "1")
    assert response.getheader("x-fapi-interaction-id") == sent
    (error,) = body["errors"]
    assert (error["code"], error["meta"]) == ("urn:au-cds:error:cds-all:Service/Unavailable", {"correlationId": sent})


# -- the rehearsal ----------------------------------------------------------------------------------------------------

NOTED = {"nginx": {"interaction-id"}, "haproxy": set()}
"""What the rehearsal notes. nginx refuses a second Authorization header, and a path with NUL in it, before it has read
all headers, and so before it knows the caller's interaction id. Nobody but an attacker sends these."""


def test_the_rehearsal_finds_nothing_behind_the_proxy(served):
    name, server, balancer = served
    people = ("--email", "zoe.simunkova@example.org", "--email", "hamish.quillfeather@example.net")
    options = ("--ca", "proxy/ca.pem", "--dev", "--json", *people)
    report = json.loads(run_command("rehearse", balancer.url, *options, cwd=server.folder).stdout)
    assert report["good"], report["findings"]
    assert [each["rule"] for each in report["findings"] if report["rules"][each["rule"]]["severity"] != "warning"] == []
    assert {note["rule"] for note in report["notes"]} == NOTED[name]
    assert all(re.search("two headers|NUL", note["asked"]) for note in report["notes"])
