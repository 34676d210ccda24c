"""Data from an HTTP API: a URL template for each collection, whose responses are JSON.

A template names what a query sets: ``/customers/{customerId}/accounts``. Filters that the template leaves out are
applied here; a template without variables returns all records. Only this source's own credentials are sent.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any, cast

from openholder import (
    PLACE,
    Filter,
    NotFound,
    Page,
    Query,
    SourceFault,
    find_collection,
    hookimpl,
    is_loopback,
    select,
    split_url,
)
from openholder.mapping import MappedRow, RowMapping
from openholder_rest.breaker import CircuitBreaker
from openholder_rest.client import JSON, PDF, Pace, UpstreamClient
from openholder_rest.pagination import ListMoved, Walk
from openholder_rest.records import OWN_ID, find_repeated, is_lookup, is_record, make_row, require_members
from openholder_rest.settings import RESTSettings
from openholder_rest.templates import Template
from openholder_rest.time_bounds import find_time_bounds

__all__ = ["Pace", "RESTSettings", "RESTSource"]

log = logging.getLogger(__name__)

WALKS = 2
"""How often the pages of a list are requested before a list that moves is a fault."""


class RESTSource:
    """Serves records from one upstream API over pooled connections."""

    api_version = 1
    Settings = RESTSettings

    def __init__(self, name: str, settings: RESTSettings, pace: Pace | None = None) -> None:
        self._name = name
        self._settings = settings
        self._shapes = settings.build_shapes()
        self._mappings = {name: RowMapping(name, settings, is_json=True) for name in settings.collections}
        self._pace = pace or Pace()
        self._breaker = CircuitBreaker(name, settings.breaker_failures, settings.breaker_seconds, self._pace.clock)
        self._client: UpstreamClient | None = None

    @hookimpl
    async def open(self) -> None:
        """Create the connection pool and load the TLS files. Sends nothing to the upstream yet."""
        url = split_url(self._settings.base_url)
        if url.scheme == "http" and not is_loopback(url.hostname):
            what = "credentials and data" if self._settings.sends_credentials else "data"
            log.warning("source %r: base_url is http to another machine: %s are not encrypted", self._name, what)
        self._client = UpstreamClient(self._settings, self._pace)

    @hookimpl
    async def close(self) -> None:
        """Close the pool."""
        client, self._client = self._client, None
        if client:
            await client.close()

    @hookimpl
    def collections(self) -> Iterable[str]:
        """Return the collections that have a URL template."""
        return self._settings.collections

    @hookimpl
    async def fetch(self, query: Query) -> Page:
        """Fetch the first template that the query can fill; for several accounts, possibly once for each."""
        template, fillings = self._choose_template(query)
        urls = self._build_urls(template, fillings)
        if not urls:
            return Page(records=(), total=0)
        with self._breaker.guard():
            lists = await _run_together(
                [self._fetch_rows(url, template, query, values) for url, values in zip(urls, fillings, strict=True)]
            )
            records = [record for rows in lists for record in rows]
            # What the URL has applied is not applied again: of a record that differs, the host raises an alarm.
            applied = _find_applied(query, template)
            remaining = tuple(condition for condition in query.filters if condition not in applied)
            page = select(records, replace(query, filters=remaining))
            if query.limit is not None and len(page.records) < page.total:
                page = _cut_page(select(records, replace(query, filters=remaining, offset=0, limit=None)), query)
            # Only now are all members converted: what is wrong with one record concerns nobody but its owner.
            page = replace(page, records=[dict(record) for record in page.records])
            if query.document and query.collection in self._settings.documents:
                return replace(page, records=[await self._add_document(record, query) for record in page.records])
            return page

    @hookimpl
    async def health(self) -> None:
        """Raise while the circuit breaker is open, since queries fail then. Sends nothing to the upstream."""
        self._require_client()
        self._breaker.check()

    @hookimpl
    async def advice(self, query: Query) -> Sequence[str]:
        """Say what the pages of a list cost, if its records are not sorted by an id."""
        key = find_collection(query.collection).key
        if query.limit is None or (query.order and query.order[-1].member == key):
            return []
        return [
            f"{query.collection!r} is not sorted by an id, so on several pages, records that are equal in its order "
            "are sorted by all their members; each page fetches the whole list from the upstream"
        ]

    def _choose_template(self, query: Query) -> tuple[Template, list[dict[str, str]]]:
        """Return a template, and the values to fill it with: one set, or one for each account that the query lists."""
        lists = {
            condition.variable: condition.value
            for condition in query.filters
            if condition.operator == "in" and isinstance(condition.value, tuple)
        }
        known = {**query.variables, **find_time_bounds(query)}
        for template in self._settings.collections.get(query.collection, ()):
            missing = template.variables - known.keys()
            if not missing:
                return template, [known]
            if missing <= lists.keys() and len(missing) == 1:
                (name,) = missing
                return template, [{**known, name: value} for value in lists[name]]
        names = ", ".join(sorted({*known, *filter(None, lists)})) or "no variables"
        raise SourceFault(
            f"no URL template of {query.collection!r} can be filled by this query, which sets {names}; add one"
        )

    def _build_urls(self, template: Template, fillings: list[dict[str, str]]) -> list[str]:
        base_url, id_characters = self._settings.base_url, self._settings.host.id_characters
        try:
            return [template.build_url(base_url, values, id_characters) for values in fillings]
        except NotFound as exc:
            if len(fillings) == 1:
                raise
            # Without the records of one account, those of the others would look complete.
            raise SourceFault(f"the id of an account cannot be in a URL: {exc}; see id_characters") from exc

    async def _fetch_rows(
        self, url: str, template: Template, query: Query, values: Mapping[str, str]
    ) -> list[MappedRow]:
        """Fetch all records of a list. If it moves while its pages are requested, begin once more."""
        shape = self._shapes[query.collection, template]
        movement = ""
        for _ in range(WALKS):
            try:
                walk = await self._walk(Walk(shape, url))
                pages = self._read_pages(walk, template, query, values)
                mapping = self._mappings[query.collection]
                movement = find_repeated(walk.pages, query.collection, mapping) if shape.paging else ""
            except ListMoved as exc:
                movement = str(exc)
            if not movement:
                return [row for page in pages for row in page]
        raise SourceFault(f"the pages of upstream do not fit together, not even the second time: {movement}")

    async def _walk(self, walk: Walk) -> Walk:
        next_url: str | None = walk.start()
        while next_url:
            next_url = walk.add(await self._require_client().get(next_url, JSON))
        return walk

    def _read_pages(
        self, walk: Walk, template: Template, query: Query, values: Mapping[str, str]
    ) -> list[list[MappedRow]]:
        """Return the records of one list, page by page, under the names of members.

        Below /accounts/{accountId} an upstream need not repeat the account, so the path completes its records. A query
        string does not: an upstream that ignores its parameters returns what belongs to others.
        """
        collection = query.collection
        mapping = self._mappings[collection]
        applied = _find_applied(query, template)
        from_url = {
            condition.member: values[condition.variable]
            for condition in applied
            if self._may_complete(collection, condition, template)
        }
        for record in (record for page in walk.pages for record in page):
            if not is_record(record, collection, mapping, is_single=walk.is_single):
                if walk.is_single and is_lookup(collection, template.variables):
                    return []
                raise SourceFault(f"upstream returned an object in which nothing is a member of {collection!r}")
        has_ids = find_collection(collection).key is not None
        pages = [
            [
                make_row(record, collection, mapping, from_url if has_ids else from_url | _name_place(number, place))
                for place, record in enumerate(page, 1)
            ]
            for number, page in enumerate(walk.pages, 1)
        ]
        required = [condition.member for condition in applied]
        require_members((row for page in pages for row in page), required, collection)
        return pages

    def _may_complete(self, collection: str, condition: Filter, template: Template) -> bool:
        """Tell whether the URL may stand in for a member that the upstream leaves out.

        Of records that decide who may see what, that is only the customer of a list of accounts: in
        ``/customers/{customerId}/accounts`` the upstream says which ids belong to that customer. A template that names
        the account as well would prove its own claim.
        """
        in_path = condition.variable in template.path_variables
        if collection in OWN_ID:
            is_owner = (collection, condition.member) == ("accounts", "customerId")
            return is_owner and in_path and "accountId" not in template.variables
        return in_path or collection in self._settings.trusts_query

    def _require_client(self) -> UpstreamClient:
        if self._client is None:
            raise SourceFault("the source is not open")
        return self._client

    async def _add_document(self, record: Mapping[str, Any], query: Query) -> Mapping[str, Any]:
        template = self._settings.documents[query.collection]
        missing = template.variables - query.variables.keys()
        if missing:
            raise SourceFault(
                f"the document template of {query.collection!r} cannot be filled by this query, "
                f"which does not set {', '.join(sorted(missing))}"
            )
        url = template.build_url(self._settings.base_url, query.variables)
        response = await self._require_client().get(url, PDF)
        return {**record, "document": response and response.body}


async def _run_together(requests: list[Coroutine[Any, Any, Any]]) -> list[Any]:
    """Return all results in order. The first failure cancels the other requests: their results would be dropped."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(request) for request in requests]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


def _name_place(page: int, record: int) -> dict[str, str]:
    """Say where a record without an id stands in what the upstream returned, for the log."""
    return {PLACE: f"page {page}, record {record} of the upstream"}


def _cut_page(whole: Page, query: Query) -> Page:
    """Cut a page from a list of several, and sort the records that the order of the query leaves equal by id and text.

    The next page is cut from another response. If that has equal records in another order, one of them would be on two
    pages and another on none.
    """
    collection = find_collection(query.collection)

    def write(record: MappedRow) -> tuple[str, ...]:
        text = json.dumps(record.origin, sort_keys=True, default=str)
        return (
            str(record.get(collection.key or "")),
            text,
            *[str(record.get(member)) for member in collection.owners.values()],
        )

    records: list[Any] = []
    for _, equal in groupby(whole.records, key=lambda record: [order.key(record) for order in query.order]):
        records += sorted(cast(Iterable[MappedRow], equal), key=write)
    end = None if query.limit is None else query.offset + query.limit
    return Page(records=records[query.offset : end], total=whole.total)


def _find_applied(query: Query, template: Template) -> list[Filter]:
    """Return the conditions whose values are part of the URL."""
    return [condition for condition in query.filters if condition.variable in template.variables]
