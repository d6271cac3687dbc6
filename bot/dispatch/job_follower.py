"""What outlives its call, read page by page until it ends, and told to the talk on the way.

A change that goes on is waited for as long as the invocation may take; where its end cannot be seen it is UNKNOWN. A
followed log ends with its container, by its Stop, after a while by itself, or when nobody can be told any more; it is
then ended on its engine too. Looks rest between each other, so that a talkative log costs a bounded number of them;
what comes faster is counted as skipped. Whoever reads a job says so in the store, and a wish to end it may come from
there: a click reaches any process.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from core import errors
from core.model.actions import Action, Risk
from core.model.jobs import FollowResult, JobPage, JobStarted, ReadJob, StopAnyJob, StopJob
from core.model.refs import EngineRef
from core.model.replies import Status
from core.model.results import Outcome
from core.ports import Call, Progress, Responder
from core.store.client import Store
from core.text import redact
from runtimes.inventory.fleet import Fleet

FOLLOWED = 600.0  # seconds a log is followed at most
WAIT = 1.0  # seconds one look waits for something new
REST = 0.05  # seconds between two looks
TENDED = 1.0  # seconds between two looks into the store
LEASE = 10.0  # seconds a job counts as looked after once its reader was heard
ENDING = 3.0  # seconds the end of what only watched may take
STOPPING = 5.0  # seconds a change may still take when Quarterdeck stops; then its end is not waited for
STOPS = (StopJob, StopAnyJob)


async def follow(
    fleet: Fleet,
    store: Store,
    action: Action[Any],
    started: JobStarted,
    *,
    call: Call,
    talk: Responder | None,
    everyone: bool,
    stopping: asyncio.Event,
    several: bool = False,
) -> Any:
    """An Outcome, or Followed for what only watched. Raises EngineError where that failed before it showed a line."""
    reading = _Reading(
        fleet=fleet,
        store=store,
        action=action,
        job=started.job,
        call=call,
        talk=talk,
        everyone=everyone,
        several=several,
        stopping=stopping,
        began=_now(),
    )
    try:
        return await reading.run()
    except errors.QuarterdeckError as error:
        if not reading.watching:
            return Outcome(status=Status.UNKNOWN, detail=f"It began, and then: {error.full_message()}")
        if not reading.lines:
            raise
        return reading.followed(error.full_message(), failed=True)
    finally:
        await reading.leave()


@dataclass(slots=True, kw_only=True)
class _Reading:
    """One job and how far it was read. `ended`: there is nothing left to end."""

    fleet: Fleet
    store: Store
    action: Action[Any]
    job: str
    call: Call
    talk: Responder | None
    everyone: bool
    several: bool
    stopping: asyncio.Event
    began: float
    veil: redact.StreamRedactor = field(default_factory=redact.StreamRedactor)
    cursor: str = ""
    lines: int = 0
    skipped: int = 0
    progress: str = ""
    told: bool = False
    tended: float = float("-inf")
    stopped_at: float | None = None
    ended: bool = False

    @property
    def watching(self) -> bool:
        return self.action.risk is Risk.READ

    async def run(self) -> Any:
        while True:
            look = ReadJob(engine=self.action.engine, job=self.job, cursor=self.cursor, wait=WAIT)
            page: JobPage = await self.fleet.run(look, _soon(self.call, look.timeout_seconds()))
            listening = self._take(page)
            if page.outcome is not None:
                return self._end(page.outcome)
            if self.watching and not listening:
                return self.followed("nobody could be told any more")
            if (end := self._given_up()) is not None:
                return end
            if _now() - self.tended > TENDED and await self._wished():
                await self._stop()
            await asyncio.sleep(REST)

    def followed(self, why: str, *, failed: bool = False) -> FollowResult:
        seconds = _now() - self.began
        return FollowResult(lines=self.lines, skipped=self.skipped, seconds=seconds, why=why, failed=failed)

    async def leave(self) -> None:
        """What only watched does not go on unread, and nobody need ask us to end it any more."""
        with contextlib.suppress(errors.QuarterdeckError):
            if self.watching and not self.ended:
                await self._stop()
        with contextlib.suppress(errors.StoreError):
            await self.store.forget_job(_key(self.action.engine, self.job))

    def _take(self, page: JobPage) -> bool:
        """False where nobody can be told any more."""
        self.cursor, self.ended = page.cursor, page.outcome is not None
        self.lines, self.skipped = self.lines + len(page.lines) + page.skipped, self.skipped + page.skipped
        news = page.lines or page.skipped or page.progress != self.progress
        self.progress = page.progress
        first = self.watching and not self.told and not self.ended  # so that it can be stopped
        if self.talk is None or not (news or first):
            return True
        self.told = True
        return self.talk.progress(
            Progress(
                name=self.action.targets()[0].name,
                several=self.several,
                read_only=self.watching,
                lines=self.veil.redact([line.text for line in page.lines]),
                skipped=page.skipped,
                progress=redact.redact(page.progress),
                stop=f"job stop {self.job}@{self.action.engine}",
                everyone=self.everyone,
            )
        )

    def _end(self, outcome: Outcome) -> Any:
        if not self.watching:
            return outcome
        failed = outcome.status != Status.DONE
        if failed and not self.lines:
            raise errors.EngineError(outcome.detail)
        return self.followed(outcome.detail, failed=failed)

    def _given_up(self) -> Any:
        """What is said where the end is not waited for any longer."""
        if self.stopping.is_set():
            self.stopped_at = self.stopped_at or _now()
            if self.watching:
                return self.followed("Quarterdeck is stopping")
            if _now() - self.stopped_at > STOPPING:
                return Outcome(status=Status.UNKNOWN, detail="Quarterdeck is stopping and did not see it end.")
        if self.watching and _now() - self.began > FOLLOWED:
            return self.followed(f"a log is followed for {FOLLOWED / 60:.0f} minutes at most")
        if not self.watching and datetime.now(UTC) > self.call.deadline:
            return Outcome(status=Status.UNKNOWN, detail="It has not ended in time and may go on.")
        return None

    async def _wished(self) -> bool:
        """Whether somebody asked through the store to end this. A store that is away changes nothing."""
        self.tended = _now()
        try:
            return await self.store.renew_job(_key(self.action.engine, self.job), self.call.who, LEASE)
        except errors.StoreError:
            return False

    async def _stop(self) -> None:
        end = StopJob(engine=self.action.engine, job=self.job, who=self.call.who)
        await self.fleet.run(end, _soon(self.call, ENDING))


async def stop(fleet: Fleet, store: Store, action: StopJob | StopAnyJob, call: Call) -> Outcome:
    """Ends a job where it runs, or asks the process that looks after it to. Raises NotFound where none does."""
    try:
        return await fleet.run(action, call)
    except errors.NotFound:
        owner = await store.job_owner(_key(action.engine, action.job))
        if owner is None:
            raise
    if isinstance(action, StopJob) and owner != action.who:
        raise errors.NotPermitted("Somebody else began that.", rule="own-job", hint="They or an admin can stop it.")
    await store.request_stop(_key(action.engine, action.job), LEASE)
    return Outcome(status=Status.DONE, detail="asked the process that looks after it")


def _soon(call: Call, seconds: float) -> Call:
    """The same call with a deadline of its own: following may take as long as the invocation itself."""
    return replace(call, deadline=datetime.now(UTC) + timedelta(seconds=seconds))


def _key(engine: EngineRef, job: str) -> str:
    return f"{engine}/{job}"


def _now() -> float:
    return asyncio.get_running_loop().time()
