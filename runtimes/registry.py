"""Which engines we know how to speak to, and where they usually listen. One line per engine; its module loads on
use."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from core import errors
from runtimes.mirror import Watched

KINDS: Mapping[str, str] = {
    "docker": "runtimes.docker:Docker",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Where one engine listens. `name` tells two engines of one kind on one host apart; `allow`: verb globs, empty for
    all."""

    kind: str
    url: str
    name: str = "default"
    allow: tuple[str, ...] = ()


def open_engine(door: Door) -> Watched:
    """The adapter for a door; connects lazily. Raises BadUsage for an unknown kind or an unusable address."""
    target = KINDS.get(door.kind)
    if target is None:
        raise errors.BadUsage(f"“{door.kind}” is not a kind of engine.", hint=f"Known kinds: {', '.join(KINDS)}.")
    module, _, name = target.partition(":")
    return cast(Watched, getattr(importlib.import_module(module), name)(door.url, name=door.name, allow=door.allow))


def discover(environ: Mapping[str, str] = os.environ) -> Sequence[Door]:
    """Every local engine whose socket is there; if none is, the usual place, to be waited for.

    DOCKER_HOST wins over the usual places, as it does for the docker CLI.
    """
    if host := environ.get("DOCKER_HOST", "").strip():
        return (Door(kind="docker", url=host),)
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


def _present(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError:  # the folder may not be looked into: another user's, so not our engine
        return False
