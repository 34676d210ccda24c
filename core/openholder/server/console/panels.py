"""What the console shows, as one table. The page knows how to draw figures and tables, and nothing of their content."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple, Protocol

from openholder.gate import Gate
from openholder.gate.jwks import JWKSCache
from openholder.server.console.readings import Readings, count_above, estimate_quantile
from openholder.server.console.words import Cell, Level, format_age, format_count, format_rate, format_seconds, grade
from openholder.server.generation import Generation
from openholder.server.recent import FIELDS, recent_faults

if TYPE_CHECKING:
    from openholder.server.tls import CertificateFiles

REQUESTS, SECONDS, LIMIT = (
    "openholder_http_requests_total",
    "openholder_http_request_seconds",
    "openholder_route_limit_seconds",
)
QUERY = "openholder_source_query_seconds"
FAILED_QUERIES = ("unavailable", "fault")
"""Outcomes of queries that are errors of a source."""


class Reload(NamedTuple):
    """The last reload of the configuration."""

    at: float
    """Seconds since 1970."""
    result: str
    """``good`` or ``refused``."""


class Server(Protocol):
    """What the console knows of the running server."""

    generation: Generation
    keys: JWKSCache
    gate: Gate
    certificate: CertificateFiles | None
    last_reload: Reload | None

    async def check_readiness(self) -> str:
        """Return why it cannot serve, or an empty text."""
        ...


@dataclass(frozen=True, slots=True)
class Health:
    """What was found when the server was last asked how it is."""

    missing: str = "not asked yet"
    """Why it cannot serve; empty if it can."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """The type of error by source; empty for one that can serve."""
    served: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """The collections that requests find in each source."""


@dataclass(frozen=True, slots=True)
class View:
    """One moment of a server: all that panels are made from."""

    server: Server
    health: Health
    now: Readings
    risen: Readings
    """By how much everything has risen in the last minute."""
    period: float
    """Seconds of that minute which somebody has looked at."""
    rate: float
    """Requests per second since the last moment."""
    failures: float
    """Answers 5xx per second, as well."""


Rows = Iterable[tuple[Cell, ...]]


class Panel(NamedTuple):
    """One table of the page."""

    name: str
    title: str
    note: str
    columns: tuple[str, ...]
    """Headings; those that begin with ``#`` are of numbers. None: each row is a name and what it has."""
    list_rows: Callable[[View], Rows]


def count_recent(view: View, series: str, place: int, key: str) -> str:
    """Format by how much a sum has risen in the last minute."""
    return format_count(view.risen.sum_by(series, place).get(key, 0))


def list_figures(view: View) -> Iterator[tuple[str, Cell, str]]:
    """Yield what is shown first: name, value, and what it is compared with."""
    now, risen = view.now, view.risen
    statuses = risen.sum_by(REQUESTS, 2)
    failed = sum(count for status, count in statuses.items() if status.startswith("5"))
    share = failed / total if (total := sum(statuses.values())) else 0.0
    yield "Requests", Cell(format_rate(view.rate)), "per second"
    yield (
        "Failures",
        Cell(f"{100 * share:.2f} %", grade(share, 0.001, 0.005)),
        "5xx, last minute; at most 0.5\u00a0%",
    )
    buckets = risen.list_buckets(SECONDS)
    yield "95 % within", Cell(format_seconds(estimate_quantile(buckets, 0.95))), "of all routes, last minute"
    workers, wanted = (now.find(f"openholder_workers{end}") for end in ("", "_configured"))
    yield "Workers", Cell(f"{workers:.0f} of {wanted:.0f}", Level.BAD if workers < wanted else Level.GOOD), "serve"
    running, connections = (now.find(f"openholder_http_{name}") for name in ("running", "connections"))
    yield "Running", Cell(format_count(running)), f"requests on {format_count(connections)} connections"
    age = now.find("openholder_jwks_age_seconds")
    yield "Keys", Cell(format_age(age), grade(age, 900, 3600)), "since the oldest fetch; alarm at 15\u00a0min"
    if now.has("openholder_tls_certificate_days_left"):
        days = now.find("openholder_tls_certificate_days_left")
        yield "Certificate", Cell(f"{days:.0f} days", grade(-days, -30, -14)), "left; renew it below 30"
    lag = now.find("openholder_loop_lag_seconds")
    yield "Lag", Cell(format_seconds(lag), grade(lag, 0.1, 0.5)), "of the slowest event loop"


def list_routes(view: View) -> Rows:
    """List routes with traffic, and their response times against the tier."""
    counts, recent = view.now.sum_by(REQUESTS, 0), view.risen.sum_by(REQUESTS, 0)
    for route, count in sorted(counts.items(), key=lambda item: -item[1]):
        limit = view.now.find(LIMIT, route)
        ever, lately = (readings.list_buckets(SECONDS, route) for readings in (view.now, view.risen))
        times = [estimate_quantile(buckets, 0.95) for buckets in (lately, ever)]
        above = count_above(ever, limit)
        yield (
            Cell(route or "no route"),
            Cell(format_count(count)),
            Cell(format_rate(recent.get(route, 0) / view.period)),
            *(
                Cell(format_seconds(one), grade(one, limit / 2, limit) if one and limit else Level.NONE)
                for one in times
            ),
            Cell(format_seconds(limit or None)),
            Cell(format_count(above), Level.WARN if above else Level.NONE),
        )


