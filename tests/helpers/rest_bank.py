"""An upstream, for tests of the REST source."""

from __future__ import annotations

import json

from helpers.support import Upstream, sample_rows

SEARCH = "/auth/v1/customer/search"
DETAILS = "/auth/v1/customer/cust-1001"
ACCOUNTS = "/auth/v1/customer/cust-1001/accounts"

TEMPLATES = {
    "customers": ["/customers/{customerId}", "/customers?email={email}"],
    "accounts": "/customers/{customerId}/accounts",
    "balances": "/accounts/{accountId}/balance",
}


def build_toml(url, settings="", records="data", **templates):
    """TOML for a REST source with further ``settings`` and URL templates in place of the usual ones."""
    lines = "\n".join(f"{name} = {json.dumps(template)}" for name, template in {**TEMPLATES, **templates}.items())
    return (
        f'[sources.api]\nkind = "rest"\nbase_url = "{url}"\ntoken = {{ env = "UPSTREAM_TOKEN" }}\n'
        f'records = "{records}"\n{settings}\n[sources.api.collections]\n{lines}\n'
    )


async def start(world, settings="", records="data", **templates):
    """An upstream with the sample data, and a server in front of it."""
    upstream = await world.stack.enter_async_context(Upstream(sample_rows()))
    await world.start(build_toml(upstream.url, settings, records, **templates))
    return upstream


def build_handler(body, status=200, kind="application/json", **headers):
    """For `Upstream.break_with`: always this answer."""

    def answer(handler):
        handler.set_status(status)
        handler.set_header("Content-Type", kind)
        for name, value in headers.items():
            handler.set_header(name.replace("_", "-"), value)
        handler.finish(body)

    return answer
