"""Follows a job on an engine until it ends: reads its output page by page, and reports progress.

A job, such as a pull or a followed log, continues after the call that started it has returned. A change is followed
until the time limit of its command. If it has not ended by then, its outcome is UNKNOWN. A followed log ends with its
container, by a stop request, after FOLLOW_SECONDS, when the requester loses the permission, or when its lines cannot be
shown any more. Its job is then also stopped on the engine. Followed events end for the same reasons. Each page of them
is filtered by what the requester may see at that moment.

After each read there is a pause, so that a busy log cannot cause too many reads. Lines that were not read are counted
as skipped. The process that follows a job records that in the store. It also reads stop requests from the store,
because a click on Stop may arrive at any process.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from core import errors
from core.lazy_dataclass import dataclass
from core.model.actions import Action, Risk
from core.model.background_jobs import FollowResult, JobPage, JobStarted, ReadJob, StopAnyJob, StopJob
from core.model.event_actions import ListEvents
from core.model.refs import EngineRef
from core.model.replies import Status
from core.model.results import DIVIDER, LogLine, Outcome
from core.ports import Call, Progress, Responder
from core.store.client import Store
from core.text import redact, run_separator_lines
from runtimes.inventory.fleet import Fleet

FOLLOW_SECONDS = 600.0  # a log is followed this long at most
READ_SECONDS = 1.0  # how long one read waits for something new
PAUSE_SECONDS = 0.05  # between two reads
RENEW_SECONDS = 1.0  # between two calls of the store
LEASE_SECONDS = 10.0  # how long the store remembers who follows a job, and a stop request
STOP_SECONDS = 3.0  # deadline for stopping a read-only job
GRACE_SECONDS = 5.0  # how long a change is still waited for when Quarterdeck stops
STOPS = (StopJob, StopAnyJob)


Texts = Callable[[Sequence[LogLine]], Awaitable[Sequence[str]]]


async def follow_job(
    fleet: Fleet,
    store: Store,
    action: Action[Any],
    started: JobStarted,
    *,
    call: Call,
    responder: Responder | None,
    everyone: bool,
    stopping: asyncio.Event,
    several: bool = False,
    refusal: Callable[[], Awaitable[str]],
    texts: Texts | None = None,
) -> Any:
    """Returns an Outcome for a change and a FollowResult for a read. Raises EngineError if a read failed before its
    first line. `refusal` returns why it may not go on, as the end of a sentence, or an empty string. `texts` returns
    what of the lines of a page the requester may see; by default, all of their text."""
    reader = _Reader(
        fleet=fleet,
        store=store,
        action=action,
        job=started.job,
        call=call,
        responder=responder,
        everyone=everyone,
        several=several,
        stopping=stopping,
        refusal=refusal,
        texts=texts or _plain_texts,
        started_at=_now(),
    )
    try:
        return await reader.run()
    except errors.QuarterdeckError as error:
        if not reader.read_only:
            return Outcome(
                status=Status.UNKNOWN, detail=f"The job started, but its end is not known: {error.full_message()}"
            )
        if not reader.lines:
            raise
        return reader.followed(error.full_message(), failed=True)
    finally:
        await reader.close()


@dataclass(slots=True, kw_only=True)
class _Reader:
    """One job and how far it was read."""

    fleet: Fleet
    store: Store
    action: Action[Any]
    job: str
    call: Call
    responder: Responder | None
    everyone: bool
    several: bool
    stopping: asyncio.Event
    refusal: Callable[[], Awaitable[str]]
    texts: Texts
    started_at: float
    redactor: redact.StreamRedactor = field(default_factory=redact.StreamRedactor)
    cursor: str = ""
    lines: int = 0
    skipped: int = 0
    progress: str = ""
    shown: bool = False
    renewed_at: float = float("-inf")
    stopped_at: float | None = None
    ended: bool = False

    @property
    def read_only(self) -> bool:
        return self.action.risk is Risk.READ

    async def run(self) -> Any:
        while True:
            read = ReadJob(engine=self.action.engine, job=self.job, cursor=self.cursor, wait=READ_SECONDS)
            page: JobPage = await self.fleet.run(read, _with_deadline(self.call, read.timeout_seconds()))
            visible = await self._show(page)
            if page.outcome is not None:
                return self._result(page.outcome)
            if self.read_only and not visible:
                return self.followed("its lines could not be shown")
            if (end := self._give_up()) is not None:
                return end
            if _now() - self.renewed_at > RENEW_SECONDS:
                if await self._stop_requested():
                    await self._stop()
                if reason := await self._revoked():
                    return await self._stop_revoked(reason)
            await asyncio.sleep(PAUSE_SECONDS)

    def followed(self, why: str, *, failed: bool = False) -> FollowResult:
        seconds = _now() - self.started_at
        return FollowResult(lines=self.lines, skipped=self.skipped, seconds=seconds, why=why, failed=failed)

    async def close(self) -> None:
        """Stops a read-only job on its engine, and removes the record in the store."""
        with contextlib.suppress(errors.QuarterdeckError):
            if self.read_only and not self.ended:
                await self._stop()
        with contextlib.suppress(errors.StoreError):
            await self.store.forget_job(_key(self.action.engine, self.job))

    async def _show(self, page: JobPage) -> bool:
        """Reports the page. False if the reply can no longer be shown."""
        self.cursor, self.ended = page.cursor, page.outcome is not None
        texts = await self.texts(page.lines) if page.lines else ()
        self.lines, self.skipped = self.lines + len(texts) + page.skipped, self.skipped + page.skipped
        changed = texts or page.skipped or page.progress != self.progress
        self.progress = page.progress
        first = self.read_only and not self.shown and not self.ended  # an empty one, so that there is a Stop button
        if self.responder is None or not (changed or first):
            return True
        self.shown = True
        return self.responder.progress(
            Progress(
                name=self.action.targets()[0].name,
                several=self.several,
                read_only=self.read_only,
                lines=self.redactor.redact(list(texts)),
                skipped=page.skipped,
                progress=redact.redact(page.progress),
                stop=f"job stop {self.job}@{self.action.engine}",
                everyone=self.everyone,
            )
        )

    def _result(self, outcome: Outcome) -> Any:
        if not self.read_only:
            return outcome
        failed = outcome.status != Status.DONE
        if failed and not self.lines:
            raise errors.EngineError(outcome.detail)
        return self.followed(outcome.detail, failed=failed)

    def _give_up(self) -> Any:
        """The result if the job's end is not waited for any longer, else None."""
        if self.stopping.is_set():
            self.stopped_at = self.stopped_at or _now()
            if self.read_only:
                return self.followed("Quarterdeck is stopping")
            if _now() - self.stopped_at > GRACE_SECONDS:
                return Outcome(status=Status.UNKNOWN, detail="Quarterdeck stops before the job has ended.")
        if self.read_only and _now() - self.started_at > FOLLOW_SECONDS:
            what = "events are" if isinstance(self.action, ListEvents) else "a log is"
            return self.followed(f"{what} followed for {FOLLOW_SECONDS / 60:.0f} minutes at most")
        if not self.read_only and datetime.now(UTC) > self.call.deadline:
            return Outcome(status=Status.UNKNOWN, detail="The job did not end in time. It may still be running.")
        return None

    async def _stop_requested(self) -> bool:
        """Whether somebody asked through the store to stop this job. False while the store is away."""
        self.renewed_at = _now()
        try:
            return await self.store.renew_job(_key(self.action.engine, self.job), self.call.who, LEASE_SECONDS)
        except errors.StoreError:
            return False

    async def _revoked(self) -> str:
        """Why this may not go on. Empty while the store is away: the last policy then stays."""
        try:
            return await self.refusal()
        except errors.StoreError:
            return ""

    async def _stop_revoked(self, reason: str) -> Any:
        """The result of a job that may not go on. `reason`: why, as the end of a sentence."""
        if self.read_only:
            return self.followed(reason)
        with contextlib.suppress(errors.QuarterdeckError):
            await self._stop()
        return Outcome(
            status=Status.UNKNOWN,
            detail=f"The job was stopped halfway, because {reason}",
        )

    async def _stop(self) -> None:
        end = StopJob(engine=self.action.engine, job=self.job, who=self.call.who)
        await self.fleet.run(end, _with_deadline(self.call, STOP_SECONDS))


