"""Removes containers of Podman, also those on which others depend.

Podman refuses to remove a container while another one depends on it. If one command removes both, their requests are
sent side by side, and the first may be refused. It then waits until the removal of the other one has ended, and is sent
again.
"""

from __future__ import annotations

import abc
import asyncio
import re
import time

from core import errors
from core.model import actions
from core.model.results import Outcome
from runtimes.base.base_adapter import does
from runtimes.base.engine_options import EngineOptions
from runtimes.base.identifying_adapter import DEFAULTS
from runtimes.docker_like.client import quoted_id, seconds_left
from runtimes.podman import client

DEPENDED_ON = "dependent containers"  # in Podman's message, before the ids of these containers, short or whole
_ID = re.compile(r"\b[0-9a-f]{12,64}\b")


class RemovalVerbs(client.EngineClient, abc.ABC):
    """Serves the verb `container.remove` for Podman."""

    def __init__(self, url: str, options: EngineOptions = DEFAULTS) -> None:
        super().__init__(url, options)
        self._removals: dict[str, asyncio.Event] = {}  # by the container's id; set when the removal has ended
        self._running_removals = 0

    @does(actions.Remove)
    async def remove(self, action: actions.Remove, seconds: float) -> Outcome:
        # With force, Podman stops the container first and waits for it, unless the timeout is 0.
        query = f"force={str(action.force).lower()}&v={str(action.volumes).lower()}"
        if action.force:
            query += "&timeout=0"
        path = f"/containers/{quoted_id(action.target)}?{query}"
        ends = time.monotonic() + seconds
        ended = self._removals[action.target.id] = asyncio.Event()
        self._running_removals += 1
        awaited: set[asyncio.Event] = set()
        try:
            while True:
                try:
                    return await self._change(action.target, path, seconds_left(ends), method="DELETE")
                except errors.Rejected as refusal:
                    if not await self._dependent_was_removed(refusal, awaited, ends):
                        raise
        finally:
            ended.set()
            self._running_removals -= 1
            if not self._running_removals:  # until then, an ended one may be why a request was refused just before
                self._removals.clear()

    async def _dependent_was_removed(self, refusal: errors.Rejected, awaited: set[asyncio.Event], ends: float) -> bool:
        """Waits for the removal of a container that depends on this one. `awaited`: removals that have ended already
        when this was called; the new one is added. False if there is no other removal, or if it takes too long."""
        if DEPENDED_ON not in refusal.text:
            return False
        dependents = tuple(_ID.findall(refusal.text.partition(DEPENDED_ON)[2]))
        removals = (ended for container_id, ended in self._removals.items() if container_id.startswith(dependents))
        removal = next((one for one in removals if one not in awaited), None)
        if removal is None:
            return False
        awaited.add(removal)
        try:
            async with asyncio.timeout(ends - time.monotonic()):
                await removal.wait()
        except TimeoutError:
            return False
        return True
