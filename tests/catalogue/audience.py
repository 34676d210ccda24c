"""Group A: for which URI a token was made, and for which one it is used."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

from catalogue.rows import (
    Reply,
    Request,
    Row,
    Try,
    any_of,
    claiming,
    exchange,
    invalid_token,
    meets,
    mint,
    ok,
    send,
    serve,
    status,
    tries,
)
from helpers.people import BALANCE, JANE, SEARCH
from helpers.support import World, sample_rows, start_with
from helpers.tokens import ABSENT, Mint

EVIL = "https://evil.example"
PUBLIC = "https://resource.example"
"""A public URL with a name in it and no port: an address has no letter case, and a test's port is not the default."""

NO_URI = {
    "missing": ABSENT,
    "null": None,
    "empty": "",
    "a space": " ",
    "an empty list": [],
    "a number": 7,
    "true": True,
    "an object": lambda mint: {"uri": mint.uri},
    "an object named so": lambda mint: {mint.uri: mint.uri},
    "a list in a list": lambda mint: [[mint.uri]],
    "a list of null": [None],
    "a list of an empty text": [""],
}
SEVERAL = {
    "and another": lambda mint: [mint.uri, f"{EVIL}/"],
    "another first": lambda mint: [f"{EVIL}/", mint.uri],
    "twice": lambda mint: [mint.uri, mint.uri],
    "and null": lambda mint: [mint.uri, None],
    "and an empty text": lambda mint: [mint.uri, ""],
    "in one text": lambda mint: f"{mint.uri} {EVIL}/",
    "in one text with a comma": lambda mint: f"{mint.uri},{EVIL}/",
}

# -- paths --------------------------------------------------------------------------------------------------------

BENT = {
    "a slash at the end": f"{BALANCE}/",
    "two slashes at the end": f"{BALANCE}//",
    "two slashes in front": f"/{BALANCE}",
    "two slashes inside": BALANCE.replace("/accounts", "//accounts"),
    "a dot in front": f"/.{BALANCE}",
    "a dot inside": BALANCE.replace("/accounts", "/./accounts"),
    "a dot at the end": f"{BALANCE}/.",
    "there and back in front": f"/x/..{BALANCE}",
    "there and back inside": BALANCE.replace("/accounts", "/x/../accounts"),
    "there and back at the end": f"{BALANCE}/x/..",
    "from above the root": f"/..{BALANCE}",
    "an escaped slash": BALANCE.replace("/accounts", "%2Faccounts"),
    "escaped dots": BALANCE.replace("/accounts", "/x/%2e%2e/accounts"),
}


async def for_a_bent_path(world: World) -> None:
    """The path is bent in the token, in the request, and in both."""
    await serve(world)
    for what, path in BENT.items():
        meets(invalid_token, await send(world, mint(world, path).token()), f"aud: {what}")
        for token in (mint(world, path).token(), mint(world).token()):
            meets(status(404), await send(world, Request(token, path=path)), f"path: {what}")
            meets(ok, await send(world, mint(world).token()), "the server goes on serving")


# -- spellings of one URI -----------------------------------------------------------------------------------------

SPELLINGS = {
    "host in capitals": (PUBLIC.upper().replace("HTTPS", "https"), BALANCE, BALANCE),
    "scheme in capitals": (PUBLIC.replace("https", "HTTPS"), BALANCE, BALANCE),
    "the port that https has anyway": (f"{PUBLIC}:443", BALANCE, BALANCE),
    "a colon without a port": (f"{PUBLIC}:", BALANCE, BALANCE),
    "a needless escape in aud": (PUBLIC, BALANCE.replace("cust-1001", "%63ust-1001"), BALANCE),
    "a needless escape in the path": (PUBLIC, BALANCE, BALANCE.replace("cust-1001", "%63ust-1001")),
    "two of them, and another in aud": (
        PUBLIC,
        BALANCE.replace("acc-", "%61cc-"),
        BALANCE.replace("acc-", "%61%63c%2d"),
    ),
    "small hex digits in the path": (
        PUBLIC,
        BALANCE.replace("cust-1001", "cust%2D1001"),
        BALANCE.replace("cust-1001", "cust%2d1001"),
    ),
}
SLASHES = (BALANCE.replace("cust-1001", "a%2Fb"), BALANCE.replace("cust-1001", "a%2fb"))
"""An escape that is needed, with capital and with small digits. No customer has such an id."""
OTHER_RESOURCES = {
    "an escaped slash for a slash": BALANCE.replace("/accounts", "%2Faccounts"),
    "a path in other letter case": BALANCE.upper(),
    "a slash at the end": f"{BALANCE}/",
    "a dot segment": BALANCE.replace("/accounts", "/./accounts"),
    "a double escape": BALANCE.replace("cust-1001", "%2563ust-1001"),
    "a fragment": f"{BALANCE}#x",
    "a query": f"{BALANCE}?x",
}


