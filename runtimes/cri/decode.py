"""Decodes CRI's messages into container records, rows of containers and pods, and images.

Found by experiment on containerd 1.6 to 2.1 and on CRI-O 1.37. Unknown numbers are accepted: a container with an
unknown state is `dead`, an event of an unknown type is `other`. A CRI container runs only once. Other engines restart a
container; the kubelet creates a new container with the next attempt number. So the record of a running or ended
container does not change.

A container's name is `namespace/pod/container`, like the paths in Kubernetes, because pods in several namespaces may
have the same name. Only the newest attempt has this name. The kubelet keeps earlier attempts, so that their logs can be
read; their names end with the start of their id: `shop/web-0/app.3f2a9c10`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from core.model.containers import Container
from core.model.images import Image
from core.model.pods import Pod
from core.model.refs import EngineRef, Kind, Ref
from runtimes.formats import status_text, timestamps
from runtimes.proto import cri_pb2 as cri

PodMessage = cri.PodSandbox | cri.PodSandboxStatus
"""A pod as a list shows it, or as an event or a status shows it."""
Age = tuple[int, int, int, str]
"""Orders resources with the same path: when their pod was created, their attempt, when they were created, their id."""
CREATED, RUNNING, EXITED = 0, 1, 2
STATES = {CREATED: "created", RUNNING: "running", EXITED: "exited", 3: "dead"}
READY = 0
POD_STATES = {READY: "ready", 1: "notready"}
OOM_REASON = "OOMKilled"

NAMESPACE = "io.kubernetes.pod.namespace"
POD_NAME = "io.kubernetes.pod.name"
POD_UID = "io.kubernetes.pod.uid"
CONTAINER_NAME = "io.kubernetes.container.name"


def decode_container_record(
    listed: cri.Container | cri.ContainerStatus, status: cri.ContainerStatus | None, pod: PodMessage | None
) -> ContainerRecord:
    """Decodes a container of a list or an event. `listed`: the container as the list or the event shows it. `status`:
    None if it could not be read."""
    newest = status if status is not None else listed
    facts: dict[str, Any] = {}
    if status is not None:
        facts = {
            "started_ns": max(0, status.started_at),
            # containerd may report that a short run ended a little before it started.
            "finished_ns": min(max(status.finished_at, status.started_at + 1), timestamps.MAX_NANOSECONDS)
            if status.finished_at > 0
            else 0,
            "exit_code": status.exit_code if status.state not in (CREATED, RUNNING) else None,
            "reason": status.reason,
            "log_path": status.log_path,
        }
    return ContainerRecord(
        id=listed.id,
        pod=pod.id if pod is not None else getattr(listed, "pod_sandbox_id", ""),
        name=listed.metadata.name or listed.labels.get(CONTAINER_NAME, ""),
        attempt=listed.metadata.attempt,
        state=newest.state,
        # CRI-O's list shows an earlier time of creation than the status, and one that changes with its restarts.
        created_ns=max(0, status.created_at if status is not None and status.created_at > 0 else listed.created_at),
        pod_created_ns=max(0, pod.created_at) if pod is not None else 0,
        labels=_labels(listed, pod),
        image=_image_name(listed, status),
        image_id=listed.image_id or listed.image_ref,
        has_status=status is not None,
        **facts,
    )


def with_known_times(record: ContainerRecord, known: ContainerRecord | None) -> ContainerRecord:
    """Returns the record of a container whose status could not be read now, with what an earlier status has shown and
    cannot change. So its start is not found a second time."""
    if known is None:
        return record
    return msgspec.structs.replace(
        record,
        created_ns=known.created_ns,
        started_ns=known.started_ns,
        image=known.image,
        log_path=known.log_path,
    )


def record_after_event(
    known: ContainerRecord | None, status: cri.ContainerStatus, pod: PodMessage | None
) -> ContainerRecord:
    """Decodes a container of an event. `known`: the container as it was known before. What cannot change stays: a
    status may name another tag of the same image."""
    record = decode_container_record(status, status, pod)
    if known is None:
        return record
    return msgspec.structs.replace(
        record,
        pod=known.pod or record.pod,
        created_ns=known.created_ns or record.created_ns,
        pod_created_ns=known.pod_created_ns or record.pod_created_ns,
        labels={**known.labels, **record.labels},
        image=known.image or record.image,
        image_id=known.image_id or record.image_id,
    )


def _labels(listed: Any, pod: PodMessage | None) -> dict[str, str]:
    # Users of Kubernetes set a pod's labels, and the kubelet sets a container's: permissions by label need both.
    labels = {**(pod.labels if pod is not None else {}), **listed.labels}
    if CONTAINER_NAME not in listed.labels:
        labels.pop(CONTAINER_NAME, None)  # on CRI-O, every pod has this label with the value POD
    if pod is not None and pod.metadata.name:
        labels |= {NAMESPACE: pod.metadata.namespace, POD_NAME: pod.metadata.name}
    return labels


def _image_name(listed: Any, status: cri.ContainerStatus | None) -> str:
    """Returns the image's name if there is one. The kubelet creates containers by the image's id, so some fields hold
    only that id. CRI-O's list has the name that was asked for, and its status any tag of the image."""
    names = [listed.image.user_specified_image]
    if status is not None:
        names.append(status.image.user_specified_image)
    names.append(listed.image.image)
    if status is not None:
        names.append(status.image.image)
    found = [name for name in (*names, listed.image_ref) if name]
    return next((name for name in found if not _is_id(name)), found[0] if found else "")


def _is_id(name: str) -> bool:
    bare = name.removeprefix("sha256:")
    return len(bare) == 64 and all(character in "0123456789abcdef" for character in bare)


