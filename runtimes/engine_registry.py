"""Lists the supported kinds of engines, and creates the adapter for an engine's address.

An adapter's module is imported when its kind is first used. This module contacts no engine.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import ipaddress
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from core import errors
from core.lazy_dataclass import dataclass
from core.model.registry_reads import PUBLIC_REGISTRIES
from runtimes.base import duplicate_engines, engine_options
from runtimes.inventory.mirror import WatchedEngine
from runtimes.transport.endpoint import Endpoint, Ssh, Tls

__all__ = [
    "KINDS",
    "DefaultAddress",
    "Endpoint",
    "EngineAddress",
    "EngineKind",
    "EngineRegistry",
    "Ssh",
    "Tls",
    "context_address",
    "engine_class",
    "find_duplicate",
    "guess_kind",
    "open_engine",
    "security_warnings",
]


@dataclass(frozen=True, slots=True)
class DefaultAddress:
    """Holds one path where an engine usually is: a socket, or with `is_directory` a directory of its state. In `path`,
    `{uid}` stands for each user, and `{HOME}` and `{XDG_RUNTIME_DIR}` for the environment variables. `name`
    distinguishes engines of one kind. `required_path` must also exist."""

    path: str
    name: str = "default"
    required_path: str = ""
    is_directory: bool = False


@dataclass(frozen=True, slots=True)
class EngineKind:
    """Describes one kind of engine: its adapter, as `module:Class`, and the paths where discovery looks for it."""

    adapter: str
    default_addresses: tuple[DefaultAddress, ...] = ()


# fmt: off
KINDS: Mapping[str, EngineKind] = {
    "docker": EngineKind("runtimes.docker.engine:Docker", (DefaultAddress("/var/run/docker.sock"), DefaultAddress("{XDG_RUNTIME_DIR}/docker.sock", "rootless"), DefaultAddress("{HOME}/.docker/run/docker.sock", "desktop"))),  # noqa: E501
    "podman": EngineKind("runtimes.podman.engine:Podman", (DefaultAddress("/run/podman/podman.sock"), DefaultAddress("/run/user/{uid}/podman/podman.sock", "{uid}"))),  # noqa: E501
    "oci": EngineKind("runtimes.oci.engine:Oci", (DefaultAddress("/run/runc", "runc", is_directory=True), DefaultAddress("/run/crun", "crun", is_directory=True), DefaultAddress("/run/user/{uid}/runc", "runc-{uid}", is_directory=True), DefaultAddress("/run/user/{uid}/crun", "crun-{uid}", is_directory=True))),  # noqa: E501
    "containerd": EngineKind("runtimes.containerd.engine:Containerd", (DefaultAddress("/run/containerd/containerd.sock"), DefaultAddress("/run/k3s/containerd/containerd.sock", "k3s"))),  # noqa: E501
    "cri": EngineKind("runtimes.cri.engine:Cri", (DefaultAddress("/run/crio/crio.sock"), DefaultAddress("/run/containerd/containerd.sock", "containerd", required_path="/var/lib/kubelet"))),  # noqa: E501
}
# fmt: on
# Podman also serves Docker's API, so one socket is one engine, whichever of the two kinds is configured.
SAME_API = frozenset({"docker", "podman"})


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineAddress:
    """Holds the address and options of one engine. `name` distinguishes two engines of one kind on one host. `allow`:
    globs of the verbs that its owner allows; empty for all. `context`: the docker context that contains the address.
    `swarm`: the name for the Swarm that it manages."""

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
        """The host in the url; empty for this machine."""
        return Endpoint.parse(self.url).host

    @property
    def location(self) -> tuple[str, str]:
        """A value that is equal for two addresses of one socket or port. Symbolic links are followed."""
        endpoint = Endpoint.parse(self.url)
        path = str(Path(endpoint.path).resolve()) if endpoint.scheme in ("unix", "file") else ""
        return path or str(endpoint), "" if self.kind in SAME_API else self.kind


class EngineRegistry:
    """Creates the adapters of this process and holds what they share: it detects one engine with two addresses, and
    each adapter can read the kinds of the other engines on its host."""

    def __init__(
        self,
        on_displaced: Callable[[EngineAddress], object] = bool,
        *,
        registries: Sequence[str] = PUBLIC_REGISTRIES,
    ) -> None:
        """`on_displaced` is called with the address of an engine whose identity a more trusted address has.
        `registries`: globs of the registries that Quarterdeck itself may ask about images."""
        self._registries = tuple(registries)
        self._on_displaced = on_displaced
        self._identities = duplicate_engines.DuplicateEngineCheck()
        self._entries: dict[EngineAddress, duplicate_engines.EngineIdentity] = {}

    def open(self, address: EngineAddress) -> WatchedEngine:
        """Creates the adapter for an address; it connects when it is first used. Raises BadUsage for an unknown kind or
        an unusable address."""
        adapter = engine_class(address.kind)
        identity = self._identities.identity(
            trust=functools.partial(_trust, address), on_displaced=lambda: self._on_displaced(address)
        )
        given = engine_options.EngineOptions(
            name=address.name,
            allow=address.allow,
            tls=address.tls,
            ssh=address.ssh,
            identity=identity,
            watched_kinds=_OtherKinds(address, self._entries),
            registries=self._registries,
        )
        engine = cast(WatchedEngine, adapter(address.url, given))
        self._entries[address] = identity
        return engine

    def leave(self, address: EngineAddress) -> None:
        """Allows another address for the engine that answered at this one. If this address answers again, its engine is
        registered again."""
        self._entries[address].leave()

    def forget(self, address: EngineAddress) -> None:
        """Removes an engine. The caller closes its adapter."""
        self._entries.pop(address).close()


class _OtherKinds(Collection[str]):
    """Holds the kinds of the other engines on one engine's host. Changes when engines are added or removed."""

    def __init__(self, address: EngineAddress, addresses: Collection[EngineAddress]) -> None:
        self._address, self._addresses = address, addresses

    def __iter__(self) -> Iterator[str]:
        kind, host = self._address.kind, self._address.host
        return iter({other.kind for other in self._addresses if other.kind != kind and other.host == host})

    def __contains__(self, kind: object) -> bool:
        return kind in set(self)

    def __len__(self) -> int:
        return len(set(self))


