"""The measures of incidents, on a real store: what any process changes is counted once, and series are limited."""

from __future__ import annotations

import msgspec
import pytest

from bot.notify import incident_metrics
from bot.notify.incident_metrics import IncidentMetrics
from bot.notify.incident_writer import IncidentWriter, change_incident
from core import errors, metrics
from core.model.alerts import Alert, AlertState, Severity
from core.model.incidents import acknowledge, incident_key
from core.model.refs import EngineRef, Kind, Ref
from core.store.client import Store
from tests.helpers.alerts import alert

SECOND = 1_000_000_000
BEGIN = 1_700_000_000 * SECOND


class Scene:
    """A store, what writes to it (`store_now`), and the page of another process."""

    def __init__(self, url: str) -> None:
        self.store = Store.open(url, timeout=20.0)
        self.writer = IncidentWriter(self.store, metrics.Metrics(), lambda: None)
        self.restart()

    def restart(self) -> None:
        self.counts = metrics.Metrics()
        self.measures = IncidentMetrics(self.store, self.counts)

    async def take(self, *alerts: Alert) -> None:
        await self.writer.store_now(alerts)
        await self.measures.follow()

    def value(self, name: str, /, **labels: str) -> float | None:
        return self.counts.registry.get_sample_value(f"quarterdeck_{name}", labels)

    def series(self, name: str) -> list[dict[str, str]]:
        found = [sample for family in self.counts.registry.collect() for sample in family.samples]
        return [sample.labels for sample in found if sample.name == f"quarterdeck_{name}"]


@pytest.fixture
async def scene(valkey):
    made = Scene(valkey.url)
    await made.measures.follow()
    yield made
    await made.store.aclose()


def firing(name: str = "web", *, at: int = BEGIN, **more) -> Alert:
    subject = Ref(engine=EngineRef(host="h1", kind="docker"), kind=Kind.CONTAINER, id="1" * 64, name=name)
    return alert(**{"at": at, "since_ns": BEGIN, "subject": subject, "owner": name, "fingerprint": name, **more})


def resolved(name: str = "web", *, after: int, **more) -> Alert:
    return firing(name, at=BEGIN + after * SECOND, state=AlertState.RESOLVED, **more)


async def test_an_open_incident_is_shown_by_rule_team_severity_and_state(scene):
    await scene.take(firing(team="payments"))
    labels = {"rule": "crash", "team": "payments", "severity": "medium", "state": "firing"}
    assert scene.value("incidents_open", **labels) == 1
    where = {"host": "h1", "engine": "docker", "kind": "container", "name": "web"}
    assert scene.value("incident_begin_timestamp_seconds", **where, **labels) == BEGIN / SECOND
    # Both begin at 0, so that Prometheus sees the first increase.
    for family in ("acknowledge", "resolve"):
        assert scene.value(f"incident_{family}_seconds_count", rule="crash", team="payments") == 0


async def test_an_acknowledgement_of_any_process_is_measured_once(scene):
    web = firing()
    await scene.take(web)
    for person in ("ada", "bob"):
        await change_incident(scene.store, incident_key(web), lambda one, who=person: acknowledge(one, who))
        await scene.measures.follow()
    assert scene.value("incident_acknowledge_seconds_count", rule="crash", team="none") == 1
    assert [one["state"] for one in scene.series("incidents_open")] == ["acknowledged"]


async def test_the_time_to_resolve_is_from_the_begin_to_the_end(scene):
    await scene.take(firing())
    await scene.take(resolved(after=600))
    assert scene.value("incident_resolve_seconds_sum", rule="crash", team="none") == 600
    assert not scene.series("incidents_open") and not scene.series("incident_begin_timestamp_seconds")


async def test_a_reopened_incident_begins_again(scene):
    await scene.take(firing())
    await scene.take(resolved(after=60))
    again = msgspec.structs.replace(firing(at=BEGIN + 300 * SECOND), since_ns=BEGIN + 290 * SECOND)
    await scene.take(again)
    (begin,) = scene.series("incident_begin_timestamp_seconds")
    assert scene.value("incident_begin_timestamp_seconds", **begin) == BEGIN / SECOND + 290
    await scene.take(msgspec.structs.replace(resolved(after=400), since_ns=again.since_ns))
    assert scene.value("incident_resolve_seconds_sum", rule="crash", team="none") == 60 + 110


async def test_an_incident_that_began_and_ended_between_two_reads_is_measured(scene):
    await scene.writer.store_now([firing()])
    await scene.take(resolved(after=30))
    assert scene.value("incident_resolve_seconds_sum", rule="crash", team="none") == 30


