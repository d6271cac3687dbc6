"""Incidents through the whole way to Slack: reporter, outbox, API client, the stand-in over HTTP, and a real store."""

from __future__ import annotations

import asyncio
import re
import time

import pytest

from bot.notify import incident_reporter
from bot.notify.incident_reporter import IncidentReporter
from bot.notify.post_record import PostRecord
from bot.slack import exactly_once_post, pause_after_429
from bot.slack import outbox as outbox_module
from bot.slack.api import SlackApi
from bot.slack.exactly_once_post import REPEATED
from bot.slack.incident_poster import IncidentPoster
from bot.slack.outbox import Outbox
from core.model.alert_routes import Routing
from core.model.alerts import Severity
from tests.standins.slack import state
from tests.standins.slack.standin import Standin
from tests.unit.bot.notify.test_incident_reporter import crash
from tests.unit.bot.notify.test_incident_writer import Desk

OPS = "C0OPS"


class Scene:
    def __init__(self, url: str, slack: Standin) -> None:
        self.desk, self.slack = Desk(url), slack
        self.calls = SlackApi(state.BOT_TOKEN, slack.api, self.desk.counts)
        self.reporter = self.process()
        self.task: asyncio.Task[None] | None = None

    def process(self) -> IncidentReporter:
        outbox = Outbox(self.calls, self.desk.store, self.desk.counts)
        return IncidentReporter(
            self.desk.store,
            IncidentPoster(outbox, PostRecord(self.desk.store)),
            self.desk.counts,
            routing=lambda: Routing(default=OPS),
            changed=asyncio.Event(),
            leads=lambda: True,
        )

    async def run_until(self, true, seconds: float = 40) -> None:
        task = asyncio.create_task(self.reporter.run())
        try:
            async with asyncio.timeout(seconds):
                while not true():
                    await asyncio.sleep(0.02)
                while await self.desk.store.changed_incidents(10):
                    await asyncio.sleep(0.02)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def roots(self) -> list[str]:
        """What each message is about, the oldest first."""
        shown = [one["text"] for one in self.slack.screen("ada", "ops")]
        return [found[1] for text in shown if (found := re.search(r"Firing: (\w+):", text))]

    def repetitions(self) -> int:
        return sum(REPEATED in one["text"] for one in self.slack.screen("ada", "ops"))


@pytest.fixture
async def scene(valkey, monkeypatch):
    for module, name, seconds in (
        (incident_reporter, "POLL_SECONDS", 0.02),
        (incident_reporter, "RETRY_SECONDS", 0.1),
        (outbox_module, "POST_INTERVAL_SECONDS", 0.01),
        (exactly_once_post, "MIN_PAUSE_SECONDS", 0.01),
        (exactly_once_post, "MAX_PAUSE_SECONDS", 0.02),
    ):
        monkeypatch.setattr(module, name, seconds)
    monkeypatch.setattr(pause_after_429.random, "random", lambda: 0.0)
    async with Standin(seed=1, post_rate=0) as slack:
        made = Scene(valkey.url, slack)
        await made.calls.open()
        yield made
        await made.calls.aclose()
        await made.desk.store.aclose()
        assert slack.violations() == [] and slack.alarms() == []


@pytest.mark.parametrize("scopes", [{"channels:history"}, set()], ids=["with scope", "without"])
@pytest.mark.parametrize("applied", [False, True], ids=["not posted", "posted"])
async def test_a_pause_and_then_an_outage_lose_no_critical_alert_and_keep_the_order(scene, scopes, applied):
    """A 429 for more than its retries last, then 5xx: the same code as for a minute, with Retry-After of no time."""
    scene.slack.workspace.scopes |= scopes
    await scene.calls.auth()
    scene.slack.fault("chat.postMessage", "429", count=14, retry_after=0)
    scene.slack.fault("chat.postMessage", "500", count=3, applied=applied)
    now = time.time_ns()
    alerts = [
        crash("info", at=now, since_ns=now),
        *(
            crash(name, at=now + index, since_ns=now + index, severity=Severity.HIGH)
            for index, name in enumerate("ab", 1)
        ),
    ]
    await scene.desk.take(*alerts)
    await scene.run_until(lambda: set(scene.roots()) == {"a", "b", "info"})
    assert list(dict.fromkeys(scene.roots())) == ["a", "b", "info"]
    if applied and not scopes:
        # Nobody can look. So each lost answer has one repetition, which says so.
        assert 0 < scene.repetitions() <= scene.desk.counts.slack_lost_answers_total.labels("repeated")._value.get()
    else:
        assert scene.roots() == ["a", "b", "info"]


async def test_a_process_that_ends_during_a_post_is_followed_by_one_that_finds_it(scene, monkeypatch):
    monkeypatch.setattr("bot.notify.post_record.OTHERS_POST_SECONDS", 0)
    scene.slack.workspace.scopes.add("channels:history")
    await scene.calls.auth()
    scene.slack.fault("chat.postMessage", "timeout", applied=True)
    now = time.time_ns()
    await scene.desk.take(crash("web", at=now, since_ns=now))
    task = asyncio.create_task(scene.reporter.run())
    async with asyncio.timeout(60):
        while not scene.roots():
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    scene.reporter = scene.process()
    await scene.run_until(lambda: len(scene.slack.calls("conversations.history")) == 1)
    assert len(scene.roots()) == 1
    assert scene.desk.counts.slack_lost_answers_total.labels("found")._value.get() == 1


async def test_a_process_that_ends_while_slack_asks_to_wait_leaves_nothing_that_counts_as_tried(scene):
    """Nobody may search the channel. So if it counted as tried, its message would say that it may be there twice."""
    scene.slack.fault("chat.postMessage", "429", count=1, retry_after=30)
    now = time.time_ns()
    await scene.desk.take(*(crash(name, at=now, since_ns=now) for name in "ab"))
    task = asyncio.create_task(scene.reporter.run())
    async with asyncio.timeout(60):
        while not scene.desk.counts.slack_throttled_total.labels("chat.postMessage")._value.get():
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert scene.roots() == []
    scene.slack.advance(30)
    scene.reporter = scene.process()
    await scene.run_until(lambda: len(scene.roots()) == 2)
    assert sorted(scene.roots()) == ["a", "b"] and scene.repetitions() == 0
    assert scene.desk.counts.slack_lost_answers_total.labels("repeated")._value.get() == 0
