"""Finds the tasks that a change of a service stopped and that did not end within their grace.

A task's exit code shows how it ended. When a service is scaled down, the Swarm removes its tasks about a quarter of a
second after their end, so they are read often around the end of their grace. If the end of a task was not read, the
task is not reported.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from core.model.refs import Ref
from runtimes.base import stop_grace
from runtimes.swarm import decode
from runtimes.swarm.json_models import Task

OFTEN_SECONDS = 0.1  # between two readings around the end of the grace
EARLY_SECONDS = 1.0  # how long before that end they begin
LATE_SECONDS = 5.0  # how long after that end they continue
_STOPPED = "shutdown"  # the state of a task that ended because the Swarm stopped it
_STOPPING = ("shutdown", "remove")


class KilledTasks:
    """Collects them from each reading of the tasks of one service. `before`: the tasks before the change; `grace`: the
    time that they have to stop, in seconds, 0 for the default of the engine."""

    def __init__(self, service: Ref, before: Sequence[Task], grace: float) -> None:
        self._service = service
        self._running = {task.id for task in before if task.status.state == "running"}
        self._grace = grace or float(stop_grace.DEFAULT_SECONDS)
        self._stopping_since: dict[str, float] = {}
        self._killed: dict[str, str] = {}

    def read(self, tasks: Sequence[Task]) -> None:
        """Records one reading."""
        alive: dict[str, float] = {}
        for task in tasks:
            if task.id not in self._running or task.desired not in _STOPPING:
                continue
            if task.status.state == "running":
                alive[task.id] = self._stopping_since.get(task.id, time.monotonic())
            elif task.status.state == _STOPPED and task.exit_code == stop_grace.SIGKILL_CODE:
                self._killed[task.id] = decode.task_name(self._service.name, task, task.node[:12])
        self._stopping_since = alive

    def pause(self, usual: float) -> float:
        """Returns how many seconds to wait before the next reading. `usual`: when no task is about to be killed."""
        now = time.monotonic()
        ages = (now - since - self._grace for since in self._stopping_since.values())
        near = any(-EARLY_SECONDS <= age <= LATE_SECONDS for age in ages)
        return min(usual, OFTEN_SECONDS) if near else usual

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self._killed.values()))

    @property
    def note(self) -> str:
        """Returns the end of a sentence about them; empty without one."""
        text = stop_grace.were_killed(self.names)
        return f"; {text}" if text else ""
