"""Streams a Docker daemon's events, and lists the recent events that the daemon still stores.

A daemon stores its last 256 events in memory. Events arrive in the daemon's order. This module does not reconnect when
a stream ends.
"""

from __future__ import annotations

import abc
import time
import urllib.parse
from collections.abc import AsyncIterator, Sequence

from core.model import event_actions
from core.model.events import Event, EventList
from runtimes.base.base_adapter import does
from runtimes.docker.client import EngineClient
from runtimes.formats import json_decoder, timestamps
from runtimes.transport.line_splitter import LineReader

OPEN_SECONDS = 10.0
OLDEST_NS = 1_000_000_000  # before any event
LOCAL_SCOPE = urllib.parse.quote('{"scope":["local"]}')
"""Events of a whole Swarm are left out: the Swarm's own engine reports them, once for all managers."""


class EventVerbs(EngineClient, abc.ABC):
    """Serves the event stream of a Docker daemon and the list of past events."""

    replays_events = True

    @does(event_actions.ListEvents)
    async def list_events(self, action: event_actions.ListEvents, seconds: float) -> EventList:
        # With `until` in the past, the daemon sends the events that it remembers and ends the response. To learn how
        # far its memory reaches, all of them are requested: there are 256 at most.
        since = timestamps.format_since(OLDEST_NS if action.coverage else action.since_ns)
        target = f"/events?since={since}&until={timestamps.format_since(time.time_ns())}&filters={LOCAL_SCOPE}"
        response = await self._request("GET", target, seconds)
        now, parts, decoder = time.time_ns(), json_decoder.line_slices(response.body), self._decoder.for_past_events()
        found = [event async for part in parts for event in decoder.events(part, replay_before=now)]
        return action.select_remembered(found)

    async def _stream_events(self, since_ns: int | None) -> AsyncIterator[Sequence[Event]]:
        await self._identify(OPEN_SECONDS, again=True)
        # The daemon answers a moment before it subscribes this stream. So even a stream that needs no past events asks
        # for those since now.
        since = timestamps.format_since(since_ns or time.time_ns())
        target = f"/events?filters={LOCAL_SCOPE}&since={since}"
        async with self._stream("GET", target, OPEN_SECONDS, name="events", pause=False) as chunks:
            opened = time.time_ns()
            yield ()
            async for lines in LineReader(chunks.__anext__, self.skipped.add_long_line):
                if batch := self._decoder.events(lines, replay_before=opened, fold=True):
                    yield batch
