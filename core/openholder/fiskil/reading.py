"""What comes back when an operation is asked: whether it is whole, and what is told of it in a line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from openholder.models.collections import collection_named
from openholder.operations import Operation
from openholder.operations.table import PDF

OK = 200
PAGE_SIZE = 8
"""Records a page: few, so that most lists have several."""
WIDTH = 60
"""Characters of an answer that are told."""

FIRST_PAGE = {None: "", "page": f"page-size={PAGE_SIZE}", "offset": f"limit={PAGE_SIZE}"}
"""The query for the first page, for each kind of paging."""
_NEXT = {"page": "links.next", "offset": "page.nextOffset"}
_TOTAL = {"page": "meta.totalRecords", "offset": "page.totalElements"}

TOLD: Mapping[str, tuple[str, ...]] = {
    "searchCustomers": ("name",),
    "getCustomerDetails": ("name", "phoneNumber"),
    "listConsentAccounts": ("id",),
    "getStarterBalance": ("available", "currency"),
    "getBankingAccount": ("productName",),
    "getBankingBalance": ("currentBalance", "currency"),
    "getBankingTransaction": ("amount", "description"),
    "getPayee": ("nickname", "type"),
    "getEnergyAccount": ("displayName",),
    "getEnergyBalance": ("balance",),
    "getCommonCustomer": ("person.firstName", "person.lastName"),
    "getCommonCustomerDetail": ("person.prefix", "person.firstName", "person.lastName"),
    "fdxGetAccount": ("productName",),
}
"""For each operation whose records are told, not counted: the members that are."""

Ids = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for one request."""

    status: int
    headers: Mapping[str, str]
    content: Any
    """Decoded JSON, or else the bytes."""

    @property
    def code(self) -> str:
        """The code of the first error, without the prefix of the CDS."""
        errors = _member(self.content, "errors")
        return str(_member(errors[0], "code")).removeprefix("urn:au-cds:error:") if errors else "data"


def next_page(operation: Operation, answer: Answer) -> str:
    """The query for the page behind this one; empty behind the last."""
    paging = operation.reply.paging
    given = _member(answer.content, _NEXT[paging]) if paging else None
    if given and paging == "offset":
        return f"{FIRST_PAGE[paging]}&offset={quote(given)}"
    return given or ""


@dataclass(frozen=True, slots=True)
class Leg:
    """An operation asked for one customer or account: an answer for each page."""

    operation: Operation
    ids: Ids
    answers: Sequence[Answer]

    @property
    def status(self) -> int:
        """The last one: nothing is asked behind an answer that is not data."""
        return self.answers[-1].status

    @property
    def records(self) -> list[dict[str, Any]]:
        """The records on all pages."""
        return [record for answer in self.answers if answer.status == OK for record in self._records(answer)]

    def _records(self, answer: Answer) -> list[dict[str, Any]]:
        content = _member(answer.content, ".".join(self.operation.reply.envelope))
        if not self.operation.reply.many:
            content = [content]
        return [record for record in content if isinstance(record, dict)] if isinstance(content, list) else []

    @property
    def documents(self) -> list[bytes]:
        """The documents, where those are what is asked for."""
        return [answer.content for answer in self.answers if isinstance(answer.content, bytes)]

    @property
    def wrong(self) -> str:
        """What is wrong with the answers; empty where nothing is."""
        if self.status != OK:
            return self.answers[-1].code
        if self.operation.reply.media == PDF:
            return "" if [document[:5] for document in self.documents] == [b"%PDF-"] else "no PDF"
        return self._miscounted()

    def _miscounted(self) -> str:
        """The pages hold as many records as each of them says that there are, and none twice."""
        records, paging = self.records, self.operation.reply.paging
        totals = {_member(answer.content, _TOTAL[paging]) for answer in self.answers} if paging else {len(records)}
        if totals != {len(records)}:
            return f"{_number(len(records), 'records')}, announced: {', '.join(map(str, totals))}"
        key = collection_named(self.operation.collection).key
        keys = [record[key] for record in records if key in record]
        return "a record comes twice" if len(keys) != len(set(keys)) else ""


def told(operation: Operation, legs: Sequence[Leg]) -> str:
    """Documents by their size, some records by their members, lists by their length."""
    texts = [f"PDF of {len(document)} bytes" for leg in legs for document in leg.documents]
    records = [record for leg in legs for record in leg.records]
    if operation.name in TOLD:
        texts = [_some(record, TOLD[operation.name]) for record in records]
    text = "; ".join(texts) or _counted(operation, legs, len(records))
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 1]}…"


def _some(record: Mapping[str, Any], paths: Iterable[str]) -> str:
    found = (_member(record, path) for path in paths)
    return " ".join(str(value) for value in found if value is not None)


def _counted(operation: Operation, legs: Sequence[Leg], records: int) -> str:
    """Such as: 94 transactions of 2 accounts on 20 pages."""
    text = _number(records, _things(operation))
    if len(legs) > 1:
        text += f" of {_number(len(legs), 'accounts')}"
    pages = sum(len(leg.answers) for leg in legs)
    return f"{text} on {_number(pages, 'pages')}" if operation.reply.paging else text


def _things(operation: Operation) -> str:
    """What a list is of: the member that it stands in, or else the collection, in words."""
    member = "".join(operation.reply.envelope[-1:])
    name = operation.collection.rpartition(".")[2] if member in ("", "data") else member
    return re.sub("_?([A-Z])", r" \1", name).lower()


def _number(count: int, things: str) -> str:
    return f"{count} {things.removesuffix('s') if count == 1 else things}"


def _member(content: Any, path: str) -> Any:
    """What stands at a dotted path; None where nothing does."""
    for name in filter(None, path.split(".")):
        content = content.get(name) if isinstance(content, dict) else None
    return content
