"""Derives events of CRI containers and pods: from one record, or from the difference of two records.

The times are the engine's own if the engine reports them. So the same facts always make the same events, however often
and from whichever source they were observed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from core.model.events import Event, EventKind, Origin
from core.model.refs import EngineRef, Kind, Ref
from runtimes.cri.decode import OOM_REASON, READY, RUNNING, ContainerRecord, PodMessage, pod_path
from runtimes.formats import event_attributes
from runtimes.proto import cri_pb2 as cri

CREATED, STOPPED, DELETED = 0, 2, 3
MESSAGE_ACTIONS = {CREATED: "created", 1: "started", STOPPED: "stopped", DELETED: "deleted"}
"""By the type of a CRI event."""
ACTIONS = {
    EventKind.CREATED: "created",
    EventKind.STARTED: "started",
    EventKind.OOM: "oom",
    EventKind.DIED: "stopped",
    EventKind.REMOVED: "deleted",
    EventKind.RENAMED: "renamed",
}
"""CRI's own terms where it has one."""


def derive_change_events(
    before: ContainerRecord | None,
    after: ContainerRecord,
    subject: Ref,
    at_ns: int,
    *,
    origin: Origin = Origin.LIVE,
) -> Iterator[Event]:
    """Yields what happened to a container between two observations. `before`: None for a new container."""
    if before is None:
        yield from past_events(after, subject, origin, at_ns)
        return
    if after.started_ns and not before.started_ns:
        yield _event(EventKind.STARTED, subject, after, after.started_ns, origin=origin)
    if after.ended and not before.ended:
        yield from _end(after, subject, at_ns, origin=origin)
    elif after.ended and after.reason == OOM_REASON != before.reason:  # reported just after the end
        yield _event(EventKind.OOM, subject, after, (after.finished_ns or at_ns) - 1, origin=origin)


def past_events(record: ContainerRecord, subject: Ref, origin: Origin, at_ns: int) -> Iterator[Event]:
    """Yields all events of one container until now: created, started, ended. `at_ns`: the time of events for which the
    engine reports no time."""
    yield _event(EventKind.CREATED, subject, record, record.created_ns or at_ns, origin=origin)
    if record.started_ns:
        yield _event(EventKind.STARTED, subject, record, record.started_ns, origin=origin)
    if record.ended:
        yield from _end(record, subject, at_ns, origin=origin)


def removal_events(record: ContainerRecord, subject: Ref, at_ns: int) -> Iterator[Event]:
    """Yields the events of a removed container. `record`: the last one observed. If the container was running then, its
    exit code is unknown."""
    if record.state == RUNNING:
        yield _event(EventKind.DIED, subject, record, at_ns)
    yield _event(EventKind.REMOVED, subject, record, at_ns)


def rename_event(record: ContainerRecord, subject: Ref, old_name: str, at_ns: int) -> Event:
    """Returns the event of a container that got another name."""
    return _event(EventKind.RENAMED, subject, record, at_ns, old_name=old_name)


def pod_change_events(
    engine: EngineRef, before: Mapping[str, PodMessage], after: Mapping[str, PodMessage], at_ns: int
) -> list[Event]:
    """Returns what happened to pods between two observations. These events do not change the list of containers."""
    events = []
    for pod_id, pod in after.items():
        old = before.get(pod_id)
        if old is None:
            events.append(pod_event(engine, pod, CREATED, max(0, pod.created_at) or at_ns))
        if pod.state != READY and (old is None or old.state == READY):
            events.append(pod_event(engine, pod, STOPPED, at_ns))
    events += [pod_event(engine, pod, DELETED, at_ns) for pod_id, pod in before.items() if pod_id not in after]
    return events


def is_reported(known: PodMessage, event_type: int) -> bool:
    """Returns whether a snapshot has shown what an event says of a known pod."""
    return event_type == CREATED or (event_type == STOPPED and known.state != READY)


def pod_event(engine: EngineRef, pod: PodMessage, event_type: int, at_ns: int) -> Event:
    """Returns the event of a pod for one of CRI's event types."""
    subject = Ref(engine=engine, kind=Kind.POD, id=pod.id, name=pod_path(pod))
    action = MESSAGE_ACTIONS.get(event_type, f"event_{event_type}")
    return Event(at_ns, EventKind.OTHER, subject, Origin.LIVE, "pod", action, {})


def unknown_event(engine: EngineRef, message: cri.ContainerEventResponse, at_ns: int) -> Event:
    """Returns the event for a message whose type is unknown to this version of Quarterdeck."""
    subject = Ref(engine=engine, kind=Kind.CONTAINER, id=message.container_id, name=message.container_id[:12])
    action = f"event_{message.container_event_type}"
    return Event(at_ns, EventKind.OTHER, subject, Origin.LIVE, "container", action, {})


def _end(record: ContainerRecord, subject: Ref, at_ns: int, *, origin: Origin = Origin.LIVE) -> Iterator[Event]:
    ended_ns = record.finished_ns or at_ns
    if record.reason == OOM_REASON:
        yield _event(EventKind.OOM, subject, record, ended_ns - 1, origin=origin)
    code = {} if record.exit_code is None else {"exit_code": str(record.exit_code)}
    yield _event(EventKind.DIED, subject, record, ended_ns, origin=origin, **code)


def _event(
    kind: EventKind, subject: Ref, record: ContainerRecord, at_ns: int, *, origin: Origin = Origin.LIVE, **attrs: str
) -> Event:
    labels = event_attributes.labels(record.labels) if kind is EventKind.CREATED else None
    attributes = {"image": record.image, **attrs}
    return Event(at_ns, kind, subject, origin, "container", ACTIONS[kind], attributes, labels=labels)
