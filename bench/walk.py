"""Count what one warm request walks through: calls of openholder's own functions, files, and changes of file.

Run ``python bench/walk.py``; openholder must be installed. The server, with the sample data in SQLite, runs in this
process and is traced with `sys.setprofile`; the client is a thread of its own. Threads of aiosqlite are not counted.
"""

from __future__ import annotations

import asyncio
import http.client
import sys
import tempfile
from collections import Counter
from datetime import date
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

from openholder.config import Configuration
from openholder.fiskil import sample
from openholder.fiskil.jwks_host import jwks_host
from openholder.fiskil.signer import Signer
from openholder.server.app import serve
from openholder.server.connections import bind
from openholder.server.logs import configure_logging

ISSUER = "examplebank.cdr.fiskil.com"
BASE = "/v1/banking/customer/cust-1001/accounts/acc-2002"
REQUESTS = {
    "a page of transactions": f"{BASE}/transactions?page-size=2",
    "a balance": "/customer/cust-1001/accounts/acc-2001/balances",
    "a malformed token": "",
}
CONFIGURATION = """
public_url = "{url}"
[fiskil]
issuer = "{issuer}"
jwks_url = "{keys}"
[listen]
admin_port = 0
[log]
level = "error"
[replay]
store = "memory"
[sources.sample]
kind = "sqlite"
path = "sample.db"
"""


class Trace:
    """The calls of functions that belong to openholder and its plugins, in order."""

    def __init__(self) -> None:
        self.places: list[tuple[str, str]] = []

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and "openholder" in frame.f_code.co_filename:
            self.places.append((frame.f_code.co_filename, frame.f_code.co_qualname))

    def summary(self) -> str:
        """Return the three figures as one line."""
        files = [file for file, _ in self.places]
        changes = sum(before != after for before, after in pairwise(files))
        return f"{len(files)} calls, {len(set(files))} files, {changes} changes of file"


def send(port: int, path: str, token: str) -> int:
    """Send one request over a connection of its own and return the status."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status


async def measure(folder: Path, *, verbose: bool) -> None:
    """Serve the sample data and trace the second request of each kind: the first fills caches."""
    sample.write_sqlite(folder / "sample.db", date.today())
    public, keys = bind("127.0.0.1", 0), bind("127.0.0.1", 0)
    port, keys_port = public[0].getsockname()[1], keys[0].getsockname()[1]
    url, jwks_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{keys_port}/jwks.json"
    (folder / "openholder.toml").write_text(CONFIGURATION.format(url=url, keys=jwks_url, issuer=ISSUER))
    configuration = Configuration.load(folder / "openholder.toml")
    configure_logging(configuration.settings.log)
    signer = Signer.generate()
    async with jwks_host(jwks_url, signer.jwks, keys), serve(configuration, public):
        for name, path in REQUESTS.items():
            for attempt in range(2):
                target = path or REQUESTS["a balance"]
                token = signer.sign_token(ISSUER, url + target.partition("?")[0]) if path else "a.b.c"
                request = asyncio.create_task(asyncio.to_thread(send, port, target, token))
                trace = Trace()
                sys.setprofile(trace if attempt else None)
                status = await request
                sys.setprofile(None)
            sys.stdout.write(f"{name}: status {status}, {trace.summary()}\n")
            if verbose:
                for (file, function), count in Counter(trace.places).most_common(60):
                    sys.stdout.write(f"  {count:4}  {Path(file).parent.name}/{Path(file).name}:{function}\n")


def main() -> None:
    """Measure in a temporary folder. ``-v`` lists the functions that are called most."""
    with tempfile.TemporaryDirectory() as name:
        asyncio.run(measure(Path(name), verbose="-v" in sys.argv))


if __name__ == "__main__":
    main()
