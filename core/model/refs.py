"""How things are pointed at: an engine, one thing on it, and a pattern over many.

A `Ref` is pinned: its id was read from the engine when the plan was made, its name is there for people. Policy looks at
a thing through its `Facts`, and a `Selector` is the pattern grants and guards hold against both.
"""

from __future__ import annotations

import enum
import fnmatch

import msgspec

from core.model import image_names


class Kind(enum.StrEnum):
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
    NAMESPACE = "namespace"
    BOT = "bot"


class EngineRef(msgspec.Struct, frozen=True, gc=False):
    """One engine. `host` is the engine's own name for its machine (Docker: /info Name)."""

    host: str
    kind: str
    name: str = "default"

    def __str__(self) -> str:
        return f"{self.kind}/{self.host}" if self.name == "default" else f"{self.kind}/{self.host}/{self.name}"

    def matches(self, pattern: str) -> bool:
        """Whether `pattern` means it: its kind, host or name, `kind/host`, `kind/name`, `host/name` or all of it; globs
        allowed. `default` is nobody's name."""
        words = [self.kind, self.host, f"{self.kind}/{self.host}", str(self)]
        if self.name != "default":
            words += [self.name, f"{self.kind}/{self.name}", f"{self.host}/{self.name}"]
        return any(fnmatch.fnmatchcase(word, pattern) for word in words)


class Ref(msgspec.Struct, frozen=True, gc=False):
    """One thing on one engine. `id` is the engine's full id; `name` is what people call it."""

    engine: EngineRef
    kind: Kind
    id: str
    name: str

    @property
    def bare_id(self) -> str:
        """The id as people copy it: without the namespace before it (containerd) and without the kind of its digest."""
        inside = self.id.rpartition("/")[2] if self.kind in (Kind.CONTAINER, Kind.IMAGE) else self.id
        return inside.removeprefix("sha256:")

    @property
    def short_id(self) -> str:
        """The first twelve characters of the bare id; a name that serves as one is left whole."""
        return self.bare_id if self.bare_id == self.name else self.bare_id[:12]

    def __str__(self) -> str:
        where = f"{self.name}@{self.engine}"
        return where if self.id == self.name else f"{where}#{self.short_id}"

    def names(self) -> tuple[str, ...]:
        """What a pattern over names is held against: an image goes by every spelling of its name."""
        return image_names.equivalent_names(self.name) if self.kind is Kind.IMAGE else (self.name,)
