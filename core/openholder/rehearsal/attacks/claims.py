"""What a token with a good signature claims: by whom, from when, until when, and under which id."""

from __future__ import annotations

import time
from typing import Any

from openholder.rehearsal.attacks.target import Attack, Make, Target, accepted, no_data
from openholder.rehearsal.findings import Rule

_GUIDE = "Fiskil, resource server guide: the checks on the JWT"
OTHER = "other-bank.cdr.fiskil.example"
"""Another data holder."""

EXPIRED = Rule(
    "exp", "critical",
    expected="A token without exp, or long past it, is refused.",
    why="Whoever finds an old token, in a log perhaps, can use it for ever.",
    written=f"{_GUIDE}; RFC 7519 section 4.1.4",
    mend="Require exp, and compare it with the clock; 30 seconds of tolerance are enough.",
)  # fmt: skip
OVERDUE = Rule(
    "exp-tolerance", "warning",
    expected="A token that is past its exp by more than 30 seconds is refused.",
    why="The record of used tokens may have forgotten it by then.",
    written="Fiskil, resource server guide: a clock tolerance of 30 seconds",
    mend="Set the tolerance to 30 seconds, and remember each jti for as long as that.",
)  # fmt: skip
TOLERANT = Rule(
    "clock-tolerance", "warning",
    expected="A token is accepted whose times are off by 10 seconds.",
    why="Clocks differ by seconds; good requests fail now and then, and nobody finds out why.",
    written="Fiskil, resource server guide: a clock tolerance of 30 seconds; FAPI 2.0 section 5.3.2.1",
    mend="Give the library a tolerance of 30 seconds, for exp, nbf and iat alike.",
)  # fmt: skip
NOT_BEFORE = Rule(
    "nbf", "error",
    expected="A token whose nbf is an hour ahead is refused.",
    why="Tokens that were made in advance can be used at once.",
    written="RFC 7519 section 4.1.5: it must not be accepted",
    mend="Compare nbf with the clock where a token has it.",
)  # fmt: skip
ISSUED = Rule(
    "iat", "warning",
    expected="A token whose iat is an hour ahead is refused.",
    why="Nobody can have made it: a clock is wrong, or the token is a forgery.",
    written="FAPI 2.0 section 5.3.2.1: more than 60 seconds ahead is refused",
    mend="Compare iat with the clock where a token has it; the library may not do it.",
)  # fmt: skip
NUMBERS = Rule(
    "time-types", "warning",
    expected="A token whose exp or nbf is no number is refused.",
    why="Readers make different times of it.",
    written="RFC 7519 section 2: NumericDate is a JSON number",
    mend="Check the type of exp, nbf and iat before their values.",
)  # fmt: skip
LIFETIME = Rule(
    "lifetime", "warning",
    expected="A token that is good for ten years is refused.",
    why="Its jti must be remembered for ten years, or the token can be used again.",
    written="RFC 9700 section 2.2; Fiskil, resource server guide: tokens are short-lived",
    mend="Refuse tokens whose exp is more than an hour ahead.",
)  # fmt: skip
ISSUER = Rule(
    "iss", "critical",
    expected="A token whose iss is missing or another's is refused.",
    why="Tokens that were made for another data holder open this one.",
    written=f"{_GUIDE}: iss; RFC 8725 section 3.8",
    mend="Require iss, and compare it with the configured value, the whole text exactly.",
)  # fmt: skip
SUBJECT = Rule(
    "sub", "error",
    expected="A token whose sub is missing or another's is refused.",
    why="Tokens that were made for another purpose pass.",
    written=f"{_GUIDE}: sub; RFC 8725 section 3.8",
    mend="Require sub, and compare it with the configured value, the same as for iss.",
)  # fmt: skip
TOKEN_ID = Rule(
    "jti", "error",
    expected="A token without a jti is refused.",
    why="It cannot be remembered, so that it can be used again and again.",
    written=f"{_GUIDE}: jti; RFC 7519 section 4.1.7",
    mend="Require jti: a text that is not empty.",
)  # fmt: skip
GOOD = Rule(
    "good-token", "error",
    expected="A good token is accepted with whatever else it or the request may have.",
    why="Fiskil may add a claim or a header any day, and every request fails then.",
    written="RFC 7519 section 4: claims that are not understood are ignored; Consumer Data Standards, HTTP headers",
    mend="Ignore unknown claims and headers; refuse for what the guide says only.",
)  # fmt: skip
HEADERS = (
    ("x-v", "1"),
    ("x-min-v", "1"),
    ("x-fapi-auth-date", "Tue, 10 Nov 2026 10:00:00 GMT"),
    ("x-fapi-customer-ip-address", "2001:db8::1"),
    ("User-Agent", "rehearsal"),
)


