"""What the documents say is so."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import get_args

import pytest

from helpers.support import World
from openholder._version import __version__
from openholder.cli.new_plugin import _compatible_versions
from openholder.cli.rehearse import rehearse
from openholder.cli.routes import format_supported
from openholder.contract.operations import OPERATIONS
from openholder.query import Operator
from openholder.settings import Settings
from openholder.sources.hookspecs import Hookspecs

ROOT = Path(__file__).parents[2]


def blocks(name: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / name).read_text(encoding="utf-8"), re.DOTALL)


def test_the_page_of_operations_has_the_table_of_all_of_them():
    assert format_supported() in (ROOT / "docs/operations-table.md").read_text(encoding="utf-8")
    assert format_supported().count("\n") == len(OPERATIONS) + 1


def test_every_setting_is_in_the_configuration_page():
    page = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    for table, field in Settings.model_fields.items():
        keys = getattr(field.annotation, "model_fields", None)
        for key in [f"{table}.{key}" for key in keys] if keys else [table]:
            assert f"`{key}" in page, key


def test_every_hook_is_in_the_page_for_authors():
    page = (ROOT / "docs/plugins.md").read_text(encoding="utf-8")
    hooks = [name for name in vars(Hookspecs) if not name.startswith("_")]
    assert hooks
    for hook in hooks:
        assert f"def {hook}(self" in page, hook


def test_every_operator_is_in_the_page_for_authors():
    page = (ROOT / "docs/plugins.md").read_text(encoding="utf-8")
    table = page.partition("has these operators:")[2].partition("New operators")[0]
    assert set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`[^|]+)\|", table, re.MULTILINE)))) == {
        *get_args(Operator)
    }


PAGE = "docs/plugins.md"
EIGHT_LINES, WITH_SETTINGS, PROOF, *_ = blocks(PAGE, "python")


def test_the_packages_of_the_pages_for_authors_fit_this_version():
    for page in (PAGE, "docs/hooks.md"):
        assert f"openholder {_compatible_versions(__version__)}" in "".join(blocks(page, "ini")), page


@pytest.fixture
def package(tmp_path, monkeypatch):
    """The package of the page, its metadata made by setuptools as an installation would."""
    folder = tmp_path / "openholder-kim"
    folder.mkdir()
    (declared,), (built, _) = blocks(PAGE, "ini"), blocks(PAGE, "toml")
    (folder / "pyproject.toml").write_text(built)
    (folder / "setup.cfg").write_text(declared)
    (folder / "openholder_kim.py").write_text(WITH_SETTINGS)
    (folder / "test_kim.py").write_text(PROOF)
    backend = tomllib.loads(built)["build-system"]["build-backend"]
    prepare = f"import {backend} as backend; backend.prepare_metadata_for_build_wheel('.')"
    subprocess.run([sys.executable, "-c", prepare], cwd=folder, check=True, capture_output=True)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.delitem(sys.modules, "openholder_kim", raising=False)
    yield folder
    sys.modules.pop("openholder_kim", None)


@pytest.mark.slow
@pytest.mark.subprocess
@pytest.mark.gen_test
async def test_the_eight_lines_of_the_page_for_authors_serve(world: World, package):
    (package / "openholder_kim.py").write_text(EIGHT_LINES)
    _, configured = blocks(PAGE, "toml")
    await world.start(configured)
    assert (await world.call("/auth/v1/customer/c1")).json["name"] == "Kim"
    found = await world.call("/auth/v1/customer/search", body={"email": "KIM@example.com"})
    assert found.json["data"][0]["id"] == "c1"


@pytest.mark.slow
@pytest.mark.subprocess
@pytest.mark.gen_test
async def test_the_source_with_settings_of_the_page_for_authors_serves(world: World, package, tmp_path):
    (tmp_path / "kim.json").write_text(
        json.dumps({"customers": [{"id": "c2", "name": "Kim", "email": "k@example.com"}]})
    )
    _, configured = blocks(PAGE, "toml")
    await world.start(configured + 'path = "kim.json"\n')
    assert (await world.call("/auth/v1/customer/c2")).json["name"] == "Kim"


@pytest.mark.slow
@pytest.mark.subprocess
def test_the_proof_of_the_page_for_authors_proves_its_source(package):
    proven = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:tornado", "-p", "no:xdist", "."],
        cwd=package,
        capture_output=True,
        text=True,
    )
    assert re.search(r"^[45]\d passed, \d skipped", proven.stdout, re.MULTILINE), proven.stdout


def test_settings_of_the_page_for_authors_know_the_proxy(monkeypatch):
    (block,) = (text for text in blocks(PAGE, "python") if "get_host_settings" in text)
    names = {}
    exec(block, names)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert names["KimSettings"](url="https://a.example").find_proxy() == "http://proxy.example:3128"


def test_the_toml_examples_of_the_pages_are_toml():
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for text in blocks(str(page.relative_to(ROOT)), "toml"):
            assert tomllib.loads(text)


def test_the_page_on_going_live_names_the_options_of_rehearse():
    page = (ROOT / "docs/going-live.md").read_text(encoding="utf-8")
    options = {option for parameter in rehearse.params for option in parameter.opts if option.startswith("--")}
    assert set(re.findall(r"`(--[a-z-]+)", page)) <= options | {"--data"}
    assert options - set(re.findall(r"--[a-z-]+", page)) == set()
