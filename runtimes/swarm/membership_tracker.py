"""Tracks which Docker daemons of this process manage which Swarm, and opens one engine for each Swarm.

Daemons report their membership at each contact, and once a minute when they are polled. The first manager of a
Swarm opens its engine; further managers are added to it; when the last one has left, the engine is removed. Daemons
become managers, or stop being managers, at any time. A daemon that does not answer keeps its last membership.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

import structlog

from core import errors
from core.model.refs import EngineRef
from runtimes.swarm import manager_pool
from runtimes.swarm.json_models import SwarmManagerStatus

if TYPE_CHECKING:
    from runtimes.swarm import engine as swarm_engine

log = structlog.get_logger(__name__)
KIND = "swarm"
POLL_SECONDS = 60.0
TIMEOUT_SECONDS = 4.0
REFUSED_PAUSE_SECONDS = 0.5
SHORT_ID = 12


class MembershipTracker:
    """Tracks the memberships and holds the engine of each Swarm. `on_opened` and `on_removed` are called with a Swarm's
    engine, which the receiver of `on_removed` closes. They must not wait."""

    def __init__(
        self, on_opened: Callable[[swarm_engine.Swarm], None], on_removed: Callable[[swarm_engine.Swarm], None]
    ) -> None:
        self._on_opened, self._on_removed = on_opened, on_removed
        self._names: dict[Daemon, str] = {}
        self._swarms: list[swarm_engine.Swarm] = []
        self._poll_now = asyncio.Event()

    @property
    def swarms(self) -> Sequence[swarm_engine.Swarm]:
        return tuple(self._swarms)

    def add(self, daemon: Daemon, name: str = "") -> None:
        """Starts tracking a daemon. `name`: the name for the Swarm that it manages; empty for the Swarm's id."""
        self._names[daemon] = name
        daemon.on_membership = lambda membership: self.update(daemon, membership)

    def remove(self, daemon: Daemon) -> None:
        """Stops tracking a daemon, and removes it from the managers of its Swarm."""
        if daemon in self._names:
            self.update(daemon, SwarmManagerStatus(manager=False))
            del self._names[daemon]

    def update(self, daemon: Daemon, membership: SwarmManagerStatus) -> None:
        """Applies the membership that a daemon reported."""
        if daemon not in self._names:
            return  # a late answer of a daemon that was removed
        if membership.manager and not membership.cluster:
            return  # without a leader it cannot report its Swarm, so its last membership remains
        current = next((swarm for swarm in self._swarms if daemon in swarm.managers.all), None)
        if current is not None and current.engine_id == membership.cluster:
            return
        if current is not None:
            current.managers.remove(daemon)
            log.info(
                "A Docker engine stopped being a manager of its Swarm.", engine=str(daemon.ref), swarm=str(current.ref)
            )
            if not current.managers.all:
                self._swarms.remove(current)
                self._on_removed(current)
        if membership.cluster:
            swarm = next((swarm for swarm in self._swarms if swarm.engine_id == membership.cluster), None)
            if swarm is None:
                from runtimes.swarm import engine as swarm_engine  # noqa: PLC0415 (most daemons manage no Swarm)

                ref = self._ref(membership.cluster, self._names[daemon])
                swarm = swarm_engine.Swarm(ref, membership.cluster, on_refused=self._refused)
                swarm.daemons = lambda: tuple(self._names)
                swarm.managers.add(daemon)
                self._swarms.append(swarm)
                self._on_opened(swarm)
            swarm.managers.add(daemon)
            log.info(
                "A Docker engine was found to be a manager of a Swarm.", engine=str(daemon.ref), swarm=str(swarm.ref)
            )

    async def meet(self, seconds: float) -> None:
        """Connects to the daemons that were never contacted. The others get no request."""
        await asyncio.gather(*(daemon.meet(seconds) for daemon in self._names), return_exceptions=True)

    async def poll(self, seconds: float) -> None:
        """Requests the membership of each daemon once."""

        async def ask(daemon: Daemon) -> None:
            try:
                self.update(daemon, await daemon.membership(seconds))
            except errors.QuarterdeckError as error:
                log.debug(
                    "A Docker engine did not report its membership in a Swarm.",
                    engine=str(daemon.ref),
                    reason=error.message,
                )

        await asyncio.gather(*map(ask, self._names))

    async def keep_polling(self) -> None:
        """Endless: polls once a minute, and at once after a daemon answered that it is no manager."""
        while True:
            self._poll_now.clear()
            await self.poll(TIMEOUT_SECONDS)
            try:
                async with asyncio.timeout(POLL_SECONDS):
                    await self._poll_now.wait()
            except TimeoutError:
                continue
            await asyncio.sleep(REFUSED_PAUSE_SECONDS)  # a daemon that refuses again and again is not polled in a loop

    def _ref(self, cluster: str, name: str) -> EngineRef:
        ref = EngineRef(host=name or cluster[:SHORT_ID], kind=KIND)
        if name and any(swarm.ref == ref for swarm in self._swarms):
            log.error(
                "A Swarm was named by its id, because another Swarm has its name.",
                swarm=cluster,
                name=name,
                hint="Change `swarm` of one of the engines in quarterdeck.yaml.",
            )
            return EngineRef(host=cluster[:SHORT_ID], kind=KIND)
        return ref

    def _refused(self, manager: manager_pool.Manager) -> None:
        self._poll_now.set()


class Daemon(manager_pool.Manager, Protocol):
    """A Docker daemon. It calls `on_membership` whenever it has read its membership in a Swarm."""

    on_membership: Callable[[SwarmManagerStatus], None]

    async def meet(self, seconds: float) -> None:
        """Connects and reads its version, unless it was contacted before."""
        ...

    async def membership(self, seconds: float) -> SwarmManagerStatus:
        """Requests its current membership."""
        ...
