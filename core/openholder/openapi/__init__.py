"""Build an OpenAPI 3.1 document from the operations and the types of their records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from openholder._version import __version__
from openholder.contract.operation import Sector
from openholder.contract.operations import Operation
from openholder.openapi.components import OPEN_OBJECT, Components, Schema
from openholder.openapi.request_objects import describe_body, refer_to_parameters
from openholder.openapi.response_objects import describe_responses
from openholder.settings import Endpoint, Scope, Settings

_ENCODER = msgspec.json.Encoder(decimal_format="number")
_JWT = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "Signed by the Fiskil Data Provider."}
_INFO = {
    "title": "Resource server of a data holder on the Fiskil platform",
    "version": __version__,
    "summary": "The API of openholder, an unofficial server. Neither published nor checked by Fiskil.",
}
_TAGS: Mapping[Sector, str] = {
    "auth": "Login and consent of a customer",
    "custom": "Custom data of the data holder",
    "banking": "Australian CDR: banking",
    "energy": "Australian CDR: energy",
    "common": "Australian CDR: customer details",
    "fdx": "US FDX v6",
}


def build_document(operations: Sequence[Operation], settings: Settings | None = None) -> Schema:
    """Build the document of the operations. ``settings`` add the server's URLs, custom endpoints and scopes."""
    components = Components()
    endpoints = {endpoint.path: endpoint for endpoint in settings.endpoints} if settings else {}
    failure_status = settings.fiskil.authentication_failure_status if settings else 401
    sectors = {operation.sector for operation in operations}
    paths: dict[str, Schema] = {}
    for name, operation in _number_aliases(operations):
        item = _describe_record(components, operation, endpoints.get(operation.path))
        paths.setdefault(operation.path, {})[operation.method.lower()] = (
            _describe_operation(name, operation)
            | {"parameters": refer_to_parameters(operation, components)}
            | describe_body(operation, components)
            | describe_responses(operation, components, item, failure_status)
        )
    return {
        "openapi": "3.1.0",
        "info": _INFO | _describe_scopes(settings.scopes if settings else ()),
        **({"servers": [{"url": url} for url in settings.public_url]} if settings else {}),
        "security": [{"bearerAuth": []}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items() if name in sectors],
        "paths": paths,
        "components": {"securitySchemes": {"bearerAuth": _JWT}, **components.to_dict()},
    }


def encode_document(content: Schema) -> bytes:
    """Encode the document for printing. Numbers of custom JSON Schemas stay exact."""
    return msgspec.json.format(_ENCODER.encode(content), indent=2)


def _number_aliases(operations: Iterable[Operation]) -> Iterable[tuple[str, Operation]]:
    """Yield each operation with a unique id: an alias has the name of its operation, with a number appended."""
    seen: dict[str, int] = {}
    for operation in operations:
        seen[operation.name] = seen.get(operation.name, 0) + 1
        number = seen[operation.name]
        yield operation.name + (str(number) if number > 1 else ""), operation


def _describe_operation(name: str, operation: Operation) -> Schema:
    return {
        "operationId": name,
        "tags": [operation.sector],
        "summary": operation.summary,
        **({"deprecated": True} if operation.deprecated else {}),
        "x-evidence": operation.evidence,
        "x-collection": operation.collection,
        **({"x-fiskil-scopes": list(operation.scopes)} if operation.evidence == "configured" else {}),
    }


def _describe_record(components: Components, operation: Operation, endpoint: Endpoint | None) -> Schema:
    """Return the schema of one record."""
    if endpoint is None:
        return components.refer_to_record(operation.record)
    return components.refer_to_file(endpoint.schema_file) if endpoint.schema_file else OPEN_OBJECT


def _describe_scopes(scopes: Iterable[Scope]) -> Schema:
    # The nesting that Fiskil expects is not public: a flat list has everything that its pages name.
    rows = [
        {
            "scope": scope.name,
            "cluster_language": scope.cluster_language,
            "permissions_language": list(scope.permissions_language),
        }
        for scope in scopes
    ]
    return {"x-fiskil-scopeset": rows} if rows else {}
