"""Defines the action that restarts the containers of a Compose project in the order of their dependencies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.lazy_dataclass import dataclass
from core.model.actions import Action, Restart, Risk
from core.model.refs import Ref

PROJECT_SECONDS = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartProject(Action[Any]):
    """Restarts those of `containers` that run, as one job: each after the ones that it depends on. `containers`: all of
    the project that the requester may see. `timeout`: seconds until all of them must run."""

    verb = "project.restart"
    risk = Risk.CHANGE
    project: str
    containers: tuple[Ref, ...]
    timeout: int = PROJECT_SECONDS

    def targets(self) -> Sequence[Ref]:
        return self.containers

    def needs(self) -> Sequence[Action[Any]]:
        return [Restart(engine=self.engine, target=ref) for ref in self.containers]

    def timeout_seconds(self) -> float:
        return self.timeout + 60.0

    def confirm_reason(self) -> str:
        count = len(self.containers)
        return "restarts its running containers, one after the other" if count > 1 else ""
