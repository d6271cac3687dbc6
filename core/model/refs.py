"""How things are pointed at: an engine, one thing on it, and a pattern over many.

A `Ref` is pinned: its id was read from the engine when the plan was made, its name is there for people. Policy looks at
a thing through its `Facts`, and a `Selector` is the pattern grants and guards hold against both.
"""

from __future__ import annotations

import enum
import fnmatch
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

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

    def placed(self, pattern: str) -> bool:
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
    def bare(self) -> str:
        """The id as people copy it: without the namespace before it (containerd) and without the kind of its digest."""
        inside = self.id.rpartition("/")[2] if self.kind in (Kind.CONTAINER, Kind.IMAGE) else self.id
        return inside.removeprefix("sha256:")

    @property
    def short(self) -> str:
        """The first twelve characters of the bare id; a name that serves as one is left whole."""
        return self.bare if self.bare == self.name else self.bare[:12]

    def __str__(self) -> str:
        where = f"{self.name}@{self.engine}"
        return where if self.id == self.name else f"{where}#{self.short}"

    def names(self) -> tuple[str, ...]:
        """What a pattern over names is held against: an image goes by every spelling of its name."""
        return image_names.spellings(self.name) if self.kind is Kind.IMAGE else (self.name,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What policy and rules may look at for one Ref. `at` is when the engine last said so. `labels_known`: False where
    it may carry labels that nobody has seen yet, such as an image still to be pulled."""

    labels: Mapping[str, str] = field(default_factory=dict)
    image: str = ""
    state: str = ""
    project: str | None = None
    service: str | None = None
    protected: bool = False
    at: datetime | None = None
    labels_known: bool = True


def glob(pattern: str) -> re.Pattern[str]:
    """A compiled `*`/`?`/`[…]` pattern that must match the whole text, as in a shell."""
    return re.compile(fnmatch.translate(pattern))


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """A pattern over things; every part given must match, an absent part matches all.

    `engine` is a glob over the engine's kind and over `kind/host`; `host`, `name`, `project` and `service` are globs;
    `labels` are (name, glob) pairs. An image's name is `repository:tag`, and one of Docker Hub is met in each of its
    spellings. A part that needs facts (labels, project, service) cannot be judged without them: `judge` then answers
    None, which a grant reads as no and a guard as yes.
    """

    engine: str = ""
    host: str = ""
    name: str = ""
    project: str = ""
    service: str = ""
    labels: tuple[tuple[str, str], ...] = ()

    def matches_all(self) -> bool:
        return self == EVERYTHING

    def needs_facts(self) -> bool:
        return bool(self.project or self.service or self.labels)

    def reaches(self, engine: EngineRef) -> bool:
        """Whether it could match anything on this engine."""
        if self.engine and not (
            fnmatch.fnmatchcase(engine.kind, self.engine) or fnmatch.fnmatchcase(str(engine), self.engine)
        ):
            return False
        return not self.host or fnmatch.fnmatchcase(engine.host, self.host)

    def judge(self, ref: Ref, facts: Facts | None) -> bool | None:
        if not self.reaches(ref.engine):
            return False
        if ref.kind is Kind.ENGINE:
            # An engine as a whole has no name, project or labels a pattern over its things could match.
            return not (self.name or self.needs_facts())
        if self.name and not any(fnmatch.fnmatchcase(name, self.name) for name in ref.names()):
            return False
        if not self.needs_facts():
            return True
        if facts is None:
            return None
        if self.project and not fnmatch.fnmatchcase(facts.project or "", self.project):
            return False
        if self.service and not fnmatch.fnmatchcase(facts.service or "", self.service):
            return False
        if self.labels and not facts.labels_known:
            return None
        labels = facts.labels
        return all(key in labels and fnmatch.fnmatchcase(labels[key], want) for key, want in self.labels)

    def __str__(self) -> str:
        parts = [
            f"{key} {value}"
            for key in ("engine", "host", "name", "project", "service")
            if (value := getattr(self, key))
        ]
        parts += [f"label {key}={value}" for key, value in self.labels]
        return ", ".join(parts) or "everything"


EVERYTHING = Selector()
