"""Decodes containerd's containers and tasks into container rows.

Found by experiment on containerd 1.6, 1.7 and 2.1. An id is unique only within its namespace, so a container's full id
is `namespace/id`. In containerd a container is only a record; its task is what runs. A container has no task before its
first start, and after its task ended and was deleted. From version 1.7 on, a starting daemon deletes the tasks that
ended while it was not running, and their exit codes are lost. `newest_runs` stores what was observed of earlier tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from core.model.containers import LIVE_STATES, Container, Port
from core.model.refs import EngineRef, Kind, Ref
from runtimes.containerd import client, json_models
from runtimes.containerd.newest_runs import NewestRuns, store_newest
from runtimes.formats import protobuf_conversion, status_text
from runtimes.formats.skipped_data import SkippedDataCounter
from runtimes.proto import containerd_task_types_pb2

NAMESPACE_LABEL = "containerd.namespace"
"""A label that Quarterdeck adds: the namespace, so that grants and filters can name it."""
NAME_LABELS = ("nerdctl/name", "io.kubernetes.container.name")
PORTS_LABEL = "nerdctl/ports"
RESTARTS_LABEL = "containerd.io/restart.count"
MAX_COUNT_DIGITS = 9
CRI_NAMESPACE = "k8s.io"
SANDBOX_LABEL, SANDBOX = "io.cri-containerd.kind", "sandbox"
NAMESPACE_OWNERS = {"moby": "docker", "plugins.moby": "docker", "k8s.io": "cri", "buildkit": "buildkit"}
"""The kind of engine or program that owns the containers in a namespace of this name."""
_Status = containerd_task_types_pb2.Status
STATES = {
    _Status.CREATED: "created",
    _Status.RUNNING: "running",
    _Status.STOPPED: "exited",
    _Status.PAUSED: "paused",
    _Status.PAUSING: "paused",
}


class ContainerDecoder:
    """Decodes the containers of one engine. It also caches the names of containers, because events contain only ids,
    and the ids of pause containers (sandboxes)."""

    def __init__(self, engine: EngineRef, skipped: SkippedDataCounter | None = None) -> None:
        self.engine = engine
        self.skipped = skipped if skipped is not None else SkippedDataCounter(lambda: str(engine))
        self.history = NewestRuns()
        self._refs: dict[str, Ref] = {}
        self._sandboxes: dict[str, None] = {}

    def cache_labels(self, namespace: str, container_id: str, labels: Mapping[str, str]) -> Ref:
        """Caches a container's name, and whether it is a sandbox. Returns its reference."""
        full_id = f"{namespace}/{container_id}"
        name = name_of(container_id, labels)
        ref = self._refs.get(full_id)
        if ref is None or ref.name != name:
            ref = Ref(engine=self.engine, kind=Kind.CONTAINER, id=full_id, name=name)
            store_newest(self._refs, full_id, ref)
        if is_sandbox(namespace, labels):
            store_newest(self._sandboxes, full_id, None)
        return ref

    def ref(self, full_id: str) -> Ref | None:
        return self._refs.get(full_id)

    def is_known_sandbox(self, full_id: str) -> bool:
        return full_id in self._sandboxes

    def forget(self, full_id: str) -> None:
        """Removes a container from the caches. Call it for a removed container, because another one may get its id."""
        self.history.forget(full_id)
        self._refs.pop(full_id, None)
        self._sandboxes.pop(full_id, None)

    def row(
        self,
        namespace: str,
        container: client.Container,
        task: client.Process | None,
        now: float,
        *,
        process_started_at: Callable[[int], float | None] = lambda pid: None,
    ) -> Container:
        """Decodes a container and its task into a row. `process_started_at`: returns the start of a process of this
        host in unix seconds, or None if it is unknown."""
        ref = self.cache_labels(namespace, container.id, container.labels)
        created_at = protobuf_conversion.timestamp_to_nanoseconds(container.created_at) / 1e9
        run = self.history.current(ref.id, task, created_at)
        state = "exited" if run.was_started else "created"
        if task is not None:
            state = STATES.get(task.status, "dead")
            run.was_started = run.was_started or state != "created"
            if state == "exited":
                run.ended = (task.exit_status, protobuf_conversion.timestamp_to_nanoseconds(task.exited_at) / 1e9)
            elif run.started_at is None and state in LIVE_STATES:
                started_at = process_started_at(task.pid)
                # A process that is older than the container is another one with the same number.
                run.started_at = started_at if started_at is not None and started_at >= created_at - 1 else None
        ended = run.ended if state == "exited" else None
        row = Container(
            ref=ref,
            image=container.image,
            image_id="",
            command=_command(container.spec.value),
            state=state,
            status="Up" if state in LIVE_STATES else "Exited" if state == "exited" else "",
            created_at=created_at,
            labels={**container.labels, NAMESPACE_LABEL: namespace},
            ports=_ports(container.labels.get(PORTS_LABEL, "")),
            started_at=run.started_at,
            finished_at=ended[1] or None if ended else None,
            exit_code=ended[0] if ended else None,
            restarts=_count(container.labels.get(RESTARTS_LABEL, "")),
            # Unknown for a run that was not observed from its start to its end.
            oom_killed=True if run.oom else None if state == "exited" and not (ended and run.complete) else False,
        )
        return msgspec.structs.replace(row, status=status_text.format_status(row, now))


def split_id(full_id: str) -> tuple[str, str]:
    """Splits `namespace/id` into its two parts. The namespace is empty if this is not a full id."""
    namespace, _, container_id = full_id.partition("/")
    return (namespace, container_id) if namespace and container_id else ("", full_id)


def name_of(container_id: str, labels: Mapping[str, str]) -> str:
    """Returns a container's name from its labels, or its id if no label contains a name."""
    return next((labels[label] for label in NAME_LABELS if labels.get(label)), container_id)


def is_sandbox(namespace: str, labels: Mapping[str, str]) -> bool:
    """Returns True for the pause container of a pod. In any other namespace than that of CRI, the label is somebody's
    own, and must not hide a container."""
    return namespace == CRI_NAMESPACE and labels.get(SANDBOX_LABEL) == SANDBOX


def _command(spec: bytes) -> str:
    process = json_models.process_of(spec)
    return " ".join(process.args or ()) if process else ""


def _ports(label: str) -> tuple[Port, ...]:
    ports = json_models.published_ports(label)
    return tuple(Port(port.container_port, port.protocol, port.host_port or None, port.host_ip) for port in ports)


def _count(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= MAX_COUNT_DIGITS else 0
