"""Processes each batch of events of one engine: counts it, applies it to the mirror and adds it to the stored events.

The mirror caches what exists on the engine. A batch is applied without an `await`, so no reader ever sees half a batch.
Batches are applied in the engine's order, and nothing is dropped. This code runs for every event. So the labelled
counters are cached, and looked up once for each kind of event in a batch.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence

from prometheus_client import Counter

from core import metrics
from core.model.events import Event
from core.model.refs import EngineRef
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
_at = operator.attrgetter("at_ns")


class Pipeline:
    """Processes the events of one engine."""

    def __init__(self, mirror: Mirror, counts: metrics.Metrics) -> None:
        self._mirror = mirror
        self._counts = counts
        self._engine: EngineRef | None = None
        self._children: dict[tuple[str, str], Counter] = {}

    def process(self, events: Sequence[Event]) -> int:
        """Processes a batch of at least one event; returns the time of the newest one."""
        self._count(events)
        self._mirror.apply_events(events)
        self._mirror.add_to_history(events)
        newest: int = max(map(_at, events))
        return newest

    def _count(self, events: Sequence[Event]) -> None:
        if self._mirror.ref is not self._engine:  # an engine reports its host name at first contact
            self._engine = self._mirror.ref
            self._children = {}
        numbers: dict[tuple[str, str], int] = {}
        for event in events:
            key = (event.type, event.action)
            numbers[key] = numbers.get(key, 0) + 1
        for key, number in numbers.items():
            child = self._children.get(key)
            if child is None:
                child = self._child(*key)
            child.inc(number)

    def _child(self, kind: str, action: str) -> Counter:
        name = action.partition(":")[0]
        key = (kind if kind in TYPES else "other", name if name in ACTIONS else "other")
        child = self._children.get(key)
        if child is None:
            child = self._counts.events_total.labels(*metrics.engine_labels(self._mirror.ref), *key)
            self._children[key] = child
        return child
