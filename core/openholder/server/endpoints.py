"""The holder's own endpoints: rows of the table that the configuration writes."""

from __future__ import annotations

import re
from typing import Literal

from openholder.contract.collections import collection_named
from openholder.contract.formats import OpenRecord
from openholder.contract.operation import Operation, Reply, Whose
from openholder.contract.records.custom import record_for
from openholder.settings import Endpoint, load_schema


def custom_operation(endpoint: Endpoint) -> Operation:
    """The operation that an entry of ``[[endpoints]]`` describes."""
    record = record_for(load_schema(endpoint.schema_file)) if endpoint.schema_file else OpenRecord
    return Operation(
        name=_name(endpoint.path),
        method="GET",
        path=endpoint.path,
        collection=endpoint.collection,
        record=record,
        reply=Reply(tuple(filter(None, endpoint.envelope.split("."))), endpoint.many, _PAGING[endpoint.paging]),
        whose=_whose(endpoint),
        summary=endpoint.summary or endpoint.collection,
        evidence="configured",
        sector="custom",
        scopes=endpoint.scopes,
    )


_PAGING: dict[str, Literal["page", "offset"] | None] = {"none": None, "page": "page", "offset": "offset"}


def _whose(endpoint: Endpoint) -> Whose:
    """Below an account in the path; otherwise the customer's, by its own id or by the accounts that it has."""
    if "{accountId}" in endpoint.path:
        return "account"
    return "customer" if "customerId" in collection_named(endpoint.collection).owners else "all_accounts"


def _name(path: str) -> str:
    """A name made of the path: ``getV1CustomerCustomerIdPayslips``."""
    return "get" + "".join(word[0].upper() + word[1:] for word in re.findall(r"\w+", path))
