"""Processes each batch of events of one engine: counts it, applies it to the mirror and adds it to the stored events.

The mirror caches what exists on the engine. A batch is applied without an `await`, so no reader ever sees half a batch.
Batches are applied in the engine's order, and nothing is dropped. This code runs for every event. So the labelled
counters are cached, and looked up once for each kind of event in a batch.
"""

from __future__ import annotations

import asyncio
import collections
import operator
from collections.abc import Callable, Sequence
from typing import Any

from prometheus_client import Counter

from collectors.alert_evaluator import Evaluator
from collectors.container_end_tracker import EndTracker
from collectors.event_recorder import EventRecorder
from core import metrics
from core.model import gaps
from core.model.containers import Container
from core.model.end_causes import Cause, CauseKind
from core.model.events import Event
from core.model.refs import EngineRef
from runtimes.inventory import event_history
from runtimes.inventory.mirror import Mirror

# fmt: off
TYPES = frozenset({
    "builder", "config", "container", "content", "daemon", "image", "machine", "namespace", "network", "node", "plugin",
    "pod", "sandbox", "secret", "service", "snapshot", "system", "task", "unit", "volume",
})
# The event actions of each engine, as its adapter reports them. Any other action is counted as `other`, so that no
# engine can add series.
DOCKER_AND_PODMAN = frozenset({
    "archive-path", "attach", "auto-update", "build", "checkpoint", "cleanup", "commit", "connect", "copy", "create",
    "delete", "destroy", "detach", "die", "died", "disable", "disconnect", "enable", "evict", "exec", "exec_create",
    "exec_detach", "exec_die", "exec_died", "exec_start", "export", "extract-to-dir", "health_status", "import",
    "init", "install", "kill", "load", "loadfromarchive", "mount", "oom", "pause", "prune", "pull", "pull-error",
    "push", "refresh", "reload", "remove", "rename", "renumber", "resize", "restart", "restore", "rotate", "save",
    "start", "stop", "sync", "tag", "top", "unmount", "unpause", "untag", "update",
})
# From topics: `/tasks/exit` is `task_exit`, and `exec_exit` for a program executed in a task.
CONTAINERD = frozenset({
    "exec_added", "exec_delete", "exec_exit", "exec_started", "prepare", "task_checkpointed", "task_create",
    "task_delete", "task_exit", "task_oom", "task_paused", "task_resumed", "task_start",
})
CRI = frozenset({"created", "deleted", "renamed", "started", "stopped"})
# A Swarm sends no events of tasks: these are the new states of its tasks, rollouts, replicas and nodes.
SWARM = frozenset({
    "accepted", "assigned", "complete", "failed", "new", "orphaned", "pending", "preparing", "ready", "rejected",
    "running", "shutdown", "starting",
    "completed", "paused", "rollback_completed", "rollback_paused", "rollback_started", "updating",
    "full", "short",
    "active", "disconnected", "down", "drain", "unknown",
})
ACTIONS = DOCKER_AND_PODMAN | CONTAINERD | CRI | SWARM
# fmt: on
GAP = (gaps.TYPE, gaps.ACTION)  # no event of the engine; it has metrics of its own
SETTLE_SECONDS = 0.5  # between two looks at the ends whose cause is not reported yet
_type_and_action = operator.attrgetter("type", "action")


