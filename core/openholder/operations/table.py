"""What a row of the operations table says. The rows themselves are in one module a sector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from openholder.models.formats import Record
from openholder.query import Filter

Method = Literal["GET", "POST"]
Sector = Literal["auth", "banking", "energy", "common", "fdx", "custom"]
Evidence = Literal["full", "partly", "inferred", "speculative", "configured"]
"""How much of an operation was seen on Fiskil's pages; ``configured`` are the data holder's own."""

Whose = Literal["search", "customer", "consent", "account", "chosen", "every"]
"""
``search``    whoever has the e-mail address in the body, or may log in for somebody
``customer``  the customer in the path
``consent``   the customer's accounts that may be offered for consent
``account``   the account in the path, which must be the customer's
``chosen``    the accounts that the body names, which must be the customer's
``every``     all accounts of the customer that may be shared
"""

JSON = "application/json"
PDF = "application/pdf"


@dataclass(frozen=True, slots=True)
class Choice:
    """A query parameter that takes one of several values; each stands for a filter, or for none."""

    name: str
    filters: Mapping[str, Filter | None]
    default: str | None = None
    """The value that holds where none is given."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the parameters."""
        return (self.name,)


@dataclass(frozen=True, slots=True)
class Given:
    """A query parameter whose value becomes that of a filter."""

    name: str
    reads: Literal["amount", "text"]
    operator: Literal["ge", "le", "contains"]
    member: str
    otherwise: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the parameters."""
        return (self.name,)


@dataclass(frozen=True, slots=True)
class Window:
    """Two query parameters that bound a time, both inclusive.

    With ``months`` there always is a window: the later end is now by default, the earlier one so many months before.
    """

    oldest: str
    newest: str
    reads: Literal["date-time", "date"]
    member: str
    otherwise: tuple[str, ...] = ()
    months: int | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the parameters."""
        return (self.oldest, self.newest)


Parameter = Choice | Given | Window


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


def listed(*envelope: str) -> Reply:
    """A list without pages."""
    return Reply(envelope, many=True)


def paged(name: str) -> Reply:
    """A list of the CDR, under its name in ``data``."""
    return Reply(("data", name), many=True, paging="page")


def scrolled(name: str) -> Reply:
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

    @property
    def urns(self) -> bool:
        """Whether error codes are the URNs of the CDS (CDR and consent paths) or short words (all others)."""
        return self.sector not in ("fdx", "custom")
