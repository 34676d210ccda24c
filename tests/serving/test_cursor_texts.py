"""The opaque offset of the FDX: what it tells nobody, what it survives and what it is refused for."""

from __future__ import annotations

import base64
import logging
import stat

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers import shared
from helpers.fdx_bank import (
    ACCOUNTS,
    CUSTOMER,
    DAY,
    NETWORKS,
    STATEMENTS,
    TRANSACTIONS,
    FDXBank,
    offset_of,
    open_bank,
    open_own_bank,
    refused,
    reset_bank,
    transactions,
)
from helpers.support import World
from openholder.contract.errors import RequestError
from openholder.serving.cursors import Cursor, Cursors, load_key

module_loop = pytest.fixture(shared.open_loop, scope="module")
io_loop = pytest.fixture(shared.use_loop)

opened = pytest.fixture(open_bank, scope="module")
bank = pytest.fixture(reset_bank)
own_bank = pytest.fixture(open_own_bank)


# -- what an offset is good for ----------------------------------------------------------------------------------------


@pytest.mark.gen_test
async def test_an_offset_tells_nothing_of_what_it_holds(bank):
    # Long ids: two letters stand in every other offset by chance.
    ids = [f"transaction-{n}" for n in range(5)]
    bank.add("transactions", *[("a1", one, DAY.isoformat(), None) for one in ids])
    first, second = await offset_of(bank), await offset_of(bank)
    assert first != second
    decoded = base64.urlsafe_b64decode(first + "=" * (-len(first) % 4))
    assert b"transaction" not in decoded and "transaction" not in first
    assert all(sign.isalnum() or sign in "-_" for sign in first)


GARBAGE = [
    "",
    "0",
    "1",
    "2",
    "null",
    "x" * 100,
    "A" * 3000,
    "gAAAAA",
    "%00",
    "%E2%82%AC",
    "..%2F..",
    "=",
    "%20",
    "eyJhIjoxfQ",
]


@pytest.mark.gen_test
async def test_a_garbled_offset_is_refused(bank):
    bank.add("transactions", *transactions(*range(5)))
    offset = await offset_of(bank)
    for text in [
        *GARBAGE,
        offset[:-1],
        offset[1:],
        offset[: len(offset) // 2],
        offset + "AAAA",
        offset + offset,
        offset[::-1],
    ]:
        assert await refused(bank, text), text
    assert not await refused(bank, offset)


@pytest.mark.slow
@pytest.mark.gen_test
async def test_an_offset_of_another_list_or_query_is_refused(bank):
    bank.add("transactions", *transactions(*range(5)), *transactions(*range(5), account="a2"))
    bank.add("statements", *[("a1", f"s{n}", "2026-06-15") for n in range(5)])
    bank.add("payment_networks", *[("a1", str(n)) for n in range(5)])
    bank.add("accounts", ("a1", "x"), ("a2", "y"), ("a3", "z"))
    body = {"data": {"accountIds": ["a1", "a2", "a3"]}}
    days = "startTime=2026-06-15&endTime=2026-06-16"
    lists = [
        (TRANSACTIONS, "", None),
        (TRANSACTIONS, "startTime=2026-06-15", None),
        (TRANSACTIONS, "startTime=2026-06-14", None),
        (TRANSACTIONS, "endTime=2026-06-15", None),
        (TRANSACTIONS, days, None),
        (f"{CUSTOMER}/accounts/a2/transactions", "", None),
        (STATEMENTS, "", None),
        (STATEMENTS, days, None),
        (NETWORKS, "", None),
        (ACCOUNTS, "", body),
    ]
    offsets = [await offset_of(bank, path, f"limit=2&{query}".rstrip("&"), sent) for path, query, sent in lists]
    for origin, offset in zip(lists, offsets, strict=True):
        for path, query, sent in lists:
            assert await refused(bank, offset, path, query, sent) is ((path, query, sent) != origin)
    assert not await refused(bank, offsets[4], TRANSACTIONS, "unknown=1&endTime=2026-06-16&startTime=2026-06-15")


@pytest.fixture
def keyed(tmp_path):
    return [Cursors(tmp_path / name) for name in ("one.key", "two.key")]


here = settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
signs = st.sampled_from("ABCXYZabcxyz0189-_=+/!~")


@given(st.integers(0, 10**6), signs, st.booleans())
@here
def test_no_changed_text_opens_as_another_cursor(keyed, place, sign, is_added):
    sealed = keyed[0].seal(Cursor(25, "t25"), ["/list", {"a": "b"}])
    place %= len(sealed)
    changed = sealed[:place] + sign + sealed[place + (not is_added) :]
    try:
        assert keyed[0].open(changed, ["/list", {"a": "b"}]) == Cursor(25, "t25")
    except RequestError:
        assert changed != sealed


@pytest.mark.slow
@given(
    st.integers(0, 10**9), st.text(max_size=64), st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3)
)
@here
def test_a_cursor_opens_as_it_was_sealed_whatever_it_names(keyed, position, last, filters):
    cursors, others = keyed
    sealed = cursors.seal(Cursor(position, last), ["/list", filters])
    assert cursors.open(sealed, ["/list", dict(reversed(filters.items()))]) == Cursor(position, last)
    for stranger, path in [(others, "/list"), (cursors, "/lists")]:
        with pytest.raises(RequestError):
            stranger.open(sealed, [path, filters])


