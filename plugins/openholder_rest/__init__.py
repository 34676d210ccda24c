"""Data from an HTTP API: a URL template for each collection, answered with JSON.

A template names what the request fixes: ``/customers/{customerId}/accounts``. Whatever the template leaves open is
sorted out here; a template without variables hands over all records. Only this source's own credentials are sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import replace
from typing import Any

from openholder import Page, Query, SourceFault, hookimpl, select
from openholder_rest.bounds import bounds
from openholder_rest.breaker import Breaker
from openholder_rest.client import JSON, PDF, Client, Pace
from openholder_rest.following import Paging, Walk
from openholder_rest.settings import RESTSettings, Template

__all__ = ["Pace", "RESTSettings", "RESTSource"]

OWN_ID = {"customers": "id", "accounts": "id", "logins": "customerId"}
"""The collections that decide who may see what, and the member that a record of them is nothing without."""


class RESTSource:
    """Answers from one upstream API over pooled connections."""

    api_version = 1
    Settings = RESTSettings

    def __init__(self, name: str, settings: RESTSettings, pace: Pace | None = None) -> None:
        self._settings = settings
        self._pace = pace or Pace()
        self._breaker = Breaker(name, settings.breaker_failures, settings.breaker_seconds, self._pace.clock)
        self._client: Client | None = None

    @hookimpl
    async def open(self) -> None:
        """Make the connection pool, with the TLS files. Nothing is asked of the upstream yet."""
        self._client = Client(self._settings, self._pace)

    @hookimpl
    async def close(self) -> None:
        """Close the pool."""
        if self._client:
            await self._client.close()

    @hookimpl
    def collections(self) -> Iterable[str]:
        """The collections that have a URL template."""
        return self._settings.collections

    @hookimpl
    async def fetch(self, query: Query) -> Page:
        """Ask the upstream with the first template that the request can fill; for several accounts once for each."""
        template, values = self._asked(query)
        urls = [template.url(self._settings.base_url, each) for each in values]
        if not urls:
            return Page(records=(), total=0)
        with self._breaker.watching():
            walks = await _together([self._walked(url, query.collection) for url in urls])
            records = [
                record
                for walk, each in zip(walks, values, strict=True)
                for record in self._records(walk, template, query, each)
            ]
            return await self._selected(records, template, query)

    async def _selected(self, found: list[dict[str, Any]], template: Template, query: Query) -> Page:
        """What of the records is wanted. Conditions that the URL has fulfilled are not read from them again."""
        answered = [condition for condition in query.filters if condition.variable in template.variables]
        remaining = tuple(condition for condition in query.filters if condition not in answered)
        page = select(found, replace(query, filters=remaining))
        if query.document and query.collection in self._settings.documents:
            return replace(page, records=[await self._with_document(record, query) for record in page.records])
        return page

    def _asked(self, query: Query) -> tuple[Template, list[dict[str, str]]]:
        """The template, and the values that fill it: those of the request, once for each account that it names."""
        several = {
            condition.variable: condition.value
            for condition in query.filters
            if condition.operator == "in" and isinstance(condition.value, tuple)
        }
        known = {**query.variables, **bounds(query)}
        for template in self._settings.collections.get(query.collection, ()):
            missing = template.variables - known.keys()
            if not missing:
                return template, [known]
            if missing <= several.keys() and len(missing) == 1:
                (name,) = missing
                return template, [{**known, name: value} for value in several[name]]
        raise SourceFault(f"no URL template of {query.collection!r} can be filled for this request")

    def _records(
        self, walk: Walk, template: Template, query: Query, values: Mapping[str, str]
    ) -> Iterable[dict[str, Any]]:
        """Return the records of one answer under the names of members.

        Below /accounts/{accountId} an upstream need not repeat the account, so the request completes its records. Not
        so where a record decides who may see what: a request proves nothing about whose an account is.
        """
        columns = self._settings.columns.get(query.collection, {})
        asked = [condition for condition in query.filters if condition.variable in template.variables]
        if query.collection in OWN_ID:
            asked = [condition for condition in asked if _may_fill(query.collection, condition.member, template)]
        filled = {condition.member: values[condition.variable] for condition in asked}
        if query.collection not in OWN_ID:
            return [filled | _renamed(record, columns) for record in walk.records]
        own = columns.get(OWN_ID[query.collection], OWN_ID[query.collection])
        # A single answer without an id of its own, such as {} or an error in a 200, is no record.
        found = [record for record in walk.records if not walk.is_single or _has(record, own)]
        return _proven([filled | _renamed(record, columns) for record in found], query, template)

    async def _walked(self, url: str, collection: str) -> Walk:
        """Fetch all records of a list, whichever pages they come in."""
        walk = Walk(self._settings.base_url, url, self._settings.records, self._paging(collection))
        following: str | None = walk.start()
        while following:
            following = walk.take(await self._opened().get(following, JSON))
        return walk

    def _paging(self, collection: str) -> Paging | None:
        paging = self._settings.paging
        return paging if paging and collection in (paging.collections or [collection]) else None

    def _opened(self) -> Client:
        assert self._client is not None, "open() comes before fetch()"
        return self._client

    async def _with_document(self, record: Mapping[str, Any], query: Query) -> Mapping[str, Any]:
        template = self._settings.documents[query.collection]
        if not template.variables <= query.variables.keys():
            raise SourceFault(f"the URL template of the documents of {query.collection!r} cannot be filled")
        url = template.url(self._settings.base_url, query.variables)
        answer = await self._opened().get(url, PDF)
        return {**record, "document": answer and answer.body}


async def _together(questions: list[Coroutine[Any, Any, Any]]) -> list[Any]:
    """All answers in order. The first failure ends the other questions: nobody would hear their answers."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(question) for question in questions]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


def _may_fill(collection: str, member: str, template: Template) -> bool:
    """Tell whether the path of `template` may stand in for `member` of a record that decides who may see what.

    Only for the customer of a list of accounts: in ``/customers/{customerId}/accounts`` the upstream says which ids
    belong to that customer. A template that names the account as well would be proof of its own question.
    """
    return (
        (collection, member) == ("accounts", "customerId")
        and "customerId" in template.path_variables
        and "accountId" not in template.variables
    )


def _proven(records: list[dict[str, Any]], query: Query, template: Template) -> list[dict[str, Any]]:
    """Return the records. Raises `SourceFault` for one without a member that the request named in the URL."""
    named = [condition.member for condition in query.filters if condition.variable in template.variables]
    for record in records:
        missing = [member for member in named if record.get(member) in (None, "")]
        if missing:
            raise SourceFault(f"upstream sent a record without {' and '.join(missing)}, which decides who may see it")
    return records


def _has(record: Mapping[str, Any], column: str) -> bool:
    return column in record or column.partition(".")[0] in record


def _renamed(record: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    """The record with the members' names. What was taken out of an object is not there a second time."""
    taken = {name for column in columns.values() for name in (column, column.partition(".")[0])}
    kept = {name: value for name, value in record.items() if name not in taken}
    return kept | {member: _found(record, column) for member, column in columns.items()}


def _found(record: Mapping[str, Any], column: str) -> Any:
    """What the upstream has under that name, or where its dots lead to through objects; None where nothing is."""
    if column in record:
        return record[column]
    found: Any = record
    for name in column.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found
