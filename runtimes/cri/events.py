"""Watches a CRI engine and yields its events, from CRI-O's event stream or by comparing snapshots.

Only CRI-O's stream is used. containerd 1.6 has no event stream. containerd 1.7 delivers each event to only one of its
listeners, so the kubelet would miss the events that Quarterdeck receives. CRI-O's stream is disabled by default
(`enable_pod_events`). A disabled stream ends at once without an error; from then on, snapshots are compared. The first
comparison is against the state known from the stream's last event, so no event is repeated. A slow reader would block
CRI-O's other listeners. So the reading task only puts messages into a queue, and ends the stream when the queue is
full.

The times are the engine's own if the engine reports them, so both ways make the same events from the same facts. A
container is not seen if it is created and removed between two snapshots. The exit code is unknown if a container ends
and is removed at once.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from core import errors
from core.model.events import Event, Origin
from runtimes.cri import decode, derive_events
from runtimes.cri.decode import ContainerRecord
from runtimes.cri.snapshot import Snapshot
from runtimes.proto import cri_pb2 as cri
from runtimes.transport import grpc_channel

POLL_SECONDS = 1.0
SNAPSHOT_TIMEOUT_SECONDS = 10.0
MAX_QUEUED_EVENTS = 4096
PROBE_SECONDS = 0.3  # CRI-O ends a disabled stream within this time


async def watch(
    read_snapshot: Callable[[float], Awaitable[Snapshot]],
    stream: CrioStream | None,
    since_ns: int | None,
    set_enabled: Callable[[bool], None],
) -> AsyncIterator[Sequence[Event]]:
    """Yields batches of events until the engine fails. The first batch is empty. `since_ns`: first yields past events
    since this time, derived from the existing containers. `set_enabled`: called when it is known whether CRI-O's stream
    is enabled. Raises EngineErrors."""
    snapshot = await read_snapshot(SNAPSHOT_TIMEOUT_SECONDS)
    yield ()
    if since_ns is not None and (past := replay(snapshot, since_ns)):
        yield past
    if stream is not None:
        while messages := await stream.wait():
            set_enabled(True)
            batch = []
            for message in messages:
                snapshot, events = apply_event(snapshot, message)
                batch += events
            if batch:
                yield batch
        if stream.enabled:
            return
        set_enabled(False)
    while True:
        await asyncio.sleep(max(0.1, POLL_SECONDS - (time.time_ns() - snapshot.at_ns) / 1e9))
        after = await read_snapshot(SNAPSHOT_TIMEOUT_SECONDS)
        if batch := compare(snapshot, after):
            yield batch
        snapshot = after


def replay(snapshot: Snapshot, since_ns: int) -> list[Event]:
    """Derives the events of all existing containers since a time, ordered by time."""
    events = [
        event
        for record in snapshot.containers.values()
        for event in derive_events.past_events(record, snapshot.ref(record), Origin.REPLAY, snapshot.at_ns)
        if event.at_ns >= since_ns
    ]
    events.sort(key=_time)
    return events


def compare(before: Snapshot, after: Snapshot) -> list[Event]:
    """Derives the events between two snapshots, ordered by time."""
    events = derive_events.pod_change_events(before.engine, before.pods, after.pods, after.at_ns)
    for container_id, old in before.containers.items():
        if container_id not in after.containers:
            events += derive_events.removal_events(old, before.ref(old), after.at_ns)
    for container_id, new in after.containers.items():
        if (known := before.containers.get(container_id)) is not new:
            events += derive_events.change_events(known, new, after.ref(new), after.at_ns)
    events += _renamed(before, after)
    events.sort(key=_time)
    return events


def apply_event(before: Snapshot, message: cri.ContainerEventResponse) -> tuple[Snapshot, list[Event]]:
    """Applies a message of CRI-O's stream. Returns the snapshot after it, and its events."""
    pod, at_ns = message.pod_sandbox_status, message.created_at
    if pod.id and message.container_id == pod.id:
        pods = {**before.pods, pod.id: pod}
        if message.container_event_type == derive_events.DELETED:
            del pods[pod.id]
        event = derive_events.pod_event(before.engine, pod, message.container_event_type, at_ns)
        return before.with_pods(pods), [event]
    changed: dict[str, ContainerRecord] = {}
    for status in message.containers_statuses:
        record = decode.container_record(status, status, pod if pod.id else None)
        known = before.containers.get(record.id)
        # The stream began before the first snapshot, which may be newer than the first messages.
        if known is None or known.progress <= record.progress:
            changed[record.id] = record
    removed_id = message.container_id if message.container_event_type == derive_events.DELETED else ""
    removed = before.containers.get(removed_id) or changed.get(removed_id)
    after = before.with_containers(changed, removed_id, at_ns)
    events: list[Event] = []
    for container_id, record in changed.items():
        if container_id != removed_id:
            known = before.containers.get(container_id)
            events += derive_events.change_events(known, record, after.ref(record), at_ns)
    if removed is not None:
        name = before.names.get(removed_id) or removed.path
        events += derive_events.removal_events(removed, decode.container_ref(before.engine, removed, name), at_ns)
    if message.container_event_type not in derive_events.MESSAGE_ACTIONS:
        events.append(derive_events.unknown_event(before.engine, message))
    events += _renamed(before, after)
    return after, events


