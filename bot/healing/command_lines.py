"""Finds the containers that a healing policy repairs, and writes the command lines for them.

The lines name each container by its id. So they act on the chosen container, and not on a later container with its
name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from core import supervise
from core.model.alerts import Alert
from core.model.containers import COMPOSE_PROJECT_LABEL, COMPOSE_SERVICE_LABEL, Container
from core.model.healing import HealingPolicy
from core.model.owners import owner_of_container
from core.model.refs import Kind, Ref
from core.text import command_line

DEPENDS_LABEL = "com.docker.compose.depends_on"


def find_container_of_alert(
    alert: Alert, containers: Mapping[str, Container], newest: Mapping[str, Container] | None = None
) -> Container | None:
    """Returns the container that an alert is about: if it was recreated, the newest one of its owner. None if the
    owner has no container. `newest`: the result of `newest_of_owners`; without it, all containers are compared."""
    known = containers.get(alert.subject.id)
    if known is not None:
        return known
    if newest is not None:
        found = newest.get(alert.owner)
        return found if found is not None and found.ref.id in containers else None
    same = [row for row in containers.values() if owner_of_container(row) == alert.owner]
    return max(same, key=lambda row: row.created_at, default=None)


async def newest_of_owners(containers: Mapping[str, Container]) -> Mapping[str, Container]:
    """Returns the newest container of each owner. There may be thousands, so other tasks run meanwhile."""
    found: dict[str, Container] = {}
    async for row in supervise.in_turns(tuple(containers.values())):
        owner = owner_of_container(row)
        known = found.get(owner)
        if known is None or row.created_at > known.created_at:
            found[owner] = row
    return found


def lines(policy: HealingPolicy, target: Container, containers: Mapping[str, Container]) -> Sequence[str]:
    """Returns the lines in the order in which they run. Empty if the policy cannot act on this container."""
    if policy.do == "scale":
        name = target.group_name
        return (
            [command_line.quote(["scale", f"{name}={policy.replicas}", "--engine", str(target.ref.engine)])]
            if name
            else []
        )
    found = [target, *(dependents(target, containers) if policy.dependents else ())]
    return [command_line.quote([policy.do, _pinned(row.ref)]) for row in found]


def service_line(policy: HealingPolicy, service: Ref) -> Sequence[str]:
    """Returns the line for an alert about a service, which can only be scaled."""
    if policy.do != "scale" or service.kind is not Kind.SERVICE:
        return []
    words = ["scale", f"{service.name}={policy.replicas}", "--engine", str(service.engine)]
    return [command_line.quote(words)]


def dependents(target: Container, containers: Mapping[str, Container]) -> Sequence[Container]:
    """Returns the containers of the same Compose project whose services depend on the target's, directly or not: each
    after those that it depends on. A circle is left as it is."""
    project = target.labels.get(COMPOSE_PROJECT_LABEL)
    service = target.labels.get(COMPOSE_SERVICE_LABEL)
    if not project or not service:
        return []
    rows = [
        row
        for row in containers.values()
        if row.labels.get(COMPOSE_PROJECT_LABEL) == project
        and row.ref.engine == target.ref.engine
        and row.state == "running"
        and not row.one_off
    ]
    needs: dict[str, set[str]] = {}
    for row in rows:
        name = row.labels.get(COMPOSE_SERVICE_LABEL, "")
        needs.setdefault(name, set()).update(_needed(row))
    reached, order = {service}, list[str]()
    while ready := sorted(name for name, wanted in needs.items() if name not in reached and wanted & reached):
        # First those that wait for nothing else that is restarted too.
        free = [name for name in ready if not (wanted_of(name, needs) & set(ready))] or ready
        order += free
        reached |= set(free)
    by_name = sorted(rows, key=lambda row: row.ref.name)
    return [row for name in order for row in by_name if row.labels.get(COMPOSE_SERVICE_LABEL) == name]


def wanted_of(service: str, needs: Mapping[str, set[str]]) -> set[str]:
    """Returns the services that a service depends on, directly or not, without itself."""
    found, queue = set[str](), list(needs.get(service, ()))
    while queue:
        name = queue.pop()
        if name not in found:
            found.add(name)
            queue += needs.get(name, ())
    return found - {service}


def _needed(row: Container) -> Sequence[str]:
    """The services that a container depends on. Compose writes `db:service_healthy:false,kv:service_started:true`."""
    return [part.partition(":")[0].strip() for part in row.labels.get(DEPENDS_LABEL, "").split(",") if part.strip()]


def _pinned(ref: Ref) -> str:
    return f"{ref.name}@{ref.engine}#{ref.bare_id[:12]}"
