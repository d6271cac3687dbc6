"""`project ls`: lists Compose projects with their services and containers. Quarterdeck cannot see Compose files, so it
knows a project only while a container of it exists.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from commands._shared import formatting, list_commands
from commands.spec import Command, Context, query
from core.lazy_dataclass import dataclass
from core.model.actions import Action, ListContainers
from core.model.containers import COMPOSE_PROJECT_LABEL, LIVE_STATES, Container, Containers
from core.model.refs import EngineRef, Kind, Ref


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """One Compose project on one engine. `labels`: those of each of its containers."""

    ref: Ref
    containers: Sequence[Container]

    @property
    def labels(self) -> Sequence[Mapping[str, str]]:
        return [row.labels for row in self.containers]


async def plan(context: Context) -> Sequence[Action[Any]]:
    return [ListContainers(engine=engine) for engine in context.find.engines(query(context))]


def projects(value: Containers) -> Sequence[Project]:
    """Returns the projects that the containers of a list belong to."""
    found: defaultdict[tuple[EngineRef, str], list[Container]] = defaultdict(list)
    for row in value.rows:
        if COMPOSE_PROJECT_LABEL in row.labels and row.project:
            found[row.ref.engine, row.project].append(row)
    return [
        Project(ref=Ref(engine=engine, kind=Kind.PROJECT, id=name, name=name), containers=rows)
        for (engine, name), rows in found.items()
    ]


def project_cells(row: Project, _: datetime) -> Sequence[str]:
    """Returns the cells of one project in the table."""
    running = sum(container.state in LIVE_STATES for container in row.containers)
    services = sorted({container.service for container in row.containers if container.service})
    unhealthy = sum(container.health == "unhealthy" for container in row.containers)
    return (
        *(row.ref.name, f"{running}/{len(row.containers)}", ", ".join(services)),
        formatting.count(unhealthy, "unhealthy container") if unhealthy else "",
    )


command = Command(
    name="project ls",
    summary="list Compose projects",
    examples=("project ls", "project ls shop", "project ls --host 'prod-*'"),
    plan=plan,
    render=list_commands.make_render(
        list_commands.ListDefinition(
            kind=Kind.PROJECT,
            columns=("PROJECT", "RUNNING", "SERVICES", "HEALTH"),
            optional=("HEALTH",),
            cells=project_cells,
            none="There are no Compose projects.",
            rows=projects,
        )
    ),
    verbs=(ListContainers.verb,),
    shows=(Project,),
    args=list_commands.arguments(
        "project, start of its name, or a glob like 'shop*'", quiet=list_commands.QUIET_NAMES, labelled="a container"
    ),
)
