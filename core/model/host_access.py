"""Lists what a container or a service that somebody wants to create could access on its host, or in other containers
there.

Whoever may make a container that mounts `/`, or that shares the host's processes, is root on that host. So this access
needs a verb of its own, `host.reach`, in addition to `container.create`. Only a pattern that begins with `host.` grants
it, and the `allow` list of the engine must name it. `reaches_of` is a pure function of a request: it returns one phrase
for each kind of access, such as “mounts /etc of the host”, and nothing for a request that stays inside its container.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from core.lazy_dataclass import dataclass
from core.model.actions import Action, Risk
from core.model.refs import EngineRef, Ref
from core.model.resource_facts import ResourceFacts
from core.model.results import Outcome

VERB, PREFIX = "host.reach", "host."
HOST = "host"
# The sockets of engines: whoever can write to one of these can do everything on its host.
SOCKETS = ("docker.sock", "podman.sock", "containerd.sock", "crio.sock", "cri-dockerd.sock")
# The log drivers that write to files of the engine only, or nowhere.
OWN_LOG_DRIVERS = ("json-file", "local", "none")
_OF = {
    "network": "network",
    "pid": "processes",
    "ipc": "shared memory",
    "uts": "host name",
    "userns": "users",
    "cgroupns": "control groups",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReachHost(Action[Outcome]):
    """Reaches the host from a new container or service. It is decided beside the action that does it, and never runs by
    itself. `target`: what will be created or changed; `facts`: what is known of it; `reaches`: a phrase for each."""

    verb = VERB
    risk = Risk.CHANGE
    target: Ref | None = None
    facts: ResourceFacts | None = None
    reaches: tuple[str, ...] = ()

    def targets(self) -> Sequence[Ref]:
        return Action.targets(self) if self.target is None else (self.target,)

    def prospective_facts(self, ref: Ref, at: datetime) -> ResourceFacts | None:
        return None if self.facts is None else replace(self.facts, at=at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespace:
    """A namespace that is not the container's own. `kind`: one of network, pid, ipc, uts, userns, cgroupns;
    `container`: the container that it belongs to; None: the host's."""

    kind: str
    container: Ref | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MountPoint:
    """Something mounted at `target` in the container. `source`: a path of the host, or the name of a volume; empty for
    a volume without a name. `tmpfs`: a directory in memory, without a source."""

    target: str
    source: str = ""
    read_only: bool = False
    tmpfs: bool = False

    @property
    def is_host_path(self) -> bool:
        return self.source.startswith("/")


@dataclass(frozen=True, slots=True, kw_only=True)
class HostAccess:
    """Holds all that a request or a container can take from its host. Nothing by default. `devices`: as `docker run
    --device` takes them, and rules such as `b *:* rwm`, which allow devices that have no file in the container. `pod`:
    the pod that it joins; `log_driver`: the program of the engine that its output goes to, empty: the engine's usual
    one."""

    mounts: tuple[MountPoint, ...] = ()
    namespaces: tuple[Namespace, ...] = ()
    volumes_from: tuple[Ref, ...] = ()
    devices: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    security_options: tuple[str, ...] = ()
    privileged: bool = False
    pod: Ref | None = None
    log_driver: str = ""


def reaches_of(access: HostAccess) -> tuple[str, ...]:
    """Returns a phrase for each reach; none if the container stays by itself."""
    return tuple(dict.fromkeys(_reaches(access)))


def joined_containers(access: HostAccess) -> tuple[Ref, ...]:
    """Returns the other containers whose namespaces or volumes it shares, which is as good as a program in them."""
    joined = [each.container for each in access.namespaces if each.container is not None]
    return tuple(dict.fromkeys([*joined, *access.volumes_from]))


def host_path_of_volume(options: Mapping[str, str]) -> str:
    """Returns the path of the host that a volume with these options of the driver `local` is; empty if it is none. The
    options are those of mount(8): `device`, `type` and `o`."""
    given = {key.lower(): str(value) for key, value in options.items()}
    device, flags = given.get("device", ""), given.get("o", "").split(",")
    if device.startswith("/"):
        return device
    if {"bind", "rbind"}.intersection(flags):
        return posixpath.normpath(f"/{device}")  # relative to the engine's working directory
    return next(iter(overlaid_paths(flags)), "")


def overlaid_paths(options: Iterable[str]) -> tuple[str, ...]:
    """Returns the absolute paths that the options of an overlay mount name as its content."""
    flags = [flag for option in options for flag in option.split(",")]
    found = [flag.partition("=")[2] for flag in flags if flag.startswith(("lowerdir=", "lowerdir+=", "upperdir="))]
    return tuple(path for paths in found for path in paths.split(":") if path.startswith("/"))


def needs(engine: EngineRef, target: Ref, facts: ResourceFacts | None, reaches: tuple[str, ...]) -> Sequence[ReachHost]:
    """Returns what an action with these reaches needs beside its own verb."""
    return [ReachHost(engine=engine, target=target, facts=facts, reaches=reaches)] if reaches else []


def _reaches(access: HostAccess) -> Iterator[str]:
    if access.privileged:
        yield "runs privileged"
    yield from (_mount(mount.source) for mount in access.mounts if mount.is_host_path)
    for namespace in access.namespaces:
        owner = "the host" if namespace.container is None else namespace.container.name
        yield f"shares the {_OF.get(namespace.kind, namespace.kind)} of {owner}"
    if access.log_driver and access.log_driver not in OWN_LOG_DRIVERS:
        # The engine connects, as root and in the host's network, to whatever address or socket the options name.
        yield f"sends its output away by the log driver {access.log_driver}"
    if access.pod is not None:
        yield f"shares the namespaces of the pod {access.pod.name}"
    yield from (f"mounts the volumes of {ref.name}" for ref in access.volumes_from)
    yield from (f"uses the device {_device(device)} of the host" for device in access.devices)
    yield from (f"has the capability {name}" for name in access.capabilities)
    yield from (f"changes its security by {option}" for option in access.security_options)


def _device(given: str) -> str:
    return given if " " in given else given.partition(":")[0]


def _mount(path: str) -> str:
    parts: Iterable[str] = path.rstrip("/").split("/")
    if any(part in SOCKETS for part in parts):
        return f"mounts the engine's socket {path}"
    return f"mounts {path} of the host"