def _in(seconds: float, *names: str) -> Make:
    """The claims so many seconds from now."""
    return lambda target: target.token(None, **dict.fromkeys(names, int(time.time()) + seconds))


def _with(**claims: Any) -> Make:
    return lambda target: target.token(None, **claims)


def _around(name: str) -> dict[str, Make]:
    """A claim that is nearly the issuer."""
    written = {
        "missing": lambda issuer: None,
        "of another data holder": lambda issuer: OTHER,
        "with something behind": lambda issuer: f"{issuer}.example",
        "with something before": lambda issuer: f"x{issuer}",
        "without its end": lambda issuer: issuer[:-1],
        "in other letters": str.swapcase,
        "in a list": lambda issuer: [issuer],
    }
    return {f"{name} {note}": _of_issuer(name, write) for note, write in written.items()}


def _of_issuer(name: str, write: Any) -> Make:
    return lambda target: target.token(None, **{name: write(target.issuer)})


def _long_past(target: Target) -> str:
    now = int(time.time())
    return target.token(None, exp=now - 86_400 * 365, iat=now - 86_400 * 366)


ATTACKS = (
    Attack(EXPIRED, no_data, {
        "exp an hour ago": _in(-3600, "exp"),
        "exp a year ago": _long_past,
        "no exp": _with(exp=None),
    }),
    Attack(OVERDUE, no_data, {"exp 35 seconds ago": _in(-35, "exp")}, given=EXPIRED),
    Attack(TOLERANT, accepted, {
        "exp 10 seconds ago": _in(-10, "exp"),
        "iat and nbf in 10 seconds": _in(10, "iat", "nbf"),
    }),
    Attack(NOT_BEFORE, no_data, {"nbf in an hour": _in(3000, "nbf")}),
    Attack(ISSUED, no_data, {"iat in an hour": _in(3000, "iat")}),
    Attack(NUMBERS, no_data, {
        "exp as text": lambda target: target.token(None, exp=str(int(time.time()) + 300)),
        "exp in a list": lambda target: target.token(None, exp=[int(time.time()) + 300]),
        "nbf as text": _with(nbf="now"),
    }, given=EXPIRED),
    Attack(LIFETIME, no_data, {"exp in ten years": _in(315_360_000, "exp")}, given=EXPIRED),
    Attack(ISSUER, no_data, {
        **_around("iss"),
        "iss and sub of another data holder": _with(iss=OTHER, sub=OTHER),
    }),
    Attack(SUBJECT, no_data, _around("sub")),
    Attack(TOKEN_ID, no_data, {"no jti": _with(jti=None), "an empty jti": _with(jti="")}),
    Attack(GOOD, accepted, {
        "unknown claims": _with(scope="a b", rehearsal={"a": [1, None]}, **{"https://example/claim": "é"}),
        "an exp with a fraction": _in(300.5, "exp"),
        "no iat": _with(iat=None),
        "no typ": lambda target: target.token({"typ": None}),
        "headers of the standard": lambda target: target.request(headers=HEADERS),
    }),
)  # fmt: skip
