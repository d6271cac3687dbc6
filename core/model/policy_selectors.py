"""Defines selectors: the patterns by which grants and guards select resources."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator
from dataclasses import replace

from core.lazy_dataclass import dataclass
from core.model import image_names
from core.model.refs import EngineRef, Kind, Ref
from core.model.resource_facts import ResourceFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """A pattern over resources. Every part that is set must match; an empty part matches all.

    `engine` is a glob over the engine's kind and over `kind/host`; `host`, `name`, `project` and `service` are globs;
    `labels` are (name, glob) pairs. The name of an image is `repository:tag`, in any of its equivalent forms.

    `matches` returns None if it is not sure, which a grant takes as no match and a guard as a match: without facts, if
    `labels`, `project` or `service` is set; if `engine` means this engine only as a typed `--engine` does, such as
    `podman/h1` or `alice` for alice's Podman; and if `name` is another name that people type for the resource.
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

    def matches_engine(self, engine: EngineRef) -> bool:
        """Whether it could match any resource of this engine."""
        if self.engine and not (
            fnmatch.fnmatchcase(engine.kind, self.engine) or fnmatch.fnmatchcase(str(engine), self.engine)
        ):
            return False
        return not self.host or fnmatch.fnmatchcase(engine.host, self.host)

    def matches(self, ref: Ref, facts: ResourceFacts | None) -> bool | None:
        if self.matches_engine(ref.engine):
            return self._matches_resource(ref, facts)
        if (
            not self.engine
            or not ref.engine.matches(self.engine)
            or not replace(self, engine="").matches_engine(ref.engine)
        ):
            return False
        return None if self._matches_resource(ref, facts) is not False else False

    def _matches_resource(self, ref: Ref, facts: ResourceFacts | None) -> bool | None:
        if ref.kind is Kind.ENGINE:
            # An engine itself has no name, project or labels.
            return not (self.name or self.needs_facts())
        named = self._matches_name(ref, facts)
        if named is False or not self.needs_facts():
            return named
        if facts is None:
            return None
        if self.project and not fnmatch.fnmatchcase(facts.project or "", self.project):
            return False
        served = self._matches_service(facts)
        if served is False:
            return False
        labels = facts.labels
        if any(not fnmatch.fnmatchcase(labels[key], want) for key, want in self.labels if key in labels):
            return False
        if all(key in labels for key, _ in self.labels):
            return named and served
        return False if facts.labels_known else None

    def _matches_service(self, facts: ResourceFacts) -> bool | None:
        """None for the name within a stack or without `.service`: `web` for `shop_web` of the stack shop."""
        service = facts.service or ""
        if not self.service or fnmatch.fnmatchcase(service, self.service):
            return True
        own = service.removeprefix(f"{facts.project}_") if facts.project else service.removesuffix(".service")
        return None if fnmatch.fnmatchcase(own, self.service) else False

    def _matches_name(self, ref: Ref, facts: ResourceFacts | None) -> bool | None:
        if not self.name:
            return True
        if ref.kind is Kind.IMAGE:
            return image_names.matches(ref.name, self.name)
        if fnmatch.fnmatchcase(ref.name, self.name):
            return True
        return None if any(fnmatch.fnmatchcase(name, self.name) for name in _other_names(ref, facts)) else False

    def __str__(self) -> str:
        parts = [
            f"{key} {value}"
            for key in ("engine", "host", "name", "project", "service")
            if (value := getattr(self, key))
        ]
        parts += [f"label {key}={value}" for key, value in self.labels]
        return ", ".join(parts) or "everything"


def _other_names(ref: Ref, facts: ResourceFacts | None) -> Iterator[str]:
    """Yields the other names that people type for a resource: `web` for `web.service`, `shop/web` and `shop_web` for
    each container of this service, `default/web` for a pod."""
    if ref.kind is Kind.UNIT:
        yield ref.name.removesuffix(".service")
    elif ref.kind is Kind.SERVICE and "/" in ref.name:
        yield ref.name.replace("/", "_", 1)
    if facts is None or not facts.project:
        return
    if ref.kind is Kind.POD:
        yield f"{facts.project}/{ref.name}"
    elif facts.service:
        bare = facts.service.removeprefix(f"{facts.project}_")
        yield from (f"{facts.project}{sign}{name}" for sign in "/_" for name in (bare, facts.service))


EVERYTHING = Selector()
