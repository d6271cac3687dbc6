"""The store against real servers: each step happens once, for one caller, and every failure is a sentence of ours."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import itertools
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
import redis.exceptions

from core import errors
from core.store import audit_trail, client, command_progress, connection, keys, redis_errors
from core.store.client import Store
from core.store.records import (
    AuditLimits,
    Entered,
    LeaseConflict,
    LeaseRequest,
    OutcomeRow,
    Phase,
    RateLimitRule,
    Unfinished,
    WatchRecord,
    WatchUpdate,
)
from tests.helpers import servers

RATE = RateLimitRule(count=3, period=3600)


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    store = Store.open(store_url, audit=AuditLimits(rows=100))
    yield store
    await store.aclose()


@pytest.fixture
async def raw(store_url: str) -> AsyncIterator[Any]:
    async with redis.asyncio.Redis.from_url(store_url) as client:
        yield client


async def until(true: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(60):
        while not await true():
            await asyncio.sleep(0.01)


async def enter(
    store: Store, name: str, *, who: str = "ann", risk: str = "read", rate: RateLimitRule = RATE, replica: str = "r1"
) -> Entered:
    return await store.enter(
        id=name, who=who, risk=risk, rate=rate, record=b"words of " + name.encode(), replica=replica
    )


async def begin(store: Store, name: str, *targets: str, ttl: float = 60, detail: bytes = b"") -> Any:
    """Begins a change on these targets, one intent row for each."""
    leases = [LeaseRequest(key=target, record=b"held by " + name.encode(), ttl=ttl) for target in targets]
    intents = [{"phase": "intent", "invocation": name, "target": target} for target in targets]
    return await store.begin_change(name, leases=leases, intents=intents, detail=detail)


def outcome(index: int, status: str = "done") -> OutcomeRow:
    return OutcomeRow(index=index, status=status, row={"phase": "outcome", "status": status, "n": str(index)})


async def append(store: Store, row: dict[str, str]) -> str:
    (id_,) = await store.append_audit([row])
    return id_


async def audited(store: Store) -> list[tuple[str, ...]]:
    """Phase and target or status of each audit row, oldest first."""
    rows = [row.fields for row in reversed(await store.read_audit(count=100))]
    return [(row["phase"], row.get("target") or row["status"]) for row in rows]


async def test_ping_tells_seconds(store: Store) -> None:
    assert 0 < await store.ping() < 2


# Jobs


async def test_a_wish_to_end_a_job_is_told_once_to_whoever_looks_after_it(store: Store) -> None:
    assert await store.job_owner("docker/h/4f0c") is None
    assert not await store.renew_job("docker/h/4f0c", "ann", 60)
    assert await store.job_owner("docker/h/4f0c") == "ann"
    await store.request_stop("docker/h/4f0c", 60)
    assert not await store.renew_job("docker/h/other", "ann", 60)
    assert await store.renew_job("docker/h/4f0c", "ann", 60)
    assert not await store.renew_job("docker/h/4f0c", "ann", 60)
    await store.forget_job("docker/h/4f0c")
    assert await store.job_owner("docker/h/4f0c") is None


async def test_a_job_nobody_looks_after_any_more_is_forgotten(store: Store) -> None:
    await store.renew_job("docker/h/4f0c", "ann", 0.05)

    async def gone() -> bool:
        return await store.job_owner("docker/h/4f0c") is None

    await until(gone)


# Entering


async def test_an_id_enters_once_and_its_duplicates_spend_nothing(store: Store) -> None:
    assert (await enter(store, "a")).first
    again = [await enter(store, "a") for _ in range(10)]
    assert not any(each.first for each in again)
    assert [(await enter(store, each)).retry_after for each in ("b", "c")] == [0, 0]
    assert (await enter(store, "d")).retry_after > 0


async def test_of_many_replicas_that_get_one_id_one_runs_it(store: Store) -> None:
    entered = await asyncio.gather(*(enter(store, "a", rate=RateLimitRule(count=100, period=60)) for _ in range(30)))
    assert sum(each.first for each in entered) == 1


async def test_limits_are_per_person_and_risk_and_say_when_to_come_back(store: Store) -> None:
    for each in "abc":
        assert (await enter(store, each)).retry_after == 0
    late = await enter(store, "d")
    assert late.first
    assert 0 < late.retry_after <= RATE.period / RATE.count
    assert (await enter(store, "e", who="bob")).retry_after == 0
    assert (await enter(store, "f", risk="change")).retry_after == 0


async def test_trying_while_limited_does_not_push_the_end_away(store: Store) -> None:
    for each in "abc":
        await enter(store, each)
    waits = [(await enter(store, f"x{number}")).retry_after for number in range(50)]
    assert waits == sorted(waits, reverse=True)


async def test_the_limit_ends_when_it_said(store: Store) -> None:
    rate = RateLimitRule(count=1, period=0.2)
    await enter(store, "a", rate=rate)
    refused = await enter(store, "b", rate=rate)
    assert 0 < refused.retry_after <= 0.2
    tries = itertools.count()

    async def let_in() -> bool:
        return (await enter(store, f"c{next(tries)}", rate=rate)).retry_after == 0

    await until(let_in)


async def test_burst_may_be_smaller_than_the_count(store: Store) -> None:
    rate = RateLimitRule(count=100, period=3600, burst=2)
    assert [(await enter(store, each, rate=rate)).retry_after > 0 for each in "abc"] == [False, False, True]


async def test_the_last_name_of_each_person_is_stored_up_to_a_limit(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command_progress, "MAX_PEOPLE", 2)

    async def named(who: str, name: str, number: Iterator[int] = itertools.count()) -> Entered:
        return await store.enter(
            id=f"n{next(number)}", who=who, risk="read", rate=RATE, record=b"", replica="r1", name=name
        )

    await named("slack:T1/A", "ann")
    await named("slack:T1/A", "")
    await named("slack:T1/B", "b" * 500)
    await named("slack:T1/C", "cy")
    assert (await named("slack:T1/A", "anna")).retry_after == 0
    assert await store.people() == {"slack:T1/A": "anna", "slack:T1/B": "b" * command_progress.MAX_NAME}
    # A refused command stores no name.
    assert (await named("slack:T1/A", "other")).retry_after > 0
    assert (await store.people())["slack:T1/A"] == "anna"


async def test_a_server_clock_set_back_locks_nobody_out(store: Store, raw: Any) -> None:
    await raw.set("{qd}:rate:read:ann", 9_999_999_999_999_999)
    assert 0 < (await enter(store, "a")).retry_after <= RATE.period / RATE.count + 0.001


@pytest.mark.parametrize(
    "bad", [{"count": 0, "period": 1}, {"count": 1, "period": 0}, {"count": 1, "period": 1, "burst": 0}]
)
def test_a_rate_that_lets_nothing_in_is_a_mistake(bad: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="above zero"):
        RateLimitRule(**bad)


async def test_entering_tells_the_policy_version(store: Store) -> None:
    assert (await enter(store, "a")).policy_version == 0
    version = await store.add_grant("g", b"x")
    assert (await enter(store, "b")).policy_version == version
    assert (await enter(store, "b")).policy_version == version


@pytest.mark.parametrize("odd", ["", "x", "1.5", "inf", "nan", "-", "9" * 5000, b"\xff", "1e400"])
async def test_a_policy_version_that_is_no_number_does_not_stop_commands(store: Store, raw: Any, odd: Any) -> None:
    await store.add_grant("g", b"x")
    await raw.set("{qd}:policy:version", odd)
    await raw.set("{qd}:rate:read:ann", "nan" if odd == "inf" else odd)
    entered = await enter(store, "a")
    version, rows = await store.grants()
    assert entered.first
    assert entered.policy_version == version == await store.policy_version()
    assert rows == {"g": b"x"}
    await raw.set("{qd}:policy:version", "other")
    assert (await enter(store, "b")).policy_version != version
    assert await store.add_grant("h", b"y") > 0
    assert (await store.grants())[0] == await store.policy_version() > 0


# Unfinished invocations


async def test_what_a_dead_replica_left_is_found_once_and_never_a_living_one_s(store: Store) -> None:
    await store.heartbeat("r1", 60)
    await store.heartbeat("r2", 60)
    await enter(store, "a")
    await enter(store, "b", who="bob", replica="r2")
    await begin(store, "b", "web", detail=b"restart web")
    assert await store.unfinished() == []
    await store.remove_replica("r2")
    (left,) = await store.unfinished()
    assert left == Unfinished(id="b", record=b"words of b", phase=Phase.INTENT, detail=b"restart web", replica="r2")
    assert await store.unfinished("r1") == []
    assert await store.unfinished("r2") == [left]
    row = {"phase": "outcome", "status": "unknown"}
    winners = await asyncio.gather(*(store.take_unfinished(left, audit=[row]) for _ in range(10)))
    assert sum(winners) == 1
    assert await store.unfinished() == []
    assert await audited(store) == [("intent", "web"), ("outcome", "unknown")]


async def test_a_replica_without_heartbeats_is_dead(store: Store) -> None:
    await store.heartbeat("r1", 0.05)
    await enter(store, "a")
    await until(store.unfinished)


async def test_what_was_answered_is_not_unfinished(store: Store, raw: Any) -> None:
    for each in "abcd":
        await enter(store, each)
    for each in "abc":
        await store.forget(each)
    assert await store.unfinished() == []
    assert await raw.keys("{qd}:inv*") == []


async def test_a_replica_that_was_taken_for_dead_may_not_begin_its_change(store: Store, raw: Any) -> None:
    await enter(store, "a")
    (left,) = await store.unfinished()
    assert await store.take_unfinished(left)
    with pytest.raises(errors.LeaseLost, match="this process did nothing"):
        await begin(store, "a", "web")
    assert await store.read_audit(count=9) == []
    assert not await raw.exists("{qd}:hold:web")
    await store.forget("a")


async def test_what_moved_on_or_came_back_after_it_was_read_is_not_taken(store: Store) -> None:
    await enter(store, "a")
    (left,) = await store.unfinished()
    await begin(store, "a", "web", "db")
    assert not await store.take_unfinished(left)
    (left,) = await store.unfinished()
    await store.record_outcomes("a", [outcome(0)])
    assert not await store.take_unfinished(left)
    (left,) = await store.unfinished()
    assert left.outcomes == {0: "done"}
    await store.heartbeat("r1", 60)
    assert not await store.take_unfinished(left)
    await store.remove_replica("r1")
    assert await store.take_unfinished(left)


async def test_a_change_that_needs_a_free_lease_takes_it_not_and_waits_for_its_end(store: Store, raw: Any) -> None:
    for name in ("a", "b", "c"):
        await enter(store, name)
    wanted = [LeaseRequest(key="web-3", record=b"held by a", ttl=60)]

    async def on_web_3(name: str, *free: str) -> Any:
        return await store.begin_change(name, leases=wanted, intents=[], detail=b"", free=free)

    taken = await begin(store, "b", "web")
    conflict = await on_web_3("a", "web", "node")
    assert isinstance(conflict, LeaseConflict)
    assert (conflict.key, conflict.record) == ("web", b"held by b")
    assert not await raw.exists("{qd}:hold:web-3")
    await store.release(taken)
    leases = await on_web_3("a", "web", "node")
    assert [lease.key for lease in leases] == ["web-3"]
    assert await raw.keys("{qd}:hold:*") == [b"{qd}:hold:web-3"]
    await store.release(leases)
    # Its own lease does not stand in its way.
    assert [lease.key for lease in await on_web_3("c", "web-3")] == ["web-3"]


async def test_a_question_is_removed_by_the_change_that_answers_it_and_by_no_other(store: Store) -> None:
    for name in ("a", "b", "c"):
        await enter(store, name)
    await store.put_question("k7f3", b"really?", 60)
    wanted = [LeaseRequest(key="web", record=b"held by a", ttl=60)]
    taken = await begin(store, "b", "web")
    answer = await store.begin_change("a", leases=wanted, intents=[], detail=b"", question="k7f3")
    assert isinstance(answer, LeaseConflict)
    assert await store.peek_question("k7f3") == b"really?"
    await store.release(taken)
    await store.begin_change("a", leases=wanted, intents=[{"phase": "intent"}], detail=b"", question="k7f3")
    assert await store.peek_question("k7f3") is None
    with pytest.raises(errors.Expired):
        await store.begin_change("c", leases=(), intents=[{"phase": "intent"}], detail=b"", question="k7f3")
    assert len(await store.read_audit(count=10)) == 2


async def test_the_index_forgets_what_expired(store: Store, raw: Any) -> None:
    await raw.zadd("{qd}:inv", {"old": 1})
    assert await store.unfinished() == []
    await enter(store, "a")
    assert await raw.zrange("{qd}:inv", 0, -1) == [b"a"]
    assert 0 < await raw.pttl("{qd}:inv:a") <= command_progress.RECORD_TTL * 1000


async def test_a_record_of_the_version_before_is_read(store: Store, raw: Any) -> None:
    """Its change had several steps: leases without an invocation, then the intent, then the phase."""
    await raw.hset("{qd}:inv:old", mapping={"record": "r", "phase": "intent", "detail": "d", "replica": "gone"})
    await raw.zadd("{qd}:inv", {"old": 1})
    await raw.hset("{qd}:hold:web", mapping={"fence": "7", "record": "by old"})
    await raw.pexpire("{qd}:hold:web", 60_000)
    await raw.set("{qd}:fence", 7)
    (left,) = await store.unfinished()
    assert (left.phase, left.detail, left.outcomes) == (Phase.INTENT, b"d", {})
    await enter(store, "new")
    conflict = await begin(store, "new", "web")
    assert isinstance(conflict, LeaseConflict) and conflict.record == b"by old"
    (lease,) = await begin(store, "new", "db")
    assert lease.fence == 8
    assert await store.take_unfinished(left)


# Questions and leases


async def test_a_question_has_one_winner(store: Store) -> None:
    await store.put_question("t", b"plan", 60)
    assert await store.peek_question("t") == b"plan"
    claims = await asyncio.gather(*(store.claim_question("t") for _ in range(20)))
    assert sorted(claims, key=bool) == [None] * 19 + [b"plan"]
    assert await store.peek_question("t") is None


async def test_a_question_expires(store: Store) -> None:
    await store.put_question("t", b"plan", 0.03)

    async def gone() -> bool:
        return await store.peek_question("t") is None

    await until(gone)
    assert await store.claim_question("t") is None


# Changes


async def test_one_change_holds_a_target_and_the_others_learn_who(store: Store) -> None:
    names = [f"i{number}" for number in range(10)]
    for name in names:
        await enter(store, name, rate=RateLimitRule(count=100, period=60))
    answers = await asyncio.gather(*(begin(store, name, "web") for name in names))
    (winner,) = [name for name, each in zip(names, answers, strict=True) if not isinstance(each, LeaseConflict)]
    others = [each for each in answers if isinstance(each, LeaseConflict)]
    assert {each.record for each in others} == {f"held by {winner}".encode()}
    assert all(each.key == "web" and 0 < each.remaining <= 60 for each in others)
    assert await audited(store) == [("intent", "web")]


async def test_if_the_third_target_is_busy_nothing_is_taken_or_recorded(store: Store, raw: Any) -> None:
    for name in "abc":
        await enter(store, name)
    await begin(store, "a", "three")
    before = await raw.get("{qd}:fence")
    conflict = await begin(store, "b", "two", "three", "one", "four")
    assert isinstance(conflict, LeaseConflict) and (conflict.key, conflict.record) == ("three", b"held by a")
    assert await raw.keys("{qd}:hold:*") == [b"{qd}:hold:three"]
    assert await raw.get("{qd}:fence") == before
    assert await raw.hget("{qd}:inv:b", "phase") == b"begun"
    assert await audited(store) == [("intent", "three")]
    one, two = await begin(store, "c", "two", "one")
    assert (one.key, two.key) == ("one", "two") and one.fence < two.fence


async def test_plans_over_the_same_targets_never_both_begin(store: Store) -> None:
    await enter(store, "a", rate=RateLimitRule(count=100, period=60))
    await enter(store, "b", rate=RateLimitRule(count=100, period=60))
    answers = await asyncio.gather(begin(store, "a", "x", "y", "z"), begin(store, "b", "z", "y", "x"))
    assert sorted(isinstance(each, LeaseConflict) for each in answers) == [False, True]


async def test_the_end_releases_records_and_changes_the_phase(store: Store, raw: Any) -> None:
    await enter(store, "a")
    leases = await begin(store, "a", "web", "db")
    await store.record_outcomes("a", [outcome(1, "failed")])
    assert await raw.exists("{qd}:hold:web", "{qd}:hold:db") == 2
    await store.end_change("a", outcomes=[outcome(0)], leases=leases, detail=b"web restarted")
    assert not await raw.exists("{qd}:hold:web", "{qd}:hold:db")
    (left,) = await store.unfinished()
    assert (left.phase, left.detail, left.outcomes) == (Phase.ENDED, b"web restarted", {0: "done", 1: "failed"})
    assert await audited(store) == [
        ("intent", "web"),
        ("intent", "db"),
        ("outcome", "failed"),
        ("outcome", "done"),
    ]


async def test_an_outcome_sent_twice_is_one_row(store: Store) -> None:
    await enter(store, "a")
    leases = await begin(store, "a", "web")
    for _ in range(3):
        await store.record_outcomes("a", [outcome(0)])
        await store.end_change("a", outcomes=[outcome(0)], leases=leases, detail=b"")
    assert await audited(store) == [("intent", "web"), ("outcome", "done")]


async def test_a_change_broken_off_stays_in_its_phase_without_its_leases(store: Store, raw: Any) -> None:
    await enter(store, "a")
    leases = await begin(store, "a", "web")
    await store.end_change("a", outcomes=[], leases=leases, detail=None)
    (left,) = await store.unfinished()
    assert left.phase is Phase.INTENT
    assert not await raw.exists("{qd}:hold:web")


async def test_an_outcome_that_comes_after_another_process_took_the_change_is_still_recorded(store: Store) -> None:
    await enter(store, "a")
    leases = await begin(store, "a", "web")
    (left,) = await store.unfinished()
    assert await store.take_unfinished(left, audit=[{"phase": "outcome", "status": "unknown"}])
    await store.end_change("a", outcomes=[outcome(0)], leases=leases, detail=b"")
    assert await audited(store) == [("intent", "web"), ("outcome", "unknown"), ("outcome", "done")]
    assert await store.unfinished() == []


async def test_a_lease_that_expired_is_not_released_for_its_next_holder(store: Store, raw: Any) -> None:
    await enter(store, "a")
    await enter(store, "b")
    old = await begin(store, "a", "web", ttl=0.02)

    async def begun() -> bool:
        return not isinstance(await begin(store, "b", "web"), LeaseConflict)

    await until(begun)
    assert await store.release(old) == 0
    await store.end_change("a", outcomes=[outcome(0)], leases=old, detail=b"")
    assert await raw.hget("{qd}:hold:web", "record") == b"held by b"
    assert int(await raw.hget("{qd}:hold:web", "fence")) > old[0].fence
    assert ("outcome", "done") in await audited(store)


async def test_a_renewed_lease_lasts_longer_but_not_the_one_of_its_next_holder(store: Store, raw: Any) -> None:
    await enter(store, "a")
    await enter(store, "b")
    leases = await begin(store, "a", "web", "db", ttl=60)
    assert await store.renew_leases(leases, 600) == 2
    assert await raw.pttl("{qd}:hold:web") > 500_000
    await store.release([lease for lease in leases if lease.key == "web"])
    await begin(store, "b", "web", ttl=60)
    assert await store.renew_leases(leases, 6_000) == 1
    assert await raw.pttl("{qd}:hold:web") <= 60_000
    assert await raw.pttl("{qd}:hold:db") > 5_000_000


async def test_leases_are_released_once(store: Store) -> None:
    await enter(store, "a")
    leases = await begin(store, "a", "web", "db")
    assert await store.release(leases) == 2
    assert await store.release(leases) == 0
    assert await store.release(()) == 0


async def test_a_change_whose_begin_lost_its_answer_is_undone(store: Store, raw: Any) -> None:
    for name in "abc":
        await enter(store, name)
    await begin(store, "a", "web")
    await begin(store, "b", "db")
    failed = {"phase": "outcome", "status": "failed"}
    assert await store.cancel_change("a", leases=["web", "db"], outcomes=[failed])
    assert not await store.cancel_change("c", leases=["web", "db"], outcomes=[failed])
    assert not await store.cancel_change("never", leases=["web", "db"], outcomes=[failed])
    assert await raw.keys("{qd}:hold:*") == [b"{qd}:hold:db"]
    assert {each.id: each.phase for each in await store.unfinished()} == {
        "a": Phase.BEGUN,
        "b": Phase.INTENT,
        "c": Phase.BEGUN,
    }
    assert await audited(store) == [("intent", "web"), ("intent", "db"), ("outcome", "failed")]


async def test_any_text_survives_the_way_into_the_audit(store: Store) -> None:
    odd = "änn \x00 \\ \" 'x' \n \u2028 🐳 [] {} null"
    await enter(store, "a")
    await store.begin_change("a", leases=(), intents=[{"line": odd, "empty": ""}], detail=b"\x00\xff")
    (row,) = await store.read_audit(count=9)
    assert row.fields == {"line": odd, "empty": ""}
    (left,) = await store.unfinished()
    assert left.detail == b"\x00\xff"


async def test_a_plan_of_hundreds_begins_and_ends(store: Store, raw: Any) -> None:
    await enter(store, "a")
    leases = await begin(store, "a", *map(str, range(300)))
    assert len({lease.fence for lease in leases}) == 300
    await store.end_change("a", outcomes=[outcome(n) for n in range(300)], leases=leases, detail=b"")
    assert await raw.keys("{qd}:hold:*") == []


# Grants


async def test_grants_and_their_version_move_together(store: Store) -> None:
    assert await store.grants() == (0, {})
    one = await store.add_grant("a", b"1")
    two = await store.add_grant("b", b"2")
    assert 0 < one < two == await store.policy_version()
    assert await store.grants() == (two, {"a": b"1", "b": b"2"})
    assert await store.remove_grant("a")
    version, rows = await store.grants()
    assert version > two and rows == {"b": b"2"}
    assert not await store.remove_grant("a")
    assert await store.policy_version() == version


async def test_a_version_never_names_two_sets_of_grants(store: Store, raw: Any) -> None:
    before = await store.add_grant("a", b"1")
    lost = await store.add_grant("b", b"2")
    await raw.set("{qd}:policy:version", before)  # a store that went back by one write
    await raw.hdel("{qd}:grants", "b")
    assert await store.add_grant("c", b"3") > lost


# Audit


async def test_audit_reads_newest_first_in_pages(store: Store) -> None:
    ids = [await append(store, {"who": "änn", "n": str(number)}) for number in range(5)]
    page = await store.read_audit(count=3)
    assert [each.id for each in page] == ids[:1:-1]
    assert page[0].fields == {"who": "änn", "n": "4"} and page[0].count == 1
    assert [each.id for each in await store.read_audit(count=9, before=page[-1].id)] == ids[1::-1]
    assert await store.read_audit(count=9, before=ids[0]) == []


async def test_equal_refusals_are_one_row_with_a_count(store: Store) -> None:
    refusal = {"what": "refused"}
    counts = await asyncio.gather(*(store.fold_refusal(refusal, key="ann stop", window=60) for _ in range(7)))
    assert sorted(counts) == [1, 2, 3, 4, 5, 6, 7]
    assert await store.fold_refusal(refusal, key="bob stop", window=60) == 1
    await append(store, {"what": "done"})
    assert [(each.fields["what"], each.count) for each in await store.read_audit(count=9)] == [
        ("done", 1),
        ("refused", 1),
        ("refused", 7),
    ]


async def test_a_new_window_is_a_new_row(store: Store) -> None:
    await store.fold_refusal({"a": "b"}, key="k", window=0.05)

    async def again() -> bool:
        return await store.fold_refusal({"a": "b"}, key="k", window=0.05) == 1

    await until(again)
    assert len(await store.read_audit(count=9)) == 2


async def test_a_refusal_whose_row_was_trimmed_is_written_again(store: Store, raw: Any) -> None:
    for _ in range(3):
        await store.fold_refusal({"a": "b"}, key="k", window=60)
    (row,) = await store.read_audit(count=9)
    await raw.xtrim("{qd}:audit", maxlen=0, approximate=False)
    assert await store.fold_refusal({"a": "b"}, key="k", window=60) == 1
    (new,) = await store.read_audit(count=9)
    assert new.id != row.id and new.count == 1


async def test_many_refusals_of_one_person_become_one_row(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with another line, as of somebody who tries one thing after the other."""
    monkeypatch.setattr(audit_trail, "MAX_REFUSAL_ROWS_PER_PERSON", 3)
    for number in range(50):
        row = {"who": "slack:T1/U1", "line": f"stop web-{number}", "phase": "refused", "target": f"web-{number}"}
        await store.fold_refusal(row, key=f"U1 {number}", window=60)
    await store.fold_refusal({"who": "slack:T1/U2", "line": "stop db", "phase": "refused"}, key="U2", window=60)
    assert [(row.fields["who"], row.fields["line"], row.count) for row in await store.read_audit(count=99)] == [
        ("slack:T1/U2", "stop db", 1),
        ("slack:T1/U1", audit_trail.MORE_LINES, 47),
        ("slack:T1/U1", "stop web-2", 1),
        ("slack:T1/U1", "stop web-1", 1),
        ("slack:T1/U1", "stop web-0", 1),
    ]


