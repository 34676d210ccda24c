"""docs/hooks.md agrees with the server: signatures, time limits, and what may be raised."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import re
from pathlib import Path

import pytest

import openholder
import openholder.testing
from openholder import NotFound, Page, Query, hookimpl
from openholder._version import __version__
from openholder.cli.new_plugin import _compatible_versions
from openholder.config import REPLAY_STORES
from openholder.errors import SourceError, SourceFault
from openholder.sources.entry import ObserverEntry, SourceEntry
from openholder.sources.hookspecs import ASYNC_HOOKS, REQUIRED_HOOKS, SOURCES, FinishedRequest, Hookspecs
from openholder.sources.registry import OPEN_TIMEOUT
from openholder.testing.harness import SourceUnderTest

PAGE = (Path(__file__).parents[2] / "docs/hooks.md").read_text(encoding="utf-8")
HOOKS = {name: function for name, function in vars(Hookspecs).items() if not name.startswith("_")}


def split_sections():
    """Return the text below each heading that is code."""
    parts = re.split(r"^### `(.*)`$", PAGE.partition("\n## Versions")[0], flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def find_section(hook):
    (found,) = (text for heading, text in split_sections().items() if f"def {hook}(" in heading)
    return found


def find_cell(hook, row):
    (found,) = re.findall(rf"^\| {row} \| (.+) \|$", find_section(hook), flags=re.MULTILINE)
    return found


def declare(function):
    """Return the first line of a hook's definition."""
    word = "async def" if inspect.iscoroutinefunction(function) else "def"
    return f"{word} {function.__name__}{inspect.signature(function)}".replace("'", "")


def test_the_page_has_the_signature_of_every_hook():
    assert list(split_sections()) == [declare(function) for function in HOOKS.values()]


def test_the_awaited_hooks_are_those_that_are_async_def():
    assert set(ASYNC_HOOKS) == {"open", "close", "fetch", "health", "advice", "record_answer"}
    assert {name for name, function in HOOKS.items() if inspect.iscoroutinefunction(function)} == set(ASYNC_HOOKS)


@pytest.mark.parametrize("hook", HOOKS)
def test_each_hook_has_its_calls_exceptions_and_time_limit(hook):
    assert all(find_cell(hook, row) for row in ("Called", "May raise", "Time limit"))


@pytest.mark.parametrize("hook", HOOKS)
def test_each_hook_says_whether_it_is_required(hook):
    text = find_section(hook).partition("| | |")[0]
    assert ("Required" in text, "Optional" in text) == (hook in REQUIRED_HOOKS, hook not in REQUIRED_HOOKS)


def test_the_time_limits_are_those_of_the_server():
    timeout, concurrency = (SourceEntry.model_fields[name].default for name in ("timeout", "concurrency"))
    for hook in ("open", "close"):
        assert f"{OPEN_TIMEOUT:g} seconds" in find_cell(hook, "Time limit")
    for hook in ("fetch", "health", "advice"):
        assert f"`timeout` ({timeout:g} seconds)" in find_cell(hook, "Time limit")
    assert f"`timeout` ({ObserverEntry.model_fields['timeout'].default:g} seconds)" in find_cell(
        "record_answer", "Time limit"
    )
    assert f"`concurrency` ({concurrency})" in find_cell("fetch", "Called")


def test_the_page_lists_every_member_of_a_finished_request():
    rows = re.findall(r"^\| `(\w+)` \|", PAGE.partition("### The members of `FinishedRequest`")[2], flags=re.MULTILINE)
    assert rows == [field.name for field in dataclasses.fields(FinishedRequest)]


def test_fetch_lists_every_exception_that_sources_may_raise():
    for exception in (*SourceError.__subclasses__(), SourceFault):
        if exception.__module__.startswith("openholder."):
            assert f"`{exception.__name__}`" in find_cell("fetch", "May raise"), exception


def test_the_page_names_all_parts_of_the_plugin_api():
    assert openholder.__all__ and openholder.testing.__all__
    for name in ("openholder", "openholder.testing", SOURCES, REPLAY_STORES, FinishedRequest.__name__):
        assert f"`{name}`" in PAGE


def test_the_page_has_the_version_of_the_plugin_api():
    assert f"`openholder.API_VERSION` is a whole number, now {openholder.API_VERSION}." in PAGE


def test_the_page_requires_the_versions_of_a_new_plugin():
    assert f"    openholder {_compatible_versions(__version__)}\n" in PAGE


@pytest.mark.parametrize(
    ("version", "compatible"),
    [("0.1.0", ">= 0.1, < 0.2"), ("0.9.3", ">= 0.9, < 0.10"), ("1.0.0", ">= 1.0, < 2"), ("2.5.0.dev1", ">= 2.5, < 3")],
)
def test_versions_are_compatible_up_to_the_next_breaking_one(version, compatible):
    assert _compatible_versions(version) == compatible


def test_an_implementation_gets_the_arguments_that_it_names():
    class Plain:
        @hookimpl
        def collections(self):
            return ["customers"]

        @hookimpl
        async def fetch(self):
            return Page(records=(), total=0)

    source = SourceUnderTest(Plain(), 1.0)
    source.check_hooks()
    assert asyncio.run(source.fetch(Query(collection="customers"))) == Page(records=(), total=0)


def test_no_such_record_is_an_empty_page():
    class Empty:
        @hookimpl
        async def fetch(self, query):
            raise NotFound

    assert asyncio.run(SourceUnderTest(Empty(), 1.0).fetch(Query(collection="customers"))).total == 0