def _renamed(before: Snapshot, after: Snapshot) -> list[Event]:
    """Returns the events of renamed containers. A container loses its plain name to a newer attempt, and gets it back
    when that attempt is removed."""
    if before.names is after.names:
        return []
    return [
        derive_events.rename_event(record, after.ref(record), before.names[container_id], after.at_ns)
        for container_id, record in after.containers.items()
        if container_id in before.names and before.names[container_id] != after.names[container_id]
    ]


def _time(event: Event) -> int:
    return event.at_ns


class CrioStream:
    """Reads CRI-O's event stream. A task puts the messages into a bounded queue; `wait` takes them out."""

    def __init__(self, channel: grpc_channel.GrpcChannel, task_name: str) -> None:
        self._channel = channel
        self._queue: deque[cri.ContainerEventResponse] = deque()
        self._changed = asyncio.Event()
        self.ended = self._overflowed = self._received = False
        self._error: errors.QuarterdeckError | None = None
        self._task = asyncio.get_running_loop().create_task(self._read(), name=task_name)

    async def _read(self) -> None:
        method = "/runtime.v1.RuntimeService/GetContainerEvents"
        stream = self._channel.stream(method, cri.GetEventsRequest(), cri.ContainerEventResponse)
        try:
            async for message in stream:
                if len(self._queue) >= MAX_QUEUED_EVENTS:
                    self._overflowed = True
                    return
                self._received = True
                self._queue.append(message)
                self._changed.set()
        except errors.Unsupported:
            pass  # this CRI-O is older than the method: the same as a disabled stream
        except errors.QuarterdeckError as error:
            self._error = error
        finally:
            self.ended = True
            self._changed.set()
            await stream.aclose()  # type: ignore[attr-defined]

    async def wait(self) -> Sequence[cri.ContainerEventResponse]:
        """Waits for messages and returns them. Returns none if the stream has ended without an error. Raises
        EngineErrors."""
        await self._changed.wait()
        self._changed.clear()
        messages = list(self._queue)
        self._queue.clear()
        if self.ended:
            self._changed.set()
            if self._overflowed:
                raise errors.InvalidResponse(
                    f"{self._channel.engine} sent more than {MAX_QUEUED_EVENTS} events before they could be read.",
                    hint="If this happens again, give Quarterdeck more CPU time.",
                )
            if self._error is not None and not messages:
                raise self._error
        return messages

    @property
    def enabled(self) -> bool:
        """Returns False if CRI-O ended the stream without sending anything. A CRI-O that stops ends the stream in the
        same way, but then the next snapshot fails."""
        return not self.ended or self._received

    async def aclose(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def crio_stream_enabled(channel: grpc_channel.GrpcChannel) -> bool:
    """Opens CRI-O's event stream for a moment to see whether it is enabled. Raises EngineErrors."""
    stream = CrioStream(channel, "cri: probe events")
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            while not stream.ended:
                await stream.wait()
    except TimeoutError:
        return True
    finally:
        await stream.aclose()
    return stream.enabled
