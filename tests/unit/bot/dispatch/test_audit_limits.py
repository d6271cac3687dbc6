"""The audit, whoever tries to fill it: bounded rows, folded refusals, and one row for one question."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import structlog

from bot.dispatch import audit
from core import errors
from core.model.invocation import Identity
from core.model.policy import Decision, Verdict
from core.model.replies import Ending
from tests.unit.bot.dispatch.world import ANN, OPS, World

STRANGER = Identity(id="slack:T9/U9", name="stranger")


@pytest.fixture
async def world(valkey):
    made = World(valkey)
    yield made
    await made.aclose()


class Clock:
    def __init__(self):
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self):
        return self.now


async def test_a_strangers_mention_has_a_short_row(world):
    dispatcher = await world.replica()
    line = "password=hunter2 " + "x" * 73_000
    await dispatcher.reject(STRANGER, OPS, line, errors.NotPermitted("You are a stranger. " + "y" * 73_000))
    (row,) = await world.rows()
    assert len(row["line"]) + len(row["reason"]) < 3_000
    assert row["line"].endswith("more characters)")
    assert "hunter2" not in row["line"], "secrets are hidden before the line is cut"
    keys = [key.decode() for key in await world.stores[0]._client.keys("*")]
    assert max(map(len, keys)) < 120, "what a stranger writes is no part of a key"


async def test_a_question_about_many_targets_is_one_row(world):
    for number in range(60):
        world.engine.add(f"more-{number}", {})
    dispatcher = await world.replica()
    asked = await dispatcher.answer(world.line("restart 'more-*'", ANN))
    assert asked.ending is Ending.ASKED
    (row,) = await world.rows()
    token = asked.buttons[0].line.split()[1]
    assert (row["phase"], row["verb"]) == ("asked", "container.restart")
    assert row["detail"] == f"question {token}; 60 targets in all"
    assert len(row["target"].split(", ")) == audit.MAX_TARGETS
    assert (await dispatcher.answer(world.line(f"cancel {token}", ANN))).ending is Ending.OK
    assert [row["phase"] for row in await world.rows()] == ["asked", "cancelled"]


async def test_a_flood_of_refusals_is_written_slowly_and_no_count_is_lost(world, monkeypatch):
    await world.replica()
    store, clock, calls = world.stores[0], Clock(), []
    trail = audit.Audit(store, clock=clock, count=lambda phase: None)
    fold = store.fold_refusal

    async def counting(*args, **more):
        calls.append(more["times"])
        return await fold(*args, **more)

    monkeypatch.setattr(store, "fold_refusal", counting)
    refused = Decision(verdict=Verdict.DENY, rule="default-deny", reason="no")
    inv = world.line("stop web", STRANGER)
    for _ in range(5_000):
        await trail.refusal(inv, "container.stop", "web", refused)
    assert len(calls) == audit.REFUSALS_BURST
    clock.now += timedelta(seconds=1)
    await trail.refusal(inv, "container.stop", "web", refused)
    assert len(calls) == audit.REFUSALS_BURST + 1
    assert sum(calls) == 5_001
    (row,) = await world.rows()
    assert row["count"] == 5_001
    for _ in range(50):
        await trail.refusal(inv, "container.stop", "web", refused)
    await trail.flush()
    assert (await world.rows())[0]["count"] == 5_051


async def test_refusals_of_ever_new_people_are_bounded_in_memory_and_said(world):
    await world.replica()
    trail = audit.Audit(world.stores[0], clock=Clock(), count=lambda phase: None)
    refused = Decision(verdict=Verdict.DENY, rule="stranger", reason="no")
    with structlog.testing.capture_logs() as logs:
        for number in range(audit.REFUSALS_BURST + audit.MAX_REFUSALS_IN_MEMORY + 10):
            who = Identity(id=f"slack:T9/U{number}", name="x")
            await trail.refusal(world.line("ps", who), "", "", refused)
    assert len(trail._refusals) == audit.MAX_REFUSALS_IN_MEMORY
    assert len(logs) == 10
    for line in logs:
        assert line["event"] == "Refusals were not recorded in the audit trail, because too many were waiting."
        assert line["line"] == "ps"


async def test_a_full_store_still_takes_changes_and_grants(world):
    """Reads go on, too, and what could not be recorded is in the log."""
    dispatcher = await world.replica()
    store = world.stores[0]
    await store._client.config_set("maxmemory", 64 << 20)
    try:
        number = 0
        while (await store.usage()).memory < 0.82 * (64 << 20):
            await store._client.set(f"somebody-{number}", b"x" * (200 << 10))
            number += 1
        assert (await dispatcher.answer(world.line("ps", ANN))).ending is Ending.OK
        assert (await dispatcher.answer(world.line("restart web", ANN))).ending is Ending.OK
        assert [row["phase"] for row in await world.rows()] == ["intent", "outcome"]
    finally:
        await store._client.config_set("maxmemory", 0)
        await store.usage()
    await dispatcher.flush_spool()
    assert [row["phase"] for row in await world.rows()] == ["read", "intent", "outcome"]