async def test_many_refusals_of_many_people_become_one_row(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_trail, "MAX_REFUSAL_ROWS", 5)
    for number in range(500):
        row = {"who": f"slack:T9/U{number}", "line": "ps", "phase": "refused"}
        await store.fold_refusal(row, key=f"U{number}", window=60, times=2)
    rows = await store.read_audit(count=99)
    assert [(row.fields["line"], row.count) for row in rows] == [(audit_trail.MORE_PEOPLE, 990), *[("ps", 2)] * 5]
    assert rows[0].fields["who"] == ""


async def in_step(raw: Any) -> tuple[int, int]:
    """Checks that index, state and repeats belong to the stored rows; returns the number of rows and their bytes."""
    rows = await raw.xrange("{qd}:audit")
    wanted = sum(
        bool(fields.get(b"who"))
        + (fields.get(b"phase") == b"refused")
        + len([each for each in fields.get(b"target", b"").split(b", ") if each])
        for _, fields in rows
    )
    assert await raw.zcard("{qd}:audit:index") == wanted
    assert set(await raw.hkeys("{qd}:audit:repeats")) <= {row for row, _ in rows}
    return len(rows), int(await raw.hget("{qd}:audit:state", "bytes"))


async def test_the_newest_rows_are_stored_with_their_index(store: Store, raw: Any) -> None:
    for number in range(500):
        row = {"n": str(number), "who": f"slack:T1/U{number % 7}", "target": f"web-{number}@docker/h, db@docker/h"}
        last = await (
            append(store, row)
            if number % 2
            else store.fold_refusal(row | {"phase": "refused"}, key=str(number), window=60)
        )
    rows, _ = await in_step(raw)
    assert rows == 100
    assert (await store.read_audit(count=1))[0].id == last
    usage = await store.usage()
    assert (usage.audit_rows, usage.audit_fill) == (100, 1.0)
    assert usage.audit_trimmed > 0
    assert usage.audit_oldest_ms == int((await store.read_audit(count=100))[-1].id.partition("-")[0])


