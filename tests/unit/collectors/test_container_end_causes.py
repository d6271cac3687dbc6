"""The causes of ends, on sequences recorded from real engines (`tests/captures/endings.jsonl`).

Each line of the table is one scenario: the engine, what was done, the events as Quarterdeck decoded them, the
containers as they were inspected afterwards, and the causes of all ends in it. `cut` and `opened` are the loss and the
return of the event stream.
"""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors import container_end_causes, container_end_tracker
from collectors.container_end_causes import SECOND
from core.model import actions
from core.model.containers import Container
from core.model.end_causes import Cause, CauseKind
from core.model.events import Event, EventKind, Origin
from core.model.refs import EngineRef, Kind, Ref
from core.ports import Call
from runtimes.inventory import state_updates
from runtimes.inventory.container_end_records import EndRecords
from runtimes.inventory.event_history import EventHistory
from runtimes.inventory.own_changes import OwnChanges

TABLE = [json.loads(line) for line in Path("tests/captures/endings.jsonl").read_text().splitlines()]


class Replay:
    """Feeds a recorded sequence to an EndTracker, with a clock that follows the events."""

    def __init__(self, recorded: dict[str, Any] | None = None) -> None:
        self.now_ns = 0
        self.rows: dict[str, Container] = {}
        self.reported: list[tuple[Event, Cause]] = []
        self.own_changes = OwnChanges(lambda: self.now_ns / SECOND)
        self.tracker = container_end_tracker.EndTracker(
            lambda: self.rows,
            lambda died, cause, row: self.reported.append((died, cause)),
            self.own_changes,
            EndRecords(),
            now_ns=lambda: self.now_ns,
        )
        final = (recorded or {}).get("containers", {})
        self.final = {key: msgspec.convert(row, Container) for key, row in final.items()}

    def feed(self, step: dict[str, Any]) -> None:
        if "cut" in step:
            self.now_ns = step["cut"]
            self.tracker.settle()
            self.tracker.stream_lost()
        elif "opened" in step:
            self.now_ns = step["opened"]
            self.tracker.stream_opened()
        else:
            self.event(msgspec.convert(step, Event))

    def event(self, event: Event) -> None:
        self.now_ns = max(self.now_ns, event.at_ns)
        self.tracker.settle()
        key = event.subject.id
        if event.kind is EventKind.REMOVED:
            self.rows.pop(key, None)
        else:
            row = self.rows.get(key) or state_updates.from_first_event(event)
            if key in self.final:
                final = self.final[key]
                row = msgspec.structs.replace(row, labels=final.labels, created_at=final.created_at)
            self.rows[key] = state_updates.apply_event(row, event)
        self.tracker.observe([event])

    def settle(self) -> list[str]:
        self.rows.update(self.final)
        for _ in range(20):
            self.now_ns += SECOND
            self.tracker.settle()
        return [str(cause.kind) for _, cause in self.reported]


@pytest.mark.parametrize("recorded", TABLE, ids=[f"{row['engine']}: {row['name']}" for row in TABLE])
def test_each_recorded_end_has_its_cause(recorded: dict[str, Any]) -> None:
    replay = Replay(recorded)
    for step in recorded["events"]:
        replay.feed(step)
    assert replay.settle() == recorded["expect"]
    assert len({died.identity() for died, _ in replay.reported}) == len(replay.reported)
    assert not replay.tracker.pending


def test_the_table_covers_every_class_of_engine_and_every_cause() -> None:
    engines = Counter(row["engine"] for row in TABLE)
    assert set(engines) == {
        "docker-20.10", "docker-26.1", "podman-4.3", "podman-5.4", "containerd-1.6", "containerd-1.6-cri",
        "containerd-1.7", "containerd-1.7-cri", "runc-1.1",
    }  # fmt: skip
    assert len(TABLE) >= 40
    assert {cause for row in TABLE for cause in row["expect"]} == {str(kind) for kind in CauseKind}


