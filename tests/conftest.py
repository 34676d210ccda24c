"""Fixtures: one signer for the session, one world for each test."""

from __future__ import annotations

import asyncio
import os
import subprocess
from unittest.mock import patch

import pytest
import structlog
from hypothesis import HealthCheck, settings

from helpers.commands import logging_as_it_was
from helpers.support import UPSTREAM_TOKEN, World
from openholder.fiskil.signer import Signer

# The machine may be slow, and a property is not about time.
settings.register_profile("openholder", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("openholder")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers():
    """Run three tests at a time for two processors: many wait, for a process to start or for a limit to pass."""
    return (os.cpu_count() or 1) * 3 // 2


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """Let only tests with the mark ``subprocess`` start processes: `make quick` leaves them out."""
    if item.get_closest_marker("subprocess"):
        return (yield)
    with patch.object(subprocess.Popen, "__init__", _refuse):
        return (yield)


def _refuse(*_, **__):
    raise AssertionError("this test starts a process: give it the mark `subprocess`")


@pytest.fixture(scope="session", autouse=True)
def loop_of_the_main_thread():
    """Tornado asks for the current loop before it makes its own, and asyncio then makes one that nobody closes."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    loop.close()


@pytest.fixture(scope="session")
def signer():
    return Signer.generate("k1")


@pytest.fixture(autouse=True)
def quiet_logs():
    """structlog prints to standard output until it is configured; the tests configure it where they look at it."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    with logging_as_it_was():
        yield
    structlog.reset_defaults()


@pytest.fixture(params=["llhttp", "tornado"])
def transport(request, monkeypatch):
    """Both HTTP transports, for the tests of HTTP itself; all other tests use the one that is installed."""
    monkeypatch.setenv("OPENHOLDER_LISTEN__HTTP", request.param)
    return request.param


@pytest.fixture
def world(io_loop, tmp_path, signer, monkeypatch):
    """Fiskil's side and ours on the test's event loop; whatever is started in it is stopped after the test."""
    monkeypatch.setenv("UPSTREAM_TOKEN", UPSTREAM_TOKEN)
    world = World(tmp_path, signer)
    yield world
    io_loop.run_sync(world.stop)
