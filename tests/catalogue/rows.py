"""How an attack is tested, and the words in which answers are expected."""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from helpers.people import BALANCE
from helpers.support import World, sample_rows, start_with
from helpers.tokens import Mint


@dataclass
class Request:
    """What is sent. A token is put into one Authorization header, ``authorization`` into as many as it has values."""

    token: str | None = None
    path: str = BALANCE
    method: str = "GET"
    authorization: list[str] | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None

    def wire(self) -> bytes:
        """The request as bytes: written by hand, so that nothing is put right on the way."""
        values = self.authorization if self.authorization is not None else [f"Bearer {self.token}"]
        lines = [f"{self.method} {self.path} HTTP/1.1", "Host: resource.example", "Connection: close"]
        lines += [f"Authorization: {value}" for value in values if self.authorization is not None or self.token]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if self.body is not None:
            lines += ["Content-Type: application/json"] * ("Content-Type" not in self.headers)
            lines += [f"Content-Length: {len(self.body)}"]
        return "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + (self.body or b"")


@dataclass(frozen=True)
class Reply:
    """One answer, as it came."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> dict[str, Any]:
        (error,) = json.loads(self.body)["errors"]
        return error


Expectation = Callable[[Reply], None]


def ok(reply: Reply) -> None:
    """200."""
    assert reply.status == 200, reply


def _challenged(error: str) -> Expectation:
    def expect(reply: Reply) -> None:
        assert reply.status == (400 if error == "invalid_request" else 401), reply
        wanted = rf'Bearer realm="[^"]+"{f", error={chr(34)}{error}{chr(34)}" if error else ""}'
        assert re.fullmatch(wanted, reply.headers["www-authenticate"]), reply
        assert "x-sharing-refused" not in reply.headers
        if reply.status == 401:
            assert reply.error["detail"] == "authentication failed"
            assert reply.error["meta"]["urn"] == "urn:au-cds:error:cds-all:GeneralError/Expected"

    return expect


invalid_token = _challenged("invalid_token")
no_token = _challenged("")
invalid_request = _challenged("invalid_request")


def any_of(*expectations: Expectation) -> Expectation:
    def expect(reply: Reply) -> None:
        failures = []
        for expectation in expectations:
            try:
                return expectation(reply)
            except (AssertionError, KeyError) as exc:
                failures.append(exc)
        raise failures[0]

    return expect


def status(*wanted: int, code: str = "", **headers: str) -> Expectation:
    """One of the statuses, with this end of the error's URN (or its word), and these headers."""

    def expect(reply: Reply) -> None:
        assert reply.status in wanted, reply
        if code:
            assert reply.error["code"].endswith(code) or reply.error["meta"].get("urn", "").endswith(code), reply
        for name, value in headers.items():
            assert reply.headers[name.replace("_", "-")] == value, reply

    return expect


@dataclass(frozen=True)
class Try:
    """One variation of an attack: what is sent, and what must come back."""

    what: str
    make: Callable[[Mint], Request | str]
    """Makes the request; a bare string is the token of an ordinary one."""
    expect: Expectation


@dataclass(frozen=True)
class Row:
    """How one attack of ATTACKS.md is tested: by tries, by a scenario, or by tests elsewhere."""

    id: str
    tries: tuple[Try, ...] = ()
    scenario: Callable[[World], Awaitable[None]] | None = None
    shown_by: str = ""
    """``test_process.py::test_name``, if the attack needs more than a server in this process."""

    def __post_init__(self) -> None:
        assert sum(map(bool, (self.tries, self.scenario, self.shown_by))) == 1, self.id


async def exchange(world: World, sent: bytes) -> Reply:
    """Send bytes on a connection of their own, and read one answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.holder.port)
    writer.write(sent)
    async with asyncio.timeout(10):
        received = await reader.read()
    writer.close()
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return Reply(int(first.split(" ")[1]) if first else 0, headers, body)


async def send(world: World, request: Request | str) -> Reply:
    """Send a request, or an ordinary one with this token."""
    return await exchange(world, (Request(request) if isinstance(request, str) else request).wire())


def mint(world: World, path: str = BALANCE, **more: Any) -> Mint:
    return Mint(world.signer, world.url, path, **more)


# -- for several rows at once -------------------------------------------------------------------------------------

Make = Callable[[Mint], Request | str]


def tries(expect: Expectation, variations: Mapping[str, Make]) -> tuple[Try, ...]:
    """A try for each variation, all with one expectation."""
    return tuple(Try(what, make, expect) for what, make in variations.items())


def claiming(expect: Expectation, claim: str, values: Mapping[str, Any]) -> tuple[Try, ...]:
    """A try for each value of one claim; a function of the mint makes the value."""

    def make(value: Any) -> Make:
        return lambda mint: mint.token(**{claim: value(mint) if callable(value) else value})

    return tries(expect, {what: make(value) for what, value in values.items()})


async def serve(world: World, name: str = "", **environment: str) -> World:
    """Start a server on the sample data, with settings from the environment; with a name, one more beside others."""
    if name:
        folder = world.folder / name
        folder.mkdir()
        world = World(folder, world.signer, world.stack, jwks=world.jwks)
    with pytest.MonkeyPatch.context() as patch:
        for key, value in environment.items():
            patch.setenv(f"OPENHOLDER_{key}", value)
        await start_with(world, "sqlite", sample_rows())
    return world


def counted(world: World, metric: str, label: str) -> dict[str, float]:
    """What a metric of the server has counted, by one of its labels."""
    return {
        sample.labels[label]: sample.value
        for family in world.holder.state.journal.registry.collect()
        for sample in family.samples
        if sample.name == metric and sample.value
    }


def reasons(world: World) -> dict[str, float]:
    """How often each reason of refusal was counted."""
    return counted(world, "openholder_http_refusals_total", "reason")


def meets(expect: Expectation, reply: Reply, what: str) -> None:
    """Hold a reply to an expectation, and say which one it was that failed."""
    try:
        expect(reply)
    except (AssertionError, KeyError) as exc:
        exc.add_note(what)
        raise


def each(expect: Expectation, variations: Mapping[str, Make]) -> Callable[[World], Awaitable[None]]:
    """A scenario of tries whose answers may be Tornado's own, without the headers of ours."""

    async def scenario(world: World) -> None:
        await serve(world)
        for what, make in variations.items():
            meets(expect, await send(world, make(mint(world))), what)
            meets(ok, await send(world, mint(world).token()), f"after {what}")

    return scenario


@dataclass
class OneId(Mint):
    """A mint whose tokens all bear one jti, unless they are asked to bear another."""

    jti: str = field(default_factory=lambda: str(uuid.uuid4()))

    def claims(self, **changes: Any) -> dict[str, Any]:
        return super().claims(**{"jti": self.jti, **changes})


def burns_nothing(expect: Expectation, variations: Mapping[str, Make]) -> Callable[[World], Awaitable[None]]:
    """A scenario: after each refusal a good token of the same jti is let in, and then no more."""

    async def scenario(world: World) -> None:
        await serve(world)
        for what, make in variations.items():
            one = OneId(world.signer, world.url)
            meets(expect, await send(world, make(one)), what)
            assert [(await send(world, one.token())).status for _ in range(2)] == [200, 401], what

    return scenario
