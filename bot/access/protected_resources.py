"""Finds the resources that no command may stop: Quarterdeck's own containers, the container of its store, and
containers with a protection label.

A pod, service, node or systemd unit that holds one of these containers is protected too. ProtectedSet finds the
protected containers in the container lists of the engines. It then sets `protected` in the facts of each resource, and
`bot.access.policy` refuses the verbs that would stop it.

Some resources are also marked `own`: only admins may read their logs and details. These are Quarterdeck's own
containers, those of other processes with the same store, the store, and other containers in the services of these.
Every container of Quarterdeck's image or with the label quarterdeck.part is marked too. Several engines may list one
container (Docker, containerd and runc), so containers are compared by the id that their runtime uses.
"""

from __future__ import annotations

import ipaddress
import urllib.parse
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from core import errors
from core.model import containers, list_action_by_kind
from core.model.containers import Container
from core.model.policy import Policy
from core.model.refs import EngineRef, Kind, Ref
from core.model.resource_facts import ResourceFacts
from runtimes.inventory import fleet

# The official image has this label, and engines copy it to the containers.
IMAGE_LABEL, IMAGE_TITLE = "org.opencontainers.image.title", "quarterdeck"
# Resources that end containers when they end.
HOLDERS = frozenset({Kind.SERVICE, Kind.POD, Kind.NODE, Kind.UNIT})


class ProtectedSet:
    """Collects the protected containers and the parts of Quarterdeck from listings. Each listing adds to the earlier
    ones."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._protected = _Containers()
        self._parts = _Containers()
        self._unlisted: dict[EngineRef, errors.QuarterdeckError] = {}

    def add_listing(self, listing: fleet.FleetRows) -> None:
        """Adds the containers of a listing."""
        own = own_containers(self._policy, listing.rows)
        self._protected.add(row for row in listing.rows if row.ref.id in own or containers.protected(row.labels))
        self._parts.add(parts(self._policy, listing.rows))
        # Not an engine whose owner forbids listing containers (Refused): more will never be known about it.
        self._unlisted |= {
            engine: error for engine, error in listing.missing.items() if not isinstance(error, errors.Refused)
        }

    def with_protection(self, row: Any, engine: EngineRef, at: datetime) -> Sequence[tuple[Ref, ResourceFacts]]:
        """Returns the same as listings.permission_targets, with `protected` and `own` set as this set knows."""
        protected, own = self._in(self._protected, row), self._in(self._parts, row)
        return [
            (ref, replace(facts, protected=facts.protected or protected, own=own) if protected or own else facts)
            for ref, facts in list_action_by_kind.permission_targets(row, engine, at)
        ]

    def is_part(self, row: Any) -> bool:
        """Whether a row is a part of Quarterdeck or protected, so that no prune removes it: its containers, its images,
        and the networks and volumes of its Compose project."""
        if self._in(self._protected, row) or self._in(self._parts, row):
            return True
        labels = row.labels
        projects = {part.project for part in self._parts.rows.values()} - {None}
        return (
            containers.protected(labels)
            or labels.get(IMAGE_LABEL) == IMAGE_TITLE
            or labels.get(containers.COMPOSE_PROJECT_LABEL) in projects
            or labels.get(containers.STACK_LABEL) in projects
        )

    def check_members_known(self, ref: Ref) -> None:
        """Raises the error of an engine that did not list its containers, if the resource may hold some of them."""
        if ref.kind in HOLDERS and ref.engine in self._unlisted:
            raise self._unlisted[ref.engine]
        if ref.kind in (Kind.NODE, Kind.SERVICE) and ref.engine.kind == "swarm":
            # The engines of its nodes list its containers, and any Docker engine may be one of these.
            for engine, error in self._unlisted.items():
                if engine.kind == "docker":
                    raise error

    def check_parts_known(self, ref: Ref) -> None:
        """Raises the error of an engine that did not list its containers, if the resource may hold a part of
        Quarterdeck: its own container was not found, and it may be on that engine."""
        runs_in_container = bool(self._policy.self_ids or self._policy.self_name)
        if ref.kind in HOLDERS and runs_in_container and not self._parts.ids and self._unlisted:
            raise next(iter(self._unlisted.values()))

    def _in(self, listed: _Containers, row: Any) -> bool:
        """Whether the row is one of these containers, or holds one of them."""
        members: Sequence[str] = getattr(row, "members", ())
        return (
            (isinstance(row, Container) and runtime_id(row) in listed.ids)
            or any(member in self._policy.self_ids or member in listed.ids for member in members)
            or list_action_by_kind.contains_any(row, listed.rows.values())
        )


class _Containers:
    """A growing set of containers. `rows`: one row for each engine that lists a container; `ids`: their runtime ids."""

    def __init__(self) -> None:
        self.rows: dict[tuple[EngineRef, str], Container] = {}
        self.ids: set[str] = set()

    def add(self, found: Iterable[Container]) -> None:
        for row in found:
            self.rows[row.ref.engine, row.ref.id] = row
            self.ids.add(runtime_id(row))


def runtime_id(row: Container) -> str:
    """Returns the id that the container's runtime uses, which is the same on every engine that lists the container."""
    return row.own_id or row.ref.bare_id


def parts(policy: Policy, rows: Iterable[Container]) -> Sequence[Container]:
    """Returns the rows that are parts of Quarterdeck, so that their logs and details can contain its secrets."""
    rows = tuple(rows)
    own = own_containers(policy, rows)
    # The service is compared with its engine or Swarm left out: replicas of one service run on several nodes.
    groups = {_group(row) for row in rows if _is_own(policy, runtime_id(row))} - {None}
    return [
        row
        for row in rows
        if row.ref.id in own
        or policy.runs_replica(runtime_id(row))
        or row.labels.get(IMAGE_LABEL) == IMAGE_TITLE
        or containers.is_part(row.labels)
        or _group(row) in groups
    ]


def _group(row: Container) -> tuple[str, str] | None:
    return (row.project, row.service) if row.project and row.service else None


def own_containers(policy: Policy, rows: Iterable[Container]) -> frozenset[str]:
    """Returns the ids, among `rows`, of the containers that Quarterdeck runs in and of the container of its store.

    The store's container is the service named `store_host` in Quarterdeck's own Compose project or stack. Without such
    a service, it is the container of that name on the same engine.
    """
    if not (policy.self_ids or policy.self_name):
        return frozenset()
    rows = tuple(rows)
    own = [row for row in rows if _is_own(policy, runtime_id(row))]
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


def store_host(url: str) -> str:
    """Returns the host name in a store's URL. Empty for a socket, an IP address or localhost."""
    host = urllib.parse.urlsplit(url).hostname or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return "" if host == "localhost" or not url.startswith(("redis:", "rediss:")) else host
    return ""


def _is_own(policy: Policy, container_id: str) -> bool:
    return container_id in policy.self_ids or bool(policy.self_name and container_id.startswith(policy.self_name))
