"""What the tests share: a server on a free port, a stand-in for Fiskil, and the same data in every kind of source."""

from __future__ import annotations

import csv
import io
import json
import re
import sqlite3
import ssl
from collections.abc import Iterable
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import aiohttp
import msgspec
import pytest
from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

from openholder.config import Configuration
from openholder.fiskil import sample
from openholder.fiskil.jwks_host import jwks_host
from openholder.fiskil.signer import Signer
from openholder.server.app import RunningServer, bind, serve

ISSUER = "examplebank.cdr.fiskil.com"
UPSTREAM_TOKEN = "upstream-credentials"

Rows = dict[str, list[dict[str, str | None]]]


def sample_rows() -> Rows:
    """The sample data as rows, to be changed as one likes: an empty cell is no value."""
    return {name: [dict(row) for row in rows] for name, rows in _sample_rows().items()}


@cache
def _sample_rows() -> Rows:
    return {
        name: [{key: value or None for key, value in row.items()} for row in csv.DictReader(io.StringIO(text))]
        for name, text in sample.read_collections().items()
    }


@dataclass
class Answer:
    status: int
    headers: Any
    text: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def code(self) -> str:
        """The code of the one error in the body."""
        (error,) = self.json["errors"]
        return str(error["code"])


@dataclass
class World:
    """Fiskil's side and ours: start a server, then call it."""

    folder: Path
    signer: Signer
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    holder: RunningServer | None = None
    url: str = ""
    jwks: bytes = b""

    async def start(self, sources: str, *, settings: str = "", tables: str = "") -> RunningServer:
        """Serve ``sources`` (TOML tables), with further top-level ``settings`` and ``tables``."""
        self.jwks = self.jwks or self.signer.jwks()
        keys, public = bind("127.0.0.1", 0), bind("127.0.0.1", 0)
        jwks_url = f"http://127.0.0.1:{keys[0].getsockname()[1]}/jwks.json"
        self.url = f"http://127.0.0.1:{public[0].getsockname()[1]}"
        await self.stack.enter_async_context(jwks_host(jwks_url, lambda: self.jwks, keys))
        path = self.folder / "openholder.toml"
        path.write_text(
            f'public_url = "{self.url}"\n{settings}\n[fiskil]\nissuer = "{ISSUER}"\njwks_url = "{jwks_url}"\n'
            f'[listen]\nadmin_port = 0\n[replay]\npath = "replay.db"\n{tables}\n{sources}',
            encoding="utf-8",
        )
        self.holder = await self.stack.enter_async_context(serve(Configuration.load(path), public))
        self.session = await self.stack.enter_async_context(aiohttp.ClientSession())
        return self.holder

    async def stop(self) -> None:
        await self.stack.aclose()

    def token(self, path: str, **claims: Any) -> str:
        return self.signer.sign_token(ISSUER, self.url + path.partition("?")[0], **claims)

    async def call(
        self, path: str, *, method: str = "", body: Any = None, token: str | None = None, headers: Any = None
    ) -> Answer:
        """GET, or POST where there is a body, with a token of its own unless ``token`` says otherwise ("" for none)."""
        sent = dict(headers or {})
        token = self.token(path) if token is None else token
        if token:
            sent.setdefault("Authorization", f"Bearer {token}")
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        url = aiohttp.client.URL(self.url + path, encoded=True)
        method = method or ("GET" if body is None else "POST")
        async with self.session.request(method, url, data=data, headers=sent) as response:
            return Answer(response.status, response.headers, await response.read())


# -- the same rows, in each kind of source ------------------------------------------------------------------------


def write_sqlite(path: Path, rows: Rows) -> None:
    """One table a collection, `banking_transactions`; the document that a row names is in the row itself."""
    sample = _sample_rows()
    if rows == sample:
        path.write_bytes(_sample_database())
        return
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.deserialize(_sample_database())
        for name in sample:
            if rows.get(name) != sample[name]:
                connection.execute(f'DROP TABLE "{name.replace(".", "_")}"')
        _create_tables(connection, {name: records for name, records in rows.items() if records != sample.get(name)})
        path.write_bytes(connection.serialize())


@cache
def _sample_database() -> bytes:
    """Most tests serve the sample as it is, or with a table changed: it is made once."""
    with closing(sqlite3.connect(":memory:")) as connection:
        _create_tables(connection, _sample_rows())
        return connection.serialize()


