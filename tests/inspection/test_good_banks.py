"""Good data gives no error and no warning, whoever made it."""

from __future__ import annotations

import json
import re

import pytest

from helpers.lender import make_lender
from helpers.rich_bank import CUSTOMERS, make_rich_bank
from helpers.support import sample_rows, write_sqlite
from inspection.looking import look
from openholder.fiskil.sample import PERSONAS
from openholder.inspection.selection import Selection

BANKS = {"the sample data": sample_rows, "a rich bank": make_rich_bank}


@pytest.mark.slow
@pytest.mark.parametrize("selection", [Selection(all=True), Selection(number=30)], ids=["all", "sample"])
@pytest.mark.parametrize("make", BANKS.values(), ids=BANKS)
def test_a_good_bank_gives_no_error_and_no_warning(tmp_path, make, selection):
    rows = make()
    write_sqlite(tmp_path / "bank.db", rows)
    inspection = look(tmp_path, selection)
    assert [finding for finding in inspection.findings if finding.severity != "note"] == []
    looked_at = inspection.looked_at
    assert looked_at.customers == (len(rows["customers"]) if selection.all else 30)
    if selection.all:
        assert inspection.findings == []
        joint = len(rows["accounts"]) - len({row["id"] for row in rows["accounts"]})
        assert joint and looked_at.collections["accounts"] == len(rows["accounts"]) - joint


@pytest.mark.parametrize("persona", PERSONAS, ids=lambda persona: persona.case)
def test_each_persona_can_log_in_and_is_what_init_says(persona):
    rows = sample_rows()
    own = {row["id"] for row in rows["customers"] if row["email"] == persona.email}
    assert persona.customer in own | {row["customerId"] for row in rows["logins"] if row["email"] == persona.email}
    held = {row["id"]: row for row in rows["accounts"] if row["customerId"] == persona.customer}
    named = re.findall(r"acc-\d+", persona.accounts)
    assert held.keys() >= set(named) and (named or not held)
    details = {row["accountId"]: row for row in rows["banking.accounts"]}
    states = {held[name]["status"] for name in named}
    categories = {details[name]["productCategory"] for name in named if name in details}
    expected = {
        "card": {"CRED_AND_CHRG_CARDS"},
        "lease": {"LEASES"},
        "overdraft": {"OVERDRAFTS"},
        "buy now, pay later": {"BUY_NOW_PAY_LATER"},
        "loans only": {"PERS_LOANS", "LEASES"},
    }
    assert categories == expected.get(persona.case, categories)
    assert states <= {{"closed account": "closed", "blocked account": "blocked"}.get(persona.case, "open")}
    if persona.case in ("joint", "nominated representative", "secondary user"):
        users = json.loads(held[named[0]]["users"])
        holds = {user["email"]: user["isAccountHolder"] for user in users}
        assert holds[persona.email] is (persona.case == "joint") and len(users) == 2


def test_the_rich_bank_has_every_kind_of_account():
    rows = make_rich_bank()
    assert len(rows["customers"]) == CUSTOMERS
    assert {row["specificAccountUType"] for row in rows["banking.accounts"]} >= {"creditCard", "loan", "termDeposit"}
    assert {row["status"] for row in rows["accounts"]} == {"open", "closed", "blocked"}
    assert {row["customerUType"] for row in rows["common.customers"]} == {"person", "organisation"}


@pytest.mark.parametrize("selection", [Selection(all=True), Selection(number=12)], ids=["all", "sample"])
def test_a_lender_that_fills_little_gives_no_warning(tmp_path, selection):
    """Repayments are positive, fees are reversed, a loan is overpaid, and some customers have no online access."""
    write_sqlite(tmp_path / "bank.db", make_lender())
    inspection = look(tmp_path, selection)
    assert [finding for finding in inspection.findings if finding.severity != "note"] == []
    if selection.all:
        assert {finding.fault for finding in inspection.findings} == {"no-login", "positive-fee"}
