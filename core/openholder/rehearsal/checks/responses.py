"""Checks of every response, whatever the request: that it arrives, its headers, media type and form of errors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from uuid import UUID

from openholder.contract.operation import JSON, PDF
from openholder.rehearsal.checks import Check
from openholder.rehearsal.exchange import INTERACTION, OK, REFUSED, Exchange, get_member, redact_word
from openholder.rehearsal.results import Rule

ANSWERED = Rule(
    name="answered",
    severity="error",
    expected="Every request is answered within the time limit.",
    why="Fiskil gives up, and the recipient gets an error.",
    reference="Consumer Data Standards, non-functional requirements",
    how_to_fix="Look for a handler that hangs, a worker that died, or a data source without a time limit.",
    example="GET …/accounts/{accountId}/transactions: no response in time",
)
NO_SERVER_FAULT = Rule(
    name="no-server-fault",
    severity="error",
    expected="No request, however odd, is answered with 500 or another server error.",
    why="Odd requests arrive from the internet; anyone can cause such an error at will.",
    reference="RFC 9110 section 15.6; Consumer Data Standards, HTTP response codes",
    how_to_fix="Search the log for the interaction id; validate all input before using it.",
    example="GET /auth/v1/customer/{customerId} (an unknown customerId): 500",
)
MEDIA_TYPE = Rule(
    name="media-type",
    severity="error",
    expected="JSON is sent as application/json, a document as application/pdf.",
    why="Clients refuse to read content of another media type.",
    reference="Consumer Data Standards, HTTP headers: Content-Type; RFC 9110 section 8.3",
    how_to_fix="Set the Content-Type of data and of errors.",
    example="POST /auth/v1/customer/search: text/plain with status 200",
)
STRICT_JSON = Rule(
    name="strict-json",
    severity="error",
    expected="JSON is unambiguous: UTF-8, no repeated member names, no NaN.",
    why="Two parsers read two different responses, or none.",
    reference="RFC 8259 sections 4, 6 and 8.1",
    how_to_fix="Write JSON with a library; never assemble it from strings.",
    example="POST /auth/v1/customer/search: status 200: a member name is repeated",
)
INTERACTION_ID = Rule(
    name="interaction-id",
    severity="error",
    expected="Every response has an x-fapi-interaction-id: that of the request, if it is a UUID.",
    why="Without it nobody can find a failed request in the logs of both sides.",
    reference="Consumer Data Standards, HTTP headers: x-fapi-interaction-id",
    how_to_fix="Copy the header into every response, including errors and refusals.",
    example="GET …/accounts/{accountId}/transactions: another id with status 200",
)
ERROR_FORM = Rule(
    name="error-form",
    severity="error",
    expected='Errors have the form {"errors": [{"code", "title", "detail"}]}, in JSON.',
    why="The recipient cannot tell why the request was refused; an HTML page may reveal internals.",
    reference="Fiskil, errors; Consumer Data Standards, error responses",
    how_to_fix="Send all errors through one function, including those of the framework (404, 405, 413, 500).",
    example="GET /auth/v1/customer/{customerId} (an unknown customerId): application/json without a list `errors`,"
    " status 404",
)
ERROR_STATUS = Rule(
    name="error-status",
    severity="error",
    expected="An error has the status of an error: 4xx or 5xx.",
    why="Fiskil passes a body with status 200 on as data.",
    reference="Fiskil, errors; RFC 9110 section 15",
    how_to_fix="Set the status where the error is written.",
    example="GET …/accounts/{accountId}/transactions (an unknown accountId): a list `errors` with status 200",
)
SUCCESS_STATUS = Rule(
    name="success-status",
    severity="error",
    expected="Whatever is not an error has the status 200, an empty list too.",
    why="The contract has no other status: Fiskil may take 201 or 204 for an error, or for no answer.",
    reference="Fiskil, reference pages: 200; Consumer Data Standards, HTTP response codes",
    how_to_fix="Answer with 200 and a body; let no framework turn an empty list into 204.",
    example="GET …/accounts/{accountId}/transactions: 204",
)
NO_INTERNALS = Rule(
    name="no-internals",
    severity="critical",
    expected="No error contains a stack trace, a file name of the server or a database statement.",
    why="It shows an attacker where to begin, and may contain customer data.",
    reference="OWASP ASVS 5.0, section 16.5: generic messages on errors",
    how_to_fix="Disable debug mode; answer server errors with a fixed text and log the details.",
    example="GET …/accounts/{accountId}/transactions: text that looks like a stack trace or statement, status 404",
)
REFUSAL_HEADER = Rule(
    name="sharing-refused-header",
    severity="error",
    expected="X-Sharing-Refused is present on refusals to share only (403, 404, 422).",
    why="Its count goes to the regulator: data and failed authentication must not be reported as refusals.",
    reference="Fiskil, errors: X-Sharing-Refused",
    how_to_fix="Set the header if the account is blocked or sharing would do harm; never in a filter for all errors.",
    example="GET …/accounts/{accountId}/transactions: the header with status 200",
)
NOT_CACHEABLE = Rule(
    name="not-publicly-cacheable",
    severity="error",
    expected="Responses with data do not allow shared caches to store them.",
    why="A proxy returns one customer's data to the next caller.",
    reference="RFC 9111 section 5.2.2: public, s-maxage",
    how_to_fix="Send Cache-Control: no-store with every response.",
    example="GET …/accounts/{accountId}/transactions: Cache-Control: public",
)
_INTERNALS = re.compile(
    rb"Traceback \(most recent|Exception in thread|goroutine \d+ \[|node_modules/|SQLSTATE|\bORA-\d{5}\b"
    rb"|\bat [\w.$<>]+[^\n]{0,200}:\d+\)|\.(?:js|ts|py|java|cs|go|rb|php)\W{1,4}(?:line )?\d+"
    rb"|\b[A-Z]\w*(?:Exception|Error): |(?i:\bselect\b[^{}]{1,200}\bfrom\b)|\b\d{1,3}(?:\.\d{1,3}){3}:\d{2,5}\b"
)
"""Stack traces, SQL statements and addresses of other machines, in the forms of common languages."""
_REFUSALS = {403, 404, 422}
NOT_FAULTS = {501, 503}
"""An unknown method (RFC 9110 section 9.1), and too much load."""


def _find_missing_response(exchange: Exchange) -> Iterator[str]:
    if exchange.transport_error:
        yield exchange.transport_error


def _find_server_fault(exchange: Exchange) -> Iterator[str]:
    if exchange.status >= 500 and exchange.status not in NOT_FAULTS:
        yield exchange.status_text


def _find_wrong_media_type(exchange: Exchange) -> Iterator[str]:
    operation = exchange.request.operation
    expected = operation.reply.media if operation and exchange.is_ok else JSON
    if exchange.content and exchange.media_type != expected:
        yield f"{redact_word(exchange.media_type) or 'no Content-Type'} with status {exchange.status}"
    elif expected == PDF and not exchange.content.startswith(b"%PDF-"):
        yield "content that is not a PDF"


def _find_bad_json(exchange: Exchange) -> Iterator[str]:
    operation = exchange.request.operation
    if exchange.is_ok and not exchange.content and operation and operation.collection == "fdx.payment_networks":
        return  # Fiskil, payment networks: so is a restricted account answered
    if exchange.json_error:
        yield f"status {exchange.status}: {exchange.json_error}"
    elif exchange.is_ok and operation and operation.reply.media == JSON and exchange.json is None:
        yield f"no JSON with status {exchange.status}"


def _find_wrong_interaction_id(exchange: Exchange) -> Iterator[str]:
    received = exchange.headers.get(INTERACTION, "")
    if _is_uuid(exchange.interaction_id) and received.lower() != exchange.interaction_id.lower():
        yield f"{'another id' if received else 'no id'} with status {exchange.status}"
    elif not _is_uuid(received):
        yield f"{'an id that is not a UUID' if received else 'no id'} with status {exchange.status}"


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False


def _find_wrong_error_form(exchange: Exchange) -> Iterator[str]:
    errors = get_member(exchange.json, "errors")
    if not isinstance(errors, list) or not errors:
        media_type = redact_word(exchange.media_type) or "no Content-Type"
        yield f"{media_type} without a list `errors`, status {exchange.status}"
        return
    for number, error in enumerate(errors):
        for name in ("code", "title", "detail"):
            if not isinstance(get_member(error, name), str):
                yield f"errors[{number}] has no string `{name}`, status {exchange.status}"


def _find_error_as_data(exchange: Exchange) -> Iterator[str]:
    if isinstance(get_member(exchange.json, "errors"), list):
        yield "a list `errors` with status 200"


def _find_other_success(exchange: Exchange) -> Iterator[str]:
    if exchange.request.is_ordinary and OK < exchange.status < 400:
        yield str(exchange.status)


def _find_internals(exchange: Exchange) -> Iterator[str]:
    if _INTERNALS.search(exchange.content):
        yield f"text that looks like a stack trace or statement, status {exchange.status}"


def _find_misplaced_header(exchange: Exchange) -> Iterator[str]:
    if REFUSED in exchange.headers and exchange.status not in _REFUSALS:
        yield f"the header with status {exchange.status}"


def _find_public_caching(exchange: Exchange) -> Iterator[str]:
    directives = re.split(r"[\s,=]+", exchange.headers.get("Cache-Control", "").lower())
    yield from (f"Cache-Control: {name}" for name in ("public", "s-maxage") if name in directives)


def _is_ok(exchange: Exchange) -> bool:
    return exchange.is_ok


def _is_answered(exchange: Exchange) -> bool:
    return not exchange.transport_error


def _is_error(exchange: Exchange) -> bool:
    return exchange.status >= 400 and exchange.request.method != "HEAD"


def _has_body(exchange: Exchange) -> bool:
    return exchange.request.method != "HEAD" and (exchange.status == OK or _is_error(exchange))


RESPONSE_CHECKS = (
    Check(ANSWERED, _find_missing_response),
    Check(NO_SERVER_FAULT, _find_server_fault, _is_answered),
    Check(MEDIA_TYPE, _find_wrong_media_type, _has_body),
    Check(STRICT_JSON, _find_bad_json, _has_body),
    Check(INTERACTION_ID, _find_wrong_interaction_id, _is_answered),
    Check(ERROR_FORM, _find_wrong_error_form, _is_error),
    Check(ERROR_STATUS, _find_error_as_data, _is_ok),
    Check(SUCCESS_STATUS, _find_other_success, _is_answered),
    Check(NO_INTERNALS, _find_internals, _is_error),
    Check(REFUSAL_HEADER, _find_misplaced_header, _is_answered),
    Check(NOT_CACHEABLE, _find_public_caching, _is_ok),
)
"""Run on every exchange, including those of probes and attacks."""
