"""``openholder rehearse``: Fiskil's part played against any resource server, and every answer judged."""

from __future__ import annotations

import asyncio
import os
import shutil
import ssl
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

import click

from openholder.cli.options import json_option
from openholder.cli.progress import progress
from openholder.cli.rehearsing import (
    base,
    duration,
    on_this_machine,
    operations_for,
    place,
    reach,
    ready,
    signing,
    trusted,
)
from openholder.contract.operation import Sector
from openholder.fiskil.jwks_host import jwks_host
from openholder.fiskil.signer import Signer
from openholder.rehearsal.caller import Caller, open_caller
from openholder.rehearsal.report.html import html
from openholder.rehearsal.report.json import json
from openholder.rehearsal.report.junit import junit
from openholder.rehearsal.report.terminal import text
from openholder.rehearsal.results import Report
from openholder.rehearsal.run import run_rehearsal
from openholder.rehearsal.session import Plan

ISSUER = "examplebank.cdr.fiskil.com"
WIDEST = 110
"""Columns from which on longer lines are harder to read."""
SECTORS = [sector for sector in get_args(Sector) if sector not in ("auth", "custom")]
_FILE = click.Path(dir_okay=False, path_type=Path)
_THERE = click.Path(exists=True, dir_okay=False, path_type=Path)

OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option("--email", "emails", multiple=True, help="Who logs in. May be given several times."),
    click.option("--customer", "customers", multiple=True, metavar="ID",
                 help="Who has logged in with the holder's own OpenID Connect provider."),
    click.option("--sector", "sectors", multiple=True, type=click.Choice(SECTORS), help="Default: all that is there."),
    click.option("--openapi", metavar="FILE|URL", help="The server's OpenAPI document (JSON): what it serves."),
    click.option("--issuer", default=ISSUER, show_default=True, help="iss and sub of the tokens."),
    click.option("--audience", type=base, metavar="URL", help="The server's public URL, for aud. Default: URL."),
    click.option("--listen", type=place, metavar="HOST:PORT", default="127.0.0.1:8899", show_default=True,
                 help="Where the keys are served."),
    click.option("--key", type=_FILE, help="Keep the signing key in this file, and use it again."),
    click.option("--jwks", type=_THERE, help="The key set in which --key is published: none is served here."),
    click.option("--ca", type=_THERE, help="The authority of the server's certificate, in PEM."),
    click.option("--timeout", type=click.FloatRange(0.1, 600), default=15, show_default=True,
                 help="Seconds for each answer."),
    click.option("--no-attacks", is_flag=True, help="Ask only what Fiskil would ask."),
    click.option("--target-is-mine", is_flag=True, help="Attack and load a server that is not on this machine."),
    click.option("--rate", type=click.FloatRange(0, min_open=True), help="Requests a second of a load, with --for."),
    click.option("--for", "duration", type=duration, metavar="TIME", help="How long the load lasts: 60s, 2m."),
    click.option("--html", "html_path", type=_FILE, help="Write the report as an HTML file."),
    click.option("--junit", "junit_path", type=_FILE, help="Write the report as JUnit's XML."),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """The options, as they were given."""

    url: str
    emails: tuple[str, ...]
    customers: tuple[str, ...]
    sectors: tuple[str, ...]
    openapi: str | None
    issuer: str
    audience: str | None
    listen: str
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

    def check(self) -> None:
        """Raise where options do not go together."""
        faults = (
            (not self.emails and not self.customers, "who logs in? Give --email or --customer"),
            (bool(self.rate) != bool(self.duration), "--rate and --for go together"),
            (self.jwks and not self.key, "--jwks needs --key: the private part of a key in it"),
            (any(path and not path.parent.is_dir() for path in (self.html_path, self.junit_path, self.key)),
             "the folder of a file to write does not exist"),
        )  # fmt: skip
        for wrong, message in faults:
            if wrong:
                raise click.UsageError(message)
        if (self.rate or not self.no_attacks) and not self.target_is_mine and not on_this_machine(self.url):
            message = "attacks and load are for servers on this machine: add --no-attacks and no --rate, or"
            raise click.UsageError(f"{message} --target-is-mine where you may do this")

    @property
    def told(self) -> tuple[tuple[str, str], ...]:
        """How the rehearsal was run, for the report. Of people only how many there were."""
        load = f"{self.rate:g} requests a second for {self.duration:g} s" if self.rate and self.duration else "none"
        return (
            ("Who", f"{len(self.emails)} by address, {len(self.customers)} by id"),
            ("Sectors", ", ".join(self.sectors) or "all that is there"),
            ("OpenAPI document", "given" if self.openapi else "none"),
            ("Issuer", self.issuer),
            ("Time limit", f"{self.timeout:g} s"),
            ("Attacks", "left out" if self.no_attacks else "included"),
            ("Load", load),
        )


