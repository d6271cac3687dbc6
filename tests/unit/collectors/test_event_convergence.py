"""Whoever follows the events that are passed on arrives at the engine's own list, whatever was lost and replayed.

Events arrive in the engine's order, or are lost, or are sent again; lists are made at any time. What a list alone shows
is passed on as events too. So the events alone must lead to the engine's containers, and say each thing once.
"""

from __future__ import annotations

from collections import Counter

import hypothesis
from hypothesis import strategies as st

from collectors import container_list_diff
from core.model.containers import Container
from core.model.events import Event, EventKind, Origin
from runtimes.inventory import state_updates
from runtimes.inventory.mirror import Mirror
from tests.fake_engine.engine import FakeRuntime
from tests.unit.runtimes.inventory.test_mirror_convergence import happen

TURNS = ("happen", "happen", "happen", "add", "arrive", "lose", "list", "restart")


class Follower:
    """Passes on what a watch would. `now`: the engine's clock, which moves three seconds at each turn: a shorter run
    than that may be missed between two lists."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0
        self.engine = FakeRuntime(now=lambda: self.now)
        self.mirror = Mirror(self.engine, now=lambda: self.now)
        self.mirror.replace((), 0)
        self.passed: list[Event] = []
        self.newest = 0
        self.waiting = 0  # how many of the engine's events were received or lost

    def arrive(self, *, lost: bool) -> None:
        """The next event of the engine, if there is one."""
        if self.waiting < len(self.told):
            event = self.told[self.waiting]
            self.waiting += 1
            if not lost:
                self.mirror.apply_events([event])
                self.newest = max(self.newest, event.at_ns)
                self.passed.append(event)

    def list(self) -> None:
        """As the relister does it, with every detail, when all events that were not lost have arrived."""
        while self.waiting < len(self.told):
            self.arrive(lost=False)
        rows = dict(self.engine.containers)
        missed = container_list_diff.compute_missed_events(
            self.mirror.reported(),
            rows,
            since_ns=0,
            at_ns=int(self.now * 1e9),
            skip=self.mirror.changed_after(self.newest),
            partly_known=self.mirror.partly_known,
        )
        assert all(event.origin is Origin.RESYNC for event in missed)
        self.passed += missed
        self.mirror.replace(rows.values(), self.newest)

    def restart(self) -> None:
        """Another process continues with what this one has saved."""
        known = self.mirror.reported()
        partly = self.mirror.partly_known
        if not partly:  # it would save these as if they had been there all the time
            self.mirror = Mirror(self.engine, now=lambda: self.now)
            self.mirror.remember(known.values())

    @property
    def told(self) -> list[Event]:
        return list(self.engine.ring)

    @property
    def followed(self) -> dict[str, Container]:
        """What somebody who knows nothing but the events takes for the engine's containers. An event that arrives late
        has its own time."""
        found: dict[str, Container] = {}
        for event in sorted(self.passed, key=lambda event: event.at_ns):
            if event.kind is EventKind.REMOVED:
                found.pop(event.subject.id, None)
            else:
                known = found.get(event.subject.id) or state_updates.from_first_event(event)
                found[event.subject.id] = state_updates.apply_event(known, event)
        return found


@hypothesis.settings(max_examples=250, deadline=None)
@hypothesis.given(st.data())
def test_the_events_that_are_passed_on_lead_to_the_engines_own_list(data: st.DataObject) -> None:
    scene = Follower()
    scene.engine.ring = type(scene.engine.ring)(maxlen=None)
    for number, turn in enumerate(data.draw(st.lists(st.sampled_from(TURNS), min_size=10, max_size=60))):
        scene.now += 3.0
        if turn == "add":
            scene.engine.add(f"c{number}", start=data.draw(st.booleans()))
        elif turn == "happen" and scene.engine.containers:
            happen(scene.engine, data)
        elif turn in ("arrive", "lose"):
            scene.arrive(lost=turn == "lose")
        elif turn == "list":
            scene.list()
        elif turn == "restart":
            scene.restart()
    scene.now += 3.0
    scene.list()
    expected = {key: (row.ref.name, row.state) for key, row in scene.engine.containers.items()}
    assert {key: (row.ref.name, row.state) for key, row in scene.followed.items()} == expected
    assert {key: row.state for key, row in scene.mirror.containers.items()} == {
        key: row.state for key, row in scene.engine.containers.items()
    }
    # A container is created and removed once, and another list finds nothing more.
    once = Counter((event.kind, event.subject.id) for event in scene.passed)
    assert all(count == 1 for (kind, _), count in once.items() if kind in (EventKind.CREATED, EventKind.REMOVED)), once
    before = len(scene.passed)
    scene.list()
    assert len(scene.passed) == before