@pytest.mark.parametrize(
    "recorded", [row for row in TABLE if len(row["expect"]) == 1 and row["expect"] != ["lost"]][::3]
)
def test_a_batch_of_everything_gives_the_same_cause(recorded: dict[str, Any]) -> None:
    """After a short gap, the events of a whole life arrive at once."""
    replay = Replay(recorded)
    events = [msgspec.convert(step, Event) for step in recorded["events"] if "at_ns" in step]
    for event in events:
        row = replay.rows.get(event.subject.id) or state_updates.from_first_event(event)
        replay.rows[event.subject.id] = state_updates.apply_event(row, event)
    replay.now_ns = max(event.at_ns for event in events)
    replay.tracker.observe(events)
    assert replay.settle() == recorded["expect"]


# ── Quarterdeck's own changes ────────────────────────────────────────────────────────────────────────────────────

ENGINE = EngineRef(kind="docker", host="m1")
WEB = Ref(engine=ENGINE, kind=Kind.CONTAINER, id="a" * 64, name="web")


def event(kind: EventKind, at: float, ref: Ref = WEB, **attrs: str) -> Event:
    return Event(
        at_ns=int(at * SECOND),
        kind=kind,
        subject=ref,
        origin=Origin.LIVE,
        type="container",
        action=str(kind),
        attrs=attrs,
    )


def call(replay: Replay, action: actions.Action[Any], who: str = "slack:T1/ADA") -> None:
    deadline = datetime.fromtimestamp(replay.now_ns / SECOND, UTC) + timedelta(seconds=20)
    assert replay.own_changes.noted(action, Call(id="1", who=who, deadline=deadline, invocation="1")) is action


def test_a_crash_after_our_own_restart_of_an_ended_container_is_its_own() -> None:
    replay = Replay()
    restart = actions.Restart(engine=ENGINE, target=WEB)
    deadline = datetime.fromtimestamp(replay.now_ns / SECOND, UTC) + timedelta(seconds=20)
    asked = Call(id="1", who="rule:restart-web", deadline=deadline, invocation="1")
    replay.own_changes.noted(restart, asked, lambda container_id: container_id == WEB.id)
    replay.event(event(EventKind.STARTED, 1))
    replay.event(event(EventKind.DIED, 2, exit_code="2"))
    replay.settle()
    assert [cause.kind for _, cause in replay.reported] == [CauseKind.CRASHED]


def test_our_own_stop_names_the_requester_and_only_for_one_end() -> None:
    replay = Replay()
    replay.event(event(EventKind.STARTED, 1))
    call(replay, actions.Stop(engine=ENGINE, target=WEB))
    replay.event(event(EventKind.KILLED, 2, signal="15"))
    replay.event(event(EventKind.DIED, 3, exit_code="0"))
    replay.event(event(EventKind.STOPPED, 3.01))
    replay.event(event(EventKind.STARTED, 4))
    replay.event(event(EventKind.DIED, 5, exit_code="1"))
    replay.settle()
    assert [cause for _, cause in replay.reported] == [
        Cause(kind=CauseKind.REQUESTED, text="stop through Quarterdeck", by="slack:T1/ADA"),
        Cause(kind=CauseKind.CRASHED, text="crashed: it failed (exit code 1)"),
    ]


@pytest.mark.parametrize(
    ("action", "counts"),
    [
        (actions.Kill(engine=ENGINE, target=WEB, signal="HUP"), False),
        (actions.Kill(engine=ENGINE, target=WEB, signal="SIGTERM"), True),
        (actions.Kill(engine=ENGINE, target=WEB, signal="9"), True),
        (actions.Pause(engine=ENGINE, target=WEB), False),
        (actions.Start(engine=ENGINE, target=WEB), False),
        (actions.ListContainers(engine=ENGINE), False),
        (actions.Remove(engine=ENGINE, target=WEB, force=True), True),
        (actions.Restart(engine=ENGINE, target=WEB), True),
    ],
)
def test_only_a_change_that_asks_for_an_end_is_its_cause(action: actions.Action[Any], counts: bool) -> None:
    replay = Replay()
    replay.now_ns = SECOND
    call(replay, action)
    replay.event(event(EventKind.DIED, 3, exit_code="1"))
    replay.settle()
    assert (replay.reported[0][1].by == "slack:T1/ADA") is counts


