"""The command ``openholder``. Results go to standard output, everything else to standard error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import cast

import click

from openholder._version import __version__
from openholder.errors import ConfigurationError, OpenholderError, Unreachable
from openholder.sources.kinds import UnusableKind
from openholder.sources.registry import UnusableSource

EXIT_FAILED = 1
EXIT_CONFIGURATION = 3
EXIT_UNREACHABLE = 4
EXIT_UNFINISHED = 5
EXIT_OWN_FAULT = 70
EXIT_INTERRUPTED = 130
EXIT_CODES: Mapping[int, str] = {
    0: "success",
    EXIT_FAILED: "a check failed, a rule is broken, two configurations differ, or a file is in the way",
    2: "usage error: an option or argument is missing, unknown or has a wrong value",
    EXIT_CONFIGURATION: "configuration error: the file cannot be used, or a plugin that it names",
    EXIT_UNREACHABLE: "a key set, source, replay store or port is unreachable",
    EXIT_UNFINISHED: "a rehearsal found nothing, and was not finished: the server asked to wait too long",
    EXIT_OWN_FAULT: "a fault of the rehearsal itself: it says nothing about the server",
    EXIT_INTERRUPTED: "interrupted with Ctrl-C",
}
"""What each exit code means. 2 is that of click."""

COMMANDS = (
    "demo",
    "serve",
    "check",
    "columns",
    "map",
    "diff",
    "rehearse",
    "init",
    "token",
    "routes",
    "openapi",
    "audit",
    "pseudonym",
    "plugins",
    "new-plugin",
)
"""Each command is a function of that name, in a module of the same name."""


class Commands(click.Group):
    """Imports a command when it is called: `openholder token` need not wait for the imports of `rehearse`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the commands in the order in which they are learnt."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the command, or None if there is no command of that name."""
        if cmd_name not in COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        return cast(click.Command, getattr(import_module(f"openholder.cli.{name}"), name))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="openholder")
def commands() -> None:
    """Resource server for data holders on the Fiskil platform (unofficial).

    For banks, non-bank lenders, providers of buy now, pay later (BNPL), energy retailers and US banks.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    try:
        return commands.main(args=arguments, prog_name="openholder", standalone_mode=False) or 0
    except click.ClickException as exc:
        exc.show()
        return exc.exit_code
    except (click.Abort, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    except OpenholderError as exc:
        click.echo(str(exc), err=True)
        if isinstance(exc, ConfigurationError | UnusableKind | UnusableSource):
            return EXIT_CONFIGURATION
        return EXIT_UNREACHABLE if isinstance(exc, Unreachable) else EXIT_FAILED
