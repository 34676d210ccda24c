"""The OpenAPI 3.1 document of what a server answers: made of the table of operations and the types of the records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from openholder._version import __version__
from openholder.contract.operation import Sector
from openholder.contract.operations import Operation
from openholder.openapi.components import OPEN_OBJECT, Components, Schema
from openholder.openapi.exchanges import body_of, responses_of
from openholder.openapi.parameters import parameters_of
from openholder.settings import Endpoint, Scope, Settings

_ENCODER = msgspec.json.Encoder(decimal_format="number")
_JWT = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "Signed by the Fiskil Data Provider."}
_INFO = {
    "title": "Resource server of a data holder on the Fiskil platform",
    "version": __version__,
    "summary": "What openholder, an unofficial server, answers. Neither published nor checked by Fiskil.",
}
_TAGS: Mapping[Sector, str] = {
    "auth": "Asked while a customer logs in and gives consent",
    "custom": "Data of the holder's own",
    "banking": "Australian CDR: banking",
    "energy": "Australian CDR: energy",
    "common": "Australian CDR: who the customer is",
    "fdx": "US FDX v6",
}


def build_document(operations: Sequence[Operation], settings: Settings | None = None) -> Schema:
    """The OpenAPI document of the operations. Addresses and whatever is the holder's own are in the ``settings``."""
    components = Components()
    endpoints = {endpoint.path: endpoint for endpoint in settings.endpoints} if settings else {}
    failure_status = settings.fiskil.authentication_failure_status if settings else 401
    paths: dict[str, Schema] = {}
    for name, operation in _named(operations):
        item = _item(components, operation, endpoints.get(operation.path))
        paths.setdefault(operation.path, {})[operation.method.lower()] = (
            _head(name, operation)
            | {"parameters": parameters_of(operation, components)}
            | body_of(operation, components)
            | responses_of(operation, components, item, failure_status)
        )
    return {
        "openapi": "3.1.0",
        "info": _INFO | _scopeset(settings.scopes if settings else ()),
        **({"servers": [{"url": url} for url in settings.public_url]} if settings else {}),
        "security": [{"bearerAuth": []}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items() if _has(operations, name)],
        "paths": paths,
        "components": {"securitySchemes": {"bearerAuth": _JWT}, **components.written()},
    }


def encode_document(content: Schema) -> bytes:
    """The document as it is printed. Numbers of a holder's own JSON Schema stay exact."""
    return msgspec.json.format(_ENCODER.encode(content), indent=2)


def _has(operations: Iterable[Operation], sector: Sector) -> bool:
    return any(operation.sector == sector for operation in operations)


def _named(operations: Iterable[Operation]) -> Iterable[tuple[str, Operation]]:
    """Each operation with an id of its own: an alias has the name of what it stands for, and a number behind it."""
    seen: dict[str, int] = {}
    for operation in operations:
        seen[operation.name] = seen.get(operation.name, 0) + 1
        number = seen[operation.name]
        yield operation.name + (str(number) if number > 1 else ""), operation


def _head(name: str, operation: Operation) -> Schema:
    return {
        "operationId": name,
        "tags": [operation.sector],
        "summary": operation.summary,
        **({"deprecated": True} if operation.deprecated else {}),
        "x-evidence": operation.evidence,
        "x-collection": operation.collection,
        **({"x-fiskil-scopes": list(operation.scopes)} if operation.evidence == "configured" else {}),
    }


def _item(components: Components, operation: Operation, endpoint: Endpoint | None) -> Schema:
    """The schema of one record."""
    if endpoint is None:
        return components.of_record(operation.record)
    return components.of_file(endpoint.schema_file) if endpoint.schema_file else OPEN_OBJECT


def _scopeset(scopes: Iterable[Scope]) -> Schema:
    # How Fiskil wants these nested is not public: a flat list has everything that its pages name.
    rows = [
        {
            "scope": scope.name,
            "cluster_language": scope.cluster_language,
            "permissions_language": list(scope.permissions_language),
        }
        for scope in scopes
    ]
    return {"x-fiskil-scopeset": rows} if rows else {}
