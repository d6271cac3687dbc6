"""containerd's words into ours, as tables and functions; found by experiment on 1.6 and 1.7, noted where they differ.

An id is unique within its namespace only, so a thing is called `namespace/id`. A container is a record; what runs of it
is a task, which may be missing: never begun, or ended and taken away, and containerd keeps no word of which. When a run
began it does not keep either. What events and lists told of runs while we looked is remembered here (`Runs`), bounded,
and fills in both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from google.protobuf.message import DecodeError, Message

from core.model.containers import Container, Port
from core.model.events import Event, EventKind, Origin
from core.model.refs import EngineRef, Kind, Ref
from runtimes.formats import status_text
from runtimes.proto import (
    containerd_containers_pb2,
    containerd_events_pb2,
    containerd_task_types_pb2,
    containerd_types_pb2,
)

REMEMBERED = 20_000
NAMESPACE_LABEL = "containerd.namespace"
"""Ours: the namespace as a label, so that grants and filters can name it."""
NAME_LABELS = ("nerdctl/name", "io.kubernetes.container.name")
PORTS_LABEL = "nerdctl/ports"
RESTARTS_LABEL = "containerd.io/restart.count"
SANDBOX = ("io.cri-containerd.kind", "sandbox")
# Whose containers live in a namespace of this name.
OWNERS = {"moby": "docker", "plugins.moby": "docker", "k8s.io": "cri", "buildkit": "buildkit"}

# By the last word of its type: how it is read, which field names the thing, and what it is to us.
_TOLD: Mapping[str, tuple[type[Message], str, EventKind]] = {
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
# Layers and blobs come and go several times with each container and image, and tell nothing of their own.
_NOISE = ("/snapshot/", "/content/")
# These bring their labels, need none, or are about no container.
_SELF_EXPLAINING = {word for word in _TOLD if not word.startswith(("Container", "Task"))}
_SELF_EXPLAINING |= {"ContainerUpdate", "ContainerDelete"}
_TYPES = {"containers": "container", "tasks": "container", "images": "image", "namespaces": "namespace"}
_KINDS = {"container": Kind.CONTAINER, "image": Kind.IMAGE}
_Status = containerd_task_types_pb2.Status
STATES = {
    _Status.CREATED: "created",
    _Status.RUNNING: "running",
    _Status.STOPPED: "exited",
    _Status.PAUSED: "paused",
    _Status.PAUSING: "paused",
}
# An exit is told late where the daemon was away; then its own time counts, otherwise the order of the stream.
LATE_NS = 1_000_000_000


class _Spec(msgspec.Struct):
    class Process(msgspec.Struct):
        args: list[str] | None = None
        terminal: bool = False

    process: Process | None = None


class _Published(msgspec.Struct, rename="pascal"):
    host_port: int = 0
    container_port: int = 0
    protocol: str = "tcp"
    host_ip: str = msgspec.field(name="HostIP", default="")


_SPEC = msgspec.json.Decoder(_Spec)
_PORTS = msgspec.json.Decoder(list[_Published])


@dataclass(slots=True)
class _Run:
    """What was seen of a container's newest run. Times are unix seconds; `whole`: its beginning was seen too."""

    pid: int = 0
    started_at: float | None = None
    ended: tuple[int, float] | None = None
    oom: bool = False
    whole: bool = False


