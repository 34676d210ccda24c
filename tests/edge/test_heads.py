"""What is HTTP and what is not: both transports understand the same requests, and refuse the same."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import ExitStack

import pytest

from helpers.http import KINDS, reflecting
from openholder.server.connections import choose_loop

CODING = "Transfer-Encoding: chunked\r\n"
HOST = "Host: bank.example\r\n"
AFTER = b"GET /after HTTP/1.1\r\nHost: bank.example\r\nConnection: close\r\n\r\n"
CHUNKED = f"POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n"

LAWFUL = {
    "a GET": (f"GET /a?b=c&d HTTP/1.1\r\n{HOST}\r\n", "GET /a?b=c&d", ""),
    "an empty line before": (f"\r\nGET / HTTP/1.1\r\n{HOST}\r\n", "GET /", ""),
    "an absolute target": (f"GET http://bank.example:8443/a?b HTTP/1.1\r\n{HOST}\r\n", "GET /a?b", ""),
    "an absolute target in capitals": (f"GET HTTPS://BANK.example/a HTTP/1.1\r\n{HOST}\r\n", "GET /a", ""),
    "an absolute target without a path": (f"GET http://bank.example HTTP/1.1\r\n{HOST}\r\n", "GET /", ""),
    "an absolute target with a query alone": (f"GET http://bank.example?b HTTP/1.1\r\n{HOST}\r\n", "GET /?b", ""),
    "an absolute target in a POST": (
        f"POST http://bank.example/a HTTP/1.1\r\n{HOST}Content-Length: 2\r\n\r\n{{}}",
        "POST /a",
        "{}",
    ),
    "two slashes": (f"GET //evil.example/a HTTP/1.1\r\n{HOST}\r\n", "GET //evil.example/a", ""),
    "marks in the target": (f'GET /a"<>^`{{|}}\\[]b HTTP/1.1\r\n{HOST}\r\n', 'GET /a"<>^`{|}\\[]b', ""),
    "an asterisk": (f"OPTIONS * HTTP/1.1\r\n{HOST}\r\n", "OPTIONS *", ""),
    "CONNECT": (f"CONNECT a.example:443 HTTP/1.1\r\n{HOST}\r\n", "CONNECT a.example:443", ""),
    "CONNECT with a path": (f"CONNECT /a HTTP/1.1\r\n{HOST}\r\n", "CONNECT /a", ""),
    "a method of no standard": (f"FOO /a HTTP/1.1\r\n{HOST}\r\n", "FOO /a", ""),
    "a method in small letters": (f"get /a HTTP/1.1\r\n{HOST}\r\n", "get /a", ""),
    "a method of another protocol": (f"DESCRIBE /a HTTP/1.1\r\n{HOST}\r\n", "DESCRIBE /a", ""),
    "an unknown method with a body": (f"FOO / HTTP/1.1\r\n{HOST}Content-Length: 3\r\n\r\nabc", "FOO /", "abc"),
    "a Host with a port": ("GET / HTTP/1.1\r\nHost: bank.example:8443\r\n\r\n", "GET /", ""),
    "a Host of IPv6": ("GET / HTTP/1.1\r\nHost: [::1]:8443\r\n\r\n", "GET /", ""),
    "a Host with an underscore": ("GET / HTTP/1.1\r\nHost: my_bank\r\n\r\n", "GET /", ""),
    "an empty Host": ("GET / HTTP/1.1\r\nHost:\r\n\r\n", "GET /", ""),
    "an empty value": (f"GET / HTTP/1.1\r\n{HOST}X-A:\r\n\r\n", "GET /", ""),
    "white space around a value": (f"GET / HTTP/1.1\r\n{HOST}X-A: \t a \tb \t \r\n\r\n", "GET /", ""),
    "letters beyond ASCII in a value": (f"GET / HTTP/1.1\r\n{HOST}X-A: \xe9\xff\r\n\r\n", "GET /", ""),
    "a header twice": (f"GET / HTTP/1.1\r\n{HOST}x-a: 1\r\nX-B: 2\r\nX-A: 3\r\n\r\n", "GET /", ""),
    "marks in a header's name": (f"GET / HTTP/1.1\r\n{HOST}!#$%&'*+-.^_`|~1a: 1\r\n\r\n", "GET /", ""),
    "300 headers": (f"GET / HTTP/1.1\r\n{HOST}" + "X-A: 1\r\n" * 300 + "\r\n", "GET /", ""),
    "a body on GET": (f"GET / HTTP/1.1\r\n{HOST}Content-Length: 3\r\n\r\nabc", "GET /", "abc"),
    "a length with a zero in front": (f"POST / HTTP/1.1\r\n{HOST}Content-Length: 03 \r\n\r\nabc", "POST /", "abc"),
    "an empty body": (f"POST / HTTP/1.1\r\n{HOST}Content-Length: 0\r\n\r\n", "POST /", ""),
    "a body that looks like a head": (
        f"POST / HTTP/1.1\r\n{HOST}Content-Length: 8\r\n\r\n\r\n\r\n\r\n\r\n",
        "POST /",
        "\r\n" * 4,
    ),
    "chunks": (f"{CHUNKED}3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n", "POST /", "abc0123456789"),
    "chunks that look like heads": (f"{CHUNKED}4\r\n\r\n\r\n\r\n4\r\n\r\n\r\n\r\n0\r\n\r\n", "POST /", "\r\n" * 4),
    "no chunk": (f"{CHUNKED}000\r\n\r\n", "POST /", ""),
    "chunk extensions": (f'{CHUNKED}3;a;b=c;d="e f"\r\nabc\r\n0;z\r\n\r\n', "POST /", "abc"),
    "trailers": (f"{CHUNKED}3\r\nabc\r\n0\r\nX-A: 1\r\nAuthorization: 2\r\n\r\n", "POST /", "abc"),
    "Chunked": (f"POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: CHUNKED\r\n\r\n1\r\na\r\n0\r\n\r\n", "POST /", "a"),
    "a wish for WebSocket": (f"GET / HTTP/1.1\r\n{HOST}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "GET /", ""),
    "a wish for HTTP/2, with a body": (
        f"POST / HTTP/1.1\r\n{HOST}Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nabc",
        "POST /",
        "abc",
    ),
    "a wish for HTTP/2, with chunks": (
        f"POST / HTTP/1.1\r\n{HOST}Connection: Upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3\r\nabc\r\n0\r\n\r\n",
        "POST /",
        "abc",
    ),
    "HTTP/1.0 that stays": ("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "GET /", ""),
}
"""What is sent, and what must be understood of it. The connection stays open."""

LAST = {
    "close": f"GET / HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n",
    "close among others": f"GET / HTTP/1.1\r\n{HOST}Connection: te, Close\r\n\r\n",
    "a proxy's close": f"GET / HTTP/1.1\r\n{HOST}Proxy-Connection: close\r\n\r\n",
    "HTTP/1.0": f"GET / HTTP/1.0\r\n{HOST}\r\n",
    "HTTP/1.0 without Host": "GET / HTTP/1.0\r\n\r\n",
    "close in a POST": f"POST / HTTP/1.1\r\n{HOST}Connection: close\r\nContent-Length: 2\r\n\r\n{{}}",
}
"""Requests that are answered, and close their connection."""

REFUSED = {
    "no version": "GET /\r\n\r\n",
    "HTTP/0.9": f"GET / HTTP/0.9\r\n{HOST}\r\n",
    "HTTP/1.2": f"GET / HTTP/1.2\r\n{HOST}\r\n",
    "HTTP/2.0": f"GET / HTTP/2.0\r\n{HOST}\r\n",
    "HTTP/1.10": f"GET / HTTP/1.10\r\n{HOST}\r\n",
    "http in small letters": f"GET / http/1.1\r\n{HOST}\r\n",
    "RTSP": "GET / RTSP/1.0\r\n\r\n",
    "ICE": "SOURCE / ICE/1.0\r\n\r\n",
    "HTTP/2's preface": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "empty lines": "\r\n\r\n\r\n",
    "two spaces before the target": f"GET  / HTTP/1.1\r\n{HOST}\r\n",
    "two spaces behind the target": f"GET /  HTTP/1.1\r\n{HOST}\r\n",
    "a space behind the version": f"GET / HTTP/1.1 \r\n{HOST}\r\n",
    "a space before the method": f" GET / HTTP/1.1\r\n{HOST}\r\n",
    "a tab for a space": f"GET\t/ HTTP/1.1\r\n{HOST}\r\n",
    "no method": f" / HTTP/1.1\r\n{HOST}\r\n",
    "no target": f"GET  HTTP/1.1\r\n{HOST}\r\n",
    "a mark in the method": f"G(T / HTTP/1.1\r\n{HOST}\r\n",
    "a letter beyond ASCII in the method": f"G\xc9T / HTTP/1.1\r\n{HOST}\r\n",
    "letters beyond ASCII in the target": f"GET /\xe9 HTTP/1.1\r\n{HOST}\r\n",
    "letters beyond ASCII in the query": f"GET /?a=\xe9 HTTP/1.1\r\n{HOST}\r\n",
    "a control character in the target": f"GET /a\x01b HTTP/1.1\r\n{HOST}\r\n",
    "a tab in the target": f"GET /a\tb HTTP/1.1\r\n{HOST}\r\n",
    "NUL in the target": f"GET /a\0b HTTP/1.1\r\n{HOST}\r\n",
    "DEL in the target": f"GET /a\x7fb HTTP/1.1\r\n{HOST}\r\n",
    "a target without a slash": f"GET a HTTP/1.1\r\n{HOST}\r\n",
    "another scheme": f"GET ftp://bank.example/a HTTP/1.1\r\n{HOST}\r\n",
    "an absolute target with a user": f"GET http://a:b@bank.example/ HTTP/1.1\r\n{HOST}\r\n",
    "an absolute target without a host": f"GET http:///a HTTP/1.1\r\n{HOST}\r\n",
    "no Host": "GET / HTTP/1.1\r\n\r\n",
    "two Hosts": f"GET / HTTP/1.1\r\n{HOST}{HOST}\r\n",
    "two Hosts in HTTP/1.0": f"GET / HTTP/1.0\r\n{HOST}{HOST}\r\n",
    "two Hosts in one": "GET / HTTP/1.1\r\nHost: a.example, b.example\r\n\r\n",
    "a space in Host": "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
    "a slash in Host": "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "a user in Host": "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n",
    "letters beyond ASCII in Host": "GET / HTTP/1.1\r\nHost: b\xe9nk\r\n\r\n",
    "a port of letters": "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n",
    "a line that is continued": f"GET / HTTP/1.1\r\n{HOST}X-A: b\r\n c\r\n\r\n",
    "a continued first line": f"GET / HTTP/1.1\r\n {HOST}\r\n",
    "a space before the colon": f"GET / HTTP/1.1\r\n{HOST}X-A : b\r\n\r\n",
    "a space in a name": f"GET / HTTP/1.1\r\n{HOST}X A: b\r\n\r\n",
    "a letter beyond ASCII in a name": f"GET / HTTP/1.1\r\n{HOST}X-\xe9: b\r\n\r\n",
    "no name": f"GET / HTTP/1.1\r\n{HOST}: b\r\n\r\n",
    "no colon": f"GET / HTTP/1.1\r\n{HOST}X-A\r\n\r\n",
    "NUL in a value": f"GET / HTTP/1.1\r\n{HOST}X-A: a\0b\r\n\r\n",
    "CR in a value": f"GET / HTTP/1.1\r\n{HOST}X-A: a\rb\r\n\r\n",
    "a control character in a value": f"GET / HTTP/1.1\r\n{HOST}X-A: a\x01b\r\n\r\n",
    "DEL in a value": f"GET / HTTP/1.1\r\n{HOST}X-A: a\x7fb\r\n\r\n",
    "LF alone as line ends": "GET / HTTP/1.1\nHost: x\n\n",
    "LF alone once": f"GET / HTTP/1.1\r\n{HOST}X-A: a\nX-B: b\r\n\r\n",
    "LF alone at the end": f"GET / HTTP/1.1\r\n{HOST}X-A: a\n\r\n",
    "CR alone as line ends": "GET / HTTP/1.1\rHost: x\r\r\n\r\n",
    "a plus sign in a length": f"POST / HTTP/1.1\r\n{HOST}Content-Length: +2\r\n\r\n{{}}",
    "a negative length": f"POST / HTTP/1.1\r\n{HOST}Content-Length: -2\r\n\r\n{{}}",
    "a hexadecimal length": f"POST / HTTP/1.1\r\n{HOST}Content-Length: 0x2\r\n\r\n{{}}",
    "an underscore in a length": f"POST / HTTP/1.1\r\n{HOST}Content-Length: 1_0\r\n\r\n{{}}",
    "a length in superscript": f"POST / HTTP/1.1\r\n{HOST}Content-Length: \xb2\r\n\r\n{{}}",
    "an empty length": f"POST / HTTP/1.1\r\n{HOST}Content-Length:\r\n\r\n{{}}",
    "two lengths": f"POST / HTTP/1.1\r\n{HOST}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}",
    "the same length twice": f"POST / HTTP/1.1\r\n{HOST}Content-Length: 2\r\nContent-Length: 2\r\n\r\n{{}}",
    "two lengths in one": f"POST / HTTP/1.1\r\n{HOST}Content-Length: 2, 2\r\n\r\n{{}}",
    "a length and chunks": f"POST / HTTP/1.1\r\n{HOST}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and a length": f"POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "chunks twice": f"POST / HTTP/1.1\r\n{HOST}{CODING}{CODING}\r\n0\r\n\r\n",
    "chunks and identity": f"POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "gzip and chunks": f"POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "identity": f"POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: identity\r\n\r\n",
    "an unknown coding": f"POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "an empty coding": f"POST / HTTP/1.1\r\n{HOST}Transfer-Encoding:\r\n\r\n0\r\n\r\n",
    "a comma before chunked": f"POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n",
    "a vertical tab before chunked": f"POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "chunks in HTTP/1.0": f"POST / HTTP/1.0\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a negative chunk": f"{CHUNKED}-1\r\n\r\n0\r\n\r\n",
    "a chunk with 0x": f"{CHUNKED}0x1\r\na\r\n0\r\n\r\n",
    "an underscore in a chunk's size": f"{CHUNKED}1_0\r\n{'a' * 16}\r\n0\r\n\r\n",
    "no size": f"{CHUNKED}\r\na\r\n0\r\n\r\n",
    "a size that is none": f"{CHUNKED}zz\r\na\r\n0\r\n\r\n",
    "a space behind the size": f"{CHUNKED}1 \r\na\r\n0\r\n\r\n",
    "an extension without a name": f"{CHUNKED}1;\r\na\r\n0\r\n\r\n",
    "a control character in an extension": f"{CHUNKED}1;a=\x01\r\na\r\n0\r\n\r\n",
    "LF alone in an extension": f"{CHUNKED}1;a\nb\r\na\r\n0\r\n\r\n",
    "a size of seventeen digits": f"{CHUNKED}{'1' * 17}\r\na\r\n0\r\n\r\n",
    "a chunk longer than its size": f"{CHUNKED}1\r\nab\r\n0\r\n\r\n",
    "a chunk that ends with LF alone": f"{CHUNKED}1\r\na\n0\r\n\r\n",
    "a size that ends with LF alone": f"{CHUNKED}1\na\r\n0\r\n\r\n",
    "a broken trailer": f"{CHUNKED}0\r\nX A: b\r\n\r\n",
    "a continued trailer": f"{CHUNKED}0\r\nX-A: b\r\n c\r\n\r\n",
    "a length as a trailer": f"{CHUNKED}0\r\nContent-Length: 5\r\n\r\n",
    "a coding as a trailer": f"{CHUNKED}0\r\nTransfer-Encoding: gzip\r\n\r\n",
    "too many chunk extensions": CHUNKED + f"1;{'a' * 1000}\r\nb\r\n" * 600 + "0\r\n\r\n",
    "too many trailers": f"{CHUNKED}0\r\n" + f"X-A: {'a' * 1000}\r\n" * 600 + "\r\n",
    "a head that is too large": f"GET / HTTP/1.1\r\n{HOST}X-A: {'a' * 17_000}\r\n\r\n",
    "too many headers": f"GET / HTTP/1.1\r\n{HOST}" + "a:\r\n" * 600 + "\r\n",
    "a length beyond 64 bits": f"POST / HTTP/1.1\r\n{HOST}Content-Length: {'9' * 30}\r\n\r\n",
    "a length of 5000 digits": f"POST / HTTP/1.1\r\n{HOST}Content-Length: {'9' * 5000}\r\n\r\n",
}
"""What is answered with a refusal, or not at all, and closes its connection: nothing behind it is run."""

SILENT = {"a head that is too large": "tornado"}
"""Tornado closes before it can be made to answer."""


@pytest.fixture(scope="module")
def both():
    """A server of each transport, on the loop that it has in production."""
    with ExitStack() as stack:
        runners = {name: stack.enter_context(asyncio.Runner(loop_factory=choose_loop(name))) for name in KINDS}
        contexts = {name: reflecting(name) for name in KINDS}
        servers = {name: runners[name].run(contexts[name].__aenter__()) for name in KINDS}
        yield lambda name, sent, **more: runners[name].run(servers[name].talk(sent, **more)), servers
        for name in KINDS:
            runners[name].run(contexts[name].__aexit__(None, None, None))


def read_answers(received):
    """The statuses of the answers, and what their requests were understood to be."""
    found = re.findall(rb"HTTP/1\.1 (\d+) .*?\r\n\r\n(\{.*?\}(?=HTTP/1\.1|$))?", received, re.DOTALL)
    return [int(status) for status, _ in found], [json.loads(body) for _, body in found if body]


@pytest.mark.parametrize("pieces", [0, 7])
@pytest.mark.parametrize("name", LAWFUL)
def test_both_transports_understand_the_same(both, name, pieces):
    talk, _ = both
    sent, wanted, body = LAWFUL[name]
    understood = {}
    for transport in KINDS:
        statuses, requests = read_answers(talk(transport, sent.encode("latin-1") + AFTER, pieces=pieces))
        assert statuses == [200, 200], transport
        assert " ".join(requests[0]["line"][:2]) == wanted
        assert requests[0]["body"] == body
        assert requests[1]["line"][1] == "/after"
        understood[transport] = requests[0]
    assert understood["llhttp"] == understood["tornado"]


@pytest.mark.parametrize("name", LAST)
@pytest.mark.parametrize("transport", KINDS)
def test_a_request_that_says_so_is_the_last_one(both, name, transport):
    talk, _ = both
    received = talk(transport, LAST[name].encode() + AFTER)
    assert read_answers(received)[0] == [200]
    assert re.search(rb"\r\nConnection: close\r\n", received)


@pytest.mark.parametrize(
    ("name", "transport", "pieces"),
    [
        (name, transport, pieces)
        for name, sent in REFUSED.items()
        for transport, pieces in (("llhttp", 0), ("llhttp", 7), ("tornado", 0))
        if not pieces or len(sent) < 1000
    ],
)
def test_both_transports_refuse_the_same(both, name, transport, pieces):
    talk, servers = both
    servers[transport].application.refused.clear()
    received = talk(transport, REFUSED[name].encode("latin-1") + AFTER, pieces=pieces)
    assert len(servers[transport].application.refused) == 1, received
    statuses, requests = read_answers(received)
    assert requests == []
    if SILENT.get(name) != transport:
        assert len(statuses) == 1
        assert statuses[0] in {400, 413, 431}