async def spellings(world: World) -> None:
    exact = await serve(world, "exact", PUBLIC_URL=PUBLIC)
    normalised = await serve(world, "normalised", PUBLIC_URL=PUBLIC, FISKIL__AUDIENCE_MATCH="normalised")
    for what, (base, in_token, in_request) in SPELLINGS.items():
        for server, expect in ((exact, invalid_token), (normalised, ok)):
            token = Mint(server.signer, base, in_token).token()
            meets(expect, await send(server, Request(token, path=in_request)), f"{what} ({server.folder.name})")
    for in_token, in_request in (SLASHES, SLASHES[::-1]):
        token = Mint(world.signer, PUBLIC, in_token).token()
        invalid_token(await send(exact, Request(token, path=in_request)))
        status(404)(await send(normalised, Request(token, path=in_request)))
    for server in (exact, normalised):
        good = Mint(world.signer, PUBLIC)
        ok(await send(server, good.token()))
        for what, path in OTHER_RESOURCES.items():
            token = good.token(aud=PUBLIC + path)
            meets(invalid_token, await send(server, token), f"{what} ({server.folder.name})")


ELSEWHERE = {
    "http": PUBLIC.replace("https", "http"),
    "http with the port of https": "http://resource.example:443",
    "no scheme": "//resource.example",
    "another scheme": "wss://resource.example",
    "another port": f"{PUBLIC}:8443",
    "the port of http": f"{PUBLIC}:80",
    "a port that is none": f"{PUBLIC}:443443",
    "another host": EVIL,
    "a host below": "https://api.resource.example",
    "a host above": "https://example",
    "a longer host": f"{PUBLIC}.evil.example",
    "a dot behind the host": f"{PUBLIC}.",
    "a user": "https://me@resource.example",
    "a user and password": "https://me:secret@resource.example",
    "an empty user": "https://@resource.example",
    "our host as the user of another": f"{PUBLIC}@evil.example",
    "a backslash": "https://evil.example\\@resource.example",
    "a path in front": f"{PUBLIC}/v1",
    "a space in front": f" {PUBLIC}",
    "a letter that only looks alike": PUBLIC.replace("e.e", "\u0435.e"),
    "an address that is no URL": "https://[resource.example",
    "the path alone": "",
}


async def other_servers(world: World) -> None:
    for mode in ("exact", "normalised"):
        server = await serve(world, mode, PUBLIC_URL=PUBLIC, FISKIL__AUDIENCE_MATCH=mode)
        for what, base in ELSEWHERE.items():
            meets(invalid_token, await send(server, Mint(world.signer, base).token()), f"{what} ({mode})")
        ok(await send(server, Mint(world.signer, PUBLIC).token()))


# -- the request around the token ---------------------------------------------------------------------------------


async def other_methods(world: World) -> None:
    await serve(world)
    jane = b'{"email": "%s"}' % JANE["email"].encode()
    for path, right, wrong in ((BALANCE, "GET", "POST"), (SEARCH, "POST", "GET")):
        token = mint(world, path).token()
        body = {"GET": None, "POST": jane}
        for method in (wrong, "PUT", "DELETE", "PATCH"):
            reply = await send(world, Request(token, path, method, body=body.get(method)))
            meets(status(405, allow=right), reply, f"{method} {path}")
        for expect in (ok, invalid_token):
            meets(expect, await send(world, Request(token, path, right, body=body[right])), f"{right} {path}")


async def asked_of(world: World, host: str, token: str) -> Reply:
    """Ask with another Host line in place of the ordinary one."""
    return await exchange(world, Request(token).wire().replace(b"Host: resource.example", host.encode()))


async def other_hosts(world: World) -> None:
    await serve(world)
    for host in ("evil.example", "evil.example:443", "EVIL.example", world.url.partition("//")[2]):
        for scheme in ("https", "http"):
            token = Mint(world.signer, f"{scheme}://evil.example").token()
            meets(invalid_token, await asked_of(world, f"Host: {host}", token), f"{scheme}, Host {host}")
        meets(ok, await asked_of(world, f"Host: {host}", mint(world).token()), f"a good token, Host {host}")