def _trust(address: EngineAddress) -> duplicate_engines.IdentityTrust:
    """Returns how much the identity is worth that an engine at this address answers with."""
    endpoint = Endpoint.parse(address.url)
    if endpoint.scheme in ("unix", "file"):
        try:
            uid = Path(endpoint.path).stat().st_uid
        except OSError:
            return duplicate_engines.IdentityTrust.OTHER_USER
        own = uid in (0, os.geteuid())
        return duplicate_engines.IdentityTrust.OWN_HOST if own else duplicate_engines.IdentityTrust.OTHER_USER
    encrypted = endpoint.scheme == "ssh" or address.tls is not None
    return duplicate_engines.IdentityTrust.AUTHENTICATED if encrypted else duplicate_engines.IdentityTrust.PLAIN


def open_engine(address: EngineAddress, *, registries: Sequence[str] = PUBLIC_REGISTRIES) -> WatchedEngine:
    """Creates the adapter for an address, as the only engine. Raises as `EngineRegistry.open`."""
    return EngineRegistry(registries=registries).open(address)


def engine_class(kind: str) -> Any:
    """Imports and returns the adapter class of a kind. Raises BadUsage for an unknown kind."""
    found = KINDS.get(kind)
    if found is None:
        close = difflib.get_close_matches(kind, KINDS, n=1, cutoff=0.5)
        hint = f"Did you mean {close[0]}?" if close else f"Write one of: {', '.join(KINDS)}."
        raise errors.BadUsage(f"“{kind}” is not a kind of engine.", hint=hint)
    module, _, name = found.adapter.partition(":")
    return getattr(importlib.import_module(module), name)


def guess_kind(url: str) -> str:
    """Guesses the kind of engine from the last part of a url's path. Returns `docker` if no kind usually has it."""
    path = Path(url.partition("://")[2].partition("?")[0])
    for kind, found in KINDS.items():
        for default in found.default_addresses:
            if not default.required_path and path.parts[-1:] == Path(default.path).parts[-1:]:
                return kind
    return "docker"


def context_address(
    context: str, *, name: str = "default", allow: tuple[str, ...] = (), environ: Mapping[str, str]
) -> EngineAddress:
    """Reads the address in a docker context. `default` is docker's own name for its usual socket. Raises NotFound and
    BadUsage."""
    from runtimes.docker import contexts  # noqa: PLC0415 (few use them)

    if context == contexts.DEFAULT:
        return EngineAddress(kind="docker", url="unix:///var/run/docker.sock", name=name, allow=allow, context=context)
    found = contexts.load(context, environ)
    Endpoint.parse(found.url)
    return EngineAddress(kind="docker", url=found.url, name=name, allow=allow, tls=found.tls, context=context)


def find_duplicate(addresses: Sequence[EngineAddress]) -> str:
    """Returns a sentence about two addresses of one engine, or two engines with one name; empty if there are none. Two
    different urls of one daemon are detected only when it answers: `DuplicateEngineCheck` refuses the second one
    then."""
    by_location: dict[tuple[str, str], EngineAddress] = {}
    by_name: dict[tuple[str, str, str], EngineAddress] = {}
    for address in addresses:
        location = address.location
        if location in by_location:
            return f"{by_location[location]} and {address} are the same engine. Remove one of them."
        by_location[location] = address
        name = (address.kind, address.host, address.name)
        if name in by_name:  # until they answer, only their names distinguish them
            return f"{by_name[name]} and {address} have the same name, {address.name}. Give one of them another `name`."
        by_name[name] = address
    return ""


def security_warnings(addresses: Sequence[EngineAddress]) -> Sequence[str]:
    """Returns a warning for each address that is used over a network without TLS."""
    found = []
    for address in addresses:
        endpoint = Endpoint.parse(address.url)
        if endpoint.scheme == "tcp" and address.tls is None and not _is_loopback(endpoint.host):
            found.append(
                f"{endpoint} is used WITHOUT TLS. Everybody who reaches that port is root on {endpoint.host}, and"
                " everybody on the network path can read and change everything. Use ssh://, or TLS on both sides."
            )
    return found


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
