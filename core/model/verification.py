"""Defines the verification of a change: the state of the containers that it started, in the seconds after it.

`VerifyRuns` is a part of a change that was accepted, like `ReadJob`. The dispatcher runs it after the change, on the
targets of that change and their parts. Nobody needs a separate permission for it.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any

import msgspec

from core.lazy_dataclass import dataclass
from core.model.actions import Action
from core.model.refs import Kind, Ref

SETTLE_SECONDS = 10.0  # a container without a health check has to run this long
MAX_SECONDS = 120.0  # the longest that the health check of a container is waited for
PROBE_SECONDS = 5.0  # what a health check may take beyond its start period and its interval
VERDICT = "verdict"  # the stream of the lines of the job


class RunState(enum.StrEnum):
    """What became of a container. WATCHED: this is not known yet; UNWATCHED: the watching ended before it was known.
    UNCHECKED: it runs, and its health check has not succeeded in time. ENDED: it ended by itself. STOPPED: a client of
    its engine stopped it."""

    WATCHED = "watched"
    UNWATCHED = "unwatched"
    RUNNING = "running"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    UNCHECKED = "unchecked"
    ENDED = "ended"
    STOPPED = "stopped"
    PAUSED = "paused"
    REMOVED = "removed"
    UNKNOWN = "unknown"


class RunVerdict(msgspec.Struct, frozen=True):
    """What became of one container, `seconds` after the change. `ends`: how often it ended by itself within the last
    hour, this time included, as far as known. `restarting`: its engine starts it again. `why`: why nothing more is
    known, as the end of a sentence. `log`: the last line of its log."""

    ref: Ref
    state: RunState
    seconds: float = 0.0
    exit_code: int | None = None
    out_of_memory: bool = False
    ends: int = 0
    restarting: bool = False
    why: str = ""
    log: str = ""

    @property
    def failed(self) -> bool:
        """Whether the change did not lead to what it was made for."""
        if self.state is RunState.ENDED:
            return self.restarting or self.exit_code != 0
        return self.state is RunState.UNHEALTHY


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyRuns(Action[Any]):
    """Watches, as a job that changes nothing, what becomes of containers that were just started. Each line of the job
    is the verdict on one of them. `started`: a new run of each of them began with the change; False if they were only
    unpaused. For a Swarm, the one run is a service, whose tasks are watched."""

    verb = "job.verify"
    runs: tuple[Ref, ...]
    started: bool = True

    def targets(self) -> Sequence[Ref]:
        return self.runs

    @property
    def of_containers(self) -> bool:
        return all(ref.kind is Kind.CONTAINER for ref in self.runs)


def seconds_to_watch(health_seconds: float | None) -> float:
    """Returns how long a container is watched. `health_seconds`: see core.model.containers.Container."""
    if health_seconds is None:
        return SETTLE_SECONDS
    return min(max(health_seconds + PROBE_SECONDS, SETTLE_SECONDS), MAX_SECONDS)
