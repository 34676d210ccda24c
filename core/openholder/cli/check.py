"""``openholder check``: find everything that is wrong before the first request."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

import click

from openholder.cli.options import configuration_option, format_table, json_option, sample_options, show_progress
from openholder.config import Configuration
from openholder.fiskil.development import development_keys
from openholder.inspection.configuration import inspect_configuration
from openholder.inspection.data import inspect_data
from openholder.inspection.findings import Finding, Verdict
from openholder.server.logs import configure_for_command

EXIT_CODES: dict[Verdict, int] = {
    "ok": 0,
    "empty": 0,
    "advice": 0,
    "warning": 0,
    "not served": 0,
    "failed": 1,
    "configuration": 3,
    "unreachable": 4,
}


@click.command()
@configuration_option
@json_option
@click.option("--dev", is_flag=True, help="Serve development keys at the JWKS URL during the check (loopback only).")
@click.option("--data", is_flag=True, help="Also check the records of some customers.")
@sample_options
def check(path: Path | None, as_json: bool, dev: bool, data: bool, sample: int, customers: tuple[str, ...]) -> int:
    """Check the configuration, keys and sources.

    Nothing is served, except the keys with --dev.

    Exit code: 0 no failure, 1 a check failed, 3 configuration error, 4 keys, store or source unreachable.
    """
    configuration = Configuration.load(path)
    configure_for_command(sys.stderr)
    findings = asyncio.run(_inspect(configuration, dev))
    if data and not any(finding.verdict in ("configuration", "unreachable") for finding in findings):
        findings += asyncio.run(inspect_data(configuration, customers, sample, show_progress))
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        click.echo(f"{configuration.path}: valid")
        click.echo(format_table([(finding.what, finding.verdict, finding.detail) for finding in findings]))
    return max(EXIT_CODES[finding.verdict] for finding in findings)


async def _inspect(configuration: Configuration, dev: bool) -> list[Finding]:
    async with development_keys(configuration) if dev else nullcontext():
        return await inspect_configuration(configuration)
