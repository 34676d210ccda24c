"""docs/cli.md has every command and option as the program has them, and every exit code."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import click

from openholder.cli import COMMANDS, EXIT_CODES, commands

DOCS = Path(__file__).parents[2] / "docs"
OTHER_PAGES = ("configuration.md", "operations-table.md", "../README.md")
"""Pages that call commands, beside those of the tutorial and the how-tos."""
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


def test_pages_that_teach_lead_to_commands_and_call_each():
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    teaching = index.partition("## Tutorial\n")[2].partition("\n## Reference")[0]
    pages = {name: (DOCS / name).read_text(encoding="utf-8") for name in re.findall(r"\]\((\w[\w-]*\.md)\)", teaching)}
    assert len(pages) >= 7
    assert [name for name, page in pages.items() if "](cli.md" not in page] == []
    texts = [*pages.values(), *((DOCS / name).read_text(encoding="utf-8") for name in OTHER_PAGES)]
    assert [name for name in COMMANDS if not any(f"openholder {name}" in text for text in texts)] == []


def test_every_exit_code_is_there():
    assert re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE) == [str(code) for code in EXIT_CODES]
