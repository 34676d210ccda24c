"""Where the token stands, and in which form: one compact JWT in one Authorization header, and nowhere else."""

from __future__ import annotations

from openholder.rehearsal.attacks.target import Attack, Target, accepted, no_data
from openholder.rehearsal.exchange import Request
from openholder.rehearsal.findings import Rule

_AUTH = "Authorization"
_RFC6750 = "RFC 6750 section 2.1; Fiskil, resource server guide"

NEEDED = Rule(
    "token-needed", "critical",
    expected="A request without a token is refused with 401 or 403.",
    why="Anybody on the internet reads everybody's data.",
    written=_RFC6750,
    mend="Check the token before the request is routed, for every path; refuse where there is none.",
)  # fmt: skip
SCHEME = Rule(
    "token-scheme", "warning",
    expected="A token under another scheme than Bearer is refused.",
    why="Whatever follows the first space is taken for a token; other schemes promise checks that are not made.",
    written="RFC 9110 section 11.6.2; RFC 6750 section 2.1",
    mend="Compare the scheme with Bearer, in any letter case, before the token is read.",
)  # fmt: skip
ANY_CASE = Rule(
    "scheme-any-case", "warning",
    expected="bearer and BEARER are accepted like Bearer.",
    why="A proxy or a new client library may write it otherwise, and every request fails.",
    written="RFC 9110 section 11.1: schemes are compared without regard to case",
    mend="Compare the scheme in lower case.",
)  # fmt: skip
IN_HEADER = Rule(
    "token-in-header-only", "error",
    expected="A token in the query is not read: the request is refused like one without a token.",
    why="Queries stand in the logs of proxies and servers, and tokens with them.",
    written="RFC 9700 section 4.3.2; FAPI 1.0 part 1 section 6.2.1",
    mend="Read the Authorization header only; switch the library's other places off.",
)  # fmt: skip
ONE = Rule(
    "one-token", "warning",
    expected="A request with two tokens is refused with 400, 401 or 403.",
    why="A proxy may check the one and the server take the other.",
    written="RFC 6750 section 3.1: invalid_request; RFC 9110 section 5.3",
    mend="Count the Authorization headers and the words in them before one is read.",
)  # fmt: skip
COMPACT = Rule(
    "compact-form", "error",
    expected="Only the compact form of a signed JWT is accepted: three parts.",
    why="Libraries that guess the form have been led to skip the signature.",
    written="RFC 7519 section 3; RFC 7515 section 7.1",
    mend="Check that there are exactly three base64url parts before a library sees the token.",
)  # fmt: skip
SPELLING = Rule(
    "one-spelling", "warning",
    expected="A token with padding, or with other bits behind its last byte, is refused.",
    why="One token gets several spellings; a record of used tokens by their text misses the second.",
    written="RFC 7515 section 2: trailing = omitted; RFC 4648 section 3.5",
    mend="Encode the decoded parts once more and compare; remember tokens by jti, not by text.",
)  # fmt: skip


def _under(target: Target, *values: str) -> Request:
    """Authorization headers with these values."""
    return target.request(headers=tuple((_AUTH, value) for value in values))


def _as_json(target: Target) -> Request:
    """The flattened JSON serialisation, without white space (RFC 7515 section 7.2.2)."""
    protected, payload, signature = target.token().split(".")
    text = f'{{"protected":"{protected}","payload":"{payload}","signature":"{signature}"}}'
    return _under(target, f"Bearer {text}")


def _other_bits(target: Target) -> str:
    """The last character of most signatures has bits to spare: change the lowest of them."""
    token, alphabet = target.token(), "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return token[:-1] + alphabet[alphabet.index(token[-1]) ^ 1]


FORM = (400, 401, 403)
"""A request whose form is wrong may be refused with 400 (RFC 6750 section 3.1)."""
ATTACKS = (
    Attack(NEEDED, no_data, {
        "without a token": lambda target: "",
        "an empty token": lambda target: _under(target, "Bearer "),
        "a user name and password": lambda target: _under(target, "Basic dXNlcjpwYXNz"),
        "text that is no token": lambda target: "token",
    }, FORM),
    Attack(SCHEME, no_data, {
        "a good token as DPoP": lambda target: _under(target, f"DPoP {target.token()}"),
        "a good token as Bearerx": lambda target: _under(target, f"Bearerx {target.token()}"),
        "a good token without a scheme": lambda target: _under(target, target.token()),
    }, FORM),
    Attack(ANY_CASE, accepted, {
        "the scheme as bearer": lambda target: _under(target, f"bearer {target.token()}"),
        "the scheme as BEARER": lambda target: _under(target, f"BEARER {target.token()}"),
    }),
    Attack(IN_HEADER, no_data, {
        "a good token in the query as access_token":
            lambda target: target.request(token="", query=f"access_token={target.token()}"),
        "a good token in the query as token":
            lambda target: target.request(token="", query=f"token={target.token()}"),
    }, FORM),
    Attack(ONE, no_data, {
        "two headers, a good token first": lambda target: _under(target, f"Bearer {target.token()}", "Bearer x.y.z"),
        "two headers, a good token last": lambda target: _under(target, "Bearer x.y.z", f"Bearer {target.token()}"),
        "two tokens in one header": lambda target: _under(target, f"Bearer {target.token()}, Bearer x.y.z"),
    }, FORM),
    Attack(COMPACT, no_data, {
        "a good token as JSON": _as_json,
        "five parts": lambda target: f"{target.token()}.e30.e30",
        "a good token and a fourth part": lambda target: f"{target.token()}.e30",
        "two parts": lambda target: target.token().rpartition(".")[0],
    }, FORM),
    Attack(SPELLING, no_data, {
        "padding behind the signature": lambda target: f"{target.token()}==",
        "other bits behind the signature": _other_bits,
    }, FORM),
)  # fmt: skip
