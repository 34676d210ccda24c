"""``openholder init``: write a configuration and sample data to start from."""

from __future__ import annotations

from datetime import date
from importlib.resources import files
from pathlib import Path

import click

from openholder.cli.options import format_table
from openholder.fiskil import sample
from openholder.fiskil.signer import DEVELOPMENT_KEY

CONFIGURATION = Path("openholder.toml")
IGNORED = f"{DEVELOPMENT_KEY}\nknown-keys.json\ncursor.key\nreplay.db*\n"
NEXT_STEPS = f"""
Next:
  openholder check --dev
  openholder serve --dev

While it serves, in another terminal:
  curl http://127.0.0.1:9444/auth/v1/customer/cust-1001
  openholder rehearse http://127.0.0.1:8443 --dev --email {sample.PEOPLE[0]} --email {sample.PEOPLE[-1]}
"""


@click.command()
@click.option(
    "--source",
    type=click.Choice(["sqlite", "csv"]),
    default="sqlite",
    show_default=True,
    help="Where the sample data is stored.",
)
def init(source: str) -> int:
    """Write a configuration and sample data.

    They are written into the current folder. Existing files are never overwritten. The command prints who stands for
    which case: a joint account, a business with a nominated representative, loans only, a blocked account and so on.
    """
    data = Path("sample.db" if source == "sqlite" else "sample")
    existing = [str(path) for path in (CONFIGURATION, data) if path.exists()]
    if existing:
        raise click.ClickException(f"{', '.join(existing)} already exists; nothing was written")
    if source == "sqlite":
        sample.write_sqlite(data, date.today())
    else:
        sample.write_csv(data, date.today())
    CONFIGURATION.write_text((files("openholder.conf") / f"{source}.toml").read_text(encoding="utf-8"), "utf-8")
    if not Path(".gitignore").exists():
        Path(".gitignore").write_text(IGNORED, encoding="utf-8")
    click.echo(f"Wrote {CONFIGURATION} and {data}: fictional customers of a bank, an energy retailer and a US bank.")
    click.echo(f"\n{format_table(sample.PERSONAS, sample.Persona._fields)}")
    click.echo(NEXT_STEPS)
    return 0
