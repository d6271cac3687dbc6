"""Images: what an engine holds of them, and what is done to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from core.model.actions import Action, On, Risk
from core.model.refs import Facts, Ref
from core.model.things import Document, Outcome

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


class Images(msgspec.Struct, frozen=True):
    rows: tuple[Image, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListImages(Action[Images]):
    verb = "image.list"
    listing = True


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectImage(On[Document]):
    """`target` is an image; environment values of its configuration are hidden."""

    verb = "image.inspect"


@dataclass(frozen=True, slots=True, kw_only=True)
class PullImage(Action[Any]):
    """Fetches `image` (`repository[:tag]` or `repository@digest`; no tag means `latest`) as a job whose outcome names
    its digest. `timeout`: seconds for all of it."""

    verb = "image.pull"
    risk = Risk.CHANGE
    image: str
    timeout: int = 600

    def patience(self) -> float:
        return self.timeout + 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PushImage(On[Any]):
    """Sends the image under its name to the registry in that name, as a job; `timeout`: seconds for all of it."""

    verb = "image.push"
    risk = Risk.CHANGE
    timeout: int = 600

    def patience(self) -> float:
        return self.timeout + 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TagImage(On[Outcome]):
    """`tag`: the further name, `repository[:tag]`."""

    verb = "image.tag"
    risk = Risk.CHANGE
    tag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveImage(On[Outcome]):
    """Takes the tag it is named by away, and the image with its last one; by id, the image with all its tags. `force`:
    also where a stopped container is made of it."""

    verb = "image.remove"
    risk = Risk.DESTROY
    force: bool = False

    def patience(self) -> float:
        return 60.0