@pytest.mark.parametrize("how", ["append", "begin", "end", "cancel", "take", "fold"])
async def test_every_way_to_write_a_row_indexes_it_and_removes_old_ones(store: Store, raw: Any, how: str) -> None:
    store._audit_limits = AuditLimits(rows=3)
    for number in range(6):
        row = {"who": "w", "target": f"web-{number}", "phase": "x", "n": str(number)}
        await enter(store, name := f"i{number}", rate=RateLimitRule(count=100, period=1), replica="replica")
        if how == "append":
            await store.append_audit([row])
        elif how == "fold":
            await store.fold_refusal(row, key=str(number), window=60)
        else:
            await store.heartbeat("replica", 60)
            held = await store.begin_change(
                name, leases=[LeaseRequest(key=name, record=b"", ttl=60)], intents=[row], detail=b""
            )
            if how == "end":
                await store.end_change(
                    name, outcomes=[OutcomeRow(index=0, status="done", row=row)], leases=held, detail=b""
                )
            elif how == "cancel":
                assert await store.cancel_change(name, leases=[name], outcomes=[row])
            elif how == "take":
                await raw.delete("{qd}:replica:replica")
                (lost,) = [each for each in await store.unfinished() if each.id == name]
                assert await store.take_unfinished(lost, audit=[row])
        found = await store.find_audit(audit_trail.IndexRange(kind="t", prefix=f"web-{number}", whole=True), count=9)
        assert found and found[0][2] == (await store.read_audit(count=1))[0].id
    rows, _ = await in_step(raw)
    assert rows == 3


