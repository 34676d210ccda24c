"""Fixtures for all tests of the rehearsal."""

from __future__ import annotations

import pytest

from openholder.rehearsal.probes import connections


@pytest.fixture(autouse=True)
def short_idleness(monkeypatch):
    """Let connections be idle for a moment only: most of these rehearsals are over in less than two seconds."""
    monkeypatch.setattr(connections, "LONG_ENOUGH", 0.1)
