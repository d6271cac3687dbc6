"""Streams a Podman service's events: from its event file if possible, otherwise from its API.

The event file is faster, because the API reads it only every quarter of a second. The file is followed if it is
readable, the service is on this machine, and the file belongs to the service. The file belongs to the service if the
API also reports the event in the file's last line. A user may put anything in the file's place: it must be a regular
file of the service's user (`core.untrusted_files`). While the file is followed, an almost silent API stream stays open
too, only to notice when the service ends.

Past events survive a restart of the service, until the file is rotated or the machine restarts. Events arrive in the
order in which they were written, which is nearly the order of their times. Every event since `since` arrives at least
once. A service that records no events (`none`) raises EventsUnsupported.
"""

from __future__ import annotations

import abc
import asyncio
import contextlib
import os
import time
import urllib.parse
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Sequence
from functools import partial
from pathlib import Path

import structlog

from core import errors, file_thread, tasks, untrusted_files
from core.model import event_actions
from core.model.events import Event, EventList
from runtimes.base.base_adapter import does
from runtimes.formats import json_decoder
from runtimes.kernel import file_tail
from runtimes.podman import client
from runtimes.transport.line_splitter import LineReader

log = structlog.get_logger(__name__)

NONE = "none"
OPEN_SECONDS = 10.0
# Some versions include the time `since`, others exclude it, and they compute with floating point: ask for a bit more.
EARLIER_NS = 1_000_000_000
OLDEST_SECONDS = 2.0  # to find out how far the stored events reach back
PAUSE_SECONDS = 0.5  # before a heartbeat stream that ended is opened again
MAX_LAST_LINE = 65_536  # bytes at the end of the file in which its last line is searched
RARE_EVENTS = urllib.parse.quote('{"type":["system"]}')
NO_EVENTS = "records no events (events_logger is “none”), so changes are noticed only when its containers are listed."
NO_EVENTS_HINT = 'Set events_logger = "file" under [engine] in its containers.conf and restart its service.'


