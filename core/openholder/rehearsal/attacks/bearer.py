"""Attacks on the transport of the token: one compact JWT in one Authorization header, and nowhere else."""

from __future__ import annotations

from functools import partial

from openholder.rehearsal.attacks.target import Attack, Target, is_accepted, is_rejected
from openholder.rehearsal.exchange import Request
from openholder.rehearsal.results import Rule

_AUTH = "Authorization"
_RFC6750 = "RFC 6750 section 2.1; Fiskil, resource server guide"

NEEDED = Rule(
    name="token-needed",
    severity="critical",
    expected="A request without a token is refused with 401 or 403.",
    why="Anyone on the internet could read everybody's data.",
    reference=_RFC6750,
    how_to_fix="Check the token before routing, for every path, and refuse requests without one.",
    example="GET /auth/v1/customer/{customerId} (without a token): 200 with data",
)
SCHEME = Rule(
    name="token-scheme",
    severity="warning",
    expected="A token sent with a scheme other than Bearer is refused.",
    why="The server takes anything after the first space for a token; other schemes promise checks that it lacks.",
    reference="RFC 9110 section 11.6.2; RFC 6750 section 2.1",
    how_to_fix="Compare the scheme with Bearer, ignoring case, before reading the token.",
    example="GET /auth/v1/customer/{customerId} (a valid token as DPoP): 200 with data",
)
ANY_CASE = Rule(
    name="scheme-any-case",
    severity="warning",
    expected="bearer and BEARER are accepted like Bearer.",
    why="A proxy or a new client library may change the case; then every request fails.",
    reference="RFC 9110 section 11.1: schemes are case-insensitive",
    how_to_fix="Compare the scheme in lower case.",
    example="GET /auth/v1/customer/{customerId} (the scheme as bearer): 401",
)
IN_HEADER = Rule(
    name="token-in-header-only",
    severity="error",
    expected="A token in the query string is ignored: the request is refused like one without a token.",
    why="Proxies and servers log query strings, and any token in them.",
    reference="RFC 9700 section 4.3.2; FAPI 1.0 part 1 section 6.2.1",
    how_to_fix="Read only the Authorization header; disable other token locations in the library.",
    example="GET /auth/v1/customer/{customerId} (a valid token in the query as access_token): 200 with data",
)
ONE = Rule(
    name="one-token",
    severity="warning",
    expected="A request with two tokens is refused with 400, 401 or 403.",
    why="A proxy may check one token and the server use the other.",
    reference="RFC 6750 section 3.1: invalid_request; RFC 9110 section 5.3",
    how_to_fix="Refuse requests with several Authorization headers, or with several tokens in one.",
    example="GET /auth/v1/customer/{customerId} (two headers, the valid token first): 200 with data",
)
COMPACT = Rule(
    name="compact-form",
    severity="error",
    expected="Only the compact serialization of a signed JWT is accepted: three parts.",
    why="Libraries that guess the serialization have been tricked into skipping the signature.",
    reference="RFC 7519 section 3; RFC 7515 section 7.1",
    how_to_fix="Check for exactly three base64url parts before passing the token to a library.",
    example="GET /auth/v1/customer/{customerId} (five parts): 200 with data",
)
SPELLING = Rule(
    name="one-spelling",
    severity="warning",
    expected="A token with padding, or with changed unused bits in its last character, is refused.",
    why="One token then has several spellings, and a replay store keyed by the text misses the second.",
    reference="RFC 7515 section 2: trailing = omitted; RFC 4648 section 3.5",
    how_to_fix="Re-encode the decoded parts and compare; record tokens by jti, not by text.",
    example="GET /auth/v1/customer/{customerId} (padding after the signature): 200 with data",
)


def _set_authorization(target: Target, *values: str) -> Request:
    """Send one Authorization header for each value; ``{token}`` becomes a valid token."""
    token = target.build_token()
    return target.build_request(headers=tuple((_AUTH, value.replace("{token}", token)) for value in values))


