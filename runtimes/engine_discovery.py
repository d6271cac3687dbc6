"""Finds the engines of this machine: every socket and state directory at a usual path. Contacts no engine.

For Docker, the first of these is used that is set: `DOCKER_HOST`, `DOCKER_CONTEXT`, the current context. Otherwise the
usual sockets are searched. This is the order of the docker command. For Podman, `CONTAINER_HOST` is used, otherwise the
usual sockets. Two paths that lead to the same socket count as one engine: for example, the package podman-docker makes
docker.sock a link to Podman's socket.
"""

from __future__ import annotations

import grp
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from core.lazy_dataclass import dataclass
from runtimes import engine_registry
from runtimes.engine_registry import DefaultAddress, EngineAddress
from runtimes.transport import connect
from runtimes.transport.endpoint import Tls

DEFAULT_DOCKER_URL = "unix:///var/run/docker.sock"


def discover(environ: Mapping[str, str] = os.environ, root: str = "") -> Sequence[EngineAddress]:
    """Searches once for engines and returns what it found. Raises the same errors as `Discovery`."""
    return Discovery(environ, root).look()


class Discovery:
    """Searches for the engines of this machine. The environment and the docker context are read once, when it is
    created. `root` is put in front of every usual path. Raises NotFound and BadUsage for a docker context that does not
    exist or cannot be used."""

    def __init__(self, environ: Mapping[str, str] = os.environ, root: str = "") -> None:
        self._environ, self._root = dict(environ), root
        self._chosen = [*_chosen(environ)]
        self.not_permitted: Sequence[NotPermitted] = ()
        """What the last search found and this user may not use. It is searched again each time, and becomes a usual
        result when it may be used."""

    def look(self) -> Sequence[EngineAddress]:
        """Returns the addresses of all engines that were found and may be used. If there are none, returns the first
        socket that may not be used, whose error says what to do, or Docker's usual socket, so that the process waits
        for it."""
        return self._find() or (self._fallback(),)

    def _find(self) -> Sequence[EngineAddress]:
        chosen_kinds = {address.kind for address in self._chosen}
        found: dict[tuple[str, str], EngineAddress] = {each.location: each for each in reversed(self._chosen)}
        # Docker is last, so that Podman's socket at docker.sock is listed as Podman.
        for kind in sorted(engine_registry.KINDS, key=lambda kind: kind == "docker"):
            for default in engine_registry.KINDS[kind].default_addresses if kind not in chosen_kinds else ():
                for address in _existing(kind, default, self._environ, self._root):
                    found.setdefault(address.location, address)
        in_order = sorted(found.values(), key=lambda address: list(engine_registry.KINDS).index(address.kind))
        # What the environment names is used as it says, so that its errors are seen.
        denied = [
            NotPermitted(address=address, reason=reason)
            for address in in_order
            if address not in self._chosen and (reason := _denial(address))
        ]
        without = {each.address for each in denied}
        self.not_permitted = denied
        return tuple(address for address in in_order if address not in without)

    def _fallback(self) -> EngineAddress:
        sockets = [each for each in self.not_permitted if each.address.url.startswith("unix://")]
        if not sockets:
            return _guess()
        self.not_permitted = [each for each in self.not_permitted if each is not sockets[0]]
        return sockets[0].address

    def compare(self, current: Mapping[EngineAddress, bool]) -> Changes:
        """Searches again and compares. `current`: the addresses in use, each with whether its engine has ever answered.

        A stopped engine stays, even if its socket does not exist any more, so that people see that it is down. An
        engine that never answered is removed when its socket is removed. If a path now leads to another engine, the old
        engine is removed too.
        """
        found = self._find()
        locations = {address.location for address in found}
        missing = [address for address in current if address not in found]
        vanished = [address for address in missing if current[address] and address.location not in locations]
        if not found and not vanished:
            found = (self._fallback(),)
        removed = [address for address in missing if address not in vanished and address not in found]
        added = [address for address in found if address not in current]
        return Changes(added=added, removed=removed, vanished=vanished)


