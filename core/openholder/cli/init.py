"""``openholder init``: a folder to start from."""

from __future__ import annotations

from datetime import date
from importlib.resources import files
from pathlib import Path

import click

from openholder.fiskil import sample
from openholder.fiskil.signer import DEVELOPMENT_KEY

CONFIGURATION = "openholder.toml"
NEXT = """
Next:
  openholder check --dev
  openholder serve --dev
  openholder token --curl /auth/v1/customer/search --data '{{"email": "{email}"}}'
"""


@click.command()
@click.option(
    "--source", type=click.Choice(["sqlite", "csv"]), default="sqlite", show_default=True, help="Where the data is."
)
def init(source: str) -> int:
    """Write a configuration and sample data into this folder. Nothing that is there is overwritten."""
    example = (files("openholder.conf") / f"{source}.toml").read_text(encoding="utf-8")
    ignored = f"{DEVELOPMENT_KEY}\nknown-keys.json\ncursor.key\nreplay.db*\n"
    data = Path("sample.db" if source == "sqlite" else "sample")
    present = [path for path in (Path(CONFIGURATION), data) if path.exists()]
    if present:
        raise click.ClickException(f"{', '.join(map(str, present))} is there already; nothing was written")
    if source == "sqlite":
        sample.write_sqlite(data, date.today())
    else:
        sample.write_csv(data, date.today())
    Path(CONFIGURATION).write_text(example, encoding="utf-8")
    if not Path(".gitignore").exists():
        Path(".gitignore").write_text(ignored, encoding="utf-8")
    click.echo(f"Wrote {CONFIGURATION} and {data}: fictional customers of a bank, an energy retailer and a US bank.")
    click.echo(NEXT.format(email=sample.EMAIL))
    return 0