async def test_rows_are_removed_by_their_bytes_and_the_estimate_is_near_the_truth(store: Store, raw: Any) -> None:
    store._audit_limits = AuditLimits(rows=1_000_000, bytes=1 << 20)
    base = (await store.usage()).memory
    for number in range(600):
        rows = [
            {
                "who": f"slack:T1/U{number}",
                "line": f"restart web-{number}-{each}",
                "target": f"web-{number}@docker/h",
                "n": "x" * 300,
            }
            for each in range(10)
        ]
        await store.append_audit(rows)
    stored, estimated = await in_step(raw)
    usage = await store.usage()
    assert estimated <= 1 << 20
    assert usage.audit_trimmed == 6_000 - stored > 0
    assert usage.memory - base < 2 << 20
    keys = ("{qd}:audit", "{qd}:audit:index")
    true_bytes = sum([await raw.execute_command("MEMORY", "USAGE", key, "SAMPLES", "0") for key in keys])
    assert 0.5 < estimated / true_bytes < 2


async def test_rows_are_removed_by_their_age(store: Store, raw: Any) -> None:
    await raw.xadd("{qd}:audit", {"who": "w", "n": "old"}, id="1000-0")
    await append(store, {"n": "new"})
    assert len(await store.read_audit(count=9)) == 2
    store._audit_limits = AuditLimits(seconds=3_600)
    await append(store, {"n": "newer"})
    assert [row.fields["n"] for row in await store.read_audit(count=9)] == ["newer", "new"]


