"""What the documents say is so."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from openholder.cli.routes import support_table
from openholder.config import Configuration
from openholder.operations import OPERATIONS
from openholder.settings import Settings
from openholder.sources.hookspecs import Hookspecs
from support import World

ROOT = Path(__file__).parents[1]


def blocks(name: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / name).read_text(encoding="utf-8"), re.DOTALL)


def test_the_readme_has_the_table_of_support_that_the_operations_make():
    assert support_table() in (ROOT / "README.md").read_text(encoding="utf-8")
    assert support_table().count("\n") == len(OPERATIONS) + 1


def test_the_configuration_to_start_from_is_a_good_one(tmp_path):
    (text,) = blocks("README.md", "toml")
    for name in ("tls.crt", "tls.key", "replay.db", "bank.db"):
        (tmp_path / name).touch()
        text = re.sub(rf'"/[a-z/]+/{name}"', f'"{tmp_path / name}"', text)
    (tmp_path / "openholder.toml").write_text(text)
    assert Configuration.load(tmp_path / "openholder.toml").settings.fiskil.issuer == ("examplebank.cdr.fiskil.com",)


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


@pytest.mark.gen_test
async def test_the_plugin_of_the_page_for_authors_serves(world: World, monkeypatch, tmp_path):
    (code,), (declared,) = blocks("docs/plugins.md", "python"), blocks("docs/plugins.md", "ini")
    (tmp_path / "openholder_kim.py").write_text(code)
    metadata = tmp_path / "openholder_kim-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: openholder-kim\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[openholder.plugins]\n" + declared.splitlines()[-1].strip() + "\n")
    monkeypatch.syspath_prepend(tmp_path)
    await world.start('[sources.kim]\nkind = "kim"\n')
    assert (await world.call("/auth/v1/customer/c1")).json["name"] == "Kim"
    assert (await world.call("/auth/v1/customer/search", body={"email": "KIM@example.com"})).json["data"][0][
        "id"
    ] == "c1"


def test_the_toml_examples_of_the_pages_are_toml():
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for text in blocks(str(page.relative_to(ROOT)), "toml"):
            assert tomllib.loads(text)
