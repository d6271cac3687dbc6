"""The words of runc and crun into ours, as pure tables and functions; found by experiment on runc 1.1 and crun 1.8.

runc keeps all it knows of a container in `state.json`, annotations among it as `name=value`; crun keeps a small
`status` and a copy of the bundle's `config.json` beside it. Both keep `exec.fifo` until a created container is started.
Neither writes down that a container ended, when, or with which code: that its process is gone is all there is.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from core import errors
from core.model.containers import Container
from core.model.events import Event, EventKind, Origin
from core.model.refs import EngineRef, Kind, Ref
from runtimes.formats import timestamps

T = TypeVar("T")

RUNC, CRUN = "runc", "crun"
STATE_FILES = {RUNC: "state.json", CRUN: "status"}
"""By program: the file that tells it made the container."""
STATES = {"creating": "created", "created": "created", "running": "running", "paused": "paused", "stopped": "exited"}
"""The specification's words, and runc's own `paused`."""
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
"""What is seen to happen, by the commands' names where there are such."""

IMAGE_ANNOTATIONS = (
    "io.kubernetes.cri-o.ImageName",
    "io.kubernetes.cri.image-name",
    "org.opencontainers.image.ref.name",
)
STOP_SIGNAL = "org.opencontainers.image.stopSignal"
LONGEST_COMMAND = 4096
_CRIO_TYPE = "io.kubernetes.cri-o.ContainerType"
_MANAGER = "io.container.manager"
_CONTAINERD = re.compile(r"/io\.containerd\.(?:runtime\.v[12]\.\w+)/([^/]+)/[^/]+/?$")
_STORAGE = re.compile(r"/\w+-containers/[0-9a-f]{64}/userdata$")  # of Podman; by the driver's name
_DOCKERS_OWN = "/containerd/daemon/"
_OWNERS = {
    "k8s.io": ("cri", "containerd"),
    "moby": ("docker", "containerd"),
    "plugins.moby": ("docker", "containerd"),
}
_UNSAFE = re.compile(r"[^\x20-\x7e]")
_GONE = ("container does not exist", "/status`: No such file or directory")
_HEX = re.compile(r"[0-9a-f]{64}")
_VERSION = re.compile(r"^(?:runc|crun) version (\S+)", re.MULTILINE)
_SPEC = re.compile(r"^spec: (\S+)", re.MULTILINE)


class _RuncConfig(msgspec.Struct):
    labels: list[str] | None = None
    cgroups: msgspec.Raw = msgspec.Raw(b"")


class _RuncState(msgspec.Struct):
    pid: int = msgspec.field(name="init_process_pid", default=0)
    born: int = msgspec.field(name="init_process_start", default=0)
    created: str = ""
    config: _RuncConfig = msgspec.field(default_factory=_RuncConfig)
    cgroups: dict[str, str] | None = msgspec.field(name="cgroup_paths", default=None)


class _CrunStatus(msgspec.Struct, rename="kebab"):
    pid: int = 0
    born: int = msgspec.field(name="process-start-time", default=0)
    cgroup: str = msgspec.field(name="cgroup-path", default="")
    created: str = ""
    bundle: str = ""


class _Process(msgspec.Struct):
    args: list[str] | None = None


class _Spec(msgspec.Struct):
    process: _Process | None = None
    annotations: dict[str, str] | None = None


class Known(msgspec.Struct, frozen=True):
    """What a runtime wrote down of one container. `born`: when its first process began, in the kernel's ticks, which
    tells it from a later one of that number. `freezer` and `memory`: its cgroups' folders, empty where unknown; a
    single one of version 2 is both. `limits` moves when they are changed."""

    program: str
    pid: int
    born: int
    created: str
    created_ns: int
    bundle: str
    annotations: Mapping[str, str]
    freezer: str = ""
    memory: str = ""
    limits: bytes = b""
    command: str = ""


def runc_state(data: bytes) -> Known:
    """Raises InvalidResponse."""
    state = decode(_RuncState, data)
    annotations, bundle = _of_labels(state.config.labels or ())
    cgroups = state.cgroups or {}
    whole = cgroups.get("", "")
    return Known(
        program=RUNC,
        pid=state.pid,
        born=state.born,
        created=state.created,
        created_ns=nanoseconds(state.created),
        bundle=bundle,
        annotations=annotations,
        freezer=cgroups.get("freezer") or whole,
        memory=cgroups.get("memory") or whole,
        limits=hashlib.sha256(bytes(state.config.cgroups)).digest(),
    )


def crun_status(data: bytes, cgroups: str, unified: bool) -> Known:
    """`cgroups`: where they are mounted; `unified`: as version 2 alone. Its annotations are in its `config.json`."""
    status = decode(_CrunStatus, data)
    freezer = memory = ""
    if status.cgroup.strip("/"):
        path = status.cgroup.strip("/")
        freezer = f"{cgroups}/{path}" if unified else f"{cgroups}/freezer/{path}"
        memory = f"{cgroups}/{path}" if unified else f"{cgroups}/memory/{path}"
    return Known(
        program=CRUN,
        pid=status.pid,
        born=status.born,
        created=status.created,
        created_ns=nanoseconds(status.created),
        bundle=status.bundle,
        annotations={},
        freezer=freezer,
        memory=memory,
    )


