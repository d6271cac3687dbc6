"""Decodes the state files of runc and crun into container rows and events.

Found by experiment on runc 1.1 and crun 1.8. runc writes everything to `state.json`, with annotations as `name=value`.
crun writes a small file `status`, and a copy of the bundle's `config.json` next to it. With both programs, a file
`exec.fifo` exists until a created container is started. Neither program records that a container ended, when it ended,
or its exit code. The only sign is that the container's process does not exist.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from core import errors
from core.model.containers import LIVE_STATES, Container
from core.model.events import Event, EventKind, Origin
from core.model.refs import EngineRef, Kind, Ref
from runtimes.base import stop_grace
from runtimes.formats import json_decoder, timestamps
from runtimes.oci.json_models import CrunStatus, RuncState, Spec

T = TypeVar("T")

RUNC, CRUN = "runc", "crun"
STATE_FILES = {RUNC: "state.json", CRUN: "status"}
"""By program: the file that shows that it created the container."""
KINDS = {
    "create": EventKind.CREATED,
    "start": EventKind.STARTED,
    "exit": EventKind.DIED,
    "oom": EventKind.OOM,
    "pause": EventKind.PAUSED,
    "resume": EventKind.UNPAUSED,
    "update": EventKind.UPDATED,
    "delete": EventKind.REMOVED,
}
"""By action: the name of the runtime's command, if there is one."""

IMAGE_ANNOTATIONS = (
    "io.kubernetes.cri-o.ImageName",
    "io.kubernetes.cri.image-name",
    "org.opencontainers.image.ref.name",
)
STOP_SIGNAL = "org.opencontainers.image.stopSignal"
_CRI_PREFIX = "io.kubernetes.cri"  # of the annotations of containerd and CRI-O
_CRIO_ANNOTATIONS = "io.kubernetes.cri-o.Annotations"  # the kubelet's annotations, as JSON
MAX_COMMAND_LENGTH = 4096
_CRIO_TYPE = "io.kubernetes.cri-o.ContainerType"
_MANAGER = "io.container.manager"
_CONTAINERD_BUNDLE = re.compile(r"/io\.containerd\.(?:runtime\.v[12]\.\w+)/([^/]+)/[^/]+/?$")
_PODMAN_BUNDLE = re.compile(r"/\w+-containers/[0-9a-f]{64}/userdata$")  # \w+: the storage driver
_DOCKER_CONTAINERD = "/containerd/daemon/"
_OWNERS = {
    "k8s.io": ("cri", "containerd"),
    "moby": ("docker", "containerd"),
    "plugins.moby": ("docker", "containerd"),
}
_UNSAFE = re.compile(r"[^\x20-\x7e]")
_HEX = re.compile(r"[0-9a-f]{64}")


def decode_runc_state(data: bytes) -> DecodedState:
    """Decodes runc's `state.json`. Raises InvalidResponse."""
    state = _decode(RuncState, data)
    annotations, bundle = _annotations_and_bundle(state.config.labels or ())
    cgroups = state.cgroups or {}
    whole = cgroups.get("", "")
    return DecodedState(
        program=RUNC,
        pid=state.pid,
        start_ticks=state.start_ticks,
        created=state.created,
        created_ns=nanoseconds(state.created),
        bundle=bundle,
        annotations=annotations,
        freezer_cgroup=cgroups.get("freezer") or whole,
        memory_cgroup=cgroups.get("memory") or whole,
        limits_digest=hashlib.sha256(bytes(state.config.cgroups)).digest(),
    )


def decode_crun_status(data: bytes, cgroups: str, unified: bool) -> DecodedState:
    """Decodes crun's `status`, which has no annotations: `with_spec` adds them. `cgroups`: where control groups are
    mounted. `unified`: whether only cgroup version 2 is mounted. Raises InvalidResponse."""
    status = _decode(CrunStatus, data)
    freezer = memory = ""
    if status.cgroup.strip("/"):
        path = status.cgroup.strip("/")
        freezer = f"{cgroups}/{path}" if unified else f"{cgroups}/freezer/{path}"
        memory = f"{cgroups}/{path}" if unified else f"{cgroups}/memory/{path}"
    return DecodedState(
        program=CRUN,
        pid=status.pid,
        start_ticks=status.start_ticks,
        created=status.created,
        created_ns=nanoseconds(status.created),
        bundle=status.bundle,
        annotations={},
        freezer_cgroup=freezer,
        memory_cgroup=memory,
    )


def own_grace(annotations: Mapping[str, str]) -> int | None:
    """Returns the seconds that a container has asked for between the stop signal and the kill: those of its pod. None
    if it is in no pod: other engines do not write their setting into the container's state."""
    if not any(name.startswith(_CRI_PREFIX) for name in annotations):
        return None
    try:
        given = json_decoder.decode_json(dict[str, str], annotations.get(_CRIO_ANNOTATIONS, "").encode())
    except errors.InvalidResponse:
        given = {}
    own = stop_grace.parse_setting(given.get(stop_grace.KUBERNETES_ANNOTATION, ""))
    return stop_grace.KUBERNETES_SECONDS if own is None else own


class DecodedState(msgspec.Struct, frozen=True):
    """Holds the state of one container in the same form for runc and crun. `start_ticks`: when its first process
    started, in the kernel's clock ticks; a later process with the same number has another value. `freezer_cgroup` and
    `memory_cgroup`: folders, empty if unknown; with cgroup version 2 they are equal. `limits_digest`: changes when the
    resource limits change."""

    program: str
    pid: int
    start_ticks: int
    created: str
    created_ns: int
    bundle: str
    annotations: Mapping[str, str]
    freezer_cgroup: str = ""
    memory_cgroup: str = ""
    limits_digest: bytes = b""
    command: str = ""