def _create_tables(connection: sqlite3.Connection, rows: Rows) -> None:
    for name, records in rows.items():
        columns = list(dict.fromkeys(key for record in records for key in record))
        definitions = ", ".join(f'"{column}" {"BLOB" if column == "document" else "TEXT"}' for column in columns)
        table = name.replace(".", "_")
        connection.execute(f'CREATE TABLE "{table}" ({definitions})')
        marks = ", ".join("?" * len(columns))
        connection.executemany(
            f'INSERT INTO "{table}" VALUES ({marks})',
            [[_cell(column, record.get(column)) for column in columns] for record in records],
        )
    connection.commit()


def _cell(column: str, value: str | None) -> str | bytes | None:
    return document(value) if column == "document" and value else value


def document(name: str) -> bytes:
    """The content of a document that a row names."""
    return sample.read_documents()[name]


def write_csv(folder: Path, rows: Rows) -> None:
    """One file a collection, `banking.transactions.csv`, and beside them the documents that their rows name."""
    folder.mkdir(exist_ok=True)
    for name, records in rows.items():
        columns = list(dict.fromkeys(key for record in records for key in record))
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(records)
        for named in {record.get("document") for record in records} - {None}:
            (folder / str(named)).write_bytes(document(str(named)))


NUMBERS = {"available", "current", "amount", "balance", "currentBalance", "availableBalance", "checkNumber"}
TRUTHS = {"true": True, "false": False}


def as_json(row: dict[str, str | None]) -> dict[str, Any]:
    """A row as an API would have it: objects for dotted columns and JSON text, numbers and truth values as such."""
    record: dict[str, Any] = {}
    for column, value in row.items():
        if value is None or column == "document":
            continue
        *path, last = column.split(".")
        place = record
        for name in path:
            place = place.setdefault(name, {})
        as_it_stands = column in NUMBERS or value.startswith(("{", "["))
        place[last] = msgspec.Raw(value.encode()) if as_it_stands else TRUTHS.get(value, value)
    return record


class Route(NamedTuple):
    """A URL of the bank's API: the column that its one variable selects by, and whether one record or a list comes."""

    template: str
    column: str
    single: bool = False

    def value(self, uri: str) -> str | None:
        """What stands for the variable, where ``uri`` is one of this route."""
        found = re.fullmatch(re.sub(r"\\{\w+\\}", "([^/?&]+)", re.escape(self.template)), uri)
        return unquote(found[1]) if found else None


OF_CUSTOMERS = {"banking.payees", "common.customers", "payslips"}
"""Collections whose records belong to a customer; those of all that are not named here belong to accounts."""

ROUTES = {
    "customers": (Route("/customers/{customerId}", "id", single=True), Route("/customers?email={email}", "email")),
    "logins": (Route("/logins?email={email}", "email"),),
    "accounts": (Route("/customers/{customerId}/accounts", "customerId"),),
    "balances": (Route("/accounts/{accountId}/balance", "accountId", single=True),),
    **{name: (Route(f"/customers/{{customerId}}/{name}", "customerId"),) for name in OF_CUSTOMERS},
}
DOCUMENTS = Route("/statements/{id}/pdf", "statementId")


def routes_of(collection: str) -> tuple[Route, ...]:
    """The URLs of a collection."""
    return ROUTES.get(collection) or (Route(f"/accounts/{{accountId}}/{collection}", "accountId"),)


