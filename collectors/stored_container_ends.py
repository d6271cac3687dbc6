"""Restores the last end of each container from the stored history, when a process starts.

So the metrics still show why each container last ended after a restart of the bot. An end that this process has
received itself is newer and stays. Without the store, nothing is restored.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from core.model.end_causes import CauseKind
from core.model.event_actions import ListEvents
from core.model.events import EventKind
from runtimes.inventory.mirror import Mirror
from runtimes.inventory.stored_events import StoredEvents

PAUSE_SECONDS = 2.0  # between two looks whether the engine has answered, so that its id is known
HISTORY_NS = 30 * 86_400 * 1_000_000_000
MAX_ENDS = 5_000
CAUSES = frozenset(CauseKind)


async def load_stored_ends(mirror: Mirror, stored: StoredEvents, *, now_ns: Callable[[], int] = time.time_ns) -> None:
    """Restores the ends of one engine, once it has answered."""
    while not mirror.engine_id:  # noqa: ASYNC110 (an engine may answer at any time, or never)
        await asyncio.sleep(PAUSE_SECONDS)
    wanted = ListEvents(
        engine=mirror.ref,
        since_ns=now_ns() - HISTORY_NS,
        limit=MAX_ENDS,
        lifecycle=True,
        types=("container",),
        actions=(str(EventKind.DIED),),
    )
    events, _ = await stored.read(mirror.engine_id, mirror.ref, wanted)
    for event in events:
        if event.kind is EventKind.DIED:
            cause = event.attrs.get("cause")
            mirror.ends.restore(event, CauseKind(cause) if cause in CAUSES else None)
