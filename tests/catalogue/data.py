"""Group D: whose data it is. Nobody gets anybody else's, and the difference between no and not there does not show."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from structlog.testing import capture_logs

from catalogue.http import closed_by_server, found, get, head, invalid_email, post
from catalogue.rows import Reply, Request, Row, Try, mint, no_token, ok, send, status
from helpers.people import BALANCE, JANE, SEARCH
from helpers.support import World, sample_rows, start_with
from openholder import Page, SharingRefused
from openholder.contract.operations import OPERATIONS
from openholder.sources.registry import SourceRegistry
from openholder_sqlite import Database

ACCOUNTS = "/auth/v1/customer/cust-1001/accounts"
DETAILS = "/auth/v1/customer/cust-1001"


def balance(customer: str, account: str) -> str:
    return f"/customer/{customer}/accounts/{account}/balances"


def same_but_for_the_interaction_id(*replies: Reply) -> None:
    """The answers differ in the id of the interaction, and the date perhaps, and in nothing else."""
    bare = []
    for reply in replies:
        error = reply.error
        assert error["meta"].pop("correlationId") == reply.headers["x-fapi-interaction-id"]
        headers = {
            name: value for name, value in reply.headers.items() if name not in {"x-fapi-interaction-id", "date"}
        }
        bare.append((reply.status, error, headers))
    assert all(other == bare[0] for other in bare[1:]), bare


async def questions(world: World, request: Request) -> tuple[Reply, list[tuple[str, ...]]]:
    """What is answered, and which questions the sources were asked for it: what it took, but for what was found."""
    asked = []
    fetch = SourceRegistry.fetch

    async def counted(self: SourceRegistry, query: Any) -> Page:
        asked.append((query.collection, *(condition.member for condition in query.filters)))
        return await fetch(self, query)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SourceRegistry, "fetch", counted)
        return await send(world, request), asked


async def foreign_account(world: World) -> None:
    """D01."""
    for kind in ("sqlite", "csv", "rest"):
        await world.stop()
        await start_with(world, kind, sample_rows())
        foreign, cost = await questions(world, get(mint(world), balance("cust-1001", "acc-2008")))
        missing, same_cost = await questions(world, get(mint(world), balance("cust-1001", "acc-9999")))
        status(404, code="Authorisation/InvalidBankingAccount")(foreign)
        same_but_for_the_interaction_id(foreign, missing)
        assert "x-sharing-refused" not in foreign.headers
        # The time is that of the same questions; in both cases the balance is not among them.
        assert cost == same_cost == [("accounts", "customerId", "id"), ("customers", "id")]
        ok(await send(world, get(mint(world), balance("cust-1003", "acc-2008"))))


async def foreign_ids(world: World) -> None:
    """D02: neither the foreign account nor, beside it, one's own."""
    rows = sample_rows()
    for kind in ("sqlite", "csv", "rest"):
        await world.stop()
        await start_with(world, kind, rows)
        own, foreign = "acc-2002", "acc-2008"
        for operation in (row for row in OPERATIONS if row.whose == "specific" and row.sector == "banking"):
            path = operation.path.replace("{customerId}", "cust-1001")
            assert (await world.call(path, body={"data": {"accountIds": [own]}})).status == 200, path
            for ids in ([own, foreign], [foreign, own], [foreign], [own, foreign.upper()], [own, f"{foreign},{own}"]):
                answer = await world.call(path, body={"data": {"accountIds": ids}})
                assert answer.status == 422, (path, ids)
                assert answer.code.endswith("cds-banking:Authorisation/InvalidBankingAccount")
                assert b"data" not in answer.text.replace(b"data.accountIds", b"")


