"""Kinds of plugins: which are installed, and what the class of one must have."""

from __future__ import annotations

import sys

import pytest
from pydantic import BaseModel

from helpers.plugins import Doing, Rows
from helpers.support import SQLITE
from openholder import (
    API_VERSION,
    hookimpl,
    select,
)
from openholder.config import REPLAY_STORES
from openholder.errors import ConfigurationError
from openholder.sources.hookspecs import SOURCES
from openholder.sources.kinds import list_kinds
from openholder.sources.registry import UnusableSource

# -- kinds -------------------------------------------------------------------------------------------------------------

THIRD_PARTY = """
from openholder import Page, hookimpl, select

class LedgerSource:
    def __init__(self, name, settings):
        pass

    @hookimpl
    def collections(self):
        return ["customers"]

    @hookimpl
    async def fetch(self, query):
        return select([{"id": "cust-1001", "name": "Jane"}, {"id": "cust-1002", "name": "Sam"}], query)
"""


@pytest.mark.gen_test
async def test_the_kind_of_a_third_party_is_found_and_answers(world, install):
    install("ledger", THIRD_PARTY, ledger="ledger_source:LedgerSource")
    await world.start('[sources.own]\nkind = "ledger"\n')
    answer = await world.call("/auth/v1/customer/cust-1001")
    assert (answer.status, answer.json) == (200, {"id": "cust-1001", "name": "Jane"})
    assert (await world.call("/auth/v1/customer/cust-1009")).status == 404


def refusal(configured, tables):
    """The one mistake that the configuration has, which must be one line."""
    with pytest.raises(ConfigurationError) as refused:
        configured(tables)
    (mistake,) = refused.value.mistakes
    assert "\n" not in mistake.message
    return f"{mistake.key}: {mistake.message}"


def test_a_kind_of_two_distributions_is_refused_naming_both(install, configured):
    install("acme", rows=Rows, other=Rows)
    install("evil", rows=Doing)
    told = refusal(configured, '[sources.own]\nkind = "rows"\n')
    assert told.startswith("sources.own.kind: kind 'rows' is claimed by acme 1.0 and evil 1.0")
    configured('[sources.own]\nkind = "other"\n')  # what only one of them offers may be used


def test_a_built_in_kind_cannot_be_taken_over(install, configured, tmp_path):
    install("evil", sqlite=Rows)
    told = refusal(configured, SQLITE)
    assert "evil 1.0" in told and "openholder " in told


@pytest.mark.parametrize(
    ("module", "value", "reason"),
    [
        ("import no_such_module", "broken_source:Source", "ModuleNotFoundError"),
        ("raise RuntimeError('two\\nlines')", "broken_source:Source", "RuntimeError"),
        ("def", "broken_source:Source", "SyntaxError"),
        ("Source = 1", "broken_source:Sauce", "AttributeError"),
        ("", "broken_source:Source", "ModuleNotFoundError"),
        ("Source = 1", "broken_source:Source", "is not a class"),
        ("def Source(name, settings): ...", "broken_source:Source", "is not a class"),
        ("", "broken_source", "ModuleNotFoundError"),
        ("Source = 1", "broken_source", "is not a class"),
    ],
)
def test_a_failed_import_is_one_sentence_and_affects_one_kind(
    install, configured, monkeypatch, tmp_path, module, value, reason
):
    monkeypatch.delitem(sys.modules, "broken_source", raising=False)
    install("broken", module, broken=value, fine=Rows)
    configured('[sources.own]\nkind = "fine"\n')
    assert "broken_source" not in sys.modules
    told = refusal(configured, '[sources.own]\nkind = "broken"\n')
    assert told.startswith("sources.own.kind: kind 'broken' of broken ")
    assert f"({value})" in told and reason in told
    sys.modules.pop("broken_source", None)


class OfToday(Rows):
    api_version = API_VERSION


class OfTomorrow(Rows):
    api_version = API_VERSION + 1


class Unsure(Rows):
    api_version = True


def test_a_class_for_this_interface_version_or_none_is_accepted(install, configured):
    install("acme", said=OfToday, silent=Rows)
    configured('[sources.own]\nkind = "said"\n')
    configured('[sources.own]\nkind = "silent"\n')


@pytest.mark.parametrize(("source", "version"), [(OfTomorrow, "2"), (Unsure, "True")])
def test_a_class_for_another_interface_version_is_refused(install, configured, source, version):
    """The message has both versions and the distribution."""
    install("acme", other=source)
    assert refusal(configured, '[sources.own]\nkind = "other"\n') == (
        f"sources.own.kind: kind 'other' of acme 1.0 is written for version {version} of the plugin interface,"
        " but this openholder has version 1: install compatible versions"
    )


