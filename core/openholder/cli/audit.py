"""``openholder audit``: read the audit trail."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from openholder.cli.options import configuration_option, format_table, json_option
from openholder.config import Configuration
from openholder.pseudonyms import make_pseudonym
from openholder_audit import AuditSettings
from openholder_audit.chain import Chain
from openholder_audit.reading import Record, Report, Writer, make_report, names_one_of, read_records
from openholder_audit.reading import verify as verify_trail
from openholder_audit.segments import format_time


@dataclass(frozen=True, slots=True)
class Trail:
    """Where the files are, and the key that they were written with."""

    folder: Path
    key: bytes

    def find_names(self, value: str) -> set[str]:
        """Return what an id may be written as."""
        return {value, make_pseudonym(self.key, value)} if self.key else {value}


def trail_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say which trail is meant."""
    folder = click.option(
        "--folder",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        help="The folder of the files. Default: that of the observer of kind audit in the configuration.",
    )
    key = click.option(
        "--key-file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="A file with the key of the trail, with --folder.",
    )
    return configuration_option(folder(key(command)))


def period_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that choose a period."""
    begin = click.option("--from", "begin", callback=parse_time, help="The first day (of UTC) or time.")
    end = click.option("--to", "end", callback=parse_time, help="The day or time before which the period ends.")
    return begin(end(command))


def parse_time(ctx: click.Context, param: click.Parameter, value: str | None) -> str:
    """Return a day such as 2026-07-01, or a time with an offset, as records have it; empty if there is none."""
    if value is None:
        return ""
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(
            "expected a day such as 2026-07-01, or a time such as 2026-07-01T00:00+10:00"
        ) from None
    if found.tzinfo is None and len(value) > len("2026-07-01"):
        raise click.BadParameter("a time needs an offset, such as +10:00 or Z")
    return format_time(found.replace(tzinfo=found.tzinfo or UTC).timestamp())


def find_trail(path: Path | None, folder: Path | None, key_file: Path | None) -> Trail:
    """Find the trail that the options or else the configuration name."""
    if folder:
        return Trail(folder, key_file.read_text(encoding="utf-8").strip().encode() if key_file else b"")
    observers = Configuration.load(path).observers
    entries: Iterable[object] = observers.values()
    found = [entry for entry in entries if isinstance(entry, AuditSettings)]
    if len(found) != 1:
        count = "no observer" if not found else "several observers"
        raise click.UsageError(f"the configuration has {count} of kind audit: name the folder with --folder")
    if not found[0].folder.is_dir():
        raise click.UsageError(f"the folder {found[0].folder} is not there: no server has written it yet")
    return Trail(found[0].folder, found[0].secret)


@click.group()
def audit() -> None:
    """Read the audit trail: is it whole, who got what, and how often was sharing refused."""


@audit.command()
@trail_options
@click.option(
    "--heads",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file with the last hashes of the run before, kept elsewhere: lines cut off since are found. It is updated.",
)
@json_option
def verify(path: Path | None, folder: Path | None, key_file: Path | None, heads: Path | None, as_json: bool) -> int:
    """Check the hash of every line.

    A line that was changed, removed or inserted breaks the chain of its file. Only lines cut off at the end are not
    seen by the chain: compare with --heads, or with the heads in the server's log.
    """
    trail = find_trail(path, folder, key_file)
    writers = verify_trail(trail.folder, Chain(trail.key))
    missing = _compare_heads(writers, heads) if heads else []
    faults = [*(fault for writer in writers for fault in writer.faults), *missing]
    if heads and not faults:
        heads.write_text(json.dumps({str(writer.number): writer.head for writer in writers}, indent=2) + "\n")
    if as_json:
        found = [
            {"writer": w.number, "files": w.files, "records": w.records, "head": w.head, "notes": w.notes}
            for w in writers
        ]
        click.echo(json.dumps({"writers": found, "faults": faults}, indent=2))
        return 1 if faults else 0
    rows = [(f"{w.number:02d}", str(w.files), str(w.records), w.head[:16]) for w in writers]
    if rows:
        click.echo(format_table(rows, ("writer", "files", "records", "head")))
    for line in (note for writer in writers for note in writer.notes):
        click.echo(f"note: {line}")
    for fault in faults:
        click.echo(f"fault: {fault}")
    click.echo(f"{len(faults)} faults" if faults else "the trail is whole")
    return 1 if faults else 0


def _compare_heads(writers: Iterable[Writer], heads: Path) -> list[str]:
    """Find the writers whose last line of the run before is gone."""
    if not heads.exists():
        return []
    try:
        before = json.loads(heads.read_text(encoding="utf-8"))
        known = {int(number): str(head) for number, head in before.items()}
    except (ValueError, AttributeError):
        raise click.UsageError(f"{heads} is not a file that --heads has written") from None
    there = {writer.number: writer.heads for writer in writers}
    return [
        f"writer {number:02d}: the line with the hash {head[:16]}, its last one before, is gone"
        for number, head in known.items()
        if head not in there.get(number, set()) and set(head) != {"0"}
    ]


@audit.command()
@trail_options
@click.option("--customer", help="The id of a customer.")
@click.option("--account", help="The id of an account.")
@click.option("--interaction", help="An x-fapi-interaction-id.")
@period_options
@json_option
def show(
    path: Path | None,
    folder: Path | None,
    key_file: Path | None,
    customer: str | None,
    account: str | None,
    interaction: str | None,
    begin: str,
    end: str,
    as_json: bool,
) -> int:
    """Show what was disclosed of a customer or account, and what was refused.

    Ids are given as they are; pseudonyms in the trail are found with its key. --json prints one record a line.
    """
    trail = find_trail(path, folder, key_file)
    tests: list[Callable[[Record], bool]] = []
    if customer:
        tests.append(names_one_of("customers", trail.find_names(customer)))
    if account:
        tests.append(names_one_of("accounts", trail.find_names(account)))
    if interaction:
        tests.append(lambda record: record["interaction_id"] == interaction)
    if not tests:
        raise click.UsageError("name a --customer, an --account or an --interaction")
    found = (record for record in read_records(trail.folder, begin, end or "~") if all(test(record) for test in tests))
    if as_json:
        for record in found:
            click.echo(json.dumps(record))
        return 0
    rows = [
        (
            str(record["time"])[:19] + "Z",
            str(record["operation"]),
            str(record["status"]),
            str(record["records"]),
            " ".join(record["accounts"]) or "-",
            str(record["reason"]) or "-",
            str(record["interaction_id"]),
        )
        for record in found
    ]
    headings = ("time", "operation", "status", "records", "accounts", "reason", "interaction")
    click.echo(format_table(rows, headings) if rows else "no record")
    return 0


@audit.command()
@trail_options
@period_options
@json_option
def report(path: Path | None, folder: Path | None, key_file: Path | None, begin: str, end: str, as_json: bool) -> int:
    """Count what was disclosed, by operation, and what was refused, by status and reason.

    The refusals are those with X-Sharing-Refused, which CDR rule 9.4 wants reported for each half-year.
    """
    trail = find_trail(path, folder, key_file)
    found = make_report(trail.folder, begin, end or "~")
    if as_json:
        click.echo(json.dumps({"from": begin, "to": end, **found.to_dict()}, indent=2))
        return 0
    click.echo(f"from {begin or 'the beginning'} to {end or 'the end'}: {found.requests} requests")
    for heading, rows in _list_tables(found):
        click.echo(f"\n{heading}")
        click.echo(rows)
    return 0


def _list_tables(found: Report) -> Iterable[tuple[str, str]]:
    content = found.to_dict()
    for heading, key in (
        (f"Disclosures: {found.disclosures.total()}", "disclosures"),
        (f"Refusals to share (rule 9.4): {found.refusals.total()}", "refusals"),
        (f"Other answers without data: {found.others.total()}", "others"),
    ):
        rows = content[key]
        yield heading, format_table([[str(v) for v in row.values()] for row in rows], list(rows[0])) if rows else "none"
