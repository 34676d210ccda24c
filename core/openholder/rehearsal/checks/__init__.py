"""Checks of received responses. They send no requests; each row of a table is a rule and its function."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from openholder.rehearsal.exchange import Exchange, Request
from openholder.rehearsal.results import Failure, Result, Rule

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Check(Generic[S]):
    """A rule and the function that checks it."""

    rule: Rule
    find: Callable[[S], Iterable[str]]
    """Yields a text for everything that breaks the rule, without any customer value."""
    applies: Callable[[S], bool] = lambda _: True


def run_checks(checks: Sequence[Check[S]], subject: S, name: str, request: Request) -> Iterator[Result]:
    """Run every check that applies to ``subject``, which reports call ``name``."""
    for check in checks:
        if check.applies(subject):
            failures = tuple(Failure(observed, request) for observed in check.find(subject))
            yield Result(check.rule, name, failures)


def check_exchange(checks: Sequence[Check[Exchange]], exchange: Exchange, name: str) -> Iterator[Result]:
    """Run the checks of a single exchange."""
    return run_checks(checks, exchange, name, exchange.request)
