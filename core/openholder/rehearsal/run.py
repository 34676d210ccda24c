"""Run the phases of a rehearsal against a server and collect the report."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Container, Iterator, Sequence
from dataclasses import replace
from itertools import groupby, takewhile

from openholder.contract.operations import OPERATIONS
from openholder.rehearsal.caller import Caller
from openholder.rehearsal.checks import check_exchange
from openholder.rehearsal.checks.conditions import check_conditions
from openholder.rehearsal.checks.disclosures import DISCLOSURE_CHECKS
from openholder.rehearsal.checks.json_schema import check_schema
from openholder.rehearsal.checks.plausibility import check_plausibility
from openholder.rehearsal.checks.responses import NOT_FAULTS, RESPONSE_CHECKS
from openholder.rehearsal.conversation import TOKEN_ACCEPTED
from openholder.rehearsal.exchange import NOT_SERVED, Exchange, format_route
from openholder.rehearsal.masking import collect_personal_values
from openholder.rehearsal.measures import Timing
from openholder.rehearsal.phases import PHASES, Phase
from openholder.rehearsal.places import Places
from openholder.rehearsal.results import SERVER, Failure, Report, Result, Rule, fail_rule, merge_results, pass_rule
from openholder.rehearsal.server_document import check_against_document
from openholder.rehearsal.session import MAX_WAIT, Plan, ServerBusy, ServerGone, Session, Stopped, is_not_served
from openholder.rehearsal.side_by_side import take_turn

SERVER_SURVIVES = Rule(
    name="server-survives-attacks",
    severity="critical",
    expected="The server keeps answering, whatever request it received before.",
    why="A single odd request from anywhere takes the service down for everybody.",
    reference="Consumer Data Standards, non-functional requirements: availability of 99.5 % a month",
    how_to_fix="Restart the server, send the request shown here, and find out where the process ends.",
    example="the server refuses connections after this request, which returned 200 with data",
)

PROXY_RULES = {"interaction-id", "error-form", "media-type", "no-server-fault", "allow-header", "www-authenticate"}
"""Rules that nobody needs to keep but the server itself."""
_PROXIES = re.compile(
    r"nginx|openresty|cloudflare|awselb|AkamaiGHost|envoy|haproxy|BigIP|Microsoft-Azure", re.IGNORECASE
)

ANSWERS_EACH_TIME = Rule(
    name="answers-each-time",
    severity="error",
    expected="A valid request is answered whenever it is sent.",
    why="Recipients get errors now and then, which nobody can repeat, and which count against the availability.",
    reference="Consumer Data Standards, non-functional requirements: availability of 99.5 % a month",
    how_to_fix="Search the log for the interaction id. Look for what requests share: pools of connections, a cache, one"
    " process of several that differs, a limit that answers without 429 and Retry-After.",
    example="GET …/accounts/{accountId}/transactions: 503 now and then: 6 of 41 requests; each was answered when sent"
    " again",
)


async def run_rehearsal(
    caller: Caller,
    plan: Plan,
    on_progress: Callable[[str], None] = lambda _: None,
    phases: Sequence[Phase] = PHASES,
    stop: asyncio.Event | None = None,
) -> Report:
    """Run all phases against the server and return the report.

    Args:
        caller: Sends the requests.
        plan: What to rehearse.
        on_progress: Called with the name of each phase and the redacted text of each request.
        phases: The phases to run, in this order.
        stop: Ends the rehearsal when it is set; the report then says what is known so far.
    """
    session = Session(caller, plan, on_progress=on_progress, stop=stop or asyncio.Event())
    started, clock = time.time(), time.perf_counter()
    try:
        results = [result async for result in _run_phases(session, phases)]
    finally:
        if session.idle:
            session.idle[1].cancel()
            await asyncio.wait((session.idle[1],))
    session.sort_by_turn()
    results += [result async for result in _check_exchanges(session)]
    results += _judge_hiccups(session)
    of_proxy = {id(exchange.request) for exchange in session.exchanges if _is_note(exchange)}
    results = [_note_answers_of_proxies(result, of_proxy) for result in results]
    places = Places(session)
    results = [replace(result, failures=tuple(map(places.place, result.failures))) for result in results]
    return Report(
        target=caller.audience,
        started=started,
        seconds=time.perf_counter() - clock,
        results=merge_results(results),
        requests=len(session.exchanges),
        served=tuple(map(format_route, session.served_operations)),
        timings=tuple(Timing(subject, tuple(seconds)) for subject, seconds in session.timings.items()),
        load=session.load,
        untried=session.untried,
        is_finished=not session.is_cut,
        secrets=collect_personal_values(session),
    )


async def _run_phases(session: Session, phases: Sequence[Phase]) -> AsyncIterator[Result]:
    """Run the phases; stop early if no token is accepted or the server is gone."""
    try:
        for phase in phases:
            session.on_progress(phase.name)
            async for result in phase.run(session):
                yield result
                if result.rule is TOKEN_ACCEPTED and result.verdict != "passed":
                    return
        yield pass_rule(SERVER_SURVIVES, SERVER)
    except ServerBusy:
        session.is_cut = True
        reason = f"not looked at further: it asks to wait for more than {MAX_WAIT:.0f} s (429)"
        session.unread.append((take_turn(), SERVER, reason))
    except Stopped:
        session.is_cut = True
        session.unread.append((take_turn(), SERVER, "not looked at further: the rehearsal was stopped"))
    except ServerGone:
        yield _find_last_requests(session.exchanges)


def _find_last_requests(exchanges: Sequence[Exchange]) -> Result:
    """Report the requests that were sent to the server last: those without a response, if there are any."""
    reached = [exchange for exchange in exchanges if not exchange.is_unreachable]
    unanswered = list(takewhile(lambda exchange: exchange.transport_error, reversed(reached)))
    failures = [
        Failure(
            "the server refuses connections after this request"
            + (f" or another of {len(unanswered)} that were sent at once" if len(unanswered) > 1 else "")
            + f", which returned {exchange.status_text}",
            exchange.request,
        )
        for exchange in unanswered or reached[-1:]
    ]
    return Result(SERVER_SURVIVES, SERVER, tuple(failures))


def _judge_hiccups(session: Session) -> Iterator[Result]:
    """Report responses that failed once and were good when the request was sent again."""
    for route, some in groupby(sorted(session.hiccups, key=_get_route), _get_route):
        failed = list(some)
        sent = sum(each.request.route == route and each.request.is_ordinary for each in session.exchanges)
        observed = (
            f"{failed[0].status_text} now and then: {len(failed)} of {sent} requests; each was answered when sent again"
        )
        yield fail_rule(ANSWERS_EACH_TIME, route, observed, failed[0].request)
    if not session.hiccups:
        yield pass_rule(ANSWERS_EACH_TIME, SERVER)


def _get_route(exchange: Exchange) -> str:
    return exchange.request.route


def _is_note(exchange: Exchange) -> bool:
    """Return whether a response is a proxy's to a malformed request. A server fault must name the proxy too."""
    is_fault = exchange.status >= 500 and exchange.status not in NOT_FAULTS
    return exchange.is_of_proxy and (not is_fault or bool(_PROXIES.match(exchange.headers.get("Server", ""))))


