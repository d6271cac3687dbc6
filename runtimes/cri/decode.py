"""CRI's words into ours, as pure tables and functions; found on containerd 1.6 and 1.7, and in CRI-O's source.

In come messages of the engine, out come what we know of each container (`Known`), rows, and the events that lead from
one look at the engine to the next. Numbers that stand for words and are not in the tables pass: a state nobody knows
makes a container `dead`, an event nobody knows is `other`. A container of CRI runs once: the kubelet makes another one,
of the next attempt, where others restart. So what is known of one that runs or has ended stays true.

A container is called `namespace/pod/container`, as the paths of Kubernetes go: pods of one name live in several
namespaces, and a name has to be one container's alone. The newest of several attempts has the name; an earlier one,
kept by the kubelet for its log, has the beginning of its id behind it: `shop/web-0/app.3f2a9c10`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from google.protobuf import json_format

from core.model.containers import Container
from core.model.events import Event, EventKind, Origin
from core.model.images import Image
from core.model.pods import Pod
from core.model.refs import EngineRef, Kind, Ref
from core.text import redact, redact_json
from runtimes.formats import status_text
from runtimes.proto import cri_pb2 as cri

PodLine = cri.PodSandbox | cri.PodSandboxStatus
"""A pod as a list has it, or an event."""
CREATED, RUNNING, EXITED = 0, 1, 2
STATES = {CREATED: "created", RUNNING: "running", EXITED: "exited", 3: "dead"}
READY = 0
POD_STATES = {READY: "ready", 1: "notready"}
DELETED = 3
EVENT_WORDS = {0: "created", 1: "started", 2: "stopped", DELETED: "deleted"}
# CRI's own words where it has one.
WORDS = {
    EventKind.CREATED: "created",
    EventKind.STARTED: "started",
    EventKind.OOM: "oom",
    EventKind.DIED: "stopped",
    EventKind.REMOVED: "deleted",
    EventKind.RENAMED: "renamed",
}
OOM_REASON = "OOMKilled"
CGROUP_DRIVERS = {0: "systemd", 1: "cgroupfs"}

NAMESPACE = "io.kubernetes.pod.namespace"
POD_NAME = "io.kubernetes.pod.name"
POD_UID = "io.kubernetes.pod.uid"
CONTAINER_NAME = "io.kubernetes.container.name"

# What in an engine's own configuration opens registries.
_SECRET_KEYS = frozenset({"password", "auth", "identitytoken", "identity_token", "registrytoken", "registry_token"})


class Known(msgspec.Struct, frozen=True, gc=False):
    """What an engine told of one container. Times are nanoseconds, 0 where it told none; `labels` are its own and its
    pod's, and whose it is cannot be claimed by a label."""

    id: str
    pod: str
    name: str
    attempt: int
    state: int
    created_ns: int
    labels: dict[str, str]
    image: str = ""
    image_id: str = ""
    started_ns: int = 0
    finished_ns: int = 0
    exit_code: int | None = None
    reason: str = ""
    log: str = ""
    told: bool = True
    """Whether its status was to be had, not its line of the list alone."""

    @property
    def path(self) -> str:
        """Its name, which earlier attempts share."""
        parts = (self.labels.get(NAMESPACE, ""), self.labels.get(POD_NAME, ""), self.name or self.id[:12])
        return "/".join(filter(None, parts))

    @property
    def ended(self) -> bool:
        return self.state not in (CREATED, RUNNING)

    @property
    def progress(self) -> int:
        """Grows, and never shrinks: a container does not go back."""
        return min(self.state, EXITED)


# ── from messages ────────────────────────────────────────────────────────────────────────────────────────────────────


def known(listed: cri.Container | cri.ContainerStatus, told: cri.ContainerStatus | None, pod: PodLine | None) -> Known:
    """A container as a list has it, or an event; `told`: its status, where it was to be had; `pod`: its pod's line of a
    list or status."""
    now = told if told is not None else listed
    facts: dict[str, Any] = {}
    if told is not None:
        facts = {
            "started_ns": max(0, told.started_at),
            # containerd has been seen to let a short run end a little before it began.
            "finished_ns": max(told.finished_at, told.started_at + 1) if told.finished_at > 0 else 0,
            "exit_code": told.exit_code if told.state not in (CREATED, RUNNING) else None,
            "reason": told.reason,
            "log": told.log_path,
        }
    return Known(
        id=listed.id,
        pod=pod.id if pod is not None else getattr(listed, "pod_sandbox_id", ""),
        name=listed.metadata.name or listed.labels.get(CONTAINER_NAME, ""),
        attempt=listed.metadata.attempt,
        state=now.state,
        created_ns=max(0, listed.created_at),
        labels=_labels(listed, pod),
        image=_image(listed, told),
        image_id=listed.image_id or listed.image_ref,
        told=told is not None,
        **facts,
    )


def _labels(listed: Any, pod: PodLine | None) -> dict[str, str]:
    # Kubernetes' users write a pod's labels, so permission by label must see them; the kubelet writes a container's.
    labels = {**(pod.labels if pod is not None else {}), **listed.labels}
    if pod is not None and pod.metadata.name:
        labels |= {NAMESPACE: pod.metadata.namespace, POD_NAME: pod.metadata.name}
    return labels


