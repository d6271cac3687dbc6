"""Stores the newest run of each container, because containerd itself does not store it.

containerd does not report when a task started. After a task is deleted, containerd does not report how the task ended.
So this module stores what events and lists reported, for a limited number of containers.
"""

from __future__ import annotations

from typing import TypeVar

from core.lazy_dataclass import dataclass
from core.oldest_entries import limit_entries
from runtimes.containerd.client import Process

T = TypeVar("T")
MAX_CONTAINERS = 20_000


class NewestRuns:
    """Stores the newest run of each container by the container's full id."""

    def __init__(self) -> None:
        self.runs: dict[str, Run] = {}

    def get(self, full_id: str) -> Run | None:
        return self.runs.get(full_id)

    def store(self, full_id: str, run: Run) -> None:
        store_newest(self.runs, full_id, run)

    def forget(self, full_id: str) -> None:
        self.runs.pop(full_id, None)

    def current(self, full_id: str, task: Process | None, created_at: float) -> Run:
        """Returns the stored run if it belongs to this task, else a new run. The stored run may belong to an earlier
        task, or to an earlier container with the same id."""
        run = self.runs.get(full_id)
        if run is not None:
            seen_at = run.ended[1] if run.ended else run.started_at
            other_task = bool(task is not None and task.pid and run.pid and task.pid != run.pid)
            other_container = run.created_at is not None and abs(run.created_at - created_at) > 1
            if not other_task and not other_container and (seen_at is None or seen_at >= created_at - 1):
                run.created_at = created_at
                return run
        run = Run(pid=task.pid if task is not None else 0, created_at=created_at)
        if task is not None:
            self.store(full_id, run)
        return run


@dataclass(slots=True)
class Run:
    """Describes one run of a container. Times are unix seconds. `created_at`: when the container was created. `ended`:
    exit code and time. `was_started`: the task was seen running or ended. `complete`: the start was observed too, so an
    OOM kill would have been noticed."""

    pid: int = 0
    created_at: float | None = None
    was_started: bool = False
    started_at: float | None = None
    ended: tuple[int, float] | None = None
    oom: bool = False
    complete: bool = False


def store_newest(table: dict[str, T], key: str, value: T) -> None:
    """Stores a value as the newest of a table. If the table has more than `MAX_CONTAINERS` values, the oldest is
    removed."""
    table.pop(key, None)
    table[key] = value
    limit_entries(table, MAX_CONTAINERS)
