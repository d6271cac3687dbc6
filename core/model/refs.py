"""Defines references to engines and resources: EngineRef and Ref.

A `Ref` identifies a resource by the id that the engine reported when the plan was made. The name in a `Ref` is for
people.
"""

from __future__ import annotations

import enum
import fnmatch

import msgspec


class Kind(enum.StrEnum):
    """The kinds of resources that a Ref can point to."""

    ENGINE = "engine"
    CONTAINER = "container"
    IMAGE = "image"
    NETWORK = "network"
    VOLUME = "volume"
    SERVICE = "service"
    NODE = "node"
    TASK = "task"
    POD = "pod"
    UNIT = "unit"
    STACK = "stack"
    PROJECT = "project"
    SECRET = "secret"  # noqa: S105 (a kind, not a password)
    CONFIG = "config"
    NAMESPACE = "namespace"
    BOT = "bot"


class EngineRef(msgspec.Struct, frozen=True, gc=False):
    """One engine. `host` is the engine's own name for its host (Docker: /info Name)."""

    host: str
    kind: str
    name: str = "default"

    def __str__(self) -> str:
        return f"{self.kind}/{self.host}" if self.name == "default" else f"{self.kind}/{self.host}/{self.name}"

    def matches(self, pattern: str) -> bool:
        """Whether `pattern`, a glob, matches its kind, host or name, `kind/host`, `kind/name`, `host/name` or all
        three. The name `default` never matches."""
        names = [self.kind, self.host, f"{self.kind}/{self.host}", str(self)]
        if self.name != "default":
            names += [self.name, f"{self.kind}/{self.name}", f"{self.host}/{self.name}"]
        return any(fnmatch.fnmatchcase(name, pattern) for name in names)


Key = tuple[EngineRef, Kind, str]


class Ref(msgspec.Struct, frozen=True, gc=False):
    """One resource on one engine. `id` is the engine's full id; `name` is for people."""

    engine: EngineRef
    kind: Kind
    id: str
    name: str

    @property
    def key(self) -> Key:
        """What identifies it, without its name."""
        return (self.engine, self.kind, self.id)

    @property
    def bare_id(self) -> str:
        """The id without the namespace (containerd) and without the digest's algorithm, as people copy it."""
        inside = self.id.rpartition("/")[2] if self.kind in (Kind.CONTAINER, Kind.IMAGE) else self.id
        return inside.removeprefix("sha256:")

    @property
    def short_id(self) -> str:
        """The first twelve characters of the bare id; complete if the id is the name."""
        return self.bare_id if self.bare_id == self.name else self.bare_id[:12]

    def __str__(self) -> str:
        where = f"{self.name}@{self.engine}"
        return where if self.id == self.name else f"{where}#{self.short_id}"
