"""Attacks on the claims of tokens with a valid signature: issuer, subject, times and token id."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from functools import partial

from openholder.rehearsal.attacks.target import Attack, RequestBuilder, Target, is_accepted, is_rejected
from openholder.rehearsal.results import Rule

_GUIDE = "Fiskil, resource server guide: the checks on the JWT"
OTHER = "other-bank.cdr.fiskil.example"
"""Another data holder."""

EXPIRED = Rule(
    name="exp",
    severity="critical",
    expected="A token without exp, or with an exp long past, is refused.",
    why="Otherwise an old token, found in a log for example, works forever.",
    reference=f"{_GUIDE}; RFC 7519 section 4.1.4",
    how_to_fix="Require exp and compare it with the clock; a tolerance of 30 seconds is enough.",
    example="GET /auth/v1/customer/{customerId} (exp an hour ago): 200 with data",
)
OVERDUE = Rule(
    name="exp-tolerance",
    severity="warning",
    expected="A token is refused more than 30 seconds after its exp.",
    why="By then the replay store may have forgotten the token.",
    reference="Fiskil, resource server guide: a clock tolerance of 30 seconds",
    how_to_fix="Set the tolerance to 30 seconds, and store each jti until exp plus the tolerance.",
    example="GET /auth/v1/customer/{customerId} (exp 35 seconds ago): 200 with data",
)
TOLERANT = Rule(
    name="clock-tolerance",
    severity="warning",
    expected="A token is accepted if its times are off by 10 seconds.",
    why="Clocks differ by seconds. Without a tolerance, valid requests fail now and then for no visible reason.",
    reference="Fiskil, resource server guide: a clock tolerance of 30 seconds; FAPI 2.0 section 5.3.2.1",
    how_to_fix="Configure a tolerance of 30 seconds in the library, for exp, nbf and iat alike.",
    example="GET /auth/v1/customer/{customerId} (exp 10 seconds ago): 401",
)
NOT_BEFORE = Rule(
    name="nbf",
    severity="error",
    expected="A token with an nbf 50 minutes ahead is refused.",
    why="Otherwise tokens that were issued in advance can be used at once.",
    reference="RFC 7519 section 4.1.5: must not be accepted before nbf",
    how_to_fix="If a token has nbf, compare it with the clock.",
    example="GET /auth/v1/customer/{customerId} (nbf in 50 minutes): 200 with data",
)
ISSUED = Rule(
    name="iat",
    severity="warning",
    expected="A token with an iat 50 minutes ahead is refused.",
    why="It cannot be genuine: a clock is wrong, or the token is forged.",
    reference="FAPI 2.0 section 5.3.2.1: more than 60 seconds ahead is refused",
    how_to_fix="If a token has iat, compare it with the clock: the library may not.",
    example="GET /auth/v1/customer/{customerId} (iat in 50 minutes): 200 with data",
)
NUMBERS = Rule(
    name="time-types",
    severity="warning",
    expected="A token whose exp or nbf is not a number is refused.",
    why="Libraries convert such values to different times.",
    reference="RFC 7519 section 2: NumericDate is a JSON number",
    how_to_fix="Check the types of exp, nbf and iat before their values.",
    example="GET /auth/v1/customer/{customerId} (exp as a string): 200 with data",
)
LIFETIME = Rule(
    name="lifetime",
    severity="warning",
    expected="A token that is valid for ten years is refused.",
    why="Its jti would have to be stored for ten years; otherwise the token can be replayed.",
    reference="RFC 9700 section 2.2; Fiskil, resource server guide: tokens are short-lived",
    how_to_fix="Refuse tokens with an exp more than one hour ahead.",
    example="GET /auth/v1/customer/{customerId} (exp in ten years): 200 with data",
)
ISSUER = Rule(
    name="iss",
    severity="critical",
    expected="A token without iss, or with the iss of another issuer, is refused.",
    why="Otherwise tokens for another data holder are accepted here.",
    reference=f"{_GUIDE}: iss; RFC 8725 section 3.8",
    how_to_fix="Require iss, and compare the whole string with the configured value.",
    example="GET /auth/v1/customer/{customerId} (iss of another data holder): 200 with data",
)
SUBJECT = Rule(
    name="sub",
    severity="error",
    expected="A token without sub, or with another sub, is refused.",
    why="Otherwise tokens that were issued for another purpose are accepted.",
    reference=f"{_GUIDE}: sub; RFC 8725 section 3.8",
    how_to_fix="Require sub, and compare the whole string with the configured value, as for iss.",
    example="GET /auth/v1/customer/{customerId} (no sub): 200 with data",
)
TOKEN_ID = Rule(
    name="jti",
    severity="error",
    expected="A token without a jti is refused.",
    why="Without a jti a token cannot be recorded as used, so it can be replayed.",
    reference=f"{_GUIDE}: jti; RFC 7519 section 4.1.7",
    how_to_fix="Require jti: a string that is not empty.",
    example="GET /auth/v1/customer/{customerId} (no jti): 200 with data",
)
ANY_TOKEN_ID = Rule(
    name="jti-any-form",
    severity="error",
    expected="A jti is accepted in any form, such as a short text, one with signs, or one of 200 characters.",
    why="Fiskil may change how it makes them at any time; then every request fails.",
    reference="RFC 7519 section 4.1.7: a case-sensitive string, of no particular form",
    how_to_fix="Check that jti is a string that is not empty; do not expect a UUID.",
    example="GET /auth/v1/customer/{customerId} (a jti that is not a UUID): 401",
)
GOOD = Rule(
    name="good-token",
    severity="error",
    expected="A valid token is accepted together with additional claims and headers.",
    why="Fiskil may add a claim or a header at any time; then every request fails.",
    reference="RFC 7519 section 4: claims that are not understood are ignored; Consumer Data Standards, HTTP headers",
    how_to_fix="Ignore unknown claims and headers; refuse a token only for the reasons that the guide lists.",
    example="GET /auth/v1/customer/{customerId} (unknown claims): 401",
)
HEADERS = (
    ("x-v", "1"),
    ("x-min-v", "1"),
    ("x-fapi-auth-date", "Tue, 10 Nov 2026 10:00:00 GMT"),
    ("x-fapi-customer-ip-address", "2001:db8::1"),
    ("User-Agent", "rehearsal"),
)


def _shift_times(target: Target, seconds: float, *names: str) -> str:
    """Set these claims to the current time plus this number of seconds."""
    return target.build_token(**dict.fromkeys(names, int(time.time()) + seconds))


def _send_milliseconds(name: str, target: Target) -> str:
    """Write a time as JavaScript does: as seconds it is some fifty thousand years ahead."""
    return target.build_token(**{name: int(time.time()) * 1000})


def _build_year_old_token(target: Target) -> str:
    now = int(time.time())
    return target.build_token(exp=now - 86_400 * 365, iat=now - 86_400 * 366)


def _convert_exp(convert: Callable[[int], object], target: Target) -> str:
    return target.build_token(exp=convert(int(time.time()) + 300))


def _rewrite_issuer(name: str, rewrite: Callable[[str], object], target: Target) -> str:
    """Set the claim of this name to a rewritten issuer."""
    return target.build_token(**{name: rewrite(target.issuer)})


def _list_wrong_issuers(name: str) -> dict[str, RequestBuilder]:
    """Return attempts in which a claim only resembles the issuer."""
    rewrites: dict[str, Callable[[str], object]] = {
        f"no {name}": lambda issuer: None,
        f"{name} of another data holder": lambda issuer: OTHER,
        f"{name} with a suffix": lambda issuer: f"{issuer}.example",
        f"{name} with a prefix": lambda issuer: f"x{issuer}",
        f"{name} without its last character": lambda issuer: issuer[:-1],
        f"{name} in the opposite case": str.swapcase,
        f"{name} in a list": lambda issuer: [issuer],
    }
    return {note: partial(_rewrite_issuer, name, rewrite) for note, rewrite in rewrites.items()}


ATTACKS = (
    Attack(
        rule=EXPIRED,
        expect=is_rejected,
        attempts={
            "exp an hour ago": lambda target: _shift_times(target, -3600, "exp"),
            "exp a year ago": _build_year_old_token,
            "no exp": partial(Target.build_token, exp=None),
        },
    ),
    Attack(
        rule=OVERDUE,
        expect=is_rejected,
        attempts={"exp 35 seconds ago": lambda target: _shift_times(target, -35, "exp")},
        implied_by=EXPIRED,
    ),
    Attack(
        rule=TOLERANT,
        expect=is_accepted,
        attempts={
            "exp 10 seconds ago": lambda target: _shift_times(target, -10, "exp"),
            "iat and nbf in 10 seconds": lambda target: _shift_times(target, 10, "iat", "nbf"),
        },
    ),
    Attack(
        rule=NOT_BEFORE,
        expect=is_rejected,
        attempts={
            "nbf in 50 minutes": lambda target: _shift_times(target, 3000, "nbf"),
            "nbf in milliseconds": partial(_send_milliseconds, "nbf"),
        },
    ),
    Attack(
        rule=ISSUED,
        expect=is_rejected,
        attempts={
            "iat in 50 minutes": lambda target: _shift_times(target, 3000, "iat"),
            "iat in milliseconds": partial(_send_milliseconds, "iat"),
        },
    ),
    Attack(
        rule=NUMBERS,
        expect=is_rejected,
        attempts={
            "exp as a string": partial(_convert_exp, str),
            "exp in a list": partial(_convert_exp, lambda exp: [exp]),
            "nbf as a string": partial(Target.build_token, nbf="now"),
        },
        implied_by=EXPIRED,
    ),
    Attack(
        rule=LIFETIME,
        expect=is_rejected,
        attempts={
            "exp in ten years": lambda target: _shift_times(target, 315_360_000, "exp"),
            "exp in milliseconds": partial(_send_milliseconds, "exp"),
        },
        implied_by=EXPIRED,
    ),
    Attack(
        rule=ISSUER,
        expect=is_rejected,
        attempts={
            **_list_wrong_issuers("iss"),
            "iss and sub of another data holder": partial(Target.build_token, iss=OTHER, sub=OTHER),
        },
    ),
    Attack(rule=SUBJECT, expect=is_rejected, attempts=_list_wrong_issuers("sub")),
    Attack(
        rule=TOKEN_ID,
        expect=is_rejected,
        attempts={
            "no jti": partial(Target.build_token, jti=None),
            "an empty jti": partial(Target.build_token, jti=""),
        },
    ),
    Attack(
        rule=ANY_TOKEN_ID,
        expect=is_accepted,
        attempts={
            "a jti that is not a UUID": lambda target: target.build_token(jti=f"rehearsal {uuid.uuid4().hex}"),
            "a jti of 8 characters": lambda target: target.build_token(jti=uuid.uuid4().hex[:8]),
            "a jti with signs": lambda target: target.build_token(jti=f"+/=:'\"{{é}}{uuid.uuid4().hex}"),
            "a jti of 200 characters": lambda target: target.build_token(jti=uuid.uuid4().hex.ljust(200, "x")),
        },
    ),
    Attack(
        rule=GOOD,
        expect=is_accepted,
        attempts={
            "unknown claims": partial(
                Target.build_token, scope="a b", rehearsal={"a": [1, None]}, **{"https://example/claim": "é"}
            ),
            "an exp with a fraction": lambda target: _shift_times(target, 300.5, "exp"),
            "an iat 50 minutes ago": lambda target: _shift_times(target, -3000, "iat"),
            "no iat": partial(Target.build_token, iat=None),
            "no typ": lambda target: target.build_token({"typ": None}),
            "headers of the standard": partial(Target.build_request, headers=HEADERS),
        },
    ),
)
