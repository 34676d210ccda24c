"""The fields of log lines, as one table. ``docs/operations.md`` prints it."""

from __future__ import annotations

from typing import NamedTuple


class LogField(NamedTuple):
    """One field: in which lines it is, what it means, and how it looks."""

    name: str
    lines: str
    meaning: str
    example: str


LOG_FIELDS = (
    LogField("event", "all", "What happened; `request` is the line of a request", "request"),
    LogField("level", "all", "`info`, `warning`, `error` or `critical`", "info"),
    LogField("logger", "all", "The part that says so", "openholder"),
    LogField("timestamp", "all", "When, in UTC", "2026-10-01T09:30:00.123456Z"),
    LogField("worker", "all, with several workers", "The number of the worker; the parent has none", "0"),
    LogField("unlogged_before", "all", "Lines that a limit has left out since the last one", "7"),
    LogField("error", "of libraries", "The type of an exception, never its text", "OSError"),
    LogField("lines", "`log lines lost`", "Lines that nobody read", "120"),
    LogField("fapi_interaction_id", "request", "The header of request and response; Fiskil has it too", "2d3b5d1e-…"),
    LogField("method", "request", "The HTTP method", "GET"),
    LogField("route_pattern", "request", "The path template, never the path", "/auth/v1/customer/{customerId}"),
    LogField("status_code", "request", "The HTTP status; 499 if the caller went away", "200"),
    LogField("latency_ms", "request", "Milliseconds from the head of the request to the answer", "3.42"),
    LogField("response_body_size", "request", "Bytes of the body", "1184"),
    LogField("error_reason", "request, refused", "Why there is no data", "account_refused"),
    LogField("fault", "request, 500", "What failed: types, places and members, never values", "KeyError at …"),
    LogField("record_id", "request, 500", "The pseudonym of the record at fault, or of its owner", "9f2c…"),
    LogField("customer_id", "request", "The pseudonym of the customer in the URL", "5b1d…"),
    LogField("account_id", "request", "The pseudonym of the account in the URL", "c07a…"),
    LogField("ip", "request", "The address of the caller", "203.0.113.9"),
    LogField("kid", "request", "The key that the token names", "k1"),
    LogField("alg", "request", "The signature", "PS256"),
    LogField("jti", "request", "A digest of the token's id", "8a31c5e0f2b7"),
    LogField("token_life", "request", "Seconds until the token expires", "287"),
    LogField("source", "request", "The name of the source", "bank"),
    LogField("trace_id", "request, with `tracing`", "The id of the trace of OpenTelemetry", "4bf92f35…"),
    LogField("collection", "`condition broken`", "The collection of the records", "banking.accounts"),
    LogField("member", "`condition broken`", "The member that is wrong", "creditCard"),
    LogField("severity", "`condition broken`", "`error` or `warning`", "error"),
    LogField("wanted", "`condition broken`", "What the standard wants", "…"),
    LogField("reference", "`condition broken`", "Where the standard says so", "CDS 1.36.0 …"),
    LogField("records", "`condition broken`", "Records with it since the last such line", "12"),
)
"""All fields, in the order of the page."""
