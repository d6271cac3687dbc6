"""The engines of this machine: every one whose socket or state directory is where it usually is. Nothing is contacted.

For Docker the docker CLI's own order holds: DOCKER_HOST, DOCKER_CONTEXT, the context in use, the usual sockets; for
Podman CONTAINER_HOST comes first. A socket that leads where another one does is the same engine: with podman-docker
installed, docker.sock is Podman's.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from runtimes import registry as runtimes_registry
from runtimes.registry import DefaultAddress, EngineAddress
from runtimes.transport.endpoint import Tls

USUAL = "unix:///var/run/docker.sock"


def discover(environ: Mapping[str, str] = os.environ, root: str = "") -> Sequence[EngineAddress]:
    """If there is none, Docker's usual place, to be waited for. Raises NotFound and BadUsage for a context that is not
    there or of no use. `root`: where the machine's files begin."""
    chosen = [*_chosen(environ)]
    told = {door.kind for door in chosen}
    found: dict[tuple[str, str], EngineAddress] = {_where(door): door for door in reversed(chosen)}
    # Docker last: of two that lead to one place the one with the engine's true name stays.
    for kind in sorted(runtimes_registry.KINDS, key=lambda kind: kind == "docker"):
        for place in runtimes_registry.KINDS[kind].places if kind not in told else ():
            for door in _there(kind, place, environ, root):
                found.setdefault(_where(door), door)
    doors = tuple(sorted(found.values(), key=lambda door: list(runtimes_registry.KINDS).index(door.kind)))
    return doors or (EngineAddress(kind="docker", url=USUAL),)


def _chosen(environ: Mapping[str, str]) -> Iterator[EngineAddress]:
    """What the engines' own command lines would use, where they were told."""
    if host := environ.get("DOCKER_HOST", "").strip():
        tls = _tls_of(environ) if host.startswith("tcp://") else None
        yield EngineAddress(
            kind=runtimes_registry.kind_of(host) if host.startswith("unix://") else "docker", url=host, tls=tls
        )
    elif found := _in_use(environ):
        yield found
    if (host := environ.get("CONTAINER_HOST", "").strip()) and "podman" in runtimes_registry.KINDS:
        yield EngineAddress(kind="podman", url=host)


def _there(kind: str, place: DefaultAddress, environ: Mapping[str, str], root: str) -> Iterator[EngineAddress]:
    named = re.findall(r"\{([A-Z_]+)\}", place.path)
    if any(not environ.get(name) for name in named) or (place.beside and not _present(Path(root + place.beside))):
        return
    path = place.path
    for name in named:
        path = path.replace(f"{{{name}}}", environ[name])
    for uid, one in _each_user(root + path if not named else path):
        if _present(one) and one.is_dir() == place.folder:
            scheme = "file" if place.folder else "unix"
            yield EngineAddress(kind=kind, url=f"{scheme}://{one}", name=place.name.replace("{uid}", uid))


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


def _where(door: EngineAddress) -> tuple[str, str]:
    scheme, _, path = door.url.partition("://")
    place = str(Path(path).resolve()) if scheme in ("unix", "file") else door.url
    return place, "" if door.kind in runtimes_registry.ONE_API else door.kind


def _tls_of(environ: Mapping[str, str]) -> Tls | None:
    """DOCKER_TLS_VERIFY and DOCKER_CERT_PATH as docker's client reads them, but that we never go on unverified."""
    if not (environ.get("DOCKER_TLS_VERIFY") or environ.get("DOCKER_TLS")):
        return None
    from runtimes.docker import contexts  # noqa: PLC0415 (few use them)

    written = environ.get("DOCKER_CERT_PATH", "").strip()
    place = Path(written) if written else contexts.config_folder(environ)
    if place is None:
        return Tls()
    # Ours are optional, as an engine need not ask for them; the CA is not.
    ours = {part: str(place / f"{part}.pem") for part in ("cert", "key")}
    there = all(_present(Path(file)) for file in ours.values())
    return Tls(ca=str(place / "ca.pem"), **(ours if there else {}))


def _in_use(environ: Mapping[str, str]) -> EngineAddress | None:
    place = environ.get("DOCKER_CONFIG", "").strip() or (f"{environ['HOME']}/.docker" if environ.get("HOME") else "")
    if not (environ.get("DOCKER_CONTEXT", "").strip() or (place and _present(Path(place) / "config.json"))):
        return None
    from runtimes.docker import contexts  # noqa: PLC0415 (few use them)

    named = contexts.chosen(environ)
    return runtimes_registry.by_context(named, environ=environ) if named else None


def _present(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError:  # the folder may not be looked into: another user's, so not our engine
        return False
