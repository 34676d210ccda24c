"""Reading an audit trail: is it whole, who got what, and how often was sharing refused."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from openholder_audit.chain import FIRST, BrokenLine, Chain, read_line
from openholder_audit.segments import SegmentName, list_segments

Record = dict[str, Any]
"""A line of the trail, as its members."""


@dataclass(slots=True)
class Writer:
    """What `verify` found in the files of one writer."""

    number: int
    files: int = 0
    records: int = 0
    head: str = FIRST
    """The hash of the last line. Kept elsewhere, it shows later whether lines were cut off."""
    heads: set[str] = field(default_factory=set)
    """The hashes of all lines."""
    faults: list[str] = field(default_factory=list)
    """What was changed, removed or inserted."""
    notes: list[str] = field(default_factory=list)
    """What is no fault, but to be known: an end that a crash has torn, or older files that are not here."""


def verify(folder: Path, chain: Chain) -> list[Writer]:
    """Check every line of a trail.

    Args:
        folder: Where the files are.
        chain: The chain with the key of the trail.

    Returns:
        What was found, for each writer.
    """
    writers = []
    for number, names in groupby(list_segments(folder), lambda name: name.writer):
        writer = Writer(number)
        expected = 0
        for name in names:
            if not expected and name.number > 1:
                writer.notes.append(f"begins with {name}: older files are not here")
            elif expected and name.number != expected:
                writer.faults.append(f"{SegmentName(number, expected)} is missing")
            _verify_file(folder / str(name), name, chain, writer, is_first=not expected)
            expected = name.number + 1
        writers.append(writer)
    return writers


def _verify_file(path: Path, name: SegmentName, chain: Chain, writer: Writer, *, is_first: bool) -> None:
    writer.files += 1
    with path.open("rb") as file:
        lines = file.readlines()
    for number, line in enumerate(lines, 1):
        place = f"{name} line {number}"
        try:
            members = read_line(line)
        except BrokenLine as exc:
            if number == len(lines) and not line.endswith(b"\n"):
                writer.notes.append(f"{place} is torn: the process ended while it wrote, or is writing now")
            else:
                writer.faults.append(f"{place} {exc}")
            continue
        is_start = number == 1 and is_first and name.number > 1  # nothing before it is here
        if not is_start and not chain.is_intact(line, writer.head):
            message = "was changed, or lines before it were changed, removed or inserted; or the key is another"
            writer.faults.append(f"{place} {message}")
        if (number == 1) != ("segment" in members) or members.get("segment", str(name)) != str(name):
            writer.faults.append(f"{place} belongs elsewhere")
        writer.head = str(members["hash"])
        writer.heads.add(writer.head)
        writer.records += "segment" not in members


def read_records(folder: Path, begin: str = "", end: str = "~") -> Iterator[Record]:
    """Yield the records of a trail in the order of their times, without checking them.

    Args:
        folder: Where the files are.
        begin: The earliest time, in UTC as the records have it.
        end: The time before which they are.
    """
    writers = groupby(list_segments(folder), lambda name: name.writer)
    rows = [_read_files([folder / str(name) for name in names]) for _, names in writers]
    for record in heapq.merge(*rows, key=lambda record: str(record["time"])):
        if begin <= record["time"] < end:
            yield record


def _read_files(paths: list[Path]) -> Iterator[Record]:
    for path in paths:
        with path.open("rb") as file:
            for line in file:
                try:
                    members = read_line(line)
                except BrokenLine:
                    continue
                if "segment" not in members:
                    yield members


def names_one_of(member: str, ids: set[str]) -> Callable[[Record], bool]:
    """Return what tells whether a record has one of these ids, plain or as pseudonyms, in a member."""
    return lambda record: not ids.isdisjoint(record[member])


@dataclass(slots=True)
class Report:
    """What was disclosed and refused in a period."""

    requests: int = 0
    disclosures: Counter[str] = field(default_factory=Counter)
    """Answers with data, by operation."""
    records: Counter[str] = field(default_factory=Counter)
    """The records in them."""
    customers: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Whose they were."""
    refusals: Counter[tuple[int, str]] = field(default_factory=Counter)
    """Refusals to share, by status and reason: those that the half-yearly report counts."""
    others: Counter[tuple[int, str]] = field(default_factory=Counter)
    """Other answers without data."""

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON has it."""
        return {
            "requests": self.requests,
            "disclosures": [
                {
                    "operation": operation,
                    "answers": count,
                    "records": self.records[operation],
                    "customers": len(self.customers[operation]),
                }
                for operation, count in sorted(self.disclosures.items())
            ],
            "refusals": _list_counts(self.refusals),
            "others": _list_counts(self.others),
        }


def _list_counts(counts: Counter[tuple[int, str]]) -> list[dict[str, object]]:
    return [{"status": status, "reason": reason, "answers": n} for (status, reason), n in sorted(counts.items())]


def make_report(folder: Path, begin: str = "", end: str = "~") -> Report:
    """Count what was disclosed and refused in a period, as `read_records` takes it."""
    report = Report()
    for record in read_records(folder, begin, end):
        report.requests += 1
        kind = (record["status"], str(record["reason"]).partition(":")[0])
        if record["refused"]:
            report.refusals[kind] += 1
        elif record["status"] != 200:
            report.others[kind] += 1
        else:
            operation = record["operation"]
            report.disclosures[operation] += 1
            report.records[operation] += record["records"]
            report.customers[operation].update(record["customers"])
    return report
