"""What is recorded of a request: a line within limits, metrics, and a word to the observers."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from openholder.serving import journal as module
from openholder.serving.journal import Entry, Journal
from openholder.sources.hookspecs import FinishedRequest


def make_entry(**members: Any) -> Entry:
    return Entry(
        **{
            "method": "GET",
            "route": "/customer/{customerId}",
            "operation": "getCustomer",
            "interaction_id": "1",
            "ip": "127.0.0.1",
            "status": 200,
            "admitted": True,
            **members,
        }
    )


@pytest.fixture
def limited(monkeypatch):
    """A journal that writes three limited lines, and no more."""
    monkeypatch.setattr(module, "LOGGED_REFUSALS", (0.0, 3))
    return Journal()


UNADMITTED = {
    "refused": {"status": 401, "reason": "expired", "admitted": False},
    "overloaded": {"status": 503, "reason": "overloaded", "admitted": False},
    "without keys": {"status": 503, "reason": "no_keys", "admitted": False},
    "broken": {"status": 500, "reason": "fault", "fault": "KeyError", "admitted": False},
    "gone": {"status": 499, "reason": "caller_went_away", "admitted": False},
    "unknown account": {"status": 404, "reason": "account_unknown"},
}


@pytest.mark.parametrize("kind", UNADMITTED)
def test_what_anybody_can_cause_does_not_fill_the_log(limited, kind):
    with capture_logs() as lines:
        for _ in range(10):
            limited.record(make_entry(**UNADMITTED[kind]))
        limited.record(make_entry())
    assert [line["status_code"] for line in lines] == [UNADMITTED[kind]["status"]] * 3 + [200]
    assert lines[-1]["unlogged_before"] == 7
    reason = {"reason": UNADMITTED[kind]["reason"]}
    assert limited.registry.get_sample_value("openholder_http_refusals_total", reason) == 10


def test_refusals_hide_no_error(limited):
    with capture_logs() as lines:
        for _ in range(10):
            limited.record(make_entry(**UNADMITTED["refused"]))
        limited.record(make_entry(**UNADMITTED["broken"]))
    assert [line["log_level"] for line in lines] == ["info"] * 3 + ["error"]


@pytest.mark.parametrize("more", [{}, {"status": 500, "fault": "source"}, {"status": 503, "reason": "source_slow"}])
def test_every_admitted_request_has_its_line(limited, more):
    with capture_logs() as lines:
        for _ in range(10):
            limited.record(make_entry(**more))
    assert len(lines) == 10


def test_a_level_that_is_not_logged_leaves_no_line_out(limited):
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("error"))
    with capture_logs() as lines:
        for _ in range(10):
            limited.record(make_entry(**UNADMITTED["refused"]))
        limited.record(make_entry(status=500, fault="source"))
    (line,) = lines
    assert "unlogged_before" not in line


def test_metrics_count_by_label():
    journal = Journal()
    for status in (200, 200, 404):
        journal.record(make_entry(status=status, seconds=0.01))
    count = journal.registry.get_sample_value
    labels = {"route": "/customer/{customerId}", "method": "GET"}
    assert count("openholder_http_requests_total", {**labels, "status": "200"}) == 2
    assert count("openholder_http_requests_total", {**labels, "status": "404"}) == 1
    assert count("openholder_http_request_seconds_count", {"route": "/customer/{customerId}"}) == 3


def test_pseudonyms_depend_on_the_key_alone():
    expected = hmac.new(b"key", b"cust-1001", hashlib.sha256).hexdigest()[:16]
    for journal in (Journal(b"key"), Journal(b"key")):
        for _ in range(2):
            with capture_logs() as lines:
                journal.record(make_entry(ids={"customerId": "cust-1001"}))
            assert lines[0]["customer_id"] == expected
            assert "account_id" not in lines[0]
    with capture_logs() as lines:
        Journal().record(make_entry(ids={"customerId": "cust-1001"}))
    assert lines[0]["customer_id"] != expected


def test_what_is_nought_is_logged_and_what_is_absent_is_not():
    entry = make_entry(size=0, ip="")
    entry.token.life = 0
    with capture_logs() as lines:
        Journal().record(entry)
    (line,) = lines
    assert (line["response_body_size"], line["token_life"]) == (0, 0)
    assert not {"ip", "kid", "alg", "jti", "fault", "error_reason", "source", "unlogged_before"} & set(line)


def test_observers_are_told_of_each_request():
    journal, events = Journal(), []
    journal.record(make_entry())
    journal.on_finished = events.append
    journal.record(make_entry(ids={"customerId": "c", "accountId": "a"}, status=404, reason="account_unknown"))
    assert events == [
        FinishedRequest(
            interaction_id="1",
            operation="getCustomer",
            method="GET",
            customer_id="c",
            account_id="a",
            status=404,
            reason="account_unknown",
            seconds=0.0,
            route="/customer/{customerId}",
            admitted=True,
            customer_ids=("c",),
            account_ids=("a",),
        )
    ]
