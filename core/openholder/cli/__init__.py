"""The command ``openholder``. Results go to standard output, everything else to standard error.

Exit codes: 0 good, 1 a check failed, 2 usage, 3 configuration, 4 something is unreachable.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import cast

import click

from openholder._version import __version__
from openholder.errors import ConfigurationError, OpenholderError, Unreachable
from openholder.sources.kinds import UnusableKind
from openholder.sources.registry import UnusableSource

EXIT_FAILED, EXIT_CONFIGURATION, EXIT_UNREACHABLE, EXIT_INTERRUPTED = 1, 3, 4, 130

COMMANDS = (
    "demo", "serve", "check", "columns", "diff", "rehearse", "init",
    "token", "routes", "openapi", "plugins", "new-plugin",
)  # fmt: skip
"""Each is a function in a module, both of its name."""


class Commands(click.Group):
    """Imports a command when it is called: a token need not wait for the client that a rehearsal has."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All of them, in an order in which they can be learnt."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, if there is one."""
        if cmd_name not in COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        return cast(click.Command, getattr(import_module(f"openholder.cli.{name}"), name))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="openholder")
def commands() -> None:
    """The Resource Server of a data holder on the Fiskil platform (unofficial)."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and give its exit code."""
    try:
        return commands.main(args=arguments, prog_name="openholder", standalone_mode=False) or 0
    except click.ClickException as exc:
        exc.show()
        return exc.exit_code
    except (click.Abort, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    except OpenholderError as exc:
        click.echo(str(exc), err=True)
        return exit_code(exc)


def exit_code(exc: OpenholderError) -> int:
    """The exit code that tells what kind of thing went wrong."""
    if isinstance(exc, ConfigurationError | UnusableKind | UnusableSource):
        return EXIT_CONFIGURATION
    return EXIT_UNREACHABLE if isinstance(exc, Unreachable) else EXIT_FAILED
