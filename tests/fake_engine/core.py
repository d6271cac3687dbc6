"""What every part of the engine in memory stands on: its containers, its clock, its stream of events, and the levers
that break it. Containers change by events alone, told as Docker would; the ring of them holds 256, like Docker's."""

from __future__ import annotations

import asyncio
import contextlib
import fnmatch
import functools
import hashlib
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence

import msgspec

from core import errors
from core.model import event_actions
from core.model.background_jobs import JobStarted
from core.model.containers import Container
from core.model.events import Event, EventKind, EventList, Origin
from core.model.refs import EngineRef, Kind, Ref
from core.model.replies import Status
from core.model.results import LogLine, Outcome
from core.model.services import Service
from runtimes.base.base_adapter import does
from runtimes.base.container_wait import WaitVerbs
from runtimes.base.jobs import Job
from runtimes.base.run_verification import VerifyVerbs
from runtimes.inventory import state_updates

RING = 256
WORDS = {
    EventKind.CREATED: "create",
    EventKind.STARTED: "start",
    EventKind.DIED: "die",
    EventKind.OOM: "oom",
    EventKind.HEALTH: "health_status",
    EventKind.PAUSED: "pause",
    EventKind.UNPAUSED: "unpause",
    EventKind.RENAMED: "rename",
    EventKind.UPDATED: "update",
    EventKind.RESTARTED: "restart",
    EventKind.STOPPED: "stop",
    EventKind.KILLED: "kill",
    EventKind.REMOVED: "destroy",
}
_STEP_NS = 1_000


