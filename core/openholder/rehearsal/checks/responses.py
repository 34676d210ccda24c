"""What every answer owes, whatever was asked: that it comes, its headers, its media type, the form of errors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from uuid import UUID

from openholder.contract.operation import JSON, PDF
from openholder.rehearsal.caller import INTERACTION
from openholder.rehearsal.checks import Check
from openholder.rehearsal.exchange import OK, Exchange, get_member, redact_word
from openholder.rehearsal.results import Rule

REFUSED = "X-Sharing-Refused"

ANSWERED = Rule(
    name="answered",
    severity="error",
    expected="Every request is answered within the time limit.",
    why="Fiskil gives up, and the recipient gets an error.",
    reference="Consumer Data Standards, non-functional requirements",
    how_to_fix="Look for a handler that hangs, a worker that died, or a time limit that is missing on a data source.",
)
NO_FAULT = Rule(
    name="no-server-fault",
    severity="error",
    expected="No request leads to 500 or another fault of the server, however odd it is.",
    why="Odd requests come from the internet; a fault that they cause can be caused at will.",
    reference="RFC 9110 section 15.6; Consumer Data Standards, HTTP response codes",
    how_to_fix="Look up the interaction id in the log; check what comes in before it is used.",
)
MEDIA = Rule(
    name="media-type",
    severity="error",
    expected="JSON is sent as application/json, a document as application/pdf.",
    why="Clients refuse to read what is called otherwise.",
    reference="Consumer Data Standards, HTTP headers: Content-Type; RFC 9110 section 8.3",
    how_to_fix="Set the Content-Type of data and of errors alike.",
)
STRICT_JSON = Rule(
    name="strict-json",
    severity="error",
    expected="JSON can be read in one way only: UTF-8, no repeated member names, no NaN.",
    why="Two readers see two different answers, or none.",
    reference="RFC 8259 sections 4, 6 and 8.1",
    how_to_fix="Write JSON with a library; never put it together from strings.",
)
SAME_INTERACTION = Rule(
    name="interaction-id",
    severity="error",
    expected="x-fapi-interaction-id comes back with every answer: the request's own where it is a UUID.",
    why="Without it nobody can find a failed request in both logs.",
    reference="Consumer Data Standards, HTTP headers: x-fapi-interaction-id",
    how_to_fix="Copy the header into every response, errors and refusals too.",
)
ERROR_FORM = Rule(
    name="error-form",
    severity="error",
    expected='Errors have the form {"errors": [{"code", "title", "detail"}]}, in JSON.',
    why="The recipient cannot tell why it was refused; a page of HTML may show internals.",
    reference="Fiskil, errors; Consumer Data Standards, error responses",
    how_to_fix="Answer errors through one function, also those of the framework (404, 405, 413, 500).",
)
NO_INTERNALS = Rule(
    name="no-internals",
    severity="critical",
    expected="No answer shows a stack trace, a file name of the server or a statement to a database.",
    why="It tells an attacker where to begin, and may quote somebody's data.",
    reference="OWASP ASVS 5.0, section 16.5: generic messages on errors",
    how_to_fix="Switch debug mode off; answer faults with a fixed text and log the rest.",
)
REFUSAL_HEADER = Rule(
    name="sharing-refused-header",
    severity="error",
    expected="X-Sharing-Refused stands on refusals to share (403, 404, 422) and nowhere else.",
    why="It is counted for the regulator: data or a failed authentication must not be reported as a refusal.",
    reference="Fiskil, errors: X-Sharing-Refused",
    how_to_fix="Set the header if the account is blocked or sharing would do harm; never in a filter for all errors.",
)
NOT_KEPT = Rule(
    name="not-publicly-cacheable",
    severity="error",
    expected="Data is not said to be for caches that several people share.",
    why="A proxy hands one customer's data to whoever asks next.",
    reference="RFC 9111 section 5.2.2: public, s-maxage",
    how_to_fix="Send Cache-Control: no-store with every answer.",
)
_TRACES = re.compile(
    rb"Traceback \(most recent|Exception in thread|goroutine \d+ \[|node_modules/|SQLSTATE|\bORA-\d{5}\b"
    rb"|\bat [\w.$<>]+[^\n]{0,200}:\d+\)|\.(?:js|ts|py|java|cs|go|rb|php)\W{1,4}(?:line )?\d+"
    rb"|\b[A-Z]\w*(?:Exception|Error): |(?i:\bselect\b[^{}]{1,200}\bfrom\b)|\b\d{1,3}(?:\.\d{1,3}){3}:\d{2,5}\b"
)
"""What traces, statements and addresses of other machines look like, whatever the server is written in."""
_REFUSALS = {403, 404, 422}
_NO_FAULTS = {501, 503}
"""A method that the server does not know (RFC 9110 section 9.1), and too much to do."""


def _unanswered(exchange: Exchange) -> Iterator[str]:
    if exchange.transport_error:
        yield exchange.transport_error


def _faulty(exchange: Exchange) -> Iterator[str]:
    if exchange.status >= 500 and exchange.status not in _NO_FAULTS:
        yield exchange.status_text


def _other_media(exchange: Exchange) -> Iterator[str]:
    operation = exchange.request.operation
    wanted = operation.reply.media if operation and exchange.is_ok else JSON
    if exchange.content and exchange.media_type != wanted:
        yield f"{redact_word(exchange.media_type) or 'no Content-Type'} with status {exchange.status}"
    elif wanted == PDF and not exchange.content.startswith(b"%PDF-"):
        yield "something that is no PDF"


def _unreadable(exchange: Exchange) -> Iterator[str]:
    operation = exchange.request.operation
    if exchange.json_error:
        yield f"status {exchange.status}: {exchange.json_error}"
    elif exchange.is_ok and operation and operation.reply.media == JSON and exchange.json is None:
        yield f"no JSON with status {exchange.status}"


def _other_interaction(exchange: Exchange) -> Iterator[str]:
    came = exchange.headers.get(INTERACTION, "")
    if _is_uuid(exchange.interaction_id) and came.lower() != exchange.interaction_id.lower():
        yield f"{'another one' if came else 'none'} with status {exchange.status}"
    elif not _is_uuid(came):
        yield f"{'something that is no UUID' if came else 'none'} with status {exchange.status}"


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False


def _other_form(exchange: Exchange) -> Iterator[str]:
    errors = get_member(exchange.json, "errors")
    if not isinstance(errors, list) or not errors:
        media_type = redact_word(exchange.media_type) or "no Content-Type"
        yield f"{media_type} without a list `errors`, status {exchange.status}"
        return
    for number, error in enumerate(errors):
        for name in ("code", "title", "detail"):
            if not isinstance(get_member(error, name), str):
                yield f"errors[{number}] without the text `{name}`, status {exchange.status}"


def _internals(exchange: Exchange) -> Iterator[str]:
    if _TRACES.search(exchange.content):
        yield f"what looks like a stack trace or statement, status {exchange.status}"


def _misplaced(exchange: Exchange) -> Iterator[str]:
    if REFUSED in exchange.headers and exchange.status not in _REFUSALS:
        yield f"the header with status {exchange.status}"


def _kept(exchange: Exchange) -> Iterator[str]:
    directives = re.split(r"[\s,=]+", exchange.headers.get("Cache-Control", "").lower())
    yield from (f"Cache-Control: {name}" for name in ("public", "s-maxage") if name in directives)


def _has_data(exchange: Exchange) -> bool:
    return exchange.is_ok


def _answer_came(exchange: Exchange) -> bool:
    return not exchange.transport_error


def _has_error(exchange: Exchange) -> bool:
    return exchange.status >= 400 and exchange.request.method != "HEAD"


def _has_body(exchange: Exchange) -> bool:
    return exchange.request.method != "HEAD" and (exchange.status == OK or _has_error(exchange))


RESPONSE_CHECKS = (
    Check(ANSWERED, _unanswered),
    Check(NO_FAULT, _faulty, _answer_came),
    Check(MEDIA, _other_media, _has_body),
    Check(STRICT_JSON, _unreadable, _has_body),
    Check(SAME_INTERACTION, _other_interaction, _answer_came),
    Check(ERROR_FORM, _other_form, _has_error),
    Check(NO_INTERNALS, _internals, _has_error),
    Check(REFUSAL_HEADER, _misplaced, _answer_came),
    Check(NOT_KEPT, _kept, _has_data),
)
"""On every exchange there was, those of the attacks too."""
