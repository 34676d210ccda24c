"""The variables ``{from}`` and ``{to}`` of URL templates: the time to which a question is limited."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from openholder import Filter, Query

SECOND = timedelta(seconds=1)


def bounds(query: Query) -> dict[str, str]:
    """The earliest and the latest moment that is wanted, where there are such, in ISO 8601 UTC.

    Whole seconds, rounded outwards: what comes back is filtered here once more. Where bounds are on different members
    it is not known which one an upstream goes by, and there are none.
    """
    moments = [each for each in query.filters if isinstance(each.value, datetime) and each.operator in {"ge", "le"}]
    if len({each.members for each in moments}) > 1:
        return {}
    from_, to = _values(moments, "ge"), _values(moments, "le")
    earliest = {"from": _text(max(from_))} if from_ else {}
    return earliest | ({"to": _text(_rounded_up(min(to)))} if to else {})


def _values(moments: list[Filter], operator: str) -> list[datetime]:
    return [
        each.value.astimezone(UTC) for each in moments if each.operator == operator and isinstance(each.value, datetime)
    ]


def _rounded_up(moment: datetime) -> datetime:
    whole = moment.replace(microsecond=0)
    # The last second of the year 9999 has none after it.
    return whole + SECOND if moment > whole and whole.year < 9999 else whole


def _text(moment: datetime) -> str:
    return moment.replace(microsecond=0, tzinfo=None).isoformat() + "Z"
