"""Finds the engines of this machine: every socket and state directory at a usual path. Contacts no engine.

For Docker, the order is the docker CLI's own: `DOCKER_HOST`, `DOCKER_CONTEXT`, the current context, the usual sockets.
For Podman, `CONTAINER_HOST` comes first. Two paths that lead to the same socket count as one engine: for example, the
package podman-docker makes docker.sock a link to Podman's socket.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from runtimes import engine_registry
from runtimes.engine_registry import DefaultAddress, EngineAddress
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

    def look(self) -> Sequence[EngineAddress]:
        """Returns the addresses of all engines found. If there are none, returns Docker's usual socket, so that the
        process waits for it."""
        return self._find() or (_guess(),)

    def _find(self) -> Sequence[EngineAddress]:
        chosen_kinds = {address.kind for address in self._chosen}
        found: dict[tuple[str, str], EngineAddress] = {each.location: each for each in reversed(self._chosen)}
        # Docker is last, so that Podman's socket at docker.sock is listed as Podman.
        for kind in sorted(engine_registry.KINDS, key=lambda kind: kind == "docker"):
            for default in engine_registry.KINDS[kind].default_addresses if kind not in chosen_kinds else ():
                for address in _existing(kind, default, self._environ, self._root):
                    found.setdefault(address.location, address)
        return tuple(sorted(found.values(), key=lambda address: list(engine_registry.KINDS).index(address.kind)))

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
            found = (_guess(),)
        removed = [address for address in missing if address not in vanished and address not in found]
        added = [address for address in found if address not in current]
        return Changes(added=added, removed=removed, vanished=vanished)


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
        kind = engine_registry.guess_kind(host) if host.startswith("unix://") else "docker"
        yield EngineAddress(kind=kind, url=host, tls=_tls(environ) if host.startswith("tcp://") else None)
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


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError:  # a directory of another user, whose engine Quarterdeck may not use
        return False
