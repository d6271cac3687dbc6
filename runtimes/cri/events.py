"""What happens on a CRI engine, as events: one look after the other, compared; CRI-O's own stream where it is on.

containerd 1.6 has no stream, and 1.7 deals its events out among those who listen: the kubelet would miss ours. So only
CRI-O is listened to. There `enable_pod_events` is off unless somebody set it, and the stream then ends at once, in
peace: from there on it is looked at instead, in the same picture, so that nothing is told twice. A reader that stalls
holds CRI-O's other listeners up: what reads does nothing but read and put in a queue, which ends the stream when full.

Times are the engine's own where it keeps them, so the same facts are the same events whoever saw them. What came and
went between two looks leaves no trace; how something ended that was removed at once is not known.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from core import errors
from core.model.events import Event, Origin
from runtimes.cri import decode
from runtimes.cri.decode import Known
from runtimes.cri.snapshot import View
from runtimes.proto import cri_pb2 as cri
from runtimes.transport import grpc_channel

PERIOD = 1.0  # seconds between two looks
PATIENCE = 10.0  # seconds for one look
QUEUED = 4096
ENDS_AT_ONCE = 0.3  # seconds within which CRI-O ends a stream it does not mean to fill


class Stream:
    """CRI-O's own: read by a task of its own, taken by whoever makes events of it."""

    def __init__(self, line: grpc_channel.GrpcChannel, name: str) -> None:
        self._line = line
        self.told: deque[cri.ContainerEventResponse] = deque()
        self.news = asyncio.Event()
        self.ended = self.overflowed = self.filled = False
        self.error: errors.QuarterdeckError | None = None
        self._task = asyncio.get_running_loop().create_task(self._read(), name=name)

    async def _read(self) -> None:
        method = "/runtime.v1.RuntimeService/GetContainerEvents"
        stream = self._line.stream(method, cri.GetEventsRequest(), cri.ContainerEventResponse)
        try:
            async for message in stream:
                if len(self.told) >= QUEUED:
                    self.overflowed = True
                    return
                self.filled = True
                self.told.append(message)
                self.news.set()
        except errors.Unsupported:
            pass  # older than events: as one that ends at once
        except errors.QuarterdeckError as error:
            self.error = error
        finally:
            self.ended = True
            self.news.set()
            await stream.aclose()  # type: ignore[attr-defined]

    async def wait(self) -> Sequence[cri.ContainerEventResponse]:
        """What came; nothing once it has ended in peace. Raises what ended it otherwise."""
        await self.news.wait()
        self.news.clear()
        told = list(self.told)
        self.told.clear()
        if self.ended:
            self.news.set()
            if self.overflowed:
                raise errors.InvalidResponse(f"The events of {self._line.engine} came faster than they could be read.")
            if self.error is not None and not told:
                raise self.error
        return told

    @property
    def off(self) -> bool:
        """Whether CRI-O does not mean to fill it. One that ends has it end in peace too, which the next look shows."""
        return self.ended and not self.filled

    async def aclose(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def broadcasts(line: grpc_channel.GrpcChannel) -> bool:
    """Whether CRI-O fills its stream of events. Raises EngineErrors."""
    stream = Stream(line, "cri: probe events")
    try:
        async with asyncio.timeout(ENDS_AT_ONCE):
            while not stream.ended:
                await stream.wait()
    except TimeoutError:
        return True
    finally:
        await stream.aclose()
    return not stream.off


async def told(
    look: Callable[[float], Awaitable[View]],
    stream: Stream | None,
    since_ns: int | None,
    fills: Callable[[bool], None],
) -> AsyncIterator[Sequence[Event]]:
    """Batches, an empty one first, for as long as the engine answers; raises what ends that. `since_ns`: what is still
    there tells of itself from then on. `fills` is told whether the stream is one that brings events."""
    view = await look(PATIENCE)
    yield ()
    if since_ns is not None and (before := stories(view, since_ns)):
        yield before
    if stream is not None:
        while messages := await stream.wait():
            fills(True)
            batch = []
            for message in messages:
                view, found = _heard(view, message)
                batch += found
            if batch:
                yield batch
        if not stream.off:
            return
        fills(False)
    while True:
        await asyncio.sleep(max(0.1, PERIOD - (time.time_ns() - view.at_ns) / 1e9))
        later = await look(PATIENCE)
        if batch := between(view, later):
            yield batch
        view = later


def stories(view: View, since_ns: int) -> list[Event]:
    """What is there tells of itself, from a time on."""
    found = [
        event
        for one in view.containers.values()
        for event in decode.story(one, view.ref(one), Origin.REPLAY, view.at_ns)
        if event.at_ns >= since_ns
    ]
    found.sort(key=_at)
    return found


def between(view: View, later: View) -> list[Event]:
    """What happened between two looks, in the order of its times."""
    before, after = view.containers, later.containers
    found = decode.pod_changes(view.engine, view.pods, later.pods, later.at_ns)
    for thing, old in before.items():
        if thing not in after:
            found += decode.gone(old, view.ref(old), later.at_ns)
    for thing, now in after.items():
        if (was := before.get(thing)) is not now:
            found += decode.became(was, now, later.ref(now), later.at_ns)
    found += _renamed(view, later)
    found.sort(key=_at)
    return found


def _heard(view: View, message: cri.ContainerEventResponse) -> tuple[View, list[Event]]:
    """The view after an event of CRI-O's stream, and what it told."""
    pod, at_ns = message.pod_sandbox_status, message.created_at
    if pod.id and message.container_id == pod.id:
        pods = {**view.pods, pod.id: pod}
        if message.container_event_type == decode.DELETED:
            del pods[pod.id]
        return view.with_pods(pods), [decode.pod_event(view.engine, pod, message.container_event_type, at_ns)]
    new: dict[str, Known] = {}
    for status in message.containers_statuses:
        one = decode.known(status, status, pod if pod.id else None)
        was = view.containers.get(one.id)
        # The stream began before the first look, which may have seen more than its first events tell.
        if was is None or was.progress <= one.progress:
            new[one.id] = one
    gone = message.container_id if message.container_event_type == decode.DELETED else ""
    old = view.containers.get(gone) or new.get(gone)
    later = view.after(new, gone, at_ns)
    found: list[Event] = []
    for thing, now in new.items():
        if thing != gone:
            found += decode.became(view.containers.get(thing), now, later.ref(now), at_ns)
    if old is not None:
        name = view.names.get(gone) or old.path
        found += decode.gone(old, decode.ref(view.engine, old, name), at_ns)
    if message.container_event_type not in decode.EVENT_WORDS:
        found.append(decode.unknown_event(view.engine, message))
    found += _renamed(view, later)
    return later, found


def _renamed(view: View, later: View) -> list[Event]:
    """Those that gave their name to a newer attempt, or got it back."""
    if view.names is later.names:
        return []
    return [
        decode.renamed(one, later.ref(one), view.names[thing], later.at_ns)
        for thing, one in later.containers.items()
        if thing in view.names and view.names[thing] != later.names[thing]
    ]


def _at(event: Event) -> int:
    return event.at_ns
