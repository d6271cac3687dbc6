"""Watches a CRI engine and yields its events, from its event stream or by comparing snapshots.

The streams of CRI-O and of containerd 2 are used. containerd 1.6 has no stream. containerd 1.7 delivers each event to
only one of its listeners, so the kubelet would miss the events that Quarterdeck receives. CRI-O's stream is disabled by
default (`enable_pod_events`). A disabled stream ends at once without an error; from then on, snapshots are compared.

A stream alone is not enough, as found on CRI-O 1.37: a removed pod and its containers send no event, a message lists
only containers with the label of the kubelet's pod uid, and names the image by any of its tags. So a
snapshot is also read and compared every few seconds, at the first message about something unknown, after a message
about a container that it does not list, and shortly after a pod has stopped. Engines keep events from before the first
listener; these are older than the first snapshot and are dropped. What was removed stays removed, whatever a later
message contains.

The times are the engine's own if the engine reports them, so the stream and the snapshots yield equal events. A
container is not seen if it is created and removed between two snapshots. The exit code is unknown if a container ends
and is removed at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence

from core.model.events import Event, Origin
from runtimes.cri import decode, derive_events
from runtimes.cri.decode import ContainerRecord
from runtimes.cri.event_stream import EventStream
from runtimes.cri.snapshot import Snapshot
from runtimes.proto import cri_pb2 as cri

POLL_SECONDS = 1.0
SNAPSHOT_TIMEOUT_SECONDS = 10.0
COMPARE_SECONDS = 5.0
"""Between two snapshots while the stream is used: how long a removed pod is shown at most."""
SETTLE_SECONDS = 0.2
"""From the message that a pod has stopped to the next snapshot: the engine may be about to remove the pod."""
MIN_COMPARE_SECONDS = 0.1
"""Between two snapshots, however many messages are about something unknown. Such messages wait so long."""
MESSAGES_AT_ONCE = 20  # of the stream; each may cost a pass over all containers
MAX_REMOVED = 4096


class EventWatch:
    """Watches one engine, in one event stream after the other.

    `snapshot`: the containers and pods after the last event that was yielded. So the next stream repeats no event of
    this one, although CRI-O's clocks for a container's creation differ by up to 155 ms.
    """

    def __init__(
        self, read_snapshot: Callable[[float], Awaitable[Snapshot]], set_enabled: Callable[[bool], None]
    ) -> None:
        """`set_enabled`: called when it is known whether the engine's stream is enabled."""
        self._read_snapshot = read_snapshot
        self._set_enabled = set_enabled
        self.snapshot: Snapshot | None = None
        self._removed: dict[str, None] = {}
        self._due = self._compared = 0.0  # by the clock of the event loop

    async def events(self, stream: EventStream | None, since_ns: int | None) -> AsyncIterator[Sequence[Event]]:
        """Yields batches of events until the engine fails. The first batch is empty. `since_ns`: first yields past
        events since this time, derived from the existing containers. Raises EngineErrors."""
        first = await self._read_snapshot(SNAPSHOT_TIMEOUT_SECONDS)
        reported = self.snapshot.containers if self.snapshot is not None else {}
        self.snapshot = first
        yield ()
        if since_ns is not None and (past := replay(first, since_ns, reported)):
            yield past
        if stream is not None:
            async for batch in self._streamed(stream, first.at_ns):
                yield batch
            if stream.enabled:
                return
            self._set_enabled(False)
        while True:
            await asyncio.sleep(max(0.1, POLL_SECONDS - (time.time_ns() - self.snapshot.at_ns) / 1e9))
            if batch := await self._compare():
                yield batch

    async def _streamed(self, stream: EventStream, begin_ns: int) -> AsyncIterator[Sequence[Event]]:
        """Yields the events of the stream and of the snapshots beside it, until the stream ends."""
        loop = asyncio.get_running_loop()
        self._compared, self._due = loop.time(), loop.time() + COMPARE_SECONDS
        while True:
            messages = await stream.wait(max(0.0, self._due - loop.time()))
            if not messages and stream.ended:
                return
            self._set_enabled(True)
            # What was kept from before this stream is in the first snapshot, as far as it still exists.
            messages = [message for message in messages if message.created_at >= begin_ns]
            if any(map(self._is_news, messages)):
                # More messages may arrive meanwhile: they are all covered by one snapshot.
                await asyncio.sleep(self._compared + MIN_COMPARE_SECONDS - loop.time())
                if batch := await self._compare():
                    yield batch
            batch = []
            for number, message in enumerate(messages, 1):
                batch += self._apply(message)
                if number % MESSAGES_AT_ONCE == 0:
                    await asyncio.sleep(0)
            if batch:
                yield batch
            if loop.time() >= self._due and (found := await self._compare()):
                yield found

    async def _compare(self) -> list[Event]:
        before, after = self._known(), await self._read_snapshot(SNAPSHOT_TIMEOUT_SECONDS)
        self.snapshot = after
        now = asyncio.get_running_loop().time()
        self._compared, self._due = now, now + COMPARE_SECONDS
        self._forget({*before.containers, *before.pods} - {*after.containers, *after.pods})
        return compare(before, after)

    def _apply(self, message: cri.ContainerEventResponse) -> list[Event]:
        before = self._known()
        listed = {status.id for status in message.containers_statuses}
        is_pod = message.container_id in before.pods or message.container_id == message.pod_sandbox_status.id
        if is_pod and message.container_event_type == derive_events.STOPPED:
            self._compare_within(SETTLE_SECONDS)
        elif not is_pod and message.container_id not in (*listed, *self._removed):
            self._compare_within(0.0 if message.container_event_type != derive_events.DELETED else SETTLE_SECONDS)
        self.snapshot, events = apply_event(before, message, self._removed)
        if message.container_event_type == derive_events.DELETED:
            self._forget((message.container_id,))
        return events

    def _is_news(self, message: cri.ContainerEventResponse) -> bool:
        """Returns whether a message is about a container or pod that no snapshot contained."""
        known, ids = self._known(), (message.container_id, message.pod_sandbox_status.id)
        return message.container_event_type != derive_events.DELETED and any(
            one and one not in known.containers and one not in known.pods and one not in self._removed for one in ids
        )

    def _compare_within(self, seconds: float) -> None:
        now = asyncio.get_running_loop().time()
        self._due = min(self._due, max(now + seconds, self._compared + MIN_COMPARE_SECONDS))

    def _forget(self, ids: Collection[str]) -> None:
        for one in ids:
            self._removed[one] = None
        for one in list(self._removed)[: max(0, len(self._removed) - MAX_REMOVED)]:
            del self._removed[one]

    def _known(self) -> Snapshot:
        assert self.snapshot is not None
        return self.snapshot


