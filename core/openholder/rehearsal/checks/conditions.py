"""Whether records have the members that the CDS require in some cases. The conditions are those of the contract."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from openholder.contract.conditions import compile_checker
from openholder.contract.operation import JSON
from openholder.rehearsal.exchange import Exchange, read_records
from openholder.rehearsal.results import Failure, Result, Rule

NAMED_MEMBERS = Rule(
    name="named-members",
    severity="error",
    expected="A record has the object that its `…UType` names; posted transactions have a time, detailed ones an id.",
    why="The record passes every schema and says nothing: an account of type loan, without its loan.",
    reference="Consumer Data Standards 1.36.0, members that are mandatory in some cases",
    how_to_fix="Fill the member where the case holds. docs/conditions.md lists all of them.",
    example="GET …/accounts/{accountId}: loan: missing-for-type in 1 of 1 records, expected an object `loan`, because"
    " specificAccountUType is loan (CDS 1.36.0, BankingAccountDetailV5)",
)
CONDITIONAL_MEMBERS = Rule(
    name="conditional-members",
    severity="warning",
    expected="A record has the members that the standard requires in its case, and card numbers are masked.",
    why="Regulators go by completeness: a member that is held and not shared is a breach.",
    reference="Consumer Data Standards 1.36.0, members that are mandatory in some cases; data quality (ACCC guidance)",
    how_to_fix="Fill the member where the case holds. docs/conditions.md lists all of them.",
    example="GET …/concessions: percentage: missing-when-required in 2 of 3 records, expected `percentage`, because"
    " type is FIXED_PERCENTAGE (CDS 1.36.0, EnergyConcession)",
)

_DETAILS_ONLY = ("plans[].planDetail",)
"""Members that a list may lack: Fiskil's examples have them in lists, and the CDS in details alone."""


def check_conditions(exchange: Exchange) -> Iterator[Result]:
    """Check the records of a response; yield a result for each rule."""
    operation = exchange.request.operation
    if operation is None or not exchange.is_ok or operation.reply.media != JSON:
        return
    checker, records = compile_checker(operation.record, as_json=True), read_records(exchange)
    if checker is None or not records:
        return
    counted = Counter(
        broken
        for _, broken in checker.find(records)
        if not (operation.reply.many and broken.member in _DETAILS_ONLY and broken.fault == "missing-when-required")
    )
    for rule, severity in ((NAMED_MEMBERS, "error"), (CONDITIONAL_MEMBERS, "warning")):
        observed = [
            f"{broken.member}: {broken.fault} in {count} of {len(records)} records, expected {broken.wanted}"
            f" ({broken.reference})"
            for broken, count in counted.items()
            if broken.severity == severity
        ]
        yield Result(rule, exchange.request.route, tuple(Failure(text, exchange.request) for text in observed))
