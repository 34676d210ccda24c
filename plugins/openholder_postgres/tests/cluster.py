"""A PostgreSQL server for the tests, on a free port and without fsync; and tables created from rows."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg

PASSWORD = "correct-horse-battery"


def find_programs() -> Path | None:
    """Return the folder of initdb, pg_ctl and psql: the one in PATH, or the newest of Debian's."""
    found = shutil.which("initdb")
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return Path(found).resolve().parent
    return debian[-1].parent if debian else None


def find_free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@dataclass
class Cluster:
    """One server. The user ``owner`` owns every schema; the user ``reader`` may read them."""

    programs: Path
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="openholder-postgres-")))
    port: int = field(default_factory=find_free_port)

    def __enter__(self) -> Cluster:
        self._user = self._choose_user()
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        if self._user:
            for path in (self.folder, secret):
                shutil.chown(path, self._user["user"])
        self.run_program(
            "initdb",
            "--no-sync",
            "-D",
            self.data,
            "-U",
            "owner",
            "-A",
            "scram-sha-256",
            f"--pwfile={secret}",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
            "--locale-provider=icu",
            "--icu-locale=en",
        )
        self.start()
        self.execute("CREATE USER reader PASSWORD '" + PASSWORD + "'; GRANT pg_read_all_data TO reader")
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.folder)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def _choose_user(self) -> dict[str, Any]:
        """Return arguments of subprocess for another user than root, as whom PostgreSQL refuses to run."""
        if os.geteuid() != 0:
            return {}
        names = {entry.pw_name for entry in pwd.getpwall()}
        user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
        return {"user": user.pw_name, "group": user.pw_gid, "extra_groups": []}

    def run_program(self, program: str, *arguments: object) -> None:
        command = [str(self.programs / program), *map(str, arguments)]
        # Into a file: the server inherits the output, and a pipe would not end before the server does.
        with (self.folder / "output").open("w+") as output:
            ended = subprocess.run(command, cwd=self.folder, stdout=output, stderr=output, check=False, **self._user)
            output.seek(0)
            assert ended.returncode == 0, output.read()

    def start(self, *more: str) -> None:
        options = (
            f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder} -c fsync=off "
            f"-c max_connections=30 {' '.join(more)}"
        )
        self.run_program("pg_ctl", "start", "-w", "-D", self.data, "-l", self.folder / "log", "-o", options)

    def stop(self) -> None:
        self.run_program("pg_ctl", "stop", "-w", "-m", "immediate", "-D", self.data)

    def enable_tls(self, certificate: Any) -> None:
        """Restart with TLS."""
        for name, parts in (("server.crt", certificate.cert_chain_pems), ("server.key", [certificate.private_key_pem])):
            path = self.data / name
            path.write_bytes(b"".join(part.bytes() for part in parts))
            path.chmod(0o600)
            if self._user:
                shutil.chown(path, self._user["user"])
        self.stop()
        self.start("-c ssl=on")

    @contextmanager
    def run_standby(self) -> Any:
        """Start a standby that replays what this server does, and cancels queries that are in the way."""
        standby = Cluster(self.programs)
        standby._user = self._user
        if self._user:
            shutil.chown(standby.folder, self._user["user"])
        source = f"host=127.0.0.1 port={self.port} user=owner password={PASSWORD}"
        standby.run_program("pg_basebackup", "-d", source, "-D", standby.data, "-R", "-X", "stream", "-c", "fast")
        standby.start("-c max_standby_streaming_delay=0")
        try:
            yield standby
        finally:
            standby.stop()
            shutil.rmtree(standby.folder)

    @contextmanager
    def run_pgbouncer(self, program: str, **more: str) -> Any:
        """Start a pgBouncer that pools transactions. Yield its port."""
        port = find_free_port()
        users = self.folder / "users"
        users.write_text(f'"reader" "{PASSWORD}"')
        settings = {"listen_addr": "127.0.0.1", "listen_port": port, "auth_type": "plain", "auth_file": users}
        settings |= {"pool_mode": "transaction", "default_pool_size": 1, "unix_socket_dir": "", **more}
        path = self.folder / "pgbouncer.ini"
        lines = [f"{name} = {value}" for name, value in settings.items()]
        databases = f"[databases]\npostgres = host=127.0.0.1 port={self.port} user=reader password={PASSWORD}"
        path.write_text("\n".join([databases, "[pgbouncer]", *lines]))
        with (self.folder / "pgbouncer.log").open("w") as log:
            process = subprocess.Popen([program, path], stdout=log, stderr=log, **self._user)
        try:
            while process.poll() is None and not _accepts(port):
                time.sleep(0.02)
            assert process.poll() is None, (self.folder / "pgbouncer.log").read_text()
            yield port
        finally:
            process.terminate()
            process.wait()

    # -- its contents -------------------------------------------------------------------------------------------

    def connect(self) -> Any:
        return asyncpg.connect(
            host="127.0.0.1", port=self.port, user="owner", password=PASSWORD, database="postgres", ssl=False
        )

    def execute(self, script: str) -> None:
        """Run statements as the owner, outside an event loop."""
        asyncio.run(self.execute_async(script))

    async def execute_async(self, script: str) -> None:
        """Run statements as the owner."""
        connection = await self.connect()
        try:
            await connection.execute(script)
        finally:
            await connection.close()

    async def fetch_value(self, statement: str) -> Any:
        """Return the one value that a statement returns."""
        connection = await self.connect()
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    def settings(self, **more: Any) -> dict[str, Any]:
        """Return the settings of a source that reads this cluster."""
        where = {"host": "127.0.0.1", "port": self.port, "database": "postgres", "user": "reader"}
        return where | {"password": PASSWORD, "tls": "disable"} | more

    @contextmanager
    def refuse_reader(self) -> Any:
        """Cut the connections of the user ``reader``, and accept no others until the block ends."""
        ended = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'reader'"
        with self._run_psql("-c", "ALTER USER reader NOLOGIN", "-c", ended) as psql:
            psql.communicate()
        yield
        with self._run_psql("-c", "ALTER USER reader LOGIN") as psql:
            psql.communicate()

    def _run_psql(self, *more: str) -> subprocess.Popen[str]:
        """Start the client as the owner. It needs no event loop."""
        where = ["-h", "127.0.0.1", "-p", str(self.port), "-U", "owner", "postgres"]
        return subprocess.Popen(
            [str(self.programs / "psql"), "-qAt", *where, *more],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PGPASSWORD": PASSWORD},
        )

    @contextmanager
    def lock_tables(self, *tables: str) -> Any:
        """Keep everybody else from reading these tables until the block ends."""
        with self._run_psql() as psql:
            psql.stdin.write(f"BEGIN; LOCK TABLE {', '.join(tables)};\n\\echo locked\n")
            psql.stdin.flush()
            assert psql.stdout.readline() == "locked\n"
            yield
            psql.stdin.close()  # psql ends, and its transaction with it


