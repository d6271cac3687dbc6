"""What nobody may stop through us: the containers we run in, the one with our store, and those marked as protected; and
with them whatever holds one of them: its pod, its service, its node, its systemd unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from bot.access import policy
from core import errors
from core.model import containers, listings
from core.model.containers import Container
from core.model.facts import Facts
from core.model.policy import Policy
from core.model.refs import EngineRef, Kind, Ref
from runtimes.inventory import fleet

# Things that take containers along when they end.
HOLDERS = frozenset({Kind.SERVICE, Kind.POD, Kind.NODE, Kind.UNIT})


class ProtectedSet:
    """Learned from surveys of containers, of which each adds to what the others told."""

    def __init__(self, in_force: Policy) -> None:
        self._policy = in_force
        self._containers: dict[tuple[EngineRef, str], Container] = {}
        self._silent: dict[EngineRef, errors.QuarterdeckError] = {}

    def learn(self, survey: fleet.Listing) -> None:
        ours = policy.ours(self._policy, survey.rows)
        kept = (row for row in survey.rows if row.ref.id in ours or containers.protected(row.labels))
        self._containers |= {(row.ref.engine, row.ref.id): row for row in kept}
        # Whose owner forbids to list containers, of that one no more can be known.
        self._silent |= {
            engine: error for engine, error in survey.missing.items() if not isinstance(error, errors.Refused)
        }

    def judged(self, row: Any, engine: EngineRef, at: datetime) -> Sequence[tuple[Ref, Facts]]:
        """As listings.permission_targets, with what is known here."""
        protected = self._protects(row, listings.row_ref(row, engine))
        return [
            (ref, replace(facts, protected=True) if protected else facts)
            for ref, facts in listings.permission_targets(row, engine, at)
        ]

    def must_know(self, ref: Ref) -> None:
        """Raises the error of an engine that could not say which containers the thing holds."""
        if ref.kind in HOLDERS and ref.engine in self._silent:
            raise self._silent[ref.engine]
        if ref.kind in (Kind.NODE, Kind.SERVICE) and ref.engine.kind == "swarm":
            # Its containers are told of by the engines of its nodes, whichever those are.
            for engine, error in self._silent.items():
                if engine.kind == "docker":
                    raise error

    def _protects(self, row: Any, ref: Ref) -> bool:
        return (
            (ref.kind is Kind.CONTAINER and (ref.engine, ref.id) in self._containers)
            or any(member in self._policy.self_ids for member in getattr(row, "members", ()))
            or listings.contains_any(row, self._containers.values())
        )