def test_a_change_long_ago_or_of_another_container_is_no_cause() -> None:
    replay = Replay()
    replay.now_ns = SECOND
    call(replay, actions.Stop(engine=ENGINE, target=WEB))
    other = Ref(engine=ENGINE, kind=Kind.CONTAINER, id="b" * 64, name="db")
    replay.event(event(EventKind.DIED, 3, other, exit_code="1"))
    replay.event(event(EventKind.DIED, 60, exit_code="1"))
    assert replay.settle() == ["crashed", "crashed"]


# ── what must not mislead ────────────────────────────────────────────────────────────────────────────────────────


def test_a_new_container_of_another_name_replaces_nothing() -> None:
    replay = Replay()
    other = Ref(engine=ENGINE, kind=Kind.CONTAINER, id="b" * 64, name="web-2")
    for one in (
        event(EventKind.STARTED, 1),
        event(EventKind.KILLED, 2, signal="15"),
        event(EventKind.DIED, 2.1, exit_code="143"),
        event(EventKind.STOPPED, 2.2),
        event(EventKind.CREATED, 3, other),
    ):
        replay.event(one)
    assert replay.settle() == ["requested"]


def test_a_crash_that_is_replaced_stays_a_crash() -> None:
    replay = Replay()
    again = Ref(engine=ENGINE, kind=Kind.CONTAINER, id="b" * 64, name="web")
    for one in (
        event(EventKind.STARTED, 1),
        event(EventKind.DIED, 2, exit_code="1"),
        event(EventKind.CREATED, 3, again),
    ):
        replay.event(one)
    assert replay.settle() == ["crashed"]


def test_a_stop_before_a_cut_of_the_stream_alone_is_a_stop_if_others_run() -> None:
    replay = Replay()
    other = Ref(engine=ENGINE, kind=Kind.CONTAINER, id="b" * 64, name="db")
    for one in (
        event(EventKind.STARTED, 1, other),
        event(EventKind.STARTED, 1),
        event(EventKind.KILLED, 2, signal="15"),
        event(EventKind.DIED, 2.1, exit_code="143"),
        event(EventKind.STOPPED, 2.2),
    ):
        replay.event(one)
    replay.feed({"cut": int(2.5 * SECOND)})
    replay.feed({"opened": 4 * SECOND})
    assert replay.settle() == ["requested"]


@pytest.mark.parametrize(
    ("then", "kind"),
    [
        ([(EventKind.DIED, {"exit_code": "1"})], "crashed"),
        ([(EventKind.DIED, {"exit_code": "0"})], "finished"),
        ([(EventKind.KILLED, {"signal": "15"}), (EventKind.DIED, {"exit_code": "0"})], "requested"),
    ],
)
def test_a_restart_is_the_cause_of_the_end_before_it_and_of_no_later_one(then, kind) -> None:
    replay = Replay()
    for what, at, attrs in (
        (EventKind.KILLED, 1.0, {"signal": "15"}),
        (EventKind.DIED, 1.1, {"exit_code": "0"}),
        (EventKind.STOPPED, 1.2, {}),
        (EventKind.STARTED, 1.3, {}),
        (EventKind.RESTARTED, 1.3, {}),
    ):
        replay.event(event(what, at, **attrs))
    for number, (what, attrs) in enumerate(then):
        replay.event(event(what, 600 + number, **attrs))
    assert replay.settle() == ["requested", kind]
    first, second = (cause.text for _, cause in replay.reported)
    assert first == "restarted by a client of its engine" and not second.startswith("restarted")


def test_the_inspection_wins_over_the_event() -> None:
    """A label of the container can take the place of the exit code in Docker's event."""
    died = event(EventKind.DIED, 100, exit_code="0")
    row = state_updates.from_first_event(died)
    row = msgspec.structs.replace(row, state="exited", exit_code=3, finished_at=100.2)
    assert (
        container_end_causes.explain(container_end_causes.EndEvidence(died=died, run=[died], container=row)).kind
        is CauseKind.CRASHED
    )
    later = msgspec.structs.replace(row, finished_at=300.0)  # of another run
    assert (
        container_end_causes.explain(container_end_causes.EndEvidence(died=died, run=[died], container=later)).kind
        is CauseKind.FINISHED
    )


