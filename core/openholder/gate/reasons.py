"""Why a request is refused. Callers get the same answer for every reason; only the log and the metrics show it."""

from __future__ import annotations

from enum import StrEnum

from openholder.errors import OpenholderError


class Reason(StrEnum):
    """The reasons for refusing a token, as they appear in the log and the metrics."""

    NO_TOKEN = "no_token"
    NOT_ONE_TOKEN = "not_one_token"
    EMPTY_TOKEN = "empty_token"
    TOKEN_TOO_LONG = "token_too_long"
    NOT_COMPACT_JWS = "not_compact_jws"
    NOT_CANONICAL_BASE64URL = "not_canonical_base64url"
    HEADER_NOT_JSON = "header_not_json"
    PAYLOAD_NOT_JSON = "payload_not_json"
    ALGORITHM_NOT_ALLOWED = "algorithm_not_allowed"
    KID_MALFORMED = "kid_malformed"
    CRITICAL_EXTENSION = "critical_extension"
    TYPE_NOT_ALLOWED = "type_not_allowed"
    KEY_UNKNOWN = "key_unknown"
    SIGNATURE_WRONG = "signature_wrong"
    ISSUER_WRONG = "issuer_wrong"
    SUBJECT_WRONG = "subject_wrong"
    AUDIENCE_WRONG = "audience_wrong"
    AUDIENCE_NOT_EXACT = "audience_not_exact"
    AUDIENCE_WITH_QUERY = "audience_with_query"
    AUDIENCE_OTHER_ESCAPES = "audience_other_escapes"
    EXPIRY_MALFORMED = "expiry_malformed"
    EXPIRED = "expired"
    LIFETIME_TOO_LONG = "lifetime_too_long"
    NOT_YET_VALID = "not_yet_valid"
    ISSUED_IN_FUTURE = "issued_in_future"
    ISSUED_BEFORE_RECORD = "issued_before_record"
    TOKEN_ID_MALFORMED = "token_id_malformed"
    REPLAYED = "replayed"


class Refused(OpenholderError):
    """The request is refused. ``reason`` is for the log only."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


class CannotJudge(OpenholderError):
    """The gate cannot decide, because the keys or the replay store are unavailable: 503, not 401.

    ``retry_after`` is in seconds.
    """

    def __init__(self, cause: str, *, retry_after: int = 1) -> None:
        super().__init__(cause)
        self.retry_after = retry_after
