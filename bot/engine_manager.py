"""Adds engines to the running process, watches them, and removes them.

Configured engines are added at the start and stay. Without configured engines, discovery searches this machine for
engines at the start and every 15 s. It adds new engines. It removes an engine that never answered and whose socket was
removed, and an engine whose address now leads to another engine. A Swarm is added when a Docker daemon reports that it
manages the Swarm, and removed when the last such daemon has left it. A removed engine is immediately hidden from all
commands; then its tasks end, its connections close and its metrics are removed. The store still holds the time of the
last event that was read (the cursor). If the engine is added again, its events are read from that time on.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast

import structlog

from core import supervise, tasks
from core.lazy_dataclass import dataclass
from core.model.actions import DescribeEngine
from core.model.refs import EngineRef
from core.model.registry_reads import PUBLIC_REGISTRIES
from core.ports import Call, Runtime
from runtimes.engine_discovery import Discovery, NotPermitted
from runtimes.engine_registry import EngineAddress, EngineRegistry
from runtimes.inventory.event_followers import EventFollowers
from runtimes.inventory.fleet import Fleet
from runtimes.inventory.mirror import Mirror, WatchedEngine
from runtimes.inventory.permission_denied_engine import PermissionDeniedEngine
from runtimes.inventory.stored_events import EngineWithHistory, StoredEvents
from runtimes.swarm import membership_tracker

if TYPE_CHECKING:
    from bot import engine_watch
    from collectors.alert_evaluator import Evaluator
    from collectors.cursor import CursorStore
    from core.metrics import Metrics

log = structlog.get_logger(__name__)
DISCOVERY_SECONDS = 15.0
CLOSE_SECONDS = 4.0  # for closing the connections of one engine
RESTART = supervise.Backoff()


class EngineManager:
    """Holds the engines of this process, also as `fleet`, and adds and removes them. `watch`: whether to mirror and
    watch each engine. `alerts`: evaluates the alert rules on their events. `discovery`: None if the engines are
    configured."""

    def __init__(
        self,
        *,
        builtin: Runtime,
        supervisor: supervise.Supervisor,
        counts: Metrics,
        cursors: CursorStore,
        history: engine_watch.EventHistory,
        watch: bool,
        alerts: Evaluator | None = None,
        discovery: Discovery | None = None,
        registries: Sequence[str] = PUBLIC_REGISTRIES,
    ) -> None:
        self.fleet = Fleet(builtin=builtin)
        self._supervisor = supervisor
        self._counts = counts
        self._cursors = cursors
        self._history = history
        self._stored = StoredEvents(history)
        self._watch = watch
        self._alerts = alerts
        self._discovery = discovery
        self._registry = EngineRegistry(self._displaced, registries=registries)
        self._swarms = membership_tracker.MembershipTracker(self._start, self._stop)
        self._by_address: dict[EngineAddress, WatchedEngine] = {}
        self._members: dict[WatchedEngine, _Member] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._not_permitted: tuple[NotPermitted, ...] = ()
        supervisor.on_close("engines", self.aclose)

    @property
    def refs(self) -> Sequence[EngineRef]:
        return tuple(engine.ref for engine in self._members)

    @property
    def mirrors(self) -> Sequence[Mirror]:
        return tuple(member.mirror for member in self._members.values() if member.mirror is not None)

    def add(self, address: EngineAddress) -> None:
        """Adds an engine. It is contacted later. Raises BadUsage for an unusable address."""
        engine = self._by_address[address] = self._registry.open(address)
        self._start(engine)
        if address.kind == "docker":
            self._swarms.add(cast(membership_tracker.Daemon, engine), address.swarm)

    def add_all(self, addresses: Iterable[EngineAddress]) -> None:
        """Adds the engines of the start, and lists those that discovery found and this user may not use."""
        for address in addresses:
            self.add(address)
        self.list_not_permitted()

    def remove(self, address: EngineAddress) -> None:
        """Removes an engine from the fleet at once, and starts closing it."""
        engine = self._by_address.pop(address)
        if address.kind == "docker":
            self._swarms.remove(cast(membership_tracker.Daemon, engine))
        self._registry.forget(address)
        self._stop(engine)

    def _displaced(self, address: EngineAddress) -> None:
        """Opens an engine again whose identity a more trusted address has: what its stream and its mirror hold counts
        for another engine. As long as the other one is in use, it is refused."""
        asyncio.get_running_loop().call_soon(self._reopen, address)

    def _reopen(self, address: EngineAddress) -> None:
        if address in self._by_address and not self._supervisor.stopping.is_set():
            self.remove(address)
            self.add(address)

    def discover(self) -> None:
        """Searches for engines once, and adds and removes engines as `Discovery.compare` returns."""
        if self._discovery is None or self._supervisor.stopping.is_set():
            return
        changes = self._discovery.compare({each: bool(engine.engine_id) for each, engine in self._by_address.items()})
        for address in changes.removed:
            log.info("An engine was removed from the watched engines.", engine=address.kind, address=str(address))
            self.remove(address)
        for address in changes.vanished:
            self._registry.leave(address)
        for address in changes.added:
            log.info("An engine was found.", engine=address.kind, address=str(address))
            self.add(address)
        self.list_not_permitted()

    def list_not_permitted(self) -> None:
        """Lists what the last search found and this user may not use. Logs it when it changes."""
        found = () if self._discovery is None else tuple(self._discovery.not_permitted)
        if found == self._not_permitted:
            return
        self._not_permitted = found
        self.fleet.set_not_permitted(
            PermissionDeniedEngine(
                kind=each.address.kind, name=each.address.name, address=str(each.address), reason=each.reason
            )
            for each in found
        )
        if found:
            log.info(
                "Engines were left out, because Quarterdeck's user may not use them.",
                engines=[f"{each.address}: {each.reason}" for each in found],
            )

    def keep_current(self) -> None:
        """Starts the background tasks that add and remove engines from now on."""
        self._supervisor.start_background("swarms", self._swarms.keep_polling, RESTART)
        if self._discovery is not None:
            self._supervisor.start_background("discovery", self._keep_discovering, RESTART)

    async def meet(self, seconds: float) -> None:
        """Waits until engines on other hosts have reported their names, so that `--host` finds them, and until Docker
        daemons have reported the Swarm that they manage. Waits at most `seconds`."""
        call = Call(id="meet", who="", deadline=datetime.now(UTC) + timedelta(seconds=seconds), invocation="")
        engines = list(self._by_address.values()) if any(each.host for each in self._by_address) else []
        described = (engine.run(DescribeEngine(engine=engine.ref), call) for engine in engines)
        await asyncio.gather(self._swarms.meet(seconds), *described, return_exceptions=True)

    async def aclose(self) -> None:
        for engine in list(self._members):
            self._stop(engine)
        if self._closing:
            await asyncio.wait(self._closing)

    async def _keep_discovering(self) -> None:
        while True:
            await asyncio.sleep(DISCOVERY_SECONDS)
            self.discover()

    def _start(self, engine: WatchedEngine) -> None:
        front = EngineWithHistory(engine, self._stored, watch=functools.partial(_watch_while_followed, engine))
        member = self._members[engine] = _Member(engine=engine, front=front)
        if self._watch and not self._supervisor.stopping.is_set():
            from bot import engine_watch  # noqa: PLC0415 (a single command watches nothing)

            member.watch = engine_watch.start(
                engine,
                supervisor=self._supervisor,
                counts=self._counts,
                cursors=self._cursors,
                history=self._history,
                stored=self._stored,
                alerts=self._alerts,
            )
        self.fleet.add(member.runtime)

    def _stop(self, engine: WatchedEngine) -> None:
        member = self._members.pop(engine)
        self.fleet.remove(member.runtime)
        task = tasks.start(f"close {engine.ref}", self._close(member))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _close(self, member: _Member) -> None:
        engine = member.engine
        if (watch := member.watch) is not None:
            for running in watch.tasks:
                running.cancel()
            await asyncio.wait(watch.tasks, timeout=CLOSE_SECONDS)
            watch.close()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await member.runtime.aclose()
        except Exception as error:  # a failure must not keep the other engines open
            log.error("The connections of an engine could not be closed.", engine=str(engine.ref), exc_info=error)
        if member.watch is not None:
            self._remove_metrics(engine.ref)

    def _remove_metrics(self, ref: EngineRef) -> None:
        """Removes the series of an engine, unless another one has the same labels."""
        from core import metrics  # noqa: PLC0415 (a single command counts nothing)

        labels = metrics.engine_labels(ref)
        if labels not in map(metrics.engine_labels, self.refs):
            self._counts.remove_engine(*labels)


@contextlib.asynccontextmanager
async def _watch_while_followed(engine: WatchedEngine) -> AsyncIterator[EventFollowers]:
    from bot import engine_watch  # noqa: PLC0415 (few commands follow events)

    async with engine_watch.watch_while_followed(engine) as feed:
        yield feed


@dataclass(slots=True, kw_only=True)
class _Member:
    engine: WatchedEngine
    front: Runtime
    watch: engine_watch.EngineWatch | None = None

    @property
    def mirror(self) -> Mirror | None:
        return None if self.watch is None else self.watch.mirror

    @property
    def runtime(self) -> Runtime:
        """The runtime that the fleet uses: the mirror, or without one the engine with its stored history."""
        return self.front if self.watch is None else self.watch.mirror
