"""The page of the stand-in, in a real browser: by mouse and by keyboard, on a phone, and with hostile data."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from unittest.mock import patch

import pytest

from helpers.browser import CHROMIUM, open_page, start_chromium
from helpers.support import ISSUER, sample_rows, start_with
from openholder.contract.operations import OPERATIONS
from openholder.fiskil.stand_in import Target, stand_in
from openholder.server.connections import bind

pytestmark = [
    pytest.mark.slow,
    pytest.mark.subprocess,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: make services"),
]
CURRENT = [operation for operation in OPERATIONS if not operation.deprecated]
STATUS = "document.getElementById('status').textContent"
CHOSEN = "document.querySelector('nav [aria-current]')?.dataset.operation"
HOSTILE = "<img src=x onerror=document.title='run'></pre><script>document.title='run'</script>"


@pytest.fixture(scope="module")
def debugger(tmp_path_factory):
    """One browser for all tests: each has a tab of its own."""
    with start_chromium(tmp_path_factory.mktemp("chromium")) as url:
        yield url


@asynccontextmanager
async def opened(world, debugger, rows):
    """The page of a stand-in for a server with these rows, in a tab."""
    await start_with(world, "sqlite", rows)
    keys = bind("127.0.0.1", 0)
    target = Target(world.url, world.url, ISSUER)
    jwks_url = f"http://127.0.0.1:{keys[0].getsockname()[1]}/jwks.json"
    async with stand_in(jwks_url, world.signer, target, CURRENT, keys) as url, open_page(debugger) as page:
        await page.open(url)
        await page.wait_for("document.querySelector('nav button')")
        yield page
        assert page.faults == []


def shown(name):
    return f"document.getElementById('{name}').textContent"


async def click(page, operation):
    """Click on an operation, and wait for its answer."""
    await page.evaluate("document.getElementById('status').textContent = ''")
    await page.evaluate(f"document.querySelector('[data-operation={operation}]').click()")
    await page.wait_for(f"/^[0-9]/.test({STATUS})")


@pytest.mark.gen_test
async def test_each_operation_is_one_click(world, debugger):
    async with opened(world, debugger, sample_rows()) as page:
        failed = []
        for operation in CURRENT:
            await click(page, operation.name)
            if not (await page.evaluate(STATUS)).startswith("200 · "):
                failed.append(operation.name)
        assert failed == []
        await click(page, "getCustomerDetails")
        assert json.loads(await page.evaluate(shown("answer")))["name"] == "Jane Citizen"
        assert json.loads(await page.evaluate(shown("token-header")))["alg"] == "PS256"
        claims = json.loads(await page.evaluate(shown("token-claims")))
        assert claims["aud"] == f"{world.url}/auth/v1/customer/cust-1001"
        assert (await page.evaluate(STATUS)).count(" ms in ") == 2
        assert (
            await page.evaluate(shown("curl"))
            == f"curl '{await page.evaluate('location.href')}auth/v1/customer/cust-1001'"
        )


@pytest.mark.gen_test
async def test_other_ids_and_requests_can_be_typed(world, debugger):
    async with opened(world, debugger, sample_rows()) as page:
        await page.evaluate("document.querySelectorAll('.ids input')[1].value = 'cust-3001'")
        await click(page, "getCustomerDetails")
        assert json.loads(await page.evaluate(shown("token-claims")))["aud"].endswith("/cust-3001")
        await page.evaluate("document.getElementById('target').value = '/nowhere?a=b'")
        await page.evaluate("document.querySelector('#request button').click()")
        await page.wait_for(f"{STATUS}.startsWith('404 · ')")
        await page.evaluate("document.querySelectorAll('.ids input')[1].value = ' '")
        await page.evaluate("document.querySelector('[data-operation=getCustomerDetails]').click()")
        assert await page.evaluate(STATUS) == "Fill in the id first"
        assert await page.evaluate("document.activeElement === document.querySelectorAll('.ids input')[1]")


@pytest.mark.gen_test
async def test_the_keyboard_is_enough(world, debugger):
    """Tab to the first sector and its ids, arrows through the operations, Enter to send, Tab on to the request."""
    async with opened(world, debugger, sample_rows()) as page:
        await page.press("Tab", "Tab", "Tab", "Tab", "ArrowDown", "Enter")
        await page.wait_for(f"{STATUS}.startsWith('200 · ')")
        assert await page.evaluate(CHOSEN) == "getCustomerDetails"
        await page.press("ArrowUp", "Space")
        await page.wait_for(f"{CHOSEN} === 'searchCustomers' && {STATUS}.startsWith('200 · ')")
        assert await page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        fields = "[...document.querySelectorAll('input, select, textarea, pre')]"
        assert await page.evaluate(f"{fields}.filter(one => !one.labels?.length && !one.ariaLabel).length") == 0


@pytest.mark.gen_test
async def test_values_are_shown_as_text(world, debugger):
    rows = sample_rows()
    rows["customers"] = [row | {"name": HOSTILE} for row in rows["customers"]]
    async with opened(world, debugger, rows) as page:
        await click(page, "getCustomerDetails")
        assert json.loads(await page.evaluate(shown("answer")))["name"] == HOSTILE
        assert await page.evaluate("document.querySelectorAll('img, pre *').length") == 0
        assert await page.evaluate("document.title") == "Stand-in for Fiskil"


@pytest.mark.gen_test
async def test_the_policy_forbids_markup_and_other_hosts(world, debugger):
    async with opened(world, debugger, sample_rows()) as page:
        refused = "(() => { try { document.body.innerHTML = 'x' } catch (error) { return error.name } })()"
        assert await page.evaluate(refused) == "TypeError"
        assert await page.evaluate(f"fetch('{world.url}').catch(error => error.name)") == "TypeError"
        page.faults.clear()  # the browser reports both


@pytest.mark.gen_test
async def test_it_fits_a_phone_and_a_wide_screen_in_both_colours(world, debugger):
    async with opened(world, debugger, sample_rows()) as page:
        colours = set()
        for width, height in ((320, 568), (390, 844), (1300, 900)):
            for dark in (False, True):
                await page.resize(width, height, dark=dark)
                await click(page, "listBankingTransactions")
                assert await page.evaluate("document.documentElement.scrollWidth") == width
                lowest = 200 if width > 860 else 20  # in one column, the answer takes the place of the list
                await page.wait_for(f"document.querySelector('#exchange').getBoundingClientRect().top < {lowest}")
                colours.add(await page.evaluate("getComputedStyle(document.body).backgroundColor"))
        assert len(colours) == 2


@pytest.mark.gen_test
async def test_a_page_of_another_site_gets_nothing(world, debugger):
    """It can neither read an answer nor have a token signed; the policies of its own page do not matter."""
    async with opened(world, debugger, sample_rows()) as page:
        url = await page.evaluate("location.href") + "auth/v1/customer/cust-1001"
        await page.open("about:blank")
        with patch.object(world.signer, "sign_token", wraps=world.signer.sign_token) as sign:
            for mode in ("cors", "no-cors"):
                asked = f"fetch('{url}', {{ mode: '{mode}' }}).then(answer => answer.type, error => error.name)"
                assert await page.evaluate(asked) == "TypeError"
            await page.evaluate(f"location.assign('{url}')")
            await page.wait_for("location.protocol === 'http:' && document.readyState === 'complete'")
            assert "requests of other sites are refused" in await page.evaluate("document.body.innerText")
        assert sign.call_count == 0
        page.faults.clear()  # the browser reports what was refused
