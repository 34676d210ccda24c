"""Data from an HTTP API: a URL template for each collection, answered with JSON.

A template names what the request fixes: ``/customers/{customerId}/accounts``. Whatever the template leaves open is
sorted out here; a template without variables hands over all records. Only this source's own credentials are sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import aiohttp
from yarl import URL

from openholder import Page, Query, SourceFault, SourceUnavailable, UntrustedJSON, hookimpl, parse_json, select
from openholder_rest.settings import RESTSettings, Template

__all__ = ["RESTSettings", "RESTSource"]

JSON, PDF = "application/json", "application/pdf"
BUSY = (429, 503)
DEFAULT_RETRY_AFTER = 5


class RESTSource:
    """Answers from one upstream API over pooled connections."""

    Settings = RESTSettings

    def __init__(self, name: str, settings: RESTSettings) -> None:
        self._settings = settings
        self._session: aiohttp.ClientSession | None = None

    @hookimpl
    async def open(self) -> None:
        """Make the connection pool. Nothing is asked of the upstream yet."""
        self._session = aiohttp.ClientSession(
            headers=self._settings.request_headers(),
            connector=aiohttp.TCPConnector(limit=self._settings.connections),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._settings.connect_timeout),
        )

    @hookimpl
    async def close(self) -> None:
        """Close the pool."""
        if self._session:
            await self._session.close()

    @hookimpl
    def collections(self) -> Iterable[str]:
        """The collections that have a URL template."""
        return self._settings.collections

    @hookimpl
    async def fetch(self, query: Query) -> Page:
        """Ask the upstream with the first template that the request can fill; for several accounts once for each."""
        template, values = self._asked(query)
        answers = await asyncio.gather(*[self._records(template, query, each) for each in values])
        answered = [condition for condition in query.filters if condition.variable in template.variables]
        remaining = tuple(condition for condition in query.filters if condition not in answered)
        found = [record for records in answers for record in records]
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
        for template in self._settings.collections.get(query.collection, ()):
            missing = template.variables - query.variables.keys()
            if not missing:
                return template, [dict(query.variables)]
            if missing <= several.keys() and len(missing) == 1:
                (name,) = missing
                return template, [{**query.variables, name: value} for value in several[name]]
        raise SourceFault(f"no URL template of {query.collection!r} can be filled for this request")

    async def _records(self, template: Template, query: Query, values: Mapping[str, str]) -> list[dict[str, Any]]:
        body = await self._get(template.url(self._settings.base_url, values), JSON)
        if body is None:
            return []
        renamed = self._settings.columns.get(query.collection, {})
        # Below /accounts/{accountId} an upstream need not repeat whose account it is.
        known = {
            condition.member: values[condition.variable]
            for condition in query.filters
            if condition.variable in template.variables
        }
        return [known | _renamed(record, renamed) for record in _found(body, self._settings.records)]

    async def _with_document(self, record: Mapping[str, Any], query: Query) -> Mapping[str, Any]:
        template = self._settings.documents[query.collection]
        if not template.variables <= query.variables.keys():
            raise SourceFault(f"the URL template of the documents of {query.collection!r} cannot be filled")
        return {**record, "document": await self._get(template.url(self._settings.base_url, query.variables), PDF)}

    async def _get(self, url: str, media: str) -> bytes | None:
        """What the upstream answers with, which must be of that media type. Nothing, where it has no such thing."""
        assert self._session is not None, "open() comes before fetch()"
        try:
            async with self._session.get(
                URL(url, encoded=True), allow_redirects=False, headers={"Accept": media}
            ) as response:
                if response.status == 404:
                    return None
                _refuse_unusable(response, media)
                return await self._body(response)
        except aiohttp.ClientConnectionError as exc:
            raise SourceFault(f"upstream not reached: {type(exc).__name__}") from exc

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for chunk in response.content.iter_chunked(65_536):
            body += chunk
            if len(body) > self._settings.max_bytes:
                response.close()
                raise SourceFault(f"upstream sent more than {self._settings.max_bytes} bytes")
        return bytes(body)


def _refuse_unusable(response: aiohttp.ClientResponse, media: str) -> None:
    if response.status in BUSY:
        seconds = response.headers.get("Retry-After", "")
        wait = int(seconds) if seconds.isascii() and seconds.isdecimal() and len(seconds) < 5 else DEFAULT_RETRY_AFTER
        raise SourceUnavailable(f"upstream answered {response.status}", retry_after=wait)
    if response.status != 200:
        raise SourceFault(f"upstream answered {response.status}")
    kind = response.content_type
    if kind != media and not (media == JSON and kind.endswith("+json")):
        raise SourceFault(f"upstream did not answer with {media}")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise SourceFault("upstream sent a compressed answer, which was not asked for")


def _found(body: bytes, pointer: str) -> list[dict[str, Any]]:
    """The records in an answer: what stands at ``pointer``, whether a list or a single one."""
    try:
        found = parse_json(body)
    except UntrustedJSON as exc:
        raise SourceFault(f"upstream answer: {exc}") from exc
    for name in filter(None, pointer.split(".")):
        if not isinstance(found, dict) or name not in found:
            raise SourceFault(f"upstream answer has nothing at {pointer!r}")
        found = found[name]
    records = found if isinstance(found, list) else [found]
    if not all(isinstance(record, dict) for record in records):
        raise SourceFault("upstream answer holds something that is no record")
    return records


def _renamed(record: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    taken = set(columns.values())
    renamed = {name: value for name, value in record.items() if name not in taken}
    return renamed | {member: record[column] for member, column in columns.items() if column in record}