def _image(listed: Any, told: cri.ContainerStatus | None) -> str:
    """By name where one is told: the kubelet asks for a container by its image's id."""
    names = [listed.image.user_specified_image]
    if told is not None:
        names += [told.image.user_specified_image, told.image.image]
    names += [listed.image.image, listed.image_ref]
    found = [name for name in names if name]
    return next((name for name in found if not _is_id(name)), found[0] if found else "")


def _is_id(name: str) -> bool:
    bare = name.removeprefix("sha256:")
    return len(bare) == 64 and all(character in "0123456789abcdef" for character in bare)


# ── names and rows ───────────────────────────────────────────────────────────────────────────────────────────────────


def called(things: Iterable[Known]) -> dict[str, str]:
    """Each container's name, by id: the same for all of them, and no two alike."""
    return _unique({one.id: (one.path, (one.attempt, one.created_ns, one.id)) for one in things})


def pods_called(pods: Iterable[PodLine]) -> dict[str, str]:
    return _unique({pod.id: (pod_path(pod), (pod.metadata.attempt, pod.created_at, pod.id)) for pod in pods})


def pod_path(pod: PodLine) -> str:
    return "/".join(filter(None, (pod.metadata.namespace, pod.metadata.name or pod.id[:12])))


def _unique(paths: Mapping[str, tuple[str, tuple[int, int, str]]]) -> dict[str, str]:
    newest: dict[str, tuple[int, int, str]] = {}
    for path, age in paths.values():
        if age > newest.get(path, (-1, -1, "")):
            newest[path] = age
    return {thing: path if newest[path] == age else f"{path}.{thing[:8]}" for thing, (path, age) in paths.items()}


def ref(engine: EngineRef, one: Known, name: str) -> Ref:
    return Ref(engine=engine, kind=Kind.CONTAINER, id=one.id, name=name)


def row(engine: EngineRef, one: Known, name: str, now: float) -> Container:
    """`now`: seconds since the epoch, for the sentence of its state."""
    made = Container(
        ref=ref(engine, one, name),
        image=one.image,
        image_id=one.image_id,
        command="",
        state=STATES.get(one.state, "dead"),
        status="",
        created_at=one.created_ns / 1e9,
        labels=one.labels,
        started_at=_seconds(one.started_ns),
        finished_at=_seconds(one.finished_ns),
        exit_code=one.exit_code,
        restarts=one.attempt if one.told else None,
        oom_killed=one.reason == OOM_REASON if one.told else None,
    )
    return status_text.refreshed(made, now)


def pod_row(engine: EngineRef, pod: PodLine, name: str, members: Sequence[Known], address: str) -> Pod:
    return Pod(
        ref=Ref(engine=engine, kind=Kind.POD, id=pod.id, name=name),
        state=POD_STATES.get(pod.state, "unknown"),
        created_at=pod.created_at / 1e9,
        labels={**pod.labels, NAMESPACE: pod.metadata.namespace, POD_NAME: pod.metadata.name},
        members=tuple(one.id for one in members),
        running=sum(one.state == RUNNING for one in members),
        namespace=pod.metadata.namespace,
        address=address,
    )


def _seconds(at_ns: int) -> float | None:
    return at_ns / 1e9 if at_ns > 0 else None


# ── events ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def story(one: Known, subject: Ref, origin: Origin, at_ns: int) -> Iterator[Event]:
    """What a container tells of itself: when it was made, began, and how it ended. `at_ns` stands where it tells no
    time. The same facts are the same events, whoever tells them and however often."""
    yield _event(EventKind.CREATED, subject, one, one.created_ns or at_ns, origin=origin)
    if one.started_ns:
        yield _event(EventKind.STARTED, subject, one, one.started_ns, origin=origin)
    if one.ended:
        yield from _end(one, subject, at_ns, origin=origin)


def became(was: Known | None, now: Known, subject: Ref, at_ns: int) -> Iterator[Event]:
    """What happened to a container since the last look; None: it was not there."""
    if was is None:
        yield from story(now, subject, Origin.LIVE, at_ns)
        return
    if now.started_ns and not was.started_ns:
        yield _event(EventKind.STARTED, subject, now, now.started_ns)
    if now.ended and not was.ended:
        yield from _end(now, subject, at_ns)


def gone(old: Known, subject: Ref, at_ns: int) -> Iterator[Event]:
    """A container that is not there any more. How it ended, if nobody saw that, nobody can tell."""
    if old.state == RUNNING:
        yield _event(EventKind.DIED, subject, old, at_ns)
    yield _event(EventKind.REMOVED, subject, old, at_ns)


def renamed(one: Known, subject: Ref, old_name: str, at_ns: int) -> Event:
    return _event(EventKind.RENAMED, subject, one, at_ns, old_name=old_name)


