"""Rotation of keys: a server that never learns a new key is found, and one that does so in its own time is not."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jwt
import pytest
from jwt.algorithms import RSAAlgorithm

from helpers.support import ISSUER
from openholder.contract.operations import OPERATIONS
from openholder.rehearsal.caller import open_caller
from openholder.rehearsal.phases import PHASES
from openholder.rehearsal.probes import rotation
from openholder.rehearsal.published_keys import PublishedKeys
from openholder.rehearsal.run import run_rehearsal
from openholder.rehearsal.session import Plan
from rehearsal.holder import JANE, Holder, Refused, serving
from rehearsal.test_healthy_servers import LOGIN

WANTED = tuple(row for row in OPERATIONS if row.name in LOGIN)
SOME_PHASES = tuple(
    phase for phase in PHASES if phase.name in ("Login, consent and data", "A new key", "The new key again")
)


@dataclass
class Fetching(Holder):
    """A server that fetches keys, in its own way."""

    fetch: Callable[[], bytes] = bytes
    keys: dict[str, Any] = field(default_factory=dict)
    fetched: float = 0.0
    is_due: Callable[[Fetching], bool] = lambda _: True
    """Whether the set is fetched for an unknown kid."""
    choose: Callable[[list[dict[str, Any]]], list[dict[str, Any]]] = list
    """The keys of the set that it takes."""
    keeps: bool = False
    """Whether it keeps keys that are no longer in the set."""
    any_kid: bool = False
    is_forgetful: bool = False
    """Whether it fetches the set for each token."""

    def check_token(self, values: list[str], path: str) -> None:
        token = (values or [""])[0].partition(" ")[2]
        kid = jwt.get_unverified_header(token)["kid"]
        if not self.keys or self.is_forgetful or (kid not in self.keys and not self.any_kid and self.is_due(self)):
            self.fetched = time.monotonic()
            published = self.choose(json.loads(self.fetch())["keys"])
            found = {key["kid"]: RSAAlgorithm.from_jwk(key) for key in published}
            self.keys = {**self.keys, **found} if self.keeps else found
        self.kid, self.key = kid, self.keys.get(kid, next(iter(self.keys.values())) if self.any_kid else None)
        if self.key is None:
            self.key = next(iter(self.keys.values()))  # the holder lets all in without a key
            raise Refused(401)
        super().check_token(values, path)


FAULTS: dict[str, dict[str, Any]] = {
    "the keys are fetched once": {"is_due": lambda holder: not holder.keys},
    "the first key of the set is taken": {"choose": lambda keys: keys[:1]},
    "the last key of the set is taken": {"choose": lambda keys: keys[-1:]},
    "the first key is taken for any kid": {"any_kid": True},
}
HEALTHY: dict[str, dict[str, Any]] = {
    "fetches for an unknown kid": {},
    "fetches now and then only": {"is_due": lambda holder: time.monotonic() - holder.fetched > 0.4},
    "fetches for each token": {"is_forgetful": True},
    "keeps keys for a while": {"keeps": True},
}


async def rehearse(signer: Any, served: bool = True, **taste: Any) -> Any:
    keys = PublishedKeys(signer)
    holder = Fetching(fetch=keys.serve, key=signer, **taste)
    async with serving(holder) as url, open_caller(url, url, ISSUER, signer, seconds=10) as caller:
        caller.keys = keys if served else None
        return await run_rehearsal(caller, Plan(WANTED, (JANE,), attacks=False), phases=SOME_PHASES)


@pytest.fixture(autouse=True)
def short_cooldown(monkeypatch):
    monkeypatch.setattr(rotation, "COOLDOWN", 1.0)
    monkeypatch.setattr(rotation, "POLL", 0.3)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
def test_a_server_that_does_not_learn_new_keys_is_found(name, signer, find_causes):
    report = asyncio.run(rehearse(signer, **FAULTS[name]))
    assert find_causes(report, "new-key-accepted") == ["new-key-accepted"]
    (failure,) = [each for row in report.failed_results for each in row.failures if row.rule is rotation.NEW_KEY]
    assert ("not fetched again" in failure.observed) == (name in ("the keys are fetched once", list(FAULTS)[-1]))
    assert ("second key" in failure.observed) == ("last" in name)


@pytest.mark.slow
@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_server_has_no_finding(name, signer):
    report = asyncio.run(rehearse(signer, **HEALTHY[name]))
    assert report.failed_results == []
    verdicts = {row.rule.name: row.verdict for row in report.results}
    assert verdicts["new-key-accepted"] == "passed"
    assert verdicts["withdrawn-key"] == ("passed" if "each token" in name else "skipped")


@pytest.mark.slow
def test_a_rehearsal_that_does_not_serve_the_keys_says_so(signer):
    report = asyncio.run(rehearse(signer, served=False))
    assert report.failed_results == []
    assert {row.skipped for row in report.results if "key" in row.rule.name} == {
        "the rehearsal does not serve the keys"
    }