FORWARDED = {
    "X-Forwarded-Host": {"X-Forwarded-Host": "evil.example"},
    "X-Forwarded-Proto": {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example"},
    "X-Scheme": {"X-Scheme": "https", "X-Forwarded-Host": "evil.example"},
    "X-Forwarded-Port": {"X-Forwarded-Port": "443", "X-Forwarded-Host": "evil.example"},
    "X-Forwarded-Server": {"X-Forwarded-Server": "evil.example"},
    "X-Forwarded-Prefix": {"X-Forwarded-Prefix": "/evil"},
    "X-Original-URL": {"X-Original-URL": f"/evil{BALANCE}", "X-Rewrite-URL": f"/evil{BALANCE}"},
    "Forwarded": {"Forwarded": "for=192.0.2.1;host=evil.example;proto=https"},
    "X-Real-Ip": {"X-Real-Ip": "127.0.0.1", "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "evil.example"},
}


def forwarded() -> tuple[Try, ...]:
    """With each header, tokens for where it points to, and a good one."""
    bases = {
        "https": lambda mint: EVIL,
        "http": lambda mint: EVIL.replace("https", "http"),
        "our host by https": lambda mint: mint.base_url.replace("http:", "https:"),
        "a prefix": lambda mint: f"{mint.base_url}/evil",
    }

    def sent(base, headers):
        return lambda mint: Request(replace(mint, base_url=base(mint)).token(), headers=headers)

    return tuple(
        tried
        for name, headers in FORWARDED.items()
        for tried in (
            *tries(invalid_token, {f"{name}: {what}": sent(base, headers) for what, base in bases.items()}),
            Try(f"{name}: a good token", sent(lambda mint: mint.base_url, headers), ok),
        )
    )


async def absolute_targets(world: World) -> None:
    """A13. Such a line asks for the path in it (RFC 9112 section 3.2.2): whose server it names decides nothing."""
    await serve(world)
    for base in (EVIL, EVIL.replace("https", "http"), world.url, "http://resource.example"):
        target = base + BALANCE
        for audience in {target, world.url + target} - {world.url + BALANCE}:
            one = mint(world).token(aud=audience)
            meets(invalid_token, await send(world, Request(one, path=target)), f"{audience} at {target}")
        meets(ok, await send(world, Request(mint(world).token(), path=target)), f"a good token at {target}")


ENCODED_IDS = ("a b", "\u00e9", "a/b", "a%2Fb", "+")


async def encoded_ids(world: World) -> None:
    rows = sample_rows()
    for number, customer in enumerate(ENCODED_IDS):
        rows["customers"].append({**rows["customers"][0], "id": customer, "email": f"e{number}@example.net"})
        rows["accounts"].append({**rows["accounts"][0], "customerId": customer, "id": f"acc-e{number}"})
        rows["balances"].append({**rows["balances"][0], "accountId": f"acc-e{number}"})
    await start_with(world, "sqlite", rows, settings='id_characters = " é%/+"')
    for number, customer in enumerate(ENCODED_IDS):
        path, decoded = (
            f"/customer/{name}/accounts/acc-e{number}/balances" for name in (quote(customer, ""), customer)
        )
        token = mint(world, decoded).token()
        meets(invalid_token, await send(world, Request(token, path=path)), f"aud {decoded!r}")
        meets(ok, await send(world, Request(mint(world, path).token(), path=path)), f"customer {customer!r}")


async def old_http(world: World) -> None:
    await serve(world)

    def wire(token: str) -> bytes:
        return f"GET {BALANCE} HTTP/1.0\r\nAuthorization: Bearer {token}\r\n\r\n".encode()

    any_of(ok, invalid_token)(await exchange(world, wire(mint(world).token())))
    for base in (EVIL, "http://", "http://127.0.0.1", "http://None", ""):
        meets(invalid_token, await exchange(world, wire(Mint(world.signer, base).token())), f"made for {base!r}")
    ok(await send(world, mint(world).token()))


ROWS = (
    Row("A01", claiming(invalid_token, "aud", NO_URI)),
    Row("A02", claiming(ok, "aud", {"list": lambda mint: [mint.uri]})),
    Row("A03", claiming(invalid_token, "aud", SEVERAL)),
    Row(
        "A05",
        tries(
            ok,
            {
                f"?{query}": lambda mint, query=query: Request(mint.token(), path=f"{BALANCE}?{query}")
                for query in ("offset=2&limit=5", "", "x=/../..", "aud=https://evil.example/", "a=1?b=2", "%00")
            },
        ),
    ),
    Row("A06", scenario=for_a_bent_path),
    Row("A07", scenario=spellings),
    Row("A08", scenario=other_servers),
    Row("A10", scenario=other_methods),
    Row("A11", scenario=other_hosts),
    Row("A12", forwarded()),
    Row("A13", scenario=absolute_targets),
    Row("A15", scenario=encoded_ids),
    Row("A16", scenario=old_http),
)
