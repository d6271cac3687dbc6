"""Groups containers into Compose services, by the labels that Docker Compose sets. Also groups the containers of Swarm
services on a worker node.

Compose stores only these labels: a service exists as long as one of its containers does. Containers that `docker
compose run` made are not replicas.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from core import errors
from core.model.containers import COMPOSE_PROJECT_LABEL, COMPOSE_SERVICE_LABEL, SWARM_SERVICE_LABEL, Container
from core.model.refs import EngineRef, Kind, Ref
from core.model.services import Service

PROJECT = COMPOSE_PROJECT_LABEL
SERVICE = COMPOSE_SERVICE_LABEL
NUMBER = "com.docker.compose.container-number"
REPLACES = "com.docker.compose.replace"
FOLDER = "com.docker.compose.project.working_dir"
_TEMPORARY_NAME = re.compile(r"([0-9a-f]{12})_(?=.)")
ACTIVE = frozenset({"running", "paused", "restarting"})


def group_compose_services(engine: EngineRef, rows: Iterable[Container]) -> list[Service]:
    """Returns the services of all Compose projects, sorted by name."""
    groups: dict[tuple[str, str], list[Container]] = {}
    for row in rows:
        project, service = row.labels.get(PROJECT, ""), row.labels.get(SERVICE, "")
        if project and service and not row.one_off:
            groups.setdefault((project, service), []).append(row)
    return [_service(engine, *key, groups[key]) for key in sorted(groups)]


def in_order(replicas: Sequence[Container]) -> list[Container]:
    """Sorts the replicas of one service by their numbers. Those that were about to be replaced are last, so that fewer
    replicas are without them first."""
    old = superseded_containers(replicas)
    return sorted(replicas, key=lambda row: (row.ref.id in old, replica_number(row.labels), row.ref.name))


def lasting_name(name: str) -> str:
    """Returns a container's name without the beginning that it has while Compose recreates it."""
    match = _TEMPORARY_NAME.match(name)
    return name[match.end() :] if match else name


def superseded_containers(rows: Iterable[Container]) -> frozenset[str]:
    """Returns the ids of containers that an interrupted recreation was about to replace.

    While Compose recreates a container, two have the same number, and one of them has a temporary name: the first
    twelve digits of the old container's id, then `_` and the name. In Compose v1 that one is the old container, in v2
    the new one.
    """
    groups: dict[tuple[str, str, str], list[Container]] = {}
    for row in rows:
        if number := row.labels.get(NUMBER, ""):
            key = (row.labels.get(PROJECT, ""), row.labels.get(SERVICE, ""), number)
            groups.setdefault(key, []).append(row)
    found = set()
    for group in groups.values():
        named = {match[1] for row in group if (match := _TEMPORARY_NAME.match(row.ref.name))}
        named |= {row.labels[REPLACES][:12] for row in group if row.labels.get(REPLACES)}
        if len(group) > 1:
            found |= {row.ref.id for row in group if row.ref.id[:12] in named}
    return frozenset(found)


def emptied_service(engine: EngineRef, project: str, service: str, last: Container) -> Service:
    """Returns a service without a container, as its `last` container describes it."""
    return Service(
        ref=service_ref(engine, project, service),
        mode="compose",
        image=last.image,
        running=0,
        desired=0,
        labels=_label_sets([last]),
        project=project,
        service=service,
    )


def worker_services(engine: EngineRef, rows: Iterable[Container]) -> list[Service]:
    """Returns the Swarm services that have tasks on this worker node, sorted by name."""
    groups: dict[str, list[Container]] = {}
    for row in rows:
        if SWARM_SERVICE_LABEL in row.labels:
            groups.setdefault(row.labels[SWARM_SERVICE_LABEL], []).append(row)
    found = []
    for service_id, members in groups.items():
        first = members[0]
        name = first.service or service_id[:12]
        found.append(
            Service(
                ref=Ref(engine=engine, kind=Kind.SERVICE, id=service_id, name=name),
                mode="swarm",
                image=first.image,
                running=sum(row.state == "running" for row in members),
                desired=None,
                labels=_label_sets(members),
                project=first.project,
                service=name,
                members=tuple(row.ref.id for row in members),
                health=health_summary(members),
            )
        )
    return sorted(found, key=lambda row: row.ref.name)


def service_ref(engine: EngineRef, project: str, service: str) -> Ref:
    name = f"{project}/{service}"
    return Ref(engine=engine, kind=Kind.SERVICE, id=name, name=name)


def is_compose_service(service: Ref) -> bool:
    """Returns whether a service belongs to Compose: its id contains a slash, which a Swarm service's id never does."""
    return "/" in service.id


def health_summary(members: Iterable[Container]) -> str:
    """Counts the containers by health, such as `1 unhealthy, 2 healthy`; empty if no container has a health check."""
    counts = Counter(row.health for row in members if row.health and row.state in ACTIVE)
    return ", ".join(f"{counts[state]} {state}" for state in ("unhealthy", "starting", "healthy") if counts[state])


def replica_number(labels: dict[str, str]) -> int:
    """Returns the number that Compose gave to a replica; 0 if the replica has no number."""
    text = labels.get(NUMBER, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def check_one_project(name: str, members: Iterable[Container]) -> None:
    """Raises UserError if containers of a service come from different folders. Labels may also come from an image, so
    its author could claim a service for a container, which would then be counted and copied as a replica."""
    by_folder: dict[str, str] = {}
    for row in members:
        by_folder.setdefault(row.labels.get(FOLDER, ""), row.ref.name)
    if len(by_folder) > 1:
        found = [f"{member} from {folder or 'no folder'}" for folder, member in sorted(by_folder.items())][:3]
        raise errors.UserError(
            f"{name} cannot be scaled: its containers belong to different Compose projects ({', '.join(found)}).",
            hint="Remove the containers of the wrong project with `rm`. To create the others again, run in the"
            " folder of their project: docker compose up --force-recreate",
        )


def _service(engine: EngineRef, project: str, service: str, members: list[Container]) -> Service:
    members = in_order(members)
    images = Counter(row.image for row in members)
    published = {port: None for row in members for port in row.ports if port.public is not None}
    return Service(
        ref=service_ref(engine, project, service),
        mode="compose",
        image=", ".join(image for image, _ in images.most_common()),
        running=sum(row.state == "running" for row in members),
        desired=len(members),
        labels=_label_sets(members),
        project=project,
        service=service,
        members=tuple(row.ref.id for row in members),
        ports=tuple(published),
        health=health_summary(members),
    )


def _label_sets(members: Iterable[Container]) -> tuple[dict[str, str], ...]:
    """Returns the different sets of labels of the members, without the labels that differ between replicas."""
    own = (NUMBER, REPLACES, "com.docker.swarm.task", "com.docker.swarm.task.id", "com.docker.swarm.task.name")
    sets = ({key: value for key, value in row.labels.items() if key not in own} for row in members)
    return tuple({tuple(sorted(labels.items())): labels for labels in sets}.values())
