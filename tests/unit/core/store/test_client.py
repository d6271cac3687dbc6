"""The store against real servers: each step happens once, for one caller, and every failure is a sentence of ours."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import itertools
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
import redis.exceptions

from core import errors
from core.store import client as store_client
from core.store import errors as store_errors
from core.store.client import Store
from core.store.records import Entered, Held, Lease, Phase, Rate, Unfinished

RATE = Rate(count=3, period=3600)


@pytest.fixture
async def kept(store_url: str) -> AsyncIterator[Store]:
    kept = Store.open(store_url, audit_rows=100)
    yield kept
    await kept.aclose()


@pytest.fixture
async def raw(store_url: str) -> AsyncIterator[Any]:
    async with redis.asyncio.Redis.from_url(store_url) as client:
        yield client


async def until(true: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(5):
        while not await true():
            await asyncio.sleep(0.01)


async def enter(
    kept: Store, name: str, *, who: str = "ann", risk: str = "read", rate: Rate = RATE, replica: str = "r1"
) -> Entered:
    return await kept.enter(
        id=name, who=who, risk=risk, rate=rate, record=b"words of " + name.encode(), replica=replica
    )


async def test_ping_tells_seconds(kept: Store) -> None:
    assert 0 < await kept.ping() < 2


# Jobs


async def test_a_wish_to_end_a_job_is_told_once_to_whoever_looks_after_it(kept: Store) -> None:
    assert await kept.job_owner("docker/h/4f0c") is None
    assert not await kept.renew_job("docker/h/4f0c", "ann", 60)
    assert await kept.job_owner("docker/h/4f0c") == "ann"
    await kept.request_stop("docker/h/4f0c", 60)
    assert not await kept.renew_job("docker/h/other", "ann", 60)
    assert await kept.renew_job("docker/h/4f0c", "ann", 60)
    assert not await kept.renew_job("docker/h/4f0c", "ann", 60)
    await kept.forget_job("docker/h/4f0c")
    assert await kept.job_owner("docker/h/4f0c") is None


async def test_a_job_nobody_looks_after_any_more_is_forgotten(kept: Store) -> None:
    await kept.renew_job("docker/h/4f0c", "ann", 0.05)

    async def gone() -> bool:
        return await kept.job_owner("docker/h/4f0c") is None

    await until(gone)


# Entering


async def test_an_id_enters_once_and_its_duplicates_spend_nothing(kept: Store) -> None:
    assert (await enter(kept, "a")).first
    again = [await enter(kept, "a") for _ in range(10)]
    assert not any(each.first for each in again)
    assert [(await enter(kept, each)).retry_after for each in ("b", "c")] == [0, 0]
    assert (await enter(kept, "d")).retry_after > 0


async def test_of_many_replicas_that_get_one_id_one_runs_it(kept: Store) -> None:
    entered = await asyncio.gather(*(enter(kept, "a", rate=Rate(count=100, period=60)) for _ in range(30)))
    assert sum(each.first for each in entered) == 1


async def test_limits_are_per_person_and_risk_and_say_when_to_come_back(kept: Store) -> None:
    for each in "abc":
        assert (await enter(kept, each)).retry_after == 0
    late = await enter(kept, "d")
    assert late.first
    assert 0 < late.retry_after <= RATE.period / RATE.count
    assert (await enter(kept, "e", who="bob")).retry_after == 0
    assert (await enter(kept, "f", risk="change")).retry_after == 0


async def test_trying_while_limited_does_not_push_the_end_away(kept: Store) -> None:
    for each in "abc":
        await enter(kept, each)
    waits = [(await enter(kept, f"x{number}")).retry_after for number in range(50)]
    assert waits == sorted(waits, reverse=True)


async def test_the_limit_ends_when_it_said(kept: Store) -> None:
    rate = Rate(count=1, period=0.2)
    await enter(kept, "a", rate=rate)
    refused = await enter(kept, "b", rate=rate)
    assert 0 < refused.retry_after <= 0.2
    tries = itertools.count()

    async def let_in() -> bool:
        return (await enter(kept, f"c{next(tries)}", rate=rate)).retry_after == 0

    await until(let_in)


async def test_burst_may_be_smaller_than_the_count(kept: Store) -> None:
    rate = Rate(count=100, period=3600, burst=2)
    assert [(await enter(kept, each, rate=rate)).retry_after > 0 for each in "abc"] == [False, False, True]


async def test_a_server_clock_set_back_locks_nobody_out(kept: Store, raw: Any) -> None:
    await raw.set("{qd}:rate:read:ann", 9_999_999_999_999_999)
    assert 0 < (await enter(kept, "a")).retry_after <= RATE.period / RATE.count + 0.001


@pytest.mark.parametrize(
    "bad", [{"count": 0, "period": 1}, {"count": 1, "period": 0}, {"count": 1, "period": 1, "burst": 0}]
)
def test_a_rate_that_lets_nothing_in_is_a_mistake(bad: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="above zero"):
        Rate(**bad)


async def test_entering_tells_the_policy_version(kept: Store) -> None:
    assert (await enter(kept, "a")).policy_version == 0
    version = await kept.add_grant("g", b"x")
    assert (await enter(kept, "b")).policy_version == version
    assert (await enter(kept, "b")).policy_version == version


# Unfinished invocations


async def test_what_a_dead_replica_left_is_found_once_and_never_a_living_one_s(kept: Store) -> None:
    await kept.heartbeat("r1", 60)
    await kept.heartbeat("r2", 60)
    await enter(kept, "a")
    await enter(kept, "b", who="bob", replica="r2")
    await kept.phase("b", Phase.INTENT, b"restart web")
    assert await kept.unfinished() == []
    await kept.remove_replica("r2")
    (left,) = await kept.unfinished()
    assert left == Unfinished(id="b", record=b"words of b", phase=Phase.INTENT, detail=b"restart web", replica="r2")
    assert await kept.unfinished("r1") == []
    assert await kept.unfinished("r2") == [left]
    winners = await asyncio.gather(*(kept.take_unfinished("b", seen=Phase.INTENT) for _ in range(10)))
    assert sum(winners) == 1
    assert await kept.unfinished() == []
    assert not await kept.take_unfinished("a")


async def test_a_lease_not_renewed_ends(kept: Store) -> None:
    await kept.heartbeat("r1", 0.05)
    await enter(kept, "a")
    await until(kept.unfinished)


async def test_what_was_done_or_refused_is_not_unfinished(kept: Store) -> None:
    for each in "abcd":
        await enter(kept, each)
    for each in "abc":
        await kept.phase(each, Phase.DONE)
    assert await kept.unfinished() == []


async def test_a_replica_that_was_given_up_may_not_begin_its_change(kept: Store) -> None:
    await enter(kept, "a")
    assert await kept.take_unfinished("a", seen=Phase.BEGUN)
    with pytest.raises(errors.LeaseLost, match="nothing was done"):
        await kept.phase("a", Phase.INTENT)
    await kept.phase("a", Phase.DONE)


async def test_what_moved_on_or_came_back_after_it_was_listed_is_not_taken(kept: Store) -> None:
    await enter(kept, "a")
    await kept.phase("a", Phase.INTENT)
    assert not await kept.take_unfinished("a", seen=Phase.BEGUN)
    await kept.heartbeat("r1", 60)
    assert not await kept.take_unfinished("a", seen=Phase.INTENT)
    await kept.remove_replica("r1")
    assert await kept.take_unfinished("a", seen=Phase.INTENT)


async def test_the_index_forgets_what_expired(kept: Store, raw: Any) -> None:
    await raw.zadd("{qd}:inv", {"old": 1})
    assert await kept.unfinished() == []
    await enter(kept, "a")
    assert await raw.zrange("{qd}:inv", 0, -1) == [b"a"]
    assert 0 < await raw.pttl("{qd}:inv:a") <= store_client.RECORD_TTL * 1000


# Questions and leases


async def test_a_question_has_one_winner(kept: Store) -> None:
    await kept.put_question("t", b"plan", 60)
    assert await kept.peek_question("t") == b"plan"
    claims = await asyncio.gather(*(kept.claim_question("t") for _ in range(20)))
    assert sorted(claims, key=bool) == [None] * 19 + [b"plan"]
    assert await kept.peek_question("t") is None


async def test_a_question_expires(kept: Store) -> None:
    await kept.put_question("t", b"plan", 0.03)

    async def gone() -> bool:
        return await kept.peek_question("t") is None

    await until(gone)
    assert await kept.claim_question("t") is None


async def test_one_holds_and_the_others_learn_who(kept: Store) -> None:
    answers = await asyncio.gather(*(kept.hold("web", f"by {number}".encode(), 60) for number in range(10)))
    (mine,) = [each for each in answers if isinstance(each, Lease)]
    others = [each for each in answers if isinstance(each, Held)]
    assert {each.record for each in others} == {f"by {answers.index(mine)}".encode()}
    assert all(0 < each.remaining <= 60 for each in others)
    assert isinstance(await kept.hold("db", b"", 60), Lease)


async def test_an_old_lease_cannot_touch_the_new_one(kept: Store) -> None:
    old = await kept.hold("web", b"old", 0.02)
    assert isinstance(old, Lease)

    async def held() -> Lease | None:
        answer = await kept.hold("web", b"new", 60)
        return answer if isinstance(answer, Lease) else None

    await until(held)
    assert not await kept.release(old)
    with pytest.raises(errors.LeaseLost):
        await kept.extend(old, 60)
    answer = await kept.hold("web", b"", 60)
    assert isinstance(answer, Held) and answer.record == b"new"


async def test_a_lease_is_extended_and_released(kept: Store) -> None:
    lease = await kept.hold("web", b"", 5)
    assert isinstance(lease, Lease)
    await kept.extend(lease, 500)
    answer = await kept.hold("web", b"", 5)
    assert isinstance(answer, Held) and answer.remaining > 5
    assert await kept.release(lease)
    assert not await kept.release(lease)
    later = await kept.hold("web", b"", 5)
    assert isinstance(later, Lease) and later.fence > lease.fence


# Grants


async def test_grants_and_their_version_move_together(kept: Store) -> None:
    assert await kept.grants() == (0, {})
    one = await kept.add_grant("a", b"1")
    two = await kept.add_grant("b", b"2")
    assert 0 < one < two == await kept.policy_version()
    assert await kept.grants() == (two, {"a": b"1", "b": b"2"})
    assert await kept.remove_grant("a")
    version, rows = await kept.grants()
    assert version > two and rows == {"b": b"2"}
    assert not await kept.remove_grant("a")
    assert await kept.policy_version() == version


async def test_a_version_never_names_two_sets_of_grants(kept: Store, raw: Any) -> None:
    before = await kept.add_grant("a", b"1")
    lost = await kept.add_grant("b", b"2")
    await raw.set("{qd}:policy:version", before)  # a store that went back by one write
    await raw.hdel("{qd}:grants", "b")
    assert await kept.add_grant("c", b"3") > lost


# Audit


async def test_audit_reads_newest_first_in_pages(kept: Store) -> None:
    ids = [await kept.append_audit({"who": "änn", "n": str(number)}) for number in range(5)]
    page = await kept.read_audit(count=3)
    assert [each.id for each in page] == ids[:1:-1]
    assert page[0].fields == {"who": "änn", "n": "4"} and page[0].count == 1
    assert [each.id for each in await kept.read_audit(count=9, before=page[-1].id)] == ids[1::-1]
    assert await kept.read_audit(count=9, before=ids[0]) == []


async def test_equal_refusals_are_one_row_with_a_count(kept: Store) -> None:
    refusal = {"what": "refused"}
    counts = await asyncio.gather(*(kept.fold_refusal(refusal, key="ann stop", window=60) for _ in range(7)))
    assert sorted(counts) == [1, 2, 3, 4, 5, 6, 7]
    assert await kept.fold_refusal(refusal, key="bob stop", window=60) == 1
    await kept.append_audit({"what": "done"})
    assert [(each.fields["what"], each.count) for each in await kept.read_audit(count=9)] == [
        ("done", 1),
        ("refused", 1),
        ("refused", 7),
    ]


async def test_a_new_window_is_a_new_row(kept: Store) -> None:
    await kept.fold_refusal({"a": "b"}, key="k", window=0.05)

    async def again() -> bool:
        return await kept.fold_refusal({"a": "b"}, key="k", window=0.05) == 1

    await until(again)
    assert len(await kept.read_audit(count=9)) == 2


async def test_a_refusal_whose_row_was_trimmed_is_written_again_and_old_counts_go(kept: Store, raw: Any) -> None:
    for _ in range(3):
        await kept.fold_refusal({"a": "b"}, key="k", window=60)
    (row,) = await kept.read_audit(count=9)
    await raw.xtrim("{qd}:audit", maxlen=0, approximate=False)
    assert await kept.fold_refusal({"a": "b"}, key="k", window=60) == 1
    (new,) = await kept.read_audit(count=9)
    assert new.id != row.id and new.count == 1

    async def forgotten() -> bool:  # once a row of a later millisecond is written
        await raw.xtrim("{qd}:audit", maxlen=0, approximate=False)
        await kept.fold_refusal({"a": "b"}, key="other", window=60)
        return not await raw.exists("{qd}:audit:repeats")

    await until(forgotten)
    assert await raw.zcard("{qd}:audit:repeated") == 0


async def test_audit_keeps_about_the_newest_rows(kept: Store, raw: Any) -> None:
    for number in range(500):
        last = await (
            kept.append_audit({"n": str(number)})
            if number % 2
            else kept.fold_refusal({"n": "x"}, key=str(number), window=60)
        )
    assert 100 <= await raw.xlen("{qd}:audit") < 300
    assert (await kept.read_audit(count=1))[0].id == last


async def test_cursors(kept: Store) -> None:
    assert await kept.cursor("docker/a") is None
    await kept.put_cursor("docker/a", 1_800_000_000_123_456_789)
    assert await kept.cursor("docker/a") == 1_800_000_000_123_456_789


# The server


async def test_all_keys_share_one_prefix_and_one_cluster_slot(store_url: str, raw: Any) -> None:
    async with contextlib.aclosing(Store.open(store_url, namespace="other")) as kept:
        await kept.heartbeat("r", 60)
        await enter(kept, "a")
        await kept.put_question("t", b"", 60)
        await kept.hold("web", b"", 60)
        await kept.add_grant("g", b"")
        await kept.append_audit({"a": "b"})
        for _ in range(2):
            await kept.fold_refusal({"a": "b"}, key="k", window=60)
        await kept.put_cursor("e", 1)
    keys = [key.decode() for key in await raw.keys("*")]
    assert len(keys) > 10 and all(key.startswith("{other}:") for key in keys), keys


async def test_scripts_survive_a_server_that_forgot_them(kept: Store, raw: Any) -> None:
    await enter(kept, "a")
    await raw.script_flush()
    assert (await enter(kept, "b")).first


async def test_connections_cut_by_the_server_are_renewed(kept: Store, raw: Any) -> None:
    await asyncio.gather(*(kept.ping() for _ in range(8)))
    await raw.client_kill_filter(_type="normal", skipme=True)

    async def back() -> bool:
        with contextlib.suppress(errors.StoreDown):
            return bool(await kept.ping())
        return False

    await until(back)
    await asyncio.gather(*(kept.ping() for _ in range(8)))


async def test_more_callers_than_connections_all_get_through(kept: Store, raw: Any) -> None:
    await asyncio.gather(*(kept.ping() for _ in range(store_client.CONNECTIONS * 10)))
    assert len(await raw.client_list()) <= store_client.CONNECTIONS + 1


async def test_a_full_store_says_so_for_scripts_and_plain_writes(kept: Store, raw: Any) -> None:
    await enter(kept, "a")
    await raw.config_set("maxmemory", 1)
    try:
        for write in (enter(kept, "b"), kept.put_question("t", b"", 60), kept.append_audit({"a": "b"})):
            with pytest.raises(errors.StoreDown, match="out of memory") as caught:
                await write
            assert "maxmemory" in caught.value.hint
        with pytest.raises(errors.StoreDown, match="out of memory"):
            await kept.phase("a", Phase.INTENT)
        await kept.phase("a", Phase.DONE)
    finally:
        await raw.config_set("maxmemory", 0)


async def test_a_replica_says_so(kept: Store, raw: Any) -> None:
    await raw.execute_command("REPLICAOF", "127.0.0.1", "1")
    try:
        with pytest.raises(errors.StoreDown, match="replica"):
            await kept.put_question("t", b"", 60)
        with pytest.raises(errors.StoreDown, match="replica"):
            await enter(kept, "a")
    finally:
        await raw.execute_command("REPLICAOF", "NO", "ONE")


async def test_a_wrong_login_says_so_without_the_password(kept: Store, raw: Any, store_socket: Path) -> None:
    await raw.execute_command("ACL", "SETUSER", "deck", "on", ">right", "~{qd}:*", "+get")
    try:
        for url in (f"unix://deck:wrong-secret@{store_socket}", f"unix://deck:right@{store_socket}"):
            async with contextlib.aclosing(Store.open(url)) as other:
                with pytest.raises(errors.StoreDown, match="refuses our login") as caught:
                    await other.put_question("t", b"", 60)
                assert "ACL" in caught.value.hint
                assert "secret" not in caught.value.full_message() and "right@" not in caught.value.full_message()
    finally:
        await raw.execute_command("ACL", "DELUSER", "deck")


async def test_another_type_under_our_key_is_an_error_not_a_store_that_is_down(kept: Store, raw: Any) -> None:
    await raw.set("{qd}:inv:a", "x")
    with pytest.raises(errors.StoreError, match="WRONGTYPE") as caught:
        await kept.phase("a", Phase.INTENT)
    assert not isinstance(caught.value, errors.StoreDown)


# Away


async def test_nobody_there() -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with contextlib.aclosing(Store.open(f"unix://{folder}/none.sock")) as kept:
            with pytest.raises(errors.StoreDown, match="does not answer") as caught:
                await enter(kept, "a")
    assert f"{folder}/none.sock" in caught.value.message and "store.url" in caught.value.hint


async def test_a_silent_server_costs_one_timeout() -> None:
    gone = asyncio.Event()

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await gone.wait()
        writer.close()

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with contextlib.aclosing(Store.open(f"redis://:pass@127.0.0.1:{port}/2", timeout=0.05)) as kept:
        for call in (
            kept.ping(),
            kept.grants(),
            kept.unfinished(),
            kept.read_audit(count=1),
            kept.phase("a", Phase.DONE),
        ):
            with pytest.raises(errors.StoreDown, match=rf"redis://127.0.0.1:{port}/2 ") as caught:
                await call
            assert "pass" not in caught.value.full_message()
    gone.set()
    server.close()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:6379",
        "http://u:hunter2@h",
        "redis://",
        "redis://:hunter2@h:port",
        "unix://",
        "redis://[::1:hunter2",
    ],
)
def test_a_wrong_address_is_told_with_its_cure(url: str) -> None:
    with pytest.raises(errors.BadUsage, match="cannot be understood") as caught:
        Store.open(url)
    assert "redis://" in caught.value.hint and "hunter2" not in caught.value.full_message()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rediss://user:p%40ss@store.example:6380/3?ssl_cert_reqs=none", "rediss://store.example:6380/3"),
        ("redis://[::1]:6379", "redis://[::1]:6379"),
        ("unix://:pw@/run/store.sock?db=1", "unix:///run/store.sock"),
    ],
)
async def test_an_address_is_shown_without_its_secrets(url: str, shown: str) -> None:
    async with contextlib.aclosing(Store.open(url)) as kept:
        assert kept.where == shown


# The one door

FOREIGN = [each for _, each in inspect.getmembers(redis.exceptions, inspect.isclass) if issubclass(each, Exception)]


@pytest.mark.parametrize("kind", FOREIGN, ids=lambda each: each.__name__)
async def test_every_error_of_the_library_is_mapped_by_name(kind: type[Exception]) -> None:
    name = kind.__name__
    assert (name in store_errors.DOWN) != (name in store_errors.FAILED), f"list {name} in core/store/errors.py"
    error = kind.__new__(kind)
    error.args = ("why",)
    translated = store_errors.translate(error, where="here")
    assert isinstance(translated, errors.StoreDown) == (name in store_errors.DOWN)
    assert "here" in translated.message and translated.hint
    async with contextlib.aclosing(Store.open("redis://nowhere")) as kept:
        with pytest.raises(errors.StoreError):
            async with kept._door():
                raise error


def test_what_stops_writes_is_down_not_a_bug() -> None:
    for name in ("ConnectionError", "TimeoutError", "BusyLoadingError", "ReadOnlyError", "OutOfMemoryError"):
        assert isinstance(store_errors.translate(getattr(redis.exceptions, name)(), where="x"), errors.StoreDown)
    for code, said in store_errors.CODES.items():
        error = redis.exceptions.ResponseError(f"Error running script: @user_script: 3: -{code} no")
        assert said[0] in store_errors.translate(error, where="x").message


async def test_a_cancelled_caller_stays_cancelled(kept: Store) -> None:
    task = asyncio.ensure_future(kept.ping())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await kept.ping() > 0


@pytest.mark.parametrize("ticks", range(0, 24))
async def test_a_cancelled_call_ends_its_task_however_far_it_had_come(store_url: str, ticks: int) -> None:
    """redis-py swallows a cancellation that meets it while connecting; an endless task would then never stop."""
    store = Store.open(store_url)

    async def endless() -> None:
        while True:
            with contextlib.suppress(errors.StoreError):
                await store.ping()
            await asyncio.sleep(60)

    task = asyncio.create_task(endless())
    for _ in range(ticks):
        await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=5)
    await store.aclose()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert done
