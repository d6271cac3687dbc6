"""Counting: every event once, under a label set no engine can widen."""

from __future__ import annotations

from unittest.mock import Mock

import msgspec
import pytest

from collectors import container_end_causes, container_end_tracker
from collectors.alert_evaluator import Evaluator
from collectors.event_processor import ACTIONS, CONTAINERD, CRI, SWARM, TYPES, EventProcessor
from collectors.rules import crash, out_of_memory
from core import metrics
from core.model.alerts import Alert
from core.model.containers import Container
from core.model.events import Event, EventKind, Origin
from core.model.refs import EngineRef, Kind, Ref
from runtimes.docker import decode
from runtimes.inventory.mirror import Mirror
from tests.fake_engine.engine import FakeRuntime
from tests.helpers.paths import CAPTURES


def event(action: str, *, kind: str = "container", at: int = 1, what: EventKind = EventKind.OTHER) -> Event:
    ref = Ref(EngineRef(host="h", kind="fake"), Kind.CONTAINER, "1" * 64, "web")
    return Event(at, what, ref, Origin.LIVE, kind, action, {})


def fake_container(engine: FakeRuntime, name: str) -> Container:
    return Container(
        ref=Ref(engine=engine.ref, kind=Kind.CONTAINER, id=name.ljust(64, "0"), name=name),
        image="web:1",
        image_id="sha256:1",
        command="web",
        state="running",
        status="Up",
        created_at=0.0,
        labels={},
    )


class Line:
    def __init__(self) -> None:
        self.engine = FakeRuntime("h")
        self.mirror = Mirror(self.engine)
        self.counts = metrics.Metrics()
        self.processor = EventProcessor(self.mirror, self.counts, call_later=lambda seconds, call: None)

    def counted(self) -> dict[tuple[str, str, str], float]:
        return {
            (sample.labels["host"], sample.labels["type"], sample.labels["action"]): sample.value
            for family in self.counts.events_total.collect()
            for sample in family.samples
        }


def test_each_event_is_counted_applied_and_remembered() -> None:
    line = Line()
    batch = [event("start", at=5, what=EventKind.STARTED), event("die", at=7, what=EventKind.DIED), event("die", at=6)]
    assert line.processor.process(batch) == 7
    assert line.counted() == {("h", "container", "start"): 1, ("h", "container", "die"): 2}
    assert list(line.mirror.history) == batch
    assert line.mirror.dirty == {"1" * 64: None}


def test_a_folded_event_counts_as_those_it_stands_for() -> None:
    line = Line()
    ref = Ref(EngineRef(host="h", kind="fake"), Kind.ENGINE, "", "")
    folded = Event(9, EventKind.OTHER, ref, Origin.LIVE, "container", "exec_start", {}, 40)
    assert line.processor.process([event("start", at=5, what=EventKind.STARTED), folded, event("exec_start")]) == 9
    assert line.counted() == {("h", "container", "start"): 1, ("h", "container", "exec_start"): 41}
    assert [one.action for one in line.mirror.history] == ["start"]


def test_a_bug_about_one_end_prevents_no_other_and_no_later_one(monkeypatch: pytest.MonkeyPatch) -> None:
    line, due = Line(), []
    line.processor = EventProcessor(line.mirror, line.counts, call_later=lambda seconds, call: due.append(call))
    now = [10**18]
    line.processor._ends._now_ns = lambda: now[0]
    explain = container_end_tracker.explain

    def broken(end: container_end_causes.EndEvidence) -> container_end_causes.Cause:
        if end.died.at_ns == 5:
            raise KeyError("x")
        return explain(end)

    monkeypatch.setattr(container_end_tracker, "explain", broken)
    for at in (5, 6):
        line.processor.process([event("die", at=at, what=EventKind.DIED)])
    now[0] += 60 * 10**9
    due.pop()()
    line.processor.process([event("die", at=7, what=EventKind.DIED)])
    now[0] += 60 * 10**9
    due.pop()()
    shown = [one.attrs["cause_text"] for one in line.mirror.history.since(0)]
    assert "a bug prevented its explanation (ref " in shown[0]
    assert shown[1:] == ["ended, and the engine reports no exit code"] * 2
    assert not due and not line.processor._ends.pending


def test_the_timer_is_set_again_after_a_bug_in_a_report(monkeypatch: pytest.MonkeyPatch) -> None:
    line, due = Line(), []
    line.processor = EventProcessor(line.mirror, line.counts, call_later=lambda seconds, call: due.append(call))
    line.processor.process([event("die", at=5, what=EventKind.DIED)])
    monkeypatch.setattr(line.processor._ends, "settle", Mock(side_effect=KeyError("x")))
    with pytest.raises(KeyError):
        due.pop()()
    assert len(due) == 1


