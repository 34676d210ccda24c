"""Say of a failure which request it is about: its interaction id, its number, and whose data was requested."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

from openholder.rehearsal.exchange import Exchange, Request
from openholder.rehearsal.results import Failure
from openholder.rehearsal.session import Session


class Places:
    """The requests of a rehearsal, and the customers and accounts by number."""

    def __init__(self, session: Session) -> None:
        self._numbers: dict[int, tuple[int, Exchange]] = {}
        for number, exchange in enumerate(session.exchanges, 1):
            self._numbers.setdefault(id(exchange.request), (number, exchange))
        self._customers = {
            quote(run.customer_id, safe=""): f"customer {number}"
            for number, run in enumerate(session.runs, 1)
            if run.customer_id
        }
        self._accounts = {
            (f"customer {number}", quote(account, safe="")): f"account {place} of {len(run.offered)}"
            for number, run in enumerate(session.runs, 1)
            for place, account in enumerate(run.offered, 1)
        }
        self._emails = {run.email: f"customer {number}" for number, run in enumerate(session.runs, 1) if run.email}

    def place(self, failure: Failure) -> Failure:
        """Return the failure with what is known of its request."""
        if failure.request is None or id(failure.request) not in self._numbers:
            return failure
        number, exchange = self._numbers[id(failure.request)]
        who = self._find_customer(failure.request)
        return replace(failure, interaction_id=exchange.interaction_id, who=who, order=number)

    def _find_customer(self, request: Request) -> str:
        segments = request.path.split("/")
        customer = next((self._customers[each] for each in segments if each in self._customers), "")
        if not customer:
            body = (request.body or b"").decode(errors="replace")
            return next((name for email, name in self._emails.items() if f'"{email}"' in body), "")
        account = next((self._accounts[customer, each] for each in segments if (customer, each) in self._accounts), "")
        return f"{customer}, {account}" if account else customer