async def test_a_new_process_shows_what_is_open_and_measures_nothing_of_before(scene):
    web = firing()
    await scene.take(web, firing("api"))
    await change_incident(scene.store, incident_key(web), lambda one: acknowledge(one, "ada"))
    await scene.take(resolved("api", after=60))
    scene.restart()
    await scene.measures.follow()
    assert len(scene.series("incidents_open")) == 1
    assert scene.value("incident_acknowledge_seconds_count", rule="crash", team="none") == 0
    assert scene.value("incident_resolve_seconds_count", rule="crash", team="none") == 0


async def test_series_are_limited_and_the_most_severe_are_shown(scene, monkeypatch):
    monkeypatch.setattr(incident_metrics, "MAX_SHOWN", 2)
    monkeypatch.setattr(incident_metrics, "MAX_TEAMS", 2)
    alerts = [firing(f"web-{number}", team=f"team-{number}") for number in range(5)]
    await scene.take(*alerts, firing("db", severity=Severity.HIGH, team="team-0"))
    shown = scene.series("incident_begin_timestamp_seconds")
    assert len(shown) == 2 and "db" in {one["name"] for one in shown}
    assert scene.value("incident_series_capped") == 4
    teams = {one["team"] for one in scene.series("incidents_open")}
    assert "other" in teams and len(teams) == 3


async def test_the_subjects_of_those_that_are_not_shown_are_read_when_they_are(scene, monkeypatch):
    monkeypatch.setattr(incident_metrics, "MAX_SHOWN", 2)
    await scene.take(*(firing(f"web-{number}", since_ns=BEGIN + number) for number in range(5)))
    assert {one["name"] for one in scene.series("incident_begin_timestamp_seconds")} == {"web-0", "web-1"}
    read, reads = scene.store.incidents_of, []

    async def failing(keys):
        reads.append(tuple(keys))
        if len(reads) == 2:  # the first call reads what has changed
            raise errors.StoreDown
        return await read(keys)

    monkeypatch.setattr(scene.store, "incidents_of", failing)
    with pytest.raises(errors.StoreDown):
        await scene.take(resolved("web-0", after=60))
    await scene.measures.follow()
    assert {one["name"] for one in scene.series("incident_begin_timestamp_seconds")} == {"web-1", "web-2"}
    assert [len(keys) for keys in reads] == [1, 1, 1] and scene.value("incident_series_capped") == 2


async def test_of_thousands_nobody_is_sorted_again_for_one_that_is_not_shown(scene, monkeypatch):
    monkeypatch.setattr(incident_metrics, "MAX_SHOWN", 2)
    await scene.take(*(firing(f"web-{number}", since_ns=BEGIN + number) for number in range(5)))
    with monkeypatch.context() as patched:
        patched.setattr(incident_metrics.heapq, "nsmallest", None)
        await scene.take(firing("web-9", since_ns=BEGIN + 9))
        await scene.take(resolved("web-4", after=60))
    labels = {"rule": "crash", "team": "none", "severity": "medium", "state": "firing"}
    assert scene.value("incidents_open", **labels) == 5 and scene.value("incident_series_capped") == 3
    await scene.take(firing("db", since_ns=BEGIN + 99, severity=Severity.HIGH))
    assert {one["name"] for one in scene.series("incident_begin_timestamp_seconds")} == {"web-0", "db"}
    assert {one["severity"] for one in scene.series("incidents_open")} == {"medium", "high"}


async def test_a_name_that_a_terminal_would_obey_is_shown_as_text(scene):
    await scene.take(firing("web\x1b[2J", team="\x1b[31m"))
    (shown,) = scene.series("incident_begin_timestamp_seconds")
    assert (shown["name"], shown["team"]) == ("web\\x1b[2J", "\\x1b[31m")


async def test_an_alert_of_another_system_counts_under_its_system(scene):
    await scene.take(firing(source="alertmanager"))
    assert [one["rule"] for one in scene.series("incidents_open")] == ["alertmanager"]


async def test_the_page_follows_a_store_that_lost_its_data(scene):
    await scene.take(firing())
    await scene.store._client.flushdb()
    await scene.measures.follow()
    assert not scene.series("incidents_open")
    await scene.take(firing("api"))
    assert [one["name"] for one in scene.series("incident_begin_timestamp_seconds")] == ["api"]


async def test_a_store_that_is_gone_changes_nothing(scene):
    await scene.take(firing())
    scene.measures._store = Store.open("unix:///nowhere/valkey.sock", timeout=0.1)
    with pytest.raises(errors.StoreError):
        await scene.measures.follow()
    await scene.measures._store.aclose()
    assert len(scene.series("incidents_open")) == 1
