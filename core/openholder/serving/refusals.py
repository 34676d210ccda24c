"""The answer to what is no request: nothing has been routed, but the caller and the log are told as of any other."""

from __future__ import annotations

import uuid
from http.client import responses

from openholder.contract.errors import ErrorKind, RequestError
from openholder.edge.headers import JSON_UTF8, AnswerHeaders
from openholder.edge.heads import BadRequest
from openholder.serving.journal import Entry, Journal


def answer_refusal(journal: Journal, refusal: BadRequest, ip: str) -> bytes:
    """Record the refusal, and return the whole answer. The connection must be closed after it."""
    interaction_id = str(uuid.uuid4())
    kind = ErrorKind.BODY_TOO_LARGE if refusal.status == 413 else ErrorKind.NOT_HTTP
    body = RequestError(kind).make_body(urns=True, sector="", interaction_id=interaction_id)
    headers = AnswerHeaders(JSON_UTF8, interaction_id, len(body))
    head = f"HTTP/1.1 {refusal.status} {responses[refusal.status]}\r\n{headers.lines}Connection: close\r\n\r\n"
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