@pytest.mark.parametrize("group", [SOURCES, REPLAY_STORES])
def test_every_built_in_plugin_states_its_interface_version(group):
    for kind in list_kinds(group):
        if kind.distribution == "openholder":
            assert kind.load().api_version == API_VERSION, kind.name


@pytest.mark.parametrize(
    ("kind", "hint"), [("sqlit", "; did you mean 'sqlite'?"), ("row", "; did you mean 'rows'?"), ("oracle", "")]
)
def test_an_unknown_kind_is_answered_with_those_installed(install, configured, kind, hint):
    install("acme", rows=Rows)
    told = refusal(configured, f'[sources.own]\nkind = "{kind}"\n')
    assert told == (
        f"sources.own.kind: no installed plugin offers kind {kind!r} (installed: audit, csv, rest, rows, sqlite){hint}"
    )


# -- what a class owes -------------------------------------------------------------------------------------------------


class PlainFetch(Rows):
    @hookimpl
    def fetch(self, query):
        return select(self.ROWS, query)


class PlainOpen(Rows):
    @hookimpl
    def open(self): ...


class PlainClose(Rows):
    @hookimpl
    def close(self): ...


class PlainHealth(Rows):
    @hookimpl
    def health(self): ...


class AsyncCollections(Rows):
    @hookimpl
    async def collections(self):
        return ["customers"]


class Misspelt(Rows):
    @hookimpl
    async def fetsh(self, query): ...


class MoreArguments(Rows):
    @hookimpl
    async def fetch(self, query, customer): ...


class WithoutFetch:
    def __init__(self, name, settings): ...

    @hookimpl
    def collections(self):
        return ["customers"]


class WithoutCollections:
    def __init__(self, name, settings): ...

    @hookimpl
    async def fetch(self, query): ...


class WithoutMarks:
    def __init__(self, name, settings): ...

    def collections(self): ...

    async def fetch(self, query): ...


class NoArguments:
    def __init__(self): ...


@pytest.mark.parametrize(
    ("plugin", "reason"),
    [
        (PlainFetch, "define fetch with 'async def'"),
        (PlainOpen, "define open with 'async def'"),
        (PlainClose, "define close with 'async def'"),
        (PlainHealth, "define health with 'async def'"),
        (AsyncCollections, "collections"),
        (Misspelt, "fetsh"),
        (MoreArguments, "customer"),
        (WithoutFetch, "does not implement fetch"),
        (WithoutCollections, "does not implement collections"),
        (WithoutMarks, "does not implement fetch"),
        (NoArguments, "TypeError"),
    ],
)
@pytest.mark.gen_test
async def test_a_class_that_is_no_source_is_refused_by_name(io_loop, install, configured, plugin, reason):
    install("acme", own=plugin)
    with pytest.raises(UnusableSource, match=r"^source 'mine'") as refused:
        async with configured('[sources.mine]\nkind = "own"\n'):
            pass
    assert reason in str(refused.value)


class Tinted(Rows):
    class Settings(BaseModel):
        colour: str
        shades: int = 3


@pytest.mark.gen_test
async def test_a_plugin_gets_its_settings_beside_the_common_ones(io_loop, install, configured, monkeypatch):
    given = []
    monkeypatch.setattr(Tinted, "__init__", lambda self, name, settings: given.append((name, settings)))
    install("acme", tinted=Tinted)
    configured('[sources.mine]\nkind = "tinted"\ncolour = "red"\ntimeout = 2\n')
    ((name, settings),) = given
    assert (name, settings.colour, settings.shades, settings.timeout) == ("mine", "red", 3, 2.0)
    assert isinstance(settings, Tinted.Settings)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('color = "SECRET"', ["colour: is missing", "color: unknown key; did you mean 'colour'?"]),
        ('colour = "red"\ntimeuot = 2', ["timeuot: unknown key; did you mean 'timeout'?"]),
        ('colour = "red"\npassword = "SECRET"', ["password: unknown key"]),
        ('colour = "red"\nshades = "SECRET"', ["shades: found text, expected a whole number"]),
    ],
)
def test_mistakes_in_a_plugins_settings_are_reported_like_others(install, configured, line, told):
    install("acme", tinted=Tinted)
    with pytest.raises(ConfigurationError) as refused:
        configured(f'[sources.mine]\nkind = "tinted"\n{line}\n')
    assert "SECRET" not in str(refused.value)
    for part in told:
        assert f"sources.mine.{part}" in str(refused.value)
    assert len(refused.value.mistakes) == len(told)
