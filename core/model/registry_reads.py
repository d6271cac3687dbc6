"""Defines the reads from registries that need no pull: a search, one image, and which containers run an old image."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from core.lazy_dataclass import dataclass
from core.model import image_names
from core.model.actions import Action
from core.model.refs import EngineRef, Kind, Ref
from core.model.resource_facts import ResourceFacts

PUBLIC_REGISTRIES = (
    "docker.io",
    "gcr.io",
    "ghcr.io",
    "mcr.microsoft.com",
    "public.ecr.aws",
    "quay.io",
    "registry.gitlab.com",
    "registry.k8s.io",
)
"""The registries that Quarterdeck itself asks if the configuration names none."""
CURRENT, BEHIND, UNKNOWN = "current", "behind", "unknown"  # the states of ImageAge
MAX_FOUND = 100  # results of one search
MAX_TAGS = 200  # of one repository
MAX_PLATFORMS = 50  # of one image


class FoundImage(msgspec.Struct, frozen=True, gc=False):
    """One result of a search. `stars`: None if the registry counts none; `official`: published by the registry."""

    name: str
    description: str = ""
    stars: int | None = None
    official: bool = False


class FoundImages(msgspec.Struct, frozen=True):
    rows: tuple[FoundImage, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchImages(Action[FoundImages]):
    """Searches the catalogue of the engine's registries for a `term`. Its target is the image of that name."""

    verb = "image.search"
    term: str
    limit: int = 25

    def targets(self) -> Sequence[Ref]:
        return (_named(self.engine, self.term),)

    def prospective_facts(self, ref: Ref, at: datetime) -> ResourceFacts | None:
        return ResourceFacts(image=ref.name, at=at, labels_known=False)

    def timeout_seconds(self) -> float:
        return 30.0


class RemoteImage(msgspec.Struct, frozen=True):
    """One image as its registry has it. `digest`: of what the name points to; `platforms`: `linux/arm64/v8`, one for an
    image of one platform; `platform`: of the image that the following fields describe; `layers`: digests and sizes in
    bytes; `tags`: of the repository, `more_tags`: there are others; `created_at`: unix seconds, 0 if unknown."""

    name: str
    digest: str
    media_type: str = ""
    platforms: tuple[str, ...] = ()
    platform: str = ""
    platform_digest: str = ""
    layers: tuple[tuple[str, int], ...] = ()
    created_at: float = 0.0
    labels: tuple[tuple[str, str], ...] = ()
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    more_tags: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectRemoteImage(Action[RemoteImage]):
    """Reads what a registry says of `image`. `platform`: `linux/arm64`; empty: that of the engine's machine or, if the
    image has none for it, the first."""

    verb = "image.inspect-remote"
    image: str
    platform: str = ""

    def targets(self) -> Sequence[Ref]:
        return (_named(self.engine, self.image),)

    def prospective_facts(self, ref: Ref, at: datetime) -> ResourceFacts | None:
        return ResourceFacts(image=ref.name, at=at, labels_known=False)

    def timeout_seconds(self) -> float:
        return 30.0


class ImageAge(msgspec.Struct, frozen=True, gc=False):
    """Compares the image of one container with the registry. `state`: CURRENT, BEHIND, or UNKNOWN with the
    `reason`. `local` and `remote`: digests, empty if unknown."""

    ref: Ref
    image: str
    state: str
    local: str = ""
    remote: str = ""
    reason: str = ""


class ImageAges(msgspec.Struct, frozen=True):
    rows: tuple[ImageAge, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FindOutdated(Action[ImageAges]):
    """Compares the images of running containers with their registries: of those with the ids `only`, or of all. The
    rows are about containers."""

    verb = "image.outdated"
    listing = True
    only: tuple[str, ...] = ()

    def timeout_seconds(self) -> float:
        return 60.0


def _named(engine: EngineRef, name: str) -> Ref:
    name = image_names.with_default_tag(name)
    return Ref(engine=engine, kind=Kind.IMAGE, id=name, name=name)
