"""Defines selectors: the patterns by which grants and guards select resources."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass

from core.model import image_names
from core.model.policy_facts import PolicyFacts
from core.model.refs import EngineRef, Kind, Ref


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """A pattern over resources. Every part that is set must match; an empty part matches all.

    `engine` is a glob over the engine's kind and over `kind/host`; `host`, `name`, `project` and `service` are globs;
    `labels` are (name, glob) pairs. The name of an image is `repository:tag`, in any of its equivalent forms. Without
    facts, `labels`, `project` and `service` cannot be compared: `matches` then returns None, which a grant takes as no
    match and a guard as a match.
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

    def matches(self, ref: Ref, facts: PolicyFacts | None) -> bool | None:
        if not self.matches_engine(ref.engine):
            return False
        if ref.kind is Kind.ENGINE:
            # An engine itself has no name, project or labels.
            return not (self.name or self.needs_facts())
        named = self._matches_name(ref)
        if named is False or not self.needs_facts():
            return named
        if named is None or facts is None:
            return None
        if self.project and not fnmatch.fnmatchcase(facts.project or "", self.project):
            return False
        if self.service and not fnmatch.fnmatchcase(facts.service or "", self.service):
            return False
        if self.labels and not facts.labels_known:
            return None
        labels = facts.labels
        return all(key in labels and fnmatch.fnmatchcase(labels[key], want) for key, want in self.labels)

    def _matches_name(self, ref: Ref) -> bool | None:
        if not self.name:
            return True
        if ref.kind is Kind.IMAGE:
            return image_names.matches(ref.name, self.name)
        return fnmatch.fnmatchcase(ref.name, self.name)

    def __str__(self) -> str:
        parts = [
            f"{key} {value}"
            for key in ("engine", "host", "name", "project", "service")
            if (value := getattr(self, key))
        ]
        parts += [f"label {key}={value}" for key, value in self.labels]
        return ", ".join(parts) or "everything"


EVERYTHING = Selector()
