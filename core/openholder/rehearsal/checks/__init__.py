"""Judges look at what came, and ask nothing: each row of a table is a rule and the function that examines it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from openholder.rehearsal.exchange import Exchange, Request
from openholder.rehearsal.results import Failure, Result, Rule

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Check(Generic[S]):
    """A rule, and how it is examined."""

    rule: Rule
    examine: Callable[[S], Iterable[str]]
    """What was not as expected, a text each, without any value of a customer's."""
    applies: Callable[[S], bool] = lambda _: True


def run_checks(checks: Sequence[Check[S]], subject: S, name: str, asked: Request) -> Iterator[Result]:
    """The outcome of every check that applies to ``subject``, which is called ``name`` in reports."""
    for check in checks:
        if check.applies(subject):
            failures = tuple(Failure(came, asked) for came in check.examine(subject))
            yield Result(check.rule, name, failures)


def check_exchange(checks: Sequence[Check[Exchange]], exchange: Exchange, name: str) -> Iterator[Result]:
    """The outcomes of checks on a single exchange."""
    return run_checks(checks, exchange, name, exchange.request)