class EventProcessor:
    """Processes the events of one engine. `alerts`: evaluates the alert rules, if any. `recorder`: stores the events.
    `call_later`: as that of the event loop, which it replaces in tests."""

    def __init__(
        self,
        mirror: Mirror,
        counts: metrics.Metrics,
        *,
        alerts: Evaluator | None = None,
        call_later: Callable[[float, Callable[[], None]], Any] | None = None,
        recorder: EventRecorder | None = None,
    ) -> None:
        self._mirror = mirror
        self._counts = counts
        self._alerts = alerts
        self._engine: EngineRef | None = None
        self._children: dict[tuple[str, str], Counter] = {}
        self._end_children: dict[CauseKind, Counter] = {}
        parts = (self._report_cause, mirror.own_changes, mirror.ends)
        self._ends = EndTracker(
            lambda: mirror.containers,
            *parts,
            last_known=mirror.last_known_row,
            report_early=self._report_certain_cause,
        )
        mirror.history.awaits_cause = self._ends.awaits_cause
        self.stream_lost, self.stream_opened = self._ends.stream_lost, self._ends.stream_opened
        self._recorder = recorder
        self._call_later = call_later
        self._timer_set = self._closed = False

    def process(self, events: Sequence[Event]) -> int:
        """Processes a batch of at least one event; returns the time of the newest one."""
        self._count(events)
        self._mirror.apply_events(events)
        self._mirror.add_to_history(events)
        self._ends.observe(events)
        if self._alerts is not None:
            self._alerts.observe(events, self._mirror.containers)
        if self._recorder is not None:
            self._recorder.add(events)
        if self._ends.pending and not self._timer_set:
            self._settle_later()
        return max([event.at_ns for event in events])

    def report_gap(self, gap: gaps.Gap) -> None:
        """Passes a gap on as an event, once for each gap."""
        self.process([gap.to_event()])

    def report_own_event(self, event: Event) -> None:
        """Passes on an event that Quarterdeck reports itself. It is not counted as one of the engine."""
        self._mirror.add_to_history([event])
        if self._alerts is not None:
            self._alerts.observe([event], self._mirror.containers)
        if self._recorder is not None:
            self._recorder.add([event])

    def close(self) -> None:
        """Ends the processing for an engine that is not watched any more: no cause is counted after this."""
        self._closed = True

    def _settle_later(self, seconds: float = SETTLE_SECONDS) -> None:
        call_later = self._call_later or asyncio.get_running_loop().call_later
        call_later(seconds, self._settle)
        self._timer_set = True

    def _settle(self) -> None:
        self._timer_set = False
        if self._closed:
            return
        more_due = False
        try:
            more_due = self._ends.settle()
        finally:
            if self._ends.pending:
                self._settle_later(0.0 if more_due else SETTLE_SECONDS)

    def _report_certain_cause(self, died: Event, cause: Cause, container: Container | None) -> None:
        """Reports at once the cause of an end that nothing later can change. It is counted with the others."""
        self._mirror.history.set_cause(died, cause)
        if self._alerts is not None:
            self._alerts.observe_end(died, cause, container)

    def _report_cause(self, died: Event, cause: Cause, container: Container | None) -> None:
        self._follow_name()
        child = self._end_children.get(cause.kind)
        if child is None:
            labels = (*metrics.engine_labels(self._mirror.ref), str(cause.kind))
            child = self._end_children[cause.kind] = self._counts.container_ends_total.labels(*labels)
        child.inc()
        self._mirror.add_cause(died, cause)
        if self._alerts is not None:
            self._alerts.observe_end(died, cause, container)
        if self._recorder is not None:
            self._recorder.add([event_history.explained(died, cause)])

    def _count(self, events: Sequence[Event]) -> None:
        self._follow_name()
        numbers = collections.Counter(map(_type_and_action, events))
        for event in [event for event in events if event.folded]:
            numbers[event.type, event.action] += event.folded - 1
        del numbers[GAP]
        for key, number in numbers.items():
            child = self._children.get(key)
            if child is None:
                child = self._child(*key)
            child.inc(number)

    def _follow_name(self) -> None:
        """Drops the cached counters if the engine has another name now: it reports its host at first contact."""
        if self._mirror.ref is not self._engine:
            self._engine = self._mirror.ref
            self._children, self._end_children = {}, {}

    def _child(self, kind: str, action: str) -> Counter:
        name = action.partition(":")[0]
        key = (kind if kind in TYPES else "other", name if name in ACTIONS else "other")
        child = self._children.get(key)
        if child is None:
            child = self._counts.events_total.labels(*metrics.engine_labels(self._mirror.ref), *key)
            self._children[key] = child
        return child