async def harm(world: World) -> None:
    """D07. The mark of a refusal is on refusals alone, also where a failed authentication has the same status."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENHOLDER_FISKIL__AUTHENTICATION_FAILURE_STATUS", "403")
        await start_with(world, "sqlite", sample_rows())

    async def refuse(*_: object) -> Page:
        raise SharingRefused("somebody would come to harm")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Database, "fetch_now", lambda *_: None)
        patch.setattr(Database, "fetch", refuse)
        for request in (get(mint(world), DETAILS), get(mint(world), ACCOUNTS), post(mint(world), JANE)):
            reply = await send(world, request)
            status(403, x_sharing_refused="true", code="GeneralError/Expected")(reply)
            assert b"harm" not in reply.body
    for request in (Request(), Request("x.y.z"), Request(mint(world).token(aud="https://elsewhere.example"))):
        reply = await send(world, request)
        assert (reply.status, reply.error["detail"]) == (403, "authentication failed")
        assert "x-sharing-refused" not in reply.headers
    ok(await send(world, mint(world).token()))


async def who_is_there(world: World) -> None:
    """D11. Without a token the body is not even looked at."""
    await start_with(world, "sqlite", sample_rows())
    replies = []
    for body in (JANE, {"email": "nobody@example.com"}, {"email": 7}, b"{", b""):
        written = body if isinstance(body, bytes) else json.dumps(body).encode()
        reply, asked = await questions(world, Request(path=SEARCH, method="POST", body=written))
        no_token(reply)
        assert asked == []
        replies.append(reply)
    same_but_for_the_interaction_id(*replies)


async def who_is_there_with_a_token(world: World) -> None:
    """D12. Nobody is an empty list, found out by the same questions as somebody. Each search is counted."""
    await start_with(world, "sqlite", sample_rows())
    somebody, cost = await questions(world, post(mint(world), {"email": "robin.citizen@example.com"}))
    nobody, same_cost = await questions(world, post(mint(world), {"email": "nobody@example.com"}))
    found("cust-1003")(somebody)
    assert (nobody.status, nobody.body) == (200, b'{"data":[]}')
    assert set(somebody.headers) == set(nobody.headers)
    assert cost == same_cost == [("customers", "email"), ("logins", "email")]
    sample = {"route": SEARCH, "method": "POST", "status": "200"}
    registry = world.holder.state.journal.registry
    assert registry.get_sample_value("openholder_http_requests_total", sample) == 2


async def foreign_rows(world: World) -> None:
    """D15. A source that hands over somebody else's rows is not believed, and it is an alarm."""
    await start_with(world, "sqlite", sample_rows())
    fetch = Database.fetch
    rows = sample_rows()

    def faulty(collection: str, records: Any) -> Any:
        async def answer(self: Database, query: Any) -> Page:
            if query.collection == collection:
                return Page(records=records, total=len(records))
            return await fetch(self, query)

        return answer

    jane, robin = rows["customers"][0], rows["customers"][2]
    theirs = [row for row in rows["accounts"] if row["customerId"] == "cust-1003"]
    mine = [row for row in rows["accounts"] if row["customerId"] == "cust-1001"]
    other_balance = next(row for row in rows["balances"] if row["accountId"] == "acc-2008")
    for collection, records, request in (
        ("customers", [robin], lambda: get(mint(world), DETAILS)),
        ("customers", [jane, robin], lambda: get(mint(world), DETAILS)),
        ("customers", [robin], lambda: post(mint(world), JANE)),
        ("logins", [{"email": "head.baker@example.net", "customerId": "cust-1002"}], lambda: post(mint(world), JANE)),
        ("accounts", [*mine, *theirs], lambda: get(mint(world), ACCOUNTS)),
        ("accounts", theirs, lambda: get(mint(world), BALANCE)),
        ("accounts", [{**mine[0], "id": "acc-2002"}], lambda: get(mint(world), BALANCE)),
        ("balances", [other_balance], lambda: get(mint(world), BALANCE)),
        ("balances", [{**other_balance, "accountId": None}], lambda: get(mint(world), BALANCE)),
    ):
        with pytest.MonkeyPatch.context() as patch, capture_logs() as logs:
            patch.setattr(Database, "fetch_now", lambda *_: None)
            patch.setattr(Database, "fetch", faulty(collection, records))
            reply = await send(world, request())
        assert reply.status == 500, (collection, reply)
        for secret in ("robin", "cust-1003", "acc-2008", "head.baker"):
            assert secret not in reply.body.decode() + str(logs)
        assert [(line["log_level"], line["error_reason"]) for line in logs] == [("critical", "foreign_record")]
    ok(await send(world, mint(world).token()))


async def further_fields(world: World) -> None:
    """D16. What the source has beyond the record stays in the source."""
    rows = sample_rows()
    more = {"internal_note": "SECRET", "taxFileNumber": "SECRET", "passwordHash": "SECRET", "address.note": "SECRET"}
    for collection in ("customers", "accounts", "balances"):
        rows[collection] = [{**row, **more} for row in rows[collection]]
    for kind in ("sqlite", "csv", "rest"):
        await world.stop()
        await start_with(world, kind, rows)
        for request in (
            get(mint(world), DETAILS),
            get(mint(world), ACCOUNTS),
            get(mint(world), BALANCE),
            post(mint(world), JANE),
        ):
            reply = await send(world, request)
            ok(reply)
            assert b"SECRET" not in reply.body
            assert not any(name.encode() in reply.body for name in more)