async def test_the_index_finds_the_rows_of_a_name_newest_first_and_of_a_prefix(store: Store) -> None:
    ids = {}
    for number, (who, target) in enumerate(
        [("a", "web@d/h"), ("b", "web-2@d/h, db@d/h"), ("a", "db@d/h"), ("ab", "x")]
    ):
        ids[number] = await append(store, {"who": who, "target": target})

    async def found(kind: str, prefix: str, *, whole: bool = False) -> list[tuple[str, str]]:
        wanted = audit_trail.IndexRange(kind=kind, prefix=prefix, whole=whole)
        return [(name, id_) for _, name, id_ in await store.find_audit(wanted, count=99)]

    assert await found("w", "a", whole=True) == [("a", ids[2]), ("a", ids[0])]
    assert await found("w", "a") == [("ab", ids[3]), ("a", ids[2]), ("a", ids[0])]
    assert await found("t", "db@d/h", whole=True) == [("db@d/h", ids[2]), ("db@d/h", ids[1])]
    assert [id_ for _, id_ in await found("t", "web")] == [ids[0], ids[1]]
    assert await found("t", "nothing") == await found("p", "refused", whole=True) == []
    first = (await store.find_audit(audit_trail.IndexRange(kind="w", prefix=""), count=1))[0]
    rest = await store.find_audit(audit_trail.IndexRange(kind="w", prefix=""), count=99, before=first[0])
    assert len(rest) == 3 and first not in rest
    rows = await store.read_audit_rows([ids[3], "1-1", ids[0]])
    assert [row.id for row in rows] == [ids[3], ids[0]]


