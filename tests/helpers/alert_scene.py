"""A scene for the alert rules: containers, events and a clock, without an engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from collectors.alert_evaluator import SECOND, Evaluator
from collectors.rule import Rule
from core.model.alerts import Alert
from core.model.containers import Container
from core.model.end_causes import Cause, CauseKind
from core.model.events import Event, EventKind, Origin
from core.model.refs import EngineRef, Kind, Ref

ENGINE = EngineRef(host="h1", kind="docker")
SWARM = EngineRef(host="c1", kind="swarm")
START = 1_700_000_000 * SECOND


class AlertScene:
    """`said`: the alerts reported so far, as `state rule: text`. Time passes only by `wait`."""

    def __init__(self, rules: Sequence[Rule], *, own_ids: Sequence[str] = ()) -> None:
        self.now = START
        self.containers: dict[str, Container] = {}
        self.engine_is_watched = True
        self.alerts: list[Alert] = []
        self.evaluator = Evaluator(
            rules, self.alerts.append, is_own=lambda each: each in own_ids, now_ns=lambda: self.now
        )

    @property
    def said(self) -> list[str]:
        return [f"{alert.state} {alert.rule}: {alert.text}" for alert in self.alerts]

    def add(self, name: str, *, labels: Mapping[str, str] | None = None, number: int = 1, **more: object) -> Ref:
        ref = Ref(engine=ENGINE, kind=Kind.CONTAINER, id=f"{name}{number}".encode().hex().ljust(64, "0"), name=name)
        row = Container(
            ref=ref,
            image="web:1",
            image_id="sha256:1",
            command="web",
            state="running",
            status="Up",
            created_at=self.now / SECOND,
            labels=dict(labels or {}),
        )
        self.containers[ref.id] = msgspec.structs.replace(row, **more)
        return ref

    def wait(self, seconds: float) -> None:
        """Lets the time pass, with a tick every second."""
        until = self.now + int(seconds * SECOND)
        while self.now < until:
            self.now = min(until, self.now + SECOND)
            self.evaluator.tick(lambda engine: self.containers if self.engine_is_watched else None)

    def happen(
        self, kind: EventKind, ref: Ref, *, origin: Origin = Origin.LIVE, age: float = 0, action: str = "", **attrs: str
    ) -> None:
        self.evaluator.observe([self.event(kind, ref, origin=origin, age=age, action=action, **attrs)], self.containers)

    def event(
        self, kind: EventKind, ref: Ref, *, origin: Origin = Origin.LIVE, age: float = 0, action: str = "", **attrs: str
    ) -> Event:
        self.now += 1000  # no two events of an engine have the same time
        return Event(self.now - int(age * SECOND), kind, ref, origin, ref.kind.value, action or str(kind), dict(attrs))

    def start(self, ref: Ref) -> None:
        self._state(ref, "running")
        self.happen(EventKind.STARTED, ref)

    def end(
        self,
        ref: Ref,
        cause: CauseKind = CauseKind.CRASHED,
        text: str = "crashed: it failed (exit code 2)",
        *,
        origin: Origin = Origin.LIVE,
        age: float = 0,
    ) -> None:
        self._state(ref, "exited")
        self.end_again(self.event(EventKind.DIED, ref, origin=origin, age=age), cause, text)

    def end_again(self, died: Event, cause: CauseKind = CauseKind.CRASHED, text: str = "crashed") -> None:
        self.last_end = died
        self.evaluator.observe_end(died, Cause(kind=cause, text=text), self.containers.get(died.subject.id))

    def remove(self, ref: Ref) -> None:
        del self.containers[ref.id]
        self.happen(EventKind.REMOVED, ref)

    def _state(self, ref: Ref, state: str) -> None:
        self.containers[ref.id] = msgspec.structs.replace(self.containers[ref.id], state=state)
