"""From a path to its operations and ids."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest

from openholder.contract.operations import OPERATIONS
from openholder.serving.delegate import ServingState
from openholder.serving.routing import OperationRouter

NO_STATE = cast(ServingState, None)
FIRST = OPERATIONS[0]
PATHS = (
    "/customer/{customerId}/cards/{cardId}/limits",
    "/customer/{customerId}/cards/all/owners",
    "/customer/{customerId}/cards/{number}/limits",
    "/customer/{customerId}",
)


def router(paths):
    """A router over operations that are named like their paths."""
    return OperationRouter(NO_STATE, [replace(FIRST, name=path, path=path) for path in paths])


def test_every_operation_is_found_by_its_own_path():
    routes = OperationRouter(NO_STATE, OPERATIONS)
    for operation in OPERATIONS:
        found, ids = routes.find_operations(operation.path)
        assert operation in found
        assert {f"{{{name}}}".encode() for name in ids} == set(ids.values())


@pytest.mark.parametrize(
    ("path", "found", "ids"),
    [
        pytest.param("/customer/c", PATHS[3], {"customerId": b"c"}, id="one id"),
        pytest.param("/customer/c/cards/all/owners", PATHS[1], {"customerId": b"c"}, id="a literal wins"),
        pytest.param(
            "/customer/c/cards/all/limits",
            PATHS[0],
            {"customerId": b"c", "cardId": b"all"},
            id="a literal is an id too",
        ),
        pytest.param("/customer/a%2Fb", PATHS[3], {"customerId": b"a/b"}, id="decoded once"),
        pytest.param("/customer/%252F", PATHS[3], {"customerId": b"%2F"}, id="not decoded twice"),
        pytest.param("/customer/%ff", PATHS[3], {"customerId": b"\xff"}, id="not text"),
        pytest.param("/customer/a+b", PATHS[3], {"customerId": b"a+b"}, id="a plus sign is one"),
    ],
)
def test_ids_are_read_from_the_path(path, found, ids):
    (operation,), read = router(PATHS).find_operations(path)
    assert (operation.name, read) == (found, ids)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "*",
        "customer/c",
        "/customer",
        "/customer/",
        "/customer/c/",
        "//customer/c",
        "/customer//cards",
        "/customer/c/cards/x",
        "/customer/c/cards/x/owners",
        "/Customer/c",
        "/customer/c/cards/x/limits/y",
    ],
)
def test_other_paths_have_no_operations(path):
    assert router(PATHS).find_operations(path) == ((), {})
