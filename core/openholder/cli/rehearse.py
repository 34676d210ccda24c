"""``openholder rehearse``: play the role of Fiskil against any resource server, and check every response."""

from __future__ import annotations

import asyncio
import difflib
import signal
import ssl
import threading
import traceback
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

import click

from openholder.cli import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OWN_FAULT, EXIT_UNFINISHED
from openholder.cli.options import parse_address, parse_duration, parse_url
from openholder.contract.operation import Sector
from openholder.errors import OpenholderError
from openholder.fiskil.jwks_host import jwks_host
from openholder.fiskil.signer import DEVELOPMENT_KEY, Signer
from openholder.rehearsal.baseline import accept_known, load_baseline
from openholder.rehearsal.caller import open_caller
from openholder.rehearsal.preparation import (
    UnusableOption,
    check_reachable,
    choose_only,
    is_on_this_machine,
    load_operations,
    load_signer,
    load_trust,
    wait_until_ready,
)
from openholder.rehearsal.progress import progress_line
from openholder.rehearsal.published_keys import PublishedKeys
from openholder.rehearsal.report.html import render_html
from openholder.rehearsal.report.json import render_json
from openholder.rehearsal.report.junit import render_junit
from openholder.rehearsal.report.sarif import render_sarif
from openholder.rehearsal.report.terminal import render_for_stdout
from openholder.rehearsal.results import Report
from openholder.rehearsal.rules import find_rules, format_rule, format_rules
from openholder.rehearsal.run import run_rehearsal
from openholder.rehearsal.session import Plan

ISSUER = "examplebank.cdr.fiskil.com"
SECTORS = [sector for sector in get_args(Sector) if sector not in ("auth", "custom")]
_NEW_FILE = click.Path(dir_okay=False, path_type=Path)
_EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def _print_rules(ctx: click.Context, option: click.Parameter, value: bool) -> None:
    """Print all rules and exit."""
    if value:
        click.echo(format_rules(), nl=False)
        ctx.exit()


