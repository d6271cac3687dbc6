"""Which engines we know how to speak to. One line per engine; its module loads on use.

In come doors: an address, what proves who is who on the way, a name. Out come adapters. Nothing is contacted here.
"""

from __future__ import annotations

import difflib
import importlib
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from core import errors
from runtimes.base import identities, options
from runtimes.inventory.mirror import Watched
from runtimes.swarm import membership
from runtimes.transport.endpoint import Endpoint, Ssh, Tls

__all__ = [
    "KINDS",
    "DefaultAddress",
    "Endpoint",
    "EngineAddress",
    "EngineKind",
    "Ssh",
    "Tls",
    "engine_class",
    "kind_of",
    "open_engine",
]


@dataclass(frozen=True, slots=True)
class DefaultAddress:
    """Where an engine usually listens: a socket, or with `folder` a directory of state. `{uid}` in `path` stands for
    each user, `{HOME}` and `{XDG_RUNTIME_DIR}` for the environment's. `name`: what tells it from others of its kind;
    `beside`: a path that must be there too."""

    path: str
    name: str = "default"
    beside: str = ""
    folder: bool = False


@dataclass(frozen=True, slots=True)
class EngineKind:
    """One kind of engine: its class, as `module:Class`, and where it is looked for."""

    target: str
    places: tuple[DefaultAddress, ...] = ()


# fmt: off
KINDS: Mapping[str, EngineKind] = {
    "docker": EngineKind("runtimes.docker.engine:Docker", (DefaultAddress("/var/run/docker.sock"), DefaultAddress("{XDG_RUNTIME_DIR}/docker.sock", "rootless"), DefaultAddress("{HOME}/.docker/run/docker.sock", "desktop"))),  # noqa: E501
    "podman": EngineKind("runtimes.podman.engine:Podman", (DefaultAddress("/run/podman/podman.sock"), DefaultAddress("/run/user/{uid}/podman/podman.sock", "{uid}"))),  # noqa: E501
    "oci": EngineKind("runtimes.oci.engine:Oci", (DefaultAddress("/run/runc", "runc", folder=True), DefaultAddress("/run/crun", "crun", folder=True), DefaultAddress("/run/user/{uid}/runc", "runc-{uid}", folder=True), DefaultAddress("/run/user/{uid}/crun", "crun-{uid}", folder=True))),  # noqa: E501
    "containerd": EngineKind("runtimes.containerd.engine:Containerd", (DefaultAddress("/run/containerd/containerd.sock"), DefaultAddress("/run/k3s/containerd/containerd.sock", "k3s"))),  # noqa: E501
    "cri": EngineKind("runtimes.cri.engine:Cri", (DefaultAddress("/run/crio/crio.sock"), DefaultAddress("/run/containerd/containerd.sock", "containerd", beside="/var/lib/kubelet"))),  # noqa: E501
}
# fmt: on
# These answer to one API at one address: only one of them is there.
ONE_API = frozenset({"docker", "podman"})


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineAddress:
    """Where one engine listens. `name` tells two engines of one kind on one host apart; `allow`: verb globs, empty for
    all; `context`: the docker context it was found under; `swarm`: what the Swarm it manages is to be called."""

    kind: str
    url: str
    name: str = "default"
    allow: tuple[str, ...] = ()
    tls: Tls | None = None
    ssh: Ssh | None = None
    context: str = ""
    swarm: str = ""

    def __str__(self) -> str:
        return f"{self.context} ({self.url})" if self.context else self.url

    @property
    def host(self) -> str:
        """The host in its address; empty for this one."""
        return Endpoint.parse(self.url).host


def engine_class(kind: str) -> Any:
    """Raises BadUsage for an unknown kind."""
    known = KINDS.get(kind)
    if known is None:
        close = difflib.get_close_matches(kind, KINDS, n=1, cutoff=0.5)
        near = f"Did you mean {close[0]}?" if close else f"EngineKind kinds: {', '.join(KINDS)}."
        raise errors.BadUsage(f"“{kind}” is not a kind of engine.", hint=near)
    module, _, name = known.target.partition(":")
    return getattr(importlib.import_module(module), name)