async def stop_job(fleet: Fleet, store: Store, action: StopJob | StopAnyJob, call: Call) -> Outcome:
    """Stops a job of this process, or asks the process that follows it to stop it. Raises NotFound if no process
    follows it."""
    try:
        return await fleet.run(action, call)
    except errors.NotFound:
        owner = await store.job_owner(_key(action.engine, action.job))
        if owner is None:
            raise
    if isinstance(action, StopJob) and owner != action.who:
        raise errors.NotPermitted(
            f"You may not stop the job {action.job}: somebody else started it.",
            rule="own-job",
            hint="Ask that person or an admin to stop the job. With the permission job.stop-any, give: job stop"
            f" {action.job}@{action.engine} --force",
        )
    await store.request_stop(_key(action.engine, action.job), LEASE_SECONDS)
    return Outcome(status=Status.DONE, detail="the process that runs the job was asked to stop it")


async def _plain_texts(lines: Sequence[LogLine]) -> Sequence[str]:
    return [line.text if line.stream == DIVIDER else run_separator_lines.escaped(line.text) for line in lines]


def _with_deadline(call: Call, seconds: float) -> Call:
    """The call with a deadline of its own: following may take longer than one read may."""
    return replace(call, deadline=datetime.now(UTC) + timedelta(seconds=seconds))


def _key(engine: EngineRef, job: str) -> str:
    return f"{engine}/{job}"


def _now() -> float:
    return asyncio.get_running_loop().time()