def list_statuses(view: View) -> Rows:
    """List the statuses of answers."""
    for status, count in view.now.sum_by(REQUESTS, 2).items():
        level = Level.BAD if status.startswith("5") else Level.NONE
        yield Cell(status, level), Cell(format_count(count)), Cell(count_recent(view, REQUESTS, 2, status))


def list_refusals(view: View) -> Rows:
    """List the reasons for which there was no data."""
    series = "openholder_http_refusals_total"
    for reason, count in sorted(view.now.sum_by(series, 0).items(), key=lambda item: -item[1]):
        if count:
            yield Cell(reason), Cell(format_count(count)), Cell(count_recent(view, series, 0, reason))
    for status, count in view.now.sum_by("openholder_sharing_refusals_total", 0).items():
        recent = count_recent(view, "openholder_sharing_refusals_total", 0, status)
        yield Cell(f"refused to share, {status}"), Cell(format_count(count)), Cell(recent)


def list_sources(view: View) -> Rows:
    """List the sources: how they are, what they serve, and how long their queries take."""
    for source in view.server.generation.sources.list_sources():
        outcomes = {
            labels[1]: count
            for labels, count in view.now.samples.get(f"{QUERY}_count", {}).items()
            if labels[0] == source.name
        }
        failed = sum(outcomes.get(outcome, 0) for outcome in FAILED_QUERIES)
        problem = view.health.sources.get(source.name)
        healthy = Cell("not asked yet") if problem is None else Cell(problem or "healthy", _judge(problem))
        buckets = view.now.list_buckets(QUERY, source.name)
        names = view.health.served.get(source.name, ())
        yield (
            Cell(source.name),
            Cell(source.settings.kind),
            healthy,
            Cell(format_count(sum(outcomes.values()))),
            Cell(format_count(failed), Level.WARN if failed else Level.NONE),
            *(Cell(format_seconds(estimate_quantile(buckets, share))) for share in (0.5, 0.95)),
            Cell(", ".join(names)),
        )


def list_keys(view: View) -> Rows:
    """List the keys in use and those that were, with the tokens that they have signed."""
    series, kids = "openholder_tokens_total", view.server.keys.kids
    counts = view.now.sum_by(series, 0)
    for kid in sorted({*kids, *counts}):
        state = Cell("in use", Level.GOOD) if kid in kids else Cell("withdrawn")
        yield Cell(kid), state, Cell(format_count(counts.get(kid, 0))), Cell(count_recent(view, series, 0, kid))


def list_key_set(view: View) -> Rows:
    """List what is known of the key set of this worker."""
    keys, events = view.server.keys, view.now.sum_by("openholder_jwks_events_total", 0)
    yield (
        Cell("Fetched"),
        Cell(f"{format_age(keys.age)} ago" if keys.age is not None else "never", _judge(keys.age is None)),
    )
    yield Cell("Next fetch"), Cell(f"in {format_age(keys.due_in)}")
    failed = events.get("failed", 0)
    yield Cell("Fetches"), Cell(f"{format_count(events.get('fetched', 0))} good, {format_count(failed)} failed")
    yield Cell("Unknown keys"), Cell(f"named by {format_count(events.get('unknown_kid', 0))} tokens")


def list_record(view: View) -> Rows:
    """List what is known of the record of used tokens."""
    errors, lost = view.now.find("openholder_replay_errors_total"), view.server.gate.lost_before
    yield Cell("Kind"), Cell(view.server.generation.configuration.settings.replay.store)
    if view.now.has("openholder_replay_entries"):
        yield Cell("Tokens, every 15 s"), Cell(format_count(view.now.find("openholder_replay_entries")))
    yield Cell("Requests it failed"), Cell(format_count(errors), Level.WARN if errors else Level.NONE)
    yield (
        Cell("Complete"),
        Cell(f"since {format_moment(lost)}, {format_age(time.time() - lost)}")
        if lost
        else Cell("it never lost a token"),
    )


def list_certificate(view: View) -> Rows:
    """List what is known of the certificate."""
    if view.server.certificate is None:
        yield Cell("In use"), Cell("none: plain HTTP, for a proxy that has the certificate")
        return
    current = view.server.certificate.current
    yield Cell("Expires"), Cell(format_moment(current.not_after.timestamp()))
    yield Cell("Names"), Cell(", ".join(sorted(current.names)) or "none")
    for level, text in view.server.certificate.find_problems():
        yield Cell("Problem"), Cell(text, Level.BAD if level >= logging.ERROR else Level.WARN)


