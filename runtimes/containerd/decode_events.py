"""Decodes containerd's event messages into events of containers, images and namespaces.

Events of snapshots, of content, of excluded namespaces and of pause containers are left out. containerd repeats OOM
events, so only the first OOM event of each run is decoded. Unknown messages become events of kind `other`. Messages
that cannot be decoded are left out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from google.protobuf.message import DecodeError, Message

from core.model.events import Event, EventKind, Origin
from core.model.refs import Kind, Ref
from runtimes.containerd.decode import ContainerDecoder
from runtimes.containerd.newest_runs import Run
from runtimes.formats import protobuf_conversion, skipped_data
from runtimes.proto import containerd_events_pb2, containerd_types_pb2

MESSAGE_TYPES: Mapping[str, tuple[type[Message], str, EventKind]] = {
    "ContainerCreate": (containerd_events_pb2.ContainerCreate, "id", EventKind.CREATED),
    "ContainerUpdate": (containerd_events_pb2.ContainerUpdate, "id", EventKind.UPDATED),
    "ContainerDelete": (containerd_events_pb2.ContainerDelete, "id", EventKind.REMOVED),
    "TaskCreate": (containerd_events_pb2.TaskCreate, "container_id", EventKind.OTHER),
    "TaskStart": (containerd_events_pb2.TaskStart, "container_id", EventKind.STARTED),
    "TaskDelete": (containerd_events_pb2.TaskDelete, "container_id", EventKind.OTHER),
    "TaskExit": (containerd_events_pb2.TaskExit, "container_id", EventKind.DIED),
    "TaskOOM": (containerd_events_pb2.TaskOOM, "container_id", EventKind.OOM),
    "TaskExecAdded": (containerd_events_pb2.TaskExecAdded, "container_id", EventKind.OTHER),
    "TaskExecStarted": (containerd_events_pb2.TaskExecStarted, "container_id", EventKind.OTHER),
    "TaskPaused": (containerd_events_pb2.TaskPaused, "container_id", EventKind.PAUSED),
    "TaskResumed": (containerd_events_pb2.TaskResumed, "container_id", EventKind.UNPAUSED),
    "TaskCheckpointed": (containerd_events_pb2.TaskCheckpointed, "container_id", EventKind.OTHER),
    "ImageCreate": (containerd_events_pb2.ImageCreate, "name", EventKind.OTHER),
    "ImageUpdate": (containerd_events_pb2.ImageUpdate, "name", EventKind.OTHER),
    "ImageDelete": (containerd_events_pb2.ImageDelete, "name", EventKind.OTHER),
    "NamespaceCreate": (containerd_events_pb2.NamespaceCreate, "name", EventKind.OTHER),
    "NamespaceUpdate": (containerd_events_pb2.NamespaceUpdate, "name", EventKind.OTHER),
    "NamespaceDelete": (containerd_events_pb2.NamespaceDelete, "name", EventKind.OTHER),
}
"""By the last part of the type's name: the message, the field with the name of the resource, and the event's kind."""
# These come several times with every container and image, and add no information.
_IGNORED_TOPICS = ("/snapshot/", "/content/")
_RESOURCES = {"containers": "container", "tasks": "container", "images": "image", "namespaces": "namespace"}
_KINDS = {"container": Kind.CONTAINER, "image": Kind.IMAGE}
# An exit that is reported later than this (the daemon was not running) gets its own time. Otherwise the stream's order
# counts.
LATE_EXIT_NS = 1_000_000_000


class EventDecoder:
    """Decodes the event messages of one engine. `excluded`: namespaces whose events are left out."""

    def __init__(self, containers: ContainerDecoder, *, excluded: Collection[str] = frozenset()) -> None:
        self._containers = containers
        self._excluded = excluded

    def is_relevant(self, envelope: containerd_types_pb2.Envelope) -> bool:
        """Returns False for an event that is left out because of its namespace or its topic."""
        return envelope.namespace not in self._excluded and not envelope.topic.startswith(_IGNORED_TOPICS)

    def unknown_container(self, envelope: containerd_types_pb2.Envelope) -> tuple[str, str] | None:
        """Returns the namespace and id of the event's container if its labels must be read before the event is
        decoded."""
        message_type = _message_type(envelope)
        if not message_type.startswith(("Container", "Task")) or message_type in ("ContainerDelete", "ContainerUpdate"):
            return None  # it is not about a container, contains the labels, or does not need them
        shape, field, _ = MESSAGE_TYPES.get(message_type, (None, "", None))
        if shape is None:
            return None
        try:
            container_id = str(getattr(shape.FromString(envelope.event.value), field))
        except DecodeError:
            return None
        known = self._containers.ref(f"{envelope.namespace}/{container_id}") is not None
        if not container_id or (known and message_type != "ContainerCreate"):
            return None
        return envelope.namespace, container_id

    def decode(self, envelope: containerd_types_pb2.Envelope) -> Event | None:
        """Decodes one event message. Returns None for a repeated OOM event, for a pause container, and for a message
        that cannot be decoded."""
        topic = envelope.topic.strip("/").split("/")
        area, action = topic[0], "_".join(topic[1:]).replace("-", "_")
        at_ns = protobuf_conversion.timestamp_to_nanoseconds(envelope.timestamp)
        if not protobuf_conversion.is_event_time(at_ns):
            self._containers.skipped.add(skipped_data.EVENT, "an event has no valid time")
            return None
        message_type = _message_type(envelope)
        shape, field, kind = MESSAGE_TYPES.get(message_type, (None, "", EventKind.OTHER))
        message: Any = None
        if shape is not None:
            try:
                message = shape.FromString(envelope.event.value)
            except DecodeError:
                self._containers.skipped.add(skipped_data.EVENT, f"a {message_type} is malformed")
                return None
        name = str(getattr(message, field)) if message is not None else ""
        resource = _RESOURCES.get(area, area)
        if resource == "container" and name:
            return self._container_event(
                envelope.namespace, name, message_type, message, at_ns=at_ns, kind=kind, action=action
            )
        subject = Ref(
            engine=self._containers.engine,
            kind=_KINDS.get(resource, Kind.ENGINE),
            id=f"{envelope.namespace}/{name}" if resource in _KINDS and name else name or envelope.namespace,
            name=name or envelope.namespace,
        )
        attrs = {"namespace": envelope.namespace}
        return Event(at_ns, EventKind.OTHER, subject, Origin.LIVE, resource or "event", action, attrs)

    def _container_event(
        self,
        namespace: str,
        container_id: str,
        message_type: str,
        message: Any,
        *,
        at_ns: int,
        kind: EventKind,
        action: str,
    ) -> Event | None:
        full_id = f"{namespace}/{container_id}"
        if message_type == "ContainerUpdate":
            self._containers.cache_labels(namespace, container_id, message.labels)
        if self._containers.is_known_sandbox(full_id):
            if kind is EventKind.REMOVED:
                self._containers.forget(full_id)
            return None
        subject = self._containers.ref(full_id) or self._containers.cache_labels(namespace, container_id, {})
        attrs = {"namespace": namespace}
        if message_type.startswith("Task"):
            if exec_action := _exec_action(message_type, message):
                action, kind = exec_action, EventKind.OTHER
            elif not action.startswith("exec_"):
                action = f"task_{action}"
                if not self._record_run(full_id, message_type, message, at_ns):
                    return None
        if kind is EventKind.DIED:
            attrs["exit_code"] = str(message.exit_status)
            exited_ns = protobuf_conversion.timestamp_to_nanoseconds(message.exited_at)
            if 0 < exited_ns < at_ns - LATE_EXIT_NS:
                at_ns = exited_ns
        elif message_type in ("ContainerCreate", "ContainerUpdate") and message.image:
            attrs["image"] = message.image
        if kind is EventKind.REMOVED:
            self._containers.forget(full_id)
        elif kind is EventKind.CREATED:
            self._containers.history.forget(full_id)
        return Event(at_ns, kind, subject, Origin.LIVE, "container", action, attrs)

    def _record_run(self, full_id: str, message_type: str, message: Any, at_ns: int) -> bool:
        """Stores what happened to the container's run. False for a repeated OOM event."""
        history = self._containers.history
        run = history.get(full_id)
        if message_type == "TaskCreate":
            history.store(full_id, Run(pid=message.pid, complete=True))
        elif message_type == "TaskStart":
            if run is None or run.ended is not None or run.pid not in (0, message.pid):
                run = Run(pid=message.pid, complete=True)
            run.started_at, run.was_started = at_ns / 1e9, True
            history.store(full_id, run)
        elif message_type == "TaskOOM":
            run = run or Run()
            if run.oom:
                return False
            run.oom = run.was_started = True
            history.store(full_id, run)
        elif message_type == "TaskExit":
            run = run or Run()
            run.was_started = True
            run.ended = (
                message.exit_status,
                (protobuf_conversion.timestamp_to_nanoseconds(message.exited_at) or at_ns) / 1e9,
            )
            history.store(full_id, run)
        return True


def _message_type(envelope: containerd_types_pb2.Envelope) -> str:
    """Returns the last part of the type's name. The package before it differs between versions. Unlike usual, the name
    has no slash."""
    return envelope.event.type_url.rpartition("/")[2].rpartition(".")[2]


def _exec_action(message_type: str, message: Any) -> str:
    """Returns the action for an event of a program that exec started. Empty for an event of the container's own
    task."""
    if message_type in ("TaskExit", "TaskDelete") and message.id and message.id != message.container_id:
        return "exec_exit" if message_type == "TaskExit" else "exec_delete"
    return ""
