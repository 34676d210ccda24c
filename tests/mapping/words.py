"""What the words of a mapping mean: one table, which every kind of source has to agree with.

A case has one record, ``x1`` of account ``a1``, and what becomes of one of its members.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

TRANSACTIONS = "banking.transactions"
SYDNEY = {"time_zone": "Australia/Sydney"}
LOCAL = "%d.%m.%Y %H:%M"
SIGN = {"column": "dc", "is": ["D"]}
CODES = {"PRIJEM": "TRANSFER_INCOMING", "VYDAJ": "PAYMENT"}
COMMA = {"decimal": ","}
CLEAN = {"strip": True, "absent": ["NULL", r"\N", "-"]}


@dataclass(frozen=True)
class Case:
    """The cells of a record, the words, and the value of a member; or the message of a fault."""

    cells: dict[str, Any]
    member: str
    rule: dict[str, Any] | str | None
    value: Any = None
    fault: str = ""
    words: dict[str, Any] = field(default_factory=dict)
    """Those of the source."""

    @property
    def settings(self) -> dict[str, Any]:
        mapping = {"accountId": "account", "transactionId": "no"}
        rules = mapping if self.rule is None else {**mapping, self.member: self.rule}
        return {"mapping": {TRANSACTIONS: rules}, **self.words}


def amount(text, value=None, *, fault="", cells=None, words=None, **rule):
    return Case({"amt": text, **(cells or {})}, "amount", {"column": "amt", **rule}, value, fault, words or {})


def time(text, value=None, *, fault="", words=SYDNEY, **rule):
    return Case({"booked": text}, "postingDateTime", {"column": "booked", **rule}, value, fault, words)


def code(text, value=None, *, fault="", codes=CODES, words=None):
    return Case({"k": text}, "type", {"column": "k", "codes": codes}, value, fault, words or {})


def text(found, value, **words):
    return Case({"note": found}, "description", "note", value, "", words)


WHOLE_CENTS = r"'amount' does not fit \(found [\w ]+\): expected a whole number of cents"
NO_COMMA = r"'amount' does not fit .*: expected a number such as 1234,56, without thousands separators"
NO_SIGN = r"'amount' does not fit .*: column 'dc', which gives the sign, must have a value of `is`"
SKIPPED = "'postingDateTime' does not fit .*: a local time that the clocks of Australia/Sydney skip"
REPEATED = "'postingDateTime' does not fit .*: .* Australia/Sydney show twice; .* or set repeated_hour"
NOT_LISTED = r"'type' does not fit .*: a code that `codes` does not list; add it, or \"\*\" for all others"
NOT_LOCAL = r"'postingDateTime' does not fit .*: expected the format '%d.%m.%Y %H:%M'"

CASES = {
    "a column": text("COFFEE", "COFFEE"),
    "a constant": Case({}, "status", {"constant": "POSTED"}, "POSTED"),
    "a truth constant": Case({}, "isDetailAvailable", {"constant": False}, False),
    "a number": Case({}, "merchantCategoryCode", {"constant": 5812}, 5812),
    "an empty constant": Case({}, "reference", {"constant": ""}, ""),
    "a code": code("PRIJEM", "TRANSFER_INCOMING"),
    "an unknown code": code("PREVOD", fault=NOT_LISTED),
    "another letter case": code("prijem", fault=NOT_LISTED),
    "all other codes": code("PREVOD", "OTHER", codes={**CODES, "*": "OTHER"}),
    "no code": code(None, None, codes={**CODES, "*": "OTHER"}),
    "a code of an absent text": code("NULL", None, codes={**CODES, "*": "OTHER"}, words=CLEAN),
    "a code with blanks": code(" PRIJEM ", "TRANSFER_INCOMING", words=CLEAN),
    "a code with blanks, unstripped": code(" PRIJEM ", fault=NOT_LISTED),
    "yes": Case({"d": "Y"}, "isDetailAvailable", {"column": "d", "codes": {"Y": "true", "N": "false"}}, "true"),
    "cents": amount("120050", "1200.50", unit="cents"),
    "few cents": amount("7", "0.07", unit="cents"),
    "no cents": amount("0", "0.00", unit="cents"),
    "negative cents": amount("-7", "-0.07", unit="cents"),
    "cents with a point": amount("120.5", fault=WHOLE_CENTS, unit="cents"),
    "cents with zeros": amount("120.00", "1.20", unit="cents"),
    "cents with a comma": amount("120,00", "1.20", unit="cents", words=COMMA),
    "cents as text": amount("x", fault=r"'amount' does not fit .*: expected an exact decimal", unit="cents"),
    "cents of nobody": amount(None, None, unit="cents"),
    "a debit": amount("7.05", "-7.05", negative=SIGN, cells={"dc": "D"}),
    "a credit": amount("7.05", "7.05", negative=SIGN, cells={"dc": "C"}),
    "a debit in cents": amount("705", "-7.05", negative=SIGN, unit="cents", cells={"dc": "D"}),
    "a debit of nothing": amount("0.00", "0.00", negative=SIGN, cells={"dc": "D"}),
    "a debit with blanks": amount(" 7.05 ", "-7.05", negative=SIGN, cells={"dc": "D "}, words=CLEAN),
    "neither debit nor credit": amount("7.05", fault=NO_SIGN, negative=SIGN, cells={"dc": None}),
    "an absent sign": amount("7.05", fault=NO_SIGN, negative=SIGN, cells={"dc": "-"}, words=CLEAN),
    "a listed credit": amount("7.05", "7.05", negative={**SIGN, "is_not": ["C"]}, cells={"dc": "C"}),
    "an unlisted sign": amount("7.05", fault=NO_SIGN, negative={**SIGN, "is_not": ["C"]}, cells={"dc": "c"}),
    "a sign twice": amount("-7.05", fault="without a sign of its own", negative=SIGN, cells={"dc": "D"}),
    "a sign against the column": amount("-7.05", fault="without a sign of its own", negative=SIGN, cells={"dc": "C"}),
    "a decimal comma": amount("-1234,56", "-1234.56", words=COMMA),
    "one decimal": amount("7,1", "7.1", words=COMMA),
    "no decimals": amount("2500", "2500", words=COMMA),
    "thousands with points": amount("1.234,56", fault=NO_COMMA, words=COMMA),
    "thousands with blanks": amount("1 234,56", fault=NO_COMMA, words=COMMA),
    "a point among commas": amount("1.234", fault=NO_COMMA, words=COMMA),
    "two commas": amount("1,234,56", fault=NO_COMMA, words=COMMA),
    "a comma in a text": text("1,5 l", "1,5 l", decimal=","),
    "digits in a text": text("0012,50", "0012,50", decimal=","),
    "a local time": time("2026-10-01T09:30:00", "2026-10-01T09:30:00+10:00"),
    "a local time with a blank": time("2026-10-01 09:30:00", "2026-10-01T09:30:00+10:00"),
    "a local time in minutes": time("2026-12-01T09:30", "2026-12-01T09:30:00+11:00"),
    "a local time with a fraction": time("2026-12-01 09:30:00.1234567", "2026-12-01T09:30:00.1234567+11:00"),
    "a time with its offset": time("2026-12-01T09:30:00+01:00", "2026-12-01T09:30:00+01:00"),
    "a time of UTC": time("2026-12-01T09:30:00Z", "2026-12-01T09:30:00Z"),
    "a local day that never was": time("2026-02-30T09:30:00", fault="there is no such day"),
    "a skipped time": time("2026-10-04T02:30:00", fault=SKIPPED),
    "a skipped time with a word": time("2026-10-04T02:30:00", fault=SKIPPED, repeated_hour="first"),
    "before the skipped hour": time("2026-10-04T01:59:59", "2026-10-04T01:59:59+10:00"),
    "after the skipped hour": time("2026-10-04T03:00:00", "2026-10-04T03:00:00+11:00"),
    "a repeated time": time("2026-04-05T02:30:00", fault=REPEATED),
    "the first of both": time("2026-04-05T02:30:00", "2026-04-05T02:30:00+11:00", repeated_hour="first"),
    "the second of both": time("2026-04-05T02:30:00", "2026-04-05T02:30:00+10:00", repeated_hour="second"),
    "before the repeated hour": time("2026-04-05T01:59:59", "2026-04-05T01:59:59+11:00"),
    "after the repeated hour": time("2026-04-05T03:00:00", "2026-04-05T03:00:00+10:00"),
    "a format": time("01.10.2026 09:30", "2026-10-01T09:30:00+10:00", format=LOCAL),
    "a format that is none": time("2026-10-01 09:30", fault=NOT_LOCAL, format=LOCAL),
    "a day that never was": time("31.02.2026 09:30", fault=NOT_LOCAL, format=LOCAL),
    "a zero date": time("00.00.0000 00:00", fault=NOT_LOCAL, format=LOCAL),
    "no time": time(None, None, format=LOCAL),
    "an absent time": time(r"\N", None, format=LOCAL, words={**SYDNEY, **CLEAN}),
    "a format, skipped": time("04.10.2026 02:30", fault=SKIPPED, format=LOCAL),
    "a format, repeated": time("05.04.2026 02:30", fault=REPEATED, format=LOCAL),
    "a format, the second": time("05.04.2026 02:30", "2026-04-05T02:30:00+10:00", format=LOCAL, repeated_hour="second"),
    "a format with its offset": time(
        "01/10/2026 09:30:15 +0200", "2026-10-01T09:30:15+02:00", format="%d/%m/%Y %H:%M:%S %z", words={}
    ),
    "a format with names": time("1 Oct 2026 9:05 PM", "2026-10-01T21:05:00+10:00", format="%d %b %Y %I:%M %p"),
    "a format without signs": time("930705", "1993-07-05T00:00:00+10:00", format="%y%m%d"),
    "digits that may mean two days": time("50101", fault="expected the format", format="%y%m%d"),
    "a day for a time": time("01.10.2026", "2026-10-01T00:00:00+10:00", format="%d.%m.%Y"),
    "a bare day for a time": time("2026-10-01", "2026-10-01"),
    "an ISO day for a time": time("2026-10-01", "2026-10-01T00:00:00+10:00", format="%Y-%m-%d"),
    "blanks": text("  COFFEE \u00a0", "COFFEE", strip=True),
    "blanks, unstripped": text("  COFFEE ", "  COFFEE "),
    "an absent text": text("NULL", None, **CLEAN),
    "an absent text with blanks": text(r" \N ", None, **CLEAN),
    "an absent text in another letter case": text("null", "null", **CLEAN),
    "an absent text inside": text("NULL and void", "NULL and void", **CLEAN),
    "an absent text without a rule": Case({"merchantName": "NULL"}, "merchantName", None, None, "", CLEAN),
    "an amount without a rule": Case({"amount": "7,05"}, "amount", None, "7.05", "", COMMA),
    "a local time without a rule": Case(
        {"executionDateTime": "2026-10-01 09:30:00"}, "executionDateTime", None, "2026-10-01T09:30:00+10:00", "", SYDNEY
    ),
}


def group_cases() -> list[list[tuple[str, Case]]]:
    """Group the cases that differ in their values only: they can be records of one table, each of its own account."""
    groups: dict[str, list[tuple[str, Case]]] = {}
    for name, case in CASES.items():
        groups.setdefault(repr((case.settings, list(case.cells))), []).append((name, case))
    return list(groups.values())