def list_process(view: View) -> Rows:
    """List what is known of the workers."""
    now = view.now
    starts, wanted = now.find("openholder_worker_starts_total"), now.find("openholder_workers_configured")
    yield Cell("Starts"), Cell(format_count(starts), Level.WARN if starts > wanted else Level.NONE)
    silent = time.time() - now.find("openholder_heartbeat_timestamp_seconds")
    yield Cell("Last sign of the slowest"), Cell(f"{format_age(max(0.0, silent))} ago", grade(silent, 10, 30))
    yield Cell("Memory"), Cell(f"{now.find('openholder_resident_memory_bytes') / 2**20:.0f} MiB")
    closed = now.sum_by("openholder_http_connections_closed_total", 0)
    told = ", ".join(f"{format_count(count)} {reason}" for reason, count in closed.items() if count)
    yield Cell("Connections closed"), Cell(told or "none")
    lost = now.find("openholder_log_lines_lost_total")
    yield Cell("Log lines lost"), Cell(format_count(lost), Level.WARN if lost else Level.NONE)
    for version, python, http in now.samples.get("openholder_build_info", {}):
        yield Cell("Version"), Cell(f"{version} on Python {python}, {http}")


def list_configuration(view: View) -> Rows:
    """List what is known of the configuration."""
    used = {name: count for name, count in view.now.sum_by("openholder_configuration_info", 0).items() if count}
    for digest, workers in used.items():
        yield Cell("Digest"), Cell(f"{digest}, workers: {workers:.0f}", Level.WARN if len(used) > 1 else Level.NONE)
    last = view.server.last_reload
    if last is None:
        yield Cell("Last reload"), Cell("none since the start")
    else:
        text = f"{last.result}, {format_moment(last.at)}, {format_age(time.time() - last.at)} ago"
        yield Cell("Last reload"), Cell(text, _judge(last.result != "good"))
    results = view.now.sum_by("openholder_reloads_total", 0)
    yield Cell("Reloads"), Cell(f"{results.get('good', 0):.0f} good, {results.get('refused', 0):.0f} refused")


def list_broken(view: View) -> Rows:
    """List conditions of the standard that served records break, and what observers failed to record."""
    for (collection, member, fault, severity), count in view.now.samples.get(
        "openholder_conditions_broken_total", {}
    ).items():
        level = Level.BAD if severity == "error" else Level.WARN
        yield Cell(f"{collection}: {member}"), Cell(fault, level), Cell(format_count(count))
    for (observer, hook), count in view.now.samples.get("openholder_observer_failures_total", {}).items():
        if count:
            yield Cell(f"observer {observer}"), Cell(hook, Level.BAD), Cell(format_count(count))


def list_faults(_: View) -> Rows:
    """List the last faults: severe lines of the log."""
    for fault in recent_faults.list_faults():
        level, event, *others = (fault.fields.get(name, "") for name in FIELDS)
        details = ", ".join(filter(None, others))
        yield (
            Cell(fault.last[:19].replace("T", " ")),
            Cell(level, Level.WARN if level == "warning" else Level.BAD),
            Cell(format_count(fault.times)),
            Cell(f"{event}: {details}" if details else event),
            Cell(fault.interaction_id),
        )


PANELS = (
    Panel(
        "traffic",
        "Traffic",
        "Response times against the tiers of the CDS. Above half of the limit, too little is left for Fiskil.",
        ("route", "# requests", "# per second", "# 95 %, last minute", "# 95 %, since start", "# limit", "# above it"),
        list_routes,
    ),
    Panel(
        "answers",
        "Answers",
        "By status; 499 is a caller who went away.",
        ("status", "# since start", "# last minute"),
        list_statuses,
    ),
    Panel(
        "refusals",
        "Refusals",
        "By reason; the last three rows are for the half-yearly report.",
        ("reason", "# since start", "# last minute"),
        list_refusals,
    ),
    Panel(
        "sources",
        "Sources",
        "Health is what this worker found in the last five seconds; queries are those of all workers.",
        ("source", "kind", "health", "# queries", "# errors", "# half within", "# 95 % within", "collections"),
        list_sources,
    ),
    Panel(
        "faults",
        "Recent faults",
        "Severe lines of the log, without values. What the log says of each has more.",
        ("last, UTC", "level", "# times", "what", "last interaction id"),
        list_faults,
    ),
    Panel("keys", "Keys", "Who signed the tokens.", ("kid", "state", "# tokens", "# last minute"), list_keys),
    Panel("key-set", "Key set", "Of this worker.", (), list_key_set),
    Panel(
        "record",
        "Record of used tokens",
        "Nothing is served without it.",
        (),
        list_record,
    ),
    Panel("certificate", "Certificate", "", (), list_certificate),
    Panel("workers", "Workers", "All of them together.", (), list_process),
    Panel("configuration", "Configuration", "Compare the digest with sha256sum of the file.", (), list_configuration),
    Panel(
        "broken",
        "Broken conditions",
        "Records that lack what the standard wants, and observers that failed.",
        ("where", "what", "# times"),
        list_broken,
    ),
)
"""All panels, in the order of the page."""


def format_moment(seconds: float) -> str:
    """Format seconds since 1970."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"


def _judge(problem: object) -> Level:
    return Level.BAD if problem else Level.GOOD