def with_spec(stored: DecodedState, data: bytes) -> DecodedState:
    """Adds the command from a `config.json`, and its annotations if the state file has none. Raises InvalidResponse."""
    spec = _decode(Spec, data)
    args = spec.process.args if spec.process else None
    return msgspec.structs.replace(
        stored,
        command=" ".join(args or ())[:MAX_COMMAND_LENGTH],
        annotations=stored.annotations or spec.annotations or {},
    )


def _annotations_and_bundle(labels: Sequence[str]) -> tuple[dict[str, str], str]:
    """Splits runc's labels. runc writes annotations as `name=value`, and the bundle's path as the last of them."""
    bundle, annotations = "", {}
    for label in labels:
        name, _, value = label.partition("=")
        if name == "bundle":
            bundle = value
        else:
            annotations[name] = value
    return annotations, bundle


def owners(root: str, stored: DecodedState) -> tuple[str, ...]:
    """Returns the kinds of engines that may list this container too; empty if none. The one that people use comes
    first."""
    annotations = stored.annotations
    manager = annotations.get(_MANAGER, "")
    # Anybody can write annotations, so the bundle's path must be that of Podman or CRI-O, too.
    # Podman writes some of CRI-O's annotations, such as the time of creation, and in a pod also the container's type.
    if _PODMAN_BUNDLE.search(stored.bundle):
        of_crio = manager == "cri-o" or (_CRIO_TYPE in annotations and manager != "libpod")
        return ("cri",) if of_crio else ("podman",)
    namespace = ""
    if found := _CONTAINERD_BUNDLE.search(stored.bundle):
        namespace = found[1]
    elif "/containerd/runc/" in f"{root}/" or "/runtime-runc/" in f"{root}/":
        namespace = root.rpartition("/")[2]
    if not namespace:
        return ()
    if namespace == "moby" and _DOCKER_CONTAINERD in stored.bundle:
        return ("docker",)  # Docker's private containerd, which no other client uses
    return _OWNERS.get(namespace, ("containerd",))


def container_id(root: str, name: str, created: str) -> str:
    """Makes a container's id in Quarterdeck. The runtime's own id is unique only within a directory, and can be
    reused."""
    return hashlib.sha256("\0".join((root, name, created)).encode("utf-8", "surrogateescape")).hexdigest()


def display_name(name: str) -> str:
    """Returns the runtime's id without control characters. A long hexadecimal id is shortened as Docker does it."""
    if _HEX.fullmatch(name):
        return name[:12]
    return _UNSAFE.sub("?", name)


def container_row(
    ref: Ref,
    stored: DecodedState,
    state: str,
    *,
    started: int | None,
    ended: int | None,
    oom: bool,
    exit_code: int | None = None,
) -> Container:
    """Makes the row of a container. `started` and `ended`: nanoseconds, None if unknown. It has no restarts, because an
    OCI container runs only once."""
    up = state in LIVE_STATES
    return Container(
        ref=ref,
        image=image(stored),
        image_id="",
        command=stored.command,
        state=state,
        status={"created": "Created", "exited": "Exited", "running": "Up", "paused": "Up (Paused)"}.get(state, ""),
        created_at=stored.created_ns / 1e9,
        labels=dict(stored.annotations),
        started_at=None if started is None else started / 1e9,
        finished_at=None if up or ended is None else ended / 1e9,
        exit_code=None if up else exit_code,
        restarts=0,
        oom_killed=oom,
    )


def image(stored: DecodedState) -> str:
    """Returns the image's name from annotations of the engine that made the bundle. A bundle itself has no image."""
    return next((stored.annotations[name] for name in IMAGE_ANNOTATIONS if name in stored.annotations), "")


def event(at_ns: int, action: str, subject: Ref, image: str = "", labels: dict[str, str] | None = None) -> Event:
    """Makes the event of an action, such as `start` or `exit`."""
    kind, attrs = KINDS.get(action, EventKind.OTHER), {"image": image} if image else {}
    return Event(at_ns, kind, subject, Origin.LIVE, "container", action, attrs, labels=labels)


def container_ref(engine: EngineRef, root: str, name: str, created: str) -> Ref:
    """Makes the reference to a container."""
    return Ref(engine=engine, kind=Kind.CONTAINER, id=container_id(root, name, created), name=display_name(name))


def nanoseconds(text: str) -> int:
    """Parses a time. Returns 0 for an invalid time, because a container must not be left out because of its date."""
    try:
        return timestamps.parse_nanoseconds(text)
    except (errors.InvalidResponse, ValueError):
        return 0


def specification(data: bytes, name: str) -> dict[str, Any]:
    """Decodes the specification of a container for `inspect`. `name`: the container's. Raises InvalidResponse."""
    try:
        return _decode(dict[str, Any], data)
    except errors.InvalidResponse as error:
        raise errors.InvalidResponse(
            f"The specification of {name} is not valid JSON.",
            sent=False,
            hint=f"Remove the container with `rm {name}`, write its config.json again, and run its bundle again.",
        ) from error


def _decode(kind: type[T], data: bytes) -> T:
    try:
        return json_decoder.decode_json(kind, data)
    except errors.InvalidResponse as error:
        raise errors.InvalidResponse(
            "The state or the specification of the container is not valid OCI JSON.",
            sent=False,
            hint="Create the container again.",
        ) from error
