"""A PostgreSQL of the tests' own, on a free port, without a disk to speak of; and tables made from rows."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg

PASSWORD = "correct-horse-battery"


def programs() -> Path | None:
    """The folder of initdb, pg_ctl and psql: that in PATH, or the newest of Debian's."""
    found = shutil.which("initdb")
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return Path(found).resolve().parent if found else debian[-1].parent if debian else None


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@dataclass
class Cluster:
    """One server. The user ``reader`` may read every schema; ``owner`` made them."""

    programs: Path
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="openholder-postgres-")))
    port: int = field(default_factory=free_port)

    def __enter__(self) -> Cluster:
        self._as = self._unprivileged()
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        if self._as:
            for path in (self.folder, secret):
                shutil.chown(path, self._as["user"])
        self.run(
            "initdb", "--no-sync", "-D", self.data, "-U", "owner", "-A", "scram-sha-256", f"--pwfile={secret}",
            "-E", "UTF8", "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en",
        )  # fmt: skip
        self.start()
        self.execute("CREATE USER reader PASSWORD '" + PASSWORD + "'; GRANT pg_read_all_data TO reader")
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.folder)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def _unprivileged(self) -> dict[str, Any]:
        """As whom to run: PostgreSQL refuses to be root."""
        if os.geteuid() != 0:
            return {}
        names = {entry.pw_name for entry in pwd.getpwall()}
        user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
        return {"user": user.pw_name, "group": user.pw_gid, "extra_groups": []}

    def run(self, program: str, *arguments: object) -> None:
        command = [str(self.programs / program), *map(str, arguments)]
        # Into a file: a server that inherits a pipe keeps whoever reads it waiting.
        with (self.folder / "output").open("w+") as output:
            ended = subprocess.run(command, cwd=self.folder, stdout=output, stderr=output, check=False, **self._as)
            output.seek(0)
            assert ended.returncode == 0, output.read()

    def start(self, *more: str) -> None:
        options = (
            f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder} -c fsync=off "
            f"-c max_connections=30 {' '.join(more)}"
        )
        self.run("pg_ctl", "start", "-w", "-D", self.data, "-l", self.folder / "log", "-o", options)

    def stop(self) -> None:
        self.run("pg_ctl", "stop", "-w", "-m", "immediate", "-D", self.data)

    def serve_with(self, certificate: Any) -> None:
        """Offer TLS from now on."""
        for name, parts in (("server.crt", certificate.cert_chain_pems), ("server.key", [certificate.private_key_pem])):
            path = self.data / name
            path.write_bytes(b"".join(part.bytes() for part in parts))
            path.chmod(0o600)
            if self._as:
                shutil.chown(path, self._as["user"])
        self.stop()
        self.start("-c ssl=on")

    # -- what is in it ------------------------------------------------------------------------------------------

    def connect(self) -> Any:
        return asyncpg.connect(
            host="127.0.0.1", port=self.port, user="owner", password=PASSWORD, database="postgres", ssl=False
        )

    def execute(self, script: str) -> None:
        """Run statements as the owner. Not for use on an event loop."""
        asyncio.run(self.do(script))

    async def do(self, script: str) -> None:
        """Run statements as the owner."""
        connection = await self.connect()
        try:
            await connection.execute(script)
        finally:
            await connection.close()

    async def ask(self, statement: str) -> Any:
        """The one value that a statement gives."""
        connection = await self.connect()
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    def settings(self, **more: Any) -> dict[str, Any]:
        """Settings of a source that reads it."""
        where = {"host": "127.0.0.1", "port": self.port, "database": "postgres", "user": "reader"}
        return where | {"password": PASSWORD, "tls": "disable"} | more

    @contextmanager
    def locked(self, *tables: str) -> Any:
        """Nobody may read these tables meanwhile."""
        command = [
            str(self.programs / "psql"),
            "-qAt",
            "-h",
            "127.0.0.1",
            "-p",
            str(self.port),
            "-U",
            "owner",
            "postgres",
        ]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | {"PGPASSWORD": PASSWORD}
        ) as psql:
            psql.stdin.write(f"BEGIN; LOCK TABLE {', '.join(tables)};\n\\echo locked\n")
            psql.stdin.flush()
            assert psql.stdout.readline() == "locked\n"
            yield
            psql.stdin.close()  # it ends, and with it the transaction


# -- tables made from rows ----------------------------------------------------------------------------------------


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


TYPES = {
    "text": str,
    "numeric": Decimal,
    "timestamptz": _moment,
    "date": date.fromisoformat,
    "boolean": "true".__eq__,
    "jsonb": lambda text: json.dumps(json.loads(text)),
    "bytea": bytes,
}
"""How a cell becomes a value of a column of that type."""


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


async def write(cluster: Cluster, schema: str, rows: Any, types: Any) -> None:
    """Make a schema with a table for each collection; ``types`` has the columns that are not text."""
    connection = await cluster.connect()
    try:
        await connection.execute(f"CREATE SCHEMA {quoted(schema)}")
        for name, records in rows.items():
            columns = list(dict.fromkeys(key for record in records for key in record))
            kinds = ["bytea" if column == "document" else types.get(column, "text") for column in columns]
            defined = ", ".join(f"{quoted(column)} {kind}" for column, kind in zip(columns, kinds, strict=True))
            table = f"{quoted(schema)}.{quoted(name.replace('.', '_'))}"
            await connection.execute(f"CREATE TABLE {table} ({defined}, row_number bigserial PRIMARY KEY)")
            marks = ", ".join(f"${number}" for number in range(1, len(columns) + 1))
            values = [
                [_value(record.get(key), kind) for key, kind in zip(columns, kinds, strict=True)] for record in records
            ]
            names = ", ".join(map(quoted, columns))
            await connection.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", values)
    finally:
        await connection.close()


def _value(cell: Any, kind: str) -> Any:
    return None if cell is None else TYPES[kind](cell)
