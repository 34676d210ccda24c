"""The variables ``{from}`` and ``{to}`` of URL templates: the period of time that a query is limited to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from openholder import Query


def find_time_bounds(query: Query) -> dict[str, str]:
    """Return the earliest and latest time of a query, in ISO 8601 UTC, as far as it sets them.

    Whole seconds, rounded outwards: the records are filtered here once more, exactly. If bounds are on different
    members, there are none: it is unknown which member the upstream filters by.
    """
    limits = [
        (condition.members, condition.operator, condition.value.astimezone(UTC))
        for condition in query.filters
        if isinstance(condition.value, datetime) and condition.operator in {"ge", "le"}
    ]
    if len({members for members, _, _ in limits}) > 1:
        return {}
    starts = [moment for _, operator, moment in limits if operator == "ge"]
    ends = [moment for _, operator, moment in limits if operator == "le"]
    bounds = {}
    if starts:
        bounds["from"] = _format_seconds(max(starts))
    if ends:
        bounds["to"] = _format_seconds(_round_up(min(ends)))
    return bounds


def _round_up(moment: datetime) -> datetime:
    whole = moment.replace(microsecond=0)
    # datetime has no second after the last one of the year 9999.
    return whole + timedelta(seconds=1) if moment > whole and whole.year < 9999 else whole


def _format_seconds(moment: datetime) -> str:
    return moment.replace(microsecond=0, tzinfo=None).isoformat() + "Z"