class Decoder:
    """The tables bound to one engine, and what they remember of it. `left_out` are namespaces nothing is told of."""

    def __init__(self, engine: EngineRef, *, left_out: frozenset[str] = frozenset()) -> None:
        self.engine = engine
        self.left_out = left_out
        self._runs: dict[str, _Run] = {}
        self._refs: dict[str, Ref] = {}
        self._sandboxes: dict[str, None] = {}

    # ── things ───────────────────────────────────────────────────────────────────────────────────────────────────

    def is_sandbox(self, labels: Mapping[str, str]) -> bool:
        return labels.get(SANDBOX[0]) == SANDBOX[1]

    def learn(self, space: str, name: str, labels: Mapping[str, str]) -> Ref:
        """What a container is called, from its labels; kept for events, which bring its id only."""
        thing = f"{space}/{name}"
        called = next((labels[label] for label in NAME_LABELS if labels.get(label)), name)
        ref = self._refs.get(thing)
        if ref is None or ref.name != called:
            ref = Ref(engine=self.engine, kind=Kind.CONTAINER, id=thing, name=called)
            _keep(self._refs, thing, ref)
        if self.is_sandbox(labels):
            _keep(self._sandboxes, thing, None)
        return ref

    def container(
        self,
        space: str,
        held: containerd_containers_pb2.Container,
        task: containerd_task_types_pb2.Process | None,
        now: float,
        *,
        began: Callable[[int], float | None] = lambda pid: None,
    ) -> Container:
        """`began`: when a process on this host began, unix seconds, where that can be known."""
        ref = self.learn(space, held.id, held.labels)
        created_at = held.created_at.ToNanoseconds() / 1e9
        run = self._run_of(ref.id, task, created_at)
        state = "created" if run.ended is None else "exited"
        if task is not None:
            state = STATES.get(task.status, "dead")
            if state == "exited":
                run.ended = (task.exit_status, task.exited_at.ToNanoseconds() / 1e9)
            elif run.started_at is None and state in ("running", "paused"):
                found = began(task.pid)
                run.started_at = found if found is not None and found >= created_at - 1 else None
        up = state in ("running", "paused")
        ended = run.ended if state == "exited" else None
        row = Container(
            ref=ref,
            image=held.image,
            image_id="",
            command=_command(held.spec.value),
            state=state,
            status="Up" if up else "",
            created_at=created_at,
            labels={**held.labels, NAMESPACE_LABEL: space},
            ports=_ports(held.labels.get(PORTS_LABEL, "")),
            started_at=run.started_at,
            finished_at=ended[1] if ended else None,
            exit_code=ended[0] if ended else None,
            restarts=_whole(held.labels.get(RESTARTS_LABEL, "")),
            # Of a run that ended unseen nobody can say.
            oom_killed=True if run.oom else None if ended and not run.whole else False,
        )
        return msgspec.structs.replace(row, status=status_text.text(row, now))

    def _run_of(self, thing: str, task: containerd_task_types_pb2.Process | None, created_at: float) -> _Run:
        """What is remembered of its newest run; nothing where that was another run, or another container's of this
        id."""
        run = self._runs.get(thing)
        if run is not None:
            seen = run.ended[1] if run.ended else run.started_at
            other = bool(task is not None and task.pid and run.pid and task.pid != run.pid)
            if not other and (seen is None or seen >= created_at - 1):
                return run
        run = _Run(pid=task.pid if task is not None else 0)
        if task is not None:
            _keep(self._runs, thing, run)
        return run

    # ── events ───────────────────────────────────────────────────────────────────────────────────────────────────

    def concerns(self, envelope: containerd_types_pb2.Envelope) -> bool:
        """Whether anything is to be told of it at all."""
        return envelope.namespace not in self.left_out and not envelope.topic.startswith(_NOISE)

    def stranger(self, envelope: containerd_types_pb2.Envelope) -> tuple[str, str] | None:
        """The namespace and id of a container whose labels were never seen, where an event is about one."""
        word = envelope.event.type_url.rpartition("/")[2].rpartition(".")[2]
        shape, field, _ = _TOLD.get(word, (None, "", None))
        if (
            shape is None
            or not word.startswith(("Container", "Task"))
            or word in ("ContainerDelete", "ContainerUpdate")
        ):
            return None
        try:
            name = str(getattr(shape.FromString(envelope.event.value), field))
        except DecodeError:
            return None
        known = f"{envelope.namespace}/{name}" in self._refs and word != "ContainerCreate"
        return None if known or not name else (envelope.namespace, name)

    def event(self, envelope: containerd_types_pb2.Envelope) -> Event | None:
        """None for what repeats itself and for sandboxes."""
        parts = envelope.topic.strip("/").split("/")
        area, action = parts[0], "_".join(parts[1:]).replace("-", "_")
        at_ns = envelope.timestamp.ToNanoseconds()
        # The type has no slash, unlike other Anys, and its package differs between versions: its last word counts.
        word = envelope.event.type_url.rpartition("/")[2].rpartition(".")[2]
        shape, field, kind = _TOLD.get(word, (None, "", EventKind.OTHER))
        told: Any = None
        if shape is not None:
            try:
                told = shape.FromString(envelope.event.value)
            except DecodeError:
                kind = EventKind.OTHER
        named = str(getattr(told, field)) if told is not None else ""
        kind_of = _TYPES.get(area, area)
        if kind_of == "container" and named:
            return self._of_container(envelope.namespace, named, word, told, at_ns=at_ns, kind=kind, action=action)
        subject = Ref(
            engine=self.engine,
            kind=_KINDS.get(kind_of, Kind.ENGINE),
            id=f"{envelope.namespace}/{named}" if kind_of in _KINDS and named else named or envelope.namespace,
            name=named or envelope.namespace,
        )
        attrs = {"namespace": envelope.namespace}
        return Event(at_ns, EventKind.OTHER, subject, Origin.LIVE, kind_of or "event", action, attrs)

    def _of_container(
        self, space: str, name: str, word: str, told: Any, *, at_ns: int, kind: EventKind, action: str
    ) -> Event | None:
        thing = f"{space}/{name}"
        if word == "ContainerUpdate":
            self.learn(space, name, told.labels)
        if thing in self._sandboxes:
            if kind is EventKind.REMOVED:
                self.forget(thing)
            return None
        subject = self._refs.get(thing) or self.learn(space, name, {})
        attrs = {"namespace": space}
        if word.startswith("Task"):
            if execution := _execution(word, told):
                action, kind = execution, EventKind.OTHER
            elif not action.startswith("exec_"):
                action = f"task_{action}"
                if not self._ran(thing, word, told, at_ns):
                    return None
        if kind is EventKind.DIED:
            attrs["exit_code"] = str(told.exit_status)
            ended_ns = told.exited_at.ToNanoseconds()
            if 0 < ended_ns < at_ns - LATE_NS:
                at_ns = ended_ns
        elif word in ("ContainerCreate", "ContainerUpdate") and told.image:
            attrs["image"] = told.image
        if kind is EventKind.REMOVED:
            self.forget(thing)
        elif kind is EventKind.CREATED:
            self._runs.pop(thing, None)
        return Event(at_ns, kind, subject, Origin.LIVE, "container", action, attrs)

    def _ran(self, thing: str, word: str, told: Any, at_ns: int) -> bool:
        """Remembers what happened to a run; False for what was told of it already."""
        run = self._runs.get(thing)
        if word == "TaskCreate":
            _keep(self._runs, thing, _Run(pid=told.pid, whole=True))
        elif word == "TaskStart":
            if run is None or run.ended is not None or run.pid not in (0, told.pid):
                run = _Run(pid=told.pid, whole=True)
            run.started_at = at_ns / 1e9
            _keep(self._runs, thing, run)
        elif word == "TaskOOM":
            run = run or _Run()
            if run.oom:
                return False
            run.oom = True
            _keep(self._runs, thing, run)
        elif word == "TaskExit":
            run = run or _Run()
            run.ended = (told.exit_status, (told.exited_at.ToNanoseconds() or at_ns) / 1e9)
            _keep(self._runs, thing, run)
        return True

    def forget(self, thing: str) -> None:
        """A removed container; its id may be given again."""
        self._runs.pop(thing, None)
        self._refs.pop(thing, None)
        self._sandboxes.pop(thing, None)


