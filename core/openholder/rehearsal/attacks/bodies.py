"""Bodies that are broken, of the wrong type, or not what they are called."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from openholder.operations.table import Whose
from openholder.rehearsal.attacks.target import Attack, Make, Target, accepted, named, outcomes, refused
from openholder.rehearsal.exchange import Exchange, records
from openholder.rehearsal.findings import Outcome, Rule, skipped

_ERRORS = "Fiskil, errors: 400; Consumer Data Standards, error codes: Field/Invalid and Field/Missing"

NOT_JSON = Rule(
    "broken-body", "error",
    expected="A body that is no JSON object is refused with 400.",
    why="What it is taken for depends on chance: an empty answer looks as if nobody was found.",
    written=f"{_ERRORS}; RFC 8259",
    mend="Parse within a check; answer 400 with the body as the field that is wrong.",
)  # fmt: skip
TYPES = Rule(
    "body-types", "error",
    expected="A member that is missing or of the wrong type is refused with 400.",
    why="Objects and lists in place of texts become operators of a query, and find everybody.",
    written=f"{_ERRORS}; OWASP ASVS 5.0, section 2.2: input validation",
    mend="Check the type of every member of the body before it is used.",
)  # fmt: skip
STRICT = Rule(
    "strict-body", "warning",
    expected="A body with a member twice, with NaN, or with bytes that are no UTF-8 is refused with 400.",
    why="A gateway may check the one and the server use the other.",
    written="RFC 8259 sections 4, 6 and 8.1",
    mend="Parse with a reader that refuses repeated members and what is no JSON.",
)  # fmt: skip
CONTENT_TYPE = Rule(
    "content-type", "warning",
    expected="A body that is not called application/json is refused with 415 or 400.",
    why="Browsers may send such bodies from any page without asking first.",
    written="Consumer Data Standards, HTTP response codes: 415; RFC 9110 section 15.5.16",
    mend="Compare the media type before the body is parsed.",
)  # fmt: skip
WILDCARDS = Rule(
    "search-injection", "critical",
    expected="An address that is a wildcard or a piece of SQL finds nobody.",
    why="Anybody may log in as anybody.",
    written="OWASP ASVS 5.0, section 1.2: injection prevention",
    mend="Bind the address as a parameter, and compare with =, never with LIKE or a pattern.",
)  # fmt: skip
AGREED = Rule(
    "body-as-agreed", "error",
    expected="A body may have the `meta` of the standard, and be called application/json with a charset.",
    why="Both are allowed: the day they are sent, every request for several accounts fails.",
    written="Consumer Data Standards, payload conventions: meta; RFC 9110 section 8.3.1: parameters of a media type",
    mend="Ignore members that are not needed; compare the media type without its parameters.",
)  # fmt: skip
RULES = (NOT_JSON, TYPES, STRICT, CONTENT_TYPE, WILDCARDS, AGREED)


def _body(write: Callable[[bytes], bytes], *headers: tuple[str, str]) -> Make:
    """The good body, written otherwise."""
    return lambda target: target.request(body=write(target.request().body or b""), headers=headers)


def _called(media: str) -> Make:
    return _body(lambda good: good, ("Content-Type", media))


def _inside(write: Callable[[Any], object], *path: str) -> Make:
    """The good body, with something else in one place."""

    def written(good: bytes) -> bytes:
        content = place = json.loads(good)
        for name in path[:-1]:
            place = place[name]
        place[path[-1]] = write(place[path[-1]])
        return json.dumps(content).encode()

    return _body(written)


def _said(email: str) -> Make:
    return _inside(lambda good: email, "email")


def _nobody(exchange: Exchange) -> bool:
    return not records(exchange)


_NOT_JSON = Attack(NOT_JSON, refused, {
    "an empty body": _body(lambda good: b""),
    "text that is no JSON": _body(lambda good: b"{email"),
    "a list": _body(lambda good: b"[" + good + b"]"),
    "null": _body(lambda good: b"null"),
    "a text": _body(lambda good: b'"email"'),
    "something behind the JSON": _body(lambda good: good + b"}"),
    "10000 brackets": _body(lambda good: b"[" * 10_000 + b"]" * 10_000),
    "gzip that breaks off": _body(lambda good: gzip.compress(good)[:20], ("Content-Encoding", "gzip")),
})  # fmt: skip
_SEARCH = (
    _NOT_JSON,
    Attack(TYPES, refused, {
        "no email": _body(lambda good: b"{}"),
        "null as email": _inside(lambda good: None, "email"),
        "a number as email": _inside(lambda good: 7, "email"),
        "a list as email": _inside(lambda good: [good], "email"),
        "an object as email": _inside(lambda good: {"$ne": None}, "email"),
    }),
    Attack(STRICT, refused, {
        "email twice": _body(lambda good: b'{"email": "nobody@stranger.example", ' + good[1:]),
        "bytes that are no UTF-8": _body(lambda good: good[:-1] + b', "x": "\xff\xfe"}'),
        "NaN in another member": _body(lambda good: good[:-1] + b', "x": NaN}'),
    }),
    Attack(CONTENT_TYPE, refused, {
        "called text/plain": _called("text/plain"),
        "called a form": _called("application/x-www-form-urlencoded"),
    }),
    Attack(WILDCARDS, _nobody, {
        "a percent sign as email": _said("%"),
        "the end of an address as email": _inside(lambda good: good[1:], "email"),
        "the domain of an address as email": _inside(lambda good: good.partition("@")[2], "email"),
        "an at sign as email": _said("@"),
        "a percent sign and an at sign as email": _said("%@%"),
        "an asterisk as email": _said("*"),
        "a piece of SQL as email": _said("x' OR '1'='1"),
        "a regular expression as email": _said(".*@.*"),
    }),
)  # fmt: skip
_ACCOUNTS = ("data", "accountIds")
_CHOSEN = (
    Attack(NOT_JSON, refused, {
        "an empty body": _body(lambda good: b""),
        "a list": _body(lambda good: b"[" + good + b"]"),
        "something behind the JSON": _body(lambda good: good + b"}"),
    }),
    Attack(TYPES, refused, {
        "no accountIds": _body(lambda good: b'{"data": {}}'),
        "null as data": _inside(lambda good: None, "data"),
        "a text as accountIds": _inside(lambda good: "".join(good[:1]), *_ACCOUNTS),
        "an object as accountIds": _inside(lambda good: {"$ne": None}, *_ACCOUNTS),
        "numbers in accountIds": _inside(lambda good: [1, 2], *_ACCOUNTS),
        "null in accountIds": _inside(lambda good: [*good, None], *_ACCOUNTS),
        "a list in accountIds": _inside(lambda good: [good], *_ACCOUNTS),
    }),
    Attack(AGREED, accepted, {
        "meta in the body": _body(lambda good: good[:-1] + b', "meta": {}}'),
        "application/json with a charset": _called("application/json; charset=utf-8"),
    }),
)  # fmt: skip
_TABLES: Mapping[Whose, tuple[Attack, ...]] = {"search": _SEARCH, "chosen": _CHOSEN}


async def played(target: Target) -> AsyncIterator[Outcome]:
    """Try the bodies on the search, and on one operation that names accounts in its body."""
    for whose, attacks in _TABLES.items():
        aimed = named(target.scene, whose)
        if aimed is None:
            for attack in attacks:
                yield skipped(attack.rule, _MISSING[whose], "not served")
        async for outcome in outcomes(aimed, attacks):
            yield outcome


_MISSING = {"search": "the search", "chosen": "operations with accounts in the body"}
