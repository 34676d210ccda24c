"""Fixtures: one PostgreSQL for all tests, and one with a single table that a test may stop."""

from __future__ import annotations

import os

import pytest

from asking import bank
from cluster import Cluster, programs


def _programs():
    found = programs()
    if found is None:
        said = "there is no PostgreSQL here (Debian: postgresql)"
        pytest.fail(said) if os.environ.get("CI") else pytest.skip(said)
    return found


@pytest.fixture(scope="session")
def cluster():
    with Cluster(_programs()) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def own_cluster():
    with Cluster(_programs()) as cluster:
        cluster.execute("CREATE SCHEMA own; CREATE TABLE own.few (id text); INSERT INTO own.few VALUES ('1')")
        yield cluster


@pytest.fixture
def schema(cluster):
    """Makes the schema ``own``; a test puts tables into it."""
    cluster.execute("DROP SCHEMA IF EXISTS own CASCADE; CREATE SCHEMA own")

    def make(script):
        cluster.execute(f"SET search_path = own; {script}")
        return lambda **more: bank(cluster, schema_name="own", **more)

    return make