def has_ended(task: containerd_task_types_pb2.Process) -> bool:
    return task.status == _Status.STOPPED


def split(thing: str) -> tuple[str, str]:
    """`namespace/id` into both; the namespace is empty for what is no id of ours."""
    space, _, name = thing.partition("/")
    return (space, name) if space and name else ("", thing)


def _execution(word: str, told: Any) -> str:
    """The action's name where an event of a task is about something executed in it."""
    if word in ("TaskExit", "TaskDelete") and told.id and told.id != told.container_id:
        return "exec_exit" if word == "TaskExit" else "exec_delete"
    return ""


def _keep(table: dict[str, Any], key: str, value: Any) -> None:
    table.pop(key, None)
    table[key] = value
    if len(table) > REMEMBERED:
        del table[next(iter(table))]


def _command(spec: bytes) -> str:
    process = _process(spec)
    return " ".join(process.args or ()) if process else ""


def has_terminal(spec: bytes) -> bool:
    process = _process(spec)
    return bool(process and process.terminal)


def _process(spec: bytes) -> _Spec.Process | None:
    try:
        return _SPEC.decode(spec).process if spec else None
    except msgspec.DecodeError:
        return None


def _ports(label: str) -> tuple[Port, ...]:
    """nerdctl's own label; anything else there is not for us."""
    try:
        found = _PORTS.decode(label) if label else []
    except msgspec.DecodeError:
        return ()
    return tuple(Port(one.container_port, one.protocol, one.host_port or None, one.host_ip) for one in found)


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() else 0
