"""What a row of the operations table says. The rows themselves are in one module a sector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from openholder.contract.formats import Record
from openholder.contract.parameters import Choice, Parameter

Method = Literal["GET", "POST"]
Sector = Literal["auth", "banking", "energy", "common", "fdx", "custom"]
Evidence = Literal["full", "partly", "inferred", "speculative", "configured"]
"""How much of an operation was seen on Fiskil's pages; ``configured`` are the data holder's own."""

Whose = Literal["search", "customer", "consent", "account", "specific", "all_accounts"]
"""Whose records an operation returns.

``search``        customers with the e-mail address in the body, and those it may log in for
``customer``      the customer in the path
``consent``       the customer's accounts that may be offered for consent
``account``       the account in the path, which must be the customer's
``specific``      the accounts that the body names, which must be the customer's
``all_accounts``  all accounts of the customer that may be shared
"""

BELOW_ACCOUNTS = ("account", "specific", "all_accounts")
"""Whose records need the collection ``accounts`` to decide on access."""

PAGING: Mapping[str | None, tuple[str, ...]] = {None: (), "page": ("page", "page-size"), "offset": ("offset", "limit")}
"""The parameters that choose a page, for each style of paging."""

JSON = "application/json"
PDF = "application/pdf"


@dataclass(frozen=True, slots=True)
class Reply:
    """The shape of an answer."""

    envelope: tuple[str, ...] = ()
    """The members that the content is wrapped in, outermost first."""
    many: bool = False
    """Whether a list leaves, or one record, whose absence is 404."""
    paging: Literal["page", "offset"] | None = None
    """``page``: page and page-size, with links and meta (CDR). ``offset``: offset and limit, with a cursor (FDX)."""
    media: str = JSON


BARE = Reply()
DATA = Reply(("data",))
DOCUMENT = Reply(media=PDF)


def list_reply(*envelope: str) -> Reply:
    """A list without pages."""
    return Reply(envelope, many=True)


def page_reply(name: str) -> Reply:
    """A list of the CDR, under its name in ``data``."""
    return Reply(("data", name), many=True, paging="page")


def cursor_reply(name: str) -> Reply:
    """A list of the FDX."""
    return Reply((name,), many=True, paging="offset")


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that Fiskil may ask."""

    name: str
    method: Method
    path: str
    """The path template; each segment in braces is an id."""
    collection: str
    record: type[Record]
    """What leaves."""
    reply: Reply
    whose: Whose
    summary: str
    evidence: Evidence
    sector: Sector
    parameters: tuple[Parameter, ...] = ()
    """What the query may say of the records."""
    account_parameters: tuple[Choice, ...] = ()
    """What the query may say of the accounts that the records belong to."""
    needs: str = ""
    """A member without which there is nothing to answer with, although there is a record: 404."""
    deprecated: bool = False
    """Served only where the setting ``deprecated_lists`` says so."""
    scopes: tuple[str, ...] = ()
    """Scopes that users must have granted, for the OpenAPI document of custom endpoints."""

    query_names: frozenset[str] = field(init=False, repr=False)
    """The parameters that a query string may have. All others are ignored, and not repeated in links."""

    def __post_init__(self) -> None:
        parameters = (*self.parameters, *self.account_parameters)
        names = (name for parameter in parameters for name in parameter.names)
        object.__setattr__(self, "query_names", frozenset({*PAGING[self.reply.paging], *names}))

    @property
    def urns(self) -> bool:
        """Whether error codes are the URNs of the CDS (CDR and consent paths) or short words (all others)."""
        return self.sector not in ("fdx", "custom")