class Upstream:
    """A bank's own API, over HTTP: what a REST source asks. Counts and checks what it is sent."""

    def __init__(self, rows: Rows, tls: ssl.SSLContext | None = None) -> None:
        self.rows = rows
        self.requests: list[Any] = []
        self.break_with: Any = None
        """When set, a function that answers in place of the data: takes the RequestHandler."""
        self.server = HTTPServer(
            Application([(r"/api/(.*)", _UpstreamHandler, {"upstream": self})], log_function=print_nothing),
            ssl_options=tls,
        )
        self.sockets = bind("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.sockets[0].getsockname()[1]}/api"

    async def __aenter__(self) -> Upstream:
        self.server.add_sockets(self.sockets)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.stop()
        await self.server.close_all_connections()

    def find(self, uri: str) -> Any:
        """What the API has at a path and query: a record, a list, or nothing. ``/all/X`` is the whole collection."""
        for collection, rows in self.rows.items():
            if uri == f"/all/{collection}":
                return [as_json(row) for row in rows]
            for route in routes_of(collection):
                value = route.value(uri)
                if value is not None:
                    found = self.where(collection, **{route.column: value})
                    return self._one(found) if route.single else found
        return None

    def _one(self, found: list[Any]) -> Any:
        """The first; below /accounts/{accountId} the API does not repeat whose it is."""
        return next(({name: value for name, value in one.items() if name != "accountId"} for one in found), None)

    def document(self, uri: str) -> bytes | None:
        """The PDF at a path, if there is one."""
        statement_id = DOCUMENTS.value(uri)
        names = [row["document"] for row in self.rows.get("fdx.statements", ()) if row["statementId"] == statement_id]
        return document(names[0]) if names and names[0] else None

    def where(self, collection: str, **wanted: str) -> list[Any]:
        ((member, value),) = wanted.items()
        fold = str.lower if member == "email" else str
        return [as_json(row) for row in self.rows[collection] if fold(row[member] or "") == fold(value)]


class _UpstreamHandler(RequestHandler):
    def initialize(self, upstream: Upstream) -> None:
        self.upstream = upstream

    async def get(self, path: str) -> None:
        self.upstream.requests.append(self.request)
        if self.upstream.break_with:
            result = self.upstream.break_with(self)
            if result is not None:
                await result
            return
        if self.request.headers.get("Authorization") != f"Bearer {UPSTREAM_TOKEN}":
            self.set_status(401)
            return
        uri = str(self.request.uri).removeprefix("/api")
        document = self.upstream.document(uri)
        if document is not None:
            self.set_header("Content-Type", "application/pdf")
            self.finish(document)
            return
        found = self.upstream.find(uri)
        if found is None:
            self.set_status(404)
            return
        self.set_header("Content-Type", "application/json")
        self.finish(msgspec.json.encode({"data": found}))

    post = get


def print_nothing(_: Any) -> None:
    """Tornado's log function for servers of tests."""


SQLITE = '[sources.bank]\nkind = "sqlite"\npath = "bank.db"\n'
CSV = '[sources.bank]\nkind = "csv"\npath = "bank"\nreload = 0.05\n'


def rest(url: str, collections: Iterable[str] = ("customers", "accounts", "balances", "logins")) -> str:
    """TOML for a REST source named ``api`` that serves the given collections from ``url``, and their documents."""
    collections = list(collections)
    templates = {name: [route.template for route in routes_of(name)] for name in collections}
    lines = "\n".join(f'"{name}" = {json.dumps(templates[name])}' for name in collections)
    head = f'[sources.api]\nkind = "rest"\nbase_url = "{url}"\ntoken = {{ env = "UPSTREAM_TOKEN" }}\nrecords = "data"\n'
    statements = "fdx.statements" in collections
    documents = f'[sources.api.documents]\n"fdx.statements" = "{DOCUMENTS.template}"\n' if statements else ""
    return f"{head}[sources.api.collections]\n{lines}\n{documents}"


SOURCES = ("sqlite", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("csv", "rest", "mixed")))
"""The kinds of source that serve the sample data. One is enough for `make quick`."""
ELSEWHERE = ("balances", "banking.transactions", "banking.payees", "energy.invoices", "fdx.accounts", "fdx.statements")
"""What comes from the API where the rest comes from the database."""


async def start_with(world: World, kind: str, rows: Rows, **more: str) -> Upstream | None:
    """Start a server that serves ``rows`` from the given kind of source; gives the upstream where there is one."""
    if kind in {"sqlite", "mixed"}:
        write_sqlite(world.folder / "bank.db", rows)
    if kind == "csv":
        write_csv(world.folder / "bank", rows)
    upstream = None
    if kind in {"rest", "mixed"}:
        upstream = await world.stack.enter_async_context(Upstream(rows))
    elsewhere = [name for name in ELSEWHERE if name in rows]
    serve = '[serve]\n"*" = "bank"\n' + "".join(f'"{name}" = "api"\n' for name in elsewhere)
    sources = {
        "sqlite": lambda: SQLITE,
        "csv": lambda: CSV,
        "rest": lambda: rest(upstream.url, rows),
        "mixed": lambda: SQLITE + rest(upstream.url, elsewhere) + serve,
    }[kind]()
    await world.start(sources, **more)
    return upstream


async def restart_with(world: World, kind: str, rows: Rows, **more: str) -> Upstream | None:
    """Stop what runs, and serve other data from a folder of their own."""
    await world.stop()
    world.folder = world.folder / "next"
    world.folder.mkdir()
    return await start_with(world, kind, rows, **more)
