"""Finds the resources that no command may stop: Quarterdeck's own containers, the container of its store, and labelled
containers.

A pod, service, node or systemd unit that holds one of these containers is protected too. ProtectedSet learns the
protected containers from the container lists of the engines. It then sets `protected` in the facts of each resource,
and `bot.access.policy` refuses the verbs that would stop it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from core import errors
from core.model import containers, lists_by_kind
from core.model.containers import Container
from core.model.policy import Policy
from core.model.policy_facts import PolicyFacts
from core.model.refs import EngineRef, Kind, Ref
from runtimes.inventory import fleet

# Resources that end containers when they end.
HOLDERS = frozenset({Kind.SERVICE, Kind.POD, Kind.NODE, Kind.UNIT})


class ProtectedSet:
    """Collects the protected containers from listings. Each listing adds to the earlier ones."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._containers: dict[tuple[EngineRef, str], Container] = {}
        self._unlisted: dict[EngineRef, errors.QuarterdeckError] = {}

    def add_listing(self, listing: fleet.FleetRows) -> None:
        """Adds the protected containers of a listing."""
        own = own_containers(self._policy, listing.rows)
        protected = (row for row in listing.rows if row.ref.id in own or containers.protected(row.labels))
        self._containers |= {(row.ref.engine, row.ref.id): row for row in protected}
        # Not an engine whose owner forbids listing containers (Refused): more will never be known about it.
        self._unlisted |= {
            engine: error for engine, error in listing.missing.items() if not isinstance(error, errors.Refused)
        }

    def with_protection(self, row: Any, engine: EngineRef, at: datetime) -> Sequence[tuple[Ref, PolicyFacts]]:
        """Returns the same as listings.permission_targets, with `protected` set if this set protects the row."""
        protected = self._protects(row, lists_by_kind.row_ref(row, engine))
        return [
            (ref, replace(facts, protected=True) if protected else facts)
            for ref, facts in lists_by_kind.permission_targets(row, engine, at)
        ]

    def check_members_known(self, ref: Ref) -> None:
        """Raises the error of an engine that did not list its containers, if the resource may hold some of them."""
        if ref.kind in HOLDERS and ref.engine in self._unlisted:
            raise self._unlisted[ref.engine]
        if ref.kind in (Kind.NODE, Kind.SERVICE) and ref.engine.kind == "swarm":
            # The engines of its nodes list its containers, and any Docker engine may be one of these.
            for engine, error in self._unlisted.items():
                if engine.kind == "docker":
                    raise error

    def _protects(self, row: Any, ref: Ref) -> bool:
        return (
            (ref.kind is Kind.CONTAINER and (ref.engine, ref.id) in self._containers)
            or any(member in self._policy.self_ids for member in getattr(row, "members", ()))
            or lists_by_kind.contains_any(row, self._containers.values())
        )


def own_containers(policy: Policy, rows: Iterable[Container]) -> frozenset[str]:
    """Returns the ids, among `rows`, of the containers that Quarterdeck runs in and of the container of its store.

    The store's container is the service named `store_host` in Quarterdeck's own Compose project or stack. Without such
    a service, it is the container of that name on the same engine.
    """
    if not (policy.self_ids or policy.self_name):
        return frozenset()
    rows = tuple(rows)
    own = [row for row in rows if _is_own(policy, row.own_id or row.ref.bare_id)]
    found = {row.ref.id for row in own}
    for me in own if policy.store_host else ():
        others = [row for row in rows if row.ref.engine == me.ref.engine and row is not me]
        # A stack puts its own name before the name of a service.
        names = (policy.store_host, f"{me.project}_{policy.store_host}")
        services = [
            row for row in others if me.project is not None and row.project == me.project and row.service in names
        ]
        found.update(row.ref.id for row in services or [row for row in others if row.ref.name == policy.store_host])
    return frozenset(found)


def _is_own(policy: Policy, container_id: str) -> bool:
    return container_id in policy.self_ids or bool(policy.self_name and container_id.startswith(policy.self_name))