async def test_what_is_left_of_a_full_server_is_reserved_for_changes_and_grants(store: Store, raw: Any) -> None:
    await raw.config_set("maxmemory", 64 << 20)
    try:
        await store.put_question("before", b"x", 60)
        used = []
        while (await store.usage()).memory < 0.82 * (64 << 20):
            used.append(f"somebody-{len(used)}")
            await raw.set(used[-1], b"x" * (200 << 10))
        row = {"who": "w", "phase": "refused"}
        for minor in (
            store.append_audit([row]),
            store.fold_refusal(row, key="k", window=60),
            store.put_question("t", b"x", 60),
        ):
            with pytest.raises(errors.StoreFull, match="reserved for changes and grants"):
                await minor
        await enter(store, "a")
        held = await begin(store, "a", "web")
        await store.end_change("a", outcomes=[outcome(0)], leases=held, detail=b"")
        await store.add_grant("g", b"1")
        await raw.delete(*used)
        await store.usage()
        await store.append_audit([row])
    finally:
        await raw.config_set("maxmemory", 0)


async def test_a_question_has_a_limit_of_bytes(store: Store) -> None:
    await store.put_question("t", b"x" * client.MAX_QUESTION_BYTES, 60)
    with pytest.raises(errors.BadUsage, match="too many targets"):
        await store.put_question("t", b"x" * (client.MAX_QUESTION_BYTES + 1), 60)


