"""What a list tells about the time nobody listened."""

from __future__ import annotations

from typing import Any

import hypothesis
import msgspec
import pytest
from hypothesis import strategies as st

from collectors import container_list_diff as collectors_diff
from core.model.containers import Container
from core.model.events import Event, EventKind, Origin
from core.model.refs import EngineRef, Kind, Ref

NOW = 1_800_000_000
NOW_NS = NOW * 1_000_000_000
ENGINE = EngineRef(host="h", kind="docker")
WEB = Container(
    ref=Ref(ENGINE, Kind.CONTAINER, "1" * 64, "web"),
    image="busybox:1",
    image_id="",
    command="",
    state="running",
    status="",
    created_at=NOW - 5000.0,
    labels={},
    started_at=NOW - 4000.0,
    finished_at=NOW - 4500.0,
    restarts=0,
    oom_killed=False,
)


def but(row: Container, **changes: Any) -> Container:
    return msgspec.structs.replace(row, **changes)


def diff(before: Container | None, after: Container | None, **more: Any) -> list[Event]:
    def table(row: Container | None) -> dict[str, Container]:
        return {} if row is None else {row.ref.id: row}

    return collectors_diff.compute_missed_events(
        table(before), table(after), **{"since_ns": 0, "at_ns": NOW_NS, **more}
    )


def kinds(before: Container | None, after: Container | None, **more: Any) -> list[EventKind]:
    return [event.kind for event in diff(before, after, **more)]


K = EventKind
EXITED = but(WEB, state="exited", exit_code=2, finished_at=NOW - 10.0)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (WEB, WEB, []),
        (WEB, but(WEB, status="Up 2 hours", image="other:2", restarts=4), []),
        (WEB, EXITED, [K.DIED]),
        (WEB, but(EXITED, oom_killed=True), [K.OOM, K.DIED]),
        (WEB, but(EXITED, state="restarting"), [K.DIED]),
        (WEB, but(WEB, state="paused"), [K.PAUSED]),
        (but(WEB, state="paused"), WEB, [K.UNPAUSED]),
        (WEB, but(WEB, started_at=NOW - 5.0), [K.DIED, K.STARTED]),
        (WEB, but(WEB, started_at=NOW - 3999.0), []),  # an event's time and the inspection's
        (but(WEB, started_at=None), WEB, []),
        (but(WEB, health="starting"), but(WEB, health="healthy"), [K.HEALTH]),
        (but(WEB, health="healthy"), but(WEB, health="unhealthy"), [K.HEALTH]),
        (but(WEB, health="unhealthy"), but(WEB, health="starting"), []),
        (
            but(WEB, health="unhealthy"),
            but(WEB, started_at=NOW - 5.0, health="unhealthy"),
            [K.DIED, K.STARTED, K.HEALTH],
        ),
        (EXITED, WEB, [K.STARTED]),
        (but(WEB, state="created"), WEB, [K.STARTED]),
        (but(WEB, state="created", started_at=None, finished_at=None), EXITED, [K.STARTED, K.DIED]),
        (EXITED, but(EXITED, state="dead"), []),
        (EXITED, but(EXITED, started_at=NOW - 8.0, finished_at=NOW - 4.0), [K.STARTED, K.DIED]),
        (WEB, None, [K.DIED, K.REMOVED]),
        (EXITED, None, [K.REMOVED]),
        (None, WEB, [K.CREATED, K.STARTED]),
        (None, EXITED, [K.CREATED, K.STARTED, K.DIED]),
        (None, but(WEB, state="created", started_at=None, finished_at=None), [K.CREATED]),
    ],
)
def test_what_must_have_happened(before: Container | None, after: Container | None, told: list[EventKind]) -> None:
    assert kinds(before, after) == told


@pytest.mark.parametrize(
    ("reported", "last", "told"),
    [
        (but(WEB, state="created", started_at=None, finished_at=None), WEB, [K.STARTED, K.DIED, K.REMOVED]),
        (but(WEB, state="created", started_at=None, finished_at=None), EXITED, [K.STARTED, K.DIED, K.REMOVED]),
        (WEB, EXITED, [K.DIED, K.REMOVED]),
        (WEB, WEB, [K.DIED, K.REMOVED]),
        (WEB, None, [K.DIED, K.REMOVED]),
    ],
)
def test_what_an_inspection_showed_before_its_event_is_not_lost_with_the_container(
    reported: Container, last: Container | None, told: list[EventKind]
) -> None:
    found = diff(reported, None, last_known={WEB.ref.id: last}.get)
    assert [event.kind for event in found] == told
    codes = [event.attrs.get("exit_code") for event in found if event.kind is K.DIED]
    assert codes == ["2" if last is EXITED else None]


