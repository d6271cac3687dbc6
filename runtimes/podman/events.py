"""Podman's events from where they come fastest: its event file followed by the kernel's word, or its API.

The API reads that same file every quarter of a second. Where the service is on this machine and its file can be read
and proves to be its own (the last line is one the API tells too), the file is followed, and a quiet stream of the API
stands beside it only to show that the service lives. Its history survives restarts of the service, until it is rotated
or the machine starts anew. Events are in the order they were written, which is not quite that of their times; from
`since` on everything comes at least once. Without events (`none`) there is a sentence with the cure.
"""

from __future__ import annotations

import abc
import asyncio
import contextlib
import time
import urllib.parse
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from pathlib import Path

import structlog

from core import errors
from core.model import actions
from core.model.events import Event
from runtimes.base.adapter import does
from runtimes.kernel import file_tail
from runtimes.podman import client
from runtimes.transport.lines import LineReader

log = structlog.get_logger(__name__)

NONE = "none"
PATIENCE = 10.0  # seconds for a stream to be opened
EARLIER = (
    1_000_000_000  # ns asked for before `since`: inclusive in some versions, exclusive in others, in floating point
)
AGAIN = 0.5  # seconds before a quiet stream that ended is opened anew
LAST = 65_536  # bytes at the end of the file among which its last line is looked for
# Rare events: a stream that says nothing while the service lives.
QUIET = urllib.parse.quote('{"type":["system"]}')
NO_EVENTS = "keeps no events (events_logger is “none”), so what happens is seen only when its containers are listed."
NO_EVENTS_CURE = 'Set events_logger = "file" under [engine] in its containers.conf and restart its service.'


class EventVerbs(client.EngineClient, abc.ABC):
    @does(actions.ListEvents)
    async def list_events(self, action: actions.ListEvents, seconds: float) -> tuple[Event, ...]:
        info = await self._meet(seconds)
        if info.host.events == NONE:
            raise self._eventless()
        now = time.time_ns()
        # Without `stream=false` a window ends after an event or two.
        target = f"/events?stream=false&since={_since(action.since_ns)}"
        answer = await self._ask("GET", target, seconds)
        found = self._dialect.events(answer.body, replay_before=now, since=action.since_ns)
        found.sort(key=lambda event: event.at_ns)
        return tuple(found[-action.limit :])

    async def events(self, since_ns: int | None) -> AsyncIterator[Sequence[Event]]:
        info = await self._meet(PATIENCE, again=True)
        if info.host.events == NONE:
            raise self._eventless()
        opened = time.time_ns()
        file = await self.event_file()
        told = self._from_api(since_ns, opened) if file is None else self._from_file(file, since_ns, opened)
        async with contextlib.aclosing(told):
            async for batch in told:
                yield batch

    def _eventless(self) -> errors.EventsUnsupported:
        return errors.EventsUnsupported(f"{self.ref} {NO_EVENTS}", hint=NO_EVENTS_CURE)

    # ── by the API ───────────────────────────────────────────────────────────────────────────────────────────────

    async def _from_api(self, since_ns: int | None, opened: int) -> AsyncGenerator[Sequence[Event], None]:
        # Nothing tells when the subscription stands, so also one from now on asks for what was just before. Another
        # machine's clock may be another one: there the second before is told too.
        begin = since_ns if since_ns is not None else opened if self.local else 0
        asked = begin or opened
        async with self._stream("GET", f"/events?since={_since(asked)}", PATIENCE, pause=False) as chunks:
            yield ()
            async for lines in LineReader(chunks.__anext__, str(self.ref)):
                if batch := self._dialect.events(lines, replay_before=opened, since=begin):
                    yield batch

    # ── by the file ──────────────────────────────────────────────────────────────────────────────────────────────

    async def event_file(self, seconds: float = 5.0) -> Path | None:
        """The event file, where the service is local, it can be read, and is this service's."""
        if self._info.host.events != "file" or not self.local:
            return None
        for path in self.event_places():
            with contextlib.suppress(OSError):
                if await self._is_its_own(_last_line(path), seconds):
                    return path
        return None

    def event_places(self) -> Sequence[Path]:
        """Where Podman puts it, seen from its run root: root's is /run/containers/storage beside /run/libpod, a user's
        /run/user/UID/containers beside /run/user/UID/libpod/tmp."""
        run_root = Path(self._info.store.run_root)
        if self._info.rootless:
            return (run_root.parent / "libpod/tmp/events/events.log",)
        return (run_root.parent.parent / "libpod/events/events.log",)

    async def _is_its_own(self, line: bytes, seconds: float) -> bool:
        logged, _ = self._dialect.logged(line, replay_before=0)
        if not logged:
            return False
        last = logged[-1]
        # Of a window that ends in the past 4.3 tells an event or two, or none.
        until = time.time_ns() // 1_000_000_000 + 2
        target = f"/events?stream=false&since={_since(last.at_ns)}&until={until}"
        try:
            answer = await self._ask("GET", target, seconds)
            told = self._dialect.events(answer.body, replay_before=0, since=last.at_ns)
        except errors.EngineError as error:
            log.warning("The event file could not be compared.", engine=str(self.ref), reason=error.full_message())
            return False
        return any((one.at_ns, one.action) == (last.at_ns, last.action) for one in told)

    async def _from_file(self, path: Path, since_ns: int | None, opened: int) -> AsyncGenerator[Sequence[Event], None]:
        since = opened if since_ns is None else since_ns
        lines = file_tail.FileTail(path, from_start=since_ns is not None)
        loop = asyncio.get_running_loop()
        alive = loop.create_task(self._until_it_ends(), name=f"{self.ref}: alive")
        alive.add_done_callback(lambda _: lines.wake())
        try:
            yield ()
            while not alive.done():
                while read := lines.read():
                    batch, torn = self._dialect.logged(read, replay_before=opened, since=since)
                    if torn:
                        log.warning("Lines of the event file cannot be read.", engine=str(self.ref), lines=torn)
                    if batch:
                        yield batch
                    if not alive.done():
                        await asyncio.sleep(0)
                await lines.wait()
            alive.result()
        finally:
            alive.cancel()
            await asyncio.gather(alive, return_exceptions=True)
            lines.close()

    async def _until_it_ends(self) -> None:
        """Waits as long as the service lives. Raises what broke it off."""
        while True:
            async with self._stream("GET", f"/events?filters={QUIET}", PATIENCE) as chunks:
                async for _ in chunks:
                    pass
            # The API's own reader may give up when the file is replaced or removed; the service lives on.
            await asyncio.sleep(AGAIN)
            await self._ask("GET", "/_ping", PATIENCE)


def _since(at_ns: int) -> str:
    earlier = max(1, at_ns - EARLIER)
    return f"{earlier // 1_000_000_000}.{earlier % 1_000_000_000:09d}"


def _last_line(path: Path) -> bytes:
    """The last whole line; empty where there is none."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - LAST))
        whole, _, _ = file.read().rpartition(b"\n")
    return whole.rpartition(b"\n")[2]
