"""``openholder pseudonym``: find out what an id is called in the log and in the audit trail."""

from __future__ import annotations

from pathlib import Path

import click

from openholder.cli.options import configuration_option, format_table
from openholder.config import Configuration
from openholder.pseudonyms import make_pseudonym
from openholder_audit import AuditSettings


@click.command()
@configuration_option
@click.argument("value", metavar="ID")
def pseudonym(path: Path | None, value: str) -> int:
    """Print the pseudonym of a customer's or account's id, to find it in the log and in the audit trail."""
    configuration = Configuration.load(path)
    secret = configuration.settings.log.pseudonym_key
    keys = {"log.pseudonym_key": secret.get_secret_value().encode()} if secret else {}
    for name, entry in configuration.observers.items():
        if isinstance(entry, AuditSettings) and entry.secret:
            keys[f"observers.{name}.key"] = entry.secret
    if not keys:
        raise click.UsageError("log.pseudonym_key is not set: each start makes a new key, and forgets it")
    names = {key: make_pseudonym(secret, value) for key, secret in keys.items()}
    if len(set(names.values())) == 1:
        click.echo(next(iter(names.values())))
    else:
        click.echo(format_table(list(names.items()), ("key", "pseudonym")))
    return 0