# -- tables created from rows -------------------------------------------------------------------------------------


TYPES = {
    "text": str,
    "numeric": Decimal,
    "timestamptz": datetime.fromisoformat,
    "date": date.fromisoformat,
    "boolean": lambda text: text == "true",
    "jsonb": lambda text: json.dumps(json.loads(text)),
    "bytea": bytes,
}
"""For each type of a column, how to convert a cell."""


def write_text(value: Any) -> Any:
    """Write a cell as text, if it has a type of Python's."""
    if isinstance(value, bool | list):
        return json.dumps(value)
    return value.isoformat() if isinstance(value, date) else value


def quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


async def create_tables(cluster: Cluster, schema: str, rows: Any, types: Any) -> None:
    """Create a schema with a table for each collection; ``types`` has the columns that are not text."""
    connection = await cluster.connect()
    try:
        await connection.execute(f"CREATE SCHEMA {quote(schema)}")
        for name, records in rows.items():
            kinds = {"document": "bytea"} | types
            defined = ", ".join(f"{quote(column)} {kinds.get(column, 'text')}" for column in list_columns(records))
            table = name_table(schema, name)
            await connection.execute(f"CREATE TABLE {table} ({defined}, row_number bigserial PRIMARY KEY)")
            await insert_rows(connection, table, records, types)
    finally:
        await connection.close()


async def replace_rows(cluster: Cluster, schema: str, rows: Any, types: Any) -> None:
    """Put other rows into the tables of a schema, all at once for those who read them."""
    connection = await cluster.connect()
    try:
        async with connection.transaction():
            for name, records in rows.items():
                await connection.execute(f"DELETE FROM {name_table(schema, name)}")
                await insert_rows(connection, name_table(schema, name), records, types)
    finally:
        await connection.close()


async def insert_rows(connection: Any, table: str, records: Any, types: Any) -> None:
    """Insert rows into a table, each cell as what its column holds."""
    columns = list_columns(records)
    kinds = {"document": "bytea"} | types
    writers = [TYPES[kinds.get(column, "text")] for column in columns]
    cells = [
        [
            None if record.get(key) is None else write(write_text(record[key]))
            for key, write in zip(columns, writers, strict=True)
        ]
        for record in records
    ]
    marks = ", ".join(f"${number}" for number in range(1, len(columns) + 1))
    names = ", ".join(map(quote, columns))
    await connection.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", cells)


def list_columns(records: Any) -> list[str]:
    return list(dict.fromkeys(key for record in records for key in record))


def name_table(schema: str, collection: str) -> str:
    return f"{quote(schema)}.{quote(collection.replace('.', '_'))}"
