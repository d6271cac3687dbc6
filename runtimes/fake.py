"""An engine that lives in memory, for tests and examples: the same port, the same answers, and levers to break it.

Actions change its containers and tell events as Docker would; `reachable`, `cut`, `untold` and `slow` make it fail as
real ones do. Its memory of events is a ring of 256, like Docker's.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime

import msgspec

from core import errors
from core.model import actions
from core.model.events import Event, EventKind, Origin
from core.model.jobs import Started
from core.model.refs import EngineRef, Kind, Ref
from core.model.replies import Status
from core.model.things import Container, Containers, Document, Engine, LogLine, LogPage, Outcome, Service, Services
from runtimes import fake_services, services, status, transitions
from runtimes.adapter import does
from runtimes.jobs import Job, Working

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


class FakeRuntime(Working):
    """`now` is its clock in seconds; two events never have the same time."""

    def __init__(
        self, host: str = "fake", *, allow: Sequence[str] = (), now: Callable[[], float] = time.time, kind: str = "fake"
    ) -> None:
        super().__init__(EngineRef(host=host, kind=kind), allow=allow)
        self.containers: dict[str, Container] = {}
        self.logs: dict[str, list[LogLine]] = {}
        self.swarm: list[Service] = []
        """Services of a Swarm it is a manager of; scaling one takes no time."""
        self.ring: deque[Event] = deque(maxlen=RING)
        self.reachable = True
        self.slow = 0.0
        self.asked: list[str] = []
        self.engine_id = f"{kind}-{host}"
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
            image_id="sha256:" + "1" * 64,
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
            self.containers[ref.id] = transitions.after(known, event)
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

    # ── the port ─────────────────────────────────────────────────────────────────────────────────────────────────

    @does(actions.DescribeEngine)
    async def describe_engine(self, action: actions.DescribeEngine, seconds: float) -> Engine:
        told = Engine(ref=self.ref, address=f"fake://{self.ref.host}", verbs=tuple(sorted(self.verbs)))
        try:
            await self._answer("info", seconds)
        except errors.EngineError as error:
            return msgspec.structs.replace(told, fault=error.say())
        up = sum(row.state == "running" for row in self.containers.values())
        return msgspec.structs.replace(
            told,
            version="1.0",
            api="1.0",
            system="linux/x86_64",
            storage="memory",
            cgroup="2",
            containers=len(self.containers),
            running=up,
        )

    @does(actions.ListContainers)
    async def list_containers(self, action: actions.ListContainers, seconds: float) -> Containers:
        await self._answer("list", seconds)
        now = self._now()
        return Containers(rows=tuple(_listed(row, now) for row in self.containers.values()))

    async def describe(self, ids: Sequence[str], deadline: float) -> dict[str, Container | None]:
        await self._answer("describe", deadline)
        return {thing: self.containers.get(thing) for thing in ids}

    @does(actions.InspectContainer)
    async def inspect(self, action: actions.InspectContainer, seconds: float) -> Document:
        await self._answer("inspect", seconds)
        row = self._find(action.target)
        state = {
            "Status": row.state,
            "ExitCode": row.exit_code or 0,
            "StartedAt": datetime.fromtimestamp(row.started_at or 0, UTC).isoformat(),
        }
        data = {
            "Id": row.ref.id,
            "Name": f"/{row.ref.name}",
            "State": state,
            "Mounts": [],
            "Config": {"Image": row.image, "Labels": row.labels},
        }
        return Document(ref=row.ref, data=data)

    @does(actions.ReadLogs)
    async def read_logs(self, action: actions.ReadLogs, seconds: float) -> LogPage | Started:
        await self._answer("logs", seconds)
        self._find(action.target)
        if action.follow:
            return self.jobs.begin(action.verb, lambda job: self._follow(action, job), watches=True)
        start = action.cursor or f"{action.since_ns:020d}"
        lines = [line for line in self.logs[action.target.id] if line.at > start]
        kept = lines[max(0, len(lines) - action.tail) :]
        return LogPage(lines=tuple(kept), cursor=kept[-1].at if kept else action.cursor)

    async def _follow(self, action: actions.ReadLogs, job: Job) -> Outcome:
        """Ends when the container does not run, as a daemon's."""
        name, thing = action.target.name, action.target.id
        said = self.logs[thing]
        last = [line for line in said if line.at > f"{action.since_ns:020d}"]
        job.say(last[max(0, len(last) - action.tail) :])
        at = len(said)
        while True:
            moved = self._moved
            job.say(said[at:])
            at = len(said)
            if not self.reachable:
                raise errors.Unreachable(f"{self.ref} broke off the log of {name}.", hint="Does it still run?")
            row = self.containers.get(thing)
            if row is None:
                return Outcome(status=Status.DONE, detail=f"{name} was removed")
            if row.state not in transitions.UP:
                return Outcome(status=Status.DONE, detail=f"{name} has ended with code {row.exit_code or 0}")
            await moved.wait()

    @does(actions.ListEvents)
    async def list_events(self, action: actions.ListEvents, seconds: float) -> tuple[Event, ...]:
        await self._answer("events", seconds)
        return tuple([event for event in self.ring if event.at_ns >= action.since_ns][-action.limit :])

    async def events(self, since_ns: int | None) -> AsyncIterator[Sequence[Event]]:
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

    @does(actions.Start)
    async def start(self, action: actions.Start, seconds: float) -> Outcome:
        return await self._change(
            action.target, seconds, ("running", "paused"), "was already running", (EventKind.STARTED,)
        )

    @does(actions.Stop)
    async def stop(self, action: actions.Stop, seconds: float) -> Outcome:
        steps = (EventKind.KILLED, EventKind.DIED, EventKind.STOPPED)
        return await self._change(action.target, seconds, ("created", "exited", "dead"), "was not running", steps)

    @does(actions.Restart)
    async def restart(self, action: actions.Restart, seconds: float) -> Outcome:
        up = self._find(action.target).state in transitions.UP
        ended = (EventKind.DIED,) if up else ()
        return await self._change(action.target, seconds, (), "", (*ended, EventKind.STARTED, EventKind.RESTARTED))

    @does(actions.Kill)
    async def kill(self, action: actions.Kill, seconds: float) -> Outcome:
        row = self._find(action.target)
        if row.state not in transitions.UP:
            raise errors.Rejected(409, f"container {row.ref.name} is not running")
        deadly = action.signal.removeprefix("SIG") in ("KILL", "9", "TERM", "15")
        steps = (EventKind.KILLED, EventKind.DIED) if deadly else (EventKind.KILLED,)
        return await self._change(row.ref, seconds, (), "", steps)

    @does(actions.Pause)
    async def pause(self, action: actions.Pause, seconds: float) -> Outcome:
        return await self._change(action.target, seconds, ("paused",), "was already paused", (EventKind.PAUSED,))

    @does(actions.Unpause)
    async def unpause(self, action: actions.Unpause, seconds: float) -> Outcome:
        return await self._change(action.target, seconds, ("running",), "was not paused", (EventKind.UNPAUSED,))

    @does(actions.Remove)
    async def remove(self, action: actions.Remove, seconds: float) -> Outcome:
        row = self._find(action.target)
        if row.state not in transitions.UP:
            return await self._change(row.ref, seconds, (), "", (EventKind.REMOVED,))
        if not action.force:
            raise errors.Rejected(409, f"container {row.ref.name} is running: stop it first or force its removal")
        return await self._change(row.ref, seconds, (), "", (EventKind.KILLED, EventKind.DIED, EventKind.REMOVED))

    @does(actions.ListServices)
    async def list_services(self, action: actions.ListServices, seconds: float) -> Services:
        await self._answer("services", seconds)
        return Services(rows=(*services.of_compose(self.ref, self.containers.values()), *self.swarm))

    @does(actions.Scale)
    async def scale(self, action: actions.Scale, seconds: float) -> Started:
        await self._answer("change", seconds)
        work = fake_services.scaling(self, action)
        return self.jobs.begin(action.verb, work)

    async def aclose(self) -> None:
        await super().aclose()
        self.cut()

    # ── within ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def _change(
        self, target: Ref, seconds: float, idle: Sequence[str], already: str, steps: Sequence[EventKind]
    ) -> Outcome:
        await self._answer("change", seconds)
        row = self._find(target)
        if row.state in idle:
            return Outcome(status=Status.NOOP, detail=already)
        for kind in steps:
            self.happen(kind, row.ref, **({"exit_code": "143"} if kind is EventKind.DIED else {}))
        return Outcome(status=Status.DONE)

    def _find(self, target: Ref) -> Container:
        row = self.containers.get(target.id)
        if row is None:
            raise errors.NotFound(f"{target.name} is gone: {self.ref} has no such container.")
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


def _listed(row: Container, now: float) -> Container:
    """A list knows less than an inspection."""
    return msgspec.structs.replace(
        row,
        status=status.text(row, now),
        started_at=None,
        finished_at=None,
        restarts=None,
        oom_killed=None,
    )
