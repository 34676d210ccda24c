"""The conversation itself: login, consent, and every data operation of the sectors, pages followed to the end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from openholder.contract.operations import OPERATIONS, Operation
from openholder.rehearsal.exchange import NO_ANSWER, Leg, route
from openholder.rehearsal.findings import SERVER, Outcome, Rule, found, passed, skipped
from openholder.rehearsal.scene import Scene, Visit, asking, chosen, not_served, targets

TOKEN_ACCEPTED = Rule(
    "token-accepted", "critical",
    expected="The first request, with a good token, is answered with something other than 401, 403 or 503.",
    why="Nobody can log in, and no data can be shared.",
    written="Fiskil, resource server guide: the JWT, its keys, iss, sub and aud",
    mend="Configure the JWKS address and issuer that this rehearsal prints; compare the clocks. aud is the public URL"
    " with the path and without the query: give --audience where that is not the URL that is called. A server that has"
    " the keys of an earlier rehearsal takes up others later: keep one with --key, or start the server again.",
)  # fmt: skip
CUSTOMER_FOUND = Rule(
    "customer-found", "critical",
    expected="The search finds a customer for each address that is given with --email.",
    why="The person cannot log in.",
    written="Fiskil, end-user authentication: the search returns every customer behind the address",
    mend="Give the address of a customer that the server knows; compare addresses without regard to the case of A-Z.",
)  # fmt: skip
TOLD_APART = Rule(
    "people-told-apart", "warning",
    expected="Two people who log in are two customers.",
    why="A search that finds the same for everybody shows it to everybody; and whose data it is cannot be tried.",
    written="Fiskil, end-user authentication: the search returns the customers behind the address",
    mend="Give addresses of people who are strangers; where they are, look at how the search compares.",
)  # fmt: skip
DATA_COMES = Rule(
    "data-comes", "error",
    expected="Every operation that is served answers with data for the ids that the answers before have named.",
    why="The recipient gets an error where the customer has consented to share.",
    written="Fiskil, resource server guide; Consumer Data Standards, HTTP response codes",
    mend="Look into the server's log; an account of the consent list must be known to each operation.",
)  # fmt: skip
EACH_ACCOUNT = Rule(
    "each-account", "warning",
    expected="What some accounts of the consent list have, the others have too.",
    why="An account that is offered for consent and answers with 404 is one that should not have been offered.",
    written="Fiskil, consents: the accounts that may be shared",
    mend="Leave accounts that cannot be shared out of the consent list; answer the others for each operation.",
)  # fmt: skip
SERVED = Rule(
    "operation-served", "warning",
    expected="Each operation of the sectors named with --sector is served.",
    why="Fiskil's platform answers recipients with an error for what the holder does not serve.",
    written="Consumer Data Standards, endpoints of the sector",
    mend="Serve it, or leave the sector out where the product is not offered.",
)  # fmt: skip
LOGIN = ("searchCustomers", "getCustomerDetails")
"""What falls away with an OpenID Connect provider of the holder's own."""
_SEARCH = next(operation for operation in OPERATIONS if operation.whose == "search")


async def walked(scene: Scene) -> AsyncIterator[Outcome]:
    """Walk for everybody of the plan; what the answers were is in the scene's visits then."""
    await _agree_on_algorithm(scene)
    people = [Visit(email=email) for email in scene.plan.emails]
    people += [Visit(customer_id=customer) for customer in scene.plan.customers]
    for visit in people:
        scene.visits.append(visit)
        for operation in scene.plan.operations:
            if visit.email or operation.name not in LOGIN:
                await _visited(scene, visit, operation)
                if _refused_at_first(scene):
                    yield found(TOKEN_ACCEPTED, SERVER, scene.exchanges[0].came, scene.exchanges[0].request)
                    return
        if not visit.customer_id:
            last = scene.exchanges[-1]
            came = "no list of customers with ids" if last.good else last.came
            yield found(CUSTOMER_FOUND, route(_SEARCH), came, last.request)
        await _ask_of_the_others(scene, visit)
    yield _told_apart(scene)
    yield passed(TOKEN_ACCEPTED, SERVER)
    for operation in scene.plan.operations:
        for outcome in _answered(scene, operation):
            yield outcome


