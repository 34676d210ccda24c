"""The properties of an operation. The operations themselves are in one module per sector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from openholder.contract.formats import Record
from openholder.contract.limits import MAX_ACCOUNTS_BODY, MAX_BODY
from openholder.contract.parameters import Choice, Parameter, list_names

Method = Literal["GET", "POST"]
Sector = Literal["auth", "banking", "energy", "common", "fdx", "custom"]
Evidence = Literal["full", "partly", "inferred", "speculative", "configured"]
"""How much of an operation Fiskil's public pages document; ``configured``: a custom endpoint."""

Whose = Literal["search", "customer", "consent", "account", "specific", "all_accounts"]
"""Whose records an operation returns.

``search``        customers with the e-mail address in the body, and those they may log in for
``customer``      the customer in the path
``consent``       the customer's accounts that may be offered during consent
``account``       the account in the path, which must belong to the customer
``specific``      the accounts named in the body, which must belong to the customer
``all_accounts``  all accounts of the customer that may be shared
"""

BELOW_ACCOUNTS = ("account", "specific", "all_accounts")
"""The values of ``whose`` for which the collection ``accounts`` decides on access."""

CURSOR = ("offset", "pageKey")
"""The names of a cursor in a query: that of FDX up to 6.2, which Fiskil's pages show, and that of FDX 6.3."""
PAGING: Mapping[str | None, tuple[str, ...]] = {
    None: (),
    "page": ("page", "page-size"),
    "offset": (*CURSOR, "limit"),
}
"""The parameters that choose a page, for each style of paging."""
FOREIGN_PAGING = frozenset(
    {
        "continuationtoken",
        "cursor",
        "limit",
        "nextcursor",
        "nextoffset",
        "nextpage",
        "nextpagekey",
        "nexttoken",
        "offset",
        "page",
        "pagekey",
        "pagelimit",
        "pagenumber",
        "pageoffset",
        "pagesize",
        "pagetoken",
        "perpage",
        "prevoffset",
        "skip",
        "startingafter",
    }
)
"""What parameters that choose a page are called anywhere, in lower case and without signs.

An FDX list refuses those that it does not have: whoever sends one, and receives page 1 again and again, takes it for
the whole list.
"""


class Tier(NamedTuple):
    """A performance tier of the CDS: 95 % of the calls in an hour must be answered within the limit."""

    name: str
    limit: float
    """Seconds."""


# CDS, non-functional requirements, performance. The limits are those for a customer who is present. Unattended calls
# may take 4 s, but the same operations are called both ways, so a server must meet the stricter limit.
HIGH_TIER = Tier("high priority", 1.0)
LOW_TIER = Tier("low priority", 1.5)
LARGE_TIER = Tier("large payload", 6.0)
ASSUMED_TIER = Tier("no CDS tier: low priority assumed", LOW_TIER.limit)
"""For FDX and the holder's custom endpoints, for which the CDS have no tier. The limit is openholder's choice."""

JSON = "application/json"
PDF = "application/pdf"


@dataclass(frozen=True, slots=True)
class Reply:
    """The shape of a response."""

    envelope: tuple[str, ...] = ()
    """The members that wrap the content, outermost first."""
    many: bool = False
    """True for a list; False for a single record (404 if missing)."""
    paging: Literal["page", "offset"] | None = None
    """``page``: page and page-size, with links and meta (CDR). ``offset``: offset and limit, with a cursor (FDX)."""
    media: str = JSON
    """The media type."""


BARE = Reply()
DATA = Reply(("data",))
DOCUMENT = Reply(media=PDF)


def list_reply(*envelope: str) -> Reply:
    """Return the shape of a list without pages."""
    return Reply(envelope, many=True)


def page_reply(name: str) -> Reply:
    """Return the shape of a CDR list, which has its name in ``data``."""
    return Reply(("data", name), many=True, paging="page")


def cursor_reply(name: str) -> Reply:
    """Return the shape of an FDX list."""
    return Reply((name,), many=True, paging="offset")


@dataclass(frozen=True, slots=True)
class Operation:
    """A request that Fiskil may send, and how to answer it."""

    name: str
    method: Method
    path: str
    """The path template. Each segment in braces is an id."""
    collection: str
    record: type[Record]
    """The type of the records in the response."""
    reply: Reply
    whose: Whose
    summary: str
    evidence: Evidence
    sector: Sector
    parameters: tuple[Parameter, ...] = ()
    """Query parameters that filter the records."""
    account_parameters: tuple[Choice, ...] = ()
    """Query parameters that filter the accounts that the records belong to."""
    tier: Tier = ASSUMED_TIER
    """How fast the CDS require the response to be."""
    needs: str = ""
    """A member that the record must have. Without it the response is 404."""
    deprecated: bool = False
    """Served only if the setting ``deprecated_lists`` is on."""
    scopes: tuple[str, ...] = ()
    """Scopes that users must have granted. They appear in the OpenAPI document of custom endpoints."""

    query_names: frozenset[str] = field(init=False, repr=False)
    """The parameters that a query string may have. All others are ignored, and not repeated in links, but for those
    of `FOREIGN_PAGING`."""

    max_body: int = field(init=False, repr=False)
    """The bytes that a body may have."""

    def __post_init__(self) -> None:
        parameters = (*self.parameters, *self.account_parameters)
        names = (name for parameter in parameters for name in list_names(parameter))
        object.__setattr__(self, "max_body", MAX_ACCOUNTS_BODY if self.whose == "specific" else MAX_BODY)
        object.__setattr__(self, "query_names", frozenset({*PAGING[self.reply.paging], *names}))

    @property
    def urns(self) -> bool:
        """True if error codes are the URNs of the CDS (CDR and consent paths), False if they are short words."""
        return self.sector not in ("fdx", "custom")
