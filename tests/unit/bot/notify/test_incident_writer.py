"""The writer, on a real store: every alert is stored once in its incident, whatever happens to the store."""

from __future__ import annotations

import asyncio

import pytest
import structlog.testing

from bot.notify import old_incident_cleanup
from bot.notify.incident_writer import (
    IncidentWriter,
    change_incident,
    decode_incident,
    newest_incidents,
    stored_incidents,
)
from core import errors, metrics
from core.model.alerts import AlertState
from core.model.incidents import Incident, IncidentState, acknowledge
from core.store.client import Store
from tests.helpers.alerts import alert


class Desk:
    def __init__(self, url: str) -> None:
        self.store = Store.open(url, timeout=20.0)
        self.counts = metrics.Metrics()
        self.changes = 0
        self.writer = IncidentWriter(self.store, self.counts, self._changed)

    def _changed(self) -> None:
        self.changes += 1

    async def take(self, *alerts) -> list[Incident]:
        """Reports alerts, and returns the incidents when all are stored."""
        for each in alerts:
            self.writer.report(each)
        task = asyncio.create_task(self.writer.run())
        async with asyncio.timeout(60):
            while self.writer.queued:
                await asyncio.sleep(0.01)
        task.cancel()
        return list(await stored_incidents(self.store))


@pytest.fixture
async def desk(valkey):
    made = Desk(valkey.url)
    yield made
    await made.store.aclose()


async def test_an_alert_is_stored_in_its_incident_and_marked_as_changed(desk):
    (incident,) = await desk.take(alert())
    assert (incident.state, incident.main.text, incident.version) == (IncidentState.FIRING, "crashed", 1)
    assert await desk.store.changed_incidents(10) == [incident.key]
    assert desk.changes == 1


async def test_a_crash_that_was_over_before_it_was_stored_is_stored_with_its_end(desk):
    (incident,) = await desk.take(alert(at=1), alert(at=2, state=AlertState.RESOLVED, text="no trouble since"))
    assert incident.state is IncidentState.RESOLVED and incident.version == 2


async def test_the_begin_and_the_end_of_an_alert_are_lines_of_the_log_and_its_repetitions_are_not(desk):
    with structlog.testing.capture_logs() as lines:
        await desk.take(alert())
        await desk.take(alert(at=2, count=2))
        await desk.take(alert(at=3, state=AlertState.RESOLVED, text="it runs again"))
    shown = [(line["log_level"], line["event"], line["subject"].partition("#")[0], line["reason"]) for line in lines]
    assert shown == [
        ("warning", "An alert fires.", "web@docker/h1", "crashed"),
        ("info", "An alert is resolved.", "web@docker/h1", "it runs again"),
    ]


async def test_ten_thousand_reports_of_one_alert_wait_as_one(desk):
    for at in range(1, 10_001):
        desk.writer.report(alert(at=at, count=at))
        desk.writer.report(alert(at=at, count=at, state=AlertState.RESOLVED))
    assert desk.writer.queued == 2
    (incident,) = await desk.take()
    assert incident.count == 10_000


async def test_two_processes_that_report_the_same_alerts_make_one_incident(desk, valkey):
    other = Desk(valkey.url)
    reports = [alert(f"rule-{number % 3}", at=number, count=number) for number in range(1, 31)]
    await asyncio.gather(desk.take(*reports), other.take(*reports))
    (incident,) = await stored_incidents(desk.store)
    assert {each.rule: each.count for each in incident.alerts} == {"rule-0": 30, "rule-1": 28, "rule-2": 29}
    await other.store.aclose()


async def test_alerts_wait_while_the_store_is_gone(desk, valkey):
    url, store = valkey.url, desk.store
    desk.writer._store = Store.open("unix:///nowhere/valkey.sock", timeout=0.1)
    desk.writer.report(alert())
    task = asyncio.create_task(desk.writer.run())
    async with asyncio.timeout(60):
        while not desk.writer._repeated._reason:
            await asyncio.sleep(0.01)
    assert desk.writer.queued == 1
    desk.writer._store = store
    async with asyncio.timeout(60):
        while desk.writer.queued:
            await asyncio.sleep(0.01)
    task.cancel()
    assert len(await stored_incidents(store)) == 1 and url


async def test_a_change_by_a_person_and_a_new_alert_at_once_lose_nothing(desk):
    (incident,) = await desk.take(alert())
    changed, _ = await asyncio.gather(
        change_incident(desk.store, incident.key, lambda each: acknowledge(each, "slack:T1/U1")),
        desk.take(alert(at=2, count=2)),
    )
    assert changed.acknowledged_by == "slack:T1/U1"
    (now,) = await stored_incidents(desk.store)
    assert (now.acknowledged_by, now.count) == ("slack:T1/U1", 2)


async def test_a_change_of_a_removed_incident_is_refused(desk):
    (incident,) = await desk.take(alert())
    await desk.store.remove_incidents([incident.key])
    with pytest.raises(errors.NotFound):
        await change_incident(desk.store, incident.key, lambda each: each)
    assert await desk.store.changed_incidents(10) == []


async def test_what_another_version_wrote_is_replaced(desk):
    (incident,) = await desk.take(alert())
    stored = await desk.store.incident(incident.key)
    assert await desk.store.change_incident(incident.key, stored, b'{"id": 7}')
    assert decode_incident(b'{"id": 7}') is None
    assert await stored_incidents(desk.store) == []
    (again,) = await desk.take(alert(at=9))
    assert again.main.at_ns == 9


async def test_every_incident_is_read_once_in_parts_and_the_newest_are_counted(desk, monkeypatch):
    monkeypatch.setattr("core.store.incidents.SCAN_COUNT", 10)
    await desk.take(*(alert(fingerprint=f"a{number}", owner=f"o{number}", at=number + 1) for number in range(60)))
    keys = [key async for key, _ in desk.store.each_incident()]
    assert len(keys) == len(set(keys)) == 60
    even = lambda incident: incident.changed_ns % 2 == 0  # noqa: E731
    newest, found = await newest_incidents(desk.store, 3, even)
    assert ([each.changed_ns for each in newest], found) == ([60, 58, 56], 30)
    assert await newest_incidents(desk.store, 0, even) == ((), 30)


async def test_old_incidents_are_removed_and_open_ones_stay(desk, monkeypatch):
    week = old_incident_cleanup.KEEP_NS
    await desk.take(alert(), alert(fingerprint="b", owner="b", at=week), alert(fingerprint="c", owner="c", at=2 * week))
    await desk.take(
        *(
            alert(fingerprint=name, owner=owner, at=at + 1, state=AlertState.RESOLVED)
            for name, owner, at in (("crash", "shop/web", 1), ("c", "c", 2 * week))
        )
    )
    assert await old_incident_cleanup.remove_old_incidents(desk.store, now_ns=2 * week + 10) == 1
    assert {each.main.owner for each in await stored_incidents(desk.store)} == {"b", "c"}
    monkeypatch.setattr(old_incident_cleanup, "MAX_INCIDENTS", 1)
    assert await old_incident_cleanup.remove_old_incidents(desk.store, now_ns=2 * week + 10) == 1
    assert {each.main.owner for each in await stored_incidents(desk.store)} == {"b"}
    assert await desk.store.changed_incidents(10) == [(await stored_incidents(desk.store))[0].key]
