"""Sends the events of one engine to the people who follow them. Each follower is a job, whose lines are events.

A line is one event as JSON, so that the reader of the job can decide for each event who may see it. An end is sent
twice: at once, and again a few seconds later, when its cause is known. Nobody waits for a slow reader: the job drops
its oldest lines and counts them. A follower may first get earlier events. While these are read, new events are kept. So
each event is sent exactly once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
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
from runtimes.base.jobs import MAX_JOB_LINES, Job, Jobs
from runtimes.base.run_verification import ContainerEventSource, Describe, watch_runs
from runtimes.inventory import event_history

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
        self._followers: dict[Job, _Follower] = {}

    @property
    def followed(self) -> bool:
        """Whether anybody follows the events."""
        return bool(self._followers)

    def publish(self, events: Sequence[Event]) -> None:
        """Passes events on, in the order given. Does not wait."""
        for follower in self._followers.values():
            follower.receive(events)

    def start(
        self, action: ListEvents, call: Call, read_earlier: Callable[[], Awaitable[Iterable[Event]]] | None = None
    ) -> JobStarted:
        """Starts a job that passes on the events that the action wants. `read_earlier` returns the events to begin
        with; if it fails, the job fails. Raises Refused if too many jobs are running."""

        async def work(job: Job) -> Outcome:
            async with self._watch() as feed:
                with feed.follower(job, action, keep=read_earlier is not None) as follower:
                    if read_earlier is not None:
                        follower.begin(await read_earlier())
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
    def follower(self, job: Job, action: ListEvents, *, keep: bool) -> Iterator[_Follower]:
        """Adds published events to the job's lines until it is left. `keep`: only after its `begin`."""
        follower = self._followers[job] = _Follower(job, action, keep=keep)
        try:
            yield follower
        finally:
            del self._followers[job]

    @contextlib.asynccontextmanager
    async def _itself(self) -> AsyncIterator[EventFollowers]:
        yield self


class _Follower:
    """Adds the events that one action wants to the lines of its job. `keep`: keeps them until `begin`, at most as many
    as the job can have lines."""

    def __init__(self, job: Job, action: ListEvents, *, keep: bool) -> None:
        self._job, self._action = job, action
        self._kept: list[Event] | None = [] if keep else None
        self._earlier: dict[tuple[int, str, str, str], int] = {}  # what is known of the cause of each

    def receive(self, events: Iterable[Event]) -> None:
        wanted = [event for event in events if not event.folded and self._action.wants(event)]
        if self._kept is not None:
            self._kept += wanted
            if (excess := len(self._kept) - MAX_JOB_LINES) > 0:
                del self._kept[:excess]
                self._job.add_lines((), excess)
        elif wanted:
            self._add([event for event in wanted if not self._is_known(event)] if self._earlier else wanted)

    def begin(self, earlier: Iterable[Event]) -> None:
        """Adds the earlier events, then those that were kept meanwhile, each once."""
        found, kept = list(earlier), self._kept or ()
        self._kept = None
        self._add(found)
        self._earlier = {event.identity(): event_history.cause_rank(event.attrs) for event in found}
        self.receive(kept)

    def _is_known(self, event: Event) -> bool:
        """Whether the event is among the earlier ones, with as much as is known now of its cause."""
        known = self._earlier.get(event.identity())
        return known is not None and event_history.cause_rank(event.attrs) <= known

    def _add(self, events: Iterable[Event]) -> None:
        self._job.add_lines([LogLine(at="", stream="event", text=_encoder.encode(event).decode()) for event in events])


def decode(line: LogLine) -> Event | None:
    """Returns the event of one line; None for a line that another version of Quarterdeck wrote."""
    try:
        return _decoder.decode(line.text)
    except msgspec.MsgspecError:
        return None
