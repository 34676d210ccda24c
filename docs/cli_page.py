"""Write docs/cli.md from the commands: `make pages` does."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator

import click

from openholder.cli import COMMANDS, EXIT_CODES, commands
from openholder.cli.rehearse import OPTIONS, RehearseCommand

WIDTH = 100
INTRODUCTION = """\
# Commands

`openholder COMMAND --help`, or `-h`, prints the same. Results go to standard output, everything
else to standard error. The file of the configuration is that of `-c`, else of `OPENHOLDER_CONFIG`,
else `./openholder.toml`, else `/etc/openholder/openholder.toml`.

`openholder --version` prints the version.
"""
EXIT_CODES_HEADING = """\
## Exit codes

[Troubleshooting](troubleshooting.md#exit-codes) says what to do about each.

| code | meaning |
|---|---|
"""


def format_page() -> str:
    """Format the page of all commands in Markdown."""
    parent = click.Context(commands, info_name="openholder", help_option_names=["-h", "--help"])
    parts = [INTRODUCTION]
    for name in COMMANDS:
        command = commands.get_command(parent, name)
        assert command
        parts.append(format_command(command, click.Context(command, info_name=name, parent=parent)))
    codes = "".join(f"| {code} | {meaning} |\n" for code, meaning in EXIT_CODES.items())
    return "\n".join([*parts, EXIT_CODES_HEADING + codes])


def format_command(command: click.Command, ctx: click.Context, level: str = "##") -> str:
    """Format one command: how it is called, what it does, and its options."""
    usage = " ".join([ctx.command_path, *command.collect_usage_pieces(ctx)])
    paragraphs = [textwrap.fill(mark_code(text), WIDTH, break_on_hyphens=False) for text in read_help(command)]
    lines = [f"{level} {ctx.command_path}", "", "```text", usage, "```", ""]
    lines += [line for paragraph in paragraphs for line in (paragraph, "")]
    if isinstance(command, click.Group):
        for name, sub in command.commands.items():
            context = click.Context(sub, info_name=name, parent=ctx, help_option_names=["-h", "--help"])
            lines.append(format_command(sub, context, "###"))
        return "\n".join(lines)
    if any(isinstance(param, click.Option) for param in command.params):
        lines += ["| option | meaning |", "|---|---|", *format_options(command, ctx), ""]
    return "\n".join(lines)


def read_help(command: click.Command) -> list[str]:
    """Return the paragraphs of the help of a command, each in one line."""
    return [" ".join(text.split()) for text in inspect.cleandoc(command.help or "").split("\n\n")]


def format_options(command: click.Command, ctx: click.Context) -> Iterator[str]:
    """Yield a row for each option, below the headings that the help has."""
    groups = {"": [param for param in command.params if isinstance(param, click.Option)]}
    if isinstance(command, RehearseCommand):
        groups = {heading: list(options) for heading, options in OPTIONS.items()}
    for heading, options in groups.items():
        if heading:
            yield f"| **{heading}** | |"
        for record in filter(None, (option.get_help_record(ctx) for option in options)):
            names, text = (" ".join(part.replace("|", "\\|").split()) for part in record)
            yield f"| `{names}` | {mark_code(text)} |"


def mark_code(text: str) -> str:
    """Mark the options, files and variables that a text names as code."""
    return re.sub(r"(?<![`\w/-])(--?[a-z][a-z-]*|\$\w+|\.?/[\w./{}-]+[\w}]|[a-z]+\.toml)(?![`\w])", r"`\1`", text)


if __name__ == "__main__":
    print(format_page(), end="")  # noqa: T201
