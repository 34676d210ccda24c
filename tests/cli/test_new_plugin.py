"""``openholder new-plugin`` writes a package that installs, passes its tests and serves; ``plugins`` lists it."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import openholder as installed_openholder
from helpers.commands import run_command
from helpers.processes import configuration, openholder
from openholder.cli import main
from openholder.cli.new_plugin import LONGEST, TEMPLATES

LONG = "k" + "_m1" * ((LONGEST - 1) // 3)
"""A name of the greatest length allowed."""
KINDS = ("kim", LONG, "test")
WAIT = 100.0

BROKEN = '[sources.own]\nkind = "broken"\n'


def run(*arguments, cwd, **environment):
    """Run Python with only the installed packages, and those of PYTHONPATH, on its path."""
    return subprocess.run(
        [sys.executable, "-P", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=WAIT,
        check=False,
    )


def check_passed(ended):
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Write a new package for each of the kinds, and return their folder."""
    folder = tmp_path_factory.mktemp("written")
    for kind in KINDS:
        check_passed(run_command("new-plugin", kind, cwd=folder))
    return folder


def folder_of(written, kind):
    return written / f"openholder-{kind.replace('_', '-')}"


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def install(folder, site):
    """Install with setuptools alone, which needs neither a network nor ``wheel``, and return the site folder."""
    code = "import setuptools; setuptools.setup()"
    site.mkdir()
    check_passed(run("-c", code, "-q", "build_py", "--build-lib", site, "egg_info", "--egg-base", site, cwd=folder))
    return site


@pytest.fixture(scope="module")
def sites(written, tmp_path_factory):
    """Install the packages, and return the site folder of each."""
    there = tmp_path_factory.mktemp("installed")
    return {kind: install(folder_of(written, kind), there / kind) for kind in KINDS}


@pytest.fixture
def kim(sites):
    """Return the environment in which the kind ``kim`` is installed."""
    return {"PYTHONPATH": str(sites["kim"])}


# -- what is written ----------------------------------------------------------------------------------------------