def _note_answers_of_proxies(result: Result, of_proxy: Container[int]) -> Result:
    """Turn failures of rules about the form of responses into notes if a proxy seems to have answered."""
    if result.rule.name not in PROXY_RULES:
        return result
    notes = tuple(failure for failure in result.failures if id(failure.request) in of_proxy)
    return replace(result, failures=tuple(each for each in result.failures if each not in notes), notes=notes)


async def _check_exchanges(session: Session) -> AsyncIterator[Result]:
    """Check the form of every response, including those to probes and attacks."""
    served = set(map(format_route, session.served_operations))
    for exchange in session.exchanges:
        await asyncio.sleep(0)  # the demo serves from the same event loop
        is_served = exchange.request.route in served or not is_not_served(exchange)
        for result in check_exchange(
            (*RESPONSE_CHECKS, *DISCLOSURE_CHECKS), exchange, exchange.request.route if is_served else NOT_SERVED
        ):
            yield _name_any_request(result) if exchange.is_ok else result
        # The contract covers the standard operations; custom ones are checked against the server's own document.
        is_standard = exchange.request.operation in OPERATIONS
        for check in (check_schema, check_conditions, check_plausibility) if is_standard else (check_against_document,):
            for result in check(exchange):
                yield _name_any_request(result) if exchange.is_ok else result


def _name_any_request(result: Result) -> Result:
    """Return the result of a rule that holds for every response with data, whatever was requested."""
    failures = tuple(replace(failure, is_of_any_request=True) for failure in result.failures)
    return replace(result, failures=failures)
