"""Reads which services of a Compose project depend on which, and sorts them so that each comes after its dependencies.

Docker Compose writes the dependencies of a service into the label `com.docker.compose.depends_on` of its containers, as
`db:service_healthy:false,cache:service_started:true`. The last word is not needed here: it says whether a restart of
the dependency also restarts the service. Anybody may write a label. So if an entry cannot be parsed, it counts as a
dependency that only has to be started.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from core import errors
from core.model.containers import COMPOSE_SERVICE_LABEL, Container

LABEL = "com.docker.compose.depends_on"
STARTED, HEALTHY, COMPLETED = "service_started", "service_healthy", "service_completed_successfully"
MAX_DEPENDENCIES = 200  # of one service
Dependencies = Mapping[str, Mapping[str, str]]


def read_dependencies(rows: Iterable[Container]) -> Dependencies:
    """Returns for each service the services that it depends on, each with its condition."""
    found: dict[str, dict[str, str]] = {}
    for row in rows:
        mine = found.setdefault(row.labels.get(COMPOSE_SERVICE_LABEL, ""), {})
        for entry in row.labels.get(LABEL, "").split(",")[:MAX_DEPENDENCIES]:
            name, condition, *_ = (*map(str.strip, entry.split(":", 2)), "")
            if name:
                mine[name] = condition if condition in (HEALTHY, COMPLETED) else STARTED
    return found


def levels(project: str, graph: Dependencies) -> Sequence[Sequence[str]]:
    """Returns the services in groups: those of a group depend only on services of the groups before it. A dependency
    that is no service here is left out. Raises UserError for services that depend on each other."""
    left = {name: {other for other in needed if other in graph} for name, needed in graph.items()}
    found = []
    while left:
        ready = sorted(name for name, needed in left.items() if not needed)
        if not ready:
            circle = _circle(left)
            raise errors.UserError(
                f"The services of {project} depend on each other in a circle: {', '.join(circle)}.",
                hint=f"Restart its services one by one, such as: restart {project}/{circle[0]}",
            )
        found.append(ready)
        left = {name: needed - set(ready) for name, needed in left.items() if name not in ready}
    return found


def _circle(left: Mapping[str, set[str]]) -> list[str]:
    """Returns services that depend on each other in a circle, the first one at both ends."""
    path = [min(left)]
    while path[-1] not in path[:-1]:
        path.append(min(left[path[-1]]))
    return path[path.index(path[-1]) :]
