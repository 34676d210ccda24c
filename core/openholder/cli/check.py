"""``openholder check``: find everything that is wrong before the first request."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import click

from openholder.cli.options import configuration_option, format_table, json_option, sample_options, show_progress
from openholder.config import Configuration
from openholder.contract.operation import Sector
from openholder.fiskil.development import development_keys
from openholder.inspection.configuration import inspect_configuration
from openholder.inspection.findings import Finding
from openholder.inspection.page import render_page
from openholder.inspection.report import render_json, render_text
from openholder.inspection.selection import Selection
from openholder.inspection.steps import Step, Verdict
from openholder.inspection.survey import Inspection, inspect_data
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
SOURCES = "sources"
"""The step that says that the sources cannot be opened: then there is no data to look at."""


@click.command()
@configuration_option
@json_option
@click.option("--dev", is_flag=True, help="Serve development keys at the JWKS URL during the check (loopback only).")
@click.option("--data", is_flag=True, help="Also check the records of some customers.")
@sample_options
@click.option("--all", "everybody", is_flag=True, help="With --data: inspect all customers.")
@click.option(
    "--html",
    "html_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="With --data: write findings and a profile of the data to an HTML file.",
)
@click.option(
    "--sector",
    "sectors",
    multiple=True,
    type=click.Choice([name for name in get_args(Sector) if name != "auth"]),
    help="Check this sector alone. Repeatable. Default: all that are served.",
)
def check(
    path: Path | None,
    as_json: bool,
    dev: bool,
    data: bool,
    sample: int,
    customers: tuple[str, ...],
    everybody: bool,
    html_path: Path | None,
    sectors: tuple[str, ...],
) -> int:
    """Check the configuration, keys and sources, and with --data the records.

    Nothing is served, except the keys with --dev. A sample of customers is spread over all of them.

    Exit code: 0 no failure, 1 a check failed, 3 configuration error, 4 keys, store or source unreachable. With --data,
    keys and store do not count: 4 says that no data could be looked at.
    """
    if html_path and not data:
        raise click.UsageError("--html needs --data")
    configuration = Configuration.load(path)
    configure_for_command(sys.stderr)
    steps = asyncio.run(_inspect(configuration, dev, sectors))
    if not data:
        if as_json:
            shown = [{name: getattr(step, name) for name in ("what", "verdict", "detail")} for step in steps]
            click.echo(json.dumps(shown, indent=2))
        else:
            _print_steps(configuration, steps)
        return max(EXIT_CODES[step.verdict] for step in steps)
    selection = Selection(customers, sample, everybody, frozenset(sectors))
    inspection = Inspection()
    is_closed = any(step.what == SOURCES and EXIT_CODES[step.verdict] > 1 for step in steps)
    if not is_closed:
        inspection = asyncio.run(inspect_data(configuration, selection, show_progress))
    others = _list_findings(steps, inspection)
    if html_path:
        html_path.write_text(render_page(inspection, others, datetime.now(UTC)), encoding="utf-8")
    if as_json:
        click.echo(json.dumps(render_json(inspection, others), indent=2, ensure_ascii=False))
    else:
        # What the others found is below, with what the data shows.
        _print_steps(configuration, [step for step in steps if step.to_finding() is None])
        click.echo("")
        click.echo("\n".join(render_text(inspection, others)))
        for step in steps:
            if step.verdict == "unreachable":
                click.echo(f"not looked at: {step.what}: {step.detail}")
    return _choose_exit_code(steps, [*others, *inspection.findings], is_closed)


def _print_steps(configuration: Configuration, steps: Sequence[Step]) -> None:
    click.echo(f"{configuration.path}: valid")
    click.echo(format_table([(step.what, step.verdict, step.detail) for step in steps]))


def _list_findings(steps: Sequence[Step], inspection: Inspection) -> list[Finding]:
    """List what the steps found, but for collections whose records tell more of it."""
    told = {finding.collection for finding in inspection.findings if finding.severity == "error"}
    steps = [step for step in steps if step.verdict != "failed" or step.fault or step.collection not in told]
    found = [finding for step in steps if (finding := step.to_finding())]
    return list(dict.fromkeys(found))


def _choose_exit_code(steps: Sequence[Step], findings: Sequence[Finding], is_closed: bool) -> int:
    """Choose the exit code. What cannot be reached decides only if no data could be looked at."""
    codes = [EXIT_CODES[step.verdict] for step in steps]
    if 3 in codes or is_closed:
        return max(codes)
    return int(any(finding.severity == "error" for finding in findings))


async def _inspect(configuration: Configuration, dev: bool, sectors: Sequence[str]) -> list[Step]:
    async with development_keys(configuration) if dev else nullcontext():
        return await inspect_configuration(configuration, sectors)
