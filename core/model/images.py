"""Images: what an engine holds of them, and what is done to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from core.model import image_names
from core.model.actions import Action, Risk, TargetAction
from core.model.facts import Facts
from core.model.refs import EngineRef, Kind, Ref
from core.model.results import Document, Outcome

DANGLING = "<none>"


class Image(msgspec.Struct, frozen=True, gc=False):
    """One image. `ref.name` is its first tag, or the short id where it has none; `tags` are all of them, as
    `repository:tag`; `digests` as `repository@sha256:…`. `size` is bytes as the engine counts them, `created_at` unix
    seconds (0: unknown), `containers` how many are made of it (None: the engine does not say)."""

    ref: Ref
    tags: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    size: int = 0
    created_at: float = 0.0
    labels: Mapping[str, str] = {}
    containers: int | None = None

    def facts(self, at: datetime) -> Facts:
        return Facts(labels=self.labels, image=self.ref.name, at=at)

    @property
    def full_names(self) -> tuple[str, ...]:
        """What it is called in full, whoever says it: each tag and digest, in every spelling."""
        told = (self.ref.name, *self.tags, *self.digests)
        return tuple(dict.fromkeys(word for name in told for word in image_names.equivalent_names(name)))

    @property
    def tag_refs(self) -> tuple[Ref, ...]:
        """Itself under each of its tags: what is done to it is done to all of them, so all must be allowed."""
        return tuple(msgspec.structs.replace(self.ref, name=tag) for tag in self.tags) or (self.ref,)


class Images(msgspec.Struct, frozen=True):
    rows: tuple[Image, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListImages(Action[Images]):
    verb = "image.list"
    listing = True


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectImage(TargetAction[Document]):
    """`target` is an image; environment values of its configuration are hidden."""

    verb = "image.inspect"


@dataclass(frozen=True, slots=True, kw_only=True)
class PullImage(Action[Any]):
    """Fetches `image` (`repository[:tag]` or `repository@digest`; no tag means `latest`) as a job whose outcome names
    its digest. `timeout`: seconds for all of it. What it touches is that one name on that engine."""

    verb = "image.pull"
    risk = Risk.CHANGE
    image: str
    timeout: int = 600

    def targets(self) -> Sequence[Ref]:
        return (_named(self.engine, self.image),)

    def prospective_facts(self, ref: Ref, at: datetime) -> Facts | None:
        return Facts(image=ref.name, at=at, labels_known=False)

    def timeout_seconds(self) -> float:
        return self.timeout + 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PushImage(TargetAction[Any]):
    """Sends the image under its name to the registry in that name, as a job; `timeout`: seconds for all of it."""

    verb = "image.push"
    risk = Risk.CHANGE
    timeout: int = 600

    def timeout_seconds(self) -> float:
        return self.timeout + 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TagImage(TargetAction[Outcome]):
    """`tag`: the further name, `repository[:tag]`, which has to be allowed as well."""

    verb = "image.tag"
    risk = Risk.CHANGE
    tag: str

    def targets(self) -> Sequence[Ref]:
        return (self.target, _named(self.engine, self.tag))

    def prospective_facts(self, ref: Ref, at: datetime) -> Facts | None:
        return None if ref == self.target else Facts(image=ref.name, at=at, labels_known=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveImage(TargetAction[Outcome]):
    """Takes the tag it is named by away, and the image with its last one; by id, the image with all its tags. `force`:
    also where a stopped container is made of it."""

    verb = "image.remove"
    risk = Risk.DESTROY
    force: bool = False

    def timeout_seconds(self) -> float:
        return 60.0


def _named(engine: EngineRef, name: str) -> Ref:
    """A name that an engine is to have an image for: the same one however it is spelled."""
    name = image_names.with_default_tag(name)
    return Ref(engine=engine, kind=Kind.IMAGE, id=name, name=name)
