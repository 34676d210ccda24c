"""Judges look at what came, and ask nothing: each row of a table is a rule and the function that examines it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from openholder.rehearsal.exchange import Exchange, Request
from openholder.rehearsal.findings import Deviation, Outcome, Rule

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Check(Generic[S]):
    """A rule, and how it is examined."""

    rule: Rule
    examine: Callable[[S], Iterable[str]]
    """What was not as expected, a text each, without any value of a customer's."""
    applies: Callable[[S], bool] = lambda _: True


def examined(checks: Sequence[Check[S]], subject: S, name: str, asked: Request) -> Iterator[Outcome]:
    """The outcome of every check that applies to ``subject``, which is called ``name`` in reports."""
    for check in checks:
        if check.applies(subject):
            deviations = tuple(Deviation(came, asked) for came in check.examine(subject))
            yield Outcome(check.rule, name, deviations)


def judged(checks: Sequence[Check[Exchange]], exchange: Exchange, name: str) -> Iterator[Outcome]:
    """The outcomes of checks on a single exchange."""
    return examined(checks, exchange, name, exchange.request)
