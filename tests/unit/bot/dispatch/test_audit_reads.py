"""Commands that only read are recorded apart, so that they cannot push changes out; and both are found again."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from bot import audit_of_reads_migration, audit_search, plain_text
from core.model import bot_actions
from core.model.policy import Policy
from core.model.replies import Ending
from core.store import keys
from core.store.client import Store
from core.store.records import AuditLimits
from tests.fake_engine.engine import FakeRuntime
from tests.helpers.deck import Deck

WEEK_AGO = "2026-11-22T10:00:00.000+00:00"


def row(phase: str = "outcome", **more: str) -> dict[str, str]:
    given = {"at": WEEK_AGO, "phase": phase, "who": "console:bob", "place": "console", "line": "restart web"}
    return given | {"verb": "container.restart", "target": "web@docker/h1", "status": "done"} | more


def read(number: int, **more: str) -> dict[str, str]:
    at = f"2026-11-29T{number % 24:02}:{number % 60:02}:00.000+00:00"
    return row("read", at=at, line="ps", verb="container.list", target="docker/h1@docker/h1") | more


async def rows(store: Store, audit: keys.AuditKeys) -> list[tuple[str, str, int]]:
    return [
        (one.fields["phase"], one.fields["line"], one.count) for one in await store.read_audit(count=999, audit=audit)
    ]


async def test_one_command_on_five_engines_is_one_row_and_equal_ones_are_folded(valkey):
    engines = [FakeRuntime(f"h{number}") for number in range(5)]
    for engine in engines:
        engine.add("web")
    async with Deck(valkey.url, engines, policy=Policy()) as deck:
        for _ in range(3):
            assert (await deck.say("ps")).ending is Ending.OK
        await deck.say("ps -a")
        await deck.say("stop web@h1 --yes-please")  # refused before anything was decided
        assert await rows(deck.store, keys.READS) == [("read", "ps -a", 1), ("read", "ps", 3)]
        assert await rows(deck.store, keys.AUDIT) == []
        (_, one) = await deck.store.read_audit(count=9, audit=keys.READS)
        assert one.fields["target"].count("@") == 5 and one.fields["verb"] == "container.list"


async def test_reads_are_shown_with_reads_only_and_count(valkey):
    engine = FakeRuntime("h1")
    engine.add("web")
    async with Deck(valkey.url, [engine], policy=Policy()) as deck:
        for line in ("logs web", "logs web", "restart web", "ps"):
            await deck.say(line)
        plain = plain_text.render(await deck.say("audit"))
        assert "restart web" in plain and "logs web" not in plain
        everything = plain_text.render(await deck.say("audit --reads --target web"))
        assert "restart web" in everything and "logs web" in everything and "(2 times)" in everything
        assert "ps" not in everything.replace("--reads", "")


async def test_reads_push_only_reads_out(valkey):
    store = Store.open(valkey.url, audit=AuditLimits(rows=50, reads=20))
    await store.append_audit([row()])
    for number in range(300):
        await store.fold_read(read(number, line=f"logs web-{number}"), key=str(number), window=600)
    usage = await store.usage()
    assert (usage.audit_rows, usage.read_rows, usage.audit_trimmed, usage.read_trimmed) == (1, 20, 0, 280)
    page = await audit_search.search_audit(store, bot_actions.ReadAudit(who="bob", reads=True, limit=500))
    assert len(page.entries) == 21 and page.entries[0].line == "restart web"
    assert page.reads_reach_back_to > 0 and page.reaches_back_to == 0
    assert (await audit_search.search_audit(store, bot_actions.ReadAudit(limit=500))).reads_reach_back_to == 0
    await store.aclose()


@pytest.mark.parametrize("question", [{}, {"who": "bob"}, {"target": "web"}, {"target": "w*"}])
async def test_a_change_among_many_reads_costs_a_few_requests(valkey, monkeypatch, question):
    store = Store.open(valkey.url)
    await store.append_audit([row()])
    pipe = store._client.pipeline(transaction=False)
    for number in range(30_000):
        pipe.xadd("{qd}:audit:reads", read(number))
    await pipe.execute()
    asked = []
    for name in ("read_audit", "read_audit_rows", "find_audit"):
        plain = getattr(store, name)

        async def counted(*args, _plain=plain, **more):
            asked.append(_plain)
            return await _plain(*args, **more)

        monkeypatch.setattr(store, name, counted)
    page = await audit_search.search_audit(store, bot_actions.ReadAudit(**question))
    assert [entry.line for entry in page.entries] == ["restart web"] and page.complete
    assert len(asked) <= 12
    await store.aclose()


async def test_what_could_not_be_searched_is_said(valkey, monkeypatch):
    monkeypatch.setattr(audit_search, "MAX_ROWS", 50)
    monkeypatch.setattr(audit_search, "ROWS_AT_ONCE", 10)
    store = Store.open(valkey.url)
    await store.append_audit([row(), *(read(number) for number in range(200))])  # as an older version wrote them
    for question in ({}, {"who": "bob"}):
        page = await audit_search.search_audit(store, bot_actions.ReadAudit(**question))
        assert page.entries == () and not page.complete
    await store.aclose()


async def test_reads_of_an_older_version_are_moved_once_and_changes_stay(valkey):
    store, other = Store.open(valkey.url), Store.open(valkey.url)
    old = [read(number) if number % 3 else row(line=f"restart web-{number}") for number in range(1, 1500)]
    await store.append_audit(old)
    before = (await store.usage()).audit_bytes
    with capture_logs() as logs:
        await asyncio.gather(
            *(audit_of_reads_migration.move_read_rows(each, datetime.now(UTC)) for each in (store, other))
        )
    assert [(entry["event"], entry["rows"]) for entry in logs] == [
        ("Old audit rows of commands that only read were moved to a stream of their own.", 1000)
    ]
    usage = await store.usage()
    assert (usage.audit_rows, usage.read_rows) == (499, 1000) and usage.audit_bytes < before / 2
    assert {phase for phase, _, _ in await rows(store, keys.AUDIT)} == {"outcome"}
    page = await audit_search.search_audit(store, bot_actions.ReadAudit(target="web", limit=500))
    assert len(page.entries) == 499
    await store.append_audit([read(1)])  # an older replica that still runs
    await audit_of_reads_migration.move_read_rows(store, datetime.now(UTC))
    page = await audit_search.search_audit(store, bot_actions.ReadAudit(limit=1))
    assert page.entries[0].phase == "outcome"
    for each in (store, other):
        await each.aclose()


async def test_a_store_that_fails_leaves_the_old_rows_where_they_are(valkey):
    store = Store.open("unix:///nonexistent/quarterdeck.sock")
    with capture_logs() as logs:
        await audit_of_reads_migration.move_read_rows(store, datetime.now(UTC))
    assert [entry["event"] for entry in logs] == [
        "Old audit rows of commands that only read could not be moved to a stream of their own."
    ]
    await store.aclose()
