"""The shape of data: JSON Schemas of the contract, made of the very types that openholder's own records have."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError, relevance
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from openholder.contract.formats import is_real_date
from openholder.contract.operation import JSON
from openholder.contract.operations import OPERATIONS, Operation
from openholder.openapi import document
from openholder.query import DATE, DATE_TIME
from openholder.rehearsal.checks.texts import CLEAN, ENCODING, EXACT, check_texts
from openholder.rehearsal.exchange import Exchange
from openholder.rehearsal.results import Failure, Result, Rule

MOST = 20
"""Deviations of one answer that are told."""
_CONTRACT = "Consumer Data Standards 1.36.0, schemas; FDX API v6; Fiskil, API reference"


def _rule(name: str, expected: str, why: str, mend: str) -> Rule:
    return Rule(name, "error", expected, why, _CONTRACT, mend)


REQUIRED = _rule(
    "required-members", "Every record has the members that the standard requires.",
    "Recipients' readers refuse the whole answer.", "Fill the member from the source, or correct its name.",
)  # fmt: skip
TYPES = _rule(
    "member-types", "Members have the type of the standard: amounts and rates of the CDR are texts, never numbers.",
    "Readers refuse the answer, or round somebody's money.", "Write amounts of the CDR as texts such as \"1200.50\".",
)  # fmt: skip
VALUES = _rule(
    "allowed-values", "Members with a list of values have one of it.",
    "Readers refuse values that the standard does not know.", "Map the source's own codes to those of the standard.",
)  # fmt: skip
FORMATS = _rule(
    "formats", "Dates, times, amounts, currencies and ids have the form of the standard.",
    "Readers fail, or take another moment or amount than was meant.",
    "Write times with an offset (2026-01-31T10:00:00Z), dates as 2026-01-31, amounts without separators.",
)  # fmt: skip
NULLS = _rule(
    "no-nulls", "A member without a value is left out, not null.",
    "A null is no value of the standard's types; readers refuse it.", "Leave members out that have nothing to say.",
)  # fmt: skip
_formats = FormatChecker(formats=())


@_formats.checks("date-time")
def _date_time(found: object) -> bool:
    return not isinstance(found, str) or bool(re.fullmatch(DATE_TIME, found, re.ASCII) and is_real_date(found))


@_formats.checks("date")
def _date(found: object) -> bool:
    return not isinstance(found, str) or bool(re.fullmatch(DATE, found, re.ASCII) and is_real_date(found))


@_formats.checks("uri", raises=ValueError)
def _uri(found: object) -> bool:
    return not isinstance(found, str) or bool(urlsplit(found).scheme and not re.search(r"\s", found))


@cache
def _contract() -> Registry[Any]:
    contract: Resource[Any] = DRAFT202012.create_resource(document(OPERATIONS))
    registry: Registry[Any] = Registry().with_resource("urn:contract", contract)
    return registry


@cache
def _validator(method: str, path: str) -> Draft202012Validator:
    pointer = path.replace("~", "~0").replace("/", "~1").replace("{", "%7B").replace("}", "%7D")
    place = f"paths/{pointer}/{method.lower()}/responses/200/content/application~1json/schema"
    return Draft202012Validator({"$ref": f"urn:contract#/{place}"}, registry=_contract(), format_checker=_formats)


_RULES = {
    "required": REQUIRED,
    "type": TYPES,
    "enum": VALUES,
    "const": VALUES,
}
"""For the keywords of JSON Schema. All others are about the form of a value."""


RULES = (REQUIRED, TYPES, VALUES, FORMATS, NULLS, EXACT, ENCODING, CLEAN)


def check_schema(exchange: Exchange) -> Iterator[Result]:
    """The outcome of every rule about the shape of an answer with data."""
    operation = exchange.request.operation
    if operation is None or not exchange.is_ok or operation.reply.media != JSON or exchange.json is None:
        return
    failures: dict[Rule, list[Failure]] = {rule: [] for rule in RULES}
    for rule, came in islice(_mistakes(operation, exchange.json), MOST):
        failures[rule].append(Failure(came, exchange.request))
    for rule, listed in failures.items():
        yield Result(rule, exchange.request.route, tuple(listed))


def _mistakes(operation: Operation, content: Any) -> Iterator[tuple[Rule, str]]:
    for error in _validator(operation.method, operation.path).iter_errors(content):
        while error.context:  # of alternatives, the one that came nearest
            error = max(error.context, key=relevance)
        yield _judged(error)
    yield from check_texts(content)


def _judged(error: ValidationError) -> tuple[Rule, str]:
    """The rule that is broken, and how: by place, type and keyword, since jsonschema's own texts quote the value."""
    place = re.sub(r"\[\d+\]", "[]", error.json_path)
    if error.instance is None:
        return NULLS, f"{place}: null"
    if error.validator == "required":
        return REQUIRED, f"{place}: without {', '.join(_missing(error))}"
    if error.validator == "type":
        return TYPES, f"{place}: {_kind(error.instance)} where {error.validator_value} is due"
    rule = _RULES.get(str(error.validator), FORMATS)
    return rule, f"{place}: {_kind(error.instance)} against {error.validator}{_named(error)}"


def _missing(error: ValidationError) -> list[str]:
    required: Any = error.validator_value
    members: Any = error.instance
    return [name for name in required if name not in members]


def _named(error: ValidationError) -> str:
    """What the standard says there, where that is short."""
    wanted = str(error.validator_value)
    return f" {wanted}" if len(wanted) <= 80 else ""


def _kind(value: object) -> str:
    """What JSON calls the type of a value."""
    kinds = {bool: "boolean", str: "string", int: "integer", Decimal: "number", list: "array", dict: "object"}
    return kinds.get(type(value), "null")
