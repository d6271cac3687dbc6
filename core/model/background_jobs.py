"""Defines jobs: work that continues after the call that started it has returned, such as following a log or pulling an
image.

The action that starts a job returns `JobStarted`; `ReadJob` waits a short time for new output; `StopJob` ends the job.
A job ends with the process that runs it. If the job was a change, its outcome is then unknown.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from core.lazy_dataclass import dataclass
from core.model.actions import Action, Risk
from core.model.refs import EngineRef, Kind, Ref
from core.model.results import LogLine, Outcome


class FollowResult(msgspec.Struct, frozen=True):
    """The end of a followed log: it had `lines` lines, `skipped` of them were not shown; `why` it ended, and whether
    that was a failure."""

    lines: int
    skipped: int
    seconds: float
    why: str
    failed: bool = False


class JobStarted(msgspec.Struct, frozen=True):
    """`job`: the id of the job, unique on its engine."""

    job: str


class JobPage(msgspec.Struct, frozen=True):
    """The output after a cursor. `skipped`: number of lines that were dropped because nobody read them in time.
    `progress`: the newest sentence about the progress. `outcome`: set when the job has ended and these are its last
    lines."""

    cursor: str
    lines: tuple[LogLine, ...] = ()
    skipped: int = 0
    progress: str = ""
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadJob(Action[JobPage]):
    """Waits up to `wait` seconds for output after `cursor`. The dispatcher only reads jobs that it was allowed to
    start."""

    verb = "job.read"
    job: str
    cursor: str = ""
    wait: float = 5.0

    def timeout_seconds(self) -> float:
        return self.wait + 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StopJob(Action[Outcome]):
    """Ends a job that `who` started; no other job."""

    verb = "job.stop"
    risk = Risk.CHANGE
    job: str
    who: str

    def targets(self) -> Sequence[Ref]:
        return (_job_ref(self.engine, self.job),)


@dataclass(frozen=True, slots=True, kw_only=True)
class StopAnyJob(Action[Outcome]):
    """Ends a job of any person."""

    verb = "job.stop-any"
    risk = Risk.CHANGE
    job: str

    def targets(self) -> Sequence[Ref]:
        return (_job_ref(self.engine, self.job),)


def _job_ref(engine: EngineRef, job: str) -> Ref:
    """Returns a Ref of the job, not of its engine, so that two people can end two jobs at the same time."""
    return Ref(engine=engine, kind=Kind.ENGINE, id=job, name=job)