@click.command()
@click.argument("url", type=base, metavar="URL")
@json_option
def rehearse(as_json: bool, **options: Any) -> int:
    """Play Fiskil's part against the resource server at URL, and judge every answer."""
    wishes = Wishes(**options)
    wishes.check()
    signer, trust = signing(wishes.key, wishes.jwks), trusted(wishes.ca)
    report = asyncio.run(_rehearsed(wishes, signer, trust))
    for path, written in ((wishes.html_path, html), (wishes.junit_path, junit)):
        if path:
            path.write_text(written(report), encoding="utf-8")
    click.echo(json(report) if as_json else printed(report), nl=as_json)
    return 0 if report.is_ready else 1


for option in reversed(OPTIONS):
    option(rehearse)


async def _rehearsed(wishes: Wishes, signer: Signer, trust: ssl.SSLContext | bool) -> Report:
    audience = wishes.audience or wishes.url
    async with (
        _keys(wishes, signer),
        open_caller(wishes.url, audience, wishes.issuer, signer, seconds=wishes.timeout, trust=trust) as caller,
    ):
        await reach(wishes.url, caller.http)
        plan = await _plan(wishes, caller)
        click.echo(_instructions(wishes, signer, audience), err=True)
        with progress() as line:
            line.told("waiting until the server has the keys")
            await ready(caller)
            caller.observers.append(line.counted)
            report = await run_rehearsal(caller, plan, line.told, line.phases())
    report.options = wishes.told
    return report


def _keys(wishes: Wishes, signer: Signer) -> AbstractAsyncContextManager[None]:
    """The host of the keys, unless they are published elsewhere."""
    return nullcontext() if wishes.jwks else jwks_host(_jwks_url(wishes), signer.jwks)


def _jwks_url(wishes: Wishes) -> str:
    return f"http://{wishes.listen}/jwks.json"


async def _plan(wishes: Wishes, caller: Caller) -> Plan:
    operations = await operations_for(wishes.sectors, wishes.openapi, caller.http)
    sectors = cast("frozenset[Sector]", frozenset(wishes.sectors))
    try:
        return Plan(
            operations, wishes.emails, wishes.customers, sectors,
            attacks=not wishes.no_attacks, rate=wishes.rate or 0, seconds=wishes.duration or 0,
        )  # fmt: skip
    except ValueError as exc:
        raise click.UsageError(str(exc)) from None


def _instructions(wishes: Wishes, signer: Signer, audience: str) -> str:
    """What the server must be configured with."""
    keys = f"the key set in {wishes.jwks}" if wishes.jwks else _jwks_url(wishes)
    rows = (("JWKS", keys), ("kid", signer.kid), ("alg", "PS256"), ("iss, sub", wishes.issuer),
            ("aud", f"{audience} and the path of the request"))  # fmt: skip
    lines = [f"  {name:10}{value}" for name, value in rows]
    return "\n".join([f"The server at {wishes.url} must be configured for these tokens:", *lines])


def printed(report: Report) -> str:
    """The report as text for standard output, whatever that is."""
    # https://no-color.org: any value but the empty one means no colour.
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    return text(report, min(WIDEST, shutil.get_terminal_size().columns), colour)
