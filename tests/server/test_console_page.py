"""The console in a real browser: live, paused, by keyboard, on a phone, in the dark, and with hostile words."""

from __future__ import annotations

from contextlib import asynccontextmanager
from unittest.mock import patch

import pytest

from helpers.browser import CHROMIUM, open_page, start_chromium
from helpers.people import BALANCE
from helpers.support import sample_rows, start_with
from openholder.server.console.panels import PANELS
from openholder.server.console.watching import Watching
from openholder.server.recent import recent_faults

pytestmark = [
    pytest.mark.slow,
    pytest.mark.subprocess,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: make services"),
]
HOSTILE = "<img src=x onerror=document.title='run'><script>document.title='run'</script>"
STATE = "document.getElementById('state').textContent"
PAUSE = "document.getElementById('pause')"
OK_ANSWERS = "[...document.querySelectorAll('#answers tbody tr')].find(row => row.textContent.startsWith('200'))"


@pytest.fixture(scope="module")
def debugger(tmp_path_factory):
    """One browser for all tests: each has a tab of its own."""
    with start_chromium(tmp_path_factory.mktemp("chromium")) as url:
        yield url


@asynccontextmanager
async def opened(world, debugger):
    """The console of a server that has answered one request, in a tab."""
    await start_with(world, "sqlite", sample_rows())
    assert (await world.call(BALANCE)).status == 200
    async with open_page(debugger) as page:
        await page.open(f"http://127.0.0.1:{world.holder.admin_port}/")
        await page.wait_for(f"{STATE} === 'ready'")
        yield page
        assert page.faults == []


@pytest.mark.gen_test(timeout=60)
async def test_it_follows_the_server_until_it_is_paused(world, debugger):
    async with opened(world, debugger) as page:
        assert await page.evaluate("[...document.querySelectorAll('#panels section')].map(one => one.id)") == [
            panel.name for panel in PANELS
        ]
        assert await page.evaluate(f"{OK_ANSWERS}.children[1].textContent") == "1"
        await world.call(BALANCE)
        await page.wait_for(f"{OK_ANSWERS}.children[1].textContent === '2'")
        await page.evaluate(f"{PAUSE}.click()")
        assert await page.evaluate(STATE) == "paused"
        with patch.object(Watching, "get_snapshot", wraps=Watching.get_snapshot) as get:
            await world.call(BALANCE)
            await page.evaluate("new Promise(resolve => setTimeout(resolve, 1100))")  # longer than a period
            assert get.call_count == 0
        assert await page.evaluate(f"{OK_ANSWERS}.children[1].textContent") == "2"
        await page.evaluate(f"{PAUSE}.click()")
        await page.wait_for(f"{OK_ANSWERS}.children[1].textContent === '3'")


@pytest.mark.gen_test(timeout=60)
async def test_the_page_says_that_it_gets_nothing(world, debugger):
    async with opened(world, debugger) as page:
        with patch("openholder.server.console.watching.MAX_WATCHERS", 0):
            await page.evaluate(f"{PAUSE}.click()")
            await page.evaluate(f"{PAUSE}.click()")
            await page.wait_for(f"{STATE}.startsWith('no connection')")


@pytest.mark.gen_test(timeout=60)
async def test_the_keyboard_is_enough_and_all_has_a_name(world, debugger):
    async with opened(world, debugger) as page:
        await page.press("Tab", "Space")
        assert await page.evaluate(f"{PAUSE}.getAttribute('aria-pressed')") == "true"
        await page.press("Tab", "Tab", "Enter")
        await page.wait_for("location.hash === '#answers'")
        top = "document.querySelector('#answers').getBoundingClientRect().top"
        assert await page.evaluate(f"{top} >= document.querySelector('header').offsetHeight")
        await page.press("Tab")
        assert await page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        nameless = "[...document.querySelectorAll('section, table')].filter(one => !one.ariaLabel && !document"
        assert await page.evaluate(f"{nameless}.getElementById(one.getAttribute('aria-labelledby'))).length") == 0


@pytest.mark.gen_test(timeout=60)
async def test_words_of_others_are_shown_as_text(world, debugger, monkeypatch):
    monkeypatch.setattr(recent_faults, "_faults", {})
    line = {"timestamp": "2026-10-01T09:30:00Z", "level": "error", "logger": "openholder", "event": HOSTILE}
    recent_faults.note(line)
    async with opened(world, debugger) as page:
        assert HOSTILE in await page.evaluate("document.getElementById('faults').textContent")
        assert await page.evaluate("document.querySelectorAll('img, main script').length") == 0
        refused = "(() => { try { document.body.innerHTML = 'x' } catch (error) { return error.name } })()"
        assert await page.evaluate(refused) == "TypeError"
        assert await page.evaluate(f"fetch('{world.url}').catch(error => error.name)") == "TypeError"
        assert await page.evaluate("document.title") == "openholder console"
        page.faults.clear()  # the browser reports both


@pytest.mark.gen_test(timeout=60)
async def test_it_fits_phone_and_wide_screen_in_both_colours(world, debugger):
    async with opened(world, debugger) as page:
        colours = set()
        for width, height in ((320, 568), (390, 844), (900, 700), (1300, 900)):
            for dark in (False, True):
                await page.resize(width, height, dark=dark)
                assert await page.evaluate("document.documentElement.scrollWidth") == width
                cut = "[...document.querySelectorAll('section')].filter(one => one.scrollWidth > one.clientWidth)"
                assert await page.evaluate(f"{cut}.map(one => one.id)") == []
                colours.add(await page.evaluate("getComputedStyle(document.body).backgroundColor"))
        assert len(colours) == 2
