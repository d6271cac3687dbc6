"""Which engines we know how to speak to, and where they listen. One line per engine; its module loads on use.

In come settings or an environment, out come doors: an address, what proves who is who on the way, a name. Nothing is
contacted here. Without any settings the docker CLI's own order holds: DOCKER_HOST, DOCKER_CONTEXT, the context in use,
the usual sockets.
"""

from __future__ import annotations

import importlib
import ipaddress
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from core import errors
from runtimes import roll
from runtimes.engine_dial import Ssh, Tls
from runtimes.http_wire import Endpoint
from runtimes.mirror import Watched

__all__ = [
    "KINDS",
    "Door",
    "Endpoint",
    "Ssh",
    "Tls",
    "by_context",
    "discover",
    "open_engine",
    "open_engines",
    "twice",
    "warnings",
]

KINDS: Mapping[str, str] = {
    "docker": "runtimes.docker:Docker",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Where one engine listens. `name` tells two engines of one kind on one host apart; `allow`: verb globs, empty for
    all; `context`: the docker context it was found under."""

    kind: str
    url: str
    name: str = "default"
    allow: tuple[str, ...] = ()
    tls: Tls | None = None
    ssh: Ssh | None = None
    context: str = ""


def open_engines(doors: Sequence[Door]) -> Sequence[Watched]:
    """The adapters for these doors, which refuse to be one engine twice. Raises as `open_engine`."""
    known = roll.Roll()
    return [open_engine(door, known) for door in doors]


def open_engine(door: Door, known: roll.Roll | None = None) -> Watched:
    """The adapter for a door; connects lazily. Raises BadUsage for an unknown kind or an unusable address."""
    target = KINDS.get(door.kind)
    if target is None:
        raise errors.BadUsage(f"“{door.kind}” is not a kind of engine.", hint=f"Known kinds: {', '.join(KINDS)}.")
    module, _, name = target.partition(":")
    kind = getattr(importlib.import_module(module), name)
    return cast(
        Watched, kind(door.url, name=door.name, allow=door.allow, tls=door.tls, ssh=door.ssh, roll=known or roll.Roll())
    )


def discover(environ: Mapping[str, str] = os.environ) -> Sequence[Door]:
    """What the docker CLI would use; without its word every local engine whose socket is there; if none is, the usual
    place, to be waited for. Raises NotFound and BadUsage for a context that is not there or of no use."""
    if host := environ.get("DOCKER_HOST", "").strip():
        return (Door(kind="docker", url=host, tls=_tls_of(environ) if host.startswith("tcp://") else None),)
    if found := _in_use(environ):
        return (found,)
    runtime_dir = environ.get("XDG_RUNTIME_DIR", "")
    places = [("default", Path("/var/run/docker.sock"))]
    if runtime_dir:
        places.append(("rootless", Path(runtime_dir) / "docker.sock"))
    if home := environ.get("HOME", ""):
        places.append(("desktop", Path(home) / ".docker/run/docker.sock"))
    seen: dict[Path, Door] = {}
    for name, path in places:
        if _present(path):
            seen.setdefault(path.resolve(), Door(kind="docker", url=f"unix://{path}", name=name))
    return tuple(seen.values()) or (Door(kind="docker", url="unix:///var/run/docker.sock"),)


def by_context(
    named: str, *, name: str = "default", allow: tuple[str, ...] = (), environ: Mapping[str, str] = os.environ
) -> Door:
    """The door of a docker context. Raises NotFound and BadUsage. `default` is docker's own word for its usual
    socket."""
    from runtimes import contexts  # noqa: PLC0415 (few use them)

    if named == contexts.DEFAULT:
        return Door(kind="docker", url="unix:///var/run/docker.sock", name=name, allow=allow, context=named)
    found = contexts.load(named, environ)
    Endpoint.parse(found.url)
    return Door(kind="docker", url=found.url, name=name, allow=allow, tls=found.tls, context=named)


def twice(doors: Sequence[Door]) -> str:
    """The sentence for two doors that lead to one place, or that could not be told apart; empty where all is well.
    Two addresses of one engine show only when it answers: `roll` refuses the second then."""
    places: dict[tuple[str, str, str], Door] = {}
    named: dict[tuple[str, str, str], Door] = {}
    for door in doors:
        endpoint = Endpoint.parse(door.url)
        path = str(Path(endpoint.path).resolve()) if endpoint.scheme == "unix" else ""
        place = (path or str(endpoint), "", "")
        if place in places:
            return f"{_shown(places[place])} and {_shown(door)} are one engine; every event would count twice."
        places[place] = door
        key = (door.kind, endpoint.host, door.name)
        if key in named:  # until they answer, their names are all there is
            return f"{_shown(named[key])} and {_shown(door)} are both called {door.name}; give one another `name`."
        named[key] = door
    return ""


def warnings(doors: Sequence[Door]) -> Sequence[str]:
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


def _tls_of(environ: Mapping[str, str]) -> Tls | None:
    """DOCKER_TLS_VERIFY and DOCKER_CERT_PATH as docker's client reads them, but that we never go on unverified."""
    if not (environ.get("DOCKER_TLS_VERIFY") or environ.get("DOCKER_TLS")):
        return None
    from runtimes import contexts  # noqa: PLC0415 (few use them)

    written = environ.get("DOCKER_CERT_PATH", "").strip()
    place = Path(written) if written else contexts.folder(environ)
    if place is None:
        return Tls()
    # Ours are optional, as an engine need not ask for them; the CA is not.
    ours = {part: str(place / f"{part}.pem") for part in ("cert", "key")}
    there = all(_present(Path(file)) for file in ours.values())
    return Tls(ca=str(place / "ca.pem"), **(ours if there else {}))


def _in_use(environ: Mapping[str, str]) -> Door | None:
    place = environ.get("DOCKER_CONFIG", "").strip() or (f"{environ['HOME']}/.docker" if environ.get("HOME") else "")
    if not (environ.get("DOCKER_CONTEXT", "").strip() or (place and _present(Path(place) / "config.json"))):
        return None
    from runtimes import contexts  # noqa: PLC0415 (few use them)

    named = contexts.chosen(environ)
    return by_context(named, environ=environ) if named else None


def _shown(door: Door) -> str:
    return f"{door.context} ({door.url})" if door.context else door.url


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _present(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError:  # the folder may not be looked into: another user's, so not our engine
        return False
