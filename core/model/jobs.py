"""Work that outlives one call: a job on the engine's host, read in bounded pages with a cursor.

The action that begins it returns `Started`; `ReadJob` waits a little for what is new; `StopJob` ends it. A job is lost
with the process that holds it: of a change it is then not known how it ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from core.model.actions import Action, Risk
from core.model.refs import EngineRef, Kind, Ref
from core.model.results import LogLine, Outcome


class FollowResult(msgspec.Struct, frozen=True):
    """How a followed log came to its end: `lines` came, `skipped` of them were not shown; `why` it ended, and whether
    that was a failure."""

    lines: int
    skipped: int
    seconds: float
    why: str
    failed: bool = False


class JobStarted(msgspec.Struct, frozen=True):
    """`job`: its id, unique on its engine."""

    job: str


class JobPage(msgspec.Struct, frozen=True):
    """What is new after a cursor. `skipped`: lines that came after it and were let go because nobody read them in time.
    `progress`: the newest sentence about how far it is. `outcome`: set once it has ended and these are its last
    lines."""

    cursor: str
    lines: tuple[LogLine, ...] = ()
    skipped: int = 0
    progress: str = ""
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadJob(Action[JobPage]):
    """Waits up to `wait` seconds for something after `cursor`. The road reads only jobs it was allowed to begin."""

    verb = "job.read"
    job: str
    cursor: str = ""
    wait: float = 5.0

    def timeout_seconds(self) -> float:
        return self.wait + 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StopJob(Action[Outcome]):
    """Ends a job that `who` began, nobody else's."""

    verb = "job.stop"
    risk = Risk.CHANGE
    job: str
    who: str

    def targets(self) -> Sequence[Ref]:
        return (_itself(self.engine, self.job),)


@dataclass(frozen=True, slots=True, kw_only=True)
class StopAnyJob(Action[Outcome]):
    """Ends a job, whoever began it."""

    verb = "job.stop-any"
    risk = Risk.CHANGE
    job: str

    def targets(self) -> Sequence[Ref]:
        return (_itself(self.engine, self.job),)


def _itself(engine: EngineRef, job: str) -> Ref:
    """The job, not its engine: two people may end two jobs at once."""
    return Ref(engine=engine, kind=Kind.ENGINE, id=job, name=job)