def test_a_new_container_has_events_only_after_the_cursor() -> None:
    assert kinds(None, EXITED, since_ns=NOW_NS - 4_100_000_000_000) == [K.STARTED, K.DIED]
    assert kinds(None, EXITED, since_ns=NOW_NS - 100_000_000_000) == [K.DIED]
    assert kinds(None, but(WEB, health="unhealthy"), since_ns=NOW_NS - 1) == []
    assert kinds(None, but(WEB, created_at=float(NOW)), since_ns=NOW_NS + 500_000_000) == [K.CREATED]  # whole seconds


def test_what_is_known_better_is_left_alone() -> None:
    assert kinds(WEB, EXITED, skip={WEB.ref.id}) == []
    assert kinds(WEB, None, skip={WEB.ref.id}) == []


@pytest.mark.parametrize(
    ("before", "after", "reported", "told"),
    [
        # Its start and its end were reported, its creation and a second start were lost.
        (
            but(WEB, state="exited", started_at=NOW - 400.0, finished_at=NOW - 300.0),
            but(WEB, started_at=NOW - 200.0),
            {EventKind.STARTED, EventKind.DIED},
            [EventKind.CREATED, EventKind.STARTED],
        ),
        # A second run was lost as a whole.
        (
            but(WEB, state="exited", started_at=NOW - 400.0, finished_at=NOW - 300.0),
            but(WEB, state="exited", started_at=NOW - 200.0, finished_at=NOW - 100.0),
            {EventKind.STARTED, EventKind.DIED},
            [EventKind.CREATED, EventKind.STARTED, EventKind.DIED],
        ),
        # A pause was reported, its end was lost.
        (but(WEB, state="paused"), WEB, {EventKind.STARTED, EventKind.PAUSED}, [EventKind.CREATED, EventKind.UNPAUSED]),
        # Only a rename was reported, which shows no state.
        (
            but(WEB, ref=but(WEB.ref, name="old"), started_at=None, finished_at=None),
            but(WEB, state="created", started_at=None, finished_at=None),
            {EventKind.RENAMED},
            [EventKind.CREATED, EventKind.RENAMED],
        ),
        (
            but(WEB, state="running", oom_killed=True, finished_at=None),
            but(WEB, state="exited", oom_killed=True, finished_at=NOW - 100.0),
            {EventKind.STARTED, EventKind.OOM},
            [EventKind.CREATED, EventKind.DIED],
        ),
    ],
)
def test_a_container_that_events_have_shown_in_part(
    before: Container, after: Container, reported: set[EventKind], told: list[EventKind]
) -> None:
    found = diff(before, after, partly_known={WEB.ref.id: reported})
    assert sorted(event.kind for event in found) == sorted(told)


def test_events_carry_the_engines_times_and_codes() -> None:
    (died,) = diff(WEB, EXITED)
    assert (died.at_ns, died.origin, died.type, died.action) == (NOW_NS - 10 * 10**9, Origin.RESYNC, "container", "die")
    assert died.attrs == {"image": "busybox:1", "exit_code": "2"}
    assert diff(WEB, None)[0].attrs == {"image": "busybox:1"}
    (renamed,) = diff(WEB, but(WEB, ref=msgspec.structs.replace(WEB.ref, name="www")))
    assert (renamed.kind, renamed.subject.name, renamed.attrs["old_name"]) == (K.RENAMED, "www", "web")
    (health,) = diff(WEB, but(WEB, health="unhealthy"))
    assert health.attrs["health"] == "unhealthy"


ROWS = st.builds(
    lambda state, started, ended, health: but(
        WEB,
        state=state,
        started_at=NOW - started,
        finished_at=None if state == "created" else NOW - ended,
        health=health,
    ),
    st.sampled_from(("created", "running", "paused", "exited", "restarting")),
    st.floats(-100, 10_000),
    st.floats(-100, 10_000),
    st.sampled_from(("", "starting", "healthy", "unhealthy")),
)


@hypothesis.settings(max_examples=100, deadline=None)
@hypothesis.given(st.none() | ROWS, st.none() | ROWS)
def test_events_are_in_order_never_in_the_future_and_nothing_follows_from_nothing(
    before: Container | None, after: Container | None
) -> None:
    found = diff(before, after)
    times = [event.at_ns for event in found]
    assert times == sorted(times)
    assert all(at <= NOW_NS for at in times)
    assert diff(after, after) == []
    assert len({(event.kind, event.at_ns) for event in found}) == len(found)
