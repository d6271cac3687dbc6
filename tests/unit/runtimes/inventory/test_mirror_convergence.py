"""Any order of events, lists and inspections, late and repeated, ends in the engine's picture; one list mends a loss.

The engine's clock strictly grows. Lists and inspections are pictures of the moment they were asked for, stamped with
the newest event heard by then, and arrive any time later, in any order; lists know less than inspections.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import hypothesis
import msgspec
from hypothesis import strategies as st

from core.model import containers
from core.model.containers import Container
from core.model.events import Event, EventKind
from runtimes.inventory.mirror import Mirror
from tests.fake_engine.engine import FakeRuntime

ANY_TIME = (EventKind.RENAMED, EventKind.UPDATED)
WHILE_UP = (EventKind.DIED, EventKind.PAUSED, EventKind.OOM, EventKind.HEALTH, EventKind.KILLED)
WHILE_DOWN = (EventKind.STARTED, EventKind.REMOVED)
TURNS = ("happen", "happen", "add", "deliver", "repeat", "list", "list in full", "listed", "look", "looked")


@hypothesis.settings(max_examples=200, deadline=None)
@hypothesis.given(st.data())
def test_any_interleaving_of_events_lists_and_inspections_converges(data: st.DataObject) -> None:
    engine = FakeRuntime(now=lambda: 1_800_000_000.0)
    mirror = Mirror(engine, now=lambda: 1_800_000_000.0)
    mirror.stream_opened(0)
    stream: list[Event] = []  # what the engine told, in order
    delivered = heard = 0
    lists: list[tuple[list[Container], int]] = []  # asked and answered, not yet applied
    looks: list[tuple[dict[str, Container | None], int]] = []
    listed = False
    for turn in data.draw(st.lists(st.sampled_from(TURNS), min_size=15, max_size=80)):
        if turn == "add":
            engine.add(f"c{len(stream)}", labels={"a": "b"}, start=False)
        elif turn == "happen" and engine.containers:
            happen(engine, data)
        elif turn == "deliver" and delivered < len(stream):
            upto = data.draw(st.integers(delivered + 1, len(stream)))
            mirror.apply_events(stream[delivered:upto])
            delivered, heard = upto, stream[upto - 1].at_ns
        elif turn == "repeat" and delivered:
            first = data.draw(st.integers(0, delivered - 1))
            mirror.apply_events(stream[first : data.draw(st.integers(first + 1, delivered))])
        elif turn in ("list", "list in full"):
            rows = engine.containers.values()
            lists.append((list(rows) if turn == "list in full" else short(rows), heard))
        elif turn == "listed" and lists:
            mirror.replace(*lists.pop(data.draw(st.integers(0, len(lists) - 1))))
            listed = True
        elif turn == "look" and engine.containers:
            wanted = mirror.pop_dirty(3) or list(engine.containers)[:1]
            looks.append((look(engine, wanted), heard))
        elif turn == "looked" and looks:
            mirror.apply_inspections(*looks.pop(data.draw(st.integers(0, len(looks) - 1))))
        stream = list(engine.ring)
    mirror.apply_events(stream[delivered:])
    heard = stream[-1].at_ns if stream else 0
    for late in lists or ([] if listed else [(short(engine.containers.values()), heard)]):
        mirror.replace(*late)
    for found in looks:
        mirror.apply_inspections(*found)
    # Names and states are right at once; a last look brings what only inspections know.
    known = {**mirror.containers, **mirror._uninspected}
    assert {thing: (row.ref.name, row.state) for thing, row in known.items()} == {
        thing: (row.ref.name, row.state) for thing, row in engine.containers.items()
    }
    while wanted := mirror.pop_dirty(100):
        mirror.apply_inspections(look(engine, wanted), heard)
    assert mirror.live
    assert picture(mirror.containers.values()) == picture(engine.containers.values())


@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(st.data())
def test_lost_events_are_made_good_by_one_list(data: st.DataObject) -> None:
    engine = FakeRuntime(now=lambda: 1_800_000_000.0)
    mirror = Mirror(engine, now=lambda: 1_800_000_000.0)
    mirror.stream_opened(0)
    heard = 0
    for number in range(data.draw(st.integers(1, 30))):
        if not engine.containers or data.draw(st.booleans()):
            engine.add(f"c{number}", start=False)
        else:
            happen(engine, data)
        if data.draw(st.booleans()):
            mirror.apply_events([engine.ring[-1]])
            heard = engine.ring[-1].at_ns
    mirror.replace(engine.containers.values(), heard)
    assert mirror.live
    assert picture(mirror.containers.values()) == picture(engine.containers.values())


def happen(engine: FakeRuntime, data: st.DataObject) -> None:
    row = data.draw(st.sampled_from(list(engine.containers.values())))
    kind = data.draw(st.sampled_from(possible(row)))
    if kind is EventKind.RENAMED:
        new = msgspec.structs.replace(row.ref, name=f"{row.ref.name[:8]}-{len(engine.ring)}")
        engine.happen(kind, new, old_name=row.ref.name)
    elif kind is EventKind.DIED:
        engine.happen(kind, row.ref, exit_code=data.draw(st.sampled_from(("0", "1", "137"))))
    elif kind is EventKind.HEALTH:
        engine.happen(kind, row.ref, health=data.draw(st.sampled_from(("healthy", "unhealthy"))))
    else:
        engine.happen(kind, row.ref)


def possible(row: Container) -> tuple[EventKind, ...]:
    if row.state == "paused":
        return (EventKind.UNPAUSED, *ANY_TIME)
    return (*(WHILE_UP if row.state == "running" else WHILE_DOWN), *ANY_TIME)


def short(rows: Iterable[Container]) -> list[Container]:
    return [
        msgspec.structs.replace(row, started_at=None, finished_at=None, restarts=None, oom_killed=None) for row in rows
    ]


def look(engine: FakeRuntime, wanted: Iterable[str]) -> dict[str, Container | None]:
    return {thing: engine.containers.get(thing) for thing in wanted}


def picture(rows: Iterable[Container]) -> dict[str, Any]:
    return {
        row.ref.id: (
            row.ref.name,
            row.state,
            row.health if row.state in containers.LIVE_STATES else "",
            row.exit_code,
            row.oom_killed,
            row.labels,
            row.restarts,
            row.started_at,
            row.finished_at,
        )
        for row in rows
    }
