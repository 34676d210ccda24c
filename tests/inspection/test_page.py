"""The page of a profile: shares and ages, no values, and nothing that is loaded or run."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from datetime import date
from html.parser import HTMLParser

import pytest
from click.testing import CliRunner

from helpers.lender import make_lender
from helpers.processes import configuration
from helpers.support import SQLITE, write_sqlite
from inspection.looking import NOW, look
from openholder.cli.check import check
from openholder.inspection.findings import Finding
from openholder.inspection.page import render_page
from openholder.inspection.plots import draw_ages, draw_fill, draw_signs

HOSTILE = "\"'><script>alert(1)</script>"


class Elements(HTMLParser):
    """Collects the elements of a page, and the addresses that they name."""

    def __init__(self, page):
        super().__init__()
        self.names, self.addresses = Counter(), []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.names[tag] += 1
        self.addresses += [value for name, value in attributes if name in ("href", "src")]


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lender")
    write_sqlite(folder / "bank.db", make_lender())
    return folder


@pytest.fixture(scope="module")
def inspection(bank):
    return look(bank)


def test_the_page_has_shares_and_ages_and_no_value(inspection):
    page = render_page(inspection, (), NOW)
    text = re.sub(r"<[^>]+>", " ", page)
    assert "0 errors, 0 warnings, 2 notes" in text
    assert re.search(r"postingDateTime: newest 2 days ago, oldest 36\d days ago", text)
    assert "Offsets: Z 100%" in text
    assert "amount, FEE: 83% negative, 17% positive" in text
    assert re.search(r"valueDateTime\s+0 %", text) and re.search(r"productCategory\s+100 %\s+1 ", text)
    assert "PERS_LOANS (40)" in text
    for value in ("Borrower", "example.net", "20000", "0.0899", "Dishonour", "xxxx 00"):
        assert value not in text


def test_the_page_loads_and_runs_nothing(inspection):
    hostile = Finding("form", HOSTILE, "error", HOSTILE, HOSTILE, HOSTILE, ids=(HOSTILE,), count=1, of=1)
    elements = Elements(render_page(replace(inspection, findings=[hostile]), (), NOW))
    assert elements.names["svg"] > 20 and elements.names["script"] == 0
    assert all(address.startswith("#") for address in elements.addresses)


def test_old_records_are_drawn_by_year_and_new_ones_by_month():
    today = date(2026, 11, 22)
    assert "records by month" in draw_ages(Counter({"2026-01": 3, "2024-12": 1}), today)
    old = draw_ages(Counter({"1970-01": 1, "2026-01": 3, "9999-12": 2}), today)
    assert "records by year, and 2 later" in old and "1970" in old


@pytest.mark.parametrize(
    ("share", "text"), [(0.0, "0 %"), (0.0001, "1 %"), (0.5, "50 %"), (0.9999, "99 %"), (1.0, "100 %")]
)
def test_only_all_are_a_hundred_per_cent(share, text):
    assert f">{text}<" in draw_fill(share)


def test_shares_of_signs_are_in_words_too():
    assert "amount: 25% negative, 75% positive" in draw_signs("amount", Counter(negative=1, positive=3))


def test_the_command_writes_the_page(bank):
    path = configuration(bank, more=SQLITE, jwks_port=1)
    written = bank / "profile.html"
    result = CliRunner().invoke(check, ["-c", str(path), "--data", "--html", str(written)], standalone_mode=False)
    assert result.return_value == 0, result.output
    assert written.read_text("utf-8").startswith("<!doctype html>")


def test_the_page_needs_data():
    result = CliRunner().invoke(check, ["--html", "profile.html"])
    assert result.exit_code == 2 and "--html needs --data" in result.output