@dataclass(frozen=True, slots=True, kw_only=True)
class NotPermitted:
    """Holds the address of an engine that this process's user may not use, and why: one sentence."""

    address: EngineAddress
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Holds the addresses to add and to remove. `vanished`: engines that stay although their socket does not exist."""

    added: Sequence[EngineAddress]
    removed: Sequence[EngineAddress]
    vanished: Sequence[EngineAddress]


def _guess() -> EngineAddress:
    return EngineAddress(kind="docker", url=DEFAULT_DOCKER_URL)


def _chosen(environ: Mapping[str, str]) -> Iterator[EngineAddress]:
    """Yields the addresses in the variables that the docker and podman commands read."""
    if host := environ.get("DOCKER_HOST", "").strip():
        from runtimes.docker import host_address  # noqa: PLC0415 (few use it)

        tls = _tls(environ)
        url = host_address.complete_address(host, source="DOCKER_HOST", tls=tls is not None)
        kind = engine_registry.guess_kind(url) if url.startswith("unix://") else "docker"
        yield EngineAddress(kind=kind, url=url, tls=tls if url.startswith("tcp://") else None)
    elif found := _context_in_use(environ):
        yield found
    if (host := environ.get("CONTAINER_HOST", "").strip()) and "podman" in engine_registry.KINDS:
        yield EngineAddress(kind="podman", url=host)


def _existing(kind: str, default: DefaultAddress, environ: Mapping[str, str], root: str) -> Iterator[EngineAddress]:
    """Yields the existing addresses of a usual path: one for each user if the path contains the user."""
    variables = re.findall(r"\{([A-Z_]+)\}", default.path)
    if any(not environ.get(name) for name in variables):
        return
    if default.required_path and not _exists(Path(root + default.required_path)):
        return
    path = default.path
    for name in variables:
        path = path.replace(f"{{{name}}}", environ[name])
    for uid, one in _each_user(root + path if not variables else path):
        if _exists(one) and one.is_dir() == default.is_directory:
            scheme = "file" if default.is_directory else "unix"
            yield EngineAddress(kind=kind, url=f"{scheme}://{one}", name=default.name.replace("{uid}", uid))


def _each_user(path: str) -> Iterator[tuple[str, Path]]:
    before, user, after = path.partition("{uid}")
    if not user:
        yield "", Path(path)
        return
    try:
        users = sorted(entry.name for entry in Path(before).iterdir() if entry.name.isdigit())
    except OSError:
        return
    for uid in users:
        yield uid, Path(before + uid + after)


def _tls(environ: Mapping[str, str]) -> Tls | None:
    """Reads DOCKER_TLS_VERIFY and DOCKER_CERT_PATH as docker's client does. Unlike it, always verifies the engine."""
    if not (environ.get("DOCKER_TLS_VERIFY") or environ.get("DOCKER_TLS")):
        return None
    from runtimes.docker import contexts  # noqa: PLC0415 (few use them)

    given = environ.get("DOCKER_CERT_PATH", "").strip()
    directory = Path(given) if given else contexts.config_folder(environ)
    if directory is None:
        return Tls()
    # An engine need not ask for a client certificate, so it is optional; the CA is not.
    client = {part: str(directory / f"{part}.pem") for part in ("cert", "key")}
    complete = all(_exists(Path(file)) for file in client.values())
    return Tls(ca=str(directory / "ca.pem"), **(client if complete else {}))


def _context_in_use(environ: Mapping[str, str]) -> EngineAddress | None:
    directory = environ.get("DOCKER_CONFIG", "").strip()
    if not directory and environ.get("HOME"):
        directory = f"{environ['HOME']}/.docker"
    if not (environ.get("DOCKER_CONTEXT", "").strip() or (directory and _exists(Path(directory) / "config.json"))):
        return None
    from runtimes.docker import contexts  # noqa: PLC0415 (few use them)

    context = contexts.chosen(environ)
    return engine_registry.context_address(context, environ=environ) if context else None


def _denial(address: EngineAddress) -> str:
    """Returns why this user may not use a socket or a state directory that was found; empty if they may."""
    path = Path(address.url.partition("://")[2])
    if address.url.startswith("file://"):
        return (
            "" if _may(path, os.R_OK | os.X_OK) else f"Quarterdeck's user may not read {path}. Run Quarterdeck as root."
        )
    if _may(path, os.R_OK | os.W_OK):
        return ""
    try:
        found = path.stat()
        if found.st_mode & stat.S_IWGRP and connect.in_container():
            return (
                f"Quarterdeck's user may not use {path}. "
                f"Start this container with the group of that socket: docker run --group-add {found.st_gid}."
            )
        group = grp.getgrgid(found.st_gid).gr_name
    except (OSError, KeyError):
        group = ""
    join = f" or add its user to the group {group}" if group not in ("", "root") else ""
    return f"Quarterdeck's user may not use {path}. Run Quarterdeck as root{join}."


def _may(path: Path, mode: int) -> bool:
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError:  # a directory of another user, whose engine Quarterdeck may not use
        return False
