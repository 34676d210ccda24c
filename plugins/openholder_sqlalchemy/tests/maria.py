"""A MariaDB server for the tests, with a folder of its own, on a free port; and tables created from rows."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from cluster import list_columns, write_text

PASSWORD = "correct-horse-battery"
STARTED = 60.0
"""Seconds that the server may take to start."""


def find_programs() -> Path | None:
    """Return the server, which Debian installs beside the commands of administrators."""
    found = shutil.which("mariadbd", path=f"{os.environ['PATH']}:/usr/sbin")
    return Path(found) if found and shutil.which("mariadb-install-db") and shutil.which("mariadb") else None


def find_free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@dataclass
class Maria:
    """One server. The user ``owner`` may do everything; the user ``reader`` may read."""

    program: Path
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="openholder-mariadb-")))
    port: int = field(default_factory=find_free_port)

    def __enter__(self) -> Maria:
        self._user = self._choose_user()
        if self._user:
            shutil.chown(self.folder, self._user["user"])
        install = ["mariadb-install-db", "--no-defaults", f"--datadir={self.data}", "--skip-test-db"]
        log = ["--innodb-log-file-size=8M", "--auth-root-authentication-method=normal"]
        with (self.folder / "output").open("w+") as output:
            ended = subprocess.run([*install, *log], stdout=output, stderr=output, check=False, **self._user)
            output.seek(0)
            assert ended.returncode == 0, output.read()
        self.start()
        self.execute(
            f"GRANT ALL ON *.* TO owner@'127.0.0.1' IDENTIFIED BY '{PASSWORD}' WITH GRANT OPTION;"
            f"GRANT SELECT ON *.* TO reader@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'"
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.folder)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def socket(self) -> Path:
        return self.folder / "socket"

    def _choose_user(self) -> dict[str, Any]:
        """Return arguments of subprocess for another user than root, as whom MariaDB refuses to run."""
        if os.geteuid() != 0:
            return {}
        names = {entry.pw_name for entry in pwd.getpwall()}
        user = pwd.getpwnam("mysql" if "mysql" in names else "nobody")
        return {"user": user.pw_name, "group": user.pw_gid, "extra_groups": []}

    def start(self, *more: str) -> None:
        """Start the server, and wait until it answers."""
        options = [
            "--no-defaults",
            f"--datadir={self.data}",
            f"--socket={self.socket}",
            f"--port={self.port}",
            f"--pid-file={self.folder / 'pid'}",
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            "--innodb-flush-log-at-trx-commit=2",
            "--innodb-buffer-pool-size=32M",
            "--innodb-log-file-size=8M",
            "--max-connections=30",
        ]
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(
                [self.program, *options, *more], cwd=self.folder, stdout=log, stderr=log, **self._user
            )
        deadline = time.monotonic() + STARTED
        while not self._answers():
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.02)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                return bool(connection.recv(1))
        except OSError:
            return False

    def stop(self) -> None:
        """End the server at once, as a crash does."""
        self.process.kill()
        self.process.wait()

    def enable_tls(self, certificate: Any) -> None:
        """Restart with TLS."""
        for name, parts in (("server.crt", certificate.cert_chain_pems), ("server.key", [certificate.private_key_pem])):
            path = self.folder / name
            path.write_bytes(b"".join(part.bytes() for part in parts))
            path.chmod(0o600)
            if self._user:
                shutil.chown(path, self._user["user"])
        self.stop()
        self.start(f"--ssl-cert={self.folder / 'server.crt'}", f"--ssl-key={self.folder / 'server.key'}")

    # -- its contents -------------------------------------------------------------------------------------------

    def _client(self, *more: str) -> list[str]:
        return [
            "mariadb",
            "--no-defaults",
            f"--socket={self.socket}",
            "-uroot",
            "--default-character-set=utf8mb4",
            *more,
        ]

    def execute(self, script: str) -> str:
        """Run statements as the owner, and return what they print."""
        ended = subprocess.run(self._client("-N"), input=script, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def settings(self, database: str, **more: Any) -> dict[str, Any]:
        """Return the settings of a source that reads one database."""
        url = f"mysql+asyncmy://reader@127.0.0.1:{self.port}/{database}"
        return {"url": url, "password": PASSWORD, "tls": "disable"} | more

    @contextmanager
    def refuse_reader(self) -> Any:
        """Cut the connections of the user ``reader``, and accept no others until the block ends."""
        self.execute("ALTER USER reader@'127.0.0.1' ACCOUNT LOCK; KILL USER reader@'127.0.0.1'")
        yield
        self.execute("ALTER USER reader@'127.0.0.1' ACCOUNT UNLOCK")

    @contextmanager
    def hold(self, script: str) -> Any:
        """Run statements, and hold their locks until the block ends."""
        with subprocess.Popen(
            self._client("-N", "--unbuffered"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as client:
            client.stdin.write(f"{script}; SELECT 'held';\n")
            client.stdin.flush()
            assert client.stdout.readline() == "held\n"
            yield
            client.stdin.close()


# -- tables created from rows -------------------------------------------------------------------------------------


def write_moment(text: str) -> str:
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


TYPES = {
    "LONGTEXT": str,
    "DECIMAL(30, 3)": lambda text: str(Decimal(text)),
    "TIMESTAMP(6) NULL": write_moment,
    "DATE": str,
    "BOOLEAN": lambda text: str(int(text == "true")),
    "JSON": lambda text: json.dumps(json.loads(text)),
    "LONGBLOB": bytes,
}
"""For each type of a column, how to convert a cell."""


def quote(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def write_value(value: str | bytes | None) -> str:
    if value is None:
        return "NULL"
    return f"x'{value.hex()}'" if isinstance(value, bytes) else f"CONVERT(x'{value.encode().hex()}' USING utf8mb4)"


def write_tables(database: str, rows: Any, types: Any) -> str:
    """Write the script of a database with a table for each collection; ``types`` has the columns that are not text."""
    kinds = {"document": "LONGBLOB"} | types
    parts = [f"CREATE DATABASE {quote(database)} CHARACTER SET utf8mb4;"]
    for name, records in rows.items():
        defined = ", ".join(f"{quote(column)} {kinds.get(column, 'LONGTEXT')}" for column in list_columns(records))
        parts.append(f"CREATE TABLE {name_table(database, name)} ({defined}, `row_number` SERIAL PRIMARY KEY);")
    return "\n".join([*parts, *write_inserts(database, rows, kinds)])


def write_replacement(database: str, rows: Any, types: Any) -> str:
    """Write the transaction that puts other rows into the tables of a database."""
    deleted = [f"DELETE FROM {name_table(database, name)};" for name in rows]
    inserted = write_inserts(database, rows, {"document": "LONGBLOB"} | types)
    return "\n".join(["START TRANSACTION;", *deleted, *inserted, "COMMIT;"])


def write_inserts(database: str, rows: Any, kinds: Any) -> Iterator[str]:
    """Write a statement for each row, each cell as what its column holds."""
    for name, records in rows.items():
        columns = list_columns(records)
        names = ", ".join(map(quote, columns))
        for record in records:
            cells = [
                None if record.get(key) is None else TYPES[kinds.get(key, "LONGTEXT")](write_text(record[key]))
                for key in columns
            ]
            values = ", ".join(map(write_value, cells))
            yield f"INSERT INTO {name_table(database, name)} ({names}) VALUES ({values});"


def name_table(database: str, collection: str) -> str:
    return f"{quote(database)}.{quote(collection.replace('.', '_'))}"
