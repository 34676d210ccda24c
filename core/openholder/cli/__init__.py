"""The command ``openholder``. Results go to standard output, everything else to standard error.

Exit codes: 0 good, 1 a check failed, 2 usage, 3 configuration, 4 something is unreachable.
"""

from __future__ import annotations

from collections.abc import Sequence

import click

from openholder._version import __version__
from openholder.cli import (
    check,
    columns,
    demo,
    diff,
    init,
    new_plugin,
    openapi,
    plugins,
    rehearse,
    routes,
    serve,
    token,
)
from openholder.errors import ConfigurationError, OpenholderError, Unreachable
from openholder.sources.directory import UnusableSource
from openholder.sources.kinds import UnusableKind

EXIT_FAILED, EXIT_CONFIGURATION, EXIT_UNREACHABLE, EXIT_INTERRUPTED = 1, 3, 4, 130


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="openholder")
def commands() -> None:
    """The Resource Server of a data holder on the Fiskil platform (unofficial)."""


for command in (
    demo.demo, serve.serve, check.check, rehearse.rehearse, columns.columns, diff.diff, init.init,
    token.token, routes.routes, openapi.openapi, plugins.plugins, new_plugin.new_plugin,
):  # fmt: skip
    commands.add_command(command)


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
