"""``openholder new-plugin``: write the package of a new data source, which installs and passes its tests."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from string import Template

import click

from openholder._version import __version__
from openholder.sources.kinds import list_kinds

NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", re.ASCII)
LONGEST = 25
"""The most characters of a name: with more, lines would be longer than the package's linter allows."""
TEMPLATES: Mapping[str, str] = {
    "setup.cfg": "setup.cfg.txt",
    "pyproject.toml": "pyproject.toml.txt",
    "$package/__init__.py": "source.py.txt",
    "$package/py.typed": "",
    "tests/test_$name.py": "test_source.py.txt",
    "README.md": "README.md.txt",
    ".github/workflows/test.yml": "test.yml.txt",
    ".gitignore": "gitignore.txt",
}
"""The template of each file, by path; an empty one makes an empty file. The licence is left to the author."""
NEXT = """
Next:
  cd {folder}
  pip install -e ".[test]"
  pytest
  openholder plugins

Then edit {package}/__init__.py; its docstrings say what to change.
"""


def _check_name(context: click.Context, parameter: click.Parameter, name: str) -> str:
    if not NAME.fullmatch(name) or len(name) > LONGEST:
        raise click.BadParameter(
            f"{name!r} is not a valid kind: use lower-case letters a-z, digits and single underscores,"
            f" start with a letter, end with a letter or digit, at most {LONGEST} characters"
        )
    return name


@click.command("new-plugin")
@click.argument("name", callback=_check_name)
@click.option("--folder", type=click.Path(path_type=Path), help="The folder to write to. Default: ./openholder-NAME.")
def new_plugin(name: str, folder: Path | None) -> int:
    """Write a package with a data source of kind NAME and its tests. Existing files are never overwritten."""
    folder = folder or Path(_name_distribution(name))
    for kind in list_kinds():
        if kind.name == name:
            click.echo(
                f"Warning: kind {name!r} is already installed by {kind.distribution} {kind.version};"
                " if two distributions provide a kind, neither can be used",
                err=True,
            )
    try:
        _write_files(folder, _fill_templates(name))
    except OSError as exc:
        raise click.ClickException(f"{exc.filename or folder} cannot be written: {exc.strerror or exc}") from exc
    click.echo(f"Wrote {folder}: a source of kind {name!r} that serves a JSON file.")
    click.echo(NEXT.format(folder=folder, package=f"openholder_{name}"), nl=False)
    return 0


def _name_distribution(name: str) -> str:
    """Return the name of the distribution, with hyphens, as package indexes show it."""
    return f"openholder-{name.replace('_', '-')}"


def _fill_templates(name: str) -> dict[str, str]:
    """Return the text of each file, by its path in the folder."""
    words = {
        "name": name,
        "package": f"openholder_{name}",
        "distribution": _name_distribution(name),
        "prefix": "".join(part.capitalize() for part in name.split("_")),
        "compatible": _compatible_versions(__version__),
    }
    contents = {}
    for path, template in TEMPLATES.items():
        text = (files("openholder.cli.template") / template).read_text(encoding="utf-8") if template else ""
        contents[Template(path).substitute(words)] = Template(text).substitute(words)
    return contents


def _compatible_versions(version: str) -> str:
    """Return the range of versions with the same plugin API: one minor version before 1.0, then one major version."""
    major, minor = (int(number) for number in version.split(".")[:2])
    end = f"0.{minor + 1}" if major == 0 else f"{major + 1}"
    return f">= {major}.{minor}, < {end}"


def _write_files(folder: Path, contents: Mapping[str, str]) -> None:
    present = [str(folder / path) for path in contents if (folder / path).exists()]
    if present:
        raise click.ClickException(f"already exists: {', '.join(present)}; nothing was written")
    for path, text in contents.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        with (folder / path).open("x", encoding="utf-8", newline="\n") as file:  # "x" follows no dangling link
            file.write(text)
