"""Fixtures: one MariaDB server for all tests, one that a test may stop, and a PostgreSQL server."""

from __future__ import annotations

import os

import pytest

from cluster import Cluster
from cluster import find_programs as find_postgres
from maria import Maria, find_programs
from sources import open_bank


def _require(found, program, package):
    if found is None:
        reason = f"{program} is not installed (Debian: apt install {package})"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    return found


@pytest.fixture(scope="session")
def maria():
    with Maria(_require(find_programs(), "MariaDB", "mariadb-server")) as maria:
        yield maria


@pytest.fixture(scope="module")
def own_maria():
    with Maria(_require(find_programs(), "MariaDB", "mariadb-server")) as maria:
        maria.execute("CREATE DATABASE own; CREATE TABLE own.few (id text); INSERT INTO own.few VALUES ('1')")
        yield maria


@pytest.fixture(scope="session")
def cluster():
    with Cluster(_require(find_postgres(), "PostgreSQL", "postgresql")) as cluster:
        yield cluster


@pytest.fixture
def bank(maria):
    """Create a database ``own``. Return a function that runs a script in it, and returns how to open a source."""
    maria.execute("DROP DATABASE IF EXISTS own; CREATE DATABASE own CHARACTER SET utf8mb4")

    def fill(script):
        maria.execute(f"USE own; {script}")
        return lambda **more: open_bank(maria.settings("own", **more))

    return fill