def _send_as_json(target: Target) -> Request:
    """Send the flattened JSON serialization, without white space (RFC 7515 section 7.2.2)."""
    protected, payload, signature = target.build_token().split(".")
    text = f'{{"protected":"{protected}","payload":"{payload}","signature":"{signature}"}}'
    return target.build_request(headers=((_AUTH, f"Bearer {text}"),))


def _send_in_query(target: Target, name: str) -> Request:
    return target.build_request(token="", query=f"{name}={target.build_token()}")


def _append_to_token(target: Target, suffix: str) -> str:
    return target.build_token() + suffix


def _drop_signature(target: Target) -> str:
    return target.build_token().rpartition(".")[0]


def _change_unused_bits(target: Target) -> str:
    """Change the lowest bit of the last character, which is unused in signatures of common key sizes."""
    token = target.build_token()
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return token[:-1] + alphabet[alphabet.index(token[-1]) ^ 1]


MALFORMED = (400, 401, 403)
"""A malformed request may also be refused with 400 (RFC 6750 section 3.1)."""
ATTACKS = (
    # A request without a token is not malformed, so that 400 says the wrong thing (RFC 6750 section 3.1).
    Attack(
        rule=NEEDED,
        expect=is_rejected,
        attempts={"without a token": partial(Target.build_request, token="")},
    ),
    Attack(
        rule=NEEDED,
        expect=is_rejected,
        attempts={
            "an empty token": lambda target: _set_authorization(target, "Bearer "),
            "a user name and password": lambda target: _set_authorization(target, "Basic dXNlcjpwYXNz"),
            "text that is not a token": lambda target: "token",
        },
        refusals=MALFORMED,
    ),
    Attack(
        rule=SCHEME,
        expect=is_rejected,
        attempts={
            "a valid token as DPoP": lambda target: _set_authorization(target, "DPoP {token}"),
            "a valid token as Bearerx": lambda target: _set_authorization(target, "Bearerx {token}"),
            "a valid token without a scheme": lambda target: _set_authorization(target, "{token}"),
        },
        refusals=MALFORMED,
    ),
    Attack(
        rule=ANY_CASE,
        expect=is_accepted,
        attempts={
            "the scheme as bearer": lambda target: _set_authorization(target, "bearer {token}"),
            "the scheme as BEARER": lambda target: _set_authorization(target, "BEARER {token}"),
        },
    ),
    Attack(
        rule=IN_HEADER,
        expect=is_rejected,
        attempts={
            "a valid token in the query as access_token": partial(_send_in_query, name="access_token"),
            "a valid token in the query as token": partial(_send_in_query, name="token"),
        },
        refusals=MALFORMED,
    ),
    Attack(
        rule=ONE,
        expect=is_rejected,
        attempts={
            "two headers, the valid token first": lambda target: _set_authorization(
                target, "Bearer {token}", "Bearer x.y.z"
            ),
            "two headers, the valid token last": lambda target: _set_authorization(
                target, "Bearer x.y.z", "Bearer {token}"
            ),
            "two tokens in one header": lambda target: _set_authorization(target, "Bearer {token}, Bearer x.y.z"),
        },
        refusals=MALFORMED,
    ),
    Attack(
        rule=COMPACT,
        expect=is_rejected,
        attempts={
            "a valid token as JSON": _send_as_json,
            "five parts": partial(_append_to_token, suffix=".e30.e30"),
            "a valid token and a fourth part": partial(_append_to_token, suffix=".e30"),
            "two parts": _drop_signature,
        },
        refusals=MALFORMED,
    ),
    Attack(
        rule=SPELLING,
        expect=is_rejected,
        attempts={
            "padding after the signature": partial(_append_to_token, suffix="=="),
            "changed unused bits in the signature": _change_unused_bits,
        },
        refusals=MALFORMED,
    ),
)