def pod_changes(
    engine: EngineRef, before: Mapping[str, PodLine], after: Mapping[str, PodLine], at_ns: int
) -> list[Event]:
    """What happened to pods between two looks; of no consequence to the picture of containers."""
    found = []
    for thing, pod in after.items():
        was = before.get(thing)
        if was is None:
            found.append(pod_event(engine, pod, 0, pod.created_at or at_ns))
        if pod.state != READY and (was is None or was.state == READY):
            found.append(pod_event(engine, pod, 2, at_ns))
    found += [pod_event(engine, pod, DELETED, at_ns) for thing, pod in before.items() if thing not in after]
    return found


def pod_event(engine: EngineRef, pod: PodLine, kind: int, at_ns: int) -> Event:
    subject = Ref(engine=engine, kind=Kind.POD, id=pod.id, name=pod_path(pod))
    word = EVENT_WORDS.get(kind, f"event_{kind}")
    return Event(at_ns, EventKind.OTHER, subject, Origin.LIVE, "pod", word, {})


def unknown_event(engine: EngineRef, told: cri.ContainerEventResponse) -> Event:
    """One of a type nobody knows yet."""
    subject = Ref(engine=engine, kind=Kind.CONTAINER, id=told.container_id, name=told.container_id[:12])
    word = f"event_{told.container_event_type}"
    return Event(told.created_at, EventKind.OTHER, subject, Origin.LIVE, "container", word, {})


def _end(one: Known, subject: Ref, at_ns: int, *, origin: Origin = Origin.LIVE) -> Iterator[Event]:
    ended = one.finished_ns or at_ns
    if one.reason == OOM_REASON:
        yield _event(EventKind.OOM, subject, one, ended - 1, origin=origin)
    code = {} if one.exit_code is None else {"exit_code": str(one.exit_code)}
    yield _event(EventKind.DIED, subject, one, ended, origin=origin, **code)


def _event(
    kind: EventKind, subject: Ref, one: Known, at_ns: int, *, origin: Origin = Origin.LIVE, **attrs: str
) -> Event:
    return Event(at_ns, kind, subject, origin, "container", WORDS[kind], {"image": one.image, **attrs})


# ── documents ────────────────────────────────────────────────────────────────────────────────────────────────────────


def document(message: Any, info: Mapping[str, str]) -> dict[str, Any]:
    """A message and the engine's verbose words about it, without what is secret in them."""
    told: dict[str, Any] = json_format.MessageToDict(message, preserving_proto_field_name=True)
    told["info"] = {key: _decoded(text) for key, text in info.items()}
    _hide_access(told)
    return redact_json.mask_env_values(told)


def _decoded(text: str) -> Any:
    # Most of these words are JSON, some are not, and which differs from engine to engine.
    try:
        return json.loads(text)
    except ValueError:
        return text


def _hide_access(value: Any) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            if str(key).lower() in _SECRET_KEYS and isinstance(inner, str):
                value[key] = redact.MASK if inner else inner
            else:
                _hide_access(inner)
    elif isinstance(value, list):
        for inner in value:
            _hide_access(inner)


# ── images ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def image(engine: EngineRef, told: cri.Image) -> Image:
    short = told.id.removeprefix("sha256:")[:12]
    return Image(
        ref=Ref(engine=engine, kind=Kind.IMAGE, id=told.id, name=told.repo_tags[0] if told.repo_tags else short),
        tags=tuple(told.repo_tags),
        digests=tuple(told.repo_digests),
        size=told.size,
    )


def called_by_id(image: Ref) -> bool:
    """Whether it has no name, or is meant with all of them."""
    return not image.name or image.id.removeprefix("sha256:").startswith(image.name.removeprefix("sha256:"))


def digest_of(wanted: str, told: cri.Image) -> str:
    """`sha256:…` of what a name stands for; that of its repository where the image came from several."""
    repository = wanted.partition("@")[0]
    if ":" in repository.rpartition("/")[2]:
        repository = repository.rpartition(":")[0]
    known = {place: digest for place, _, digest in (text.partition("@") for text in told.repo_digests)}
    # Engines write out what a short name stands for: docker.io/library/busybox.
    ends = [digest for place, digest in known.items() if place == repository or place.endswith(f"/{repository}")]
    return next(iter([*ends, *known.values()]), "")


# ── the engine ───────────────────────────────────────────────────────────────────────────────────────────────────────


def notes(told: cri.RuntimeStatus) -> tuple[str, ...]:
    """A sentence for each condition that does not hold."""
    return tuple(
        f"{one.type} is false{f' ({one.reason})' if one.reason else ''}: {one.message[:300] or 'it does not say why'}."
        for one in told.conditions
        if not one.status
    )


def parts(told: cri.StatusResponse) -> dict[str, str]:
    """Storage driver and OCI runtime, where the engine's verbose words tell them."""
    config = _decoded(told.info.get("config", ""))
    config = config if isinstance(config, dict) else {}
    containerd = config.get("containerd")
    containerd = containerd if isinstance(containerd, dict) else {}
    crio = config.get("crio")
    crio = crio if isinstance(crio, dict) else {}
    default = containerd.get("defaultRuntimeName") or crio.get("DefaultRuntime") or crio.get("default_runtime")
    found = {"storage": containerd.get("snapshotter"), "runtime": default}
    return {key: str(value) for key, value in found.items() if value}