@pytest.mark.gen_test
async def test_the_longest_ids_fit_into_an_offset(bank):
    long = [("a1", f"{n}{'x' * 255}", DAY.isoformat(), None) for n in range(3)]
    bank.add("transactions", *long)
    found, _ = await bank.walk(TRANSACTIONS, "limit=1", "transactions", "transactionId")
    assert found == [row[1] for row in long]


# -- the key -----------------------------------------------------------------------------------------------------------


def warnings_of(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def another(world, folder):
    folder.mkdir(exist_ok=True)
    return World(folder, world.signer)


@pytest.mark.gen_test
async def test_an_offset_survives_a_restart(own_bank, world, tmp_path):
    """The key file is readable by its owner only."""
    own_bank.add("transactions", *transactions(*range(5)))
    offset = await offset_of(own_bank)
    key = tmp_path / "cursor.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    content = key.read_bytes()
    await world.stop()
    restarted = FDXBank(World(tmp_path, world.signer))
    try:
        await restarted.start()
        assert not await refused(restarted, offset)
        assert (key.read_bytes(), sorted(path.name for path in tmp_path.glob("cursor*"))) == (content, ["cursor.key"])
    finally:
        await restarted.world.stop()
        restarted.writer.close()


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.gen_test
async def test_servers_accept_offsets_only_with_a_shared_key(own_bank, world, tmp_path, shared):
    other = FDXBank(another(world, tmp_path / "other"))
    try:
        await other.start(settings='cursor_key = "../cursor.key"' if shared else "")
        for one in (own_bank, other):
            one.add("transactions", *transactions(*range(5)))
        assert await refused(other, await offset_of(own_bank)) is not shared
        assert await refused(own_bank, await offset_of(other)) is not shared
    finally:
        await other.world.stop()
        other.writer.close()


@pytest.mark.parametrize("content", [b"", b"short", None], ids=["empty", "short", "folder"])
@pytest.mark.gen_test
async def test_a_broken_key_file_is_kept_and_lists_are_still_served(io_loop, world, tmp_path, caplog, content):
    """The log has a warning."""
    key = tmp_path / "cursor.key"
    key.mkdir() if content is None else key.write_bytes(content)
    bank = FDXBank(world)
    try:
        await bank.start()
        bank.add("transactions", *transactions(*range(5)))
        found, _ = await bank.walk(TRANSACTIONS, "limit=2", "transactions", "transactionId")
        assert found == ["t4", "t3", "t2", "t1", "t0"]
        (warning,) = [text for text in warnings_of(caplog) if "cursor" in text]
        assert "cursors will expire with this process" in warning
        assert key.is_dir() if content is None else key.read_bytes() == content
    finally:
        bank.writer.close()


def test_a_key_that_cannot_be_kept_is_a_new_one_each_time(tmp_path, caplog):
    first, second = load_key(tmp_path / "nowhere" / "key"), load_key(tmp_path / "nowhere" / "key")
    assert first != second and len(first) == len(second) == 44
    assert len(warnings_of(caplog)) == 2
    assert not any(key.decode() in text for key in (first, second) for text in warnings_of(caplog))


def test_a_key_is_made_once_and_kept(tmp_path, caplog):
    assert len({load_key(tmp_path / "key") for _ in range(3)}) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["key"]
    assert warnings_of(caplog) == []
