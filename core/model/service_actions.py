"""Defines the actions that create, update, roll back and remove Swarm services.

A service that can access its hosts (mounts, the host's network, capabilities) needs `host.reach` in addition to its own
verb: when it is created, when it is updated in what its tasks run or can reach, and when a rollback gives it more
access. The access of the service is part of its row in the list, and core.model.effects writes it into the action. In
the same way, whoever changes what the tasks run can read the secrets and configs of the service, so this needs
`secret.use` and `config.use`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from core.lazy_dataclass import dataclass
from core.model import host_access
from core.model.actions import Action, Risk, TargetAction
from core.model.containers import STACK_LABEL
from core.model.refs import Kind, Ref
from core.model.resource_facts import ResourceFacts
from core.model.results import Outcome
from core.model.secrets_and_configs import UseConfig, UseSecret
from core.model.service_settings import NOTHING_REMOVED, UNCHANGED, Removals, ServiceSettings
from core.model.services import Service

UNNAMED = "a new service"
CREATE_SECONDS, UPDATE_SECONDS = 120, 300


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateService(Action[Any]):
    """Creates a service as a job, which ends when its tasks run or cannot run. `name`: empty: the Swarm chooses one.
    `replicas`: None: one, and for a global service none is given. `wait`: False: the job ends when the service was
    created. `timeout`: seconds until its tasks must run."""

    verb = "service.create"
    risk = Risk.CHANGE
    image: str
    name: str = ""
    settings: ServiceSettings = UNCHANGED
    mode: str = "replicated"
    replicas: int | None = None
    wait: bool = True
    timeout: int = CREATE_SECONDS

    def timeout_seconds(self) -> float:
        return self.timeout + 60.0

    def targets(self) -> Sequence[Ref]:
        name = self.name or UNNAMED
        return (Ref(engine=self.engine, kind=Kind.SERVICE, id=f"new:{self.name or self.image}", name=name),)

    def prospective_facts(self, ref: Ref, at: datetime) -> ResourceFacts | None:
        labels = dict(self.settings.labels)
        return ResourceFacts(
            labels=dict(self.settings.container_labels) | labels,
            image=self.image,
            project=labels.get(STACK_LABEL),
            service=self.name,
            at=at,
        )

    def needs(self) -> Sequence[Action[Any]]:
        (target,) = self.targets()
        facts = self.prospective_facts(target, datetime.min.replace(tzinfo=UTC))
        reaches = host_access.reaches_of(self.settings.host_access())
        return [*host_access.needs(self.engine, target, facts, reaches), *_values(self.settings)]


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateService(TargetAction[Any]):
    """Changes a service as a job. It ends when the tasks run the new version, fail, or were rolled back. `force`:
    replaces the tasks even if nothing changes. `reaches`: what the service takes from its hosts already; `values`: the
    secrets and configs that its tasks can read already."""

    verb = "service.update"
    risk = Risk.CHANGE
    settings: ServiceSettings = UNCHANGED
    removals: Removals = NOTHING_REMOVED
    replicas: int | None = None
    force: bool = False
    wait: bool = True
    timeout: int = UPDATE_SECONDS
    reaches: tuple[str, ...] = ()
    values: tuple[Ref, ...] = ()

    @property
    def changes_program(self) -> bool:
        return self.settings.changes_program or self.removals.changes_program

    @property
    def changes_tasks(self) -> bool:
        return self.force or self.settings.changes_tasks or self.removals.changes_tasks

    def declared_reaches(self) -> tuple[str, ...]:
        """Returns what the tasks may take from their hosts by this update."""
        added = host_access.reaches_of(self.settings.host_access())
        return tuple(dict.fromkeys([*added, *(self.reaches if self.changes_program else ())]))

    def needs(self) -> Sequence[Action[Any]]:
        reaches = self.declared_reaches()
        values = {each.targets()[0].key: each for each in (*_values(self.settings), *self._values_kept())}
        return [*host_access.needs(self.engine, self.target, None, reaches), *values.values()]

    def _values_kept(self) -> list[Action[Any]]:
        """Returns what another program of the tasks needs: it can read the secrets and configs that stay."""
        removed = {(Kind.SECRET, name) for name in self.removals.secrets}
        removed |= {(Kind.CONFIG, name) for name in self.removals.configs}
        kept = [ref for ref in self.values if (ref.kind, ref.name) not in removed] if self.changes_program else []
        return [_use(ref) for ref in kept]

    def timeout_seconds(self) -> float:
        return self.timeout + 60.0

    def confirm_reason(self) -> str:
        if self.replicas == 0:
            return f"leaves nothing of {self.target.name} running"
        if self.changes_tasks:
            return f"replaces the tasks of {self.target.name}: data outside of volumes is lost"
        ended = any(effect.certain and effect.risk is Risk.DESTROY for effect in self.effects or ())
        return f"ends tasks of {self.target.name}" if ended else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RollBackService(TargetAction[Any]):
    """Rolls a service back to its version before the last update, as a job. `reaches`: what that version takes from its
    hosts and the present one does not."""

    verb = "service.rollback"
    risk = Risk.CHANGE
    wait: bool = True
    timeout: int = UPDATE_SECONDS
    reaches: tuple[str, ...] = ()

    def needs(self) -> Sequence[Action[Any]]:
        return host_access.needs(self.engine, self.target, None, self.reaches)

    def timeout_seconds(self) -> float:
        return self.timeout + 60.0

    def confirm_reason(self) -> str:
        return f"replaces the tasks of {self.target.name} by those of its earlier version"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveService(TargetAction[Outcome]):
    verb = "service.remove"
    risk = Risk.DESTROY


def reaches_in(action: Action[Any], row: Any) -> dict[str, tuple[Any, ...]]:
    """Returns the fields `reaches` and `values` of an update, or `reaches` of a rollback, from the row of its service;
    nothing otherwise."""
    if isinstance(row, Service) and isinstance(action, UpdateService):
        return {"reaches": row.reaches, "values": row.values}
    if isinstance(row, Service) and isinstance(action, RollBackService):
        return {"reaches": tuple(each for each in row.earlier_reaches if each not in row.reaches)}
    return {}


def _values(settings: ServiceSettings) -> list[Action[Any]]:
    """Returns what the use of secrets and configs needs: their contents are readable in the tasks."""
    return [_use(each.target) for each in (*settings.secrets, *settings.configs)]


def _use(ref: Ref) -> Action[Any]:
    kind = UseSecret if ref.kind is Kind.SECRET else UseConfig
    return kind(engine=ref.engine, target=ref)
