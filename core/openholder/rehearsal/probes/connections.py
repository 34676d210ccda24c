"""Connections: bodies that arrive in several packets, and requests on a connection that was idle."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from openholder.rehearsal.attacks.target import Target, find_target, find_target_for, is_json_get
from openholder.rehearsal.exchange import Exchange, read_records
from openholder.rehearsal.raw import IdleConnection
from openholder.rehearsal.results import SERVER, Result, Rule, fail_rule, judge_rule, pass_rule, skip_rule
from openholder.rehearsal.session import Session
from openholder.rehearsal.side_by_side import do_side_by_side

SHORT = 1.8
"""Seconds of idleness that every server must allow: the shortest default of a common server, gunicorn, is 2."""
USUAL = 4.5
"""Seconds of idleness that most servers allow: the default of Node.js, Apache and uvicorn is 5."""
LONG_ENOUGH = 2.0
"""Seconds: a connection is idle for at least that long before it is used again."""

PACKETS = Rule(
    name="body-in-packets",
    severity="error",
    expected="A body is read to its end, also if it arrives after the header or in several packets.",
    why="Networks and proxies split requests as they like: such a request fails now and then, and nobody knows why.",
    reference="RFC 9112 section 6.3: the length of a body is its Content-Length",
    how_to_fix="Read as many bytes as Content-Length says: not one read of the socket, not the first `data` event.",
    example="POST /auth/v1/customer/search (a body in two packets): 400",
)
IDLE = Rule(
    name="idle-connections",
    severity="warning",
    expected=f"A connection may be idle for {LONG_ENOUGH:g} s, and a request on it is answered.",
    why="Fiskil and proxies keep connections. If the server closes one while a request is on its way, the request is"
    " lost, and a token cannot be sent twice.",
    reference="RFC 9112 sections 9.3 and 9.5: persistence and timeouts",
    how_to_fix="Keep idle connections open for longer than the proxy in front does: keepAliveTimeout of Node.js and"
    " keepalive of gunicorn are often too short.",
    example="the server: closed after 0.5 s of idleness",
)
_PACKETS = {
    "the header, then the body": (0,),
    "a body in two packets": (0.5,),
    "the header, then the body in two packets": (0, 0.5),
}
"""Where the sending pauses, as parts of the body."""


async def probe_packets(session: Session) -> AsyncIterator[Result]:
    """Send bodies in several packets to the search, and to one operation with account ids in its body."""
    for target in (find_target_for(session, "search"), find_target_for(session, "specific")):
        if target is None:
            continue
        length = len(target.build_request().body or b"")
        requests = [
            target.build_request(note=note, pauses=tuple(int(part * length) for part in parts))
            for note, parts in _PACKETS.items()
        ]
        for exchange in await do_side_by_side(map(session.send, requests)):
            yield _judge_packets(target, exchange)


def _judge_packets(target: Target, exchange: Exchange) -> Result:
    found, due = len(read_records(exchange)), len(read_records(target.sequence.first))
    observed = exchange.status_text
    if exchange.is_ok:
        observed = f"{found} records, and {due} for the same body in one packet"
    return judge_rule(PACKETS, target.subject, exchange.is_ok and found == due, observed, exchange.request)


async def open_idle_connection(session: Session) -> AsyncIterator[Result]:
    """Send one request on a connection of its own, which then is idle while the rehearsal goes on."""
    target = find_target(session, filter(is_json_get, session.served_operations))
    if target is None:
        yield skip_rule(IDLE, SERVER, "no GET operation returned data")
        return
    connection = IdleConnection(asyncio.Event())
    session.idle = connection, asyncio.ensure_future(connection.run(session.caller, target.build_request()))


async def use_idle_connection(session: Session) -> AsyncIterator[Result]:
    """Send a request on the connection that was idle. What seems to be wrong is tried once more."""
    target = find_target(session, filter(is_json_get, session.served_operations))
    if session.idle is None or target is None:
        return
    result = await _finish(*session.idle)
    if result.failures:
        again = IdleConnection(asyncio.Event())
        result = await _finish(again, asyncio.ensure_future(again.run(session.caller, target.build_request())))
    yield result


async def _finish(connection: IdleConnection, task: asyncio.Future[None]) -> Result:
    """Use a connection, once it was idle for long enough, and judge it."""
    begun = connection.opened or time.monotonic()
    await asyncio.wait((task,), timeout=max(0.0, begun + LONG_ENOUGH - time.monotonic()))
    connection.use.set()
    await task
    seconds = f"{connection.idle:.1f} s of idleness"
    if connection.obstacle:
        return skip_rule(IDLE, SERVER, connection.obstacle)
    if connection.is_lost:
        return fail_rule(IDLE, SERVER, f"no response to a request after {seconds}")
    if connection.is_closed and connection.idle < SHORT:
        return fail_rule(IDLE, SERVER, f"closed after {seconds}")
    if connection.is_closed and connection.idle < USUAL:
        return skip_rule(IDLE, SERVER, f"connections are closed after {seconds}: a proxy must close them before")
    return pass_rule(IDLE, SERVER)
