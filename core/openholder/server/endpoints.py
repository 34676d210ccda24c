"""Custom endpoints: operations that the configuration defines."""

from __future__ import annotations

import re
from typing import Literal

from openholder.contract.collections import find_collection
from openholder.contract.formats import OpenRecord
from openholder.contract.operation import Operation, Reply, Whose
from openholder.contract.records.custom import make_record_type
from openholder.settings import Endpoint, load_schema


def make_operation(endpoint: Endpoint) -> Operation:
    """Make the operation that an entry of ``[[endpoints]]`` describes."""
    # The records belong to the account in the path, or else to the customer: by their own id or through its accounts.
    whose: Whose = "all_accounts"
    if "{accountId}" in endpoint.path:
        whose = "account"
    elif "customerId" in find_collection(endpoint.collection).owners:
        whose = "customer"
    record = make_record_type(load_schema(endpoint.schema_file)) if endpoint.schema_file else OpenRecord
    return Operation(
        name=_name_operation(endpoint.path),
        method="GET",
        path=endpoint.path,
        collection=endpoint.collection,
        record=record,
        reply=Reply(
            envelope=tuple(filter(None, endpoint.envelope.split("."))),
            many=endpoint.many,
            paging=_PAGING[endpoint.paging],
        ),
        whose=whose,
        summary=endpoint.summary or endpoint.collection,
        evidence="configured",
        sector="custom",
        scopes=endpoint.scopes,
    )


_PAGING: dict[str, Literal["page", "offset"] | None] = {"none": None, "page": "page", "offset": "offset"}


def _name_operation(path: str) -> str:
    """Derive a name from the path, such as ``getV1CustomerCustomerIdPayslips``."""
    return "get" + "".join(word[0].upper() + word[1:] for word in re.findall(r"\w+", path))
