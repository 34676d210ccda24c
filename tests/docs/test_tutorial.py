"""The tutorial works: its files are written, and its commands run in its order and print what it shows."""

from __future__ import annotations

import re
import shutil
from contextlib import ExitStack
from pathlib import Path

import pytest

from helpers.console import STAYING, Console, split_commands

PAGE = (Path(__file__).parents[2] / "docs/tutorial.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^(?:(Append to )?`([\w./]+)`:\n\n)?```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
"""Whether it is appended, the file that it belongs to, the language, and the text of each block."""
STEPS = [step for _, _, language, text in BLOCKS if language == "console" for step in split_commands(text)]


@pytest.mark.slow
@pytest.mark.subprocess
@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_the_tutorial_ends_with_a_passed_rehearsal(tmp_path):
    console = Console(tmp_path / "empty")
    (console.folder / "export").mkdir(parents=True)
    with ExitStack() as running:
        for appended, name, language, text in BLOCKS:
            if name:
                with open(console.folder / name, "a" if appended else "x", encoding="utf-8") as file:
                    file.write(text)
            if language == "text":
                console.wait_until_printed(text)
            for command, shown in split_commands(text) if language == "console" else ():
                if command.startswith(STAYING):
                    running.enter_context(console.keep_running(command, shown))
                else:
                    console.run(command, shown)
    assert STEPS[-1][1].startswith("Ready to go live\n")


def test_every_block_is_run_or_written_except_the_installation():
    assert [text for _, name, language, text in BLOCKS if not name and language not in {"console", "text"}] == [
        "python3 -m venv .venv\n. .venv/bin/activate\npip install .\n"
    ]
    assert len(BLOCKS) == len(re.findall(r"^```\w+$", PAGE, re.MULTILINE))
    assert len(STEPS) >= 10
