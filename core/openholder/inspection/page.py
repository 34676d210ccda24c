"""Render an inspection of data as one HTML file: findings and profile, without values, scripts and network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime

from openholder.inspection.findings import SEVERITIES, Finding
from openholder.inspection.plots import (
    STYLE,
    draw_ages,
    draw_fill,
    draw_hours,
    draw_legend,
    draw_signs,
)
from openholder.inspection.profile import MAX_DISTINCT, CollectionProfile, MemberProfile
from openholder.inspection.report import SHOWN_IDS, sort_findings
from openholder.inspection.survey import Inspection
from openholder.reports.document import write_document
from openholder.reports.markup import Markup, join, tag, tag_code, tag_definitions, tag_table

MAX_COLUMNS = 8
"""Groups of records that have a column; the rest is in the first one, with all records."""
_FOOTER = (
    "This page has shares, counts, ages and a few ids, and no value of a record. Read it with docs/going-live.md:"
    " a member that nobody fills is right if the holder has no such data anywhere."
)


def render_page(inspection: Inspection, others: Sequence[Finding], now: datetime) -> str:
    """Render the page. ``others`` are findings about the configuration."""
    findings = sort_findings([*others, *inspection.findings])
    counts = {severity: sum(row.severity == severity for row in findings) for severity in SEVERITIES}
    verdict = ", ".join(f"{count} {severity}{'' if count == 1 else 's'}" for severity, count in counts.items())
    records = sum(inspection.looked_at.collections.values())
    worst = "critical" if counts["error"] else "warning" if counts["warning"] else "good"
    header = tag(
        "header",
        tag("h1", "Data for open banking and energy"),
        tag("p", verdict, class_=f"verdict {worst}"),
        tag(
            "p",
            f"{inspection.looked_at.customers} customers and {records} records were looked at on {now.date()}.",
            class_="soft",
        ),
        tag("nav", *(_link(name) for name in inspection.profile.collections), class_="soft"),
    )
    body = join(
        header,
        tag(
            "main",
            tag("section", tag("h2", "Findings"), *_build_findings(findings)),
            *(
                _build_collection(name, found, now.date())
                for name, found in inspection.profile.collections.items()
                if found.records
            ),
        ),
        tag("footer", _FOOTER),
    )
    return write_document("Profile of the data", body, STYLE)


def _link(name: str) -> Markup:
    return join(tag("a", name, href=f"#{name}"), " ")


def _build_findings(findings: Sequence[Finding]) -> Iterator[Markup]:
    if not findings:
        yield tag("p", "Nothing was found.", class_="card")
    for finding in findings:
        many = f"{finding.count} of {finding.of}" if finding.count is not None and finding.of is not None else ""
        ids = ", ".join(finding.ids[:SHOWN_IDS])
        rows = [("wanted", finding.wanted), ("records", many), ("such as", ids), ("source", finding.reference)]
        place = " ".join(filter(None, (finding.collection, finding.member))) or finding.kind
        yield tag(
            "article",
            tag("span", finding.severity, class_="badge"),
            tag("h3", tag_code(place), f": {finding.fault}"),
            tag_definitions([(name, text) for name, text in rows if text]),
            class_=f"card {finding.severity}",
        )


def _build_collection(name: str, found: CollectionProfile, today: date) -> Markup:
    parts = [
        tag("h2", name, id=name),
        tag("p", f"{found.records} records", class_="soft"),
        *_build_times(found, today),
        *_build_signs(found),
        _build_members(name, found),
    ]
    return tag("section", *parts)


def _build_times(found: CollectionProfile, today: date) -> Iterator[Markup]:
    """Draw when the records are of, for each day or time at the top of a record."""
    for path, member in found.members.items():
        if member.kind not in ("day", "time") or not member.records or "[" in path:
            continue
        title = f"{path}: newest {_tell_age(member.newest, today)}, oldest {_tell_age(member.oldest, today)}"
        plots = [draw_ages(member.months, today)]
        if member.kind == "time":
            offsets = ", ".join(
                f"{offset} {count / member.values:.0%}" for offset, count in member.offsets.most_common()
            )
            plots += [draw_hours(member.hours), tag("p", f"Offsets: {offsets}", class_="soft")]
        yield tag("figure", tag("figcaption", title), *plots, class_="card times")


def _tell_age(day: str, today: date) -> str:
    days = (today - date.fromisoformat(day)).days
    if days < 0:
        return f"{-days} days ahead"
    return f"{days} days ago" if days < 3 * 365 else f"{days / 365.25:.0f} years ago"


def _build_signs(found: CollectionProfile) -> Iterator[Markup]:
    """Draw the signs of each amount at the top of a record, by group."""
    rows = [
        (path if len(member.signs) == 1 and "" in member.signs else f"{path}, {group or 'other'}", counts)
        for path, member in found.members.items()
        if "[" not in path
        for group, counts in sorted(member.signs.items())
    ]
    if rows:
        caption = tag("figcaption", "Signs of amounts ", draw_legend())
        yield tag("figure", caption, *(draw_signs(label, counts) for label, counts in rows), class_="card signs")


def _build_members(name: str, found: CollectionProfile) -> Markup:
    """Build the table of how often each member is filled, and how many different values it has."""
    groups = [group for group, _ in found.groups.most_common(MAX_COLUMNS)]
    if groups == [""]:
        groups = []
    heads = ("member", "all", "different", *(f"{group or 'other'} ({found.groups[group]})" for group in groups))
    rows = []
    for path, member in found.members.items():
        if member.records or not _is_inside_nothing(path, found):
            shares = [found.filled[group][path] / found.groups[group] for group in groups]
            cells = (draw_fill(member.records / found.records), _tell_distinct(member), *map(draw_fill, shares))
            rows.append((tag_code(path), *cells))
    return tag_table(f"How many records of {name} have each member", heads, rows)


def _is_inside_nothing(path: str, found: CollectionProfile) -> bool:
    """Tell whether no record has the object that would have the member."""
    parent = path.rpartition(".")[0]
    return bool(parent) and not any(
        other.startswith(f"{parent}.") and member.records for other, member in found.members.items()
    )


def _tell_distinct(member: MemberProfile) -> str:
    return f"{member.distinct}+" if member.distinct >= MAX_DISTINCT else str(member.distinct)