async def test_what_is_saved_about_a_watch_is_read_again(store: Store) -> None:
    assert await store.watch_record("docker/a") == WatchRecord()
    changed = {"c1": b"x", "c2": b"\xff"}
    first = WatchUpdate(watcher="w1", cursor=1_800_000_000_123_456_789, recent=b"\0r", watched=5, changed=changed)
    await store.update_watch("docker/a", first)
    await store.update_watch("docker/a", WatchUpdate(watcher="w2", watched=-7, removed=["c1"], changed={"c2": b"y"}))
    assert await store.watch_record("docker/a") == WatchRecord(
        cursor=1_800_000_000_123_456_789, recent=b"\0r", watched={"w1": 5, "w2": -7}, containers={"c2": b"y"}
    )
    await store.update_watch("docker/a", WatchUpdate(watcher="w2", forgotten=["w1"]))
    assert (await store.watch_record("docker/a")).watched == {"w2": -7}
    assert await store.watch_record("docker/b") == WatchRecord()


async def test_a_store_that_is_nearly_full_saves_the_cursor_and_no_containers(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> None:
        raise errors.StoreFull("It is full.")

    monkeypatch.setattr(store, "check_reserve", full)
    with pytest.raises(errors.StoreFull):
        await store.update_watch("a", WatchUpdate(watcher="w", cursor=1, changed={"c": b""}))
    await store.update_watch("a", WatchUpdate(watcher="w", cursor=2, removed=["c"]))
    assert (await store.watch_record("a")).cursor == 2


# The server


async def test_all_keys_share_one_prefix_and_one_cluster_slot(store_url: str, raw: Any) -> None:
    async with contextlib.aclosing(Store.open(store_url, namespace="other")) as store:
        await store.heartbeat("r", 60)
        await enter(store, "a")
        await store.put_question("t", b"", 60)
        await begin(store, "a", "web")
        await store.record_outcomes("a", [outcome(0)])
        await store.add_grant("g", b"")
        await append(store, {"a": "b"})
        for _ in range(2):
            await store.fold_refusal({"a": "b"}, key="k", window=60)
        await store.update_watch("e", WatchUpdate(watcher="w", cursor=1, watched=1, changed={"c": b""}))
    keys = [key.decode() for key in await raw.keys("*")]
    assert len(keys) > 10 and all(key.startswith("{other}:") for key in keys), keys


async def test_scripts_survive_a_server_that_forgot_them(store: Store, raw: Any) -> None:
    await enter(store, "a")
    await raw.script_flush()
    assert (await enter(store, "b")).first


async def test_connections_cut_by_the_server_are_renewed(store: Store, raw: Any) -> None:
    await asyncio.gather(*(store.ping() for _ in range(8)))
    await raw.client_kill_filter(_type="normal", skipme=True)

    async def back() -> bool:
        with contextlib.suppress(errors.StoreDown):
            return bool(await store.ping())
        return False

    await until(back)
    await asyncio.gather(*(store.ping() for _ in range(8)))


async def test_more_callers_than_connections_all_get_through(store: Store, raw: Any) -> None:
    await asyncio.gather(*(store.ping() for _ in range(connection.MAX_CONNECTIONS * 10)))
    assert len(await raw.client_list()) <= connection.MAX_CONNECTIONS + 1


async def test_a_full_store_says_so_for_scripts_and_plain_writes(store: Store, raw: Any) -> None:
    await enter(store, "a")
    await raw.config_set("maxmemory", 1)
    try:
        for write in (enter(store, "b"), store.put_question("t", b"", 60), append(store, {"a": "b"})):
            with pytest.raises(errors.StoreDown, match="reached its maxmemory") as caught:
                await write
            assert "maxmemory" in caught.value.hint
        with pytest.raises(errors.StoreDown, match="reached its maxmemory"):
            await begin(store, "a", "web")
        assert not await raw.exists("{qd}:hold:web", "{qd}:audit", "{qd}:fence")
        assert await raw.hget("{qd}:inv:a", "phase") == b"begun"
        await store.forget("a")
        assert not await raw.exists("{qd}:inv:a", "{qd}:inv")
    finally:
        await raw.config_set("maxmemory", 0)


async def test_a_full_store_still_takes_the_end_of_a_change(store: Store, raw: Any) -> None:
    """Nothing that has happened is lost, and no lease stays: the first write of these scripts needs no memory."""
    for name in "abc":
        await enter(store, name)
    leases = await begin(store, "a", "web", "db")
    other = await begin(store, "b", "api")
    await raw.config_set("maxmemory", 1)
    try:
        await store.record_outcomes("a", [outcome(0)])
        await store.end_change("a", outcomes=[outcome(1)], leases=leases, detail=b"done")
        assert await store.release(other) == 1
        (left,) = [each for each in await store.unfinished() if each.id == "b"]
        assert await store.take_unfinished(left, audit=[{"phase": "outcome", "status": "unknown"}])
        assert not await raw.keys("{qd}:hold:*")
        assert await raw.hget("{qd}:inv:a", "phase") == b"ended"
        await store.forget("a")
        assert [row for row in await audited(store) if row[0] == "outcome"] == [
            ("outcome", "done"),
            ("outcome", "done"),
            ("outcome", "unknown"),
        ]
    finally:
        await raw.config_set("maxmemory", 0)


async def test_a_server_that_denies_the_end_is_asked_for_the_release_alone(store: Store, raw: Any) -> None:
    await enter(store, "a")
    leases = await begin(store, "a", "web", "db")
    denied = "return redis.error_reply(\"OOM command not allowed when used memory > 'maxmemory'.\")"
    store._scripts["outcome"] = store._client.register_script(denied)
    with pytest.raises(errors.StoreDown, match="reached its maxmemory"):
        await store.end_change("a", outcomes=[outcome(0)], leases=leases, detail=b"")
    assert not await raw.keys("{qd}:hold:*")
    (left,) = await store.unfinished()
    assert left.phase is Phase.INTENT


async def test_a_replica_says_so(store: Store, raw: Any) -> None:
    await raw.execute_command("REPLICAOF", "127.0.0.1", "1")
    try:
        with pytest.raises(errors.StoreDown, match="replica"):
            await store.put_question("t", b"", 60)
        with pytest.raises(errors.StoreDown, match="replica"):
            await enter(store, "a")
    finally:
        await raw.execute_command("REPLICAOF", "NO", "ONE")


async def test_a_wrong_login_says_so_without_the_password(store: Store, raw: Any, store_socket: Path) -> None:
    await raw.execute_command("ACL", "SETUSER", "deck", "on", ">right", "~{qd}:*", "+get")
    try:
        for url in (f"unix://deck:wrong-secret@{store_socket}", f"unix://deck:right@{store_socket}"):
            async with contextlib.aclosing(Store.open(url)) as other:
                with pytest.raises(errors.StoreDown, match="refuses the login") as caught:
                    await other.put_question("t", b"", 60)
                assert "ACL" in caught.value.hint
                assert "secret" not in caught.value.full_message() and "right@" not in caught.value.full_message()
    finally:
        await raw.execute_command("ACL", "DELUSER", "deck")


async def test_another_type_under_our_key_is_an_error_not_a_store_that_is_down(store: Store, raw: Any) -> None:
    await raw.set("{qd}:inv:a", "x")
    with pytest.raises(errors.StoreError, match="WRONGTYPE") as caught:
        await store.set_posted("a", b"")
    assert not isinstance(caught.value, errors.StoreDown)


# Away


async def test_nobody_there() -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with contextlib.aclosing(Store.open(f"unix://{folder}/none.sock")) as store:
            with pytest.raises(errors.StoreDown, match="does not answer") as caught:
                await enter(store, "a")
    assert f"{folder}/none.sock" in caught.value.message and "store.url" in caught.value.hint


async def test_a_silent_server_costs_one_timeout() -> None:
    async with (
        servers.serving(servers.never) as port,
        contextlib.aclosing(Store.open(f"redis://:pass@127.0.0.1:{port}/2", timeout=0.05)) as store,
    ):
        for call in (
            store.ping(),
            store.grants(),
            store.unfinished(),
            store.read_audit(count=1),
            store.forget("a"),
        ):
            with pytest.raises(errors.StoreDown, match=rf"redis://127.0.0.1:{port}/2 ") as caught:
                await call
            assert "pass" not in caught.value.full_message()


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
    with pytest.raises(errors.BadUsage, match="not a valid store address") as caught:
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
    async with contextlib.aclosing(Store.open(url)) as store:
        assert store.address == shown


# The one door

FOREIGN = [each for _, each in inspect.getmembers(redis.exceptions, inspect.isclass) if issubclass(each, Exception)]


@pytest.mark.parametrize("kind", FOREIGN, ids=lambda each: each.__name__)
async def test_every_error_of_the_library_is_mapped_by_name(kind: type[Exception]) -> None:
    name = kind.__name__
    assert (name in redis_errors.DOWN) != (name in redis_errors.FAILED), f"list {name} in core/store/redis_errors.py"
    error = kind.__new__(kind)
    error.args = ("why",)
    translated = redis_errors.translate_error(error, address="here")
    assert isinstance(translated, errors.StoreDown) == (name in redis_errors.DOWN)
    assert "here" in translated.message and translated.hint
    async with contextlib.aclosing(Store.open("redis://nowhere")) as store:
        with pytest.raises(errors.StoreError):
            async with store._call():
                raise error


def test_what_stops_writes_is_down_not_a_bug() -> None:
    for name in ("ConnectionError", "TimeoutError", "BusyLoadingError", "ReadOnlyError", "OutOfMemoryError"):
        assert isinstance(
            redis_errors.translate_error(getattr(redis.exceptions, name)(), address="x"), errors.StoreDown
        )
    for code, said in redis_errors.CODES.items():
        error = redis.exceptions.ResponseError(f"Error running script: @user_script: 3: -{code} no")
        assert said[0] in redis_errors.translate_error(error, address="x").message


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "Command # 2 (EVALSHA ab 3 {qd}:inv:1 zebra, a) OOM BUSY) of pipeline caused error: ('ERR wrong type',)",
            "ERR wrong type",
        ),
        (
            "ERR unknown command 'EVALSHA', with args beginning with: 'ab' '3' 'zebra' 'OOM'",
            "ERR unknown command 'EVALSHA",
        ),
        ("ERR zero script: 0f1e2d, on @user_script:26.", "ERR zero"),
        ("Error running script (call to f_0f1e2d): @user_script:1: bad", "Error running script bad"),
    ],
)
def test_an_error_shows_no_command_and_is_not_judged_by_its_arguments(text: str, shown: str) -> None:
    translated = redis_errors.translate_error(redis.exceptions.ResponseError(text), address="here")
    assert translated.message == f"The store at here answered with an error: {shown}."
    assert not isinstance(translated, errors.StoreDown)


async def test_a_real_error_in_a_pipeline_shows_no_command(store: Store) -> None:
    await store._client.set(store._key(keys.AUDIT.rows), "no stream")
    with pytest.raises(errors.StoreError) as caught:
        await store.append_audit([{"line": "zebra"}])
    assert "zebra" not in caught.value.full_message() and "XADD" not in caught.value.full_message()
    assert "WRONGTYPE" in caught.value.message


async def test_a_cancelled_caller_stays_cancelled(store: Store) -> None:
    task = asyncio.ensure_future(store.ping())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await store.ping() > 0


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


async def test_processes_share_the_containers_they_run_in_for_a_while(store: Store) -> None:
    now = 1_800_000_000.0
    assert await store.share_containers([], at=now, ttl=60) == frozenset()
    assert await store.share_containers(["a", "b"], at=now, ttl=60) == {"a", "b"}
    assert await store.share_containers(["c"], at=now + 30, ttl=60) == {"a", "b", "c"}
    assert await store.share_containers(["b"], at=now + 61, ttl=60) == {"b", "c"}