def with_spec(known: Known, data: bytes) -> Known:
    """With the command of a `config.json`, and its annotations where the state has none."""
    spec = decode(_Spec, data)
    args = spec.process.args if spec.process else None
    return msgspec.structs.replace(
        known,
        command=" ".join(args or ())[:LONGEST_COMMAND],
        annotations=known.annotations or spec.annotations or {},
    )


def _of_labels(labels: Sequence[str]) -> tuple[dict[str, str], str]:
    """runc keeps annotations as `name=value`, and the bundle's path among them, after all others."""
    bundle, annotations = "", {}
    for label in labels:
        name, _, value = label.partition("=")
        if name == "bundle":
            bundle = value
        else:
            annotations[name] = value
    return annotations, bundle


def owners(root: str, known: Known) -> tuple[str, ...]:
    """The kinds of engine that may tell of this container, the one closest to people first; none for nobody's."""
    given = known.annotations
    manager = given.get(_MANAGER, "")
    # Podman too writes some of CRI-O's names, such as when it was created.
    if manager == "cri-o" or _CRIO_TYPE in given:
        return ("cri",)
    if manager == "libpod" or _STORAGE.search(known.bundle):
        return ("podman",)
    namespace = ""
    if found := _CONTAINERD.search(known.bundle):
        namespace = found[1]
    elif "/containerd/runc/" in f"{root}/" or "/runtime-runc/" in f"{root}/":
        namespace = root.rpartition("/")[2]
    if not namespace:
        return ()
    if namespace == "moby" and _DOCKERS_OWN in known.bundle:
        return ("docker",)  # a containerd that nobody else speaks to
    return _OWNERS.get(namespace, ("containerd",))


def identity(root: str, name: str, created: str) -> str:
    """One container's id for us. A runtime's own may be given again once it is deleted, and in another directory."""
    return hashlib.sha256("\0".join((root, name, created)).encode("utf-8", "surrogateescape")).hexdigest()


def called(name: str) -> str:
    """What people call it: its id, a long one cut as docker cuts it, and nothing in it that is not text."""
    if _HEX.fullmatch(name):
        return name[:12]
    return _UNSAFE.sub("?", name)


def container(ref: Ref, known: Known, state: str, *, started: int | None, ended: int | None, oom: bool) -> Container:
    """`started` and `ended` in nanoseconds where they are known. A container of a runtime runs once: no restarts."""
    given = known.annotations
    up = state in ("running", "paused")
    return Container(
        ref=ref,
        image=image(known),
        image_id="",
        command=known.command,
        state=state,
        status={"created": "Created", "exited": "Exited", "running": "Up", "paused": "Up (Paused)"}.get(state, ""),
        created_at=known.created_ns / 1e9,
        labels=dict(given),
        started_at=None if started is None else started / 1e9,
        finished_at=None if up or ended is None else ended / 1e9,
        restarts=0,
        oom_killed=oom,
    )


def image(known: Known) -> str:
    """A bundle has none; some who made one wrote down what of."""
    return next((known.annotations[name] for name in IMAGE_ANNOTATIONS if name in known.annotations), "")


def event(at_ns: int, action: str, subject: Ref, image: str = "") -> Event:
    kind = KINDS.get(action, EventKind.OTHER)
    return Event(at_ns, kind, subject, Origin.LIVE, "container", action, {"image": image} if image else {})


def reference(engine: EngineRef, root: str, name: str, created: str) -> Ref:
    return Ref(engine=engine, kind=Kind.CONTAINER, id=identity(root, name, created), name=called(name))


def nanoseconds(text: str) -> int:
    """0 for what is no time: a container is not hidden because of its date."""
    try:
        return timestamps.nanoseconds(text)
    except (errors.InvalidResponse, ValueError):
        return 0


def document(data: bytes) -> dict[str, Any]:
    return decode(dict[str, Any], data)


def decode(kind: type[T], data: bytes) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise errors.InvalidResponse("It is not the JSON a runtime writes.") from error


class _LogLine(msgspec.Struct):
    level: str
    msg: str
    time: str


def said(stderr: str) -> str:
    """A runtime's own reason, out of all that it wrote with `--log-format json`: the last line that is an error's."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return next((told for line in reversed(lines) if (told := _error(line))), lines[-1] if lines else "")


def failed(stderr: str) -> str:
    """Why the runtime could not run a program in a container; empty where it ran and what was written is its own."""
    return _error(stderr.strip().rpartition("\n")[2])


def _error(line: str) -> str:
    try:
        told = msgspec.json.decode(line, type=_LogLine)
    except msgspec.DecodeError:
        return ""
    return told.msg if told.level in ("error", "fatal", "panic") else ""


def gone(reason: str) -> bool:
    return any(words in reason for words in _GONE)


def version(text: str) -> tuple[str, str]:
    """Of the program and of the specification it follows, out of what `--version` prints; empty where it does not."""
    program, spec = _VERSION.search(text), _SPEC.search(text)
    return program[1] if program else "", spec[1] if spec else ""
