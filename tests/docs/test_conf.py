"""The example configurations, each run as it is shipped."""

from __future__ import annotations

from importlib.resources import files

import pytest
import trustme

from helpers.commands import run_command
from helpers.processes import Server, free_port
from helpers.support import UPSTREAM_TOKEN, Upstream, sample_rows
from openholder.config import Configuration
from openholder.fiskil import sample

EXAMPLES = sorted(entry.name for entry in files("openholder.conf").iterdir() if entry.name.endswith(".toml"))


@pytest.fixture
def folder(tmp_path):
    """What the examples expect beside them."""
    sample.write_sqlite(tmp_path / "sample.db")
    sample.write_sqlite(tmp_path / "bank.db")
    sample.write_csv(tmp_path / "sample")
    certificate = trustme.CA().issue_cert("data.examplebank.com.au")
    certificate.private_key_pem.write_to_path(tmp_path / "tls.key")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "tls.crt")
    return tmp_path


def put(folder, name):
    (folder / "openholder.toml").write_text((files("openholder.conf") / name).read_text())


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_is_a_good_configuration(folder, monkeypatch, name):
    monkeypatch.setenv("CORE_API_TOKEN", "t")
    monkeypatch.setenv("OPENHOLDER_PSEUDONYM_KEY", "k")
    put(folder, name)
    assert Configuration.load(folder / "openholder.toml").sources


@pytest.mark.slow
@pytest.mark.subprocess
@pytest.mark.parametrize("name", [name for name in EXAMPLES if name != "production.toml"])
def test_every_example_for_this_machine_serves_the_sample_data(folder, io_loop, name):
    put(folder, name)
    public, keys = free_port(), free_port()
    url = f"http://127.0.0.1:{public}"

    async def serve_and_call():
        async with Upstream(sample_rows()) as upstream:
            environment = {
                "OPENHOLDER_PUBLIC_URL": url,
                "OPENHOLDER_FISKIL__JWKS_URL": f"http://127.0.0.1:{keys}/jwks.json",
                "OPENHOLDER_LISTEN__PORT": str(public),
                "OPENHOLDER_LISTEN__ADMIN_PORT": "0",
                "CORE_API_TOKEN": UPSTREAM_TOKEN,
            }
            for source in {"core", "ledger"} & {source.split("]")[0] for source in _sources(folder)}:
                environment[f"OPENHOLDER_SOURCES__{source.upper()}__BASE_URL"] = upstream.url
            return await io_loop.run_in_executor(None, _call, folder, url, environment)

    checked, (status, answer) = io_loop.run_sync(serve_and_call, timeout=40)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert (status, answer["available"]) == (200, 1200.5)


def _sources(folder):
    return (folder / "openholder.toml").read_text().split("[sources.")[1:]


def _call(folder, url, environment):
    checked = run_command("check", "--dev", cwd=folder, **environment)
    with Server(folder, public_url=url, environment=environment) as server:
        return checked, server.call("/customer/cust-1001/accounts/acc-2001/balances")