def kind_of(url: str) -> str:
    """The kind that usually listens at such an address: by the last words of its path; otherwise `docker`."""
    path = Path(url.partition("://")[2].partition("?")[0])
    for kind, known in KINDS.items():
        for place in known.places:
            if not place.beside and path.parts[-1:] == Path(place.path).parts[-1:]:
                return kind
    return "docker"


def open_engines(doors: Sequence[EngineAddress]) -> Sequence[Watched]:
    """The adapters for these doors, which refuse to be one engine twice. Raises as `open_engine`."""
    known = identities.EngineIdentities()
    return [open_engine(door, known, watched_kinds=_beside(door, doors)) for door in doors]


def swarms(doors: Sequence[EngineAddress], engines: Sequence[Watched]) -> membership.Clusters:
    """The Swarms that these engines, opened for these doors, turn out to be managers of."""
    daemons: dict[membership.Daemon, str] = {
        cast(membership.Daemon, engine): door.swarm
        for door, engine in zip(doors, engines, strict=True)
        if door.kind == "docker"
    }
    return membership.Clusters(daemons)


def open_engine(
    door: EngineAddress,
    known: identities.EngineIdentities | None = None,
    *,
    watched_kinds: frozenset[str] = frozenset(),
) -> Watched:
    """The adapter for a door; connects lazily. `watched_kinds`: kinds of other engines that are watched on its host,
    which report their own containers. Raises BadUsage for an unknown kind or an unusable address."""
    kind = engine_class(door.kind)
    given = options.EngineOptions(
        name=door.name,
        allow=door.allow,
        tls=door.tls,
        ssh=door.ssh,
        identities=known or identities.EngineIdentities(),
        watched_kinds=watched_kinds,
    )
    return cast(Watched, kind(door.url, given))


def by_context(
    named: str, *, name: str = "default", allow: tuple[str, ...] = (), environ: Mapping[str, str]
) -> EngineAddress:
    """The door of a docker context. Raises NotFound and BadUsage. `default` is docker's own word for its usual
    socket."""
    from runtimes.docker import contexts  # noqa: PLC0415 (few use them)

    if named == contexts.DEFAULT:
        return EngineAddress(kind="docker", url="unix:///var/run/docker.sock", name=name, allow=allow, context=named)
    found = contexts.load(named, environ)
    Endpoint.parse(found.url)
    return EngineAddress(kind="docker", url=found.url, name=name, allow=allow, tls=found.tls, context=named)


def twice(doors: Sequence[EngineAddress]) -> str:
    """The sentence for two doors that lead to one engine, or that could not be told apart; empty where all is well.
    Two addresses of one engine show only when it answers: `EngineIdentities` rejects the second one then."""
    places: dict[tuple[str, str], EngineAddress] = {}
    named: dict[tuple[str, str, str], EngineAddress] = {}
    for door in doors:
        endpoint = Endpoint.parse(door.url)
        path = str(Path(endpoint.path).resolve()) if endpoint.scheme in ("unix", "file") else ""
        place = (path or str(endpoint), "" if door.kind in ONE_API else door.kind)
        if place in places:
            return f"{places[place]} and {door} are one engine; every event would count twice."
        places[place] = door
        key = (door.kind, endpoint.host, door.name)
        if key in named:  # until they answer, their names are all there is
            return f"{named[key]} and {door} are both called {door.name}; give one another `name`."
        named[key] = door
    return ""


def warnings(doors: Sequence[EngineAddress]) -> Sequence[str]:
    """What is not wrong but should be known of these doors."""
    told = []
    for door in doors:
        endpoint = Endpoint.parse(door.url)
        if endpoint.scheme == "tcp" and door.tls is None and not _loopback(endpoint.host):
            told.append(
                f"{endpoint} is spoken to WITHOUT TLS: whoever can reach that port is root on {endpoint.host}, and"
                " whoever is in between reads and changes everything. Use ssh://, or TLS on both sides."
            )
    return told


def _beside(door: EngineAddress, doors: Sequence[EngineAddress]) -> frozenset[str]:
    return frozenset(other.kind for other in doors if other.kind != door.kind and other.host == door.host)


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
