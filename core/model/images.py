"""Defines images, and the actions on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from core.lazy_dataclass import dataclass
from core.model import image_names
from core.model.actions import Action, Risk, TargetAction
from core.model.containers import protected
from core.model.refs import EngineRef, Kind, Ref
from core.model.resource_facts import ResourceFacts
from core.model.results import Document, Outcome

DANGLING = "<none>"


class Image(msgspec.Struct, frozen=True, gc=False):
    """One image. `ref.name` is its first tag, or the short id if it has none; `tags` are all of them, as
    `repository:tag`; `digests` as `repository@sha256:…`. `size`: bytes as the engine counts them; `created_at`: unix
    seconds (0: unknown); `containers`: number of containers of this image (None: unknown)."""

    ref: Ref
    tags: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    size: int = 0
    created_at: float = 0.0
    labels: Mapping[str, str] = {}
    containers: int | None = None

    def facts(self, at: datetime) -> ResourceFacts:
        return ResourceFacts(labels=self.labels, image=self.ref.name, protected=protected(self.labels), at=at)

    @property
    def full_names(self) -> tuple[str, ...]:
        """Every full name that selects it: all tags and digests, with all equivalent names."""
        names = (self.ref.name, *self.tags, *self.digests)
        return tuple(dict.fromkeys(full for name in names for full in image_names.equivalent_names(name)))

    @property
    def tag_refs(self) -> tuple[Ref, ...]:
        """The image under each of its tags. A change affects all of them, so all must be allowed."""
        return tuple(msgspec.structs.replace(self.ref, name=tag) for tag in self.tags) or (self.ref,)


class Images(msgspec.Struct, frozen=True):
    rows: tuple[Image, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListImages(Action[Images]):
    """`intermediate`: also images that are only layers of others, which a build without BuildKit leaves behind."""

    verb = "image.list"
    listing = True
    intermediate: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectImage(TargetAction[Document]):
    """`target` is an image. Values of environment variables in its configuration are hidden."""

    verb = "image.inspect"


class HistoryStep(msgspec.Struct, frozen=True, gc=False):
    """One step of a build. `created_at`: unix seconds, 0 if unknown; `size`: bytes that it added."""

    created_at: float
    command: str
    size: int
    comment: str = ""


class ImageHistory(msgspec.Struct, frozen=True):
    """The steps by which an image was built, the newest first."""

    rows: tuple[HistoryStep, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadHistory(TargetAction[ImageHistory]):
    """`target` is an image. Values of build arguments and environment variables are hidden."""

    verb = "image.history"


@dataclass(frozen=True, slots=True, kw_only=True)
class PullImage(Action[Any]):
    """Pulls `image` (`repository[:tag]` or `repository@digest`; no tag means `latest`) as a job. The outcome contains
    the digest. `timeout`: seconds in total. Its target is this name on this engine."""

    verb = "image.pull"
    risk = Risk.CHANGE
    image: str
    timeout: int = 600

    def targets(self) -> Sequence[Ref]:
        return (_named(self.engine, self.image),)

    def prospective_facts(self, ref: Ref, at: datetime) -> ResourceFacts | None:
        return ResourceFacts(image=ref.name, at=at, labels_known=False)

    def timeout_seconds(self) -> float:
        return self.timeout + 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PushImage(TargetAction[Any]):
    """Pushes the image to the registry in its name, as a job. `timeout`: seconds in total."""

    verb = "image.push"
    risk = Risk.CHANGE
    timeout: int = 600

    def timeout_seconds(self) -> float:
        return self.timeout + 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TagImage(TargetAction[Outcome]):
    """`tag`: the new name, `repository[:tag]`; it must also be allowed."""

    verb = "image.tag"
    risk = Risk.CHANGE
    tag: str

    def targets(self) -> Sequence[Ref]:
        return (self.target, _named(self.engine, self.tag))

    def prospective_facts(self, ref: Ref, at: datetime) -> ResourceFacts | None:
        return None if ref == self.target else ResourceFacts(image=ref.name, at=at, labels_known=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveImage(TargetAction[Outcome]):
    """Removes the tag that `target` names, and the image with its last tag. By id: removes the image with all its tags.
    `force`: even if stopped containers use it."""

    verb = "image.remove"
    risk = Risk.DESTROY
    force: bool = False

    def timeout_seconds(self) -> float:
        return 60.0


def _named(engine: EngineRef, name: str) -> Ref:
    """Returns the Ref of an image that may not exist yet; equivalent names give the same Ref."""
    name = image_names.with_default_tag(name)
    return Ref(engine=engine, kind=Kind.IMAGE, id=name, name=name)
