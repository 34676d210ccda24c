"""The answer to what is no request: nothing has been routed, but the caller and the log are told as of any other."""

from __future__ import annotations

import time
import uuid
from http.client import responses

from tornado.httputil import format_timestamp

from openholder.contract.errors import ErrorKind, RequestError
from openholder.edge.heads import BadRequest
from openholder.serving.journal import Entry, Journal


def answer_refusal(journal: Journal, refusal: BadRequest, ip: str) -> bytes:
    """Record the refusal, and return the whole answer. The connection must be closed after it."""
    interaction_id = str(uuid.uuid4())
    kind = ErrorKind.BODY_TOO_LARGE if refusal.status == 413 else ErrorKind.NOT_HTTP
    body = RequestError(kind).make_body(urns=True, sector="", interaction_id=interaction_id)
    head = (
        f"HTTP/1.1 {refusal.status} {responses[refusal.status]}\r\n"
        "Content-Type: application/json; charset=UTF-8\r\n"
        "Cache-Control: no-store\r\n"
        "X-Content-Type-Options: nosniff\r\n"
        f"x-fapi-interaction-id: {interaction_id}\r\n"
        f"Date: {format_timestamp(time.time())}\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n"
    )
    journal.record(
        Entry(
            method="other",
            route="unknown",
            operation="",
            interaction_id=interaction_id,
            ip=ip,
            status=refusal.status,
            size=len(body),
            reason=refusal.reason,
        )
    )
    return head.encode() + body
