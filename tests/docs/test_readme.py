"""The README does what it says: its commands run in its order, in an empty folder, and print what it shows."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from helpers.commands import run_command
from helpers.processes import PATIENCE, free_port
from openholder.contract.operations import OPERATIONS
from openholder.fiskil import sample

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
CONSOLE = "".join(re.findall(r"```console\n(.*?)```", README, re.DOTALL))
STEPS = re.findall(r"^\$ (.+)\n((?:(?!\$ ).*\n)*)", CONSOLE, re.MULTILINE)
"""Each command with the output that the README shows."""
STAYING = ("openholder serve", "openholder demo")
"""Commands that run until they are interrupted."""
NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")


def shows(shown: str, printed: str) -> bool:
    """Tell whether an output begins like the one that is shown: numbers may differ, and an ellipsis is anything."""
    parts = (re.escape(part) for part in NUMBER.sub("0", shown).split("…"))
    return re.match(".*?".join(parts), NUMBER.sub("0", printed), re.DOTALL) is not None


@contextmanager
def keep_running(command: str, shown: str, folder: Path, environment: dict[str, str]) -> Iterator[None]:
    """Start a command that stays, wait until it has printed what is shown, and interrupt it in the end."""
    path = folder.parent / "printed.txt"
    with (
        open(path, "w", encoding="utf-8") as file,
        subprocess.Popen(["sh", "-c", f"exec {command}"], cwd=folder, env=environment, stdout=file) as process,
    ):
        deadline = time.monotonic() + PATIENCE
        try:
            while not shows(shown, printed := path.read_text(encoding="utf-8")):
                assert process.poll() is None, printed
                assert time.monotonic() < deadline, printed
                time.sleep(0.05)
            yield
        finally:
            process.send_signal(signal.SIGINT)
    assert process.returncode == 0


@pytest.mark.slow
@pytest.mark.subprocess
def test_the_commands_work_as_pasted_in_this_order(tmp_path):
    """Ports are free ones, because others may use those of the README at the same time."""
    folder = tmp_path / "empty"
    folder.mkdir()
    ports = {port: str(free_port()) for port in ("8443", "9443", "9444")}
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "OPENHOLDER_PUBLIC_URL": f"http://127.0.0.1:{ports['8443']}",
        "OPENHOLDER_LISTEN__PORT": ports["8443"],
        "OPENHOLDER_LISTEN__ADMIN_PORT": ports["9443"],
        "OPENHOLDER_FISKIL__JWKS_URL": f"http://127.0.0.1:{ports['9444']}/jwks.json",
        "OPENHOLDER_LOG__FORMAT": "console",
        "NO_COLOR": "1",
    }
    with ExitStack() as running:
        for command, shown in STEPS:
            pasted = re.sub(r":(\d{4})\b", lambda match: f":{ports[match[1]]}", command)
            if command.startswith(STAYING):
                running.enter_context(keep_running(pasted, shown, folder, environment))
                continue
            ended = subprocess.run(
                ["sh", "-c", pasted], cwd=folder, env=environment, capture_output=True, text=True, timeout=100
            )
            assert ended.returncode == 0, (command, ended.stdout, ended.stderr)
            assert shows(shown, ended.stdout), (command, ended.stdout)
    assert (folder / "report.html").stat().st_size > 10_000
    assert len(STEPS) >= 3


def test_your_own_data_are_four_lines_of_the_configuration(tmp_path):
    """They take the place of the source that ``init`` writes, and what serves the collections follows."""
    ((text),) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    assert text.count("\n") == 4
    assert run_command("init", cwd=tmp_path).returncode == 0
    sample.write_csv(tmp_path / "export")
    configuration = tmp_path / "openholder.toml"
    before = configuration.read_text(encoding="utf-8").partition("[sources.bank]")[0]
    configuration.write_text(before + text.replace("/srv/export", str(tmp_path / "export")), encoding="utf-8")
    listed = run_command("routes", cwd=tmp_path)
    assert (listed.returncode, "not served" in listed.stdout) == (0, False), listed.stderr


def test_the_number_of_operations_is_the_number_of_operations():
    assert f"{len(OPERATIONS)} operations" in README
