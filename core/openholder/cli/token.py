"""``openholder token``: one development token, or a request to paste."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from openholder.cli.development import development_signer
from openholder.cli.options import configuration_option
from openholder.config import Configuration


def curl(url: str, token: str, body: str | None = None) -> str:
    """A command line that asks for ``url`` with ``token``."""
    words = ["curl", "-sS", "-H", f"Authorization: Bearer {token}"]
    if body is not None:
        words += ["-H", "Content-Type: application/json", "-d", body]
    return shlex.join([*words, url])


@click.command()
@configuration_option
@click.argument("target")
@click.option("--lifetime", type=click.IntRange(1), default=300, show_default=True, help="Seconds until it expires.")
@click.option("--curl", "as_curl", is_flag=True, help="Print a whole curl command.")
@click.option("--data", help="The JSON body to post (with --curl).")
def token(path: Path | None, target: str, lifetime: int, as_curl: bool, data: str | None) -> int:
    """Sign a development token for one request to TARGET, a path such as /auth/v1/customer/search.

    Only for a configuration whose JWKS URL is on this machine, served by `openholder serve --dev`.
    """
    configuration = Configuration.load(path)
    if not target.startswith("/"):
        raise click.BadParameter("begins with a slash", param_hint="TARGET")
    signer = development_signer(configuration)
    url = configuration.settings.public_url[0] + target
    signed = signer.token(configuration.settings.fiskil.issuer[0], url.partition("?")[0], lifetime=lifetime)
    click.echo(curl(url, signed, data) if as_curl else signed)
    return 0
