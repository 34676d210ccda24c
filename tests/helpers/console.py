"""Run what a page shows: its files, and its commands with the output that it prints."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from helpers.processes import PATIENCE, free_port

STAYING = ("openholder serve", "openholder demo")
"""Commands that run until they are interrupted."""
NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")
PORTS = ("8443", "9443", "9444")
"""The ports that pages name. Others may use them at the same time."""


def split_commands(console: str) -> list[tuple[str, str]]:
    """Return each command of a console with the output that is shown. A backslash continues a command."""
    return re.findall(r"^\$ ((?:.*\\\n)*.+)\n((?:(?!\$ ).*\n)*)", console, re.MULTILINE)


def shows(shown: str, printed: str) -> bool:
    """Tell whether an output begins like the one that is shown: numbers may differ, and an ellipsis is anything."""
    parts = (re.escape(part) for part in NUMBER.sub("0", shown).split("…"))
    return re.match(".*?".join(parts), NUMBER.sub("0", printed), re.DOTALL) is not None


class Console:
    """A shell in a folder, with free ports in place of those that pages name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._printed = folder.parent / "printed.txt"
        self._ports = {port: str(free_port()) for port in PORTS}
        self._environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "OPENHOLDER_PUBLIC_URL": f"http://127.0.0.1:{self._ports['8443']}",
            "OPENHOLDER_LISTEN__PORT": self._ports["8443"],
            "OPENHOLDER_LISTEN__ADMIN_PORT": self._ports["9443"],
            "OPENHOLDER_FISKIL__JWKS_URL": f"http://127.0.0.1:{self._ports['9444']}/jwks.json",
            "OPENHOLDER_LOG__FORMAT": "console",
            "NO_COLOR": "1",
        }

    def run(self, command: str, shown: str) -> None:
        """Run a command, and check what it prints."""
        ended = subprocess.run(
            ["sh", "-c", self._move(command)],
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert ended.returncode == 0, (command, ended.stdout, ended.stderr)
        # curl prints no line feed after a body.
        assert shows(shown, f"{ended.stdout}\n"), (command, ended.stdout)

    @contextmanager
    def keep_running(self, command: str, shown: str) -> Iterator[None]:
        """Start a command that stays, wait until it has printed what is shown, and interrupt it in the end."""
        command = f"exec {self._move(command)}"
        with (
            open(self._printed, "w", encoding="utf-8") as file,
            subprocess.Popen(["sh", "-c", command], cwd=self.folder, env=self._environment, stdout=file) as process,
        ):
            try:
                self.wait_until_printed(shown, process)
                yield
            finally:
                process.send_signal(signal.SIGINT)
        assert process.returncode == 0

    def wait_until_printed(self, shown: str, process: subprocess.Popen[bytes] | None = None) -> None:
        """Wait until the command that stays has printed this."""
        deadline = time.monotonic() + PATIENCE
        while not shows(shown, printed := self._printed.read_text(encoding="utf-8")):
            assert process is None or process.poll() is None, printed
            assert time.monotonic() < deadline, printed
            time.sleep(0.05)

    def _move(self, command: str) -> str:
        return re.sub(r":(\d{4})\b", lambda match: f":{self._ports[match[1]]}", command)