async def _agree_on_algorithm(scene: Scene) -> None:
    """Sign with RS256 where that is what the server takes, and PS256 is not."""
    if not scene.plan.emails:
        return
    for algorithm in ("RS256", "PS256"):
        exchange = await scene.caller.send(asking(_SEARCH, {}, email=scene.plan.emails[0]))
        if exchange.status not in (401, 403):
            return
        scene.caller.algorithm = algorithm


def _refused_at_first(scene: Scene) -> bool:
    return len(scene.exchanges) >= 1 and scene.exchanges[0].status in (NO_ANSWER, 401, 403, 503)


async def _visited(scene: Scene, visit: Visit, operation: Operation) -> None:
    """Ask one operation for all that is the person's, and learn from it."""
    more: dict[str, Any] = {"email": visit.email} if operation.whose == "search" else {}
    accounts = chosen(operation, visit)
    for ids in targets(operation, visit):
        leg = await scene.leg(operation, ids, accounts=accounts, **more)
        visit.legs[operation.name].append(leg)
        if not_served(leg.first):
            break
    if operation.whose in _LEARNT:
        _LEARNT[operation.whose](scene, visit)


async def _ask_of_the_others(scene: Scene, visit: Visit) -> None:
    """Ask once for each account that was offered and not consented to: what is offered must be answered."""
    starter = next((row for row in scene.served if row.sector == "custom" and row.whose == "account"), None)
    if starter is None:
        return
    for account in visit.offered:
        if account not in visit.accounts:
            ids = {"customerId": visit.customer_id, "accountId": account}
            visit.legs[starter.name].append(await scene.leg(starter, ids))


def _told_apart(scene: Scene) -> Outcome:
    """Whether two people who log in are two customers."""
    ids = [visit.customer_id for visit in scene.visits if visit.customer_id]
    if len(set(ids)) < len(ids):
        return found(TOLD_APART, route(_SEARCH), f"{len(set(ids))} customers for {len(ids)} addresses or ids")
    return passed(TOLD_APART, route(_SEARCH))


def _choose_customer(scene: Scene, visit: Visit) -> None:
    """The first customer that the search has found: the person behind the address, before her businesses."""
    found_ids = [record.get("id") for leg in visit.legs["searchCustomers"] for record in leg.records]
    visit.customer_id = next((value for value in found_ids if isinstance(value, str)), "")


def _consent(scene: Scene, visit: Visit) -> None:
    """All accounts but the last, where there are several: what was not consented to must not leave."""
    legs = visit.legs["listConsentAccounts"]
    visit.offered = tuple(record["id"] for leg in legs for record in leg.records if isinstance(record.get("id"), str))
    some = visit.offered[:-1] if len(visit.offered) > 2 else visit.offered
    visit.accounts = some[: scene.plan.accounts]


_LEARNT: Mapping[str, Callable[[Scene, Visit], None]] = {"search": _choose_customer, "consent": _consent}


def _answered(scene: Scene, operation: Operation) -> list[Outcome]:
    """Whether data came for everybody who was asked for."""
    legs = [leg for visit in scene.visits for leg in visit.legs.get(operation.name, ())]
    subject = route(operation)
    if not legs:
        return [skipped(DATA_COMES, subject, "the answers before left nothing to ask for")]
    if all(not_served(leg.first) for leg in legs):
        wanted = operation.sector in scene.plan.sectors
        outcome = found(SERVED, subject, legs[0].first.came, legs[0].first.request)
        return [outcome if wanted else skipped(SERVED, subject, "not served")]
    return [passed(DATA_COMES, subject), *(_lacking(subject, leg) for leg in legs if not leg.whole)]


def _lacking(subject: str, leg: Leg) -> Outcome:
    """What a leg without data is: a fault; an account, or a person, that has nothing of what others have."""
    last = leg.exchanges[-1]
    if last.status != 404 or leg.operation.reply.many:
        return found(DATA_COMES, subject, last.came, last.request)
    if {*leg.ids} - {"customerId", "accountId"}:
        return found(DATA_COMES, subject, f"{last.came}, for an id that a list has shown", last.request)
    if "accountId" in leg.ids:
        return found(EACH_ACCOUNT, subject, last.came, last.request)
    return skipped(DATA_COMES, subject, "there is nothing of the kind for somebody")