def replay(snapshot: Snapshot, since_ns: int, reported: Mapping[str, ContainerRecord] | None = None) -> list[Event]:
    """Derives the events of all existing containers since a time, ordered by time. `reported`: containers whose
    events were yielded before; only what has changed since then is derived."""
    known = reported or {}
    events: list[Event] = []
    for record in snapshot.containers.values():
        ref, old = snapshot.ref(record), known.get(record.id)
        if old is None:
            events += derive_events.past_events(record, ref, Origin.REPLAY, snapshot.at_ns)
        else:
            events += derive_events.derive_change_events(old, record, ref, snapshot.at_ns, origin=Origin.REPLAY)
    return sorted((event for event in events if event.at_ns >= since_ns), key=_time)


def compare(before: Snapshot, after: Snapshot) -> list[Event]:
    """Derives the events between two snapshots, ordered by time."""
    events = derive_events.pod_change_events(before.engine, before.pods, after.pods, after.at_ns)
    for container_id, old in before.containers.items():
        if container_id not in after.containers:
            events += derive_events.removal_events(old, before.ref(old), after.at_ns)
    for container_id, new in after.containers.items():
        if (known := before.containers.get(container_id)) is not new:
            events += derive_events.derive_change_events(known, new, after.ref(new), after.at_ns)
    events += _renamed(before, after)
    events.sort(key=_time)
    return events


def apply_event(
    before: Snapshot, message: cri.ContainerEventResponse, removed_before: Collection[str] = ()
) -> tuple[Snapshot, list[Event]]:
    """Applies a message of the stream. Returns the snapshot after it, and its events. `removed_before`: ids of
    containers and pods that were removed earlier; what a late message says of them is ignored."""
    pod, at_ns = message.pod_sandbox_status, message.created_at
    if message.container_id in before.pods or message.container_id == pod.id:
        # containerd sends no status of a pod that it has removed.
        return _apply_pod_event(before, message, removed_before)
    changed: dict[str, ContainerRecord] = {}
    for status in message.containers_statuses:
        known = before.containers.get(status.id)
        record = decode.record_after_event(known, status, pod if pod.id else None)
        # The stream began before the first snapshot, which may be newer than the first messages.
        if status.id not in removed_before and (known is None or known.progress <= record.progress):
            changed[record.id] = record
    removed_id = message.container_id if message.container_event_type == derive_events.DELETED else ""
    removed = before.containers.get(removed_id) or changed.get(removed_id)
    after = before.with_containers(changed, removed_id, at_ns)
    events: list[Event] = []
    for container_id, record in changed.items():
        if container_id != removed_id:
            known = before.containers.get(container_id)
            events += derive_events.derive_change_events(known, record, after.ref(record), at_ns)
    if removed is not None:
        name = before.names.get(removed_id) or removed.path
        events += derive_events.removal_events(removed, decode.container_ref(before.engine, removed, name), at_ns)
    if message.container_event_type not in derive_events.MESSAGE_ACTIONS:
        events.append(derive_events.unknown_event(before.engine, message, at_ns))
    events += _renamed(before, after)
    return after, events


def _apply_pod_event(
    before: Snapshot, message: cri.ContainerEventResponse, removed_before: Collection[str]
) -> tuple[Snapshot, list[Event]]:
    pod_id = message.container_id
    known = before.pods.get(pod_id)
    pod = message.pod_sandbox_status if message.pod_sandbox_status.id else known
    if pod is None or pod_id in removed_before:
        return before, []
    pods = {**before.pods, pod_id: pod}
    if message.container_event_type == derive_events.DELETED:
        del pods[pod_id]
    elif known is not None and derive_events.is_reported(known, message.container_event_type):
        return before.with_pods(pods), []
    return before.with_pods(pods), [
        derive_events.pod_event(before.engine, pod, message.container_event_type, message.created_at)
    ]


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
