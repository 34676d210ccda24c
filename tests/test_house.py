"""The house is in order: packaging, the public interface, and what every module owes its reader."""

from __future__ import annotations

import ast
import configparser
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import openholder
import openholder.mapping
import openholder.sql

pytestmark = pytest.mark.checkout

ROOT = Path(__file__).parents[1]
CORE, PLUGINS = ROOT / "core", ROOT / "plugins"
OTHERS = sorted(path.parent for path in PLUGINS.glob("*/setup.cfg"))
"""Plugins that are distributions of their own, with packages and tests below their folders."""
PLUGIN_MODULES = sorted(
    path for path in PLUGINS.rglob("*.py") if not {"tests", "build"} & set(path.relative_to(PLUGINS).parts)
)
MODULES = sorted([*CORE.rglob("*.py"), *PLUGIN_MODULES])
PUBLIC = {module.__name__: module for module in (openholder, openholder.mapping, openholder.sql)}
"""What plugins may import from: names in their ``__all__``."""


def setup(section, key=""):
    """A section of setup.cfg, or the lines of one of its keys."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser[section][key].split() if key else dict(parser[section])


def packages():
    """Every package of this distribution on disk, by the name under which it is imported."""
    found = {
        ".".join(init.parent.relative_to(source).parts): init.parent
        for source in (CORE, PLUGINS)
        for init in source.rglob("__init__.py")
        if not set(OTHERS) & set(init.parents)
    }
    return found | {"openholder.conf": ROOT / "conf"}


def parsed(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def named(paths):
    return [str(path.relative_to(ROOT)) for path in paths]


def test_setup_cfg_lists_the_packages_that_are_there():
    assert setup("options", "packages") == sorted(packages())


def test_setup_cfg_lists_the_data_files_that_are_there():
    there = {
        name: sorted(path.name for path in folder.iterdir() if path.is_file() and path.suffix != ".py")
        for name, folder in packages().items()
    }
    listed = {name: files.replace(",", " ").split() for name, files in setup("options.package_data").items()}
    assert listed == {name: files for name, files in there.items() if files}


FROM_OTHERS = {"pydantic_core": "pydantic", "pytest": "pytest"}
"""Modules that are not declared by name: one is a part of pydantic, pytest is for those who write tests."""


def test_every_imported_library_is_declared():
    extras = setup("options.extras_require")
    served = [extras[name] for name in extras if name not in {"test", "dev", "docs"}]
    declared = "\n".join([setup("options")["install_requires"], *served]).splitlines()
    names = {re.split(r"[ \[]", line.strip())[0] for line in declared if line.strip()}
    distributions = packages_distributions()
    imported = {}
    for path in set(MODULES) - {module for folder in OTHERS for module in folder.rglob("*.py")}:
        for node in ast.walk(parsed(path)):
            found = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            found += [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []
            imported |= {name.partition(".")[0]: path.name for name in found}
    ours = {name.partition(".")[0] for name in packages()}
    theirs = {name: file for name, file in imported.items() if name not in {*sys.stdlib_module_names, *ours}}
    assert {
        name: file
        for name, file in theirs.items()
        if not {normalise(found) for found in distributions.get(name, ())} & names and name not in FROM_OTHERS
    } == {}


def normalise(name):
    """The name of a distribution as requirements spell it."""
    return name.lower().replace("_", "-")


def test_plugins_import_only_the_public_interface():
    trespasses, used = [], set()
    for path in PLUGIN_MODULES:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Import):
                modules = {alias.name.partition(".")[0] for alias in node.names}
                trespasses += [f"{path.name}:{node.lineno}"] if "openholder" in modules else []
            elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "openholder":
                names = {alias.name for alias in node.names}
                used |= names
                public = node.module in PUBLIC and names <= set(PUBLIC[node.module].__all__)
                trespasses += [] if public else [f"{path.name}:{node.lineno}"]
    assert trespasses == []
    assert {"Dialect", "Page", "Query", "hookimpl"} <= used


@pytest.mark.parametrize("module", PUBLIC.values(), ids=PUBLIC)
def test_the_public_interface_is_sorted_and_all_there(module):
    # Constants, then types, then functions, as ruff sorts them.
    by_kind = sorted(set(module.__all__), key=lambda name: (not name.isupper(), name[0].islower(), name))
    assert module.__all__ == by_kind
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


def documented(module):
    """The names that a module defines and documents: by a docstring, or by a string below an assignment."""
    for node, below in zip(module.body, [*module.body[1:], None], strict=True):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
            yield node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(below, ast.Expr):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (target.id for target in targets if isinstance(target, ast.Name))


@pytest.mark.parametrize("module", PUBLIC.values(), ids=PUBLIC)
def test_every_public_name_is_documented_where_it_is_defined(module):
    undocumented = set(module.__all__)
    for node in ast.walk(parsed(Path(module.__file__))):
        if isinstance(node, ast.ImportFrom):
            home = (CORE / node.module.replace(".", "/")).with_suffix(".py")
            undocumented -= {alias.name for alias in node.names} & set(documented(parsed(home)))
    assert undocumented == set()


@pytest.mark.parametrize("folder", OTHERS, ids=lambda folder: folder.name)
def test_a_plugin_of_its_own_stays_out_of_this_distribution(folder):
    listed = [*setup("options", "packages"), *setup("options.entry_points", "openholder.plugins")]
    assert [name for name in listed if folder.name in name] == []
    assert (folder / folder.name / "py.typed").is_file()


def test_every_module_says_what_it_is_for():
    assert len(MODULES) > len(packages())
    assert named(path for path in MODULES if not ast.get_docstring(parsed(path))) == []


def test_every_module_with_functions_postpones_its_annotations():
    forgetful = [
        path
        for path in MODULES
        if any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node in ast.walk(parsed(path)))
        and "from __future__ import annotations" not in path.read_text(encoding="utf-8").splitlines()
    ]
    assert named(forgetful) == []


def test_no_file_mentions_a_place_on_one_machine():
    places = [b"/" + place + b"/" for place in (b"work", b"tmp/dev")]
    files = [
        path
        for folder in ("core", "plugins", "conf", "docs", "tests")
        for path in sorted((ROOT / folder).rglob("*"))
        if path.is_file()
        and not any(part.startswith(".") or part == "__pycache__" or part.endswith(".egg-info") for part in path.parts)
    ]
    assert Path(__file__) in files
    assert named(path for path in files if any(place in path.read_bytes() for place in places)) == []


def test_names_of_tests_have_at_most_sixty_characters():
    """A name that needs more is a sentence: it belongs into the docstring."""
    folders = [ROOT / "tests", *PLUGINS.glob("*/tests")]
    long = [
        f"{path.name}::{node.name}"
        for folder in folders
        for path in sorted(folder.rglob("test_*.py"))
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and len(node.name) > 60
    ]
    assert long == []