def test_words_nobody_knows_are_counted_as_other_and_details_are_cut() -> None:
    line = Line()
    for number in range(100):
        line.processor.process(
            [event(f"exec_create: /bin/sh -c secret{number}"), event(f"new-{number}", kind=f"odd{number}")]
        )
    line.processor.process([event("health_status: healthy"), event("health_status: unhealthy"), event("health_status")])
    line.processor.process([event("novel", kind="image"), event("pull", kind="image")])
    assert line.counted() == {
        ("h", "container", "exec_create"): 100,
        ("h", "container", "health_status"): 3,
        ("h", "other", "other"): 100,
        ("h", "image", "other"): 1,
        ("h", "image", "pull"): 1,
    }
    assert len(line.processor._children) == 5
    assert "other" not in ACTIONS | TYPES


def test_a_host_that_tells_its_name_late_is_counted_under_it() -> None:
    line = Line()
    line.processor.process([event("start")])
    line.engine._ref = msgspec.structs.replace(line.engine.ref, host="real")
    line.processor.process([event("start")])
    assert line.counted() == {("h", "container", "start"): 1, ("real", "container", "start"): 1}


RECORDED = ("docker-20.10", "docker-26.1", "swarm-manager", "podman-4.3.compat", "podman-5.4.compat")


@pytest.mark.parametrize("words", [CONTAINERD, CRI, SWARM], ids=["containerd", "cri", "swarm"])
def test_the_words_of_other_dialects_are_counted_under_their_own_names(words: frozenset[str]) -> None:
    line = Line()
    line.processor.process([event(word, kind="task") for word in words])
    assert line.counted() == {("h", "task", word): 1 for word in words}
    assert "task_exit" in ACTIONS
    assert {"failed", "rejected", "down", "rollback_completed"} <= ACTIONS


@pytest.mark.parametrize("name", ["podman-4.3.libpod", "podman-5.4.libpod"])
def test_every_word_a_real_podman_said_has_a_name_of_its_own(name: str) -> None:
    told = map(msgspec.json.decode, (CAPTURES / f"{name}.events.jsonl").read_bytes().splitlines())
    words = {(one["Type"], one["Action"].partition(":")[0]) for one in told}
    assert len(words) > 20
    assert {kind for kind, _ in words} <= TYPES
    assert {action for _, action in words} <= ACTIONS


@pytest.mark.parametrize("name", RECORDED)
def test_every_word_a_real_engine_said_is_counted_under_its_own_name(name: str) -> None:
    line = Line()
    recorded = (CAPTURES / f"{name}.events.jsonl").read_bytes()
    words = {(raw["Type"], raw["Action"].partition(":")[0]) for raw in map(msgspec.json.decode, recorded.splitlines())}
    events = decode.Decoder(line.engine.ref).events(recorded, replay_before=0)
    assert line.processor.process(events) == max(event.at_ns for event in events)
    assert {(kind, action) for _, kind, action in line.counted()} == words
    assert sum(line.counted().values()) == len(events) > 80


@pytest.mark.parametrize(
    ("code", "before", "early"),
    [
        ("1", [], True),
        ("139", [], True),
        ("0", [], False),
        ("137", [], False),
        ("137", [EventKind.OOM], True),
        ("1", [EventKind.KILLED], False),
        ("143", [], False),
        ("", [], False),
    ],
)
def test_an_end_whose_cause_is_certain_reaches_the_alert_rules_at_once(
    code: str, before: list[EventKind], early: bool
) -> None:
    alerts: list[Alert] = []
    evaluator = Evaluator([crash.rule, out_of_memory.rule], alerts.append)
    engine = FakeRuntime("h", kind="docker")
    mirror, due = Mirror(engine), []
    processor = EventProcessor(
        mirror, metrics.Metrics(), alerts=evaluator, call_later=lambda seconds, call: due.append(call)
    )
    web, other = (fake_container(engine, name) for name in ("web", "other"))
    mirror.stream_opened(0)
    mirror.replace([web, other], 1)

    def happened(kind: EventKind, at: int, **attrs: str) -> Event:
        return Event(at, kind, web.ref, Origin.LIVE, "container", str(kind), attrs)

    died = happened(EventKind.DIED, 9, exit_code=code) if code else happened(EventKind.DIED, 9)
    processor.process([*(happened(kind, 8, signal="15") for kind in before), died])
    ended = [alert for alert in alerts if alert.cause is not None]
    assert bool(ended) is early
    (listed,) = (event for event in mirror.history.since(0) if event.kind is EventKind.DIED)
    assert ("cause_text" in listed.attrs, "cause_pending" in listed.attrs) == (early, not early)
    # The final cause is the same end, so it changes nothing.
    processor._ends._now_ns = lambda: 2 * 10**18
    due.pop()()
    assert not processor._ends.pending
    (listed,) = (event for event in mirror.history.since(0) if event.kind is EventKind.DIED)
    assert "cause_text" in listed.attrs and "cause_pending" not in listed.attrs
    if early:
        assert [alert for alert in alerts if alert.cause is not None] == ended
