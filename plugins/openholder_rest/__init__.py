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
            lists = await _together([self._listed(url, query.collection) for url in urls])
            records = [
                self._completed(record, template, query, each)
                for found, each in zip(lists, values, strict=True)
                for record in found
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

    def _completed(
        self, record: Mapping[str, Any], template: Template, query: Query, values: Mapping[str, str]
    ) -> dict[str, Any]:
        """A record under the names of members. Below /accounts/{accountId} an upstream need not repeat whose it is."""
        known = {
            condition.member: values[condition.variable]
            for condition in query.filters
            if condition.variable in template.variables
        }
        return known | _renamed(record, self._settings.columns.get(query.collection, {}))

    async def _listed(self, url: str, collection: str) -> list[dict[str, Any]]:
        """All records of a list, whichever pages they come in."""
        walk = Walk(self._settings.base_url, url, self._settings.records, self._paging(collection))
        following: str | None = walk.start()
        while following:
            following = walk.take(await self._opened().get(following, JSON))
        return walk.records

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
