"""``openholder new-plugin``: a package to start a source from, which installs and passes its tests as it is."""

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
"""Characters of a name: with more the lines of what is written would be longer than its own linter allows."""
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
"""The template of each file that is written. A licence is not among them: that is the author's to choose."""
NEXT = """
Next:
  cd {folder}
  pip install -e ".[test]"
  pytest
  openholder plugins

Then change {package}/__init__.py; its docstrings say what.
"""


def _valid(context: click.Context, parameter: click.Parameter, name: str) -> str:
    if not NAME.fullmatch(name) or len(name) > LONGEST:
        raise click.BadParameter(
            f"{name!r} is no name of a kind: a letter, then letters, digits and single underscores, all of a-z,"
            f" at most {LONGEST}"
        )
    return name


@click.command("new-plugin")
@click.argument("name", callback=_valid)
@click.option("--folder", type=click.Path(path_type=Path), help="Where to write it. Default: ./openholder-NAME.")
def new_plugin(name: str, folder: Path | None) -> int:
    """Write a package with a source of kind NAME and its tests, to change. Nothing that is there is overwritten."""
    folder = folder or Path(_distribution(name))
    for warning in _warnings(name):
        click.echo(f"Warning: {warning}", err=True)
    try:
        _write(folder, _contents(name))
    except OSError as exc:
        raise click.ClickException(f"{exc.filename or folder} cannot be written: {exc.strerror or exc}") from exc
    click.echo(f"Wrote {folder}: a source of kind {name!r} that serves a JSON file.")
    click.echo(NEXT.format(folder=folder, package=f"openholder_{name}"), nl=False)
    return 0


def _distribution(name: str) -> str:
    """The distribution's name. Hyphens, as package indexes write it in any case."""
    return f"openholder-{name.replace('_', '-')}"


def _warnings(name: str) -> list[str]:
    """Who has the kind already."""
    return [
        f"kind {name!r} is installed already, from {kind.distribution} {kind.version};"
        " where two distributions have a kind, neither can be configured"
        for kind in list_kinds()
        if kind.name == name
    ]


def _contents(name: str) -> dict[str, str]:
    """What is written: the text of each file, by its path within the folder."""
    words = {
        "name": name,
        "package": f"openholder_{name}",
        "distribution": _distribution(name),
        "prefix": "".join(part.capitalize() for part in name.split("_")),
        "compatible": _compatible(__version__),
    }
    return {Template(path).substitute(words): _filled(template, words) for path, template in TEMPLATES.items()}


def _filled(template: str, words: Mapping[str, str]) -> str:
    """A template with its placeholders replaced; no template is an empty file."""
    if not template:
        return ""
    text = (files("openholder.cli.template") / template).read_text(encoding="utf-8")
    return Template(text).substitute(words)


def _compatible(version: str) -> str:
    """The versions with the same plugin API: those of one minor version before 1.0, of one major version from then."""
    major, minor = (int(number) for number in version.split(".")[:2])
    end = f"0.{minor + 1}" if major == 0 else f"{major + 1}"
    return f">= {major}.{minor}, < {end}"


def _write(folder: Path, contents: Mapping[str, str]) -> None:
    present = [str(folder / path) for path in contents if (folder / path).exists()]
    if present:
        raise click.ClickException(f"{', '.join(present)} is there already; nothing was written")
    for path, text in contents.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        with (folder / path).open("x", encoding="utf-8", newline="\n") as file:  # "x" follows no dangling link
            file.write(text)
