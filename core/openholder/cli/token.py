"""``openholder token``: sign a development token, or print a request that uses one."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from openholder.cli.options import configuration_option
from openholder.config import Configuration
from openholder.fiskil.development import load_development_signer


def format_curl(url: str, token: str, body: str | None = None) -> str:
    """Format a curl command that requests ``url`` with ``token``."""
    words = ["curl", "-sS", "-H", f"Authorization: Bearer {token}"]
    if body is not None:
        words += ["-H", "Content-Type: application/json", "-d", body]
    return shlex.join([*words, url])


@click.command()
@configuration_option
@click.argument("target")
@click.option("--lifetime", type=click.IntRange(1), default=300, show_default=True, help="Lifetime in seconds.")
@click.option("--curl", "as_curl", is_flag=True, help="Print a complete curl command.")
@click.option("--data", help="The JSON body to post (with --curl).")
def token(path: Path | None, target: str, lifetime: int, as_curl: bool, data: str | None) -> int:
    """Sign a development token for one request.

    TARGET is the path of the request, such as /auth/v1/customer/search. The JWKS URL must be on this machine; only a
    server that was started with `openholder serve --dev` accepts the token.
    """
    configuration = Configuration.load(path)
    if not target.startswith("/"):
        raise click.BadParameter("must start with a slash", param_hint="TARGET")
    signer = load_development_signer(configuration)
    url = configuration.settings.public_url[0] + target
    signed = signer.sign_token(configuration.settings.fiskil.issuer[0], url.partition("?")[0], lifetime=lifetime)
    click.echo(format_curl(url, signed, data) if as_curl else signed)
    return 0