@pytest.mark.parametrize(
    ("before", "code", "text"),
    [
        ([], 137, "killed by SIGKILL from outside the engine, or out of memory (exit code 137)"),
        ([], 143, "killed from outside the engine by SIGTERM (exit code 143)"),
        ([(EventKind.OOM, {})], 137, "out of memory (exit code 137)"),
        ([(EventKind.KILLED, {"signal": "9"})], 137, "killed by a client of its engine"),
    ],
)
def test_a_sigkill_that_nobody_sent_may_be_out_of_memory(before, code, text) -> None:
    replay = Replay()
    replay.event(event(EventKind.STARTED, 1))
    for kind, attrs in before:
        replay.event(event(kind, 1.2, **attrs))
    replay.event(event(EventKind.DIED, 1.4, exit_code=str(code)))
    replay.settle()
    assert [cause.text for _, cause in replay.reported] == [text]


KINDS = st.sampled_from(list(EventKind))


@given(
    st.lists(
        st.tuples(KINDS, st.integers(0, 100), st.sampled_from(["", "0", "1", "137", "143", "-5", "4294967295"]),
                  st.sampled_from(["", "9", "15", "1", "64", "x", "²"])),
        max_size=40,
    ),
    st.sampled_from(["docker", "podman", "containerd", "cri", "oci"]),
)  # fmt: skip
def test_any_order_of_events_gives_each_end_one_cause(steps, kind) -> None:
    replay = Replay()
    engine = EngineRef(kind=kind, host="m1")
    refs = [Ref(engine=engine, kind=Kind.CONTAINER, id=letter * 64, name=letter) for letter in "ab"]
    died = 0
    for number, (what, at, code, sent) in enumerate(steps):
        attrs = {key: value for key, value in (("exit_code", code), ("signal", sent)) if value}
        replay.event(event(what, at + number / 1000, refs[at % 2], **attrs))
        died += what is EventKind.DIED
        if at == 50:
            replay.feed({"cut": replay.now_ns})
        if at == 60:
            replay.feed({"opened": replay.now_ns})
    replay.settle()
    assert len(replay.reported) == died
    assert all(cause.text and not cause.text.endswith(".") for _, cause in replay.reported)


def test_what_is_remembered_is_bounded(monkeypatch) -> None:
    monkeypatch.setattr(container_end_tracker, "MAX_CONTAINERS", 50)
    replay = Replay()
    for number in range(500):
        ref = Ref(engine=ENGINE, kind=Kind.CONTAINER, id=f"{number:064d}", name=f"c{number}")
        replay.event(event(EventKind.CREATED, number / 1000, ref))
        for _ in range(3):
            replay.event(event(EventKind.OOM, number / 1000, ref))
    assert len(replay.tracker._runs) == len(replay.tracker._names) == 50


def test_the_history_shows_the_cause_with_its_event() -> None:
    history = EventHistory()
    died = event(EventKind.DIED, 2, exit_code="1")
    history.add([died])
    history.set_cause(died, Cause(kind=CauseKind.CRASHED, text="crashed", by="console:ada"))
    (shown,) = history.since(0)
    assert shown.attrs == {"exit_code": "1", "cause": "crashed", "cause_text": "crashed", "cause_by": "console:ada"}
    assert shown.identity() == died.identity()


def test_many_ends_at_once_are_reported_in_steps_and_bounded(monkeypatch) -> None:
    monkeypatch.setattr(container_end_tracker, "MAX_PENDING", 1000)
    monkeypatch.setattr(container_end_tracker, "MAX_REPORTS", 300)
    replay = Replay()
    for number in range(1500):
        ref = Ref(engine=ENGINE, kind=Kind.CONTAINER, id=f"{number:064d}", name=f"c{number}")
        replay.event(event(EventKind.KILLED, number / 1e6, ref, signal="9"))
        replay.event(event(EventKind.DIED, number / 1e6, ref, exit_code="137"))
        assert len(replay.tracker._new) + len(replay.tracker._requested) <= 1001
    replay.now_ns += 2 * SECOND
    assert replay.tracker.settle() and len(replay.reported) < 1500
    assert replay.settle() == ["requested"] * 1500
    assert not replay.tracker._last and not replay.tracker.pending