def _print_rule(ctx: click.Context, option: click.Parameter, value: str | None) -> None:
    """Print one rule and exit."""
    if value is None:
        return
    rules = find_rules()
    if value not in rules:
        near = difflib.get_close_matches(value, rules, 1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise click.BadParameter(f"no rule has this name: {hint}openholder rehearse --rules prints all rules")
    click.echo(format_rule(rules[value]), nl=False)
    ctx.exit()


OPTIONS: Mapping[str, tuple[click.Option, ...]] = {
    "Customers": (
        click.Option(
            ["--email", "emails"],
            multiple=True,
            metavar="ADDRESS",
            help="E-mail address of somebody who logs in. Repeatable.",
        ),
        click.Option(
            ["--customer", "customers"],
            multiple=True,
            metavar="ID",
            help="Customer who logs in with the holder's own OpenID Connect provider. Repeatable.",
        ),
    ),
    "Scope": (
        click.Option(
            ["--sector", "sectors"],
            multiple=True,
            type=click.Choice(SECTORS),
            help="Sector that must be served. Repeatable. Default: every sector that responds.",
        ),
        click.Option(
            ["--openapi"],
            metavar="FILE|URL",
            help="OpenAPI document of the server, in JSON. It determines the operations to rehearse.",
        ),
        click.Option(
            ["--only"],
            multiple=True,
            metavar="OPERATION",
            help="Rehearse this operation only, such as listBankingTransactions, with the login and the lists that it"
            " needs. Repeatable.",
        ),
        click.Option(
            ["--account", "accounts"],
            multiple=True,
            metavar="ID",
            help="Share this account only, of those offered for consent. Repeatable.",
        ),
        click.Option(["--no-attacks"], is_flag=True, help="Skip the attacks."),
        click.Option(
            ["--target-is-mine"],
            is_flag=True,
            help="Confirm that you may attack and load a server on another machine.",
        ),
    ),
    "Tokens and keys": (
        click.Option(
            ["--dev"],
            is_flag=True,
            help=f"Sign with {DEVELOPMENT_KEY} of this folder, in which `openholder serve --dev` runs.",
        ),
        click.Option(["--issuer"], default=ISSUER, show_default=True, help="Value of iss and sub in the tokens."),
        click.Option(
            ["--audience"], type=parse_url, metavar="URL", help="Public URL of the server, for aud. Default: URL."
        ),
        click.Option(
            ["--listen"],
            type=parse_address,
            metavar="HOST:PORT",
            default="127.0.0.1:8899",
            show_default=True,
            help="Address at which the rehearsal serves its keys.",
        ),
        click.Option(["--key"], type=_NEW_FILE, help="File that keeps the signing key for the next rehearsal."),
        click.Option(
            ["--jwks"],
            type=_EXISTING_FILE,
            help="Key set in which --key is published already. The rehearsal then serves no keys.",
        ),
    ),
    "Connection": (
        click.Option(["--ca"], type=_EXISTING_FILE, help="Certificate authority of the server, in PEM."),
        click.Option(
            ["--timeout"],
            type=click.FloatRange(0.1, 600),
            metavar="SECONDS",
            default=15,
            show_default=True,
            help="Time to wait for each response.",
        ),
    ),
    "Load": (
        click.Option(
            ["--rate"],
            type=click.FloatRange(0, min_open=True),
            help="Requests per second, sent when they are due, even if the server falls behind. Requires --for.",
        ),
        click.Option(
            ["--for", "duration"],
            type=parse_duration,
            metavar="TIME",
            help="Duration of the load, such as 60s or 2m. Requires --rate.",
        ),
    ),
    "Output": (
        click.Option(["--html", "html_path"], type=_NEW_FILE, help="Write the report to an HTML file."),
        click.Option(["--junit", "junit_path"], type=_NEW_FILE, help="Write the report to a JUnit XML file."),
        click.Option(["--sarif", "sarif_path"], type=_NEW_FILE, help="Write the report to a SARIF file."),
        click.Option(
            ["--baseline", "baseline_path"],
            type=_EXISTING_FILE,
            help="Accept the failures of an earlier report, which --json printed. Others, and other causes, are new.",
        ),
        click.Option(["--json", "as_json"], is_flag=True, help="Print the report as JSON."),
    ),
    "Rules": (
        click.Option(
            ["--rules"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_print_rules,
            help="Print all rules, and how to fix what breaks them. Needs no URL.",
        ),
        click.Option(
            ["--rule"],
            metavar="NAME",
            is_eager=True,
            expose_value=False,
            callback=_print_rule,
            help="Print one rule. Needs no URL.",
        ),
    ),
}
"""The options by their heading in ``--help``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RehearseOptions:
    """The values of the options."""

    url: str
    emails: tuple[str, ...]
    customers: tuple[str, ...]
    sectors: tuple[str, ...]
    openapi: str | None
    issuer: str
    audience: str | None
    listen: str
    dev: bool
    key: Path | None
    jwks: Path | None
    ca: Path | None
    timeout: float
    no_attacks: bool
    target_is_mine: bool
    rate: float | None
    duration: float | None
    html_path: Path | None
    junit_path: Path | None
    sarif_path: Path | None
    baseline_path: Path | None
    only: tuple[str, ...]
    accounts: tuple[str, ...]
    as_json: bool

    def check(self) -> None:
        """Raise `click.UsageError` if the options contradict each other."""
        if not self.emails and not self.customers:
            raise click.UsageError("nobody logs in: give --email or --customer")
        if bool(self.rate) != bool(self.duration):
            raise click.UsageError("--rate and --for must be given together, such as --rate 50 --for 60s")
        if self.dev and (self.key or self.jwks):
            raise click.UsageError("--dev is a key already: leave out --key and --jwks")
        if self.dev and not Path(DEVELOPMENT_KEY).exists():
            raise click.UsageError(f"no {DEVELOPMENT_KEY} in this folder: start `openholder serve --dev` in it first")
        if self.jwks and not self.key:
            raise click.UsageError("--jwks requires --key: the private key of one of its keys")
        for path in (self.html_path, self.junit_path, self.sarif_path, self.key):
            if path and not path.parent.is_dir():
                raise click.UsageError(f"the folder {path.parent} does not exist: create it first")
        if (self.rate or not self.no_attacks) and not self.target_is_mine and not is_on_this_machine(self.url):
            raise click.UsageError(
                "attacks and load are limited to servers on this machine: use --no-attacks without --rate, or confirm"
                " with --target-is-mine that you may attack this server"
            )

    @property
    def jwks_url(self) -> str:
        """The URL at which the rehearsal serves its keys."""
        return f"http://{self.listen}/jwks.json"

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """Names and values for the report, which may not contain personal data."""
        has_load = self.rate and self.duration
        return (
            ("Customers", f"{len(self.emails)} by e-mail address, {len(self.customers)} by id"),
            ("Sectors", ", ".join(self.sectors) or "all that respond"),
            ("OpenAPI document", "given" if self.openapi else "none"),
            ("Issuer", self.issuer),
            ("Time limit", f"{self.timeout:g} s"),
            ("Attacks", "disabled" if self.no_attacks else "included"),
            ("Load", f"{self.rate:g} requests per second for {self.duration:g} s" if has_load else "none"),
        )


class RehearseCommand(click.Command):
    """A command whose help groups the options."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options below their headings."""
        help_option = self.get_help_option(ctx)
        groups = {**OPTIONS, "Help": (help_option,) if help_option else ()}
        for heading, options in groups.items():
            with formatter.section(heading):
                formatter.write_dl([record for option in options if (record := option.get_help_record(ctx))])


@click.command(
    cls=RehearseCommand,
    params=[
        click.Argument(["url"], type=parse_url, metavar="URL"),
        *(option for options in OPTIONS.values() for option in options),
    ],
)
def rehearse(**values: Any) -> int:
    """Rehearse the go-live with the resource server at URL.

    The rehearsal plays the role of Fiskil: it logs in, requests all data, sends requests that must be refused, and
    checks every response. It exits with 1 if a rule is broken that is more than a warning.

    With --rate and --for it then puts the load of recipients on the server. Everything is read once for each customer,
    with two years of transactions; then accounts, balances and the last 14 days are read again and again. Bursts are
    part of it. Failed requests are sent again with a new token. A process of its own sends the load; if that cannot
    keep up, the report says so and judges nothing.
    """
    options = RehearseOptions(**values)
    options.check()
    try:
        key = Path(DEVELOPMENT_KEY) if options.dev else options.key
        signer, trust = load_signer(key, options.jwks), load_trust(options.ca)
        known = load_baseline(options.baseline_path) if options.baseline_path else None
        report, is_interrupted = asyncio.run(_run(options, signer, trust))
    except UnusableOption as exc:
        raise click.BadParameter(str(exc), param_hint=exc.option) from None
    except (click.ClickException, OpenholderError):
        raise
    except Exception as exc:
        frames = "".join(traceback.format_tb(exc.__traceback__))  # not the message, which may quote a value
        click.echo(f"a fault of the rehearsal itself: {type(exc).__name__}\n{frames}", err=True)
        return EXIT_OWN_FAULT
    if known is not None:
        accept_known(report, known)
    is_written = _write_files(options, report)
    if options.as_json:
        click.echo(render_json(report))
    else:
        click.echo(render_for_stdout(report), nl=False)
    if is_interrupted:
        return EXIT_INTERRUPTED
    if not report.is_ready or not is_written:
        return EXIT_FAILED
    return 0 if report.is_finished else EXIT_UNFINISHED


def _write_files(options: RehearseOptions, report: Report) -> bool:
    """Write the files that are wanted; say which could not be written, and return whether all were."""
    files = ((options.html_path, render_html), (options.junit_path, render_junit), (options.sarif_path, render_sarif))
    is_written = True
    for path, render in files:
        try:
            if path:
                path.write_text(render(report), encoding="utf-8")
        except OSError as exc:
            is_written = False
            click.echo(f"{path} could not be written: {exc.strerror}", err=True)
    return is_written


async def _run(options: RehearseOptions, signer: Signer, trust: ssl.SSLContext | bool) -> tuple[Report, bool]:
    """Rehearse; return the report, and whether Ctrl-C ended the rehearsal."""
    audience = options.audience or options.url
    keys = None if options.jwks or options.dev else PublishedKeys(signer)
    async with (
        jwks_host(options.jwks_url, keys.serve) if keys else nullcontext(),
        open_caller(
            *(options.url, audience, options.issuer, signer),
            seconds=options.timeout,
            trust=trust,
            authority=options.ca,
        ) as caller,
    ):
        caller.keys = keys
        await check_reachable(options.url, caller.http)
        operations = await load_operations(options.sectors, options.openapi, caller.http)
        if options.only:
            operations = choose_only(operations, options.only)
        try:
            plan = Plan(
                operations,
                options.emails,
                options.customers,
                cast("frozenset[Sector]", frozenset(options.sectors)),
                is_part=bool(options.only),
                shared=frozenset(options.accounts),
                attacks=not options.no_attacks,
                rate=options.rate or 0,
                seconds=options.duration or 0,
            )
        except ValueError as exc:
            raise click.UsageError(str(exc)) from None
        if not options.dev:
            click.echo(_format_instructions(options, signer, audience), err=True)
        with progress_line() as progress:
            progress.begin("waiting until the server has the keys")
            await wait_until_ready(caller)
            caller.observers.append(progress.count_request)
            async with _stop_at_interrupt() as stop:
                report = await run_rehearsal(caller, plan, progress.begin, progress.watch_phases(), stop)
    report.options = options.facts
    return report, stop.is_set()


@asynccontextmanager
async def _stop_at_interrupt() -> AsyncIterator[asyncio.Event]:
    """Set the event at the first Ctrl-C, so that what is known by then is told; the second one ends the command."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def end() -> None:
        stop.set()
        click.echo("\nStopping: Ctrl-C again ends at once, without a report.", err=True)
        loop.remove_signal_handler(signal.SIGINT)

    if threading.current_thread() is not threading.main_thread():  # signals are the main thread's
        yield stop
        return
    loop.add_signal_handler(signal.SIGINT, end)
    try:
        yield stop
    finally:
        loop.remove_signal_handler(signal.SIGINT)


def _format_instructions(options: RehearseOptions, signer: Signer, audience: str) -> str:
    """Describe what the server must be configured with."""
    keys = f"the key set in {options.jwks}" if options.jwks else options.jwks_url
    return "\n".join(
        (
            f"Configure the server at {options.url} for these tokens:",
            f"  JWKS      {keys}",
            f"  kid       {signer.kid}",
            "  alg       PS256",
            f"  iss, sub  {options.issuer}",
            f"  aud       {audience} plus the path of the request",
            *(() if options.key else ("Next time add --key rehearsal.pem: the server then need not fetch a new key.",)),
        )
    )
