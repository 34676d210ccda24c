"""A Redis server on a free local port."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from redis import Redis

from helpers.processes import PATIENCE, free_port

REDIS_SERVER = Path("/usr/bin/redis-server")


def skip_without_redis() -> None:
    if not REDIS_SERVER.is_file():
        pytest.skip(f"{REDIS_SERVER} is not installed (Debian: redis-server)")


@dataclass
class RedisServer:
    """A Redis server, which remembers nothing over a restart unless it is ``durable``."""

    folder: Path
    options: tuple[str, ...] = ()
    password: str = ""
    durable: bool = False
    port: int = field(default_factory=free_port)
    address: str = "127.0.0.1"

    def __enter__(self) -> RedisServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        appends = "yes" if self.durable else "no"
        options = {"bind": self.address, "port": self.port, "dir": self.folder, "save": "", "appendonly": appends}
        if self.password:
            options["requirepass"] = self.password
        command = [str(REDIS_SERVER), *self.options]
        for name, value in options.items():
            command += [f"--{name}", str(value)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        said = []
        for line in self.process.stdout:
            said.append(line)
            if "Ready to accept connections" in line:
                return
        raise AssertionError("".join(said))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE)
        self.process.stdout.close()

    @property
    def url(self) -> str:
        return f"redis://{f':{self.password}@' if self.password else ''}{self.address}:{self.port}/0"

    def client(self) -> Redis:
        return Redis.from_url(self.url)
