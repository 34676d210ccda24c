"""docs/cli.md has every command and option as the program has them, and every exit code."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import click

from openholder.cli import COMMANDS, EXIT_CODES, commands

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "cli.md").read_text(encoding="utf-8")


def test_the_page_is_that_of_the_commands():
    """If this fails: `make pages`."""
    assert runpy.run_path(str(DOCS / "cli_page.py"))["format_page"]() == PAGE


def test_every_command_and_option_is_there():
    assert re.findall(r"^## openholder (.+)$", PAGE, re.MULTILINE) == list(COMMANDS)
    for name in COMMANDS:
        section = PAGE.partition(f"## openholder {name}\n")[2].partition("\n## ")[0]
        command = commands.get_command(click.Context(commands), name)
        options = [param for param in command.params if isinstance(param, click.Option) and not param.hidden]
        for option in options:
            assert all(f"`{word}" in section or f", {word}" in section for word in option.opts), option.opts


def test_the_page_names_no_hidden_option():
    assert "--worker" not in PAGE
    assert "--socket" not in PAGE


def test_every_exit_code_is_there():
    assert re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE) == [str(code) for code in EXIT_CODES]
