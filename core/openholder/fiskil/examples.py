"""What the page of the stand-in offers: each operation by sector, and the ids of the sample data to call it with."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from openholder.contract.operation import PAGING, Operation, Sector
from openholder.fiskil import sample

SECTORS: Mapping[Sector, tuple[str, Mapping[str, str]]] = {
    "auth": ("Login and consent", {"email": sample.EMAIL, "customerId": "cust-1001"}),
    "banking": (
        "CDR banking",
        {
            "customerId": "cust-1001",
            "accountId": "acc-2002",
            "transactionId": "txn-2002-0005",
            "payeeId": "payee-1001-01",
        },
    ),
    "energy": ("CDR energy", {"customerId": "cust-3001", "accountId": "acc-3001"}),
    "common": ("CDR common", {"customerId": "cust-1001"}),
    "fdx": ("FDX", {"customerId": "cust-5001", "accountId": "acc-5001", "statementId": "stmt-5001-1"}),
    "custom": ("Other endpoints", {"customerId": "cust-1001", "accountId": "acc-2001"}),
}
"""The sectors in the order in which a data holder meets them: the heading of each, and ids that the sample data has."""

BODIES: Mapping[str, str] = {"search": '{"email": "{email}"}', "specific": '{"data": {"accountIds": ["{accountId}"]}}'}
"""The body of a request by whose records it returns; ids stand in braces, as in paths."""


def describe_operations(operations: Sequence[Operation], public_url: str) -> dict[str, Any]:
    """Describe operations for the page, by sector; ids that the sample data does not have are empty."""
    sectors = []
    for sector, (heading, ids) in SECTORS.items():
        described = [_describe_operation(operation) for operation in operations if operation.sector == sector]
        names = re.findall(r"\{(\w+)\}", "".join(one["path"] + one["body"] for one in described))
        if described:
            wanted = {name: ids.get(name, "") for name in dict.fromkeys(names)}
            sectors.append({"heading": heading, "ids": wanted, "operations": described})
    return {"server": public_url, "sectors": sectors}


def _describe_operation(operation: Operation) -> dict[str, Any]:
    parameters = (*operation.parameters, *operation.account_parameters)
    return {
        "name": operation.name,
        "method": operation.method,
        "path": operation.path,
        "summary": operation.summary,
        "body": BODIES.get(operation.whose, ""),
        "query": [name for parameter in parameters for name in parameter.names] + [*PAGING[operation.reply.paging]],
    }
