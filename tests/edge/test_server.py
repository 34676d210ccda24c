"""How many connections there may be, and for how long: on both transports, and measured by what others get."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace

import pytest

from helpers.http import KINDS, LIMITS, reflecting
from openholder.edge.server import _find_share

GET = b"GET / HTTP/1.1\r\nHost: bank.example\r\n\r\n"


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


class Caller:
    """A connection from an address of one's own."""

    async def __aenter__(self) -> Caller:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.transport.abort()

    @classmethod
    async def connect(cls, running, address="127.0.0.1") -> Caller:
        caller = cls()
        caller.reader, caller.writer = await asyncio.open_connection("127.0.0.1", running.port, local_addr=(address, 0))
        return caller

    async def ask(self) -> bool:
        """Whether a request is answered on this connection."""
        try:
            self.writer.write(GET)
            async with asyncio.timeout(5):
                head = await self.reader.readuntil(b"\r\n\r\n")
                length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
                await self.reader.readexactly(length)
        except (ConnectionError, asyncio.IncompleteReadError):
            return False
        return head.startswith(b"HTTP/1.1 200 ")

    async def is_closed(self) -> bool:
        """Whether the server has closed, or does within a second."""
        try:
            async with asyncio.timeout(1):
                return await self.reader.read(1) == b""
        except ConnectionError:
            return True
        except TimeoutError:
            return False


async def connect_all(running, number, address="127.0.0.1"):
    return [await Caller.connect(running, address) for _ in range(number)]


def hang_up(callers):
    for caller in callers:
        caller.writer.transport.abort()


@pytest.mark.gen_test
async def test_the_longest_idle_connection_makes_room(kind):
    async with reflecting(kind, replace(LIMITS, connections=3)) as running:
        callers = await connect_all(running, 3)
        assert [await caller.ask() for caller in callers] == [True] * 3
        assert await callers[0].ask()  # so the second one has been idle longest
        newcomer = await Caller.connect(running)
        assert await newcomer.ask()
        assert await callers[1].is_closed()
        assert [await callers[0].ask(), await callers[2].ask()] == [True, True]
        assert running.application.reported == ["full"]
        assert len(running.server.members) == 3
        hang_up([*callers, newcomer])


@pytest.mark.gen_test
async def test_idle_connections_without_end_shut_nobody_out(kind):
    """Finding of the review: a thousand connections of one byte each, and nobody was served for 70 seconds."""
    async with reflecting(kind, replace(LIMITS, connections=10)) as running:
        hostile = []
        for _ in range(10):
            more = await connect_all(running, 10)
            for caller in more:
                caller.writer.write(b"G")
            hostile += more
            async with await Caller.connect(running, "127.0.0.2") as honest:
                assert await honest.ask()
        hang_up(hostile)


@pytest.mark.gen_test
async def test_one_address_has_its_share_and_no_more(kind):
    async with reflecting(kind, replace(LIMITS, connections=20, per_address=3)) as running:
        honest = await Caller.connect(running, "127.0.0.2")
        assert await honest.ask()
        hostile = await connect_all(running, 30, "127.0.0.3")
        assert await honest.ask()
        assert len(running.server.members) <= 4
        assert running.application.reported == ["address_full"] * 27
        assert [await caller.is_closed() for caller in hostile[:27]] == [True] * 27
        assert [await caller.ask() for caller in hostile[27:]] == [True] * 3
        hang_up([honest, *hostile])


@pytest.mark.gen_test
async def test_a_connection_is_refused_when_none_is_idle(kind):
    async with reflecting(kind, replace(LIMITS, connections=2)) as running:
        busy = await connect_all(running, 2)
        for caller in busy:
            caller.writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{")
        while running.server.idle or len(running.server.members) < 2:
            await asyncio.sleep(0.01)
        newcomer = await Caller.connect(running)
        assert await newcomer.is_closed()
        for caller in busy:
            caller.writer.write(b"}")
            assert (await caller.reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200 ")
        hang_up([*busy, newcomer])


@pytest.mark.slow
@pytest.mark.gen_test
async def test_the_first_head_has_less_time_than_the_next(kind):
    async with reflecting(kind, replace(LIMITS, first_head=0.3)) as running:
        known = await Caller.connect(running)
        assert await known.ask()
        silent, slow = await connect_all(running, 2)
        slow.writer.write(GET[:20])
        assert [await caller.is_closed() for caller in (silent, slow)] == [True, True]
        assert running.application.reported == ["idle", "idle"]
        assert await known.ask()
        hang_up([known, silent, slow])


@pytest.mark.slow
@pytest.mark.gen_test
async def test_an_idle_connection_and_a_slow_body_are_given_up(kind):
    async with reflecting(kind, replace(LIMITS, idle=0.3, body=0.3)) as running:
        idle, slow = await connect_all(running, 2)
        assert await idle.ask()
        slow.writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{")
        assert [await caller.is_closed() for caller in (idle, slow)] == [True, True]
        assert not running.server.members
        hang_up([idle, slow])


@pytest.mark.gen_test
async def test_connections_end_with_their_server(kind):
    """Also those that wait in the kernel; and its shares are counted to the end."""
    async with reflecting(kind) as running:
        callers = await connect_all(running, 5)
        assert await callers[0].ask()
        running.server.end_keep_alive()
        assert await callers[1].ask()
        assert await callers[1].is_closed()
    assert [await caller.is_closed() for caller in callers] == [True] * 5
    assert running.server.quiet.is_set()
    assert not running.server.members and not running.server.idle and not running.server._shares
    with pytest.raises(ConnectionError):
        await Caller.connect(running)
    hang_up(callers)


@pytest.mark.gen_test
async def test_a_connection_that_is_reset_at_once_is_forgotten(kind):
    async with reflecting(kind) as running:
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", running.port)) as caller:
                caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        async with await Caller.connect(running) as honest:
            assert await honest.ask()
            assert len(running.server.members) == 1


def test_the_addresses_of_one_subscriber_share():
    assert _find_share("203.0.113.7") != _find_share("203.0.113.8")
    assert _find_share("2001:db8::1") == _find_share("2001:db8:0:0:ffff::2%eth0")
    assert _find_share("2001:db8::1") != _find_share("2001:db8:0:1::1")