def test_a_package_is_written_and_next_steps_are_shown(tmp_path):
    ended = run_command("new-plugin", "kim", cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert files(tmp_path / "openholder-kim") == [
        ".github/workflows/test.yml",
        ".gitignore",
        "README.md",
        "openholder_kim/__init__.py",
        "openholder_kim/py.typed",
        "pyproject.toml",
        "setup.cfg",
        "tests/test_kim.py",
    ]
    steps = ["cd openholder-kim", 'pip install -e ".[test]"', "pytest", "openholder plugins"]
    assert "".join(f"  {step}\n" for step in steps) in ended.stdout


def test_underscores_of_the_name_are_hyphens_in_the_distribution(written):
    assert f"name = {folder_of(written, LONG).name}\n" in (folder_of(written, LONG) / "setup.cfg").read_text()
    assert (folder_of(written, LONG) / f"openholder_{LONG}" / "py.typed").read_bytes() == b""


def test_nothing_is_left_to_fill_in(written):
    for path in files(written):
        text = (written / path).read_text(encoding="utf-8")
        assert not re.search(r"\$(?!\{\{ matrix\.python \}\})", text), path


def test_the_folder_can_be_chosen(tmp_path):
    check_passed(run_command("new-plugin", "kim", "--folder", "sources/mine", cwd=tmp_path))
    assert (tmp_path / "sources/mine/setup.cfg").is_file()
    assert not (tmp_path / "openholder-kim").exists()


@pytest.mark.parametrize("present", ["README.md", "tests/test_kim.py"])
def test_existing_files_prevent_writing_anything(tmp_path, present):
    path = tmp_path / "openholder-kim" / present
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    ended = run_command("new-plugin", "kim", cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert f"already exists: openholder-kim/{present}; nothing was written" in ended.stderr
    assert (files(tmp_path / "openholder-kim"), path.read_text()) == ([present], "mine")


def test_a_folder_with_only_a_licence_is_written_to(tmp_path):
    (tmp_path / "LICENSE").write_text("mine")
    check_passed(run_command("new-plugin", "kim", "--folder", ".", cwd=tmp_path))
    assert len(files(tmp_path)) == len(TEMPLATES) + 1


def test_a_folder_that_cannot_be_created_is_reported_in_one_line(tmp_path):
    (tmp_path / "file").touch()
    ended = run_command("new-plugin", "kim", "--folder", "file/kim", cwd=tmp_path)
    assert (ended.returncode, len(ended.stderr.splitlines())) == (1, 1)
    assert "cannot be written" in ended.stderr


@pytest.mark.parametrize(
    "name", ["", "Kim", "1kim", "kim-bank", "kim_", "_kim", "a__b", "k\u00efm", "../kim", "kim\n", "k" * (LONGEST + 1)]
)
def test_an_invalid_name_is_a_usage_error(tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    assert (main(["new-plugin", name]), files(tmp_path)) == (2, [])
    assert "is not a valid kind" in capsys.readouterr().err


def test_without_a_name_it_is_a_usage_error(tmp_path):
    assert run_command("new-plugin", cwd=tmp_path).returncode == 2


@pytest.mark.slow
@pytest.mark.subprocess
def test_an_installed_kind_causes_a_warning(tmp_path, kim):
    ended = run_command("new-plugin", "csv", cwd=tmp_path)
    assert (ended.returncode, ended.stderr.startswith("Warning: kind 'csv' is already installed")) == (0, True)
    ended = openholder("new-plugin", "kim", cwd=tmp_path, **kim)
    assert (ended.returncode, "by openholder-kim 0.1.0" in ended.stderr) == (0, True)


# -- how it works -------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.subprocess
@pytest.mark.parametrize("kind", ["kim", "test"])  # the latter's classes begin with Test, as those that pytest collects
def test_the_tests_of_a_new_package_pass(written, sites, kind):
    output = check_passed(
        run("-m", "pytest", "-p", "no:cacheprovider", cwd=folder_of(written, kind), PYTHONPATH=str(sites[kind]))
    )
    assert re.search(r"\d\d passed", output)


@pytest.mark.slow
@pytest.mark.subprocess
def test_a_source_that_breaks_the_contract_fails_its_tests(tmp_path, kim):
    check_passed(run_command("new-plugin", "kim", cwd=tmp_path))
    module = tmp_path / "openholder-kim/openholder_kim/__init__.py"
    text = module.read_text(encoding="utf-8")
    broken = text.replace("return select(rows[query.collection], query)", "return Page(records=[], total=0)")
    assert broken != text
    module.write_text(broken, encoding="utf-8")
    ended = run("-m", "pytest", "-x", "-p", "no:cacheprovider", cwd=tmp_path / "openholder-kim", PYTHONPATH=".")
    assert (ended.returncode, "missing records" in ended.stdout) == (1, True)


@pytest.mark.slow
@pytest.mark.subprocess
@pytest.mark.parametrize("kind", ["kim", LONG])
def test_a_new_package_is_typed(written, kind):
    pytest.importorskip("mypy", reason="mypy comes with the extra test")
    source = Path(installed_openholder.__file__).parents[1]
    # An editable installation is hidden from mypy, and an ordinary one must not be named.
    path = {} if source.name == "site-packages" else {"MYPYPATH": str(source)}
    check_passed(run("-m", "mypy", "--follow-imports=silent", cwd=folder_of(written, kind), **path))


@pytest.mark.subprocess
@pytest.mark.parametrize("kind", KINDS)
def test_a_new_package_is_tidy(written, kind):
    pytest.importorskip("ruff", reason="ruff comes with the extra test")
    check_passed(run("-m", "ruff", "check", "--no-cache", cwd=folder_of(written, kind)))
    check_passed(run("-m", "ruff", "format", "--check", "--no-cache", cwd=folder_of(written, kind)))


def can_make_wheels():
    """Return True if setuptools can make a wheel: alone from 70.1 on, before that with ``wheel``."""
    major, minor = (int(number) for number in version("setuptools").split(".")[:2])
    return (major, minor) >= (70, 1) or bool(importlib.util.find_spec("wheel"))


@pytest.mark.subprocess
@pytest.mark.skipif(not importlib.util.find_spec("pip"), reason="pip is not installed")
@pytest.mark.skipif(not can_make_wheels(), reason="setuptools is older than 70.1, and wheel is not installed")
def test_pip_installs_a_new_package(tmp_path):
    check_passed(run_command("new-plugin", "kim", cwd=tmp_path))
    options = "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"
    check_passed(run("-m", "pip", "install", *options, "--target", tmp_path / "site", "./openholder-kim", cwd=tmp_path))
    assert (tmp_path / "site/openholder_kim/py.typed").is_file()
    listed = json.loads(openholder("plugins", "--json", cwd=tmp_path, PYTHONPATH=str(tmp_path / "site")).stdout)
    assert "openholder-kim" in {kind["distribution"] for kind in listed}


@pytest.fixture
def serving(written, tmp_path):
    """Write the configuration and data of the new package's README, and return their folder."""
    readme = (folder_of(written, "kim") / "README.md").read_text(encoding="utf-8")
    (rows,), (toml,) = (re.findall(rf"```{language}\n(.*?)```", readme, re.DOTALL) for language in ("json", "toml"))
    (tmp_path / "rows.json").write_text(rows, encoding="utf-8")
    configuration(tmp_path, more=toml)
    return tmp_path


@pytest.mark.slow
@pytest.mark.subprocess
def test_the_readme_of_a_new_package_works(serving, kim):
    output = check_passed(openholder("check", "--dev", cwd=serving, **kim))
    assert re.search(r"balances +ok +source 'kim', 1 records checked", output), output


@pytest.mark.slow
@pytest.mark.subprocess
def test_an_unknown_key_of_the_new_source_is_a_mistake(serving, kim):
    path = serving / "openholder.toml"
    path.write_text(path.read_text().replace("path =", "pat ="))
    ended = openholder("check", cwd=serving, **kim)
    assert (ended.returncode, "sources.kim.pat: unknown key; did you mean 'path'?" in ended.stderr) == (3, True)


# -- listing kinds ------------------------------------------------------------------------------------------------


def list_kinds(*arguments, cwd, **environment):
    """Return the listing as objects, by purpose and name of the kind."""
    kinds = json.loads(openholder("plugins", "--json", *arguments, cwd=cwd, **environment).stdout)
    return {(kind["for"], kind["kind"]): kind for kind in kinds}


@pytest.mark.slow
@pytest.mark.subprocess
def test_a_new_package_is_listed_with_its_distribution(tmp_path, kim):
    found = list_kinds(cwd=tmp_path, **kim)["source", "kim"]
    assert (found["distribution"], found["version"], found["status"]) == ("openholder-kim", "0.1.0", "ok")


@pytest.mark.slow
@pytest.mark.subprocess
def test_with_a_configuration_the_keys_naming_a_kind_are_listed(serving, kim):
    path = serving / "openholder.toml"
    more = '[sources.other]\nkind = "kim"\npath = "rows.json"\n[serve]\n"*" = "kim"\n'
    path.write_text(f'plugins = ["kim"]\n{path.read_text()}\n{more}')
    found = list_kinds("-c", "openholder.toml", cwd=serving, **kim)
    assert {kind: entry["configured"] for kind, entry in found.items() if entry["configured"]} == {
        ("source", "kim"): ["sources.kim", "sources.other", "plugins"],
        ("replay", "sqlite"): ["replay.store"],
    }
    table = check_passed(openholder("plugins", "-c", "openholder.toml", cwd=serving, **kim))
    assert table.splitlines()[0].split() == ["FOR", "KIND", "DISTRIBUTION", "VERSION", "CONFIGURED", "STATUS"]
    assert "sources.kim, sources.other, plugins  ok" in table


@pytest.mark.slow
@pytest.mark.subprocess
def test_the_environment_counts_as_configuration(serving, kim):
    found = list_kinds("-c", "openholder.toml", cwd=serving, OPENHOLDER_REPLAY__STORE="memory", **kim)
    assert found["replay", "memory"]["configured"] == ["replay.store"]


@pytest.mark.slow
@pytest.mark.subprocess
def test_without_a_configuration_no_keys_are_listed(serving, kim):
    assert all("configured" not in kind for kind in list_kinds(cwd=serving, **kim).values())
    assert "CONFIGURED" not in check_passed(openholder("plugins", cwd=serving, **kim))


@pytest.fixture
def broken(tmp_path):
    """Return the environment of an installed kind whose module imports one that is missing."""
    site = tmp_path / "site"
    (site / "acme-1.0.dist-info").mkdir(parents=True)
    (site / "acme-1.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (site / "acme-1.0.dist-info/entry_points.txt").write_text("[openholder.plugins]\nbroken = acme_source:Acme\n")
    (site / "acme_source.py").write_text("import no_such_driver\n")
    return {"PYTHONPATH": str(site)}


@pytest.mark.slow
@pytest.mark.subprocess
def test_a_kind_that_fails_to_import_is_listed_with_the_reason(tmp_path, broken):
    status = list_kinds(cwd=tmp_path, **broken)["source", "broken"]["status"]
    assert "acme 1.0 (acme_source:Acme) cannot be imported: ModuleNotFoundError" in status
    assert "no_such_driver" in status


@pytest.mark.slow
@pytest.mark.subprocess
@pytest.mark.parametrize("form", [[], ["--json"]], ids=["table", "json"])
def test_mistakes_in_the_configuration_follow_the_list(tmp_path, broken, form):
    configuration(tmp_path, more=BROKEN)
    ended = openholder("plugins", "-c", "openholder.toml", *form, cwd=tmp_path, **broken)
    assert (ended.returncode, "sources.own.kind: kind 'broken' of acme 1.0" in ended.stderr) == (3, True)
    assert "no_such_driver" in ended.stdout
    assert not form or len(json.loads(ended.stdout)) == 8


def test_a_missing_configuration_is_reported(tmp_path):
    ended = run_command("plugins", "-c", "missing.toml", cwd=tmp_path)
    assert (ended.returncode, "missing.toml: no configuration file found" in ended.stderr) == (3, True)
