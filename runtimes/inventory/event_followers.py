"""Sends the events of one engine to the people who follow them. Each follower is a job, whose lines are events.

A line is one event as JSON, so that the reader of the job can decide for each event who may see it. An end is sent
twice: at once, and again a few seconds later, when its cause is known. Nobody waits for a slow reader: the job drops
its oldest lines and counts them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec

from core.model.actions import Action
from core.model.background_jobs import JobStarted, ReadJob, StopAnyJob, StopJob
from core.model.event_actions import ListEvents
from core.model.events import Event
from core.model.refs import EngineRef
from core.model.replies import Status
from core.model.results import LogLine, Outcome
from core.model.verification import VerifyRuns
from core.ports import Call
from runtimes.base.jobs import Job, Jobs
from runtimes.base.run_verification import ContainerEventSource, Describe, watch_runs

_encoder, _decoder = msgspec.json.Encoder(), msgspec.json.Decoder(Event)


class EventFollowers:
    """Runs the jobs of the followers of one engine. `engine` returns its name. `watch`: opens the feed of a watch that
    lasts as long as a job, for an engine that is not watched; by default, the events are those published here."""

    def __init__(
        self,
        engine: Callable[[], EngineRef],
        *,
        watch: Callable[[], AbstractAsyncContextManager[EventFollowers]] | None = None,
    ) -> None:
        self._jobs = Jobs(engine)
        self._watch = watch or self._itself
        self._followers: dict[Job, ListEvents] = {}

    @property
    def followed(self) -> bool:
        """Whether anybody follows the events."""
        return bool(self._followers)

    def publish(self, events: Sequence[Event]) -> None:
        """Passes events on, in the order given. Does not wait."""
        for job, action in self._followers.items():
            _add(job, (event for event in events if not event.folded and action.wants(event)))

    def start(self, action: ListEvents, call: Call, earlier: Iterable[Event] = ()) -> JobStarted:
        """Starts a job that passes on the events that the action wants, after the `earlier` ones. Raises Refused if
        too many jobs are running."""

        async def work(job: Job) -> Outcome:
            async with self._watch() as feed:
                _add(job, earlier)
                with feed.follower(job, action):
                    await asyncio.Event().wait()
            return Outcome(status=Status.DONE)

        return self._jobs.start(action.verb, work, read_only=True, who=call.who)

    def verify(self, describe: Describe, action: VerifyRuns, call: Call, witness: ContainerEventSource) -> JobStarted:
        """Starts a job that watches containers which were just started. Raises Refused if too many jobs are running."""
        return self._jobs.start(
            action.verb,
            lambda job: watch_runs(describe, action, job, witness),
            read_only=True,
            light=True,
            who=call.who,
        )

    def owns(self, action: Action[Any]) -> bool:
        """Whether this reads or stops a job of this feed."""
        return isinstance(action, ReadJob | StopJob | StopAnyJob) and self._jobs.has(action.job)

    async def run(self, action: Action[Any]) -> Any:
        """Reads or stops one of its jobs."""
        if isinstance(action, ReadJob):
            return await self._jobs.read(action)
        assert isinstance(action, StopJob | StopAnyJob)
        return await self._jobs.stop(action.job, action.who if isinstance(action, StopJob) else None)

    async def aclose(self) -> None:
        await self._jobs.aclose()

    @contextlib.contextmanager
    def follower(self, job: Job, action: ListEvents) -> Iterator[None]:
        """Adds published events to the job's lines until it is left."""
        self._followers[job] = action
        try:
            yield
        finally:
            del self._followers[job]

    @contextlib.asynccontextmanager
    async def _itself(self) -> AsyncIterator[EventFollowers]:
        yield self


def decode(line: LogLine) -> Event | None:
    """Returns the event of one line; None for a line that another version of Quarterdeck wrote."""
    try:
        return _decoder.decode(line.text)
    except msgspec.MsgspecError:
        return None


def _add(job: Job, events: Iterable[Event]) -> None:
    job.add_lines([LogLine(at="", stream="event", text=_encoder.encode(event).decode()) for event in events])