class ContainerRecord(msgspec.Struct, frozen=True, gc=False):
    """Holds what an engine reported about one container. Times are nanoseconds, 0 if unknown. `labels` contains the
    labels of the container and of its pod. The labels with its namespace and its pod's name come from the pod itself,
    so that a container cannot forge them."""

    id: str
    pod: str
    name: str
    attempt: int
    state: int
    created_ns: int
    labels: dict[str, str]
    pod_created_ns: int = 0
    image: str = ""
    image_id: str = ""
    started_ns: int = 0
    finished_ns: int = 0
    exit_code: int | None = None
    reason: str = ""
    log_path: str = ""
    has_status: bool = True
    """False if only its entry of a list could be read: then times, exit code and reason are unknown."""

    @property
    def path(self) -> str:
        """Returns the container's name without an id. Earlier attempts have the same path."""
        parts = (self.labels.get(NAMESPACE, ""), self.labels.get(POD_NAME, ""), self.name or self.id[:12])
        return "/".join(filter(None, parts))

    @property
    def ended(self) -> bool:
        return self.state not in (CREATED, RUNNING)

    @property
    def progress(self) -> int:
        """Returns a number that never decreases, because a container cannot go back to an earlier state."""
        return min(self.state, EXITED)


# ── names and rows ───────────────────────────────────────────────────────────────────────────────────────────────────


def container_names(records: Iterable[ContainerRecord]) -> dict[str, str]:
    """Returns each container's name by its id. The same containers always get the same names, and no two names are
    equal. A container of a newer pod is newer, whatever its attempt: a recreated pod starts again with attempt 0."""
    ages = {
        record.id: (record.path, (record.pod_created_ns, record.attempt, record.created_ns, record.id))
        for record in records
    }
    return _unique(ages)


def pod_names(pods: Iterable[PodMessage]) -> dict[str, str]:
    """Returns each pod's name by its id. No two names are equal."""
    return _unique(
        {pod.id: (pod_path(pod), (pod.created_at, pod.metadata.attempt, pod.created_at, pod.id)) for pod in pods}
    )


def pod_path(pod: PodMessage) -> str:
    """Returns a pod's name without an id: `namespace/pod`."""
    return "/".join(filter(None, (pod.metadata.namespace, pod.metadata.name or pod.id[:12])))


def _unique(paths: Mapping[str, tuple[str, Age]]) -> dict[str, str]:
    """Makes names unique. `paths`: by id, the path, and the values that order several resources with the same path."""
    newest: dict[str, Age] = {}
    for path, age in paths.values():
        if age > newest.get(path, (-1, -1, -1, "")):
            newest[path] = age
    return {
        resource_id: path if newest[path] == age else f"{path}.{resource_id[:8]}"
        for resource_id, (path, age) in paths.items()
    }


def container_ref(engine: EngineRef, record: ContainerRecord, name: str) -> Ref:
    """Makes the reference to a container."""
    return Ref(engine=engine, kind=Kind.CONTAINER, id=record.id, name=name)


def container_row(engine: EngineRef, record: ContainerRecord, name: str, now: float) -> Container:
    """Makes the row of a container. `now`: unix seconds, for the status text."""
    row = Container(
        ref=container_ref(engine, record, name),
        image=record.image,
        image_id=record.image_id,
        command="",
        state=STATES.get(record.state, "dead"),
        status="",
        created_at=record.created_ns / 1e9,
        labels=record.labels,
        started_at=_seconds(record.started_ns),
        finished_at=_seconds(record.finished_ns),
        exit_code=record.exit_code,
        restarts=record.attempt if record.has_status else None,
        oom_killed=record.reason == OOM_REASON if record.has_status else None,
    )
    return status_text.refresh_status(row, now)


def pod_row(engine: EngineRef, pod: PodMessage, name: str, members: Sequence[ContainerRecord], address: str) -> Pod:
    """Makes the row of a pod. `members`: its containers."""
    return Pod(
        ref=Ref(engine=engine, kind=Kind.POD, id=pod.id, name=name),
        state=POD_STATES.get(pod.state, "unknown"),
        created_at=max(0, pod.created_at) / 1e9,
        labels={**pod.labels, NAMESPACE: pod.metadata.namespace, POD_NAME: pod.metadata.name},
        members=tuple(record.id for record in members),
        running=sum(record.state == RUNNING for record in members),
        namespace=pod.metadata.namespace,
        address=address,
    )


def _seconds(at_ns: int) -> float | None:
    return at_ns / 1e9 if at_ns > 0 else None


# ── images ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def image_row(engine: EngineRef, image: cri.Image) -> Image:
    """Makes the row of an image."""
    short_id = image.id.removeprefix("sha256:")[:12]
    return Image(
        ref=Ref(engine=engine, kind=Kind.IMAGE, id=image.id, name=image.repo_tags[0] if image.repo_tags else short_id),
        tags=tuple(image.repo_tags),
        digests=tuple(image.repo_digests),
        size=image.size,
    )


def is_named_by_id(image: Ref) -> bool:
    """Returns True if the image has no tag, or if the requester wrote its id and so means all its tags."""
    return not image.name or image.id.removeprefix("sha256:").startswith(image.name.removeprefix("sha256:"))


def digest_of(reference: str, image: cri.Image) -> str:
    """Returns the digest (`sha256:…`) of an image. If it was pulled from several repositories, this is the digest in
    the repository of `reference`."""
    repository = reference.partition("@")[0]
    if ":" in repository.rpartition("/")[2]:
        repository = repository.rpartition(":")[0]
    digests = {name: digest for name, _, digest in (text.partition("@") for text in image.repo_digests)}
    # Engines write the full form of a short name: docker.io/library/busybox.
    matching = [digest for name, digest in digests.items() if name == repository or name.endswith(f"/{repository}")]
    return next(iter([*matching, *digests.values()]), "")
