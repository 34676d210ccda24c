"""Every attack of catalogue/ATTACKS.md, by its id, against a live server."""

from __future__ import annotations

import ast
import asyncio
import re
from pathlib import Path

import pytest

import catalogue
from catalogue import ROWS
from catalogue.rows import mint, send
from helpers.support import World, sample_rows, start_with

TESTS = Path(catalogue.__file__).parents[1]
ATTACKS = catalogue.read_attacks()
TEXTS = {attack.id: attack.attack for attack in ATTACKS}

ON_BOTH = {row.id for module in (catalogue.http, catalogue.faults) for row in module.ROWS}
"""Attacks on HTTP itself: both transports have to withstand them."""


def transports(row):
    return ("llhttp", "tornado") if row.id in ON_BOTH else ("auto",)


TRIES = [
    pytest.param(row, attempt, transport, id=f"{row.id}: {attempt.what}, {transport}")
    for row in ROWS.values()
    for attempt in row.tries
    for transport in transports(row)
]
SCENARIOS = [
    pytest.param(row, transport, id=f"{row.id}: {TEXTS.get(row.id)}, {transport}")
    for row in ROWS.values()
    if row.scenario
    for transport in transports(row)
]
SHOWN = [pytest.param(row, id=row.id) for row in ROWS.values() if row.shown_by]


@pytest.fixture(scope="module")
def attacked(tmp_path_factory, signer):
    """One server of each transport for all attacks of a single request: it bears them one after the other."""
    worlds = {}

    def start(transport):
        if transport not in worlds:
            worlds[transport] = World(tmp_path_factory.mktemp("attacked"), signer)
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("OPENHOLDER_LISTEN__HTTP", transport)
                runner.run(start_with(worlds[transport], "sqlite", sample_rows()))
        return worlds[transport]

    with asyncio.Runner() as runner:
        yield start, runner.run
        for world in worlds.values():
            runner.run(world.stop())


@pytest.mark.slow
@pytest.mark.parametrize(("row", "attempt", "transport"), TRIES)
def test_an_attack_in_one_request_fails(attacked, row, attempt, transport):
    start, run = attacked
    run(answered_as_said(start(transport), attempt))


async def answered_as_said(world, attempt):
    reply = await send(world, attempt.make(mint(world)))
    attempt.expect(reply)
    assert reply.headers["cache-control"] == "no-store"
    assert "server" not in reply.headers
    assert (await send(world, mint(world).token())).status == 200, "the server goes on serving"


@pytest.mark.slow
@pytest.mark.subprocess
@pytest.mark.parametrize(("row", "transport"), SCENARIOS)
@pytest.mark.gen_test(timeout=60)
async def test_an_attack_that_takes_longer_fails_too(world, row, transport, monkeypatch):
    monkeypatch.setenv("OPENHOLDER_LISTEN__HTTP", transport)
    await row.scenario(world)


@pytest.mark.parametrize("row", SHOWN)
def test_an_attack_that_is_shown_elsewhere_is_shown_there(row):
    for place in row.shown_by.split():
        file, _, name = place.partition("::")
        (path,) = TESTS.rglob(file)
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert name in {
            node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }


def test_each_attack_has_a_test_and_each_test_an_attack():
    listed = [attack.id for attack in ATTACKS]
    written = [row.id for module in catalogue.MODULES for row in module.ROWS]
    assert sorted(written) == sorted(listed)
    assert len(set(listed)) == len(listed) > 190
    assert {parameters.values[0].id for parameters in [*TRIES, *SCENARIOS, *SHOWN]} == set(listed)


def test_each_line_of_the_catalogue_is_read_and_complete():
    text = Path(catalogue.__file__).with_name("ATTACKS.md").read_text(encoding="utf-8")
    groups = dict(re.findall(r"^## ([A-Z])\. (.+)$", text, re.MULTILINE))
    assert len(ATTACKS) == len(re.findall(r"^\| [A-Z]\d", text, re.MULTILINE))
    assert {attack.id[0] for attack in ATTACKS} == set(groups)
    assert [attack.id for attack in ATTACKS if not all(cell.strip() for cell in attack)] == []
