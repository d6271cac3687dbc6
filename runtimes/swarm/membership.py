"""Which Swarms the Docker daemons of this process are managers of: one engine for each, whatever the number of doors.

In comes what daemons say of themselves: at first contact, with every look from then on. The first manager of a Swarm
brings its engine to life, others become further doors to it. A daemon becomes a manager, or stops being one, while we
run; one that does not answer stays what it was. There are as many engines as daemons, for a daemon is in one Swarm at
most; those nobody needs are not `present`, and nobody sees them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol

import structlog

from core import errors
from core.model.refs import EngineRef
from runtimes.swarm import engine as swarm_engine
from runtimes.swarm import managers
from runtimes.swarm.managers import Membership

log = structlog.get_logger(__name__)
LOOK_EVERY = 5.0  # seconds
LOOK_WITHIN = 4.0
SHORT_ID = 12


class Daemon(managers.Door, Protocol):
    """A Docker daemon as we need it here: it calls `tell` with what it says of itself whenever that was learned."""

    tell: Callable[[Membership], None]

    async def meet(self, seconds: float) -> None:
        """First contact, where there was none."""
        ...

    async def membership(self, seconds: float) -> Membership:
        """Asks it now."""
        ...


class Clusters:
    """`daemons`: each with what the Swarm it manages is to be called, empty for its id."""

    def __init__(self, daemons: Mapping[Daemon, str]) -> None:
        self._daemons = tuple(daemons)
        self._names = dict(daemons)
        self._look_now = asyncio.Event()
        self.engines = tuple(swarm_engine.Swarm(daemon.ref.host, doubt=self._doubt) for daemon in self._daemons)
        for daemon in self._daemons:
            daemon.tell = lambda told, daemon=daemon: self.learn(daemon, told)  # type: ignore[misc]

    def learn(self, daemon: Daemon, told: Membership) -> None:
        if told.manager and not told.cluster:
            return  # leaderless: what it was it still is
        known = self._known(daemon)
        if known is not None and known.cluster == told.cluster:
            return
        if known is not None:
            known.leave(daemon)
            log.info("a daemon manages its Swarm no more", engine=str(daemon.ref), swarm=str(known.ref))
        if told.cluster:
            engine = self._seat(told.cluster)
            if not engine.present:
                engine.found(told.cluster, self._named(told.cluster, daemon))
            engine.enter(daemon)
            log.info("a daemon is a manager of a Swarm", engine=str(daemon.ref), swarm=str(engine.ref))

    async def meet(self, seconds: float) -> None:
        """Lets those that were never heard tell what they are; asks nobody else anything."""
        met = (daemon.meet(seconds) for daemon in self._daemons)
        await asyncio.gather(*met, return_exceptions=True)

    async def look(self, seconds: float) -> None:
        """Asks each daemon once; those that do not answer stay what they were."""

        async def one(daemon: Daemon) -> None:
            try:
                self.learn(daemon, await daemon.membership(seconds))
            except errors.QuarterdeckError as error:
                log.debug("a daemon could not be asked for its Swarm", engine=str(daemon.ref), reason=error.message)

        await asyncio.gather(*(one(daemon) for daemon in self._daemons))

    async def keep(self) -> None:
        """Endless: looks every few seconds, and at once where a door says that it leads nowhere."""
        while True:
            self._look_now.clear()
            await self.look(LOOK_WITHIN)
            try:
                async with asyncio.timeout(LOOK_EVERY):
                    await self._look_now.wait()
            except TimeoutError:
                continue
            await asyncio.sleep(0.5)  # a door that is doubted again and again is not asked without pause

    def _known(self, daemon: managers.Door) -> swarm_engine.Swarm | None:
        return next((engine for engine in self.engines if daemon in engine.doors.all), None)

    def _seat(self, cluster: str) -> swarm_engine.Swarm:
        """The engine that is this Swarm, else one that is none: the same as last time where it was seen before."""
        return (
            next((engine for engine in self.engines if engine.present and engine.cluster == cluster), None)
            or next((engine for engine in self.engines if not engine.present and engine.cluster == cluster), None)
            or next((engine for engine in self.engines if not engine.present and not engine.cluster), None)
            or next(engine for engine in self.engines if not engine.present)
        )

    def _named(self, cluster: str, daemon: Daemon) -> EngineRef:
        name = self._names[daemon]
        ref = EngineRef(host=name or cluster[:SHORT_ID], kind="swarm")
        if name and any(engine.present and engine.ref == ref for engine in self.engines):
            log.error(
                "two Swarms are given one name; the second goes by its id", action="enter", swarm=cluster, name=name
            )
            return EngineRef(host=cluster[:SHORT_ID], kind="swarm")
        return ref

    def _doubt(self, door: managers.Door) -> None:
        self._look_now.set()
