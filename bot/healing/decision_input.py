"""Defines the facts that a healing policy uses to decide about one incident."""

from __future__ import annotations

from collections.abc import Mapping

from core.lazy_dataclass import dataclass
from core.model.alerts import Alert
from core.model.containers import Container
from core.model.healing import HealingPolicy, HealingRecord, TargetState
from core.model.incidents import Incident


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionInput:
    """One policy and one incident. `row`: the container of now; None if the alert is about a service. `containers`:
    those of its engine. `stored`: the record of the policy as the store has it, and `record` decoded. `state`: of this
    incident."""

    policy: HealingPolicy
    alert: Alert
    incident: Incident
    row: Container | None
    containers: Mapping[str, Container]
    stored: bytes | None
    record: HealingRecord
    state: TargetState

    @property
    def key(self) -> str:
        return self.incident.key
