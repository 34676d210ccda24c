"""Fixtures: one PostgreSQL server for all tests, and one with a single table that a test may stop."""

from __future__ import annotations

import os

import pytest

from cluster import Cluster, find_programs
from queries import open_bank


def _require_programs():
    found = find_programs()
    if found is None:
        reason = "PostgreSQL is not installed (Debian: apt install postgresql)"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    return found


@pytest.fixture(scope="session")
def cluster():
    with Cluster(_require_programs()) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def own_cluster():
    with Cluster(_require_programs()) as cluster:
        cluster.execute("CREATE SCHEMA own; CREATE TABLE own.few (id text); INSERT INTO own.few VALUES ('1')")
        yield cluster


@pytest.fixture
def schema(cluster):
    """Create an empty schema ``own``. Return a function that runs a script in it, and returns how to open a source."""
    cluster.execute("DROP SCHEMA IF EXISTS own CASCADE; CREATE SCHEMA own")

    def fill(script):
        cluster.execute(f"SET search_path = own; {script}")
        return lambda **more: open_bank(cluster, schema_name="own", **more)

    return fill
