"""Containers into the services they are replicas of, by the labels compose gives them; pure.

Compose keeps no record of its own: a service is there as long as one of its containers is. What `docker compose run`
made is none of its replicas.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from core.model.containers import SWARM_SERVICE_LABEL, Container
from core.model.refs import EngineRef, Kind, Ref
from core.model.services import Service

PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"
NUMBER = "com.docker.compose.container-number"
REPLACES = "com.docker.compose.replace"
ACTIVE = frozenset({"running", "paused", "restarting"})


def of_compose(engine: EngineRef, rows: Iterable[Container]) -> list[Service]:
    """In the order of their names."""
    groups: dict[tuple[str, str], list[Container]] = {}
    for row in rows:
        project, service = row.labels.get(PROJECT, ""), row.labels.get(SERVICE, "")
        if project and service and not row.one_off:
            groups.setdefault((project, service), []).append(row)
    return [_service(engine, *key, groups[key]) for key in sorted(groups)]


def ref(engine: EngineRef, project: str, service: str) -> Ref:
    name = f"{project}/{service}"
    return Ref(engine=engine, kind=Kind.SERVICE, id=name, name=name)


def is_compose(service: Ref) -> bool:
    """Whether a service's id is a compose project's: no Swarm's has a slash."""
    return "/" in service.id


def of_worker(engine: EngineRef, rows: Iterable[Container]) -> list[Service]:
    """What a Swarm's worker can tell of its services: the tasks that run here."""
    groups: dict[str, list[Container]] = {}
    for row in rows:
        if SWARM_SERVICE_LABEL in row.labels:
            groups.setdefault(row.labels[SWARM_SERVICE_LABEL], []).append(row)
    found = []
    for thing, members in groups.items():
        first = members[0]
        name = first.service or thing[:12]
        found.append(
            Service(
                ref=Ref(engine=engine, kind=Kind.SERVICE, id=thing, name=name),
                mode="swarm",
                image=first.image,
                running=sum(row.state == "running" for row in members),
                desired=None,
                labels=_variants(members),
                project=first.project,
                service=name,
                members=tuple(row.ref.id for row in members),
                health=health(members),
            )
        )
    return sorted(found, key=lambda row: row.ref.name)


def health(members: Iterable[Container]) -> str:
    """`2 healthy, 1 unhealthy`; empty where nothing is checked."""
    counts = Counter(row.health for row in members if row.health and row.state in ACTIVE)
    return ", ".join(f"{counts[word]} {word}" for word in ("unhealthy", "starting", "healthy") if counts[word])


def number(labels: dict[str, str]) -> int:
    text = labels.get(NUMBER, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _service(engine: EngineRef, project: str, service: str, members: list[Container]) -> Service:
    members.sort(key=lambda row: (number(row.labels), row.ref.name))
    images = Counter(row.image for row in members)
    published = {port: None for row in members for port in row.ports if port.public is not None}
    return Service(
        ref=ref(engine, project, service),
        mode="compose",
        image=", ".join(image for image, _ in images.most_common()),
        running=sum(row.state == "running" for row in members),
        desired=len(members),
        labels=_variants(members),
        project=project,
        service=service,
        members=tuple(row.ref.id for row in members),
        ports=tuple(published),
        health=health(members),
    )


def _variants(members: Iterable[Container]) -> tuple[dict[str, str], ...]:
    own = (NUMBER, REPLACES, "com.docker.swarm.task", "com.docker.swarm.task.id", "com.docker.swarm.task.name")
    sets = ({key: value for key, value in row.labels.items() if key not in own} for row in members)
    return tuple({tuple(sorted(labels.items())): labels for labels in sets}.values())
