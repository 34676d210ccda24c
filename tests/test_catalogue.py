"""Every row of the catalogue of attacks, by its id, against a live server."""

from __future__ import annotations

import ast
import asyncio
import json
from pathlib import Path

import pytest

from catalogue import ROWS
from catalogue.rows import mint, send
from support import World, sample_rows, start_with

HERE = Path(__file__).parent
CATALOGUE = HERE.parents[1] / "shared" / "security" / "attacks.json"

TRIES = [pytest.param(row, attempt, id=f"{row.id}: {attempt.what}") for row in ROWS.values() for attempt in row.tries]
SCENARIOS = [pytest.param(row, id=f"{row.id}: {row.attack}") for row in ROWS.values() if row.scenario]


@pytest.fixture(scope="module")
def attacked(tmp_path_factory, signer):
    """One server for all attacks of a single request, on a loop of its own: it bears them one after the other."""
    world = World(tmp_path_factory.mktemp("attacked"), signer)
    with asyncio.Runner() as runner:
        runner.run(start_with(world, "sqlite", sample_rows()))
        yield world, runner.run
        runner.run(world.stop())


@pytest.mark.parametrize(("row", "attempt"), TRIES)
def test_an_attack_in_one_request_is_answered_as_the_catalogue_says(attacked, row, attempt):
    world, run = attacked
    run(answered_as_said(world, attempt))


async def answered_as_said(world, attempt):
    reply = await send(world, attempt.make(mint(world)))
    attempt.expect(reply)
    assert reply.headers["cache-control"] == "no-store"
    assert "server" not in reply.headers
    assert (await send(world, mint(world).token())).status == 200, "the server goes on serving"


@pytest.mark.parametrize("row", SCENARIOS)
@pytest.mark.gen_test(timeout=60)
async def test_an_attack_that_takes_longer_fails_too(world, row):
    await row.scenario(world)


@pytest.mark.parametrize("row", [row for row in ROWS.values() if row.shown_by], ids=lambda row: row.id)
def test_an_attack_that_is_shown_elsewhere_is_shown_there(row):
    for place in row.shown_by.split():
        file, _, name = place.partition("::")
        tree = ast.parse((HERE / file).read_text(encoding="utf-8"))
        assert name in {
            node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }


@pytest.mark.parametrize("row", [row for row in ROWS.values() if row.not_here], ids=lambda row: row.id)
def test_an_attack_on_what_is_not_built_yet(row):
    pytest.skip(row.not_here)


def test_no_row_of_the_catalogue_is_dropped():
    if not CATALOGUE.is_file():
        pytest.skip("the catalogue is a file of the project's developers, beside the checkout and not part of it")
    wanted = {row["id"] for row in json.loads(CATALOGUE.read_text(encoding="utf-8"))["rows"]}
    assert wanted - set(ROWS) == set()
