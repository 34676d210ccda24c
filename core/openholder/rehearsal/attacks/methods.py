"""Methods that a path does not have, and paths that there are not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from openholder.rehearsal.attacks.target import Attack, Make, Target, accepted, named, outcomes, refused, tried
from openholder.rehearsal.exchange import Exchange
from openholder.rehearsal.findings import Outcome, Rule
from openholder.rehearsal.judges import Check, examined
from openholder.rehearsal.scene import MADE_UP

METHODS = Rule(
    "other-methods", "error",
    expected="A method that the path does not have is refused with 405 or 404.",
    why="Something may be changed, or shown, that was never meant to be.",
    written="RFC 9110 section 15.5.6; Consumer Data Standards, HTTP response codes: 405",
    mend="Route by method and path; handle the methods of the contract and no others.",
)  # fmt: skip
ALLOW = Rule(
    "allow-header", "warning",
    expected="An answer with 405 names the methods that there are in Allow.",
    why="Clients cannot tell what would have worked.",
    written="RFC 9110 section 15.5.6: it must be sent",
    mend="Send Allow with each 405.",
)  # fmt: skip
HEAD = Rule(
    "head", "warning",
    expected="HEAD is answered like GET without content, or refused with 405.",
    why="Monitors and proxies send it.",
    written="RFC 9110 section 9.3.2",
    mend="Let the framework answer HEAD, or refuse it.",
)  # fmt: skip
OVERRIDE = Rule(
    "method-override", "warning",
    expected="X-HTTP-Method-Override and the like change nothing.",
    why="A gateway that lets GET pass does not see what the server does then.",
    written="RFC 9110 section 9.1: the method is that of the request line",
    mend="Remove the middleware that reads these headers.",
)  # fmt: skip
UNKNOWN_PATH = Rule(
    "unknown-path", "error",
    expected="A path that is not served is refused with 404, whatever the token.",
    why="What answers there was never meant to be seen.",
    written="Fiskil, errors: 404; Consumer Data Standards, HTTP response codes",
    mend="Serve the paths of the contract only; switch off index pages and consoles of the framework.",
)  # fmt: skip


def _with_method(method: str) -> Make:
    return lambda target: target.bare(method)


def _overridden(name: str) -> Make:
    return lambda target: target.request(headers=((name, "DELETE"),))


def _path(path: str) -> Make:
    return lambda target: target.bare("GET", path)


def _answered_or_refused(exchange: Exchange) -> bool:
    return exchange.good or 400 <= exchange.status < 500


def _without(exchange: Exchange) -> Iterator[str]:
    if "Allow" not in exchange.headers:
        yield "405 without the header"


_ALLOW = (Check(ALLOW, _without, lambda exchange: exchange.status == 405),)
_OTHERS = Attack(METHODS, refused, {
    f"{method} where there is GET": _with_method(method) for method in ("PUT", "PATCH", "DELETE", "TRACE")
})  # fmt: skip
_NO_GET = Attack(METHODS, refused, {f"{method} where there is POST": _with_method(method) for method in ("GET", "PUT")})
_MORE = (
    Attack(HEAD, _answered_or_refused, {"HEAD where there is GET": _with_method("HEAD")}),
    Attack(OVERRIDE, accepted, {
        "X-HTTP-Method-Override: DELETE": _overridden("X-HTTP-Method-Override"),
        "X-Method-Override: DELETE": _overridden("X-Method-Override"),
    }),
    Attack(UNKNOWN_PATH, refused, {
        "a path that there is not": _path(f"/{MADE_UP}"),
        "a longer path": lambda target: target.bare("GET", f"{target.request().path}/{MADE_UP}/{MADE_UP}"),
    }),
)  # fmt: skip
RULES = (METHODS, ALLOW, *(attack.rule for attack in _MORE))


async def played(target: Target) -> AsyncIterator[Outcome]:
    """Try the methods and paths."""
    search = named(target.scene, "search")
    for attacked, attack in ((target, _OTHERS), (search, _NO_GET)):
        async for outcome in _methods(attacked, attack):
            yield outcome
    async for outcome in outcomes(target, _MORE):
        yield outcome


async def _methods(target: Target | None, attack: Attack) -> AsyncIterator[Outcome]:
    async for outcome, exchange in tried(target, attack):
        yield outcome
        for other in examined(_ALLOW, exchange, outcome.subject, exchange.request):
            yield other