class EventVerbs(client.EngineClient, abc.ABC):
    """Serves the event stream of a Podman service and the list of past events."""

    replays_events = True

    event_file_fault = ""

    @does(event_actions.ListEvents)
    async def list_events(self, action: event_actions.ListEvents, seconds: float) -> EventList:
        info = await self._engine_info(seconds)
        if info.host.events == NONE:
            raise self._no_events()
        now = time.time_ns()
        # Without `stream=false`, Podman ends the response after one or two events.
        target = f"/events?stream=false&since={_since(action.since_ns)}"
        response = await self._request("GET", target, seconds)
        parts, since = json_decoder.line_slices(response.body), action.since_ns
        decoder = self._decoder.for_past_events()
        found = [event async for part in parts for event in decoder.events(part, replay_before=now, since=since)]
        oldest = await self._oldest_event(action.since_ns, min(seconds, OLDEST_SECONDS)) if action.coverage else None
        return action.select_remembered(found, oldest)

    async def _oldest_event(self, until_ns: int, seconds: float) -> int | None:
        """Returns the time of the oldest stored event, if that is before `until_ns`. Only the first line of the answer
        is read, because a journal may have very many. None if it does not arrive in time."""
        later_ns = until_ns + EARLIER_NS  # see above
        until = f"{later_ns // 1_000_000_000}.{later_ns % 1_000_000_000:09d}"
        target = f"/events?stream=false&since=1&until={until}"
        try:
            async with asyncio.timeout(seconds), self._stream("GET", target, seconds, pause=False) as chunks:
                async for lines in LineReader(chunks.__anext__, self.skipped.add_long_line):
                    if batch := self._decoder.for_past_events().events(lines, replay_before=until_ns, since=0):
                        return batch[0].at_ns if batch[0].at_ns < until_ns else None
        except (errors.EngineError, TimeoutError):
            return None
        return None

    async def _stream_events(self, since_ns: int | None) -> AsyncIterator[Sequence[Event]]:
        info = await self._engine_info(OPEN_SECONDS, again=True)
        if info.host.events == NONE:
            raise self._no_events()
        opened = time.time_ns()
        file = await self.event_file()
        batches = self._from_api(since_ns, opened) if file is None else self._from_file(file, since_ns, opened)
        async with contextlib.aclosing(batches):
            async for batch in batches:
                yield batch

    def _no_events(self) -> errors.EventsUnsupported:
        return errors.EventsUnsupported(f"{self.ref} {NO_EVENTS}", hint=NO_EVENTS_HINT)

    # ── from the API ─────────────────────────────────────────────────────────────────────────────────────────────

    async def _from_api(self, since_ns: int | None, opened: int) -> AsyncGenerator[Sequence[Event], None]:
        # Nothing confirms the subscription, so even a stream without `since_ns` asks for the moment before it opened.
        # The clock of another machine may differ: from there, the events of the second before are passed on, too.
        begin = since_ns if since_ns is not None else opened if self.local else 0
        asked = begin or opened
        async with self._stream("GET", f"/events?since={_since(asked)}", OPEN_SECONDS, pause=False) as chunks:
            yield ()
            async for lines in LineReader(chunks.__anext__, self.skipped.add_long_line):
                if batch := self._decoder.events(lines, replay_before=opened, since=begin):
                    yield batch

    # ── from the file ────────────────────────────────────────────────────────────────────────────────────────────

    async def event_file(self, seconds: float = 5.0) -> Path | None:
        """The event file, if the service is local and the file is readable and belongs to the service. Otherwise
        `event_file_fault` contains the reason."""
        self.event_file_fault = ""
        if self._info.host.events != "file" or not self.local:
            return None
        path = self.event_file_path()
        files = file_thread.FileThread("podman event file")
        try:
            line = await files.run(partial(_last_line, path, self._event_file_owners()), seconds)
        except TimeoutError:
            self.event_file_fault = f"it could not be read within {seconds:.0f} s"
        except OSError as error:
            self.event_file_fault = error.strerror or str(error)
        else:
            if await self._is_own_event(line, seconds):
                return path
            self.event_file_fault = "its last line is not an event of this service"
        finally:
            files.close()
        return None

    def _event_file_owners(self) -> Collection[int]:
        if not self._info.rootless:
            return (0,)
        return () if self._info.uid is None else (self._info.uid,)

    def event_file_path(self) -> Path:
        """Where Podman writes it. Root's is in /run/libpod, beside the run root /run/containers/storage; a user's is in
        /run/user/UID/libpod/tmp, beside the run root /run/user/UID/containers."""
        run_root = Path(self._info.store.run_root)
        if self._info.rootless:
            return run_root.parent / "libpod/tmp/events/events.log"
        return run_root.parent.parent / "libpod/events/events.log"

    async def _is_own_event(self, line: bytes, seconds: float) -> bool:
        """Whether the API reports the event in this line of the file, too."""
        in_file = self._decoder.for_past_events().file_events(line, replay_before=0)
        if not in_file:
            return False
        last = in_file[-1]
        # If `until` is in the past, Podman 4.3 sends only an event or two, or none.
        until = time.time_ns() // 1_000_000_000 + 2
        target = f"/events?stream=false&since={_since(last.at_ns)}&until={until}"
        try:
            response = await self._request("GET", target, seconds)
            reported = self._decoder.for_past_events().events(response.body, replay_before=0, since=last.at_ns)
        except errors.EngineError as error:
            log.warning(
                "The event file could not be compared with the API, so it was not used.",
                engine=str(self.ref),
                file=str(self.event_file_path()),
                reason=error.full_message(),
            )
            return False
        return any((one.at_ns, one.action) == (last.at_ns, last.action) for one in reported)

    async def _from_file(self, path: Path, since_ns: int | None, opened: int) -> AsyncGenerator[Sequence[Event], None]:
        since = opened if since_ns is None else since_ns
        lines = file_tail.FileTail(path, from_start=since_ns is not None, owners=self._event_file_owners())
        heartbeat = tasks.start_awaited(f"podman_heartbeat {self.ref}", self._wait_for_end())
        heartbeat.add_done_callback(lambda _: lines.wake())
        try:
            await lines.open()
            if lines.skipped:
                log.warning(
                    "The oldest events of the event file were not read, because the file is too large.",
                    engine=str(self.ref),
                    file=str(path),
                    bytes=lines.skipped,
                )
            yield ()
            while not heartbeat.done():
                while read := await lines.read():
                    if batch := self._decoder.file_events(read, replay_before=opened, since=since):
                        yield batch
                await lines.wait()
            heartbeat.result()
        finally:
            lines.close()  # first: this may be cancelled while it waits for the other
            heartbeat.cancel()
            await asyncio.wait([heartbeat])

    async def _wait_for_end(self) -> None:
        """Waits as long as the service runs, then raises what ended its stream."""
        while True:
            async with self._stream("GET", f"/events?filters={RARE_EVENTS}", OPEN_SECONDS) as chunks:
                async for _ in chunks:
                    pass
            # The stream may also end because the event file was replaced or removed, while the service continues.
            await asyncio.sleep(PAUSE_SECONDS)
            await self._request("GET", "/_ping", OPEN_SECONDS)


def _since(at_ns: int) -> str:
    earlier = max(1, at_ns - EARLIER_NS)
    return f"{earlier // 1_000_000_000}.{earlier % 1_000_000_000:09d}"


def _last_line(path: Path, owners: Collection[int]) -> bytes:
    """The last whole line; empty without one. Raises OSError."""
    file = untrusted_files.open_file(str(path), owners)
    try:
        start = max(0, os.fstat(file).st_size - MAX_LAST_LINE)
        whole, _, _ = os.pread(file, MAX_LAST_LINE, start).rpartition(b"\n")
    finally:
        os.close(file)
    return whole.rpartition(b"\n")[2]
