"""One loop and one server for all tests of a module, which cost more than most of its tests.

A module makes fixtures of them, so that it says what its tests share::

    module_loop = pytest.fixture(shared.open_loop, scope="module")
    io_loop = pytest.fixture(shared.use_loop)
    served = pytest.fixture(shared.serve_sample, scope="module")
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
from tornado.ioloop import IOLoop

from helpers.support import World, sample_rows, start_with
from openholder.fiskil.signer import Signer


def open_loop() -> Iterator[IOLoop]:
    """Open a loop for a module."""
    loop = IOLoop(make_current=False)
    yield loop
    loop.close(all_fds=True)


def use_loop(module_loop: IOLoop) -> Iterator[IOLoop]:
    """Make the loop of the module that of a test."""
    module_loop.make_current()
    yield module_loop
    module_loop.clear_current()


def serve_sample(module_loop: IOLoop, signer: Signer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Serve the sample data to all tests of a module."""
    world = World(tmp_path_factory.mktemp("served"), signer)
    module_loop.run_sync(lambda: start_with(world, "sqlite", sample_rows()))
    yield world
    module_loop.run_sync(world.stop)


def count_refusals(world: World) -> Counter[str]:
    """Count how often each reason was counted: the operator learns it, the caller does not."""
    assert world.holder
    return Counter(
        {
            sample.labels["reason"]: int(sample.value)
            for metric in world.holder.state.journal.registry.collect()
            for sample in metric.samples
            if sample.name == "openholder_http_refusals_total"
        }
    )
