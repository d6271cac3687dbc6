"""Defines the actions that rename a container, and that change its limits and its restart policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from core.lazy_dataclass import dataclass
from core.model.actions import Risk, TargetAction
from core.model.containers import Container
from core.model.refs import Kind, Ref
from core.model.resource_facts import ResourceFacts
from core.model.results import Outcome

UNLIMITED = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class RenameContainer(TargetAction[Outcome]):
    """Gives a container another name. Permissions go by name, so the new name is a target too: it is decided as the
    name of a new container is."""

    verb = "container.rename"
    risk = Risk.CHANGE
    name: str

    def targets(self) -> Sequence[Ref]:
        return (self.target, self._named())

    def prospective_facts(self, ref: Ref, at: datetime) -> ResourceFacts | None:
        if ref == self.target:
            return None
        row = Container(ref=ref, image="", image_id="", command="", state="", status="", created_at=0.0, labels={})
        return replace(row.facts(at), labels_known=False, protected=False)

    def _named(self) -> Ref:
        # The id is that of a container that is created with this name, so both wait for each other.
        return Ref(engine=self.engine, kind=Kind.CONTAINER, id=f"new:{self.name}", name=self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateContainer(TargetAction[Outcome]):
    """Changes limits of a container, and its restart policy; what is empty or 0 stays as it is.

    `memory`: bytes; `cpus`: processors; `pids`: the most processes; each of these UNLIMITED for no limit. `restart`: a
    restart policy, with `:N` after on-failure."""

    verb = "container.update"
    risk = Risk.CHANGE
    memory: int = 0
    cpus: float = 0.0
    pids: int = 0
    restart: str = ""

    def timeout_seconds(self) -> float:
        return 30.0

    def description(self) -> str:
        """Returns what it sets, for the requester."""
        parts = (
            ("memory", self.memory, f"{self.memory / (1 << 20):.6g} MiB"),
            ("cpus", self.cpus, f"{self.cpus:g}"),
            ("processes", self.pids, str(self.pids)),
            ("restart", self.restart, self.restart),
        )
        given = [(name, "unlimited" if value == UNLIMITED else text) for name, value, text in parts if value]
        return ", ".join(f"{name} {text}" for name, text in given)
