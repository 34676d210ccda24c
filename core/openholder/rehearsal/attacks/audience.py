"""Whom a token is for: the URI that is asked, as it is known from outside, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

from openholder.operations.table import JSON
from openholder.rehearsal.attacks.target import Attack, Make, Target, accepted, first, no_data
from openholder.rehearsal.exchange import Request
from openholder.rehearsal.findings import Rule
from openholder.rehearsal.scene import MADE_UP

STRANGER = "stranger.example"
_GUIDE = "Fiskil, API reference: aud is the URI of the resource, without the query"

AUDIENCE = Rule(
    "aud", "critical",
    expected="A token whose aud is missing, or another URI than the one that is asked, is refused.",
    why="A token for one customer's name opens another one's transactions.",
    written=f"{_GUIDE}; RFC 8725 section 3.9",
    mend="Compare aud with the configured public URL and the path as it came: the whole text, not its beginning.",
)  # fmt: skip
EXACT = Rule(
    "aud-exact", "warning",
    expected="A token whose aud is nearly the URI that is asked, or has another URI beside it, is refused.",
    why="A gateway may read the path in one way and the server in the other.",
    written=f"{_GUIDE}; RFC 3986 section 6.2.2",
    mend="Compare exactly; normalise letter case and default ports at most, never slashes, dots or the query.",
)  # fmt: skip
LISTED = Rule(
    "aud-list", "warning",
    expected="A token whose aud is a list with just the URI is accepted.",
    why="JWT libraries write aud either way; every request fails when Fiskil's changes.",
    written="RFC 7519 section 4.1.3",
    mend="Take a list of one like the one itself.",
)  # fmt: skip
HOST = Rule(
    "host-header", "error",
    expected="A token for another host is refused, although Host or X-Forwarded-Host names that host.",
    why="Whoever sends a request writes these headers: tokens for another server open this one.",
    written="RFC 9700 section 4.10.2; RFC 9110 section 7.2",
    mend="Build the expected aud from a configured public URL, never from the request's headers.",
)  # fmt: skip


def _aud(write: Callable[[str], object]) -> Make:
    """The good URI, written otherwise."""
    return lambda target: target.token(None, aud=write(target.uri))


def _other_customer(target: Target) -> str:
    ids = dict.fromkeys(target.leg.ids, quote(MADE_UP))
    return target.token(None, aud=target.scene.caller.audience + target.operation.path.format_map(ids))


def _other_account(target: Target) -> Request:
    """A token for one account, used for another; for another customer where no operation is about an account."""
    below = first(
        target.scene, lambda row: "{accountId}" in row.path and (row.method, row.reply.media) == ("GET", JSON)
    )
    if below is None:
        return target.request(token=_other_customer(target))
    other = below.operation.path.format_map({**below.leg.ids, "accountId": MADE_UP})
    return below.request(token=below.token(None, aud=below.scene.caller.audience + other))


def _with_query(target: Target) -> Request:
    return target.request(query="page=1", token=target.token(None, aud=f"{target.uri}?page=1"))


def _server_only(target: Target) -> str:
    return target.token(None, aud=target.scene.caller.audience)


def _spoofed(*names: str) -> Make:
    """A token for the stranger's host, in a request with headers of that host."""

    def made(target: Target) -> Request:
        values = {"Forwarded": f"host={STRANGER};proto=https", "X-Forwarded-Proto": "https"}
        headers = tuple((name, values.get(name, STRANGER)) for name in names)
        aud = f"https://{STRANGER}{target.request().path}"
        return target.request(headers=headers, token=target.token(None, aud=aud))

    return made


def _spoofed_plain(target: Target) -> Request:
    """The same, for servers that take themselves to be called over http."""
    aud = f"http://{STRANGER}{target.request().path}"
    return target.request(headers=(("Host", STRANGER),), token=target.token(None, aud=aud))


ATTACKS = (
    Attack(AUDIENCE, no_data, {
        "no aud": lambda target: target.token(None, aud=None),
        "an empty aud": _aud(lambda uri: ""),
        "a list in a list as aud": _aud(lambda uri: [[uri]]),
        "the aud of another customer": _other_customer,
        "the aud of another account": _other_account,
        "the aud of another host": _aud(lambda uri: f"https://{STRANGER}/{uri.split('/', 3)[-1]}"),
        "only the server as aud": _server_only,
        "the aud without its end": _aud(lambda uri: uri[:-1]),
        "an aud that goes on": _aud(lambda uri: f"{uri}/x"),
        "only the path as aud": _aud(lambda uri: f"/{uri.split('/', 3)[-1]}"),
    }),
    Attack(EXACT, no_data, {
        "an aud with a slash behind": _aud(lambda uri: f"{uri}/"),
        "an aud with a double slash": _aud(lambda uri: "//".join(uri.rsplit("/", 1))),
        "an aud with a query": _aud(lambda uri: f"{uri}?page=1"),
        "an aud with the query of the request": _with_query,
        "an aud with a fragment": _aud(lambda uri: f"{uri}#x"),
        "another URI beside it": _aud(lambda uri: [uri, f"https://{STRANGER}/"]),
    }, given=AUDIENCE),
    Attack(LISTED, accepted, {"a list with just the aud": _aud(lambda uri: [uri])}),
    Attack(HOST, no_data, {
        "a stranger's Host": _spoofed("Host"),
        "a stranger's Host, over http": _spoofed_plain,
        "a stranger's X-Forwarded-Host": _spoofed("X-Forwarded-Host", "X-Forwarded-Proto"),
        "a stranger's Forwarded": _spoofed("Forwarded"),
        "a stranger's X-Original-Host": _spoofed("X-Original-Host", "X-Forwarded-Server"),
    }, (400, 401, 403, 404, 421), given=AUDIENCE),
)  # fmt: skip
