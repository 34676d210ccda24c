"""The README does what it says: its commands run in its order, in an empty folder, and print what it shows."""

from __future__ import annotations

import re
from contextlib import ExitStack
from pathlib import Path

import pytest

from helpers.commands import run_command
from helpers.console import STAYING, Console, split_commands
from openholder.contract.operations import OPERATIONS
from openholder.fiskil import sample

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
CONSOLE = "".join(re.findall(r"```console\n(.*?)```", README, re.DOTALL))
STEPS = split_commands(CONSOLE)


@pytest.mark.slow
@pytest.mark.subprocess
def test_the_commands_work_as_pasted_in_this_order(tmp_path):
    folder = tmp_path / "empty"
    folder.mkdir()
    console = Console(folder)
    with ExitStack() as running:
        for command, shown in STEPS:
            if command.startswith(STAYING):
                running.enter_context(console.keep_running(command, shown))
            else:
                console.run(command, shown)
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
