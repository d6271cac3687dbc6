"""Defines the secrets and configs of Swarm, and the secrets of Podman. Only their names and times are read, never their
contents.

A person who gives a secret to a service can make its tasks print the contents, so that needs a separate verb.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from core.lazy_dataclass import dataclass
from core.model.actions import Action, Risk, TargetAction
from core.model.refs import Ref
from core.model.resource_facts import ResourceFacts
from core.model.results import Outcome


class StoredValue(msgspec.Struct, frozen=True, gc=False):
    """One secret or config. `driver`: where its content is stored, if the engine reports it; times: unix seconds, 0 if
    unknown."""

    ref: Ref
    driver: str = ""
    created_at: float = 0.0
    updated_at: float = 0.0
    labels: Mapping[str, str] = {}

    def facts(self, at: datetime) -> ResourceFacts:
        return ResourceFacts(labels=self.labels, at=at)


class StoredValues(msgspec.Struct, frozen=True):
    rows: tuple[StoredValue, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListSecrets(Action[StoredValues]):
    verb = "secret.list"
    listing = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ListConfigs(Action[StoredValues]):
    verb = "config.list"
    listing = True


@dataclass(frozen=True, slots=True, kw_only=True)
class UseSecret(TargetAction[Outcome]):
    """Gives a secret to a service. It is decided beside the action that does it, and never runs by itself."""

    verb = "secret.use"
    risk = Risk.CHANGE


@dataclass(frozen=True, slots=True, kw_only=True)
class UseConfig(TargetAction[Outcome]):
    """Gives a config to a service. It is decided beside the action that does it, and never runs by itself."""

    verb = "config.use"
    risk = Risk.CHANGE
