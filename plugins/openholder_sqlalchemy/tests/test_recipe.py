"""The recipe of docs/sources.md: a bank's database, a user who may read views only, and the responses."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest
import structlog
import trustme

from helpers.support import World
from maria import Maria
from openholder.fiskil.signer import Signer

PAGE = Path(__file__).parents[3] / "docs" / "sources.md"
ANSWER = r"`GET\s+(\S+)`\s+returns:\n\n```json\n(.*?)```"


@pytest.fixture(autouse=True)
def quiet_logs():
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    yield
    structlog.reset_defaults()


@pytest.mark.skipif(not PAGE.exists(), reason="the documents are not here")
def test_the_bank_is_served_by_the_recipe_alone(own_maria: Maria, tmp_path):
    (chapter,) = re.findall(r"^## MariaDB.*?(?=^## )", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    own_maria.enable_tls(authority.issue_cert("127.0.0.1"))
    for script in re.findall(r"```sql\n(.*?)```", chapter, re.DOTALL):
        own_maria.execute(script.replace("10.0.0.%", "127.0.0.1"))
    (settings,) = re.findall(r"```toml\n(.*?)```", chapter, re.DOTALL)
    (tmp_path / "password").write_text(*re.findall("IDENTIFIED BY '(.*?)'", chapter))
    for named, here in (
        ("db.internal", f"127.0.0.1:{own_maria.port}"),
        ("/etc/ssl/bank-ca.pem", "ca.pem"),
        ("/run/secrets/mariadb", "password"),
    ):
        settings = settings.replace(named, here)

    async def scenario():
        world = World(tmp_path, Signer.generate("k1"))
        try:
            await world.start(settings)
            for path, answer in re.findall(ANSWER, chapter, re.DOTALL):
                assert (await world.call(path)).json == json.loads(answer), path
            found = await world.call("/auth/v1/customer/search", body={"email": "noor.haddad@EXAMPLE.com"})
            assert [customer["id"] for customer in found.json["data"]] == ["70012"]
        finally:
            await world.stop()

    asyncio.run(scenario())
    assert len(re.findall(ANSWER, chapter, re.DOTALL)) == 3