class FakeEngine(WaitVerbs, VerifyVerbs):
    """`now` is its clock in seconds; two events never have the same time. `lacks`: patterns of verbs it has none of."""

    replays_events = True

    def __init__(
        self,
        host: str = "fake",
        *,
        allow: Sequence[str] = (),
        now: Callable[[], float] = time.time,
        kind: str = "fake",
        name: str = "default",
        lacks: Sequence[str] = (),
    ) -> None:
        super().__init__(EngineRef(host=host, kind=kind, name=name), allow=allow)
        self.lacks = tuple(lacks)
        self._verbs: tuple[tuple[Sequence[str], Sequence[str]], frozenset[str]] | None = None
        """What they were made of, and the verbs: every command asks for them many times."""
        self.containers: dict[str, Container] = {}
        self.tags: dict[str, str] = {}
        """The id of the image that each tag names."""
        self.logs: dict[str, list[LogLine]] = {}
        self.host_configs: dict[str, dict[str, object]] = {}
        """What an inspection shows as HostConfig, by container."""
        self.mounts: dict[str, list[dict[str, object]]] = {}
        self.swarm: list[Service] = []
        """Services of a Swarm it is a manager of; scaling one takes no time."""
        self.ring: deque[Event] = deque(maxlen=RING)
        self.reachable = True
        self.slow = 0.0
        self.asked: list[str] = []
        self.engine_id = f"{kind}-{host}" if name == "default" else f"{kind}-{host}-{name}"
        self._now = now
        self._last_ns = self._made = 0
        self._told = True
        self._moved = asyncio.Event()
        self._readers: list[asyncio.Queue[Event | None]] = []

    # ── levers ───────────────────────────────────────────────────────────────────────────────────────────────────

    def add(
        self,
        name: str,
        *,
        image: str = "busybox:1",
        labels: dict[str, str] | None = None,
        start: bool = True,
        log: Iterable[str] = (),
    ) -> Ref:
        self._made += 1
        thing = hashlib.sha256(f"{self.engine_id}/{self._made}".encode()).hexdigest()
        ref = Ref(engine=self.ref, kind=Kind.CONTAINER, id=thing, name=name)
        self.containers[ref.id] = Container(
            ref=ref,
            image=image,
            image_id=self.tags.setdefault(image, contents(image)),
            command="sleep 3600",
            state="created",
            status="",
            created_at=self._now(),
            labels=labels or {},
            restarts=0,
            oom_killed=False,
        )
        self.logs[ref.id] = []
        self.happen(EventKind.CREATED, ref)
        if start:
            self.happen(EventKind.STARTED, ref)
        for text in log:
            self.say(ref, text)
        return ref

    def say(self, ref: Ref, text: str, stream: str = "stdout") -> None:
        self.logs[ref.id].append(LogLine(at=f"{self._tick():020d}", stream=stream, text=text))
        self._move()

    def happen(self, kind: EventKind, ref: Ref, *, action: str = "", **attrs: str) -> Event:
        """Something happens to a container, and is told unless within `untold`."""
        known = self.containers[ref.id]
        event = Event(
            at_ns=self._tick(),
            kind=kind,
            subject=ref,
            origin=Origin.LIVE,
            type="container",
            action=action or WORDS[kind],
            attrs={"image": known.image, **attrs},
        )
        if kind is EventKind.REMOVED:
            del self.containers[ref.id]
        else:
            self.containers[ref.id] = state_updates.apply_event(known, event)
        if self._told:
            self.tell(event)
        self._move()
        return event

    def tell(self, *told: Event) -> None:
        for event in told:
            self.ring.append(event)
            for reader in self._readers:
                reader.put_nowait(event)

    @contextlib.contextmanager
    def untold(self) -> Iterator[None]:
        """What happens within is in no stream and no ring."""
        self._told = False
        try:
            yield
        finally:
            self._told = True

    def cut(self) -> None:
        """Ends all streams, as a restarting daemon or an impatient proxy does; followed logs if it is not reachable."""
        self._move()
        for reader in self._readers:
            reader.put_nowait(None)

    @property
    def streams(self) -> int:
        return len(self._readers)

    @property
    def verbs(self) -> frozenset[str]:
        made_of = self._allow, self.lacks
        if self._verbs is None or self._verbs[0] != made_of:
            self._verbs = made_of, frozenset(verb for verb in super().verbs if not self._lacks(verb))
        return self._verbs[1]

    def verb_refusal(self, verb: str) -> errors.QuarterdeckError | None:
        if self._lacks(verb):
            return errors.Unsupported(verb, str(self.ref), self.alternative(verb))
        return super().verb_refusal(verb)

    async def _describe_containers(self, ids: Sequence[str], deadline: float) -> dict[str, Container | None]:
        await self._answer("describe", deadline)
        return {thing: self.containers.get(thing) for thing in ids}

    @does(event_actions.ListEvents)
    async def list_events(self, action: event_actions.ListEvents, seconds: float) -> EventList | JobStarted:
        await self._answer("events", seconds)
        if action.follow:  # a mirror follows; this one ends at once
            return self.jobs.start(action.verb, _nothing_more, read_only=True)
        return action.select_remembered(tuple(self.ring))

    async def _stream_events(self, since_ns: int | None) -> AsyncIterator[Sequence[Event]]:
        await self._answer("subscribe", 10.0)
        reader: asyncio.Queue[Event | None] = asyncio.Queue()
        self._readers.append(reader)
        try:
            replay = [event for event in self.ring if since_ns is not None and event.at_ns >= since_ns]
            yield ()
            if replay:
                yield [msgspec.structs.replace(event, origin=Origin.REPLAY) for event in replay]
            while (event := await reader.get()) is not None:
                yield [event]
        finally:
            self._readers.remove(reader)

    # ── within ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _lacks(self, verb: str) -> bool:
        return _is_one_of(verb, self.lacks)

    def _find(self, target: Ref) -> Container:
        row = self.containers.get(target.id)
        if row is None:
            raise errors.NotFound(f"{self.ref} has no container {target.name}.", hint="List all containers with: ps -a")
        return row

    async def _answer(self, what: str, seconds: float) -> None:
        self.asked.append(what)
        if self.slow:
            await asyncio.sleep(min(self.slow, seconds))
            if self.slow > seconds:
                raise errors.TimedOut(f"{self.ref} did not answer within {seconds:.0f} s.", sent=True)
        if not self.reachable:
            raise errors.Unreachable(f"{self.ref} does not answer.", hint="Is it running?")

    def _move(self) -> None:
        """Wakes those who follow a log."""
        self._moved.set()
        self._moved = asyncio.Event()

    def _tick(self) -> int:
        self._last_ns = max(int(self._now() * 1e9), self._last_ns + _STEP_NS)
        return self._last_ns


async def _nothing_more(job: Job) -> Outcome:
    return Outcome(status=Status.DONE, detail="there is nothing more")


def contents(name: str) -> str:
    """The id of what is pulled by a name."""
    return "sha256:" + hashlib.sha256(name.encode()).hexdigest()


@functools.cache
def _is_one_of(verb: str, patterns: tuple[str, ...]) -> bool:
    """Every command asks for the verbs of its engines, so each answer is computed once."""
    return any(fnmatch.fnmatchcase(verb, pattern) for pattern in patterns)