async def one_connection(world: World) -> None:
    """D17. Customers take turns on one connection, the requests of each sent before the last is answered."""
    await start_with(world, "sqlite", sample_rows())
    wanted = [("cust-1001", "acc-2001", b"1200.50"), ("cust-1003", "acc-2008", b"acc-2008")] * 5
    reader, writer = await asyncio.open_connection("127.0.0.1", world.holder.port)
    for customer, account, _ in wanted:
        writer.write(head(mint(world), path=balance(customer, account)))
    writer.write(head(mint(world), path=balance("cust-1001", "acc-2008")))
    writer.write(head(mint(world), "Connection: close", path=balance("cust-1003", "acc-2001")))
    async with asyncio.timeout(10):
        answers = (await closed_by_server(reader)).split(b"HTTP/1.1 ")[1:]
    writer.transport.abort()
    assert [answer[:3] for answer in answers] == [b"200"] * 10 + [b"404"] * 2
    for (_, account, value), answer in zip(wanted, answers, strict=False):
        assert account.encode() in answer and value in answer


ROWS = (
    Row("D01", scenario=foreign_account),
    Row("D02", scenario=foreign_ids),
    Row(
        "D03",
        tuple(
            Try(path, lambda mint, p=path: get(mint, p), status(404, code="Resource/Invalid"))
            for path in (
                "/auth/v1/customer/cust-9999",
                "/auth/v1/customer/cust-9999/accounts",
                "/customer/cust-9999/accounts/acc-2001/balances",
                "/auth/v1/customer/CUST-1001",
                "/auth/v1/customer/cust-100",
                "/auth/v1/customer/cust-10011",
                "/auth/v1/customer/acc-2001",
            )
        ),
    ),
    Row(
        "D05",
        (
            *tuple(
                Try(owner, lambda mint, o=owner: get(mint, balance(o, "acc-2003")), ok)
                for owner in ("cust-1001", "cust-1003")
            ),
            Try(
                "and a third does not",
                lambda mint: get(mint, balance("cust-1002", "acc-2003")),
                status(404, code="InvalidBankingAccount"),
            ),
        ),
    ),
    Row(
        "D06",
        (
            *tuple(
                Try(
                    account,
                    lambda mint, c=customer, a=account: get(mint, balance(c, a)),
                    status(404, x_sharing_refused="true", code="UnavailableBankingAccount"),
                )
                for customer, account in (("cust-1001", "acc-2004"), ("cust-1016", "acc-2029"))
            ),
            Try("closed is neither", lambda mint: get(mint, balance("cust-1001", "acc-2005")), ok),
            Try(
                "to somebody else it is not there",
                lambda mint: get(mint, balance("cust-1002", "acc-2004")),
                status(404, code="InvalidBankingAccount"),
            ),
        ),
    ),
    Row("D07", scenario=harm),
    Row(
        "D08",
        (
            *(
                Try(address, lambda mint, a=address: post(mint, {"email": a}), found("cust-1001", "cust-1002"))
                for address in ("JANE.CITIZEN@EXAMPLE.COM", "Jane.Citizen@Example.com", "jane.citizen@EXAMPLE.com")
            ),
            *(
                Try(ascii(address), lambda mint, a=address: post(mint, {"email": a}), found())
                for address in (
                    "jane.c\u0131tizen@example.com",  # dotless i
                    "jane.c\u0130tizen@example.com",
                    "jane.citi\u017fen@example.com",  # long s
                    "\uff4aane.citizen@example.com",
                    "jane.citizen@e\u0445ample.com",  # Cyrillic
                    "ja\u0301ne.citizen@example.com",
                )
            ),
        ),
    ),
    Row(
        "D10",
        (
            *(
                Try(repr(address), lambda mint, a=address: post(mint, {"email": a}), found("cust-1001", "cust-1002"))
                for address in (" jane.citizen@example.com", "jane.citizen@example.com  ")
            ),
            *(
                Try(ascii(address), lambda mint, a=address: post(mint, {"email": a}), found())
                for address in (
                    "Jane <jane.citizen@example.com>",
                    "<jane.citizen@example.com>",
                    "mailto:jane.citizen@example.com",
                    "jane.citizen@example.com (work)",
                    "jane.citizen(work)@example.com",
                    '"jane.citizen"@example.com',
                    "jane.citizen+bank@example.com",
                    "janecitizen@example.com",
                    "jane.citizen@example.com.",
                    "jane.citizen @example.com",
                    "jane.citizen@example.com,robin.citizen@example.com",
                    "\u00a0jane.citizen@example.com",
                    "\u200bjane.citizen@example.com",
                )
            ),
            Try("a tab", lambda mint: post(mint, {"email": "\tjane.citizen@example.com"}), invalid_email),
            Try(
                "a tag is part of the address",
                lambda mint: post(mint, {"email": "lachie+bank@example.com"}),
                found("cust-1020"),
            ),
        ),
    ),
    Row("D11", scenario=who_is_there),
    Row("D12", scenario=who_is_there_with_a_token),
    Row(
        "D13",
        (Try("both", lambda mint: post(mint, JANE), found("cust-1001", "cust-1002")),),
    ),
    Row("D15", scenario=foreign_rows),
    Row("D16", scenario=further_fields),
    Row("D17", scenario=one_connection),
)
